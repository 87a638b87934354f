"""The second world's hand: its baked asset, forward kinematics and linear blend skinning (numpy).

Hand frame (right hand, metres): origin at the wrist joint, y to the middle MCP, x toward the index and thumb side, z
out of the palm. Joints lie inside the bones as in the WebXR hand they come from, with two changes toward the project's
definition: its tips, which lie inside the last bones, were moved to the skin's end; its wrist, which lies behind the
carpal bones, a quarter of the middle proximal phalanx up to the wrist's crease. Nothing of synth's hand is used here.

Angles are radians relative to the rest pose: fingers (5, 4), thumb first, (base flexion, base deviation, middle
flexion, last flexion); the thumb's deviation is abduction away from the palm; wrist (flexion, deviation): it is the
forearm that moves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError

ASSET_PATH = Path(__file__).with_name("hand.npz")
FOREARM, NUM_BONES = 16, 17
#: Skin below this height of the hand frame (metres at rest) is arm and not part of the mask, as in synth.
WRIST_END = -0.005


@dataclass(frozen=True)
class StudioHand:
    """A right hand with forearm: V vertices, T triangles, 17 bones (0 palm, 1 + 3 f + j phalanx j of finger f, 16 forearm).

    vertices (V, 3), joints (21, 3) metres in the hand frame; frames (15, 3, 3): rows are the finger bones' axes (right,
    back of the hand, toward the wrist); weights (V, 17) sum to 1; uv (V, 2) in [0, 1]; triangles (T, 3); welded (V,):
    the first vertex at the same place, for normals across texture seams.
    """

    vertices: np.ndarray
    joints: np.ndarray
    frames: np.ndarray
    weights: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    welded: np.ndarray
    provenance: dict


@lru_cache(maxsize=2)
def load_hand(path: Path = ASSET_PATH) -> StudioHand:
    """Read the baked hand (cached). Raises SemihandError where the file is missing or is no such asset."""
    try:
        with np.load(path, allow_pickle=False) as data:
            stored = {name: data[name] for name in data.files}
        weights = stored["weights"].astype(np.float64)
        _, first, same = np.unique(np.round(stored["vertices"], 6), axis=0, return_index=True, return_inverse=True)
        return StudioHand(
            vertices=stored["vertices"].astype(np.float64), joints=stored["joints"].astype(np.float64),
            frames=stored["frames"].astype(np.float64), weights=weights / weights.sum(1, keepdims=True),
            uv=stored["uv"].astype(np.float32), triangles=stored["triangles"].astype(np.int32),
            welded=first[same.ravel()], provenance=json.loads(str(stored["provenance"])),
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        raise SemihandError(
            f"The hand asset {path} could not be read ({error}). Reinstall semihand, or bake it again with"
            " tools/build_studio_hand.py."
        ) from error


def axis_rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrix (3, 3) about a unit axis."""
    return cv2.Rodrigues(np.asarray(axis, float) * angle)[0]


def bone_transforms(hand: StudioHand, scale: np.ndarray, fingers: np.ndarray, wrist: np.ndarray):
    """Posed joints (21, 3) and bone transforms (17, 3, 4) of a hand whose rest shape is the asset's times `scale` (3,)."""
    rest = hand.joints * scale
    posed, transforms = rest.copy(), np.zeros((NUM_BONES, 3, 4))
    transforms[:, :, :3] = np.eye(3)
    for finger in range(5):
        rotation = np.eye(3)
        for part in range(3):
            joint, bone = 1 + 4 * finger + part, 1 + 3 * finger + part
            right, back, _ = hand.frames[3 * finger + part]
            rotation = rotation @ _local(right, back, fingers[finger], part)
            transforms[bone] = _about(rotation, rest[joint], posed[joint])
            posed[joint + 1] = posed[joint] + rotation @ (rest[joint + 1] - rest[joint])
    transforms[FOREARM] = _about(arm_rotation(wrist), rest[0], rest[0])
    return posed, transforms


def arm_rotation(wrist: np.ndarray) -> np.ndarray:
    """How the forearm turns about the wrist joint, (3, 3), of angles (flexion, deviation)."""
    return axis_rotation([1.0, 0, 0], -wrist[0]) @ axis_rotation([0, 0, 1.0], wrist[1])


def _local(right: np.ndarray, back: np.ndarray, angles: np.ndarray, part: int) -> np.ndarray:
    if part:
        return axis_rotation(right, -angles[part + 1])
    return axis_rotation(back, angles[1]) @ axis_rotation(right, -angles[0])


def _about(rotation: np.ndarray, center: np.ndarray, moved: np.ndarray) -> np.ndarray:
    return np.column_stack([rotation, moved - rotation @ center])


def pose_hand(hand: StudioHand, scale: np.ndarray, fingers: np.ndarray, wrist: np.ndarray):
    """Joints (21, 3) and vertices (V, 3), metres in the hand frame, of a person's hand (`scale` (3,)) in one pose."""
    joints, transforms = bone_transforms(hand, scale, fingers, wrist)
    blended = np.tensordot(hand.weights, transforms, 1)
    points = np.column_stack([hand.vertices * scale, np.ones(len(hand.vertices))])
    return joints, np.einsum("vij,vj->vi", blended, points)


def vertex_normals(hand: StudioHand, vertices: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) of posed vertices, outward, smooth across texture seams."""
    corners = hand.welded[hand.triangles]
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, corners[:, corner], area)
    normals = normals[hand.welded]
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
