"""Targets of the gate's study: crops as of a user, with a truth that only measures, and ways to spoil a recording."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ...adapt.frames.crops import MARGIN, WIDE_GRID, CropSet, cut_crops
from ...adapt.frames.sources import open_source
from ...adapt.views import Poses
from ...datasets.sequence import read_sequence
from ...models import metrics
from ...models.camera import GRID, Crop
from ...models.joints import NUM_JOINTS, ROOT
from ...models.lifting import lift, unit_length
from ...models.model_file import ModelInfo
from ...synth.cache import Cache

#: Share of a sequence, from its beginning, that is the recording; the rest shows other poses.
RECORDED = 2 / 3
#: Sequences shorter than this are the recording as a whole.
SHORT = 100


@dataclass(frozen=True)
class Target:
    """crops: all of them. recorded (M,): rows of those that the user recorded. uv (N, 21, 2) 64-grid and xyz (N, 21, 3)
    metres in the virtual camera: the truth, NaN where unknown. size: grid pixels of the joints' box."""

    name: str
    crops: CropSet
    recorded: np.ndarray
    uv: np.ndarray
    xyz: np.ndarray
    size: float

    def take(self, rows: np.ndarray) -> Target:
        """These crops with their truth; nothing is recorded."""
        return replace(
            self, crops=self.crops.take(rows), recorded=np.zeros(0, int), uv=self.uv[rows], xyz=self.xyz[rows]
        )

    def errors(self, poses: Poses) -> dict[str, np.ndarray]:
        """nme (N,) and epe_mm (N,) with known root and scale, NaN without a label, of answers for all crops."""
        found = {"nme": np.linalg.norm(poses.uv - self.uv, axis=-1) / self.size}
        unit, root = unit_length(self.xyz), self.xyz[:, ROOT, 2]
        known = np.isfinite(root) & np.isfinite(poses.uv).all((1, 2)) & np.isfinite(poses.depth).all(1)
        lifted = np.full(self.xyz.shape, np.nan)
        if known.any():
            K_crop = self.crops.K_crop[known]
            lifted[known] = lift(poses.uv[known], poses.depth[known], K_crop, scale=unit[known], root_depth=root[known])
        found["epe_mm"] = metrics.joint_errors_mm(lifted, self.xyz)
        return {name: _joint_mean(errors) for name, errors in found.items()}


def _joint_mean(errors: np.ndarray) -> np.ndarray:
    """(N, 21) -> (N,): mean over the labelled joints, NaN where there is none."""
    known = np.isfinite(errors)
    mean = np.where(known, errors, 0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(known.any(1), mean, np.nan)


def sequence_target(folder: str | Path, info: ModelInfo) -> Target:
    """Crops round the labelled boxes of a sequence folder."""
    sequence = read_sequence(folder)
    by_image = {frame.image: frame for frame in sequence.frames}
    frames = open_source(folder, "label")
    crops = cut_crops([(frame, frame.crop(info.crop_factor)) for frame in frames], info.input_size)
    uv, xyz = np.full((len(crops), NUM_JOINTS, 2), np.nan), np.full((len(crops), NUM_JOINTS, 3), np.nan)
    for i, (frame, crop) in enumerate(zip(frames, crops.crops)):
        labelled = by_image[frame.image]
        uv[i] = crop.uv_to_crop(labelled.uv_label())
        if labelled.xyz is not None:
            xyz[i] = crop.xyz_to_virtual(labelled.xyz)
    return Target(sequence.name, crops, _recorded(len(crops)), uv, xyz, GRID / info.crop_factor)


def rendered_target(name: str, cache: Cache, rows: np.ndarray, info: ModelInfo, seed: int = 0) -> Target:
    """Rendered hands as another camera shows them: dark, tinted, coarse and noisy, or washed out and soft.

    Every second seed is of the second kind. The landmark model has not looked at them.
    """
    rng = np.random.default_rng(seed)
    look = _dark_camera if seed % 2 == 0 else _soft_camera
    crops = rendered_crops(cache, rows, info, lambda image: look(image, rng))
    cells = GRID * cache.config["crop_factor"] / info.crop_factor
    uv = (cache.uv[rows] + 0.5) * (cells / cache.config["size"]) - 0.5 - (cells - GRID) / 2
    return Target(name, crops, _recorded(len(crops)), uv, cache.xyz[rows].astype(float), GRID / info.crop_factor)


def _recorded(count: int) -> np.ndarray:
    return np.arange(count if count < SHORT else round(RECORDED * count))


def rendered_crops(cache: Cache, rows: np.ndarray, info: ModelInfo, look=None) -> CropSet:
    """Crops of rendered pictures, loose ones. look: what is done to each picture (S, S, 3) uint8 first."""
    size, cells = cache.config["size"], GRID * cache.config["crop_factor"] / info.crop_factor
    scale = cells / size
    to_grid = np.array(
        [[scale, 0, (scale - 1) / 2 - (cells - GRID) / 2], [0, scale, (scale - 1) / 2 - (cells - GRID) / 2], [0, 0, 1]]
    )
    images, covered = zip(
        *[_wide(cache.image[row] if look is None else look(cache.image[row]), to_grid, info) for row in rows]
    )
    K = np.zeros((len(rows), 3, 3))
    K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2], K[:, 2, 2] = *np.asarray(cache.K[rows], float).T, 1
    K_crop, nothing = to_grid @ K, np.full((len(rows), NUM_JOINTS), np.nan)
    order = np.arange(len(rows))
    return CropSet(
        np.stack(images), np.stack(covered), K_crop, tuple(Crop(to_grid, one, np.eye(3)) for one in K_crop), order.astype(float),
        order, np.full((len(rows), NUM_JOINTS, 2), np.nan), nothing, np.zeros(len(rows)), nothing,
    )  # fmt: skip


