"""Video files and folders of pictures as sources."""

from __future__ import annotations

import glob
import logging
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from ..errors import SemihandError
from ..paths import is_address, plain_name, shown, why_not_there, without_password
from ..picture_file import HEIC_SUFFIXES, PICTURE_SUFFIXES, heic_readable, quiet_opencv, read_animation, read_picture
from .camera import Source
from .types import Frame

logger = logging.getLogger(__name__)

#: A video that ends before this share of its length counts as cut off.
_WHOLE = 0.95
#: Frames by which a video's rate is seen to be even or not, and the largest difference from it that counts as even.
_PROBED, _UNEVEN = 64, 0.3
_MAX_FPS = 1000.0
_KINDS = ((stat.S_ISCHR, "device"), (stat.S_ISBLK, "device"), (stat.S_ISSOCK, "socket"), (stat.S_ISFIFO, "pipe"))


class VideoFile(Source):
    """A video file or an animation. Times are the frames' own where the file has them, else index / fps.

    "-" and a FIFO are read as they come. even: whether the frames come at one rate, as far as the first ones show.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises SemihandError when the file is missing, is no video, or holds no picture."""
        path = _checked(path)
        self.name = shown(path)
        self._path = path
        self._capture = _open_video(path)
        self._rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = self._rate if 0 < self._rate <= _MAX_FPS else 30.0
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if 0 < count < 1e9 else None
        self._read, self._last = 0, -1.0

    @property
    def even(self) -> bool:
        if not self._path.is_file():
            return True
        with VideoFile(self._path) as probe:
            times = [frame.time for frame, _ in zip(probe._decoded(), range(_PROBED))]
        steps = np.diff(times) * self.fps
        return bool((np.abs(steps - 1) < _UNEVEN).all())

    def frames(self) -> Iterator[Frame]:
        """Every frame, from the first one each time. Raises SemihandError at the end when the file is cut off."""
        if self._read:
            self._capture.release()
            self._capture = _open_video(self._path)
            self._read, self._last = 0, -1.0
        yield from self._decoded()
        self._check_whole()

    def _decoded(self) -> Iterator[Frame]:
        while True:
            start = perf_counter()
            ok, image = self._capture.read()
            if not ok:
                return
            self._last = self._time()
            yield Frame(image, self._last, self._read, (perf_counter() - start) * 1e3)
            self._read += 1

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
            raise SemihandError(f"No picture of {self.name} could be decoded: it is damaged, or its codec is unknown.")
        if self.count is None or not 0 < self._rate <= _MAX_FPS:
            return
        ended, length = self._last + 1 / self.fps, self.count / self.fps
        if self._read < _WHOLE * self.count and ended < _WHOLE * length:
            raise SemihandError(
                f"{self.name} ends after {self._read} of its {self.count} frames: it is cut off or damaged. "
                "What was tracked so far is kept; copy the video again for the rest."
            )


def _checked(path: str | Path) -> Path:
    """The path of something that may be a video. Raises SemihandError with what it is instead."""
    if str(path) == "-":
        return Path("/dev/stdin")
    if is_address(str(path)):
        address = without_password(str(path))
        raise SemihandError(f"{address} is an address, not a file. A camera in the network is --camera {address}.")
    path = Path(path)
    try:
        found = path.stat()
    except (OSError, ValueError):
        raise SemihandError(f"The video {why_not_there(path)}") from None
    if stat.S_ISDIR(found.st_mode):
        raise SemihandError(
            f"{shown(path)} is a folder, not a video. For a folder of pictures use --images {shown(path)}."
        )
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) or stat.S_ISSOCK(found.st_mode):
        raise SemihandError(
            f"{shown(path)} is a device, not a video file. If it is a camera, use --camera {shown(path)}."
        )
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        raise SemihandError(f"The video {shown(path)} is empty (0 bytes). Copy or record it again.")
    return path


def _open_video(path: Path):
    """A cv2.VideoCapture, or what behaves like one."""
    if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file():
        return _open_animation(path)
    capture = cv2.VideoCapture()
    # What is no file can be read only once: FFmpeg alone can read a stream.
    backends = (cv2.CAP_FFMPEG, cv2.CAP_ANY) if path.is_file() else (cv2.CAP_FFMPEG,)
    with quiet_opencv(), plain_name(path) as name:
        opened = any(capture.open(name, backend) for backend in backends)
    if not opened:
        raise SemihandError(
            f"{shown(path)} is not a video that can be read: another kind of file, cut off, or damaged. "
            "Play it in a video player, or convert it to MP4 first."
        )
    return capture


def _open_animation(path: Path) -> _Animation:
    animation = read_animation(path)
    if animation is None:
        raise SemihandError(f"{shown(path)} is a picture, not a video. Use --images {shown(path)}.")
    return _Animation(*animation)


class _Animation:
    """The pictures of an animation in place of a cv2.VideoCapture."""

    def __init__(self, pictures: list[np.ndarray], times: list[float]) -> None:
        self._pictures, self._times, self._index = pictures, times, -1

    def read(self) -> tuple[bool, np.ndarray | None]:
        self._index += 1
        return (True, self._pictures[self._index]) if self._index < len(self._pictures) else (False, None)

    def get(self, prop: int) -> float:
        count = len(self._pictures)
        return {
            cv2.CAP_PROP_FPS: (count - 1) / self._times[-1],
            cv2.CAP_PROP_FRAME_COUNT: count,
            cv2.CAP_PROP_POS_MSEC: self._times[min(max(self._index, 0), count - 1)] * 1e3,
        }[prop]

    def release(self) -> None:
        self._pictures = []


