"""Showing the hands while they are tracked: a window, the rerun viewer, or nothing."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.joints import BONES
from .display import display_trouble
from .draw import FINGER_COLORS
from .types import Frame, HandPose

logger = logging.getLogger(__name__)

VIEWERS = ("auto", "window", "rerun", "none")
_TITLE = "semihand"
_ESCAPE = 27
_BONE_PAIRS = np.array(BONES)


class Viewer(ABC):
    """mirror: whether the picture it wants is flipped. wants_picture: whether it wants the overlay at all."""

    mirror: bool = False
    wants_picture: bool = True

    @abstractmethod
    def show(self, frame: Frame, poses: Sequence[HandPose], picture: np.ndarray | None) -> bool:
        """Show one frame, its overlay in `picture` (H, W, 3) BGR. False when the user wants to stop."""

    def idle(self) -> bool:
        """Called while no picture comes. False when the user wants to stop."""
        return True

    def close(self) -> None:
        """Take the window down."""


class NoViewer(Viewer):
    """Runs without a display."""

    wants_picture = False

    def show(self, frame, poses, picture) -> bool:
        return True


class Window(Viewer):
    """An OpenCV window. Keys: q or Esc quit, s snapshot, m mirror, space pause."""

    def __init__(
        self, mirror: bool = False, folder: Path = Path("."), stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """folder: where snapshots go. stopped: says when a pause must end without a key.

        Raises SemihandError when this OpenCV has no windows.
        """
        self.mirror = mirror
        self._folder, self._stopped = folder, stopped
        # OpenCV's Qt complains once a picture about fonts that it does not need.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise SemihandError("This OpenCV was built without windows. Use --viewer none.") from error
        self._sized = False
        self._shown: np.ndarray | None = None

    def show(self, frame, poses, picture) -> bool:
        if not self._sized:
            height, width = picture.shape[:2]
            scale = min(1.0, 1280 / width, 800 / height)
            cv2.resizeWindow(_TITLE, max(int(width * scale), 160), max(int(height * scale), 120))
            self._sized = True
        cv2.imshow(_TITLE, picture)
        self._shown = picture
        key = cv2.waitKey(1)
        if key & 0xFF == ord(" "):
            key = self._pause(picture)
        return self._react(key, picture)

    def idle(self) -> bool:
        key = cv2.waitKey(1)
        return self._shown is None or self._react(key, self._shown)

    def close(self) -> None:
        cv2.destroyAllWindows()

    def _pause(self, picture: np.ndarray) -> int:
        """Wait until space is pressed again, or the run is ended; snapshots go on working."""
        while self._open() and not self._stopped():
            key = cv2.waitKey(30)
            if key & 0xFF == ord("s"):
                self._snapshot(picture)
            elif key & 0xFF in (ord(" "), ord("q"), ord("m"), _ESCAPE):
                return -1 if key & 0xFF == ord(" ") else key
        return ord("q")

    def _react(self, key: int, picture: np.ndarray) -> bool:
        code = key & 0xFF if key >= 0 else None
        if code == ord("s"):
            self._snapshot(picture)
        elif code == ord("m"):
            self.mirror = not self.mirror
        return code not in (ord("q"), _ESCAPE) and self._open()

    def _open(self) -> bool:
        """False once the user has closed the window."""
        return cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def _snapshot(self, picture: np.ndarray) -> None:
        path = self._folder / f"semihand-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        try:
            path.write_bytes(cv2.imencode(".png", picture)[1])
        except OSError as error:
            logger.warning("The snapshot %s could not be written: %s.", path, error.strerror)
        else:
            logger.info("Snapshot: %s", path)


class RerunViewer(Viewer):
    """Sends the unmirrored picture and the hands in 2D and 3D to the rerun viewer, which it starts."""

    wants_picture = False

    def __init__(self) -> None:
        """Raises SemihandError when rerun is not installed or its viewer does not start."""
        try:
            import rerun
        except ImportError as error:
            raise SemihandError(
                "The rerun viewer is not installed. Run: pip install 'semihand[rerun]'"
            ) from error
        self._rerun = rerun
        rerun.init(_TITLE)
        try:
            with _without_usage_reports():
                rerun.spawn(hide_welcome_screen=True)
        except RuntimeError as error:
            raise SemihandError(
                f"The rerun viewer did not start ({error}). Use --viewer window or none."
            ) from error
        rerun.log("hands", rerun.ViewCoordinates.RIGHT_HAND_Y_DOWN, static=True)

    def show(self, frame, poses, picture) -> bool:
        rr = self._rerun
        rr.set_time("frame", sequence=frame.index)
        rr.set_time("time", duration=frame.time)
        rr.log("picture", rr.Image(frame.image, color_model="BGR").compress(jpeg_quality=80))
        # Hands that are gone must not stay on the screen.
        rr.log("hands", rr.Clear(recursive=True))
        rr.log("picture/hands", rr.Clear(recursive=True))
        for pose in poses:
            name = f"{pose.id}_{pose.handedness}"
            rr.log(
                f"hands/{name}", rr.LineStrips3D(pose.xyz_cam[_BONE_PAIRS], colors=_RGB_OF_BONES, radii=0.002)
            )
            rr.log(
                f"picture/hands/{name}",
                rr.LineStrips2D(pose.uv_image[_BONE_PAIRS], colors=_RGB_OF_BONES, radii=2.0),
            )
        return True

    def close(self) -> None:
        self._rerun.disconnect()


_RGB_OF_BONES = [FINGER_COLORS[(child - 1) // 4][::-1] for _, child in BONES]


@contextmanager
def _without_usage_reports() -> Iterator[None]:
    """The rerun viewer reports usage over the network, but not where this variable says that nobody sits before it."""
    before = os.environ.get("CI")
    os.environ["CI"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before


def open_viewer(kind: str, mirror: bool = False, stopped: Callable[[], bool] = lambda: False) -> Viewer:
    """kind: one of VIEWERS; auto: a window where there is a display. mirror and stopped as in `Window`.

    Raises SemihandError where it does not open, ValueError on other kinds.
    """
    if kind not in VIEWERS:
        raise ValueError(f"Unknown viewer {kind!r}. Known: {', '.join(VIEWERS)}.")
    if kind == "rerun":
        return RerunViewer()
    if kind == "none":
        return NoViewer()
    trouble = display_trouble()
    if trouble and kind == "window":
        raise SemihandError(f"{trouble} Use --viewer none.")
    if trouble:
        logger.info("%s Running without a window.", trouble)
        return NoViewer()
    return Window(mirror, stopped=stopped)


def display_available() -> bool:
    """Whether a window can open."""
    return display_trouble() is None
