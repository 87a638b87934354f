"""Hands in Rerun's form: what its viewer is sent, and the .rrd file that it opens."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import SemihandError
from ..kinematics.hand import Hand
from ..models.joints import BONES
from ..tracker.draw import FINGER_COLORS
from ..tracker.types import Frame, HandPose
from .writer import Writer

_BONE_PAIRS = np.array(BONES)
_RGB_OF_BONES = [FINGER_COLORS[(child - 1) // 4][::-1] for _, child in BONES]


def need_rerun() -> ModuleType:
    """The module. Raises SemihandError with what to install where it is missing."""
    try:
        import rerun
    except ImportError as error:
        raise SemihandError("Rerun is not installed. Run: pip install 'semihand[rerun]'") from error
    return rerun


def log_hands(rerun: ModuleType, to: Any, frame: Frame, poses: Sequence[HandPose]) -> None:
    """The 3D hands of a frame, in the place of those before. to: a recording stream, or the module itself."""
    to.set_time("frame", sequence=frame.index)
    to.set_time("time", duration=frame.time)
    # Hands that are gone must not stay on the screen.
    to.log("hands", rerun.Clear(recursive=True))
    for pose in poses:
        strips = rerun.LineStrips3D(pose.xyz_cam[_BONE_PAIRS], colors=_RGB_OF_BONES, radii=0.002)
        to.log(f"hands/{pose.id}_{pose.handedness}", strips)


def log_pixels(rerun: ModuleType, to: Any, poses: Sequence[HandPose]) -> None:
    """The same hands in the picture."""
    to.log("picture/hands", rerun.Clear(recursive=True))
    for pose in poses:
        strips = rerun.LineStrips2D(pose.uv_image[_BONE_PAIRS], colors=_RGB_OF_BONES, radii=2.0)
        to.log(f"picture/hands/{pose.id}_{pose.handedness}", strips)


class RrdWriter(Writer):
    """A .rrd file: hands in 3D and in pixels, and pinch and grab of each side over time."""

    def __init__(self, path: str) -> None:
        """Raises SemihandError where Rerun is missing or the file cannot be made."""
        self._rerun = need_rerun()
        try:
            open(path, "wb").close()  # Rerun's own thread would only log that it cannot
        except OSError as error:
            raise SemihandError(
                f"{path} cannot be written: {error.strerror}. Choose a place where you may write."
            ) from error
        self._to: Any = self._rerun.RecordingStream("semihand")
        self._to.save(path)

    def begin(self, first_line: dict) -> None:
        self._to.log("hands", self._rerun.ViewCoordinates.RIGHT_HAND_Y_DOWN, static=True)

    def write(self, frame: Frame, hands: Sequence[Hand], ms: dict[str, float], camera: dict) -> None:
        log_hands(self._rerun, self._to, frame, hands)
        log_pixels(self._rerun, self._to, hands)
        for hand in hands:
            self._to.log(f"pinch/{hand.handedness}", self._rerun.Scalars(hand.pinch))
            self._to.log(f"grab/{hand.handedness}", self._rerun.Scalars(hand.grab))

    def close(self) -> None:
        if self._to is not None:
            self._to.flush()
            self._to.disconnect()
            self._to = None
