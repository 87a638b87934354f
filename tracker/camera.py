"""Where pictures come from. A webcam here, video files and picture folders in `files`."""

from __future__ import annotations

import logging
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep

import cv2
import numpy as np

from ..errors import SemihandError
from .types import Frame

logger = logging.getLogger(__name__)

#: Seconds without a picture after which a camera counts as busy or gone.
CAMERA_TIMEOUT = 5.0
_BACKENDS = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_DSHOW, "darwin": cv2.CAP_AVFOUNDATION}
_MAX_PROBED = 8
_RETRY = 0.05
_AV_LOG_QUIET = -8


class Source(ABC):
    """Pictures in the order of time. Iterate `frames()`, again for a file's start; close it, or use it in a `with`.

    name: what a user would call it. fps: pictures a second, as far as known. count: how many pictures there are,
    None where nobody knows. live: pictures that nobody fetches in time are gone. independent: no picture has to do
    with the one before.
    """

    name: str = ""
    fps: float = 30.0
    count: int | None = None
    live: bool = False
    independent: bool = False

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """The frames. Raises SemihandError where the pictures stop in a way that a user should know of."""

    @abstractmethod
    def close(self) -> None:
        """Release the camera or file; calling it twice does no harm."""

    def latency_ms(self, frame: Frame) -> float | None:
        """Milliseconds since the frame was captured, None where the source is not live."""
        return None

    def notes(self) -> list[str]:
        """Sentences for the summary: what was dropped or could not be read."""
        return []

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class CameraConfig:
    """What to ask the camera for; it delivers what it can. width, height pixels; fps pictures a second."""

    index: int = 0
    width: int = 640
    height: int = 480
    fps: float = 30.0

    def __post_init__(self) -> None:
        if self.index < 0 or self.width < 1 or self.height < 1 or self.fps <= 0:
            raise ValueError(f"A camera needs index >= 0 and positive width, height and fps, not {self}.")


class Webcam(Source):
    """A camera by index. A thread keeps the newest picture, so that slow tracking never adds delay."""

    live = True

    def __init__(self, config: CameraConfig = CameraConfig()) -> None:
        """Raises SemihandError when the camera does not open."""
        self.config = config
        self.name = f"camera {config.index}"
        self._capture = _open_camera(config)
        self.fps = _positive(self._capture.get(cv2.CAP_PROP_FPS)) or config.fps
        self._ready = threading.Condition()
        self._newest: Frame | None = None
        self._captured = self._delivered = 0
        self._stopped = False
        self._start = monotonic()
        self._thread = threading.Thread(target=self._keep_newest, name=self.name, daemon=True)
        self._thread.start()

    def frames(self) -> Iterator[Frame]:
        """Endless. Raises SemihandError when no picture comes for CAMERA_TIMEOUT seconds."""
        while not self._stopped:
            yield self._take()

    def close(self) -> None:
        """Stop the thread and release the camera."""
        with self._ready:
            self._stopped = True
            self._ready.notify_all()
        self._thread.join(timeout=CAMERA_TIMEOUT)
        if self._thread.is_alive():
            logger.warning(
                "Camera %d still waits for a picture; it is released when the program ends.",
                self.config.index,
            )
        else:
            self._capture.release()

    def latency_ms(self, frame: Frame) -> float:
        """Milliseconds from the frame's capture until now."""
        return (monotonic() - self._start - frame.time) * 1e3

    def notes(self) -> list[str]:
        """How many pictures came while one was tracked and were skipped for a newer one."""
        skipped = max(self._captured - self._delivered, 0)
        return [f"{skipped} of {self._captured} pictures skipped for newer ones"] if skipped else []

    def _take(self) -> Frame:
        with self._ready:
            if (
                not self._ready.wait_for(lambda: self._newest or self._stopped, CAMERA_TIMEOUT)
                or not self._newest
            ):
                raise SemihandError(self._silence())
            frame, self._newest = self._newest, None
        if not self._delivered:
            self._report(frame.image)
        self._delivered += 1
        return replace(frame, index=self._delivered - 1)

    def _keep_newest(self) -> None:
        while not self._stopped:
            grabbed = self._capture.grab()
            # The stamp is taken between grabbing and decoding: as near to the exposure as OpenCV lets us.
            stamp = monotonic()
            ok, image = self._capture.retrieve() if grabbed else (False, None)
            if not ok:
                sleep(_RETRY)  # a camera may fail once and go on; `_take` gives up when it does not
                continue
            frame = Frame(to_bgr8(image), stamp - self._start, 0, (monotonic() - stamp) * 1e3)
            with self._ready:
                self._newest = frame
                self._captured += 1
                self._ready.notify()

    def _report(self, image: np.ndarray) -> None:
        asked = f"{self.config.width}x{self.config.height} at {self.config.fps:g} fps"
        got = f"{image.shape[1]}x{image.shape[0]} at {self.fps:g} fps"
        logger.info(
            "Camera %d: asked for %s, delivers %s (%s).",
            self.config.index,
            asked,
            got,
            _fourcc(self._capture),
        )

    def _silence(self) -> str:
        if self._captured:
            return (
                f"Camera {self.config.index} stopped delivering pictures after {self._captured}. "
                "Check its cable, then start again."
            )
        return (
            f"Camera {self.config.index} opened but delivered no picture within {CAMERA_TIMEOUT:g} s. "
            "Another program may be using it: close that program, or try another --camera."
        )


def _open_camera(config: CameraConfig) -> cv2.VideoCapture:
    for backend in dict.fromkeys((_BACKENDS.get(sys.platform, cv2.CAP_ANY), cv2.CAP_ANY)):
        capture = _quiet_capture(config.index, backend)
        if capture.isOpened():
            # MJPG first: uncompressed pictures of this size do not fit USB 2 at 30 fps.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
            capture.set(cv2.CAP_PROP_FPS, config.fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            return capture
    raise SemihandError(f"Camera {config.index} did not open. {_advice(find_cameras())}")


def _advice(found: list[int]) -> str:
    if not found:
        return "No camera was found: plug one in, allow access to it, or track a file with --video FILE."
    return f"Cameras found: {', '.join(map(str, found))}. Try --camera {found[0]}."


def find_cameras() -> list[int]:
    """Indexes of the cameras that open."""
    if sys.platform == "linux":
        names = (path.name.removeprefix("video") for path in Path("/dev").glob("video*"))
        candidates = sorted(int(name) for name in names if name.isdigit())
    else:
        candidates = list(range(_MAX_PROBED))
    found = []
    for index in candidates:
        capture = _quiet_capture(index, _BACKENDS.get(sys.platform, cv2.CAP_ANY))
        if capture.isOpened():
            found.append(index)
        capture.release()
    return found


def _quiet_capture(index: int, backend: int) -> cv2.VideoCapture:
    with quiet_opencv():
        return cv2.VideoCapture(index, backend)


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """OpenCV and FFmpeg do not report in their own words what is told in ours."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", str(_AV_LOG_QUIET))
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _fourcc(capture: cv2.VideoCapture) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    text = bytes((code >> shift) & 255 for shift in (0, 8, 16, 24)).decode("latin-1").strip("\0 ")
    return text if text.isprintable() and text else "unknown format"


def _positive(value: float) -> float:
    return value if np.isfinite(value) and value > 0 else 0.0


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
