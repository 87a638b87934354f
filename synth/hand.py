"""The synthetic hand: its baked asset, forward kinematics and skinning (numpy and numba).

Hand frame (right hand, metres): origin at the wrist joint, y to the middle MCP, x toward the index and thumb side,
z out of the palm. The palm stands still in it; fingers and forearm move. Left hands are made by mirroring a picture.

Angles are radians relative to the rest pose, right-handed about the axes of `HandAsset.axes`:
fingers  (MCP flexion, MCP deviation, PIP flexion, DIP flexion); flexion positive toward the palm, deviation positive
         toward the little finger;
thumb    (CMC flexion, CMC palmar abduction, MCP flexion, IP flexion); the metacarpal turns along with both (opposition);
wrist    (flexion toward the palm, deviation toward the thumb): it is the forearm that moves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numba
import numpy as np

from ..errors import SemihandError

ASSET_PATH = Path(__file__).with_name("hand.npz")
NUM_BONES = 17
FOREARM = 16
#: Most bones that move one vertex.
INFLUENCES = 4
#: How much the thumb's metacarpal turns about itself per radian of CMC flexion and of palmar abduction.
THUMB_TWIST = (0.5, 0.3)
#: z of the four fingers' flexion axes, which else lie along the knuckles (x): bent fingers lean toward the middle one.
CONVERGENCE = (0.05, 0.02, -0.03, -0.08)


@dataclass(frozen=True)
class HandPoseAngles:
    """One pose in radians: fingers (5, 4), thumb first, and wrist (2,); see the module's text for their meaning."""

    fingers: np.ndarray
    wrist: np.ndarray

    @classmethod
    def rest(cls):
        return cls(np.zeros((5, 4)), np.zeros(2))


@dataclass(frozen=True)
class HandAsset:
    """Right hands with forearm of N body shapes: V vertices, T triangles, 17 bones; metres, hand frame.

    vertices (N, V, 3), joints (N, 21, 3), axes (N, 5, 3, 3): rows flexion axis, palm direction, bone direction.
    weights (V, 17): 0 palm, 1 + 3 f + j phalanx j of finger f, 16 forearm; rows sum to 1.
    bone_index, bone_weight (V, 4): the same, sparse. bone_radius (N, 5, 3): mean thickness of each finger bone.
    Per vertex: rest (V, 3) mean shape; finger_id (V,) 0 thumb .. 4 little, -1 none; finger_coordinate (V,) 0 MCP,
    1 PIP, 2 DIP, 3 tip, -1 palm and arm; dorsal (V,) +1 back, -1 palm side; wrist_distance (V,) metres along the arm,
    positive toward the fingers, 0 at the wrist joint.
    """

    vertices: np.ndarray
    joints: np.ndarray
    axes: np.ndarray
    weights: np.ndarray
    bone_index: np.ndarray
    bone_weight: np.ndarray
    bone_radius: np.ndarray
    triangles: np.ndarray
    rest: np.ndarray
    finger_id: np.ndarray
    finger_coordinate: np.ndarray
    dorsal: np.ndarray
    wrist_distance: np.ndarray
    provenance: dict

    @property
    def forearm(self):
        """(V,) bool: vertices on the arm's side of the wrist."""
        return self.wrist_distance < 0.0


def finger_axes(joints):
    """Axes (N, 5, 3, 3) of joints (N, 21, 3): flexion axis, palm direction, first bone's direction, orthonormal."""
    chains = joints[:, 1:].reshape(-1, 5, 4, 3)
    bone = _unit(chains[:, :, 1] - chains[:, :, 0])
    flexion = _unit(np.cross(bone, chains[:, :, 3] - chains[:, :, 2]))
    flexion[:, 1:] = [(1.0, 0.0, tilt) for tilt in CONVERGENCE]
    flexion = _unit(flexion - bone * np.sum(flexion * bone, axis=-1, keepdims=True))
    return np.stack([flexion, np.cross(flexion, bone), bone], axis=2)


