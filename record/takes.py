"""How a stream of pictures becomes takes: segments in time, and the part of a picture that is kept."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..tracker.crop import tight_box

#: Side of a cut-out over that of the joints' box, so that every turned and shifted crop has pixels.
CUT_FACTOR = 3.0
#: The longer side of a cut-out in pixels at most: crops are far smaller.
CUT_LIMIT = 720


@dataclass(frozen=True)
class CutOut:
    """A part of a picture. image (H, W, 3) BGR, a copy; K (3, 3): its intrinsics.

    A point uv of the picture lies at (uv - offset + .5) * scale - .5 in it.
    """

    image: np.ndarray
    K: np.ndarray
    offset: np.ndarray
    scale: float


def cut_out(image: np.ndarray, uv_image: np.ndarray, K: np.ndarray) -> CutOut:
    """The square round joints uv_image (21, 2), as far as the picture (H, W, 3) with intrinsics K (3, 3) goes."""
    x, y, width, height = tight_box(uv_image)
    half, limit = CUT_FACTOR * max(width, height, 1.0) / 2, np.array(image.shape[1::-1])
    center = np.array([x + width / 2, y + height / 2])
    low = np.clip(np.floor(center - half), 0, limit - 2).astype(int)
    high = np.clip(np.ceil(center + half) + 1, low + 2, limit).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    size = high - low
    scale = min(CUT_LIMIT / size.max(), 1.0)
    part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else part.copy()
    moved = np.array(K, float)
    moved[:2, :2] *= scale
    moved[:2, 2] = (moved[:2, 2] - low + 0.5) * scale - 0.5
    return CutOut(part, moved, low.astype(float), scale)


class Segments:
    """Numbers takes. A new one begins where the hand was lost for `lost_after` seconds, after `longest` seconds (None:
    never), and where `cut` was called."""

    def __init__(self, first: int = 0, longest: float | None = None, lost_after: float = 0.5) -> None:
        self.number = first
        self._longest, self._lost_after = longest, lost_after
        self._began: float | None = None
        self._seen: float | None = None

    def at(self, time: float, hand: bool) -> int:
        """The segment of a picture taken at `time`, with the hand or without."""
        if not hand:
            return self.number
        if self._seen is not None:
            lost = time - self._seen > self._lost_after + 1e-6
            if lost or (self._longest is not None and time - self._began >= self._longest):
                self.cut()
        if self._seen is None:
            self._began = time
        self._seen = time
        return self.number

    def cut(self) -> int:
        """The next picture with the hand begins a segment; returns its number. Cutting twice is cutting once."""
        if self._seen is not None:
            self.number += 1
            self._began = self._seen = None
        return self.number
