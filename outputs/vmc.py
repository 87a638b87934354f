"""Virtual Motion Capture (VMC 3.1) for avatars: one OSC bundle a frame, as an Assistant sends it (usual port 39540).

Bones are named as Unity names them; as in VRM 0 the thumb's are Proximal (its metacarpal), Intermediate, Distal. Rotations
are local to the parent, from the T-pose. Positions are the offsets of the tracked hand's own bones.

Nothing is known of the forearm: the hand's rotation is told as if it were held upright before the camera, and beside it
the hand's true pose as the trackers semihand/left and semihand/right, in the camera's place (x right, y up, z forward of
the user). A hand that is lost sends no bones, and receivers let it go; /VMC/Ext/OK tells by its last number whether any
hand is tracked.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..kinematics.hand import Hand
from ..kinematics.quaternion import from_matrix, in_axes, to_matrix
from ..kinematics.skeleton import BONE_START, MIRROR, REST
from .axes import T_POSE, UNITY, UPRIGHT
from .lost import Moment
from .osc import Bundle

_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
_PARTS = ("Proximal", "Intermediate", "Distal")
#: Metres from the elbow to the wrist where a receiver takes positions too; nobody has measured the arm.
_FOREARM = 0.25
_LOADED, _CALIBRATED, _NORMAL = 1, 3, 0


def vmc_bundle(moment: Moment) -> list[bytes]:
    """One bundle: state, time, and all bones of the hands that are seen."""
    hands = [one.hand for one in moment.by_side().values() if one]
    state = [_LOADED, _CALIBRATED, _NORMAL, bool(hands), moment.frame.time]
    numbers = np.concatenate([state, *(np.append(bones(hand), _tracker(hand)) for hand in hands)])
    return [_template(tuple(hand.handedness for hand in hands)).fill(numbers)]


@lru_cache
def _template(sides: tuple[str, ...]) -> Bundle:
    messages: list[tuple[str, tuple[str, ...], str]] = [("/VMC/Ext/OK", (), "iiii"), ("/VMC/Ext/T", (), "f")]
    for side in sides:
        messages += [("/VMC/Ext/Bone/Pos", (name,), "f" * 7) for name in bone_names(side)]
        messages.append(("/VMC/Ext/Tra/Pos", (f"semihand/{side}",), "f" * 7))
    return Bundle(messages)


def bone_names(side: str) -> list[str]:
    """Unity's names of the 16 bones of a "left" or "right" hand, in the order of `bones`."""
    fingers = [f"{finger}{part}" for finger in _FINGERS for part in _PARTS]
    return [f"{side.capitalize()}{name}" for name in ("Hand", *fingers)]


def bones(hand: Hand) -> np.ndarray:
    """Position and quaternion (16, 7) of the hand and its 15 bones, in Unity's axes, local to the parent."""
    B, palm = T_POSE[hand.handedness], to_matrix(hand.palm_rotation)
    wrist = from_matrix(to_matrix(UPRIGHT).T @ palm)
    quaternions = in_axes(np.vstack([wrist, hand.bone_local]), B)
    return np.hstack([_offsets(hand, palm) @ B.T, quaternions])


def _offsets(hand: Hand, palm: np.ndarray) -> np.ndarray:
    """Where the 16 bones start at rest, (16, 3) metres in palm axes against the parent's start."""
    xyz = hand.xyz_cam
    first = (xyz[BONE_START[:, 0]] - xyz[0]) @ palm
    lengths = np.linalg.norm(xyz[BONE_START[:, 1:]] - xyz[BONE_START[:, :-1]], axis=-1)
    along = REST[:, :2] * (MIRROR if hand.handedness == "left" else 1.0) * lengths[..., None]
    fingers = np.concatenate([first[:, None], along], axis=1).reshape(15, 3)
    return np.vstack([[0.0, _FOREARM, 0.0], fingers])


def _tracker(hand: Hand) -> np.ndarray:
    """Position and quaternion (7,) of the wrist in Unity's axes."""
    turned = from_matrix(UNITY @ to_matrix(hand.palm_rotation) @ T_POSE[hand.handedness].T)
    return np.append(UNITY @ hand.xyz_cam[0], turned)
