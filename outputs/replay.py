"""Recorded tracks (`track --jsonl`) read again: into other files, or to live outputs at their own speed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

import numpy as np

from ..errors import SemihandError
from ..kinematics.hand import Hand, Motion
from ..models.joints import NUM_JOINTS
from ..tracker.types import Frame, HandBox, HandPose
from .bvh import BvhWriter
from .files import CsvWriter, NpzWriter
from .record import FORMAT, SCHEMA
from .rerun_log import RrdWriter
from .writer import Writer

#: What `convert` writes, by the file's ending.
KINDS: dict[str, Callable[[str], Writer]] = {"bvh": BvhWriter, "csv": CsvWriter, "npz": NpzWriter, "rrd": RrdWriter}
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)
#: Longest pause in seconds of a track that is played; a longer one was a camera that stood still.
_LONGEST_PAUSE = 5.0


class Line(NamedTuple):
    """One frame of a recorded track; its hands have no mask and no box, its frame no picture."""

    frame: Frame
    hands: list[Hand]
    ms: dict[str, float]
    camera: dict
    model: dict | None


class Track:
    """A JSONL file of any schema so far. Rotations and measures are computed anew from its joints."""

    def __init__(self, path: str | Path) -> None:
        """Raises SemihandError where the file cannot be read or holds no track."""
        self.path = Path(path)
        try:
            self._file = self.path.open(encoding="utf-8")
            first = self._file.readline()
        except OSError as error:
            raise SemihandError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
        except UnicodeDecodeError as error:
            raise SemihandError(_no_track(path)) from error
        self.header = self._header(first)

    def lines(self) -> Iterator[Line]:
        """The frames. Raises SemihandError where a line is damaged; a last line that is cut off is left out."""
        motion, camera = Motion(), self.header["camera"]
        number = 1
        for text in self._file:
            number += 1
            if not text.endswith("\n"):  # a run that was killed while it wrote
                return
            try:
                record = json.loads(text)
                camera = record.get("camera", camera)
                frame = Frame(_NO_IMAGE, float(record["t"]), int(record["frame"]), 0.0, record.get("image", ""))
                hands = motion([_pose(hand) for hand in record["hands"]], frame.time)
                yield Line(frame, hands, record.get("ms", {}), camera, record.get("model"))
            except (ValueError, KeyError, TypeError) as error:
                raise SemihandError(
                    f"Line {number} of {self.path} is no frame of a track ({error}). What stands before it was used."
                ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Track:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _header(self, text: str) -> dict:
        try:
            header = json.loads(text)
        except ValueError as error:
            raise SemihandError(_no_track(self.path)) from error
        if not isinstance(header, dict) or header.get("format") != FORMAT or not isinstance(header.get("camera"), dict):
            raise SemihandError(_no_track(self.path))
        if header.get("schema", 0) not in range(1, SCHEMA + 1):
            raise SemihandError(
                f"{self.path} has schema {header.get('schema')}, this semihand reads up to {SCHEMA}. Install a newer one."
            )
        return header


def feed(
    track: Track,
    writer: Writer,
    pause: Callable[[float], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Give a track's frames to a writer; returns how many. pause: called with each frame's time before it is written."""
    writer.begin(track.header | {"schema": SCHEMA})
    count = 0
    for line in track.lines():
        if pause:
            pause(line.frame.time)
        if stopped():
            break
        if line.model:
            writer.change_model(line.model)
        writer.write(line.frame, line.hands, line.ms, line.camera)
        count += 1
    return count


class Pace:
    """Waits until a frame is due, so that a track plays at its own speed."""

    def __init__(self, clock: Callable[[], float] = monotonic, wait: Callable[[float], None] = sleep) -> None:
        self._clock, self._wait = clock, wait
        self._offset: float | None = None
        self._last = 0.0

    def __call__(self, time: float) -> None:
        """Return when the frame at `time` seconds of the track is due; pauses of a standing camera are cut short."""
        now = self._clock()
        if self._offset is None:
            self._offset = now - time
        elif time - self._last > _LONGEST_PAUSE or time < self._last:
            self._offset = now - time + 1 / 30
        self._last = time
        due = time + self._offset
        if due > now:
            self._wait(due - now)


def _pose(record: dict) -> HandPose:
    uv, xyz = _joints(record["uv"], 2), _joints(record["xyz_m"], 3)
    if record["handedness"] not in ("left", "right"):
        raise ValueError(f"handedness {record['handedness']!r}")
    depth, confidence = (np.asarray(record[name], float) for name in ("depth_mm", "confidence"))
    if depth.shape != (NUM_JOINTS,) or confidence.shape != (NUM_JOINTS,):
        raise ValueError(f"a hand has {NUM_JOINTS} joints")
    return HandPose(
        int(record["id"]), record["handedness"], float(record["score"]), uv, xyz, depth / 1e3, confidence,
        np.zeros((0, 0)), np.eye(3), HandBox(uv.mean(axis=0), float(np.ptp(uv, axis=0).max())),
    )  # fmt: skip


def _joints(values: list, width: int) -> np.ndarray:
    joints = np.asarray(values, float)
    if joints.shape != (NUM_JOINTS, width) or not np.isfinite(joints).all():
        raise ValueError(f"a hand has {NUM_JOINTS} joints of {width} finite numbers")
    return joints


def _no_track(path: str | Path) -> str:
    return f"{path} is no track: the first line of a file of `semihand track --jsonl` is missing. Give such a file."
