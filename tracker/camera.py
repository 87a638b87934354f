"""Where pictures come from. A webcam here, video files and picture folders in `files`."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import isfinite
from time import monotonic, sleep

import cv2
import numpy as np

from ..errors import SemihandError
from ..paths import without_password
from ..picture_file import to_bgr8
from .find_camera import camera_names, find_again, open_camera
from .types import Frame
from .watch import PictureWatch

logger = logging.getLogger(__name__)

#: Seconds without a first picture after which a camera counts as busy, and without a next one as lost.
CAMERA_TIMEOUT, LOST_AFTER = 5.0, 2.0
#: Seconds for which a lost camera is waited for.
RECONNECT_FOR = 60.0
_RETRY = 0.05
#: Seconds after which whoever waits for a picture looks whether it is still wanted.
_SLICE = 0.05


class Source(ABC):
    """Pictures in the order of time. Iterate `frames()`, again for a file's start; close it, or use it in a `with`.

    name: what a user would call it. camera: under which name its lens is kept, empty where no camera is known. fps:
    pictures a second, as far as known. count: how many pictures there are, None where nobody knows. live: pictures that
    nobody fetches in time are gone. independent: no picture has to do with the one before. even: pictures come at that
    rate, and not now and then.
    """

    name: str = ""
    camera: str = ""
    fps: float = 30.0
    count: int | None = None
    live: bool = False
    independent: bool = False
    even: bool = True
    #: Asked while a picture is waited for: whether nobody wants it any more.
    stop_when: Callable[[], bool] | None = None

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

    @property
    def trouble(self) -> str:
        """A few words for the picture on what is wrong with the source now, empty where all is well."""
        return ""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class CameraConfig:
    """What to ask the camera for; it delivers what it can. width, height pixels; fps pictures a second.

    index: a number, a device's path, part of a camera's name, an address (rtsp://...), or None for the first camera.
    """

    index: int | str | None = None
    width: int = 640
    height: int = 480
    fps: float = 30.0

    def __post_init__(self) -> None:
        known = self.index is None or (self.index != "" if isinstance(self.index, str) else self.index >= 0)
        if not known or self.width < 1 or self.height < 1 or not (isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"A camera needs index >= 0 and positive width, height and fps, not {self}.")


class Webcam(Source):
    """A camera. A thread keeps the newest picture, so that slow tracking never adds delay.

    One that is unplugged is waited for, and goes on when it comes back, under another number too.
    """

    live = True

    def __init__(self, config: CameraConfig = CameraConfig()) -> None:
        """Raises SemihandError when the camera does not open."""
        self.config = config
        self._capture, self._opened_as = open_camera(config.index)
        address = isinstance(self._opened_as, str)
        self.name = without_password(self._opened_as) if address else f"camera {self._opened_as}"
        self._title = self.name if address else self.name.capitalize()
        self._device = None if address else camera_names().get(self._opened_as)
        self.camera = self._device or self.name
        self._ask()
        promised = _positive(self._capture.get(cv2.CAP_PROP_FPS))
        self.fps = promised if 0 < promised <= 1000 else config.fps
        self._watch = PictureWatch(self._title, self.fps)
        self._ready = threading.Condition()
        self._newest: Frame | None = None
        self._captured = self._delivered = 0
        self._stopped, self._unusable = False, ""
        self._start = monotonic()
        self._thread = threading.Thread(target=self._keep_newest, name=self.name, daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        return self._watch.trouble

    def frames(self) -> Iterator[Frame]:
        """Endless, until `stop_when` says so. Raises SemihandError when no picture comes, and none comes back."""
        while not self._stopped:
            frame = self._take()
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        """Stop the thread and release the camera."""
        with self._ready:
            self._stopped = True
            self._ready.notify_all()
        self._thread.join(timeout=1.0)
        if self._thread.is_alive():
            logger.warning("%s still waits for a picture; it is released when the program ends.", self._title)
        else:
            self._capture.release()

    def latency_ms(self, frame: Frame) -> float:
        """Milliseconds from the frame's capture until now."""
        return (monotonic() - self._start - frame.time) * 1e3

    def notes(self) -> list[str]:
        """How many pictures came while one was tracked and were skipped for a newer one."""
        skipped = max(self._captured - self._delivered, 0)
        return [f"{skipped} of {self._captured} pictures skipped for newer ones"] if skipped else []

    def _ask(self) -> None:
        # MJPG first: uncompressed pictures of this size do not fit USB 2 at 30 fps.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, self.config.width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self.config.height)
        self._capture.set(cv2.CAP_PROP_FPS, self.config.fps)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _take(self) -> Frame | None:
        """The newest picture, as soon as there is one; None when it is not wanted any more."""
        began, told = monotonic(), False
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._newest or self._stopped or self._unusable, _SLICE)
                frame, self._newest = self._newest, None
            if frame is not None:
                break
            if self._stopped or (self.stop_when is not None and self.stop_when()):
                return None
            waited = monotonic() - began
            if self._unusable or waited > (RECONNECT_FOR if self._captured else CAMERA_TIMEOUT):
                raise SemihandError(self._unusable or self._silence())
            if self._captured and waited > LOST_AFTER and not told:
                logger.warning(
                    "%s has stopped delivering pictures. Plug it in again; it is waited for, and Ctrl-C ends that.",
                    self._title,
                )
                told = True
        if not self._delivered:
            self._report(frame.image)
        self._delivered += 1
        return replace(frame, index=self._delivered - 1)

    def _keep_newest(self) -> None:
        retry_at = float("inf")
        while not self._stopped:
            grabbed = self._capture.grab()
            # The stamp is taken between grabbing and decoding: as near to the exposure as OpenCV lets us.
            stamp = monotonic()
            try:
                ok, image = self._capture.retrieve() if grabbed else (False, None)
                image = to_bgr8(image) if ok else None
            except (ValueError, cv2.error) as error:
                self._unusable = f"{self._title} delivers pictures that cannot be used: {error} Try another --camera."
                return
            if image is None:
                sleep(_RETRY)  # a camera may fail once and go on
                if monotonic() > retry_at:
                    self._reopen()
                    retry_at = monotonic() + LOST_AFTER / 2
                continue
            retry_at = stamp + LOST_AFTER / 2
            self._watch.look(image, stamp)
            frame = Frame(image, stamp - self._start, 0, (monotonic() - stamp) * 1e3)
            with self._ready:
                self._newest = frame
                self._captured += 1
                self._ready.notify()

    def _reopen(self) -> None:
        """Open the camera again; where it is still away, the old one stays for the next try."""
        self._watch.interrupted()
        self._capture.release()
        if isinstance(self._opened_as, str):
            try:
                found = open_camera(self._opened_as)[0]
            except SemihandError:
                return
        else:
            found = find_again(self._opened_as, self._device)
        if found is not None and not self._stopped:
            self._capture = found
            self._ask()
            logger.info("%s is back.", self._title)

    def _report(self, image: np.ndarray) -> None:
        asked = f"{self.config.width}x{self.config.height} at {self.config.fps:g} fps"
        got = f"{image.shape[1]}x{image.shape[0]} at {self.fps:g} fps"
        logger.info("%s: asked for %s, delivers %s (%s).", self._title, asked, got, _fourcc(self._capture))

    def _silence(self) -> str:
        if self._captured:
            return (
                f"{self._title} stopped delivering pictures after {self._captured} and did not come back. "
                "Check its cable, then start again."
            )
        return (
            f"{self._title} opened but delivered no picture within {CAMERA_TIMEOUT:g} s. "
            "Another program may be using it: close that program, or try another --camera."
        )


def _fourcc(capture: cv2.VideoCapture) -> str:
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    text = bytes((code >> shift) & 255 for shift in (0, 8, 16, 24)).decode("latin-1").strip("\0 ")
    return text if text.isprintable() and text else "unknown format"


def _positive(value: float) -> float:
    return value if np.isfinite(value) and value > 0 else 0.0
