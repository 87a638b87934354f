"""The distance of thumb and index finger sets the volume (Linux with PulseAudio or PipeWire: pactl)."""

import subprocess
import sys

from semihand import HandTracker, open_source

CLOSED, OPEN = 0.02, 0.12  # metres between the fingertips for silence and for full volume


def set_volume(percent):
    subprocess.run(["pactl", "set-sink-volume", "@DEFAULT_SINK@", f"{percent}%"], check=True)


def main(source=0):
    last = None
    with HandTracker(hands=1) as tracker, open_source(source) as camera:
        for _, hands in tracker.track(camera):
            if not hands or hands[0].extended[2:].any():  # only while the other fingers are bent
                continue
            share = (hands[0].pinch_distance - CLOSED) / (OPEN - CLOSED)
            percent = round(100 * min(max(share, 0), 1))
            if last is None or abs(percent - last) > 2:
                set_volume(percent)
                last = percent


if __name__ == "__main__":
    main(*sys.argv[1:2])
