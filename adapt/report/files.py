"""Reads the folder of one adaptation, whatever of it there is: a run may have been stopped at any moment."""

from __future__ import annotations

import csv
import json
import logging
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import SemihandError

log = logging.getLogger(__name__)

#: Arrays without which a file of pictures can't be shown.
_LABELS = ("rows", "image", "uv_start", "uv_label", "uv_registered", "gate", "confidence")
_HELD_OUT = ("image", "uv_before", "uv_after", "cost_before", "cost_after")

#: What reading a file that was cut off raises.
_BROKEN = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class RunFiles:
    """run, indicators: JSON objects; iterations, train: columns (N,) float, NaN where empty, in the order of t and
    step; labels, held_out: arrays of the npz files. What is missing or broken is empty, and `notes` say so."""

    folder: Path
    run: dict
    iterations: dict[str, np.ndarray]
    train: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    held_out: dict[str, np.ndarray]
    indicators: dict
    notes: tuple[str, ...]

    def indicator(self, part: str) -> dict:
        """A part of indicators.json ("before", "after", "decision", "check"), {} where there is none."""
        value = self.indicators.get(part)
        return value if isinstance(value, dict) else {}


def read_run(folder: str | Path) -> RunFiles:
    """Raises SemihandError where the folder holds nothing of a run."""
    folder, notes = Path(folder), []
    readers: dict[str, tuple[str, Callable]] = {
        "run": ("run.json", _json),
        "iterations": ("iterations.csv", lambda path: _columns(path, "t")),
        "train": ("train.csv", lambda path: _columns(path, "step")),
        "labels": ("labels.npz", lambda path: _arrays(path, _LABELS)),
        "held_out": ("heldout.npz", lambda path: _arrays(path, _HELD_OUT)),
        "indicators": ("indicators.json", _json),
    }
    if not any((folder / name).is_file() for name, _ in readers.values()):
        raise SemihandError(f"{folder} is not the folder of an adaptation: it has no run.json and no logs.")
    parts = {key: _read(folder / name, reader, notes) for key, (name, reader) in readers.items()}
    return RunFiles(folder, **parts, notes=tuple(notes))


def read_indicators(folder: str | Path) -> dict:
    """indicators.json, {} where there is none. Raises SemihandError where it can't be read, so that nobody
    overwrites it."""
    path = Path(folder) / "indicators.json"
    if not path.exists():
        return {}
    try:
        return _json(path)
    except (OSError, ValueError) as error:
        raise SemihandError(f"{path} can't be read ({error}). Move it away and try again.") from error


def read_held_out(folder: str | Path) -> dict[str, np.ndarray]:
    """The arrays of heldout.npz. Raises SemihandError where there is no frame or the file can't be read."""
    path = Path(folder) / "heldout.npz"
    try:
        arrays = _arrays(path, _HELD_OUT)
    except _BROKEN as error:
        raise SemihandError(f"{path} can't be read ({error}), so there are no held-out frames to check.") from error
    if not len(arrays["image"]):
        raise SemihandError(f"{path} holds no frame, so there is nothing to check. Record a longer take.")
    return arrays


def _read(path: Path, reader: Callable, notes: list[str]) -> dict:
    if not path.exists():
        notes.append(f"{path.name} is missing.")
        return {}
    try:
        return reader(path)
    except _BROKEN as error:
        log.warning("%s can't be read: %s", path, error)
        notes.append(f"{path.name} can't be read: {error}")
        return {}


def _json(path: Path) -> dict:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    return value


def _columns(path: Path, key: str) -> dict[str, np.ndarray]:
    """The columns of a CSV file. A last line cut off by a crash is dropped; of lines written twice the later holds."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    rows = {}
    for row in csv.DictReader(whole):
        if None not in row.values() and np.isfinite(_float(row.get(key))):
            rows[_float(row[key])] = row
    if not rows:
        raise ValueError(f"it has no line with a {key}")
    ordered = [rows[at] for at in sorted(rows)]
    return {name: np.array([_float(row.get(name)) for row in ordered]) for name in ordered[-1] if name is not None}


def _float(text: str | None) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _arrays(path: Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return arrays
