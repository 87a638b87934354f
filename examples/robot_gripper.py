"""A gripper follows the hand: clutch, limits, and a stop when the hand is gone. Replace `send` by your robot's call."""

import sys

import numpy as np

from semihand import HandTracker, open_source

MAX_OPENING, MAX_STEP = 0.08, 0.02  # metres: the gripper's, and the farthest move of the arm in one frame
STALE = 0.2  # seconds without a hand until the robot stops


def send(move, opening):
    print("stop" if move is None else f"move {np.round(move, 4).tolist()} m, gripper {opening:.3f} m")


def main(source=0):
    anchor, seen = None, -STALE
    with HandTracker(hands=1) as tracker, open_source(source) as camera:
        for frame, hands in tracker.track(camera):
            if not hands:
                if anchor is not None and frame.time - seen > STALE:
                    anchor = None
                    send(None, None)
                continue
            hand, seen = hands[0], frame.time
            if not hand.extended[4]:  # the clutch: only a stretched little finger moves the arm
                anchor = None
                continue
            last, anchor = anchor, hand.palm_position
            if last is not None:
                move = np.clip(hand.palm_position - last, -MAX_STEP, MAX_STEP)
                send(move, min(max(hand.pinch_distance - 0.02, 0.0), MAX_OPENING))


if __name__ == "__main__":
    main(*sys.argv[1:2])
