"""Kill processes that write with SIGKILL at random moments, and look at what they leave behind.

    python tools/kill_writers.py --count 200

recording: every frame that was acknowledged before the kill must be readable, and the recording go on. lines: a JSONL
file holds every acknowledged line. arrays: an NPZ file is the old one or the new one. Prints one line a writer; exits
with 1 where something was lost. (Installing models is killed in tests/models/test_registry_crash.py.)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from semihand.errors import SemihandError
from semihand.outputs.files import JsonlWriter, NpzWriter
from semihand.record.recording import RecordingHeader, read_recording
from semihand.record.writer import RecordingWriter
from semihand.tracker.detect import LandmarkResult
from semihand.tracker.types import Frame

HEADER = RecordingHeader("r", "2026-01-01T00:00:00+00:00", "camera 0", 320, 240, 30.0, True)
CAMERA = {"width": 320, "height": 240, "K": [300.0, 300.0, 160.0, 120.0], "assumed": True}
#: A writer works in a folder for ever, and acknowledges every step that is complete; a check says what was lost.
Acknowledge = Callable[[], None]


def write_recording(folder: Path, done: Acknowledge) -> None:
    picture = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8), (320, 240))
    marks = LandmarkResult(np.ones((21, 2)), np.zeros(21), 0.9, "left", 0.9, np.zeros((21, 3)))
    with RecordingWriter(folder / "r", HEADER, resume=True) as writer:
        while True:
            time_of_frame = (writer.last_time or 0) + writer.kept / 30
            writer.add(picture, time_of_frame, writer.next_segment, "Open", np.eye(3) * 300, "left", marks, 9.0)
            done()
            if writer.kept % 20 == 0:
                writer.summarize({"kept": writer.kept})


def check_recording(folder: Path, before: int, acknowledged: int) -> int:
    if not (folder / "r" / "recording.json").exists():
        if acknowledged:
            raise SemihandError("the recording is gone")
        return 0
    recording = read_recording(folder / "r")
    if len(recording.frames) < before + acknowledged or recording.dropped:
        raise SemihandError(f"{len(recording.frames)} of {before + acknowledged}, {recording.dropped} broken")
    return len(recording.frames)


def write_lines(folder: Path, done: Acknowledge) -> None:
    writer = JsonlWriter(str(folder / "o.jsonl"))
    writer.begin({"camera": CAMERA})
    done()
    for number in range(10**9):
        writer.write(Frame(np.zeros((1, 1, 3), np.uint8), number / 30, number), [], {"total": 1.0}, CAMERA)
        done()


def check_lines(folder: Path, before: int, acknowledged: int) -> int:
    *whole, _rest = (folder / "o.jsonl").read_bytes().split(b"\n") if acknowledged else [b""]
    if len([json.loads(line) for line in whole]) < acknowledged:
        raise SemihandError(f"{len(whole)} of {acknowledged} lines")
    return 0


def write_arrays(folder: Path, done: Acknowledge) -> None:
    while True:
        writer = NpzWriter(str(folder / "o.npz"))
        writer.begin({"camera": CAMERA})
        for number in range(3000):
            writer.write(Frame(np.zeros((1, 1, 3), np.uint8), number / 30, number), [], {}, CAMERA)
        writer.close()
        done()


def check_arrays(folder: Path, before: int, acknowledged: int) -> int:
    if before + acknowledged or (folder / "o.npz").exists():
        with np.load(folder / "o.npz") as arrays:
            if len(arrays["frames"]) != 3000:
                raise SemihandError(f"{len(arrays['frames'])} of 3000 frames")
    return before + acknowledged


WRITERS = {
    "recording": (write_recording, check_recording),
    "lines": (write_lines, check_lines),
    "arrays": (write_arrays, check_arrays),
}


def killed(write, folder: Path, moment: float) -> int:
    """Steps that a process acknowledged before it was killed, `moment` seconds after its start."""
    answer, child = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(answer)
        try:
            write(folder, lambda: os.write(child, b"."))
        finally:
            os._exit(1)
    os.close(child)
    time.sleep(moment)
    os.kill(pid, signal.SIGKILL)
    with os.fdopen(answer, "rb") as pipe:
        steps = len(pipe.read())
    status = os.waitpid(pid, 0)[1]
    if not os.WIFSIGNALED(status):
        raise SemihandError("the writer ended by itself")
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="kills in all")
    parser.add_argument("--only", choices=WRITERS, help="this writer alone")
    parser.add_argument("--longest", type=float, default=1.0, help="latest moment in seconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, lost = random.Random(options.seed), 0
    cv2.setNumThreads(1)  # children are forked: nobody may hold a lock then
    names = [options.only] if options.only else list(WRITERS)
    with tempfile.TemporaryDirectory(prefix="semihand-") as temporary:
        folder = Path(temporary)
        for name in names:
            write, check = WRITERS[name]
            steps = wrong = state = 0
            for _ in range(options.count // len(names)):
                acknowledged = killed(write, folder, rng.uniform(0, options.longest))
                steps += acknowledged
                try:
                    state = check(folder, state, acknowledged)
                except (SemihandError, OSError, ValueError) as error:
                    wrong += 1
                    print(f"-- {name}: {error}", file=sys.stderr)
            kept = len(list(folder.rglob("*.part")))
            print(
                f"{name:10} {options.count // len(names):4} kills  {steps:6} steps  {wrong} lost  {kept} parts left",
                flush=True,
            )
            lost += wrong
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
