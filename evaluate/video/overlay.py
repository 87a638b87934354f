"""The overlay of a video: every model's hands on a picture of its own, side by side under the models' names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...tracker.draw import draw
from ...tracker.scene import side_by_side
from ...tracker.types import Frame, HandPose
from ...tracker.video import VideoSink


class OverlayVideo:
    """Writes the panels of every frame; keeps the frames' own times."""

    def __init__(self, path: Path, names: Sequence[str], fps: float) -> None:
        """Raises SemihandError when the file cannot be made."""
        self._names = names
        self._sink = VideoSink(str(path), fps, by_time=True)

    def write(self, frame: Frame, hands: Sequence[Sequence[HandPose]]) -> None:
        """hands: of every model, in the order of the names."""
        pictures = [draw(frame.image, poses) for poses in hands]
        self._sink.write(side_by_side(pictures, self._names, [bool(poses) for poses in hands]), frame.time)

    def close(self) -> None:
        """Write the file's index. Raises SemihandError when it cannot be read afterwards."""
        self._sink.close()
