"""Batches of rendered pictures: which rows a process takes, and their tensors."""

from __future__ import annotations

import threading

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


class OnDevice:
    """The pictures of a cache in a GPU's memory, where drawing a batch costs next to nothing.

    Those that are still being rendered follow while the training goes on; close ends that.
    """

    #: Pictures that are copied at a time, and seconds between two looks for new ones.
    PART, PAUSE = 1024, 1.0

    def __init__(self, cache: Cache, device: torch.device):
        self._cache, self._device, self._count = cache, device, 0
        self._tensors: dict[str, Tensor] = {}
        self._waiting = np.ones(len(cache), bool)
        self._closed = threading.Event()
        self._take_over()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        if self._waiting.any():
            self._thread.start()

    def __len__(self) -> int:
        """Pictures that are there by now."""
        return self._count

    def close(self) -> None:
        """No more pictures are taken over."""
        self._closed.set()

    def draw(self, count: int) -> dict[str, Tensor]:
        """`count` pictures at random, in the form that `augment.prepare` takes."""
        rows = torch.randint(self._count, (count,), device=self._device)
        return {name: tensor[rows] for name, tensor in self._tensors.items()}

    def _follow(self) -> None:
        while self._waiting.any() and not self._closed.wait(self.PAUSE):
            self._take_over()

    def _take_over(self) -> None:
        rows = self._cache.ready()
        rows = rows[self._waiting[rows]]
        for part in np.array_split(rows, -(-len(rows) // self.PART)) if len(rows) else ():
            batch = fetch(self._cache, part, self._device)
            for name, values in batch.items():
                if name not in self._tensors:
                    self._tensors[name] = values.new_empty((len(self._cache), *values.shape[1:]))
                self._tensors[name][self._count : self._count + len(part)] = values
            self._count += len(part)
            self._waiting[part] = False
