"""Palm pose, bone rotations and joint angles of hands (..., 21, 3) metres. Axes and rest pose: see `skeleton`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..models.joints import INDEX_MCP, LITTLE_MCP, MIDDLE_MCP, RING_MCP, WRIST
from .quaternion import cross, dot, unit
from .skeleton import (
    BONE_END,
    BONE_START,
    MAX_TWIST,
    MIRROR,
    SURE_BEND,
    THUMB_ABDUCTION,
    THUMB_HINGE,
    THUMB_REST,
    THUMB_TWIST,
)  # fmt: skip

_KNUCKLES = [INDEX_MCP, MIDDLE_MCP, RING_MCP, LITTLE_MCP]
_HALF_PALM = 0.5


@dataclass(frozen=True)
class Rotations:
    """Of hands (...): palm (..., 3, 3) in the camera's frame; bones (..., 5, 3, 3, 3) against the palm and `local`
    against each one's parent, thumb first; angles (..., 5, 4) in degrees, named by `skeleton.ANGLE_NAMES`.

    Flexion is positive toward the palm; abduction is positive toward the thumb's side, the thumb's own away from the
    palm. A straight finger in the palm's plane has 0 throughout; the thumb has 0 in the rest pose.
    """

    palm: np.ndarray
    bones: np.ndarray
    local: np.ndarray
    angles: np.ndarray


def palm_position(xyz: np.ndarray) -> np.ndarray:
    """Middle (..., 3) of the palm: half way between the wrist and the mean of the four knuckles."""
    return _HALF_PALM * (xyz[..., WRIST, :] + xyz[..., _KNUCKLES, :].mean(-2))


def rotations(xyz: np.ndarray, left: np.ndarray | bool = False) -> Rotations:
    """Rotations of hands (..., 21, 3), in any unit; left (...): which of them are left hands.

    A bone's direction gives two of its angles. The third, the twist about itself, is what the joint allows: fingers bend
    about one axis, which follows the knuckle and, as far as the finger is bent, the plane that it bends in (at most
    `MAX_TWIST` from it); the thumb's axis turns with its opposition. A straight finger so has no twist to flip.
    Hands without extent have arbitrary rotations, but finite ones.
    """
    mirror = np.where(np.asarray(left, bool)[..., None], MIRROR, 1.0)
    xyz = np.asarray(xyz, float) * mirror[..., None, :]
    palm = _palm_axes(xyz)
    directions = unit(xyz[..., BONE_END, :] - xyz[..., BONE_START, :])
    directions = (directions.reshape(*palm.shape[:-2], 15, 3) @ palm).reshape(directions.shape)
    hinges, first_angles = _hinges(directions)
    bones = _frames(hinges[..., None, :], directions)
    bones[..., 0, :, :, :] = bones[..., 0, :, :, :] @ _THUMB_FRAMES_INVERSE
    angles = np.rad2deg(np.concatenate([first_angles, _bends(directions, hinges)], axis=-1))
    local = bones.copy()
    local[..., 1:, :, :] = np.swapaxes(bones[..., :-1, :, :], -1, -2) @ bones[..., 1:, :, :]
    flip = mirror[..., :, None] * mirror[..., None, :]  # M R M
    return Rotations(palm * flip, bones * flip[..., None, None, :, :], local * flip[..., None, None, :, :], angles)


def _palm_axes(xyz: np.ndarray) -> np.ndarray:
    """Columns x, y, z of right hands."""
    y = unit(xyz[..., MIDDLE_MCP, :] - xyz[..., WRIST, :])
    across = xyz[..., INDEX_MCP, :] - xyz[..., LITTLE_MCP, :]
    x = unit(across - y * dot(across, y))
    return np.stack([x, y, cross(x, y)], axis=-1)


def _frames(hinge: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Columns x, y, z: y along the bone, x as near to the hinge as it can be."""
    x = unit(hinge - direction * dot(hinge, direction))
    return np.stack([x, direction, cross(x, direction)], axis=-1)


_THUMB_FRAMES_INVERSE = np.swapaxes(_frames(THUMB_HINGE, THUMB_REST), -1, -2)


