"""Where the landmark model puts a joint and where our hand model has it: the constant part of the difference.

A knuckle is a place on the skin to one and a centre of rotation to the other. On synthetic pictures both are known, so
a constant shift of every joint along its two bones is fitted there, once (tools/measure_definition.py).
"""

from __future__ import annotations

import numpy as np

from ..models.joints import MIDDLE_MCP, NUM_JOINTS, PARENTS, ROOT

#: The joint before and the one behind each joint; the wrist's and the tips' others stand for what they lack.
BEFORE = np.array([MIDDLE_MCP, *PARENTS[1:]])
BEHIND = np.array([1, 2, 3, 4, 2, 6, 7, 8, 6, 10, 11, 12, 10, 14, 15, 16, 14, 18, 19, 20, 18])
#: Shares of the way to the joint before and to the one behind, by joint, from 1898 synthetic pictures.
SHIFTS = np.array([
    [0.06, 0.03],
    [0.13, 0.29], [-0.03, 0.17], [-0.20, 0.05], [0.04, -0.13],
    [-0.04, -0.07], [-0.15, -0.01], [-0.13, 0.05], [-0.09, -0.04],
    [-0.06, -0.25], [-0.13, 0.03], [-0.19, 0.07], [-0.13, -0.05],
    [-0.02, -0.15], [-0.14, -0.01], [-0.28, -0.01], [-0.13, -0.14],
    [-0.04, -0.10], [-0.17, 0.00], [-0.11, -0.02], [-0.07, 0.00],
])  # fmt: skip
#: The landmark model makes hands a little too flat: the same pictures' depth over its depth by least squares.
DEPTH_GAIN = 1.07


def to_our_joints(points: np.ndarray, shifts: np.ndarray = SHIFTS, depth_gain: float = DEPTH_GAIN) -> np.ndarray:
    """The landmark model's joints (..., 21, 3) as our hand model's, the root at depth 0.

    Any unit, the same in all three directions: picture right, picture down, away from the camera.
    """
    before, behind = points[..., BEFORE, :] - points, points[..., BEHIND, :] - points
    ours = points + shifts[:, :1] * before + shifts[:, 1:] * behind
    ours[..., 2] = depth_gain * (ours[..., 2] - ours[..., ROOT, None, 2])
    return ours


def fit_shifts(points: np.ndarray, true: np.ndarray, prior: float = 30.0, rounds: int = 3) -> np.ndarray:
    """Shifts (21, 2) that bring points (N, 21, 3) nearest to true ones (N, 21, 3), both in unit bones.

    Depth counts relative to the root. Pictures that disagree count less, round by round; no shift at all weighs as
    much as `prior` pictures with bones of unit length.
    """
    design, wanted = _design(points), _wanted(true - points)
    weight = np.ones(len(points))
    shifts = np.zeros(2 * NUM_JOINTS)
    for _ in range(rounds):
        normal = np.einsum("n,nra,nrb->ab", weight, design, design) + prior * np.eye(2 * NUM_JOINTS)
        shifts = np.linalg.solve(normal, np.einsum("n,nra,nr->a", weight, design, wanted))
        apart = np.sqrt(((design @ shifts - wanted) ** 2).mean(1))
        weight = 1 / (1 + (apart / np.median(apart)) ** 2)
    return shifts.reshape(NUM_JOINTS, 2)


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
    """(N, 63, 42): what each shift does to each coordinate."""
    ways = np.stack([points[:, BEFORE] - points, points[:, BEHIND] - points], -1)
    design = np.zeros((len(points), NUM_JOINTS, 3, NUM_JOINTS, 2))
    joints = np.arange(NUM_JOINTS)
    design[:, joints, :, joints] = ways.transpose(1, 0, 2, 3)
    design[:, :, 2] -= design[:, ROOT, None, 2]
    return design.reshape(len(points), 3 * NUM_JOINTS, 2 * NUM_JOINTS)
