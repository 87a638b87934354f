"""From the palm network's raw numbers to hand boxes, as MediaPipe's published graphs do it (all numpy).

Sources: MediaPipe Hands (Zhang et al. 2020) and the options of its palm_detection and hand_landmark graphs.
A palm is one row of 18 numbers: box center x, y, width, height, then 7 keypoints x, y. Keypoint 0 is the
wrist's center, keypoint 2 the middle finger's MCP. Coordinates are pixels, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..models import joints
from .types import HandBox

PALM_SIZE = 192
#: (cells per side, anchors per cell): stride 8, then three layers of stride 16, two anchors in each layer.
ANCHOR_GRIDS = ((24, 2), (12, 6))
WRIST_KEYPOINT, MIDDLE_MCP_KEYPOINT = 0, 2
LOGIT_LIMIT = 100.0

PALM_SCALE, PALM_SHIFT = 2.6, -0.5
LANDMARKS_SCALE, LANDMARKS_SHIFT = 2.0, -0.1
#: The joints that place the next box: wrist, thumb, the two lower joints of each finger. Tips move too much.
STEADY_JOINTS = (
    joints.WRIST, joints.THUMB_CMC, joints.THUMB_MCP, joints.THUMB_IP,
    joints.INDEX_MCP, joints.INDEX_PIP, joints.MIDDLE_MCP, joints.MIDDLE_PIP,
    joints.RING_MCP, joints.RING_PIP, joints.LITTLE_MCP, joints.LITTLE_PIP,
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """How a picture is shown to the palm network.

    pad: black border in shares of the picture's sides all round, because a hand that fills the picture is missed
    otherwise. turn: degrees clockwise, for hands that hang, lie or are held aslant.
    """

    pad: float = 0.0
    turn: float = 0.0


PLAIN = View()
#: The other views in which hands turned up that the plain one misses.
OTHER_VIEWS = (View(0.25), *(View(turn=turn) for turn in (-45.0, 45.0, 90.0, -90.0, 180.0)), View(0.75))
ALL_VIEWS = (PLAIN, *OTHER_VIEWS)


@dataclass(frozen=True)
class PalmConfig:
    """`min_score` in (0, 1) keeps a palm, `min_iou` in [0, 1] merges two. Raises ValueError on values outside."""

    min_score: float = 0.5
    min_iou: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.min_score < 1:
            raise ValueError(f"min_score must lie between 0 and 1, got {self.min_score}")
        if not 0 <= self.min_iou <= 1:
            raise ValueError(f"min_iou must lie in [0, 1], got {self.min_iou}")


def palm_anchors() -> np.ndarray:
    """Anchor centers (2016, 2) in pixels of the 192 x 192 input, row by row; their size is the input's."""
    layers = []
    for cells, per_cell in ANCHOR_GRIDS:
        centers = (np.arange(cells) + 0.5) * (PALM_SIZE / cells)
        x, y = np.meshgrid(centers, centers)
        layers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(layers).astype(np.float32)


def decode_palms(raw: np.ndarray, logits: np.ndarray, anchors: np.ndarray, min_score: float):
    """Palms (N, 18) in input pixels and scores (N,) of the anchors that reach `min_score`.

    raw (2016, 18): the network's offsets from `anchors` (2016, 2); logits (2016,).
    """
    scores = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -LOGIT_LIMIT, LOGIT_LIMIT)))
    keep = (scores >= min_score) & (raw[:, 2] >= 0) & (raw[:, 3] >= 0)
    palms = raw[keep].astype(np.float64)
    palms[:, :2] += anchors[keep]
    palms[:, 4:] += np.tile(anchors[keep], 7)
    return palms, scores[keep]


def weighted_nms(palms: np.ndarray, scores: np.ndarray, min_iou: float):
    """Merge overlapping palms: the best takes in those above `min_iou`, averaged by score.

    palms (N, 18), scores (N,). Returns (M, 18) and the best scores (M,), best first.
    """
    order = np.argsort(-scores, kind="stable")
    palms, scores = palms[order], scores[order]
    merged, best = [], []
    while len(palms):
        same = box_iou(palms[0], palms) > min_iou
        same[0] = True
        merged.append(np.average(palms[same], axis=0, weights=scores[same]))
        best.append(scores[0])
        palms, scores = palms[~same], scores[~same]
    return np.array(merged).reshape(-1, 18), np.array(best)


def box_iou(palm: np.ndarray, palms: np.ndarray) -> np.ndarray:
    """Intersection over union (N,) of one palm's box (18,) with others' (N, 18); 0 where both are empty."""
    low = np.maximum(palm[:2] - palm[2:4] / 2, palms[:, :2] - palms[:, 2:4] / 2)
    high = np.minimum(palm[:2] + palm[2:4] / 2, palms[:, :2] + palms[:, 2:4] / 2)
    intersection = np.prod(np.maximum(high - low, 0), axis=1)
    union = palm[2] * palm[3] + palms[:, 2] * palms[:, 3] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def box_from_palm(palm: np.ndarray, score: float) -> HandBox:
    """The box round the whole hand of one palm (18,) in image pixels, upright by wrist and middle MCP."""
    keypoints = palm[4:].reshape(7, 2)
    roll = upright_roll(keypoints[WRIST_KEYPOINT], keypoints[MIDDLE_MCP_KEYPOINT])
    return _grow(palm[:2], palm[2:4], roll, PALM_SCALE, PALM_SHIFT, score=float(score))


def box_from_landmarks(uv_image: np.ndarray, handedness: str | None = None, score: float = 1.0) -> HandBox:
    """The box in which to look for the hand in the next picture, from its joints (21, 2) in image pixels.

    Upright from the wrist to the mean of the MCPs (middle counts double), round the steady joints, doubled.
    """
    steady = np.asarray(uv_image, np.float64)[list(STEADY_JOINTS)]
    index, middle, ring = (uv_image[j] for j in (joints.INDEX_MCP, joints.MIDDLE_MCP, joints.RING_MCP))
    roll = upright_roll(uv_image[joints.WRIST], ((index + ring) / 2 + middle) / 2)
    turned = steady @ rotation(roll)  # rows times R: turned back by `roll`
    low, high = turned.min(axis=0), turned.max(axis=0)
    center = rotation(roll) @ ((low + high) / 2)
    return _grow(center, high - low, roll, LANDMARKS_SCALE, LANDMARKS_SHIFT, handedness, score)


def upright_roll(start: np.ndarray, end: np.ndarray) -> float:
    """Clockwise angle in (-pi, pi] from "up in the picture" to the direction start -> end."""
    dx, dy = np.asarray(end, np.float64) - start
    return float(np.arctan2(dx, -dy))


def rotation(roll: float) -> np.ndarray:
    """(2, 2) matrix that turns picture coordinates (x right, y down) clockwise by `roll` radians."""
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[c, -s], [s, c]])


def image_to_crop(box: HandBox, size: int) -> np.ndarray:
    """(2, 3) affine map from image pixels to a `size` x `size` crop of the box, hand upright.

    As in MediaPipe, the crop's pixel index 0 lies on the box's edge (no half-pixel shift), both ways.
    """
    linear = rotation(box.roll).T * (size / box.side)
    return np.column_stack([linear, size / 2 - linear @ box.center])


def _grow(center, extent, roll, scale, shift, handedness=None, score=1.0) -> HandBox:
    """Move a turned box by `shift` of its height along its own y, square it by the long side, scale it."""
    center = center + rotation(roll) @ np.array([0.0, shift * extent[1]])
    return HandBox(center, float(scale * max(extent)), roll, handedness, score)
