"""Smoothing of a recording's 2.5D joints in both directions of time, without lag."""

from __future__ import annotations

import numpy as np

from ..frames.crops import CropSet

#: Frames further away than so many bandwidths don't count.
REACH = 3.0


def smooth(crops: CropSet, uv: np.ndarray, depth: np.ndarray, weight: np.ndarray, bandwidth: float):
    """uv (N, 21, 2) and depth (N, 21) of crops, each take smoothed by itself.

    Joints are smoothed as directions from the camera, which all crops share, and depth in unit bones. weight (N, 21):
    how sure each joint is; bandwidth: seconds. A frame without neighbours in time stays as it is.
    """
    rays = np.stack([_rays(crop, one) for crop, one in zip(crops.crops, uv)])
    values = np.concatenate([rays, depth[..., None]], -1)
    out = values.copy()
    for take in np.unique(crops.segment):
        rows = np.flatnonzero(crops.segment == take)
        out[rows] = local_lines(crops.time[rows], values[rows], weight[rows], bandwidth)
    return np.stack([_pixels(crop, one) for crop, one in zip(crops.crops, out[..., :2])]), out[..., 2]


def local_lines(time: np.ndarray, values: np.ndarray, weight: np.ndarray, bandwidth: float) -> np.ndarray:
    """Values (T, J, C) at times (T,), each replaced by a weighted straight line through its neighbours in time.

    Motion at constant speed stays as it is, also at the ends and at uneven times. weight (T, J); the Gaussian window
    has the standard deviation `bandwidth`, in the unit of time.
    """
    out = np.empty_like(values)
    for i, now in enumerate(time):
        near = np.flatnonzero(np.abs(time - now) <= REACH * bandwidth)
        t = (time[near] - now)[:, None] / bandwidth
        w = np.exp(-0.5 * t**2) * np.maximum(weight[near], 1e-6)
        s0, s1, s2 = w.sum(0), (w * t).sum(0), (w * t * t).sum(0)
        spread = s0 * s2 - s1**2
        straight = spread > 1e-6 * s0**2
        share = np.where(straight, (s2 - s1 * t) / np.where(straight, spread, 1), 1 / s0) * w
        out[i] = (share[..., None] * values[near]).sum(0)
    return out


def _rays(crop, uv: np.ndarray) -> np.ndarray:
    """(21, 2) x / z and y / z in the camera's frame."""
    virtual = np.column_stack([(uv - crop.K_crop[:2, 2]) / crop.K_crop[[0, 1], [0, 1]], np.ones(len(uv))])
    camera = crop.xyz_to_camera(virtual)
    return camera[:, :2] / camera[:, 2:]


def _pixels(crop, rays: np.ndarray) -> np.ndarray:
    """Back to the crop's 64-grid (21, 2)."""
    virtual = crop.xyz_to_virtual(np.column_stack([rays, np.ones(len(rays))]))
    return virtual[:, :2] / virtual[:, 2:] * crop.K_crop[[0, 1], [0, 1]] + crop.K_crop[:2, 2]
