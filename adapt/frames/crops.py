"""The user's unlabelled frames as the network sees them: crops with a margin, so that every view has real pixels.

Nothing of a label is in here. A crop's pseudo-label belongs to this crop: its virtual camera stays with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...errors import SemihandError
from ...models.camera import GRID, Crop, warp_crop
from ...models.joints import NUM_JOINTS, ROOT

if TYPE_CHECKING:
    from .landmarks import Landmarks

#: Grid pixels kept round every crop: room for any turn with a shift of 5, and for most enlargements.
MARGIN = 24
#: Side of the grid that a stored crop covers.
WIDE_GRID = GRID + 2 * MARGIN


class Frame(Protocol):
    """A picture that shows a hand, whatever it comes from; see `sources.SourceFrame`."""

    time: float
    segment: int
    landmarks: Landmarks | None

    def read(self) -> np.ndarray: ...


@dataclass(frozen=True)
class CropSet:
    """N hand crops in the order of time, left hands mirrored.

    image (N, S, S, 3) uint8 RGB: the 64-grid and MARGIN grid pixels on every side. covered (N, 112, 112) bool: grid
    pixels (the margin's too) that the camera really saw. K_crop (N, 3, 3): intrinsics on the 64-grid. crops: the
    virtual cameras. time (N,) seconds; segment (N,) int: frames of one take share it. marks_uv (N, 21, 2) 64-grid
    and marks_depth (N, 21) grid pixels away from the camera, root at 0: the landmark model's joints, NaN where it
    saw no hand; marks_presence (N,) its score; marks_spread (N, 21) grid pixels, how far its answers for shifted
    boxes lie apart.
    """

    image: np.ndarray
    covered: np.ndarray
    K_crop: np.ndarray
    crops: tuple[Crop, ...]
    time: np.ndarray
    segment: np.ndarray
    marks_uv: np.ndarray
    marks_depth: np.ndarray
    marks_presence: np.ndarray
    marks_spread: np.ndarray

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: np.ndarray) -> CropSet:
        """The crops of these row numbers (M,), in their order."""
        rows = np.asarray(rows)
        picked = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "crops"}
        return replace(self, crops=tuple(self.crops[i] for i in rows), **picked)

    @property
    def visible(self) -> np.ndarray:
        """(N, 64, 64) bool: cells of the plain crop that the camera saw."""
        return self.covered[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def cut_crops(frames: Iterable[tuple[Frame, Crop]], input_size: int) -> CropSet:
    """Cut the crop of every frame for a network of `input_size` pixels. Raises SemihandError where there is none."""
    size = round(input_size * WIDE_GRID / GRID)
    rows = [_row(frame, crop, size) for frame, crop in frames]
    if not rows:
        raise SemihandError("No frame shows a hand, so there is nothing to adapt on. Record again with a hand in view.")
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0] if name != "crops"}
    return CropSet(crops=tuple(row["crops"] for row in rows), **columns)


def _row(frame: Frame, crop: Crop, size: int) -> dict:
    image = frame.read()
    everywhere = np.full(image.shape[:2], 255, np.uint8)
    row = {
        "image": np.ascontiguousarray(warp_crop(image, crop, size, MARGIN)[..., ::-1]),
        "covered": warp_crop(everywhere, crop, WIDE_GRID, MARGIN, border="black") > 127,
        "K_crop": crop.K_crop, "crops": crop, "time": np.float64(frame.time), "segment": np.int64(frame.segment),
        "marks_uv": np.full((NUM_JOINTS, 2), np.nan), "marks_depth": np.full(NUM_JOINTS, np.nan),
        "marks_presence": np.float64(0), "marks_spread": np.full(NUM_JOINTS, np.nan),
    }  # fmt: skip
    if frame.landmarks is not None:
        row |= _landmarks_in_crop(frame.landmarks, crop)
    return row


def _landmarks_in_crop(landmarks: Landmarks, crop: Crop) -> dict:
    """Landmarks in image pixels -> the crop's grid; depth and spread scale with the crop's size in the picture."""
    uv = crop.uv_to_crop(landmarks.uv_image)
    step = crop.uv_to_crop(landmarks.uv_image.mean(0) + np.array([[0.0, 0], [1, 0], [0, 1]]))
    scale = float(np.sqrt(abs(np.linalg.det(step[1:] - step[0]))))
    return {
        "marks_uv": uv,
        "marks_depth": (landmarks.depth - landmarks.depth[ROOT]) * scale,
        "marks_presence": np.float64(landmarks.presence),
        "marks_spread": landmarks.spread * scale,
    }
