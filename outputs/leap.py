"""Leap Motion's web protocol, version 6 (usual address 127.0.0.1:6437): JSON frames for pages written for that device.

Millimetres, right-handed, y up, as the user before the camera sees it: x right, z toward the user. The origin stands
200 mm below the camera's axis, half a metre before it, where such pages expect hands. The fingers' bases are right-handed
on a right hand and left-handed on a left one, z against the bone, y out of the back, as the device has them.
"""

from __future__ import annotations

import json

import numpy as np

from ..kinematics.hand import Hand
from ..kinematics.quaternion import to_matrix
from ..kinematics.skeleton import MIRROR, REST_NORMALS
from ..models.joints import INDEX_MCP, LITTLE_MCP, MIDDLE_MCP
from .axes import Y_UP_FROM_USER
from .lost import Moment

VERSION = 6
_SERVICE = "2.3.1+33747"
_ORIGIN = np.array([0.0, 200.0, -500.0])
_BOX = {"center": [0, 200, 0], "size": [235.247, 235.247, 147.751]}
_STILL = {"r": np.eye(3).tolist(), "s": 1.0, "t": [0.0, 0.0, 0.0]}
#: Millimetres from wrist to elbow, which nobody sees; width of the palm over that of its knuckles, of the arm over it.
_FOREARM, _PALM, _ARM = 250.0, 1.25, 0.7
_CARPAL_SPREAD = 0.4


def leap_hello() -> list[str]:
    """What the device's service says first: its version, and that a device streams."""
    device = {"attached": True, "id": "semihand", "streaming": True, "type": "peripheral"}
    return [
        json.dumps({"serviceVersion": _SERVICE, "version": VERSION}),
        json.dumps({"event": {"type": "deviceEvent", "state": device}}),
    ]


class LeapFrames:
    """Makes frames; remembers since when each hand is there, and the frame rate."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._last: float | None = None
        self._rate = 0.0

    def __call__(self, moment: Moment) -> str:
        """One frame. A held hand is in it, a lost one is not, which is how the device tells it."""
        now = moment.frame.time
        hands = [one.hand for one in moment.seen]
        self._since = {hand.id: self._since.get(hand.id, now) for hand in hands}
        hand_records, finger_records = [], []
        for hand in hands:
            record, pointables = _hand(hand, round(now - self._since[hand.id], 3))
            hand_records.append(record)
            finger_records += pointables
        frame = {
            "currentFrameRate": round(self._measure(now), 2), "id": moment.frame.index, "timestamp": round(now * 1e6),
            "hands": hand_records, "pointables": finger_records, "interactionBox": _BOX, "devices": [], "gestures": [], **_STILL,
        }  # fmt: skip
        return json.dumps(frame, separators=(",", ":"), allow_nan=False)

    def _measure(self, now: float) -> float:
        if self._last is not None and now > self._last:
            rate = 1 / (now - self._last)
            self._rate = 0.9 * self._rate + 0.1 * rate if self._rate else rate
        self._last = now
        return self._rate


def _place(points: np.ndarray) -> np.ndarray:
    """Camera metres to the device's millimetres."""
    return points @ Y_UP_FROM_USER.T * 1e3 + _ORIGIN


def _hand(hand: Hand, visible: float) -> tuple[dict, list[dict]]:
    joints = _place(hand.xyz_cam)
    palm = Y_UP_FROM_USER @ to_matrix(hand.palm_rotation)
    normal, direction = palm[:, 2], palm[:, 1]
    basis = _bases(direction, normal, hand.handedness)
    width = _PALM * float(np.linalg.norm(joints[INDEX_MCP] - joints[LITTLE_MCP]))
    center = _place(hand.palm_position)
    record = {
        "id": hand.id, "type": hand.handedness, "confidence": _short(hand.score), "timeVisible": visible,
        "palmPosition": _list(center), "stabilizedPalmPosition": _list(center),
        "palmVelocity": _list(Y_UP_FROM_USER @ hand.palm_velocity * 1e3),
        "palmNormal": _list(normal, 4), "direction": _list(direction, 4), "palmWidth": _short(width),
        "wrist": _list(joints[0]), "elbow": _list(joints[0] - _FOREARM * direction),
        "armBasis": _list(basis, 4), "armWidth": _short(_ARM * width),
        "grabStrength": _short(hand.grab), "grabAngle": _short(np.pi * hand.grab),
        "pinchStrength": _short(hand.pinch), "pinchDistance": _short(hand.pinch_distance * 1e3),
        "sphereCenter": _list(center + 0.5 * width * normal), "sphereRadius": _short(0.5 * width), **_STILL,
    }  # fmt: skip
    return record, _fingers(hand, joints, basis, width, visible)


def _fingers(hand: Hand, joints: np.ndarray, palm: np.ndarray, width: float, visible: float) -> list[dict]:
    bones = joints[1:].reshape(5, 4, 3)
    directions = np.diff(bones, axis=1)
    lengths = np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-6)
    directions = directions / lengths
    at_rest = REST_NORMALS * (MIRROR if hand.handedness == "left" else 1.0)
    turned = Y_UP_FROM_USER @ to_matrix(hand.bone_rotations).reshape(5, 3, 3, 3)
    bases = _bases(directions, (turned @ at_rest[..., None])[..., 0], hand.handedness)
    carpal = joints[0] + _CARPAL_SPREAD * (bones[:, 0] - joints[MIDDLE_MCP])
    carpal[0] = bones[0, 0]  # the thumb has no metacarpal of its own there
    lengths = np.round(lengths.sum((-1, -2)), 2).tolist()
    positions, carpals, pointing = _list(bones), _list(carpal), _list(directions[:, 2], 4)
    palm_basis, bone_bases, extended = _list(palm, 4), _list(bases, 4), hand.extended.tolist()
    return [{
        "id": 10 * hand.id + finger, "handId": hand.id, "type": finger, "tool": False, "timeVisible": visible,
        "extended": extended[finger], "direction": pointing[finger], "length": lengths[finger],
        "width": _short(0.2 * width), "bases": [palm_basis, *bone_bases[finger]], "carpPosition": carpals[finger],
        "mcpPosition": mcp, "pipPosition": pip, "dipPosition": dip, "btipPosition": tip, "tipPosition": tip,
        "stabilizedTipPosition": tip, "tipVelocity": [0.0, 0.0, 0.0], "touchZone": "none", "touchDistance": 1.0,
    } for finger, (mcp, pip, dip, tip) in enumerate(positions)]  # fmt: skip


def _bases(direction: np.ndarray, normal: np.ndarray, side: str) -> np.ndarray:
    """Rows x, y, z (..., 3, 3) of bones that point along `direction`, palm side along `normal`, (..., 3) each."""
    z = -direction
    y = -(normal - direction * (normal * direction).sum(-1, keepdims=True))
    y = y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-9)
    x = np.cross(y, z) * (1.0 if side == "right" else -1.0)
    return np.stack([x, y, z], axis=-2)


def _list(values: np.ndarray, digits: int = 2) -> list:
    return (np.round(np.asarray(values, float), digits) + 0.0).tolist()


def _short(value: float) -> float:
    return round(float(value), 3)
