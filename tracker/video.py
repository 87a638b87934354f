"""The overlay as a video file that plays, whatever ended the run."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..paths import plain_name, shown
from ..picture_file import quiet_opencv

logger = logging.getLogger(__name__)

#: Codecs to try for a suffix, best first.
CODECS = {
    ".mp4": ("mp4v", "avc1"),
    ".m4v": ("mp4v",),
    ".mov": ("mp4v",),
    ".mkv": ("mp4v", "MJPG"),
    ".avi": ("MJPG", "XVID"),
}
#: A video's index is written at its end: it must still fit on the disk.
_RESERVE_BYTES = 8_000_000
_CHECK_EVERY = 15
#: Longer side of a video's pictures at most: codecs and players have limits, and memory too.
_MAX_SIDE = 3840


class VideoSink:
    """Writes pictures of any size at a fixed rate; the first one sets the size."""

    def __init__(self, path: str, fps: float, by_time: bool = False, longest_gap: float = 1.0) -> None:
        """by_time: pictures come at irregular times and are repeated or left out to keep time.

        longest_gap: longest stretch of seconds that is filled with the last picture; what is longer was a pause, or a
        broken time stamp. Raises SemihandError when there is no codec for the suffix or the file cannot be made.
        """
        self._path = Path(path)
        if self._path.suffix.lower() not in CODECS:
            raise SemihandError(f"{shown(path)}: no codec for this kind of video. Known endings: {', '.join(CODECS)}.")
        _check_writable(self._path)
        self._fps, self._by_time, self._longest_gap = fps, by_time, longest_gap
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._written, self._start = 0, 0.0
        self._last: np.ndarray | None = None

    def write(self, picture: np.ndarray, time: float) -> None:
        """One picture (H, W, 3) BGR of `time` seconds. Raises SemihandError when the disk is nearly full."""
        if self._writer is None:
            self._open(picture)
            self._start = time
        picture = _fitted(picture, self._size)
        for _ in range(self._due(time) if self._by_time else 1):
            self._writer.write(picture if self._last is None else self._last)
            self._written += 1
            if self._written % _CHECK_EVERY == 1:
                self._check_space()
        self._last = picture if self._by_time else None

    def close(self) -> None:
        """Write the index. Raises SemihandError when the file does not open afterwards."""
        if self._writer is None:
            return
        if self._last is not None:
            self._writer.write(self._last)
        self._writer.release()
        self._writer = None
        with quiet_opencv(), plain_name(self._path) as name:
            check = cv2.VideoCapture(name)
            opened = check.isOpened()
            check.release()
        if not opened:
            raise SemihandError(
                f"The video {shown(self._path)} was not written completely. Make room on the disk and start again."
            )

    def _due(self, time: float) -> int:
        """How often the picture before this one is shown until `time`."""
        slots = round((time - self._start) * self._fps) - self._written
        limit = max(round(self._longest_gap * self._fps), 1)
        if slots > limit:
            self._start += (slots - limit) / self._fps
        return min(max(slots, 0), limit)

    def _open(self, picture: np.ndarray) -> None:
        height, width = picture.shape[:2]
        scale = min(1.0, _MAX_SIDE / max(width, height))
        # Codecs want even numbers, and some a size that shows something.
        self._size = max(int(width * scale) // 2 * 2, 16), max(int(height * scale) // 2 * 2, 16)
        for codec in CODECS[self._path.suffix.lower()]:
            with quiet_opencv(), plain_name(self._path) as name:
                writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*codec), self._fps, self._size)
            if writer.isOpened():
                self._writer = writer
                return
        raise SemihandError(
            f"{shown(self._path)}: this OpenCV cannot write such a video of {width}x{height} pixels. Try an .avi file."
        )

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._path.parent).free
        if free < _RESERVE_BYTES:
            frames = self._written
            self.close()
            raise SemihandError(
                f"The disk with {shown(self._path)} is full ({free / 1e6:.1f} MB left): the video ends after {frames} frames. "
                "Make room and start again."
            )


def _check_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise SemihandError(
            f"{shown(path)} cannot be written: the folder {shown(path.parent)} does not exist. Create it first."
        )
    existed = os.path.lexists(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise SemihandError(f"{shown(path)} is no file; a video cannot be written there. Choose another name.")
    try:
        path.open("ab").close()
    except OSError as error:
        raise SemihandError(
            f"{shown(path)} cannot be written: {error.strerror}. Choose a place where you may write."
        ) from error
    if not existed:
        path.unlink()


def _fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture in a frame of `size` (width, height): as it is, else scaled whole and centred on black."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(size[0] / width, size[1] / height)
    inner = max(round(width * scale), 1), max(round(height * scale), 1)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    framed = np.zeros((size[1], size[0], 3), np.uint8)
    framed[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA)
    return framed