def rest_flexion(joints):
    """Flexion of the rest pose in radians, (5, 4) with the thumb's row and the deviations 0, of joints (21, 3).

    MCP: of the first phalanx against the palm's plane; PIP, DIP: between neighbouring phalanges.
    """
    bones = np.diff(joints[1:].reshape(5, 4, 3), axis=1)[1:]
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    flexion = np.zeros((5, 4))
    flexion[1:, 0] = np.arctan2(bones[:, 0, 2], bones[:, 0, 1])
    flexion[1:, 2:] = np.arccos(np.clip(np.sum(bones[:, :-1] * bones[:, 1:], axis=-1), -1.0, 1.0))
    return flexion


def _unit(vector):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


@lru_cache(maxsize=4)
def load_hand(path=ASSET_PATH):
    """Read the baked hand (cached). Raises SemihandError where the file is missing or isn't such an asset."""
    try:
        with np.load(path, allow_pickle=False) as data:
            stored = {name: data[name] for name in data.files}
        return _unpack(stored)
    except (OSError, ValueError, KeyError) as error:
        raise SemihandError(
            f"The hand asset {path} could not be read ({error}). Reinstall semihand, or bake it again with"
            " `python -m semihand.synth.build_asset`."
        ) from error


def _unpack(stored):
    points = stored["mean"] + np.tensordot(stored["coefficients"], stored["basis"].astype(np.float32), 1)
    size = len(stored["finger_id"])
    vertices, joints = np.ascontiguousarray(points[:, :size]), np.ascontiguousarray(points[:, size:])
    weights = stored["weights"].astype(np.float32)
    index, weight = _sparse(weights)
    rest = np.ascontiguousarray(stored["mean"][:size])
    wrist_y = stored["mean"][size, 1]
    return HandAsset(
        vertices=vertices,
        joints=joints,
        axes=finger_axes(joints).astype(np.float32),
        weights=_dense(index, weight),
        bone_index=index,
        bone_weight=weight,
        bone_radius=_bone_radius(vertices, joints, weights),
        triangles=stored["triangles"].astype(np.int32),
        rest=rest,
        finger_id=stored["finger_id"].astype(np.int32),
        finger_coordinate=stored["finger_coordinate"].astype(np.float32),
        dorsal=stored["dorsal"].astype(np.float32),
        wrist_distance=rest[:, 1] - wrist_y,
        provenance=json.loads(str(stored["provenance"])),
    )


def _sparse(weights):
    """The INFLUENCES largest weights of every vertex, renormalised: int32 and float32 (V, 4)."""
    index = np.argsort(-weights, axis=1)[:, :INFLUENCES].astype(np.int32)
    weight = np.take_along_axis(weights, index, 1)
    return index, weight / weight.sum(1, keepdims=True)


def _dense(index, weight):
    dense = np.zeros((len(index), NUM_BONES), np.float32)
    np.put_along_axis(dense, index.astype(np.int64), weight, 1)
    return dense


def _bone_radius(vertices, joints, weights):
    """Median distance of the skin from each finger bone, (N, 5, 3) metres; the thumb's first bone is its metacarpal."""
    radius = np.zeros((len(vertices), 5, 3), np.float32)
    for finger in range(5):
        for part in range(3):
            start, end = joints[:, 1 + 4 * finger + part, None], joints[:, 2 + 4 * finger + part, None]
            rows = np.flatnonzero(weights[:, 1 + 3 * finger + part] > 0.5)
            along = _unit(end - start)
            offset = vertices[:, rows] - start
            offset = offset - along * np.sum(offset * along, axis=-1, keepdims=True)
            radius[:, finger, part] = np.median(np.linalg.norm(offset, axis=-1), axis=1)
    return radius


def pose_hand(asset, shape, pose):
    """Pose body shape `shape`: joints (21, 3) and vertices (V, 3), float32 metres in the hand frame."""
    joints, transforms = forward_kinematics(asset.joints[shape], asset.axes[shape], pose.fingers, pose.wrist)
    vertices = np.empty_like(asset.rest)
    _skin(asset.vertices[shape], asset.bone_index, asset.bone_weight, transforms, vertices)
    return joints.astype(np.float32), vertices


