"""What hands do, in numbers: pinch, grab, stretched fingers, and the error of joint angles."""

from __future__ import annotations

import numpy as np

from ..models.joints import INDEX_TIP, THUMB_TIP
from ..models.lifting import unit_length
from .bones import rotations

#: Distance of thumb and index tip, in unit bones, at which a pinch is whole and at which it has not begun.
PINCH_CLOSED, PINCH_OPEN = 0.35, 1.0
#: Mean flexion of the four fingers in degrees (all three joints together) of an open hand and of a fist.
GRAB_OPEN, GRAB_CLOSED = 60.0, 200.0
#: A finger is stretched while its outer joints bend by less than this, and its knuckle (the thumb has none).
STRAIGHT_BEND, STRAIGHT_KNUCKLE = (30.0, 45.0, 45.0, 45.0, 45.0), (np.inf, 60.0, 60.0, 60.0, 60.0)


def pinch_distance(xyz: np.ndarray) -> np.ndarray:
    """Distance (...) of the tips of thumb and index finger of hands (..., 21, 3), in their unit."""
    apart = xyz[..., THUMB_TIP, :] - xyz[..., INDEX_TIP, :]
    return np.sqrt((apart * apart).sum(-1))


def pinch_strength(xyz: np.ndarray) -> np.ndarray:
    """From 0 (apart) to 1 (touching), (...), of hands (..., 21, 3) of any size."""
    gap = pinch_distance(xyz) / np.maximum(unit_length(xyz), 1e-9)
    return np.clip((PINCH_OPEN - gap) / (PINCH_OPEN - PINCH_CLOSED), 0.0, 1.0)


def grab_strength(angles: np.ndarray) -> np.ndarray:
    """From 0 (open) to 1 (fist), (...), of angles (..., 5, 4) in degrees as in `bones.Rotations`."""
    bent = angles[..., 1:, 0] + angles[..., 1:, 2] + angles[..., 1:, 3]
    return np.clip((bent.mean(-1) - GRAB_OPEN) / (GRAB_CLOSED - GRAB_OPEN), 0.0, 1.0)


def extended(angles: np.ndarray) -> np.ndarray:
    """Whether each finger is stretched, bool (..., 5), thumb first; angles as in `grab_strength`."""
    straight = angles[..., 2] + angles[..., 3] < STRAIGHT_BEND
    return straight & (angles[..., 0] < STRAIGHT_KNUCKLE)


def joint_angle_errors(xyz: np.ndarray, xyz_true: np.ndarray) -> np.ndarray:
    """Absolute errors (..., 5, 4) in degrees of the angles of `skeleton.ANGLE_NAMES`, of hands (..., 21, 3).

    Both are of the same side and in the same axes, of any size and place; for left hands mirror both (negate x).
    The mean over fingers and angles is the mean joint-angle error. Angles beyond a half turn count the short way.
    """
    difference = rotations(xyz).angles - rotations(xyz_true).angles
    return np.abs((difference + 180.0) % 360.0 - 180.0)
