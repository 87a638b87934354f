"""Start-up time and memory of `semihand track`, taken from processes of their own, as a user starts them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from ...errors import SemihandError


@dataclass(frozen=True)
class FreshRun:
    """first_result_s: from starting the process to the first frame's joints; peak_mb: most memory, None if unknown."""

    first_result_s: float
    peak_mb: float | None


def fresh_run(video: Path, frames: int, model: str, device: str, hands: int, threads: int | None) -> FreshRun:
    """Track `frames` frames of a video in a new process. Raises SemihandError where it fails."""
    command = [
        sys.executable, "-m", "semihand", "track", "--video", str(video), "--max-frames", str(frames),
        "--model", model, "--device", device, "--hands", str(hands), "--viewer", "none", "--jsonl", "-",
    ]  # fmt: skip
    command += ["--threads", str(threads)] if threads else []
    first, peak = None, None
    with tempfile.TemporaryFile("w+") as errors:
        start = perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL)
        for number, _ in enumerate(process.stdout):
            if number == 1:  # line 0 is the header
                first = perf_counter() - start
            peak = _peak_mb(process.pid) or peak
        if process.wait() or first is None:
            errors.seek(0)
            raise SemihandError(
                f"A fresh `semihand track` ended with code {process.returncode}: {errors.read().strip()[-500:]}"
            )
    return FreshRun(first, peak)


def _peak_mb(process: int) -> float | None:
    """Most memory in MB (1e6 bytes) that a running process has held so far; None where the system doesn't say.

    Not from getrusage: on Linux it counts the parent's memory at the fork too.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), None)
