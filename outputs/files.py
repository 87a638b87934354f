"""What a run leaves behind: JSONL, CSV and NPZ. Whatever goes wrong, what was written stays readable.

JSONL: a header line, then one line a frame (the fields stand in `record.header` and `Hand.to_dict`).
CSV: one row per frame, hand and joint (tidy, so that pandas groups and pivots it), columns CSV_COLUMNS.
NPZ: one row per frame and hand, stacked: frame (N,), t (N,), id (N,), handedness (N,), score (N,), uv (N, 21, 2),
depth_mm (N, 21), xyz_m (N, 21, 3), confidence (N, 21); of all frames frames (F,) and times (F,), and the header as JSON
(with later_models where `--follow` took some over, each with the number of frames before it).
Units and frames as in `HandPose`; depths are millimetres.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SemihandError
from ..models.joints import JOINT_NAMES, NUM_JOINTS
from ..tracker.types import Frame, HandPose
from .record import frame_record
from .writer import Writer

logger = logging.getLogger(__name__)

CSV_COLUMNS = (
    "frame", "t", "id", "handedness", "score", "joint", "name",
    "u", "v", "depth_mm", "x_m", "y_m", "z_m", "confidence",
)  # fmt: skip


class LineFile:
    """Text lines, each in the file before `write` returns; a line that does not fit is taken out again."""

    def __init__(self, path: str) -> None:
        """path "-" is the standard output. Raises SemihandError when the file cannot be made."""
        self._shared = path == "-"
        self.path = "the standard output" if self._shared else path
        try:
            self._file = sys.stdout.buffer if self._shared else open(path, "wb", buffering=0)
        except OSError as error:
            raise SemihandError(_cannot_open(path, error)) from error
        self._complete = 0

    def write(self, text: str) -> None:
        """One or more lines, each with its end. Raises SemihandError when they do not fit."""
        data = text.encode()
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._file.flush()
        except OSError as error:
            self._cut()
            raise SemihandError(_cannot_write(self.path, error)) from error
        self._complete += len(data)

    def close(self) -> None:
        if not self._shared:
            self._file.close()

    def _cut(self) -> None:
        if self._shared:  # the file behind it may hold more than ours
            return
        try:
            self._file.truncate(self._complete)
        except OSError as error:  # a device has no length to cut
            logger.debug("%s could not be cut to its complete lines: %s", self.path, error)


class JsonlWriter(Writer):
    """One JSON object a line: `header`, then a `frame_record` a frame. A new camera or model is told where it changes."""

    def __init__(self, path: str) -> None:
        self._file = LineFile(path)
        self._camera: dict | None = None
        self._new_model: dict = {}

    def begin(self, first_line: dict) -> None:
        self._camera = first_line["camera"]
        self._write(first_line)

    def write(self, frame, hands, ms, camera) -> None:
        record = frame_record(frame, hands, ms) | self._new_model
        self._new_model = {}
        if camera != self._camera:
            self._camera = record["camera"] = camera
        self._write(record)

    def change_model(self, model: dict) -> None:
        self._new_model = {"model": model}

    def close(self) -> None:
        self._file.close()

    def _write(self, record: dict) -> None:
        self._file.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")


class CsvWriter(Writer):
    """One row per frame, hand and joint; the first line holds CSV_COLUMNS. Frames without a hand have no row."""

    def __init__(self, path: str) -> None:
        self._file = LineFile(path)
        self._file.write(",".join(CSV_COLUMNS) + "\n")

    def begin(self, first_line: dict) -> None:
        """A CSV file has no place for it."""

    def write(self, frame, hands, ms, camera) -> None:
        if hands:
            self._file.write("".join(_csv_rows(frame, hand) for hand in hands))

    def close(self) -> None:
        self._file.close()


def _csv_rows(frame: Frame, pose: HandPose) -> str:
    start = f"{frame.index},{frame.time:.4f},{pose.id},{pose.handedness},{pose.score:.3f}"
    columns = zip(
        JOINT_NAMES,
        pose.uv_image.tolist(),
        (pose.depth_rel * 1e3).tolist(),
        pose.xyz_cam.tolist(),
        pose.confidence.tolist(),
    )
    return "".join(
        f"{start},{joint},{name},{u:.2f},{v:.2f},{depth:.1f},{x:.4f},{y:.4f},{z:.4f},{sure:.3f}\n"
        for joint, (name, (u, v), depth, (x, y, z), sure) in enumerate(columns)
    )


class NpzWriter(Writer):
    """Keeps all hands in memory (about 600 bytes each) and writes them at the end, in one piece or not at all."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._rows: list[tuple] = []
        self._times: list[tuple[int, float]] = []
        self._header: dict = {}
        self._models: list[dict] = []
        try:
            # Made now, so that a folder without permission is told before the work and not after it.
            handle, self._temporary = tempfile.mkstemp(".part", self._path.name, self._path.parent)
        except OSError as error:
            raise SemihandError(_cannot_open(path, error)) from error
        self._file = os.fdopen(handle, "wb")

    def begin(self, first_line: dict) -> None:
        self._header = first_line

    def change_model(self, model: dict) -> None:
        self._models.append({"after": len(self._times), **model})

    def write(self, frame, hands, ms, camera) -> None:
        self._times.append((frame.index, frame.time))
        for pose in hands:
            joints = np.column_stack([pose.uv_image, pose.depth_rel * 1e3, pose.xyz_cam, pose.confidence])
            self._rows.append(
                (frame.index, frame.time, pose.id, pose.handedness, pose.score, joints.astype(np.float32))
            )

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            with self._file:
                np.savez_compressed(self._file, **self._arrays())
            os.chmod(self._temporary, 0o666 & ~_umask())
            os.replace(self._temporary, self._path)
        except OSError as error:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
            raise SemihandError(
                f"{self._path} was not written: {error.strerror}. Make room, or choose another place, and start again."
            ) from error

    def _changes(self) -> dict:
        return {"later_models": self._models} if self._models else {}

    def _arrays(self) -> dict[str, Any]:
        frame, t, hand_id, side, score, joints = zip(*self._rows) if self._rows else ((),) * 6
        stacked = np.reshape(joints, (-1, NUM_JOINTS, 7)).astype(np.float32)
        return {
            "frame": np.array(frame, np.int64), "t": np.array(t, np.float64), "id": np.array(hand_id, np.int64),
            "handedness": np.array(side, "U5"), "score": np.array(score, np.float32),
            "uv": stacked[..., :2], "depth_mm": stacked[..., 2], "xyz_m": stacked[..., 3:6], "confidence": stacked[..., 6],
            "frames": np.array([index for index, _ in self._times], np.int64),
            "times": np.array([time for _, time in self._times], np.float64),
            "header": np.array(json.dumps(self._header | self._changes())),
        }  # fmt: skip


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _cannot_open(path: str, error: OSError) -> str:
    folder = Path(path).parent
    if not folder.is_dir():
        return f"{path} cannot be written: the folder {folder} does not exist. Create it first."
    return f"{path} cannot be written: {error.strerror}. Choose a place where you may write."


def _cannot_write(path: str, error: OSError) -> str:
    return f"Writing {path} failed: {error.strerror}. What was written before is complete; make room and start again."
