"""Writing a recording (see `recording`): append-only, and safe against kills and full disks."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import cv2
import numpy as np

from ..errors import SemihandError
from ..tracker.detect import LandmarkResult
from .recording import HEADER, IMAGES, LINES, SUMMARY, RecordingHeader, read_lines

logger = logging.getLogger(__name__)

JPEG_QUALITY = 95
#: Seconds after which what was written is forced onto the disk.
SYNC_EVERY = 0.5
_PART = ".part"


class RecordingWriter:
    """Writes a recording frame by frame. Use it in a `with`.

    next_segment, last_time: where a continued recording goes on (0 and None for a new one). kept: frames so far.
    """

    def __init__(self, folder: Path, header: RecordingHeader, resume: bool = False) -> None:
        """Raises SemihandError where `folder` exists (without resume), holds something else, or cannot be written."""
        self.folder = Path(folder)
        self.next_segment, self.last_time, self.kept, self._number = 0, None, 0, 0
        self._pending: list[Path] = []
        self._synced = monotonic()
        if resume and (self.folder / HEADER).is_file():
            self._continue()
        else:
            self._begin(header)
        self._lines = self._open_lines()
        self._complete = os.fstat(self._lines).st_size

    def add(
        self, picture: np.ndarray, time: float, segment: int, prompt: str, K: np.ndarray,
        handedness: str, marks: LandmarkResult, sharpness: float,
    ) -> Path:  # fmt: skip
        """Keep one cut-out (H, W, 3) uint8 BGR with what is known of it (see RecordedFrame); returns its file.

        Raises SemihandError when it does not fit on the disk; all frames before it stay.
        """
        path = self.folder / IMAGES / f"{self._number:06d}.jpg"
        line = frame_line(path.name, time, segment, prompt, K, handedness, marks, sharpness)
        encoded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1]
        try:
            write_atomically(path, encoded.tobytes())
            self._append(line)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise SemihandError(self._no_room(error)) from error
        self._pending.append(path)
        self._number, self.kept = self._number + 1, self.kept + 1
        self.sync(SYNC_EVERY)
        return path

    def discard_from(self, segment: int) -> None:
        """Take back all frames whose segment is `segment` or higher; their pictures are deleted."""
        try:
            self._append({"discard_from": segment})
        except OSError as error:
            raise SemihandError(self._no_room(error)) from error
        frames, dropped = read_lines(self.folder / LINES)
        kept = {frame.image.name for frame in frames}
        for path in (self.folder / IMAGES).iterdir():
            if path.name not in kept:
                path.unlink()
        self._pending = [path for path in self._pending if path.name in kept]
        self.kept = len(kept)

    def summarize(self, summary: dict) -> None:
        """Write summary.json. A summary that does not fit on the disk is told and left out."""
        try:
            write_atomically(self.folder / SUMMARY, json.dumps(summary, indent=1).encode())
        except OSError as error:
            logger.warning("The summary of %s could not be written: %s.", self.folder, error.strerror)

    def sync(self, older_than: float = 0.0) -> None:
        """Force everything onto the disk, unless that was done within `older_than` seconds. Call it with each picture."""
        if monotonic() - self._synced < older_than:
            return
        for path in self._pending:  # pictures before their lines are safe, not the other way round
            _force(path)
        if self._pending:
            _force(self.folder / IMAGES)
            self._force_lines()
        self._pending.clear()
        self._synced = monotonic()

    def close(self) -> None:
        """Force everything onto the disk; calling it twice does no harm."""
        if self._lines < 0:
            return
        try:
            self.sync()
        finally:
            os.close(self._lines)
            self._lines = -1

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, header: RecordingHeader) -> None:
        refuse_existing(self.folder)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # nobody else's business
            (self.folder / IMAGES).mkdir(exist_ok=True)
            write_atomically(self.folder / HEADER, json.dumps(asdict(header), indent=1).encode())
        except OSError as error:
            raise SemihandError(
                f"The recording {self.folder} cannot be made: {error.strerror}. "
                "Make room, or set SEMIHAND_DATA to a folder where you may write."
            ) from error

    def _continue(self) -> None:
        """Take out what a kill left half done, then go on behind the last frame."""
        lines = self.folder / LINES
        if lines.is_file():
            data = lines.read_bytes()
            os.truncate(lines, data.rfind(b"\n") + 1)
        (self.folder / IMAGES).mkdir(exist_ok=True)
        known, _ = read_lines(lines, with_discarded=True)
        frames, _ = read_lines(lines)
        names = {frame.image.name for frame in frames}
        for path in (self.folder / IMAGES).iterdir():
            if path.name not in names:
                path.unlink()
        self._number = 1 + max((int(frame.image.stem) for frame in known if frame.image.stem.isdecimal()), default=-1)
        self.next_segment = 1 + max((frame.segment for frame in known), default=-1)
        self.last_time = max((frame.time for frame in known), default=None)
        self.kept = len(frames)

    def _open_lines(self) -> int:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            return os.open(self.folder / LINES, flags, 0o600)
        except OSError as error:
            raise SemihandError(
                f"{self.folder / LINES} cannot be written: {error.strerror}. Choose another --name."
            ) from error

    def _append(self, line: dict) -> None:
        """The whole line or nothing of it. Unbuffered: it outlives this process as soon as this returns."""
        data = (json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n").encode()
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._lines, rest) :]
        except OSError:
            with suppress(OSError):  # a device has no length to cut
                os.ftruncate(self._lines, self._complete)
            raise
        self._complete += len(data)

    def _force_lines(self) -> None:
        try:
            os.fsync(self._lines)
        except OSError as error:  # some disks tell only now that they are full
            raise SemihandError(self._no_room(error)) from error

    def _no_room(self, error: OSError) -> str:
        return (
            f"Recording stopped: {self.folder} cannot take more ({error.strerror}). "
            f"The {self.kept} frames before are kept; make room, then go on with --resume --name {self.folder.name}."
        )


def refuse_existing(folder: Path) -> None:
    """Raises SemihandError where a new recording in `folder` would mix with something that is there already."""
    if folder.exists() and _holds_something(folder):
        raise SemihandError(
            f"{folder} exists already. Choose another --name, continue it with --resume, "
            f"or delete it: semihand recordings remove {folder.name}"
        )


def frame_line(image, time, segment, prompt, K, handedness, marks: LandmarkResult, sharpness) -> dict:
    """One line of frames.jsonl; `_frame` reads it. Rounded to a thousandth of a pixel."""
    return {
        "image": image,
        "t": round(float(time), 6),
        "segment": int(segment),
        "prompt": prompt,
        "K": np.round([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], 4).tolist(),
        "handedness": handedness,
        "marks": {
            "uv": np.round(np.asarray(marks.uv_image, np.float64), 3).tolist(),
            "depth": np.round(np.asarray(marks.depth, np.float64), 3).tolist(),
            "presence": round(float(marks.presence), 4),
            "handedness_score": round(float(marks.handedness_score), 4),
        },
        "sharpness": round(float(sharpness), 3),
    }


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or nothing of it, even when this process is killed meanwhile. Raises OSError."""
    part = path.with_name(path.name + _PART)
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _holds_something(folder: Path) -> bool:
    """Whether there is more than what a start that was killed leaves behind."""
    if not folder.is_dir():
        return True
    entries = [path for path in folder.iterdir() if path.suffix != _PART]
    return any(path.name != IMAGES or any(path.iterdir()) for path in entries)


def _force(path: Path) -> None:
    """Force a file or folder onto the disk, where the system can."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        logger.debug("%s: %s", path, error)
    finally:
        os.close(handle)
