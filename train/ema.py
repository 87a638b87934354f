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
        pairs = list(zip(self.network.state_dict().values(), network.state_dict().values()))
        weights = [(mine, theirs) for mine, theirs in pairs if mine.dtype.is_floating_point]
        torch._foreach_lerp_(*map(list, zip(*weights)), 1 - decay)
        for mine, theirs in pairs:
            if not mine.dtype.is_floating_point:
                mine.copy_(theirs)
