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
    return to_tensors({name: getattr(cache, name)[rows] for name in ("image", "mask", "uv", "xyz", "present")}, device)


def to_tensors(arrays: dict[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """Arrays of labelled pictures by field name (see `synth.cache.Cache`) as tensors; xyz becomes relative depth."""
    batch = {name: torch.from_numpy(arrays[name]) for name in ("image", "mask", "uv", "present")}
    batch["depth"] = torch.from_numpy(relative_depth(arrays["xyz"]))
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def sample_rows(count: int, batch: int, rank: int, world: int, rng: np.random.Generator):
    """Endless batches of row numbers: every process gets its own share of each epoch's permutation."""
    while True:
        order = rng.permutation(count)[rank::world]
        for start in range(0, len(order) - batch + 1, batch):
            yield np.sort(order[start : start + batch])
