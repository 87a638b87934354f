"""The overlay of a video: every model's hands on a picture of its own, side by side under the models' names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ...tracker.draw import draw
from ...tracker.types import Frame, HandPose
from ...tracker.video import VideoSink

#: Pixels: the whole picture at most, a panel's title, the line between two panels.
_MAX_WIDTH, _MAX_HEIGHT = 1920, 1080
_TITLE, _GAP = 30, 4
_WHITE, _RED = (255, 255, 255), (80, 80, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class OverlayVideo:
    """Writes the panels of every frame; keeps the frames' own times."""

    def __init__(self, path: Path, names: Sequence[str], fps: float) -> None:
        """Raises SemihandError when the file cannot be made."""
        self._names = names
        self._sink = VideoSink(str(path), fps, by_time=True)

    def write(self, frame: Frame, hands: Sequence[Sequence[HandPose]]) -> None:
        """hands: of every model, in the order of the names."""
        self._sink.write(side_by_side(frame.image, self._names, hands), frame.time)

    def close(self) -> None:
        """Write the file's index. Raises SemihandError when it cannot be read afterwards."""
        self._sink.close()


def side_by_side(image: np.ndarray, names: Sequence[str], hands: Sequence[Sequence[HandPose]]) -> np.ndarray:
    """One picture of the panels, each the picture (H, W, 3) BGR with a model's hands under its name."""
    height, width = image.shape[:2]
    scale = min(1.0, _MAX_WIDTH / (width * len(names)), (_MAX_HEIGHT - _TITLE) / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    parts = []
    for name, poses in zip(names, hands, strict=True):
        parts += [
            _panel(draw(image, poses), size, name, bool(poses)),
            np.full((size[1] + _TITLE, _GAP, 3), 40, np.uint8),
        ]
    return np.hstack(parts[:-1])


def _panel(picture: np.ndarray, size: tuple[int, int], name: str, found: bool) -> np.ndarray:
    panel = np.full((size[1] + _TITLE, size[0], 3), 40, np.uint8)
    panel[_TITLE:] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cv2.putText(panel, name, (8, 21), _FONT, 0.6, _WHITE, 1, cv2.LINE_AA)
    if not found:
        (across, _), _ = cv2.getTextSize("no hand", _FONT, 0.6, 1)
        cv2.rectangle(panel, (0, 0), (size[0] - 1, size[1] + _TITLE - 1), _RED, 2)
        cv2.putText(panel, "no hand", (size[0] - across - 8, 21), _FONT, 0.6, _RED, 1, cv2.LINE_AA)
    return panel