def forward_kinematics(joints, axes, fingers, wrist):
    """Posed joints (21, 3) and bone transforms (17, 3, 4), float64; x' = T[:, :3] x + T[:, 3]."""
    posed, transforms = np.empty((21, 3)), np.empty((NUM_BONES, 3, 4))
    _chain(
        np.asarray(joints, np.float64),
        np.asarray(axes, np.float64),
        np.asarray(fingers, np.float64),
        np.asarray(wrist, np.float64),
        posed,
        transforms,
    )
    return posed, transforms


@numba.njit(cache=True)
def axis_rotation(axis, angle):
    """Rotation matrix (3, 3) about a unit axis (Rodrigues)."""
    c, s = np.cos(angle), np.sin(angle)
    x, y, z = axis[0], axis[1], axis[2]
    d = 1.0 - c
    out = np.empty((3, 3))
    out[0, 0], out[0, 1], out[0, 2] = c + x * x * d, x * y * d - z * s, x * z * d + y * s
    out[1, 0], out[1, 1], out[1, 2] = x * y * d + z * s, c + y * y * d, y * z * d - x * s
    out[2, 0], out[2, 1], out[2, 2] = x * z * d - y * s, y * z * d + x * s, c + z * z * d
    return out


@numba.njit(cache=True)
def multiply(a, b):
    """Product of two 3x3 matrices; faster here than a BLAS call."""
    out = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]
    return out


@numba.njit(cache=True)
def local_rotation(finger, part, axes, angles):
    """Rotation (3, 3) of joint `part` of one finger in the rest frame; axes (3, 3) and angles (4,) of that finger."""
    if part > 0:
        return axis_rotation(axes[0], angles[part + 1])
    flexion = axis_rotation(axes[0], angles[0])
    if finger > 0:
        return multiply(axis_rotation(axes[1], angles[1]), flexion)
    abduction = axis_rotation(np.array([1.0, 0.0, 0.0]), angles[1])
    twist = axis_rotation(axes[2], THUMB_TWIST[0] * angles[0] + THUMB_TWIST[1] * angles[1])
    return multiply(multiply(flexion, abduction), twist)


@numba.njit(cache=True)
def pose_finger(finger, joints, axes, angles, posed, transforms):
    """Pose one finger: fills its rows of posed (21, 3) and transforms (17, 3, 4)."""
    rotation = np.eye(3)
    shift = np.zeros(3)
    base = 1 + 4 * finger
    posed[base] = joints[base]
    for part in range(3):
        local = local_rotation(finger, part, axes[finger], angles[finger])
        center = joints[base + part]
        for i in range(3):
            for k in range(3):
                shift[i] += rotation[i, k] * (
                    center[k] - local[k, 0] * center[0] - local[k, 1] * center[1] - local[k, 2] * center[2]
                )
        rotation = multiply(rotation, local)
        bone = 1 + 3 * finger + part
        child = joints[base + part + 1]
        for i in range(3):
            transforms[bone, i, 3] = shift[i]
            posed[base + part + 1, i] = shift[i]
            for k in range(3):
                transforms[bone, i, k] = rotation[i, k]
                posed[base + part + 1, i] += rotation[i, k] * child[k]


@numba.njit(cache=True)
def _chain(joints, axes, fingers, wrist, posed, transforms):
    transforms[:] = 0.0
    for i in range(3):
        transforms[0, i, i] = 1.0
    for finger in range(5):
        pose_finger(finger, joints, axes, fingers, posed, transforms)
    posed[0] = joints[0]
    bend = axis_rotation(np.array([1.0, 0.0, 0.0]), -wrist[0])
    arm = multiply(bend, axis_rotation(np.array([0.0, 0.0, 1.0]), wrist[1]))
    for i in range(3):
        transforms[FOREARM, i, 3] = joints[0, i]
        for k in range(3):
            transforms[FOREARM, i, k] = arm[i, k]
            transforms[FOREARM, i, 3] -= arm[i, k] * joints[0, k]


@numba.njit(cache=True, fastmath=True)
def _skin(vertices, index, weight, transforms, out):
    """Linear blend skinning with INFLUENCES bones a vertex."""
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for i in range(3):
            total = 0.0
            for k in range(index.shape[1]):
                t = transforms[index[v, k], i]
                total += weight[v, k] * (t[0] * x + t[1] * y + t[2] * z + t[3])
            out[v, i] = total
