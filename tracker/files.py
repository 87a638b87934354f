"""Video files and folders of pictures as sources."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from ..errors import SemihandError
from .camera import Source, quiet_opencv
from .types import Frame

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".jp2",
    ".avif",
)
#: A video that ends before this share of its length counts as cut off.
_WHOLE = 0.95


class VideoFile(Source):
    """A video file. Times are the frames' own where the file has them (variable rate), else index / fps."""

    def __init__(self, path: str | Path) -> None:
        """Raises SemihandError when the file is missing, is no video, or holds no picture."""
        path = Path(path)
        self.name = str(path)
        if path.is_dir():
            raise SemihandError(
                f"{path} is a folder, not a video. For a folder of pictures use --images {path}."
            )
        if not path.is_file():
            raise SemihandError(f"The video {path} does not exist. Check the path.")
        if path.stat().st_size == 0:
            raise SemihandError(f"The video {path} is empty (0 bytes). Copy or record it again.")
        self._capture = _open_video(path)
        self._rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = self._rate if 0 < self._rate <= 1000 else 30.0
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if 0 < count < 1e9 else None
        self._read, self._last = 0, -1.0

    def frames(self) -> Iterator[Frame]:
        """Every frame, from the first one each time. Raises SemihandError at the end when the file is cut off."""
        if self._read:
            self._capture.release()
            self._capture = _open_video(Path(self.name))
            self._read, self._last = 0, -1.0
        while True:
            start = perf_counter()
            ok, image = self._capture.read()
            if not ok:
                break
            self._last = self._time()
            yield Frame(image, self._last, self._read, (perf_counter() - start) * 1e3)
            self._read += 1
        self._check_whole()

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _time(self) -> float:
        stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        if self._read == 0:
            return max(stamp, 0.0)
        # A file without time stamps says 0 for every frame.
        return stamp if stamp > self._last else self._last + 1 / self.fps

    def _check_whole(self) -> None:
        if not self._read:
            raise SemihandError(
                f"No picture of {self.name} could be decoded: it is damaged, or its codec is unknown."
            )
        if self.count is None or not 0 < self._rate <= 1000:
            return
        ended, length = self._last + 1 / self.fps, self.count / self.fps
        if self._read < _WHOLE * self.count and ended < _WHOLE * length:
            raise SemihandError(
                f"{self.name} ends after {self._read} of its {self.count} frames: it is cut off or damaged. "
                "What was tracked so far is kept; copy the video again for the rest."
            )


def _open_video(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture()
    with quiet_opencv():
        opened = capture.open(str(path), cv2.CAP_FFMPEG) or capture.open(str(path), cv2.CAP_ANY)
    if not opened:
        raise SemihandError(
            f"{path} is not a video that can be read: another kind of file, cut off, or damaged. "
            "Play it in a video player, or convert it to MP4 first."
        )
    return capture


class Pictures(Source):
    """A folder of pictures in natural order, or one picture.

    Without `fps` every picture stands for itself, and is shown for half a second where that matters; with it they are
    frames filmed at that rate.
    """

    def __init__(self, path: str | Path, fps: float | None = None) -> None:
        """Raises SemihandError when there is no picture."""
        path = Path(path)
        self.name = str(path)
        self.paths = [path] if path.is_file() else _pictures_in(path)
        self.count = len(self.paths)
        self.independent = fps is None
        self.fps = fps or 2.0
        self.unreadable = 0

    def frames(self) -> Iterator[Frame]:
        """The pictures that can be read; `index` counts all. Raises SemihandError when none can."""
        for index, path in enumerate(self.paths):
            start = perf_counter()
            image = read_picture(path)
            if image is None:
                self.unreadable += 1
                logger.warning("%s cannot be read as a picture; it is left out.", path)
                continue
            yield Frame(image, index / self.fps, index, (perf_counter() - start) * 1e3, path.name)
        if self.unreadable == self.count:
            raise SemihandError(
                f"None of the {self.count} pictures of {self.name} could be read. Check the files."
            )

    def close(self) -> None:
        """Nothing stays open between two pictures."""

    def notes(self) -> list[str]:
        """How many pictures could not be read."""
        return [f"{self.unreadable} of {self.count} pictures could not be read"] if self.unreadable else []


def _pictures_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SemihandError(f"{folder} does not exist. Check the path.")
    paths = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    if paths:
        return sorted(paths, key=natural_key)
    below = [path.parent for path in folder.glob("*/*") if path.suffix.lower() in PICTURE_SUFFIXES]
    hint = (
        f"There are some in {min(below)}: name that folder."
        if below
        else f"Known: {' '.join(PICTURE_SUFFIXES)}."
    )
    raise SemihandError(f"No picture in {folder}. {hint}")


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which img2 comes before img10."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def read_picture(path: Path) -> np.ndarray | None:
    """A picture file as (H, W, 3) uint8 BGR, turned as its EXIF says; None when it cannot be read.

    Grey becomes colour, alpha is dropped, 16 bits become 8.
    """
    try:
        data = np.fromfile(path, np.uint8)
        # imdecode instead of imread: OpenCV cannot open every path on Windows.
        with quiet_opencv():
            return cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as error:
        logger.debug("%s: %s", path, error)
        return None
