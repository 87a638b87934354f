"""How weights and figures came to be: command, date, commit, hardware, versions. None is worth much without."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import __version__
from .models.model_file import usable_cores

_PACKAGES = (
    "numpy",
    "opencv-python",
    "opencv-contrib-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "numba",
    "mediapipe",
    "rtmlib",
    "torch",
)


def record() -> dict:
    """Everything that a measurement carries of its circumstances; what this machine does not tell is None."""
    return {
        "command": shlex.join(["semihand", *sys.argv[1:]]),
        "date": date(),
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
    }


def date() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def hardware() -> dict:
    """cpu, cores (all, and usable ones), memory_gb, gpu, system; load: processes that wanted a core, last minute."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_gb": _memory_gb(),
        "gpu": _gpu_name(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
    }


def versions() -> dict:
    """semihand, Python, and the packages that are installed."""
    found = {"semihand": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Commit of the source folder, with "+" where files differ from it; None outside a git checkout."""
    folder = Path(__file__).resolve().parent
    if not (folder / ".git").exists():
        return None
    revision = _output(["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"])
    if not revision:
        return None
    return revision + ("+" if _output(["git", "-C", str(folder), "status", "--porcelain", "-uno"]) else "")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError):  # Windows
        return None


def _gpu_name() -> str | None:
    return _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or None


def _output(command: list[str]) -> str | None:
    """What a program prints, stripped; None where it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout.strip() if done.returncode == 0 else None
