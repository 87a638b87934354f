"""Send a signal to commands of semihand at random moments, and measure how long they take to end.

    python tools/end_by_signal.py --rounds 20

Prints one line a command: how often it was ended, the longest time from the signal to the end, tracebacks, processes
left behind. Exits with 1 where one took more than 2 seconds, printed a traceback or left a process.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

LIMIT = 2.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def film(path: Path) -> Path:
    """A video of noise that takes a while."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (640, 480))
    rng = np.random.default_rng(0)
    for _ in range(900):
        writer.write(cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (640, 480)))
    writer.release()
    return path


def commands(folder: Path, name: str) -> dict[str, list[str]]:
    """What to run, by name; every run writes into a place of its own."""
    out, video = str(folder / f"out-{name}"), str(folder / "film.avi")
    files = ["--jsonl", f"{out}.jsonl", "--csv", f"{out}.csv", "--npz", f"{out}.npz", "--save-video", f"{out}.mp4"]
    return {
        "track": ["track", "--video", video, "--viewer", "none", *files],
        "eval": ["eval", "--video", video, "--out", out],
        "adapt": ["adapt", "--from", video, "--name", name, "--no-install"],
        "demo": ["demo", "--out", out, "--frames", "600"],
        "synth export": ["synth", "export", "--out", out, "--count", "5000"],
        "synth cache": ["synth", "cache", "--out", out, "--count", "5000", "--workers", "2"],
        "synth preview": ["synth", "preview", "--out", f"{out}.png", "--count", "500"],
        "bench": ["bench", "--frames", "5000"],
        "doctor": ["doctor"],
    }


def run_once(arguments: list[str], wait: float, number: int, environment: dict) -> tuple[float | None, str, int]:
    """Seconds from the signal to the end (None: it had ended before), what it printed, processes left behind."""
    process = subprocess.Popen(
        [sys.executable, "-m", "semihand", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(wait)
        return None, process.stderr.read(), 0
    except subprocess.TimeoutExpired:
        begun = time.monotonic()
        process.send_signal(number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    took = time.monotonic() - begun
    time.sleep(0.3)
    left = left_behind(process.pid)
    if left:
        os.killpg(process.pid, signal.SIGKILL)
    return took, process.stderr.read(), left


def left_behind(session: int) -> int:
    """Processes that still belong to the session."""
    count = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:  # gone meanwhile
            continue
        count += int(group) == session and state != "Z"
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="times each command is ended")
    parser.add_argument("--longest", type=float, default=12.0, help="latest moment in seconds")
    parser.add_argument("--only", help="this command alone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, bad = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory(prefix="semihand-") as temporary:
        folder = Path(temporary)
        film(folder / "film.avi")
        environment = os.environ | {"SEMIHAND_DATA": str(folder / "data")}
        names = [name for name in commands(folder, "x") if options.only in (None, name)]
        for name in names:
            times, tracebacks, left = [], 0, 0
            for number in range(options.rounds):
                arguments = commands(folder, f"{name.replace(' ', '-')}-{number}")[name]
                moment = rng.uniform(0.05, options.longest)
                took, text, processes = run_once(arguments, moment, rng.choice(SIGNALS), environment)
                times += [took] if took is not None else []
                if took is not None and took > LIMIT:
                    print(f"-- {name} after {moment:.2f} s took {took:.2f} s: {text[-300:]}", file=sys.stderr)
                if "Traceback" in text:
                    tracebacks += 1
                    print(f"-- {name} after {moment:.2f} s:\n{text[-1500:]}", file=sys.stderr)
                left += processes
            longest = max(times, default=0.0)
            print(
                f"{name:14} {len(times):3} ended  longest {longest:5.2f} s  tracebacks {tracebacks}  left {left}",
                flush=True,
            )
            bad += longest > LIMIT or tracebacks > 0 or left > 0
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
