"""The index finger moves the mouse pointer, a pinch clicks: pip install pynput."""

import sys

from pynput.mouse import Button, Controller

from semihand import HandTracker, open_source

WIDTH, HEIGHT = 1920, 1080  # of your screen
MARGIN = 0.2  # of the picture that need not be reached
PRESS, RELEASE = 0.9, 0.6  # two thresholds, so that a trembling pinch does not click twice


def main(source=0):
    mouse, pressed = Controller(), False
    with HandTracker(hands=1) as tracker, open_source(source) as camera:
        for frame, hands in tracker.track(camera):
            strength = hands[0].pinch if hands else 0.0  # a lost hand lets go
            if hands:
                height, width = frame.image.shape[:2]
                x, y = hands[0].uv_image[5] / (width, height)  # the index knuckle: it stands still in a pinch
                x, y = (min(max((value - MARGIN) / (1 - 2 * MARGIN), 0), 1) for value in (1 - x, y))
                mouse.position = (x * WIDTH, y * HEIGHT)
            if strength > PRESS and not pressed:
                mouse.press(Button.left)
                pressed = True
            elif strength < RELEASE and pressed:
                mouse.release(Button.left)
                pressed = False


if __name__ == "__main__":
    main(*sys.argv[1:2])
