"""Boxes round hands: from joints, ahead in time, and what two boxes share. Angles as in `HandBox`."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, pi, sin

import numpy as np

from ..models.joints import MIDDLE_MCP, WRIST
from .palm import STEADY_JOINTS, rotation, upright_roll
from .types import HandBox

_STEADY = list(STEADY_JOINTS)


@dataclass(frozen=True)
class CropConfig:
    """How the next crop is cut.

    upright: turn the crop with the hand (the network saw mostly upright hands). slack: radians by which the hand may
    lean in its crop before that follows: nearly upright hands need no turned crop, resting hands a resting one.
    min_palm: wrist to middle MCP over the box's side below which the hand points at the camera and its roll says
    nothing. reach: the crop is at least so many times the crop factor times the palm-and-knuckles box, so that the
    fingers of a fist stretch out inside it, but at most max_room times the plain crop; half of that room goes to the
    fingers' end. lead: share of the last motion that is expected to go on; max_lead seconds, max_move hand sizes: no
    further ahead than this. moving_factor: the crop factor grows to this, where it is smaller, for a hand that moves
    full_speed hand sizes from frame to frame.
    """

    upright: bool = True
    slack: float = 0.4
    min_palm: float = 0.2
    reach: float = 4 / 3
    max_room: float = 1.23
    lead: float = 0.7
    max_lead: float = 0.15
    max_move: float = 0.5
    moving_factor: float = 1.4
    full_speed: float = 0.15


def joints_box(uv: np.ndarray, factor: float, roll: float = 0.0) -> HandBox:
    """The square round joints (N, 2): upright in a frame turned by `roll`, side = factor times their longer side."""
    turn = rotation(roll)
    turned = uv @ turn  # rows times R: turned back by `roll`
    low, high = turned.min(axis=0), turned.max(axis=0)
    return HandBox(turn @ ((low + high) / 2), factor * max(float((high - low).max()), 1.0), roll)


def crop_box(
    uv: np.ndarray, factor: float, last_roll: float | None = None, config: CropConfig = CropConfig()
) -> HandBox:
    """The network's crop round joints (21, 2): factor times the longer side of their box, more round a closed hand.

    last_roll: that of the hand's last crop, None for a new hand.
    """
    roll = _steady_roll(uv, last_roll or 0.0, config) if config.upright else 0.0
    box = joints_box(uv, factor, roll)
    reach = joints_box(uv[_STEADY], config.reach * factor, roll).side
    side = min(max(box.side, reach), config.max_room * box.side)
    toward_tips = 0.25 * (side - box.side) * np.array([sin(roll), -cos(roll)])
    return HandBox(box.center + toward_tips, side, roll)


def _steady_roll(uv: np.ndarray, last_roll: float, config: CropConfig) -> float:
    palm = hypot(*(uv[MIDDLE_MCP] - uv[WRIST]))
    if palm < config.min_palm * float(np.ptp(uv, axis=0).max()):
        return last_roll
    roll = upright_roll(uv[WRIST], uv[MIDDLE_MCP])
    lean = wrap(roll - last_roll)
    return wrap(roll - min(max(lean, -config.slack), config.slack))


def ahead(uv: np.ndarray, velocity: np.ndarray, dt: float, config: CropConfig = CropConfig()) -> np.ndarray:
    """Joints (21, 2) moved as a whole by where the hand will be in `dt` seconds; velocity (2,) pixels a second."""
    move = config.lead * min(max(dt, 0.0), config.max_lead) * velocity
    limit = config.max_move * max(float(np.ptp(uv, axis=0).max()), 1.0)
    length = hypot(*move)
    return uv + (move if length <= limit else move * (limit / length))


def moving_factor(factor: float, moved: float, config: CropConfig = CropConfig()) -> float:
    """The crop factor of a hand that moved `moved` hand sizes since the last frame."""
    return factor + max(config.moving_factor - factor, 0.0) * min(moved / config.full_speed, 1.0)


def wrap(angle: float) -> float:
    """An angle in radians brought into (-pi, pi]."""
    return pi - (pi - angle) % (2 * pi)


def tight_box(uv: np.ndarray) -> tuple[float, float, float, float]:
    """[x, y, w, h] round joints (N, 2) in pixels."""
    (x, y), (right, bottom) = uv.min(axis=0), uv.max(axis=0)
    return float(x), float(y), float(right - x), float(bottom - y)


def share_inside(uv: np.ndarray, width: int, height: int) -> float:
    """Share in [0, 1] of the joints' box that lies in a picture of width x height pixels."""
    x, y, w, h = tight_box(uv)
    seen_w = min(x + w, width - 0.5) - max(x, -0.5)
    seen_h = min(y + h, height - 0.5) - max(y, -0.5)
    return max(seen_w, 0.0) * max(seen_h, 0.0) / (max(w, 1e-6) * max(h, 1e-6))


def overlap(uv_a: np.ndarray, uv_b: np.ndarray) -> float:
    """Intersection over union in [0, 1] of the boxes of two hands' joints (21, 2)."""
    ax, ay, aw, ah = tight_box(uv_a)
    bx, by, bw, bh = tight_box(uv_b)
    w = min(ax + aw, bx + bw) - max(ax, bx)
    h = min(ay + ah, by + bh) - max(ay, by)
    return w * h / (aw * ah + bw * bh - w * h) if w > 0 and h > 0 else 0.0


def joint_distance(uv_a: np.ndarray, uv_b: np.ndarray) -> float:
    """Mean distance of the same joints of two hands (21, 2), over the smaller hand's size."""
    size = max(min(float(np.ptp(uv_a, axis=0).max()), float(np.ptp(uv_b, axis=0).max())), 1.0)
    return float(np.hypot(*(uv_a - uv_b).T).mean()) / size
