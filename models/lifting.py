"""From 2.5D joints to 3D and back (SemiHand Sec. 3.1, after Iqbal et al. 2018).

numpy only; every function works over any leading dimensions.
Symbols of the equations:
    x_hat, y_hat  rays, (u - cx) / fx and (v - cy) / fy
    d             depth_rel: depth minus the root's, over the unit bone
    z_hat         the root's depth over the unit bone; P = scale * (z_hat + d) * (x_hat, y_hat, 1)
    C             length of a bone over the unit bone
The unit bone is the middle finger's proximal phalanx (joints 9-10), `scale` its length in metres.
"""

from __future__ import annotations

import numpy as np

from .joints import BONES, MIDDLE_PIP, PRIOR_BONE_LENGTHS, ROOT, UNIT_BONE_METRES

#: The root's depth is kept between these many unit bones (0.16 m and 2 m for a bone of 40 mm).
MIN_ROOT_DEPTH, MAX_ROOT_DEPTH = 4.0, 50.0
#: Quadratic coefficient below which the bones have no extent across the view: no depth can be read from them.
MIN_QUADRATIC = 1e-8
METHODS = ("summed", "single")

_PARENT = np.array([parent for parent, _ in BONES])
_CHILD = np.array([child for _, child in BONES])
_UNIT = slice(MIDDLE_PIP - 1, MIDDLE_PIP)  # BONES are ordered by child, from 1


def lift(
    uv_crop,
    depth_rel,
    K_crop,
    bone_lengths=PRIOR_BONE_LENGTHS,
    scale=UNIT_BONE_METRES,
    root_depth=None,
    method="summed",
    fallback_depth=None,
):
    """Back-project 2.5D joints to the camera that K_crop belongs to.

    uv_crop (..., 21, 2): pixels of K_crop's grid. depth_rel (..., 21): depth minus the root's, over the unit
    bone. K_crop (..., 3, 3). bone_lengths (..., 20): over the unit bone, ordered as BONES. scale (...): the
    unit bone in metres. root_depth (...): the root's depth in metres where known (nothing is then solved),
    else it is found by `method` (see `root_depth`). fallback_depth: metres, used for hands without extent
    instead of an error.
    Returns (..., 21, 3) metres, x right, y down, z forward.
    Raises ValueError on values that are not finite, and on hands without extent where no fallback is given.
    """
    uv_crop, depth_rel = _checked(uv_crop, depth_rel)
    scale = np.asarray(scale, float)
    rays = _rays(uv_crop, K_crop)
    if root_depth is None:
        root_depth = scale * _root_units(rays, depth_rel, bone_lengths, method, scale, fallback_depth)
    z = np.asarray(root_depth, float)[..., None] + depth_rel * scale[..., None]
    return np.concatenate([rays * z[..., None], z[..., None]], axis=-1)


def root_depth(uv_crop, depth_rel, K_crop, bone_lengths=PRIOR_BONE_LENGTHS, scale=UNIT_BONE_METRES, method="summed"):
    """Depth of the root (...) in metres from known bone lengths; arguments as in `lift`.

    "single": one bone has its length, as in the paper; "summed": the sum of squared lengths over all bones
    fits, far less sensitive to noise. A negative discriminant (noise in depth) counts as zero; the result is
    kept between 4 and 50 unit bones.
    Raises ValueError where the bones have no extent across the view.
    """
    uv_crop, depth_rel = _checked(uv_crop, depth_rel)
    scale = np.asarray(scale, float)
    return scale * _root_units(_rays(uv_crop, K_crop), depth_rel, bone_lengths, method, scale, None)


def project(xyz, K):
    """Points (..., N, 3) in a camera's frame to its pixels (..., N, 2); K (..., 3, 3).

    Raises ValueError where a point does not stand in front of the camera.
    """
    xyz, K = np.asarray(xyz, float), np.asarray(K, float)
    z = xyz[..., 2:]
    if not (z > 0).all():  # also true for NaN
        raise ValueError(f"Points must stand in front of the camera, but the nearest has z = {z.min()}.")
    return xyz[..., :2] / z * K[..., None, [0, 1], [0, 1]] + K[..., None, :2, 2]


