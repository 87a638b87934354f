"""From boxes to hands: crops, one batch through the network, lifting to 3D, and whether a hand is there at all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Protocol

import cv2
import numpy as np

from ..models.camera import GRID, Crop, crop_camera, warp_crop
from ..models.joints import UNIT_BONE_METRES
from ..models.lifting import MAX_ROOT_DEPTH, lift
from .types import HandBox, HandEstimate

logger = logging.getLogger(__name__)


class Network(Protocol):
    """What the live path needs of a model file: `info` and `run` (see `models.model_file.Model`)."""

    info: object

    def run(self, crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...


class Presence(Enum):
    """What a crop shows."""

    ABSENT = 0
    DOUBTFUL = 1
    PRESENT = 2


@dataclass(frozen=True)
class PresenceConfig:
    """When a crop shows a hand.

    start: mean confidence of the joints that a new hand needs; keep: that a tracked one needs (hysteresis); drop:
    below it a tracked hand is gone at once. min_area, max_area: share of the crop that the mask may cover.
    min_joints: share of the joints that lie on the mask.
    """

    start: float = 0.35
    keep: float = 0.25
    drop: float = 0.1
    min_area: float = 0.01
    max_area: float = 0.75
    min_joints: float = 0.4


@dataclass(frozen=True)
class Hand:
    """One crop's answer: the crop, the network's estimate, and joints in the picture and in metres, unsmoothed."""

    crop: Crop
    estimate: HandEstimate
    uv_image: np.ndarray
    xyz_cam: np.ndarray


class Estimator:
    """Runs all hands of a picture through the network in one batch. `ms` holds what the last call took."""

    def __init__(self, model: Network, scale: float = UNIT_BONE_METRES) -> None:
        self.model = model
        self.scale = scale
        self.ms: dict[str, float] = {}
        self._bones = np.asarray(model.info.bone_lengths, float)
        self._size = int(model.info.input_size)
        self._batch = np.empty((0, self._size, self._size, 3), np.uint8)

    def __call__(self, image: np.ndarray, boxes: Sequence[HandBox], K: np.ndarray) -> list[Hand]:
        """The hands in `boxes` of a picture (H, W, 3) BGR with intrinsics K (3, 3). Left hands are mirrored."""
        if not boxes:
            self.ms = {"crop": 0.0, "estimate": 0.0, "lift": 0.0}
            return []
        start = perf_counter()
        crops = [crop_camera(K, box.center, box.side, box.roll, box.handedness == "left") for box in boxes]
        batch = self._pictures(image, crops)
        cropped = perf_counter()
        uv_crop, depth_rel, mask, confidence = _finite(*self.model.run(batch)[:4])
        estimated = perf_counter()
        hands = self._lift(crops, uv_crop, depth_rel, mask, confidence)
        stages = np.diff([start, cropped, estimated, perf_counter()]) * 1e3
        self.ms = dict(zip(("crop", "estimate", "lift"), stages.tolist()))
        return hands

    def _pictures(self, image: np.ndarray, crops: Sequence[Crop]) -> np.ndarray:
        """(B, S, S, 3) RGB. Only the crops change their channel order, never the picture."""
        if len(self._batch) < len(crops):
            self._batch = np.empty((len(crops), self._size, self._size, 3), np.uint8)
        for crop, picture in zip(crops, self._batch):
            cv2.cvtColor(warp_crop(image, crop, self._size), cv2.COLOR_BGR2RGB, dst=picture)
        return self._batch[: len(crops)]

    def _lift(self, crops, uv_crop, depth_rel, mask, confidence) -> list[Hand]:
        K_crop = np.stack([crop.K_crop for crop in crops])
        xyz = lift(
            uv_crop, depth_rel, K_crop, self._bones, self.scale, fallback_depth=MAX_ROOT_DEPTH * self.scale
        )
        return [
            Hand(
                crop,
                HandEstimate(uv_crop[i], depth_rel[i], mask[i], confidence[i]),
                crop.uv_to_image(uv_crop[i]),
                crop.xyz_to_camera(xyz[i]),
            )
            for i, crop in enumerate(crops)
        ]


def _finite(uv_crop, depth_rel, mask, confidence):
    """The network's answer with hands that hold NaN or infinity emptied: no confidence, so they count as lost."""
    if np.isfinite(uv_crop.sum() + depth_rel.sum() + mask.sum() + confidence.sum()):
        return uv_crop, depth_rel, mask, confidence
    logger.warning("The network answered with numbers that are not finite; this hand counts as lost.")
    arrays = [np.array(array) for array in (uv_crop, depth_rel, mask, confidence)]
    bad = ~np.all([np.isfinite(array).all(axis=tuple(range(1, array.ndim))) for array in arrays], axis=0)
    for array, value in zip(arrays, ((GRID - 1) / 2, 0.0, 0.0, 0.0)):
        array[bad] = value
    return tuple(arrays)


def score(estimate: HandEstimate) -> float:
    """How sure the network is of this hand, in [0, 1]: the mean confidence of its joints."""
    return float(estimate.confidence.mean())


def presence(estimate: HandEstimate, tracked: bool, config: PresenceConfig = PresenceConfig()) -> Presence:
    """Whether the crop shows a hand: confident joints, a mask of sensible size, and joints that lie on it."""
    sure = score(estimate)
    if sure < config.drop:
        return Presence.ABSENT
    area = np.count_nonzero(estimate.mask > 0.5) / estimate.mask.size
    sound = config.min_area <= area <= config.max_area and joints_on_mask(estimate) >= config.min_joints
    if sound and sure >= (config.keep if tracked else config.start):
        return Presence.PRESENT
    return Presence.DOUBTFUL


def joints_on_mask(estimate: HandEstimate) -> float:
    """Share of joints whose own or a neighbouring grid cell belongs to the mask."""
    near = cv2.dilate((estimate.mask > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8))
    u, v = np.clip(np.rint(estimate.uv_crop), 0, GRID - 1).astype(int).T
    return float(near[v, u].mean())
