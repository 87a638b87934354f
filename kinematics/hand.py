"""A tracked hand with its rotations and measures, and what must be remembered between frames to have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tracker.crop import tight_box
from ..tracker.types import HandPose
from . import quaternion
from .bones import palm_position, rotations
from .measures import extended, grab_strength, pinch_distance, pinch_strength

#: Seconds over which the palm's velocity is smoothed, and the gap after which a hand counts as a new one.
VELOCITY_TIME, GAP = 0.05, 0.5


@dataclass(frozen=True)
class Hand(HandPose):
    """One tracked hand in one frame: a `HandPose` and what follows from it. Axes and rest pose: `kinematics.skeleton`.

    palm_position (3,) metres, camera frame; palm_rotation (4,) quaternion x y z w, from palm axes to the camera's frame;
    palm_velocity (3,) metres a second. bone_rotations (15, 4): from rest to now, in the camera's frame; bone_local
    (15, 4): against the parent bone (the palm for the first of each finger), both ordered as `skeleton.BONE_NAMES`.
    angles (5, 4) degrees, `skeleton.ANGLE_NAMES`. pinch_distance metres between the tips of thumb and index finger; pinch
    and grab in [0, 1]; extended (5,) bool: which fingers are stretched, thumb first.
    """

    palm_position: np.ndarray
    palm_rotation: np.ndarray
    palm_velocity: np.ndarray
    bone_rotations: np.ndarray
    bone_local: np.ndarray
    angles: np.ndarray
    pinch_distance: float
    pinch: float
    grab: float
    extended: np.ndarray

    def to_dict(self) -> dict:
        """Plain lists and numbers, as in a line of `track --jsonl` (its fields: docs/outputs.md and the line's header)."""
        return {
            "id": self.id,
            "handedness": self.handedness,
            "score": round(self.score, 3),
            "uv": rounded(self.uv_image, 2),
            "depth_mm": rounded(self.depth_rel * 1e3, 1),
            "xyz_m": rounded(self.xyz_cam, 4),
            "confidence": rounded(self.confidence, 3),
            "box": [round(value, 1) for value in tight_box(self.uv_image)],
            "palm": {
                "position_m": rounded(self.palm_position, 4),
                "rotation": rounded(self.palm_rotation, 4),
                "velocity_m_s": rounded(self.palm_velocity, 3),
            },
            "bones": {"rotation": rounded(self.bone_rotations, 4), "local": rounded(self.bone_local, 4)},
            "angles_deg": rounded(self.angles, 1),
            "pinch": {"strength": round(self.pinch, 3), "distance_m": round(self.pinch_distance, 4)},
            "grab": round(self.grab, 3),
            "extended": self.extended.tolist(),
        }


def rounded(values: np.ndarray, digits: int) -> list:
    """Nested lists of an array's values to so many digits, without negative zeros."""
    # float64, because float32 rounds to 0.10000000149.
    return (np.round(np.asarray(values, np.float64), digits) + 0.0).tolist()


@dataclass
class _Before:
    time: float
    position: np.ndarray
    velocity: np.ndarray
    rotations: np.ndarray


class Motion:
    """Makes `Hand`s of poses, frame after frame: quaternions that never change sign between frames, velocities."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next frame has nothing to do with the last one."""
        self._before: dict[int, _Before] = {}

    def __call__(self, poses: Sequence[HandPose], time: float) -> list[Hand]:
        """The hands of the frame at `time` seconds, in the order of the poses; all of them in one batch."""
        if not poses:
            return []
        xyz = np.stack([pose.xyz_cam for pose in poses])
        turned = rotations(xyz, np.array([pose.handedness == "left" for pose in poses]))
        count = len(poses)
        bones = turned.palm[:, None] @ turned.bones.reshape(count, 15, 3, 3)
        matrices = np.concatenate([turned.palm[:, None], bones, turned.local.reshape(count, 15, 3, 3)], axis=1)
        quaternions = quaternion.from_matrix(matrices)
        rows = zip(
            poses, palm_position(xyz), quaternions, turned.angles, pinch_distance(xyz).tolist(),
            pinch_strength(xyz).tolist(), grab_strength(turned.angles).tolist(), extended(turned.angles),
        )  # fmt: skip
        self._before = {i: b for i, b in self._before.items() if time - b.time <= GAP}
        return [self._hand(time, *row) for row in rows]

    def _hand(self, time, pose, position, q, angles, distance, pinch, grab, stretched) -> Hand:
        now = self._follow(pose.id, time, position, q[:16])
        return Hand(
            **vars(pose),
            palm_position=position, palm_rotation=now.rotations[0], palm_velocity=now.velocity,
            bone_rotations=now.rotations[1:], bone_local=q[16:], angles=angles,
            pinch_distance=distance, pinch=pinch, grab=grab, extended=stretched,
        )  # fmt: skip

    def _follow(self, hand_id: int, time: float, position: np.ndarray, turned: np.ndarray) -> _Before:
        last = self._before.get(hand_id)
        velocity = np.zeros(3)
        if last is not None:
            turned = quaternion.near(turned, last.rotations)
            dt = time - last.time
            if dt > 0:
                share = 1 - np.exp(-dt / VELOCITY_TIME)
                velocity = last.velocity + share * ((position - last.position) / dt - last.velocity)
        self._before[hand_id] = now = _Before(time, position, velocity, turned)
        return now
