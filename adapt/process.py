"""One training process among those that torchrun started, or the only one."""

from __future__ import annotations

import os
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
        if world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo")
        return cls(rank, world, torch.device("cuda", local) if cuda else torch.device("cpu"))
