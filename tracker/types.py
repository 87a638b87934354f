"""What flows through the live path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frame:
    """One picture. `image` (H, W, 3) uint8 BGR, never mirrored; `time` seconds of capture; `index` from 0.

    `capture_ms`: what reading and decoding took; `name`: the file's name where the picture is one of a folder.
    """

    image: np.ndarray
    time: float
    index: int
    capture_ms: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class HandBox:
    """Where a hand is: square in image pixels, turned by `roll` radians (0 = fingers up, clockwise positive).

    `center` (2,) [u, v]; `side` pixels; `handedness` "left" | "right" of the person's real hand, or None;
    `score` in [0, 1] of the detector (1.0 where the box comes from a tracked pose).
    """

    center: np.ndarray
    side: float
    roll: float = 0.0
    handedness: str | None = None
    score: float = 1.0


@dataclass(frozen=True)
class HandEstimate:
    """The network's answer for one crop. Crop grid: 64 x 64, pixel centres at integers, u right, v down.

    uv_crop (21, 2); depth_rel (21,) in middle-proximal-phalanx units, 0 at the root (middle MCP);
    mask (64, 64) float in [0, 1]; confidence (21,) in [0, 1]. All of the mirrored (right-hand) crop.
    presence and right in [0, 1]: that the crop shows a hand, and one of the side it was cut for; None of networks
    that do not say.
    """

    uv_crop: np.ndarray
    depth_rel: np.ndarray
    mask: np.ndarray
    confidence: np.ndarray
    presence: float | None = None
    right: float | None = None


@dataclass(frozen=True)
class HandPose:
    """One tracked hand in one frame.

    uv_image (21, 2) pixels of the unmirrored picture; xyz_cam (21, 3) metres, x right, y down, z forward;
    depth_rel (21,) metres, z minus the root's along the crop's axis; confidence (21,); score in [0, 1];
    mask (H, W) is not stored: `mask_crop` (64, 64) and `image_to_crop` (3, 3, image px -> 64-grid) are.
    """

    id: int
    handedness: str
    score: float
    uv_image: np.ndarray
    xyz_cam: np.ndarray
    depth_rel: np.ndarray
    confidence: np.ndarray
    mask_crop: np.ndarray
    image_to_crop: np.ndarray
    box: HandBox