class Pictures(Source):
    """A folder of pictures in natural order, a pattern like d/*.png, one picture, or several by name.

    Without `fps` every picture stands for itself, and is shown for half a second where that matters; with it they are
    frames filmed at that rate.
    """

    def __init__(self, path: str | Path | Sequence[str | Path], fps: float | None = None) -> None:
        """Raises SemihandError when there is no picture, ValueError on a senseless rate."""
        if fps is not None and not 0 < fps <= _MAX_FPS:
            raise ValueError(f"Pictures cannot be filmed at {fps} a second.")
        one = path if isinstance(path, (str, Path)) else path[0] if len(path) == 1 else None
        self.name = shown(one) if one is not None else f"{len(path)} pictures"
        self.paths, self._left_out = _listed(Path(one)) if one is not None else _named([Path(name) for name in path])
        self.count = len(self.paths)
        self.independent = fps is None
        self.fps = fps or 2.0
        self.unreadable = 0
        if self._left_out:
            logger.warning("%s: %s.", self.name, self._left_out)

    def frames(self) -> Iterator[Frame]:
        """The pictures that can be read; `index` counts all. Raises SemihandError when none can."""
        for index, path in enumerate(self.paths):
            start = perf_counter()
            image = read_picture(path)
            if image is None:
                self.unreadable += 1
                logger.warning("%s cannot be read as a picture; it is left out.", shown(path))
                continue
            yield Frame(image, index / self.fps, index, (perf_counter() - start) * 1e3, shown(path.name))
        if self.unreadable == self.count:
            raise SemihandError(f"None of the {self.count} pictures of {self.name} could be read. Check the files.")

    def close(self) -> None:
        """Nothing stays open between two pictures."""

    def notes(self) -> list[str]:
        """What of the folder is not among the pictures, and how many of them could not be read."""
        unreadable = f"{self.unreadable} of {self.count} pictures could not be read" if self.unreadable else ""
        return [note for note in (self._left_out, unreadable) if note]


def _listed(path: Path) -> tuple[list[Path], str]:
    """The pictures of a file, folder or pattern, and what of it was left out."""
    if path.is_dir():
        return _pictures_in(path)
    if path.is_file():
        return _named([path])
    if is_address(str(path)) or str(path) == "-":
        raise SemihandError(f"{shown(path)} is no folder of pictures. Save the pictures in a folder first.")
    if glob.has_magic(str(path)):
        matches = [Path(name) for name in glob.glob(str(path), recursive=True)]
        if not matches:
            raise SemihandError(f"Nothing matches {shown(path)}. Check the pattern.")
        return _named(sorted(matches, key=lambda match: (str(match.parent), natural_key(match))))
    if path.exists():
        raise SemihandError(f"{shown(path)} is a {_kind(path)}, not a picture or a folder of pictures.")
    raise SemihandError(why_not_there(path))


def _named(paths: list[Path]) -> tuple[list[Path], str]:
    """The pictures among paths that a user named, and what was left out. Raises SemihandError on what is not there."""
    for path in paths:
        if not path.is_file() and not path.is_dir():
            raise SemihandError(why_not_there(path))
    files = [path for path in paths if path.is_file()]
    if not files:
        raise SemihandError(f"None of the {len(paths)} names is a picture. Name pictures, or one folder.")
    heic = [path for path in files if path.suffix.lower() in HEIC_SUFFIXES] if not heic_readable() else []
    if len(heic) == len(files):
        raise SemihandError(f"{shown(heic[0])} needs pillow-heif. Run: pip install pillow-heif")
    return [path for path in files if path not in heic], _told([path for path in paths if path.is_dir()] + heic)


def _pictures_in(folder: Path) -> tuple[list[Path], str]:
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise SemihandError(f"{shown(folder)} cannot be listed: {error.strerror}. Check its permissions.") from error
    wanted = [suffix for suffix in PICTURE_SUFFIXES if suffix not in HEIC_SUFFIXES or heic_readable()]
    paths = [path for path in entries if path.suffix.lower() in wanted and path.is_file()]
    left_out = _told([path for path in entries if path not in set(paths)])
    if paths:
        return sorted(paths, key=natural_key), left_out
    below = [path.parent for path in folder.glob("*/*") if path.suffix.lower() in PICTURE_SUFFIXES]
    hint = (
        f"There are some in {shown(min(below))}: name that folder."
        if below
        else f"{left_out[0].upper()}{left_out[1:]}."
        if left_out
        else f"Known: {' '.join(PICTURE_SUFFIXES)}."
    )
    raise SemihandError(f"No picture in {shown(folder)}. {hint}")


def _told(paths: list[Path]) -> str:
    """What is left out, by kind and count: "left out: 2 .heic (pip install pillow-heif), 1 folder"."""
    kinds = Counter(map(_kind, paths))
    return "left out: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) if kinds else ""


def _kind(path: Path) -> str:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return "broken link" if path.is_symlink() else "unreadable entry"
    if stat.S_ISDIR(mode):
        return "folder"
    special = next((kind for matches, kind in _KINDS if matches(mode)), None)
    suffix = path.suffix.lower()
    plain = f"{suffix} (pip install pillow-heif)" if suffix in HEIC_SUFFIXES else suffix
    return special or plain or "file without an ending"


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which img2 comes before img10."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() and len(part) < 1000 else (1, 0, part) for part in parts]
