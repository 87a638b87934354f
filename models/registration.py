"""Pose registration: give an estimated 2.5D pose the bone lengths of a known hand (SemiHand Sec. 3.3).

| here           | paper   |                                                          |
|----------------|---------|----------------------------------------------------------|
| register       | P       | registered pose r = P(p)                                 |
| uv, depth      | p       | estimated 2.5D pose                                      |
| bone_lengths   |         | the hand template, in units of the middle proximal phalanx|

The tree hangs from the root (middle MCP), so that its relative depth stays zero. Every bone points from the
*registered* parent to the *estimated* child: an error of one joint does not move the joints behind it.
numpy only; works over any leading dimensions. No gradient flows through it: its results are labels.
"""

from __future__ import annotations

import numpy as np

from .joints import BONES, MIDDLE_PIP, PRIOR_BONE_LENGTHS, ROOT
from .lifting import MAX_ROOT_DEPTH, MIN_ROOT_DEPTH, lift
from .lifting import bone_lengths as lengths_of
from .lifting import root_depth as solve_root_depth

#: Parent and child in the order of registration, outward from the root (spec of the method, Sec. 4).
ORDER = (
    (9, 0), (9, 10), (10, 11), (11, 12), (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8),
    (0, 13), (13, 14), (14, 15), (15, 16), (0, 17), (17, 18), (18, 19), (19, 20),
)  # fmt: skip
_BONE_OF = {frozenset(bone): i for i, bone in enumerate(BONES)}
#: A direction shorter than this (unit bones) says nothing.
_SHORT = 1e-6
#: The template's direction, for bones that have none: the fingers point up in the picture.
_UP = np.array([0.0, -1.0, 0.0])


def register(uv, depth, K_crop, bone_lengths=PRIOR_BONE_LENGTHS, root_depth=None):
    """The pose nearest in direction with the template's bone lengths, back in 2.5D.

    uv (..., 21, 2) pixels and depth (..., 21) unit bones of the virtual camera K_crop (..., 3, 3); bone_lengths
    (..., 20) unit bones, ordered as BONES; root_depth (...): the root's depth in unit bones, found from the bone
    lengths where None, and used for the way back too.
    Returns uv (..., 21, 2) and depth (..., 21), 0 at the root. Raises ValueError on values that are not finite.
    """
    uv, depth, K_crop = (np.asarray(array, float) for array in (uv, depth, K_crop))
    if root_depth is None:
        root_depth = _root_depth(uv, depth, K_crop, bone_lengths)
    root_depth = np.clip(root_depth, MIN_ROOT_DEPTH, MAX_ROOT_DEPTH)
    p = lift(uv, depth, K_crop, bone_lengths, scale=1.0, root_depth=root_depth)
    r = register_xyz(p, bone_lengths)
    z = np.maximum(r[..., 2:], 0.1)
    focal, center = K_crop[..., None, [0, 1], [0, 1]], K_crop[..., None, :2, 2]
    return r[..., :2] / z * focal + center, r[..., 2] - r[..., ROOT : ROOT + 1, 2]


def register_xyz(xyz, bone_lengths=PRIOR_BONE_LENGTHS):
    """The same in 3D: xyz (..., 21, 3) in units of the template's lengths (..., 20) -> (..., 21, 3)."""
    p, lengths = np.asarray(xyz, float), np.asarray(bone_lengths, float)
    r = p.copy()
    for parent, child in ORDER:
        toward = p[..., child, :] - r[..., parent, :]
        far = np.linalg.norm(toward, axis=-1, keepdims=True)
        plain = p[..., child, :] - p[..., parent, :]
        toward = np.where(far < _SHORT, plain, toward)
        far = np.linalg.norm(toward, axis=-1, keepdims=True)
        toward, far = np.where(far < _SHORT, _UP, toward), np.where(far < _SHORT, 1.0, far)
        length = lengths[..., _BONE_OF[frozenset((parent, child))], None]
        r[..., child, :] = r[..., parent, :] + length * toward / far
    return r


def _root_depth(uv, depth, K_crop, bone_lengths):
    """Unit bones; hands without extent across the view count as far away."""
    try:
        return solve_root_depth(uv, depth, K_crop, bone_lengths, scale=1.0)
    except ValueError:
        xyz = lift(uv, depth, K_crop, bone_lengths, scale=1.0, fallback_depth=MAX_ROOT_DEPTH)
        return xyz[..., ROOT, 2]


def estimate_template(uv, depth, K_crop, weight, prior=PRIOR_BONE_LENGTHS, prior_weight=30.0, rounds=3):
    """Bone lengths (20,) of one person from many estimated poses, drawn toward the prior.

    uv (N, 21, 2), depth (N, 21), K_crop (N, 3, 3) as in `register`; weight (N,) how sure each pose is. Lifting needs
    lengths itself, so it is repeated with what was found. A bone's length is the weighted median, and the prior counts
    as `prior_weight` sure poses. The unit bone keeps length 1. Raises ValueError where no pose has weight.
    """
    weight, prior = np.asarray(weight, float), np.asarray(prior, float)
    if not weight.sum() > 0:
        raise ValueError("No pose is sure enough to take bone lengths from.")
    lengths = prior
    for _ in range(rounds):
        found = lengths_of(lift(uv, depth, K_crop, lengths, scale=1.0, fallback_depth=MAX_ROOT_DEPTH))
        middle = _weighted_median(found, weight)
        mixed = (weight.sum() * middle + prior_weight * prior) / (weight.sum() + prior_weight)
        lengths = mixed / mixed[MIDDLE_PIP - 1]
    return lengths


def _weighted_median(values, weight):
    """Weighted median over the first axis: values (N, M), weight (N,) -> (M,)."""
    order = np.argsort(values, axis=0)
    share = np.cumsum(weight[order], axis=0)
    at = (share < 0.5 * share[-1]).sum(axis=0)
    return np.take_along_axis(values, np.take_along_axis(order, at[None], 0), 0)[0]
