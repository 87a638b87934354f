"""Supervised losses on 2.5D joints and mask (SemiHand Eq. 2 and 3), and their robust form.

| here            | paper | meaning                                                        |
|-----------------|-------|----------------------------------------------------------------|
| uv, depth       | p     | 64-grid pixels; units of the middle proximal phalanx           |
| mask            | w     | hand mask in [0, 1]                                            |
| depth_weight    | λ_d   | 50 makes depth and image plane weigh alike at crop factor 2    |
| mask_weight     | λ_w   | 100, against the mean over pixels                              |
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import SemihandError
from ..models.decode import Prediction, cell_centres
from ..models.network import CROP_GRID

#: Radius in 64-grid pixels within which a joint counts as well placed, for the confidence.
CONFIDENT_WITHIN = 4.0
MIRRORED_WEIGHT = 4.0


def on_grid(uv):
    """(..., 21) bool: joints uv (..., 21, 2), tensor or array, on the 64-grid; the others teach nothing about their place."""
    return ((uv > -0.5) & (uv < CROP_GRID - 0.5)).all(-1)


@dataclass(frozen=True)
class Target:
    """Truth of a batch. uv (B, 21, 2), depth (B, 21), mask (B, 64, 64) in [0, 1], present (B,) bool.

    weight (B, 21) in [0, 1]: how much each joint's label counts, None: fully. known (B, 64, 64) in [0, 1]: where the
    mask is known, None: everywhere. mirrored (B,) bool: the crop shows the other hand, None: never.
    """

    uv: Tensor
    depth: Tensor
    mask: Tensor
    present: Tensor
    weight: Tensor | None = None
    known: Tensor | None = None
    mirrored: Tensor | None = None

    @property
    def inside(self) -> Tensor:
        """(B, 21) bool: joints within the crop; the others teach nothing about their place."""
        return on_grid(self.uv) & self.present[:, None]

    @property
    def counts(self) -> Tensor:
        """(B, 21): how much each joint teaches about its place."""
        return self.inside if self.weight is None else self.inside * self.weight

    @property
    def shown(self) -> Tensor:
        """(B,) bool: the crop shows most of a hand."""
        return self.present & (on_grid(self.uv).float().mean(1) > 0.6)

    @property
    def absent(self) -> Tensor:
        """(B,) bool: the crop shows no hand, or little of one; neither `shown` nor `absent` where it is hard to say."""
        return ~self.present | (on_grid(self.uv).float().mean(1) < 0.15)


def concatenate(targets: list[Target]) -> Target:
    """Targets of several parts of a batch as one. weight: full where a part has none."""
    weights = [torch.ones_like(one.depth) if one.weight is None else one.weight for one in targets]
    mirrored = [torch.zeros_like(one.present) if one.mirrored is None else one.mirrored for one in targets]
    columns = {
        name: torch.cat([getattr(one, name) for one in targets]) for name in ("uv", "depth", "mask", "present", "known")
    }
    plain = all(one.weight is None and one.mirrored is None for one in targets)
    return Target(**columns, **({} if plain else {"weight": torch.cat(weights), "mirrored": torch.cat(mirrored)}))


@dataclass(frozen=True)
class LossConfig:
    """pose "squared": Eq. 2 to the letter; "absolute": its robust form, with depth_weight already a root.

    heatmap_weight: cross-entropy of the heatmap to a Gaussian of one cell; 0 in the paper. verdict_weight: whether
    there is a hand, and which, for networks that say it.
    """

    pose: str = "absolute"
    pose_weight: float = 0.16
    depth_weight: float = 7.07
    mask: str = "bce"
    mask_weight: float = 0.5
    heatmap_weight: float = 0.5
    confidence_weight: float = 0.1
    verdict_weight: float = 0.1

    def __post_init__(self):
        if self.pose not in ("squared", "absolute") or self.mask not in ("l1", "bce"):
            raise SemihandError(f"Loss {self.pose!r} with mask {self.mask!r} is unknown: squared|absolute, l1|bce.")


PAPER_LOSS = LossConfig("squared", 1.0, 50.0, "l1", 100.0, heatmap_weight=0.0)


def masked_mean(values: Tensor, keep: Tensor) -> Tensor:
    """Mean of values where keep, 0 where nothing is kept."""
    return (values * keep).sum() / keep.sum().clamp(min=1)


def pose_distance(uv: Tensor, depth: Tensor, uv_true: Tensor, depth_true: Tensor, config: LossConfig) -> Tensor:
    """Distance of 2.5D joints, (B, 21)."""
    if config.pose == "squared":  # Eq. (2)
        return (uv - uv_true).square().sum(-1) + config.depth_weight * (depth - depth_true).square()
    return (uv - uv_true).abs().sum(-1) + config.depth_weight * (depth - depth_true).abs()


def heatmap_cross_entropy(log_q: Tensor, uv_true: Tensor) -> Tensor:
    """(B, 21): cross-entropy of heatmap log-probabilities (B, 21, h, w) to a Gaussian of one cell round the truth."""
    height, width = log_q.shape[2:]
    cell = CROP_GRID / width
    gauss_u = torch.exp(-0.5 * ((cell_centres(width, log_q.device) - uv_true[..., 0:1]) / cell).square())
    gauss_v = torch.exp(-0.5 * ((cell_centres(height, log_q.device) - uv_true[..., 1:2]) / cell).square())
    gauss_u = gauss_u / gauss_u.sum(-1, keepdim=True).clamp(min=1e-6)
    gauss_v = gauss_v / gauss_v.sum(-1, keepdim=True).clamp(min=1e-6)
    return -torch.einsum("bkhw,bkh,bkw->bk", log_q, gauss_v, gauss_u)


def mask_loss(logits: Tensor, mask: Tensor, kind: str, known: Tensor | None = None) -> Tensor:
    """Pixel mean, the last term of Eq. (3) or its cross-entropy form, over the pixels that are known."""
    if kind == "l1":
        loss = (logits.sigmoid() - mask).abs()
    else:
        loss = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return loss.mean() if known is None else masked_mean(loss, known)


def confidence_loss(prediction: Prediction, target: Target) -> Tensor:
    """Cross-entropy of the confidence to exp(-error / 4 px), 0 where no hand is in the crop."""
    with torch.no_grad():
        error = (prediction.uv - target.uv).norm(dim=-1)
        wanted = torch.exp(-error / CONFIDENT_WITHIN) * target.inside
    if target.weight is None:
        return F.binary_cross_entropy_with_logits(prediction.confidence, wanted)
    loss = F.binary_cross_entropy_with_logits(prediction.confidence, wanted * target.shown[:, None], reduction="none")
    return masked_mean(loss, torch.where(target.absent[:, None], torch.ones_like(target.weight), target.weight))


def verdict_loss(verdict: Tensor, target: Target) -> Tensor:
    """Cross-entropies of "shows a hand" and, where it does, of "is not mirrored". verdict (B, 2) logits."""
    shown, mirrored = target.shown, target.mirrored
    if mirrored is None:
        mirrored = torch.zeros_like(shown)
    presence = F.binary_cross_entropy_with_logits(verdict[:, 0], shown.float(), reduction="none")
    right = F.binary_cross_entropy_with_logits(verdict[:, 1], (~mirrored).float(), reduction="none")
    # Mirrored crops are the rare ones; without more weight "right" would be the safe answer.
    balance = shown * torch.where(mirrored, MIRRORED_WEIGHT, 1.0)
    return masked_mean(presence, (shown | target.absent).float()) + masked_mean(right, balance)


def supervised_loss(predictions: list[Prediction], target: Target, config: LossConfig):
    """Eq. (3), averaged over stacks. Returns the loss and its parts (dict of floats-to-be, detached) for the log."""
    keep = target.counts
    parts = {"pose": 0.0, "mask": 0.0, "heatmap": 0.0}
    for prediction in predictions:
        distance = pose_distance(prediction.uv, prediction.depth, target.uv, target.depth, config)
        parts["pose"] += masked_mean(distance, keep) * config.pose_weight
        parts["mask"] += mask_loss(prediction.mask_logits, target.mask, config.mask, target.known) * config.mask_weight
        if config.heatmap_weight:
            entropy = heatmap_cross_entropy(prediction.log_q, target.uv)
            parts["heatmap"] += masked_mean(entropy, keep) * config.heatmap_weight
    parts = {name: part / len(predictions) for name, part in parts.items()}
    parts["confidence"] = confidence_loss(predictions[-1], target) * config.confidence_weight
    if predictions[-1].verdict is not None and config.verdict_weight:
        parts["verdict"] = verdict_loss(predictions[-1].verdict, target) * config.verdict_weight
    total = sum(parts.values())
    return total, {name: float(part) if isinstance(part, float) else part.detach() for name, part in parts.items()}
