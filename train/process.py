"""One training process among those that torchrun started, or the only one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist

from ..errors import SemihandError


@dataclass
class Process:
    """Where this process stands among those of torchrun."""

    rank: int
    world: int
    device: torch.device

    @classmethod
    def join(cls, device: str) -> Process:
        """Take part in torchrun's group where there is one. device: auto, cpu or cuda; SemihandError where it is not so."""
        world = int(os.environ.get("WORLD_SIZE", 1))
        rank, local = int(os.environ.get("RANK", 0)), int(os.environ.get("LOCAL_RANK", 0))
        if device not in ("auto", "cpu", "cuda"):
            raise SemihandError(f"Device {device!r} is unknown: auto, cpu or cuda.")
        cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
        if cuda and not torch.cuda.is_available():
            raise SemihandError("--device cuda was asked for, but PyTorch sees no CUDA device. Use --device cpu.")
        if cuda:
            torch.cuda.set_device(local)
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo")
        return cls(rank, world, torch.device("cuda", local) if cuda else torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """What the first process makes in here is there for the others, which wait for it."""
        if self.rank:
            dist.barrier()
        yield
        if self.world > 1 and not self.rank:
            dist.barrier()

    def leave(self) -> None:
        """The end of this process's part in torchrun's group."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()