def unit_length(xyz):
    """Length (...) of the unit bone (middle proximal phalanx) of hands (..., 21, 3), in their unit."""
    return np.linalg.norm(xyz[..., MIDDLE_PIP, :] - xyz[..., ROOT, :], axis=-1)


def bone_lengths(xyz):
    """Lengths (..., 20) of the bones of hands (..., 21, 3), in their unit, ordered as BONES."""
    return np.linalg.norm(xyz[..., _CHILD, :] - xyz[..., _PARENT, :], axis=-1)


def relative_depth(xyz_virtual, scale):
    """depth_rel (..., 21) of hands (..., 21, 3) metres in the virtual camera's frame.

    scale (...): the unit bone in metres.
    """
    z = np.asarray(xyz_virtual, float)[..., 2]
    return (z - z[..., ROOT, None]) / np.asarray(scale, float)[..., None]


def pixels_per_unit(uv_crop, depth_rel, bone_lengths=PRIOR_BONE_LENGTHS):
    """Pixels (...) that the unit bone spans under weak perspective.

    s_px = sqrt(sum |duv|^2 / sum max(C^2 - dd^2, 0)) over the bones; arguments as in `lift`.
    Raises ValueError where that is not a positive number: no extent across the view, or every bone along it.
    """
    uv_crop, depth_rel = _checked(uv_crop, depth_rel)
    across = ((uv_crop[..., _CHILD, :] - uv_crop[..., _PARENT, :]) ** 2).sum((-1, -2))
    along = (depth_rel[..., _CHILD] - depth_rel[..., _PARENT]) ** 2
    room = np.maximum(np.asarray(bone_lengths, float) ** 2 - along, 0).sum(-1)
    if not ((across > 0) & (room > 0)).all():
        raise ValueError("A hand without extent across the view has no scale in pixels.")
    return np.sqrt(across / room)


def _root_units(rays, depth_rel, bone_lengths, method, scale, fallback_depth):
    """z_hat (...): the root's depth over the unit bone, solved from the bone lengths."""
    if method not in METHODS:
        raise ValueError(f"Unknown lifting method {method!r}; known: {', '.join(METHODS)}.")
    bones = _UNIT if method == "single" else slice(None)
    a, b, c = _quadratic(rays, depth_rel, np.asarray(bone_lengths, float), bones)
    degenerate = a < MIN_QUADRATIC
    if degenerate.any() and fallback_depth is None:
        raise ValueError(f"{degenerate.sum()} of {degenerate.size} hands have no extent across the view to lift by.")
    discriminant = np.maximum(b * b - 4 * a * c, 0)
    z_hat = (-b + np.sqrt(discriminant)) / (2 * np.where(degenerate, 1.0, a))
    if fallback_depth is not None:
        z_hat = np.where(degenerate, fallback_depth / scale, z_hat)
    return np.clip(z_hat, MIN_ROOT_DEPTH, MAX_ROOT_DEPTH)


def _quadratic(rays, depth_rel, bone_lengths, bones):
    """Coefficients a, b, c (...) of the length constraint in z_hat, summed over `bones` (Iqbal et al. 2018).

    Deviation: rays are K^-1-normalised and b carries the factor 2, both missing in the printed formula.
    """
    child, parent = _CHILD[bones], _PARENT[bones]
    joints = np.concatenate([rays * depth_rel[..., None], depth_rel[..., None]], axis=-1)
    slope = rays[..., child, :] - rays[..., parent, :]
    offset = joints[..., child, :] - joints[..., parent, :]  # (E_x, E_y, D)
    a = (slope**2).sum((-1, -2))
    b = 2 * (slope * offset[..., :2]).sum((-1, -2))
    c = (offset**2).sum((-1, -2)) - (bone_lengths[..., bones] ** 2).sum(-1)
    return a, b, c


def _rays(uv_crop, K_crop):
    """(x_hat, y_hat) (..., 21, 2)."""
    K_crop = np.asarray(K_crop, float)
    return (uv_crop - K_crop[..., None, :2, 2]) / K_crop[..., None, [0, 1], [0, 1]]


def _checked(uv_crop, depth_rel):
    uv_crop, depth_rel = np.asarray(uv_crop, float), np.asarray(depth_rel, float)
    if not np.isfinite(uv_crop.sum() + depth_rel.sum()):
        raise ValueError("The 2.5D joints hold values that are not finite.")
    return uv_crop, depth_rel
