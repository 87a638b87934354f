"""A slow copy of a network that follows its training."""

from __future__ import annotations

import copy

import torch


class Ema:
    """Exponential moving average of weights and batch statistics, with a short memory at the start."""

    def __init__(self, network: torch.nn.Module, decay: float):
        self.network, self.decay, self.steps = copy.deepcopy(network).eval(), decay, 0

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (self.steps + 1) / (self.steps + 20))
        for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values()):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
