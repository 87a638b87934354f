"""Picture files, whatever they are called and whoever made them: OpenCV's own kinds, HEIC, animations."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from .errors import SemihandError
from .paths import shown

logger = logging.getLogger(__name__)

_AV_LOG_QUIET, _LOG_SILENT = -8, 0

#: The pictures of iPhones; pillow-heif reads them.
HEIC_SUFFIXES = (".heic", ".heif")
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
    ".gif",
    *HEIC_SUFFIXES,
)
#: Larger files are no pictures of a camera, and would only fill the memory.
_MAX_BYTES = 500_000_000
#: OpenCV's own limit of 2^30 pixels is 3 GB of memory.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 27))


def read_picture(path: Path, flags: int = cv2.IMREAD_COLOR) -> np.ndarray | None:
    """A picture file as (H, W, 3) uint8 BGR, turned as its EXIF says; None when it cannot be read.

    Grey becomes colour, alpha is dropped, 16 bits become 8, unless `flags` (as of cv2.imread) say otherwise. Of an
    animation it is the first picture.
    """
    try:
        data = _bytes_of(path)
        # imdecode instead of imread: OpenCV cannot open every path.
        with quiet_opencv():
            picture = cv2.imdecode(data, flags) if data.size else None
    except (OSError, cv2.error) as error:
        logger.debug("%s: %s", path, error)
        return None
    return _read_heic(path) if picture is None and path.suffix.lower() in HEIC_SUFFIXES else picture


def write_picture(path: Path, picture: np.ndarray, options: list[int] | None = None) -> None:
    """Write a picture, its kind by the file's ending. Raises SemihandError where that fails.

    options: as of cv2.imwrite.
    """
    try:
        ok, data = cv2.imencode(path.suffix or ".png", picture, options or [])
        if not ok:
            raise SemihandError(f"{shown(path)} could not be encoded. Give it the ending .png or .jpg.")
        path.write_bytes(data)
    except cv2.error as error:
        raise SemihandError(
            f"{shown(path)}: pictures of this kind cannot be written. Give it the ending .png or .jpg."
        ) from error
    except OSError as error:
        raise SemihandError(
            f"{shown(path)} could not be written: {error.strerror}. Make room, or choose another place."
        ) from error


def heic_readable() -> bool:
    """Whether pillow-heif is installed."""
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def read_animation(path: Path) -> tuple[list[np.ndarray], list[float]] | None:
    """All pictures (H, W, 3) BGR of a GIF, WebP, AVIF or animated PNG, and when each begins in seconds.

    None where this is no animation, or this OpenCV (below 4.11) cannot read any.
    """
    if not hasattr(cv2, "imdecodeanimation"):
        return None
    try:
        with quiet_opencv():
            ok, animation = cv2.imdecodeanimation(_bytes_of(path))
    except (OSError, cv2.error) as error:
        logger.debug("%s: %s", path, error)
        return None
    if not ok or len(animation.frames) < 2:
        return None
    seconds = np.maximum(np.asarray(animation.durations, float), 1.0) / 1e3
    return [to_bgr8(frame) for frame in animation.frames], [0.0, *np.cumsum(seconds)[:-1].tolist()]


def _bytes_of(path: Path) -> np.ndarray:
    if path.stat().st_size > _MAX_BYTES:
        raise OSError(f"larger than {_MAX_BYTES} bytes")
    return np.fromfile(path, np.uint8)


def _read_heic(path: Path) -> np.ndarray | None:
    if not heic_readable():
        return None
    import pillow_heif

    try:
        picture = pillow_heif.open_heif(path, convert_hdr_to_8bit=True, bgr_mode=True)
        return to_bgr8(np.asarray(picture))
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        logger.debug("%s: %s", path, error)
        return None


def to_bgr8(image: np.ndarray) -> np.ndarray:
    """Any picture as (H, W, 3) uint8 BGR: grey (H, W) or (H, W, 1), alpha (H, W, 4) dropped, 16 bits, floats in [0, 1].

    A picture that already is comes back as it is, without a copy. Raises ValueError on other shapes and types.
    """
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype.kind == "f":
        image = np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"Expected a grey or colour picture, got shape {image.shape}, {image.dtype}.")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels == 3:
        return image
    conversions = {1: cv2.COLOR_GRAY2BGR, 4: cv2.COLOR_BGRA2BGR}
    if channels not in conversions:
        raise ValueError(f"Expected 1, 3 or 4 channels, got {channels}.")
    return cv2.cvtColor(image, conversions[channels])


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV and FFmpeg do not report in their own words what is told in ours."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", str(_AV_LOG_QUIET))
    log = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 has moved it there
    level = log.getLogLevel()
    log.setLogLevel(_LOG_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)
