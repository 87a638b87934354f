"""The hand of one moment as triangles in the camera frame, its sleeve, and the exact mask of what is seen of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..models.joints import ROOT
from ..synth.raster import rasterise
from .hand import WRIST_END, arm_rotation, load_hand, pose_hand, vertex_normals
from .takes import Person, TakeFrame

#: Samples per pixel and side of the mask.
MASK_CELLS = 2
_SLEEVE_RINGS, _SLEEVE_SPOKES, _SLEEVE_END = 18, 36, 0.26
_NO_SKIN = -1.0


@dataclass(frozen=True)
class Body:
    """Hand and forearm in the camera frame, metres: joints (21, 3), vertices (V, 3), normals (V, 3), triangles (T, 3),
    and the sleeve's vertices and triangles, or None where the arm is bare."""

    joints: np.ndarray
    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    sleeve: tuple[np.ndarray, np.ndarray] | None


def build_body(person: Person, frame: TakeFrame, handedness: str) -> Body:
    """Pose a person's hand for one frame of a take; a left hand is the mirror image of a right one."""
    hand = load_hand()
    joints, vertices = pose_hand(hand, np.array(person.scale), frame.fingers, frame.wrist)
    normals, triangles = vertex_normals(hand, vertices), hand.triangles
    sleeve = None if np.isnan(person.sleeve_end) else _sleeve(person, frame)
    side = np.array([1.0 if handedness == "right" else -1.0, 1, 1])
    turn = slice(None, None, 1 if handedness == "right" else -1)

    def place(points: np.ndarray) -> np.ndarray:
        return ((points - joints[ROOT]) @ frame.rotation.T + frame.position) * side

    if sleeve is not None:
        sleeve = place(sleeve[0]), sleeve[1][:, turn]
    return Body(place(joints), place(vertices), normals @ frame.rotation.T * side, triangles[:, turn], sleeve)


def _sleeve(person: Person, frame: TakeFrame) -> tuple[np.ndarray, np.ndarray]:
    """A wrinkled tube round the forearm in the hand frame: vertices and triangles."""
    rng = np.random.default_rng(person.texture_seed)
    along = np.linspace(person.sleeve_end, _SLEEVE_END, _SLEEVE_RINGS)[:, None]
    angle = np.linspace(0, 2 * np.pi, _SLEEVE_SPOKES + 1)[None, :-1]
    folds = zip(rng.integers(1, 5, 6), rng.uniform(40, 160, 6), rng.uniform(0, 6, 6))
    wide = 0.036 + 0.05 * (along - 0.03) + sum(0.0016 * np.sin(k * angle + w * along + p) for k, w, p in folds)
    points = np.stack([wide * np.cos(angle), -along + 0 * angle, 0.86 * wide * np.sin(angle)], -1)
    return points.reshape(-1, 3) @ arm_rotation(frame.wrist).T, tube_triangles(_SLEEVE_RINGS, _SLEEVE_SPOKES)


def tube_triangles(rings: int, spokes: int) -> np.ndarray:
    """Triangles (T, 3) of a closed tube whose vertices run round ring by ring."""
    ring, spoke = (x.ravel() for x in np.mgrid[: rings - 1, :spokes])
    after = (spoke + 1) % spokes
    a, b, c, d = ring * spokes + spoke, ring * spokes + after, (ring + 1) * spokes + spoke, (ring + 1) * spokes + after
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32)


def draw_mask(body: Body, K: np.ndarray, size: int) -> np.ndarray:
    """What a pinhole camera K (3, 3) sees of the skin above the wrist's end: (size, size) share of each pixel, 0 to 1."""
    vertices, triangles, rest = body.vertices, body.triangles, load_hand().vertices[:, 1]
    if body.sleeve is not None:
        triangles = np.concatenate([triangles, body.sleeve[1] + len(vertices)])
        vertices = np.concatenate([vertices, body.sleeve[0]])
        rest = np.append(rest, np.full(len(body.sleeve[0]), _NO_SKIN))
    uv = vertices[:, :2] / vertices[:, 2:] * [K[0, 0], K[1, 1]] + K[:2, 2]
    side = size * MASK_CELLS
    near, number = np.zeros((side, side), np.float32), np.zeros((side, side), np.int32)
    weights = np.zeros((side, side, 2), np.float32)
    points, depth = ((uv + 0.5) * MASK_CELLS).astype(np.float32), vertices[:, 2].astype(np.float32)
    rasterise(points, depth, np.ascontiguousarray(triangles), near, number, weights)
    corners = rest[triangles[np.maximum(number, 0)]]
    height = corners[..., 0] * (1 - weights.sum(-1)) + (corners[..., 1:] * weights).sum(-1)
    seen = (near > 0) & (height >= WRIST_END)
    return seen.reshape(size, MASK_CELLS, size, MASK_CELLS).mean((1, 3))