def _hinges(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axis (..., 5, 3) that each finger bends about, in the palm's frame, and flexion and abduction (..., 5, 2)."""
    base = directions[..., 0, :]
    fingers, flexion, radial = _knuckle(base[..., 1:, :])
    thumb, thumb_flexion, abduction = _thumb_base(base[..., 0, :])
    expected = np.concatenate([thumb[..., None, :], fingers], axis=-2)
    expected = unit(expected - base * dot(expected, base))
    angles = np.stack([
        np.concatenate([thumb_flexion[..., None], flexion], axis=-1),
        np.concatenate([abduction[..., None], radial], axis=-1),
    ], axis=-1)  # fmt: skip
    bend = cross(directions[..., :-1, :], directions[..., 1:, :]).sum(-2)
    aside = cross(base, expected)
    c, s = dot(bend, expected), dot(bend, aside)
    # s c / (s^2 + c^2) = sin(2 a) / 2 for a bend at angle a from the expected axis: no sign to choose, no jump at 90
    # degrees, and bent backward means the same axis.
    twist = np.clip(s * c / (s * s + c * c + SURE_BEND**2), -MAX_TWIST, MAX_TWIST)
    return expected * np.cos(twist) + aside * np.sin(twist), angles


def _knuckle(base: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hinge (..., 3), flexion and abduction (...) of the four fingers: R_z(deviation) R_x(flexion) y = base."""
    x, y, z = base[..., 0], base[..., 1], base[..., 2]
    # Near 90 degrees of flexion the deviation cannot be seen; there it fades instead of whirling.
    deviation = np.arctan2(-x, np.sqrt(y * y + 0.15 * z * z))
    c, s = np.cos(deviation), np.sin(deviation)
    return np.stack([c, s, np.zeros_like(c)], axis=-1), np.arctan2(z, c * y - s * x), -deviation


def _thumb_base(m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hinge (..., 3), flexion f and abduction a (...) of the metacarpal m: R_hinge(f) R_x(a) R_m0(twist) m0 = m."""
    # k . R_x(a) m0 = k . m has the form p cos(a) + q sin(a) - p = k . m.
    along = m @ THUMB_HINGE
    abduction = _PHASE - np.arccos(np.clip((along + _P) / np.hypot(_P, _Q), -1, 1))
    abduction = np.clip(abduction, *THUMB_ABDUCTION)
    turn = np.stack([np.ones_like(abduction), np.cos(abduction), np.sin(abduction)], axis=-1)
    raised = turn @ _RAISED_M0
    flexion = np.arctan2((raised @ _CROSS_HINGE * m).sum(-1), (raised * m).sum(-1) - raised @ THUMB_HINGE * along)
    twist = THUMB_TWIST[0] * flexion + THUMB_TWIST[1] * abduction
    ct, st, cf, sf = np.cos(np.stack([twist, twist - _RIGHT, flexion, flexion - _RIGHT]))[..., None]
    hinge = ct * (turn @ _RAISED_HINGE) + st * (turn @ _RAISED_ASIDE)
    about = hinge @ THUMB_HINGE
    return cf * hinge + sf * (hinge @ _CROSS_HINGE) + (1 - cf) * about[..., None] * THUMB_HINGE, flexion, abduction


def _about_x(v: np.ndarray) -> np.ndarray:
    """Rows (3, 3) whose sum weighted by 1, cos(a), sin(a) is v (3,) turned about x by a."""
    return np.array([[v[0], 0, 0], [0, v[1], v[2]], [0, -v[2], v[1]]])


_RIGHT = np.pi / 2
_ASIDE = np.cross(THUMB_REST[0], THUMB_HINGE)
_RAISED_M0, _RAISED_HINGE, _RAISED_ASIDE = map(_about_x, (THUMB_REST[0], THUMB_HINGE, _ASIDE))
_P, _Q = _RAISED_M0[1:] @ THUMB_HINGE
_PHASE = np.arctan2(_Q, _P)
#: v @ this is the cross product of the thumb's hinge and v.
_CROSS_HINGE = np.cross(THUMB_HINGE, np.eye(3))


def _bends(directions: np.ndarray, hinges: np.ndarray) -> np.ndarray:
    """Flexion (..., 5, 2) in radians of the two outer joints about the hinge; the thumb's counted from its rest."""
    before, after = directions[..., :-1, :], directions[..., 1:, :]
    hinge = hinges[..., None, :]
    sine = dot(cross(before, after), hinge)[..., 0]
    cosine = (before * after).sum(-1) - dot(before, hinge)[..., 0] * dot(after, hinge)[..., 0]
    bends = np.arctan2(sine, cosine)
    bends[..., 0, :] -= _THUMB_BENDS
    return bends


_THUMB_BENDS = np.arctan2(
    cross(THUMB_REST[:-1], THUMB_REST[1:]) @ THUMB_HINGE,
    (THUMB_REST[:-1] * THUMB_REST[1:]).sum(-1) - (THUMB_REST[:-1] @ THUMB_HINGE) * (THUMB_REST[1:] @ THUMB_HINGE),
)
