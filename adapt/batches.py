"""Batches of rendered pictures: which rows a process takes, and their tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..synth.cache import Cache


def relative_depth(xyz: np.ndarray) -> np.ndarray:
    """xyz (B, 21, 3) in the virtual camera -> depth minus the root's in units of the middle proximal phalanx."""
    unit = np.linalg.norm(xyz[:, 9] - xyz[:, 10], axis=-1, keepdims=True)
    return (xyz[..., 2] - xyz[:, 9:10, 2]) / unit


def fetch(cache: Cache, rows: np.ndarray, device: torch.device) -> dict[str, Tensor]:
    """Rows of the cache as tensors on the device, in the form that `augment.prepare` takes."""
    batch = {
        "image": torch.from_numpy(cache.image[rows]),
        "mask": torch.from_numpy(cache.mask[rows]),
        "uv": torch.from_numpy(cache.uv[rows]),
        "depth": torch.from_numpy(relative_depth(cache.xyz[rows])),
        "present": torch.from_numpy(cache.present[rows]),
    }
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def sample_rows(count: int, batch: int, rank: int, world: int, rng: np.random.Generator):
    """Endless batches of row numbers: every process gets its own share of each epoch's permutation."""
    while True:
        order = rng.permutation(count)[rank::world]
        for start in range(0, len(order) - batch + 1, batch):
            yield np.sort(order[start : start + batch])