def _wide(image: np.ndarray, to_grid: np.ndarray, info: ModelInfo) -> tuple[np.ndarray, np.ndarray]:
    """A picture and what it covers as a CropSet stores them."""
    side = round(info.input_size * WIDE_GRID / GRID)
    step = side / WIDE_GRID
    to_side = np.array([[step, 0, (MARGIN + 0.5) * step - 0.5], [0, step, (MARGIN + 0.5) * step - 0.5], [0, 0, 1]])
    to_wide = np.array([[1, 0, MARGIN], [0, 1, MARGIN], [0, 0, 1.0]])
    wide = cv2.warpAffine(
        image, (to_side @ to_grid)[:2], (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    full = np.full(image.shape[:2], 255, np.uint8)
    return wide, cv2.warpAffine(full, (to_wide @ to_grid)[:2], (WIDE_GRID, WIDE_GRID)) > 127


def _dark_camera(image: np.ndarray, rng) -> np.ndarray:
    small = cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    dark = 255 * (coarse / 255.0) ** 2.2 * np.array([0.75, 0.65, 1.0])
    return np.clip(dark + rng.normal(0, 10, image.shape), 0, 255).astype(np.uint8)


def _soft_camera(image: np.ndarray, rng) -> np.ndarray:
    soft = cv2.GaussianBlur(image, (0, 0), 1.6)
    pale = 255 * (soft / 255.0) ** 0.55 * np.array([1.0, 0.95, 0.7]) + rng.normal(0, 4, image.shape)
    return np.clip(0.7 * pale + 70, 0, 255).astype(np.uint8)


def without_marks(crops: CropSet) -> CropSet:
    """As if the landmark model had seen no hand."""
    return replace(crops, marks_uv=np.full_like(crops.marks_uv, np.nan), marks_depth=np.full_like(crops.marks_depth, np.nan),
                   marks_presence=np.zeros_like(crops.marks_presence))  # fmt: skip


def absent(crops: CropSet, empty: np.ndarray, share: float = 1.0, seed: int = 0) -> CropSet:
    """A share of the crops shows pictures (M, S, S, 3) without a hand instead."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(crops))[: round(share * len(crops))])
    image, blank = crops.image.copy(), without_marks(crops.take(rows))
    image[rows] = empty[rng.integers(0, len(empty), len(rows))]
    marks = {name: getattr(crops, name).copy() for name in ("marks_uv", "marks_depth", "marks_presence")}
    for name, values in marks.items():
        values[rows] = getattr(blank, name)
    return replace(crops, image=image, **marks)


def blurred(crops: CropSet, share: float = 0.06) -> CropSet:
    """Every crop blurred with a standard deviation of a share of the 64-grid's side; the landmark model sees nothing."""
    sigma = share * crops.image.shape[1] * GRID / WIDE_GRID
    return without_marks(
        replace(crops, image=np.stack([cv2.GaussianBlur(image, (0, 0), sigma) for image in crops.image]))
    )


def frozen(crops: CropSet, seed: int = 0) -> CropSet:
    """One crop again and again, with the camera's noise."""
    rng = np.random.default_rng(seed)
    still = crops.take(np.full(len(crops), rng.integers(len(crops))))
    noise = rng.normal(0, 3, still.image.shape)
    image = np.clip(still.image + noise, 0, 255).astype(np.uint8)
    return replace(still, image=image, time=crops.time, segment=crops.segment)
