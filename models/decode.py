"""From maps to 2.5D joints by soft-argmax (Iqbal et al., ECCV 2018; SemiHand Sec. 3.1).

| here    | paper      |                                   |
|---------|------------|-----------------------------------|
| Q       | Q_k        | probability of joint k over cells |
| uv      | uv         | sum of Q times cell centres       |
| depth   | d          | sum of Q times depth map          |
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from .joints import NUM_JOINTS, ROOT
from .network import CROP_GRID, StackMaps


@dataclass(frozen=True)
class Prediction:
    """2.5D answer of one stack.

    uv (B, 21, 2): 64-grid pixels, centres at integers. depth (B, 21): units of the middle proximal phalanx,
    0 at the root. mask_logits (B, 64, 64). confidence (B, 21): logits, None on all stacks but the last.
    heat (B, 21, h, w): heatmap logits. verdict (B, 2): logits of a hand being there and of its being a right (or
    mirrored left) one, None of networks that do not say.
    """

    uv: Tensor
    depth: Tensor
    mask_logits: Tensor
    confidence: Tensor | None
    heat: Tensor
    verdict: Tensor | None = None

    @cached_property
    def log_q(self) -> Tensor:
        """(B, 21, h, w): logarithm of the heatmaps' probabilities Q."""
        return self.heat.flatten(2).log_softmax(-1).view_as(self.heat)

    def __getitem__(self, rows: slice) -> Prediction:
        """Of some pictures of the batch."""
        columns = [getattr(self, field.name) for field in fields(self)]
        return Prediction(*(None if column is None else column[rows] for column in columns))


def cell_centres(size: int, device: torch.device | None = None) -> Tensor:
    """(size,) centres of the map's cells on the 64 grid: (i + .5) * 64 / size - .5."""
    return (torch.arange(size, dtype=torch.float32, device=device) + 0.5) * (CROP_GRID / size) - 0.5


def decode(maps: StackMaps) -> Prediction:
    """Soft-argmax of one stack's maps, in float32 whatever their type.

    No gradient reaches the heatmaps through the confidence, or it would move joints to where the network
    is sure instead of where they are.
    """
    heat, depth_maps = maps.heat.float(), maps.depth.float()
    size = int(heat.shape[-1])  # a plain number also while the graph is traced for export
    Q = heat.reshape(-1, NUM_JOINTS, size * size).softmax(-1).reshape(-1, NUM_JOINTS, size, size)
    centres = cell_centres(size, heat.device)
    # Sums, not a matrix product: TF32 products on a GPU would round coordinates to 0.03 px.
    u, v = (Q.sum(2) * centres).sum(-1), (Q.sum(3) * centres).sum(-1)
    depth = (Q * depth_maps).sum((2, 3))
    depth = depth - depth[:, ROOT : ROOT + 1]
    confidence = None if maps.confidence is None else (Q.detach() * maps.confidence.float()).sum((2, 3))
    return Prediction(torch.stack([u, v], -1), depth, maps.mask_logits.float(), confidence, heat, maps.verdict)
