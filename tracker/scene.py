"""One frame as it is shown: with the hands of one model, or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from .draw import Look, draw
from .text import WHITE, banner, text_size, write
from .types import HandPose

#: Pixels: pictures side by side at most, a title's height, the line between two pictures.
_MAX_WIDTH, _MAX_HEIGHT = 1920, 1080
_TITLE, _GAP, _TEXT = 30, 4, 17
_DARK, _RED = (40, 40, 40), (80, 80, 255)


@dataclass
class Scene:
    """image (H, W, 3) BGR; hands: of every model, in the order of `names`; the first model is the one in use.

    fps, latency_ms: of the first model, written where above 0. trouble: what is wrong with the camera, if anything.
    """

    image: np.ndarray
    hands: Sequence[Sequence[HandPose]]
    names: Sequence[str] = ("",)
    fps: float = 0.0
    latency_ms: float = 0.0
    trouble: str = ""
    _drawn: dict[tuple, np.ndarray] = field(default_factory=dict, repr=False)

    def picture(self, mirror: bool = False, look: Look = Look(), compare: bool = True) -> np.ndarray:
        """The overlay (H, W, 3) BGR; of all models side by side with `compare`, else of the first one.

        The same picture is drawn once; nobody may draw on it.
        """
        wanted = (mirror, look, compare and len(self.hands) > 1)
        if wanted not in self._drawn:
            self._drawn[wanted] = self._draw(*wanted)
            if self.trouble:
                banner(self._drawn[wanted], self.trouble)
        return self._drawn[wanted]

    def _draw(self, mirror: bool, look: Look, compare: bool) -> np.ndarray:
        first = draw(self.image, self.hands[0], mirror, self.fps, self.latency_ms, look)
        if not compare:
            return first
        others = [draw(self.image, hands, mirror, look=look) for hands in self.hands[1:]]
        return side_by_side([first, *others], self.names, [bool(hands) for hands in self.hands])


def side_by_side(pictures: Sequence[np.ndarray], names: Sequence[str], found: Sequence[bool]) -> np.ndarray:
    """One picture of pictures of one size, each under its name; a red frame where no hand was found."""
    height, width = pictures[0].shape[:2]
    scale = min(1.0, _MAX_WIDTH / (width * len(names)), (_MAX_HEIGHT - _TITLE) / height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    parts = []
    for picture, name, seen in zip(pictures, names, found, strict=True):
        parts += [_panel(picture, size, name, seen), np.full((size[1] + _TITLE, _GAP, 3), _DARK, np.uint8)]
    return np.hstack(parts[:-1])


def _panel(picture: np.ndarray, size: tuple[int, int], name: str, found: bool) -> np.ndarray:
    panel = np.full((size[1] + _TITLE, size[0], 3), _DARK, np.uint8)
    panel[_TITLE:] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    write(panel, name, 8, 5, _TEXT, WHITE)
    if not found:
        cv2.rectangle(panel, (0, 0), (size[0] - 1, size[1] + _TITLE - 1), _RED, 2)
        write(panel, "no hand", size[0] - 8 - text_size("no hand", _TEXT)[0], 5, _TEXT, _RED)
    return panel
