"""The landmark model as a further teacher: its joints of a recording as 2.5D labels, each with how much it counts.

Nothing here sees a label. What the landmark model says is brought to our joints and, in each crop's virtual camera, to
unit bones; smoothed over the recording where frames are near in time; its depth, the weaker part, is replaced by that
of the hand registered to the user's bones; and it is doubted where its own draws, its neighbours in time, the predicted
mask or our network disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ...errors import SemihandError
from ...models.camera import GRID, GRID_CENTER
from ...models.joints import PRIOR_BONE_LENGTHS, ROOT
from ...models.lifting import bone_lengths as lengths_of
from ...models.registration import estimate_template, register
from ...train.losses import on_grid
from ..frames.crops import CropSet
from ..views import Poses
from .definition import to_our_joints
from .smoothing import smooth


@dataclass(frozen=True)
class TeacherConfig:
    """How the teacher's labels are made.

    shift_joints: from the landmark model's joints to ours. own_template: bone lengths of this person from the labels
    themselves. registered: share of the way of depth to that of the registered pose; places in the picture stay, as
    the landmark model sees them better than bone lengths tell. bandwidth: seconds, standard deviation of the smoothing
    window; 0 smooths nothing. tolerance: a disagreement of so many
    typical ones halves a joint's weight; 0 doubts nothing. least_mask: weight of a joint off the predicted mask.
    min_presence: below it a crop has no label.
    """

    shift_joints: bool = True
    own_template: bool = True
    registered: float = 1.0
    bandwidth: float = 0.04
    tolerance: float = 3.0
    least_mask: float = 0.25
    min_presence: float = 0.5

    def __post_init__(self):
        if not 0 <= self.registered <= 1 or not 0 <= self.least_mask <= 1:
            raise SemihandError(f"Shares of the teacher lie between 0 and 1, not in {self}.")
        if self.bandwidth < 0 or self.tolerance < 0:
            raise SemihandError(f"The teacher's bandwidth and tolerance are not negative, but in {self} one is.")


@dataclass(frozen=True)
class TeacherLabels:
    """uv (N, 21, 2) on the 64-grid, depth (N, 21) unit bones from the root, weight (N, 21) in [0, 1]; float32.

    bone_lengths (20,): the template that the labels were registered to, unit bones. mask (N, 64, 64) in [0, 1], where
    known: it takes the place of the network's own mask in all terms.
    """

    uv: np.ndarray
    depth: np.ndarray
    weight: np.ndarray
    bone_lengths: np.ndarray
    mask: np.ndarray | None = None


def detector_labels(
    crops: CropSet, template=PRIOR_BONE_LENGTHS, own: Poses | None = None, config: TeacherConfig = TeacherConfig()
) -> TeacherLabels:
    """Labels of all crops; weight 0, and a hand in the crop's middle, where the landmark model saw none.

    template (20,): bone lengths in unit bones, the prior of the person's own. own: our network's answers for the
    plain crops; they only doubt. Raises SemihandError where the landmark model saw no hand at all.
    """
    seen = np.isfinite(crops.marks_uv).all((1, 2)) & (crops.marks_presence >= config.min_presence)
    if not seen.any():
        raise SemihandError("The landmark model saw no hand in any frame, so it cannot teach. Leave --teacher out.")
    shown = crops.take(np.flatnonzero(seen))
    own = None if own is None else Poses(own.uv[seen], own.depth[seen], own.mask[seen], own.confidence[seen])
    uv, depth, weight, lengths = _labels(shown, np.asarray(template, float), own, config)
    full = np.full((len(crops), *uv.shape[1:]), GRID_CENTER), np.zeros((len(crops), 21)), np.zeros((len(crops), 21))
    for array, part in zip(full, (uv, depth, weight)):
        array[seen] = part
    return TeacherLabels(*(array.astype(np.float32) for array in full), lengths)


def _labels(crops: CropSet, template, own: Poses | None, config: TeacherConfig):
    """The same for crops that all have marks."""
    uv, depth = to_units(crops.marks_uv, crops.marks_depth, template, config.shift_joints)
    weight = _presence_weight(crops.marks_presence)[:, None] * _doubt(crops.marks_spread, config.tolerance)
    if config.bandwidth:
        plain = uv
        uv, depth = smooth(crops, uv, depth, weight, config.bandwidth)
        weight = weight * _doubt(np.linalg.norm(plain - uv, axis=-1), config.tolerance)
    if own is not None:
        weight = weight * _mask_weight(own.mask, uv, config.least_mask)
        weight = weight * _doubt(np.linalg.norm(uv - own.uv, axis=-1), config.tolerance)
    lengths = template
    if config.own_template:
        lengths = estimate_template(uv, depth, crops.K_crop, weight.mean(1), template)
        depth = depth * np.linalg.norm(lengths) / np.linalg.norm(template)
    if config.registered:
        _, depth_r = register(uv, depth, crops.K_crop, lengths)
        depth = depth + config.registered * (depth_r - depth)
    return uv, depth, weight, lengths


def to_units(marks_uv, marks_depth, template, shift_joints: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (N, 21, 2) and (N, 21) grid pixels -> uv (N, 21, 2) grid pixels, depth (N, 21) unit bones, of our joints.

    A unit bone is so many pixels that the bones' summed squared lengths are those of the template (weak perspective:
    the landmark model's depth has the scale of its pixels).
    """
    points = np.concatenate([marks_uv, marks_depth[..., None]], -1)
    pixels = np.linalg.norm(lengths_of(points), axis=-1) / np.linalg.norm(template)
    if shift_joints:
        points = to_our_joints(points)
    along = points[..., 2] - points[:, ROOT, None, 2]
    return points[..., :2], along / np.maximum(pixels, 1e-3)[:, None]


def _presence_weight(presence: np.ndarray) -> np.ndarray:
    """(N,): 0 at presence one half, 1 from .95 on."""
    return np.clip((presence - 0.5) / 0.45, 0, 1)


def _doubt(apart: np.ndarray, tolerance: float) -> np.ndarray:
    """Weights of disagreements (N, 21) in pixels: one half at `tolerance` times the typical one, 1 where they agree."""
    typical = np.median(apart)
    if not (tolerance and typical > 1e-6):
        return np.ones_like(apart)
    return 1 / (1 + (apart / (tolerance * typical)) ** 2)


def _mask_weight(mask: np.ndarray, uv: np.ndarray, least: float) -> np.ndarray:
    """(N, 21): the predicted mask (N, 64, 64) within two pixels of each joint, from `least` off it to 1 on it."""
    near = np.stack([cv2.dilate(np.float32(one), np.ones((5, 5), np.uint8)) for one in mask])
    column, row = np.clip(np.rint(uv), 0, GRID - 1).astype(int).transpose(2, 0, 1)
    on = np.where(on_grid(uv), near[np.arange(len(uv))[:, None], row, column], 1.0)
    return least + (1 - least) * on
