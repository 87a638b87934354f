"""Where the landmark model puts a joint and where our hand model has it: the constant part of the difference.

Knuckles and wrist are a place on the skin to one and a centre of rotation inside the hand to the other. On synthetic
pictures both are known, so a constant shift of these joints along their two bones is fitted there, once
(tools/measure_definition.py). Creases and tips of the fingers are the same place to both; a difference there would be
the landmark model's error on synthetic pictures.
"""

from __future__ import annotations

import numpy as np

from ...models.joints import (
    INDEX_MCP,
    LITTLE_MCP,
    MIDDLE_MCP,
    NUM_JOINTS,
    PARENTS,
    RING_MCP,
    ROOT,
    THUMB_CMC,
    WRIST,
)  # fmt: skip

#: The joint before and the one behind each joint; the wrist's and the tips' others stand for what they lack.
BEFORE = np.array([MIDDLE_MCP, *PARENTS[1:]])
BEHIND = np.array([1, 2, 3, 4, 2, 6, 7, 8, 6, 10, 11, 12, 10, 14, 15, 16, 14, 18, 19, 20, 18])
SHIFTED = [WRIST, THUMB_CMC, INDEX_MCP, MIDDLE_MCP, RING_MCP, LITTLE_MCP]
#: Shares of the way to the joint before and to the one behind, by joint, from 949 synthetic pictures.
SHIFTS = np.zeros((NUM_JOINTS, 2))
SHIFTS[SHIFTED] = [[0.05, 0.06], [0.05, 0.19], [-0.02, -0.07], [-0.05, -0.32], [0.0, -0.15], [-0.02, -0.08]]
#: The landmark model makes hands a little too flat: the same pictures' depth over its depth by least squares.
DEPTH_GAIN = 1.08


def to_our_joints(points: np.ndarray, shifts: np.ndarray = SHIFTS, depth_gain: float = DEPTH_GAIN) -> np.ndarray:
    """The landmark model's joints (..., 21, 3) as our hand model's, the root at depth 0.

    Any unit, the same in all three directions: picture right, picture down, away from the camera.
    """
    before, behind = points[..., BEFORE, :] - points, points[..., BEHIND, :] - points
    ours = points + shifts[:, :1] * before + shifts[:, 1:] * behind
    ours[..., 2] = depth_gain * (ours[..., 2] - ours[..., ROOT, None, 2])
    return ours


def fit_shifts(points: np.ndarray, true: np.ndarray, prior: float = 30.0, rounds: int = 3) -> np.ndarray:
    """Shifts (21, 2) of the joints in SHIFTED that bring points (N, 21, 3) nearest to true ones, both in unit bones.

    Depth counts relative to the root. Pictures that disagree count less, round by round; no shift at all weighs as
    much as `prior` pictures with bones of unit length.
    """
    design, wanted = _design(points), _wanted(true - points)
    weight = np.ones(len(points))
    found = np.zeros(design.shape[-1])
    for _ in range(rounds):
        normal = np.einsum("n,nra,nrb->ab", weight, design, design) + prior * np.eye(len(found))
        found = np.linalg.solve(normal, np.einsum("n,nra,nr->a", weight, design, wanted))
        apart = np.sqrt(((design @ found - wanted) ** 2).mean(1))
        weight = 1 / (1 + (apart / max(np.median(apart), 1e-9)) ** 2)
    shifts = np.zeros((NUM_JOINTS, 2))
    shifts[SHIFTED] = found.reshape(-1, 2)
    return shifts


def fit_depth_gain(points: np.ndarray, true: np.ndarray, shifts: np.ndarray) -> float:
    """Factor of the shifted points' depth that fits the true depth best by least squares; arrays as in `fit_shifts`."""
    depth = to_our_joints(points, shifts, 1.0)[..., 2]
    depth_true = true[..., 2] - true[:, ROOT, None, 2]
    return float((depth * depth_true).sum() / (depth**2).sum())


def _wanted(step: np.ndarray) -> np.ndarray:
    """(N, 21, 3) steps -> (N, 63) equations: sideways as they are, depth from the root."""
    step = step.copy()
    step[..., 2] -= step[:, ROOT, None, 2]
    return step.reshape(len(step), -1)


def _design(points: np.ndarray) -> np.ndarray:
    """(N, 63, 12): what each shift does to each coordinate."""
    ways = np.stack([points[:, BEFORE] - points, points[:, BEHIND] - points], -1)
    design = np.zeros((len(points), NUM_JOINTS, 3, len(SHIFTED), 2))
    for column, joint in enumerate(SHIFTED):
        design[:, joint, :, column] = ways[:, joint]
    design[:, :, 2] -= design[:, ROOT, None, 2]
    return design.reshape(len(points), 3 * NUM_JOINTS, 2 * len(SHIFTED))
