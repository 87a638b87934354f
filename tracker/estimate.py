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

from ..models.camera import GRID, Crop, Lens, crop_camera, warp_crop
from ..models.joints import UNIT_BONE_METRES
from ..models.lifting import MAX_ROOT_DEPTH, lift
from ..models.model_file import ModelInfo, Output
from .types import HandBox, HandEstimate

logger = logging.getLogger(__name__)


class Network(Protocol):
    """What the live path needs of a model file (see `models.model_file.Model`)."""

    info: ModelInfo
    outputs: tuple[str, ...]

    def run(self, crops: np.ndarray) -> Output: ...


class Presence(Enum):
    """What a crop shows."""

    ABSENT = 0
    DOUBTFUL = 1
    PRESENT = 2


@dataclass(frozen=True)
class PresenceConfig:
    """When a crop shows a hand.

    start: mean confidence of the joints that a new hand needs; keep: that a tracked one needs (hysteresis); drop:
    below it a tracked hand is gone at once. seen_start, seen_keep, seen_drop: the same for what the network says of a
    hand's presence, where it does. min_area, max_area: share of the crop that the mask may cover. min_joints: share of
    the joints that lie on the mask.
    """

    start: float = 0.35
    keep: float = 0.25
    drop: float = 0.1
    seen_start: float = 0.5
    seen_keep: float = 0.3
    seen_drop: float = 0.1
    min_area: float = 0.01
    max_area: float = 0.75
    min_joints: float = 0.4


@dataclass(frozen=True)
class Hand:
    """One crop's answer: its box, the network's estimate, and joints in the picture and in metres, unsmoothed."""

    box: HandBox
    crop: Crop
    estimate: HandEstimate
    uv_image: np.ndarray
    xyz_cam: np.ndarray


class Estimator:
    """Runs all hands of a picture through the network in one batch. `ms` holds what the last call took."""

    def __init__(self, model: Network, bones: np.ndarray | None = None) -> None:
        """bones (20,): the hand's true bone lengths in metres, ordered as BONES, where they are known.

        Only the sum of their squares counts: depth is solved from it, and single bones of one hand are no better known
        than the network's own proportions.
        """
        self.model = model
        self.ms: dict[str, float] = {}
        self._bones = np.asarray(model.info.bone_lengths, float)
        self.scale = UNIT_BONE_METRES if bones is None else float(np.linalg.norm(bones) / np.linalg.norm(self._bones))
        self._size = int(model.info.input_size)
        self._batch = np.empty((0, self._size, self._size, 3), np.uint8)

    def __call__(
        self, image: np.ndarray, boxes: Sequence[HandBox], K: np.ndarray, lens: Lens | None = None
    ) -> list[Hand]:
        """The hands in `boxes` of a picture (H, W, 3) BGR with intrinsics K (3, 3). Left hands are mirrored.

        lens: that of the picture, with the same K, where it may bend straight lines.
        """
        if not boxes:
            self.ms = {"crop": 0.0, "estimate": 0.0, "lift": 0.0}
            return []
        start = perf_counter()
        crops = [crop_camera(K, box.center, box.side, box.roll, box.handedness == "left") for box in boxes]
        batch = self._pictures(image, crops)
        cropped = perf_counter()
        output = _finite(Output(*self.model.run(batch)))
        estimated = perf_counter()
        hands = self._lift(boxes, crops, output, lens)
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

    def _lift(self, boxes: Sequence[HandBox], crops: Sequence[Crop], output: Output, lens: Lens | None) -> list[Hand]:
        K_crop = np.stack([crop.K_crop for crop in crops])
        uv_image = [crop.uv_to_image(uv) for crop, uv in zip(crops, output.uv)]
        uv_crop = output.uv
        if lens is not None and lens.distortion is not None:
            uv_crop = np.stack([crop.uv_to_crop(lens.straight(uv)) for crop, uv in zip(crops, uv_image)])
        xyz = lift(uv_crop, output.depth, K_crop, self._bones, self.scale, fallback_depth=MAX_ROOT_DEPTH * self.scale)
        return [
            Hand(box, crop, _estimate(output, i), uv_image[i], crop.xyz_to_camera(xyz[i]))
            for i, (box, crop) in enumerate(zip(boxes, crops))
        ]


def _estimate(output: Output, i: int) -> HandEstimate:
    said = (None if values is None else float(values[i]) for values in (output.presence, output.right))
    return HandEstimate(output.uv[i], output.depth[i], output.mask[i], output.confidence[i], *said)


def _finite(output: Output) -> Output:
    """The network's answer with hands that hold NaN or infinity emptied: no confidence, so they count as lost."""
    given = [array for array in output if array is not None]
    if np.isfinite(sum(array.sum() for array in given)):
        return output
    logger.warning("The network answered with numbers that are not finite; this hand counts as lost.")
    arrays = [np.array(array) for array in given]
    bad = ~np.all([np.isfinite(array).all(axis=tuple(range(1, array.ndim))) for array in arrays], axis=0)
    for array, value in zip(arrays, ((GRID - 1) / 2, 0.0, 0.0, 0.0, 0.0, 0.5)):
        array[bad] = value
    return Output(*arrays)


def score(estimate: HandEstimate) -> float:
    """How sure the network is of this hand, in [0, 1]: the mean confidence of its joints."""
    return float(estimate.confidence.mean())


def presence(estimate: HandEstimate, tracked: bool, config: PresenceConfig = PresenceConfig()) -> Presence:
    """Whether the crop shows a hand: confident joints, a mask of sensible size, and joints that lie on it, and where
    the network has a word on it, that."""
    sure, seen = score(estimate), estimate.presence
    if sure < config.drop or (seen is not None and seen < config.seen_drop):
        return Presence.ABSENT
    area = np.count_nonzero(estimate.mask > 0.5) / estimate.mask.size
    sound = config.min_area <= area <= config.max_area and joints_on_mask(estimate) >= config.min_joints
    confident = sure >= (config.keep if tracked else config.start)
    said = seen is None or seen >= (config.seen_keep if tracked else config.seen_start)
    return Presence.PRESENT if sound and confident and said else Presence.DOUBTFUL


def joints_on_mask(estimate: HandEstimate) -> float:
    """Share of joints whose own or a neighbouring grid cell belongs to the mask."""
    near = cv2.dilate((estimate.mask > 0.5).astype(np.uint8), np.ones((3, 3), np.uint8))
    u, v = np.clip(np.rint(estimate.uv_crop), 0, GRID - 1).astype(int).T
    return float(near[v, u].mean())
