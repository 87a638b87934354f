"""A camera's lens from pictures of the board (Zhang's method, by OpenCV)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.camera import Lens, default_intrinsics
from .board import Corners, find_corners

#: So many different pictures of the board are the least, and enough for a camera that goes on and on.
LEAST_VIEWS, ENOUGH_VIEWS, MOST_VIEWS = 6, 20, 60
#: A picture is new where the corners lie this share of the longer side from all others'; still where they moved less.
NEW, STILL = 0.04, 0.01
#: The lens is known, and known well, where the focal length's standard error is below this share of it; corners lie this near.
SURE, WELL_KNOWN, MAX_ERROR_PX = 0.01, 0.003, 1.5
#: Boards that all face the camera say nothing of its focal length: so many must be tilted by so many degrees.
TILTED_VIEWS, TILT = 3, 10.0
#: A view is left out whose corners lie so many times further off than the middle view's.
_OUTLIER = 3.0
#: Two coefficients say how a webcam's lens bends; more only follow the noise.
_FLAGS = cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K3
_TILT = "Tilt the board by about 30 degrees, each time another way, and bring it near the picture's edges."


class Solution(NamedTuple):
    """A lens, the corners' error in pixels (RMS), the focal length's standard error in pixels; pictures, and those of them
    in which the board is tilted."""

    lens: Lens
    error_px: float
    focal_error: float
    views: int
    tilted: int

    @property
    def sure(self) -> bool:
        """Whether the lens can be relied on."""
        exact = self.focal_error < SURE * self.lens.K[0, 0] and self.error_px < MAX_ERROR_PX
        return exact and self.tilted >= TILTED_VIEWS


@dataclass
class Views:
    """The pictures of the board that say something new. every: keep all in which it is seen, moving or not."""

    every: bool = False
    size: tuple[int, int] = (0, 0)
    looked: int = 0
    seen: int = 0
    kept: list[Corners] = field(default_factory=list)
    hint: str = ""
    _last: Corners | None = None

    def look(self, image: np.ndarray) -> Corners | None:
        """Look at the next picture (H, W, 3) BGR; returns the corners in it. Raises SemihandError on another size."""
        size = image.shape[1], image.shape[0]
        if self.looked and self.size != size:
            raise SemihandError(
                f"There are pictures of {self.size[0]}x{self.size[1]} and of {size[0]}x{size[1]} pixels. "
                "A lens is measured at one size: leave the others out."
            )
        self.size, self.looked = size, self.looked + 1
        corners, last = find_corners(image), self._last
        self._last = corners
        if corners is None:
            self.hint = "hold the whole board before the camera"
            return None
        self.seen += 1
        still = self.every or (last is not None and _apart(corners, last) < STILL * max(size))
        new = self.every or all(_apart(corners, other) > NEW * max(size) for other in self.kept)
        self.hint = "hold it still" if new and not still else self._wanted()
        if new and still and len(self.kept) < MOST_VIEWS:
            self.kept.append(corners)
        return corners

    def _wanted(self) -> str:
        """Where the board has not been yet, else another tilt."""
        if not self.kept:
            return "move it"
        low, high = np.percentile(np.concatenate([view.uv for view in self.kept]), [2, 98], axis=0) / self.size
        edges = {"left": low[0], "right": 1 - high[0], "upper": low[1], "lower": 1 - high[1]}
        edge = max(edges, key=lambda name: edges[name])
        return f"bring it to the {edge} edge" if edges[edge] > 0.2 else "tilt it another way"

    def solve(self) -> Solution:
        """The lens. Raises SemihandError where the pictures do not tell it."""
        if not self.seen:
            raise SemihandError(
                f"The board was seen in none of {self.looked} pictures. Write it with --board board.png, show it whole, "
                "flat and sharp, and let nothing mirror the picture."
            )
        if len(self.kept) < LEAST_VIEWS:
            raise SemihandError(f"The board was seen from {len(self.kept)} sides; {LEAST_VIEWS} are the least. {_TILT}")
        solution = solve(self.kept, self.size)
        if solution is None or not solution.sure:
            told = "" if solution is None else (
                f" ({solution.lens.K[0, 0]:.0f} ± {solution.focal_error:.0f} pixels, corners {solution.error_px:.2f} off)"
            )  # fmt: skip
            raise SemihandError(f"These {len(self.kept)} pictures do not tell the focal length{told}. {_TILT}")
        return solution


def solve(views: list[Corners], size: tuple[int, int]) -> Solution | None:
    """The lens that explains the views best, those left out that fit far worse; None where there is none."""
    first = _solve(views, size)
    if first is None:
        return None
    solution, errors = first
    good = [view for view, error in zip(views, errors) if error < _OUTLIER * np.median(errors)]
    again = _solve(good, size) if LEAST_VIEWS <= len(good) < len(views) else None
    return again[0] if again else solution


def _solve(views: list[Corners], size: tuple[int, int]) -> tuple[Solution, np.ndarray] | None:
    on_board = [np.column_stack([view.on_board, np.zeros(len(view.ids), np.float32)]) for view in views]
    try:
        rms, K, distortion, turns, _, spread, _, errors = cv2.calibrateCameraExtended(
            on_board, [view.uv for view in views], size, default_intrinsics(*size), np.zeros(5), flags=_FLAGS
        )
    except cv2.error:  # views that fit no camera at all
        return None
    values = np.concatenate([K.ravel(), distortion.ravel(), spread.ravel()[:4]])
    if not np.isfinite(values).all() or not 0.1 < K[0, 0] / max(size) < 100:
        return None
    facing = [cv2.Rodrigues(turn)[0][2, 2] for turn in turns]
    tilted = int((np.degrees(np.arccos(np.clip(np.abs(facing), 0, 1))) > TILT).sum())
    lens = Lens(K, distortion.ravel()[:5])
    return Solution(lens, float(rms), float(spread.ravel()[:2].max()), len(views), tilted), errors.ravel()


def _apart(one: Corners, other: Corners) -> float:
    """Mean distance in pixels of the corners that both show; infinite where they share none."""
    _, i, j = np.intersect1d(one.ids, other.ids, return_indices=True)
    return float(np.linalg.norm(one.uv[i] - other.uv[j], axis=1).mean()) if len(i) else float("inf")
