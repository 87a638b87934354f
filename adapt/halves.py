"""The two halves of a fine-tuning batch: pictures with synthetic labels, and the user's pictures without any.

Each half is drawn with the pictures it wants looked at, all halves go through the network in one forward pass, and each
takes its loss from the answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..models.camera import GRID
from ..models.circles import CircleModel, pixels_per_unit
from ..models.decode import Prediction, decode
from ..models.model_file import ModelInfo
from ..models.network import normalise
from ..train.augment import jitter
from ..train.batches import to_tensors
from ..train.losses import Target, heatmap_cross_entropy, on_grid, supervised_loss
from .consistency import pose_loss, view_loss
from .frames.crops import WIDE_GRID, CropSet
from .profiles import FinetuneConfig
from .views import View, draw_diversity, draw_perturbation, wide_pictures

Losses = dict[str, Tensor]
#: What the network says of some pictures, a prediction of each stack; the last one is its answer.
Answers = list[Prediction]


@dataclass(frozen=True)
class LabelledHalf:
    """A batch of synthetic pictures A(x_L) with labels and, where asked for, T of them for the consistency terms.

    pictures: what the network is to see, each (B, 3, S, S). diverse: A; view: T on top of it, None without.
    """

    pictures: list[Tensor]
    target: Target
    diverse: View
    view: View | None
    config: FinetuneConfig

    @classmethod
    def draw(cls, arrays: dict, cached_factor: float, info: ModelInfo, config: FinetuneConfig, generator, device):
        """Augment pictures with labels by field name (see `synth.cache.Cache`), cut with `cached_factor`, for a network.

        Geometry comes from the generator, colours from torch's own.
        """
        batch, size = to_tensors(arrays, device), info.input_size
        count = len(batch["uv"])
        wide = batch["image"].permute(0, 3, 1, 2).float()
        wide_grid = GRID * cached_factor / info.crop_factor
        diverse = draw_diversity(count, config.views, generator).to(device)
        uv = (batch["uv"] + 0.5) * (wide_grid / wide.shape[-1]) - 0.5 - (wide_grid - GRID) / 2
        mask = diverse.mask(batch["mask"].float() / 255, wide_grid)
        target = Target(diverse.pose(uv), batch["depth"], mask, batch["present"])
        wide = jitter(wide, config.colour)
        pictures, view = [diverse.picture(wide, wide_grid, size)], None
        if config.labelled_consistency and (config.view_weight or config.circles_weight):
            view = draw_perturbation(count, config.views, generator).to(device)
            pictures.append(diverse.then(view).picture(wide, wide_grid, size))
        return cls(pictures, target, diverse, view, config)

    def losses(self, answers: list[Answers], circles: CircleModel | None) -> Losses:
        """Eq. (3) and, where asked for, the consistency terms on pictures that show a hand."""
        total, _ = supervised_loss(answers[0], self.target, replace(self.config.loss, verdict_weight=0.0))
        losses = {"supervised": total}
        if self.view is not None:
            valid = torch.ones(len(self.target.uv), GRID, GRID, dtype=torch.bool, device=self.target.uv.device)
            consistency = _consistency(answers[0][-1], answers[1][-1], self.view, None, valid, circles, self.config)
            present = self.target.present.float()
            losses |= {name: (loss * present).mean() for name, loss in consistency.items()}
        return losses


@dataclass(frozen=True)
class Labels:
    """Labels of a batch of unlabelled crops, on the device. pose, registered: (uv (B, 21, 2), depth (B, 21)); gate (B,);
    teacher: (uv, depth, weight (B, 21)) of another teacher, or None; mask (B, 64, 64): the source's;
    true_mask (B, 64, 64): a label, or None."""

    pose: tuple[Tensor, Tensor]
    registered: tuple[Tensor, Tensor]
    gate: Tensor
    teacher: tuple[Tensor, Tensor, Tensor] | None
    mask: Tensor | None = None
    true_mask: Tensor | None = None

    def chosen(self, config: FinetuneConfig) -> Tensor:
        """Row numbers of the crops that are trained on a label under diversity augmentation."""
        counts = (self.gate > 0) & bool(config.pseudo_weight)
        if self.teacher is not None and config.teacher_weight:
            counts = counts | (self.teacher[2].sum(1) > 0)
        return torch.nonzero(counts).flatten()


@dataclass(frozen=True)
class UnlabelledHalf:
    """A batch of the user's crops: x_U, T(x_U), and A(x_U) of those whose label counts.

    view: T, None without view consistency. chosen: rows of A(x_U); diverse: A, None where nothing is chosen.
    K_crop (B, 3, 3); valid (B, 64, 64) bool: cells that the camera saw.
    """

    pictures: list[Tensor]
    labels: Labels
    view: View | None
    chosen: Tensor
    diverse: View | None
    K_crop: Tensor
    valid: Tensor
    config: FinetuneConfig

    @classmethod
    def draw(
        cls, crops: CropSet, rows: np.ndarray, labels: Labels, size: int, config: FinetuneConfig, generator, device
    ):
        """Views of these rows of the crops, `size` pixels; geometry from the generator, colours from torch's own."""
        wide = wide_pictures(crops, rows, device)
        pictures, view, diverse = [View.plain(len(rows), device).picture(wide, WIDE_GRID, size)], None, None
        if config.view_weight:
            view = draw_perturbation(len(rows), config.views, generator).to(device)
            seen = view.picture(wide, WIDE_GRID, size)
            pictures.append(jitter(seen, config.colour) if config.perturb_colour else seen)
        chosen = labels.chosen(config)
        if len(chosen):
            diverse = draw_diversity(len(chosen), config.views, generator).to(device)
            pictures.append(jitter(diverse.picture(wide[chosen], WIDE_GRID, size), config.colour))
        K_crop = torch.from_numpy(crops.K_crop[rows]).float().to(device)
        valid = torch.from_numpy(crops.visible[rows]).to(device)
        return cls(pictures, labels, view, chosen, diverse, K_crop, valid, config)

    def losses(self, answers: list[Answers], circles: CircleModel | None) -> Losses:
        """Eq. (6) and (9) on these crops, and the other teacher's loss."""
        config, labels, plain = self.config, self.labels, answers[0]
        seen = answers[1][-1] if self.view is not None else None
        mask = labels.mask if config.fixed_masks and labels.true_mask is None else labels.true_mask
        terms = _consistency(
            plain[-1], seen, self.view, self.K_crop, self.valid, circles, config, mask, labels.true_mask
        )
        losses = {name: loss.mean() for name, loss in terms.items()}
        if config.pseudo_weight and config.ungated_registered:
            losses["unsupervised"] = ((1 - labels.gate) * _to_label(plain, *labels.registered, config)).mean()
        if self.diverse is not None:
            for name, loss in self._on_diverse(answers[-1]).items():
                losses[name] = losses.get(name, 0.0) + loss
        return losses

    def _on_diverse(self, answers: Answers) -> Losses:
        config, labels, rows, count = self.config, self.labels, self.chosen, len(self.labels.gate)
        losses = {}
        if config.pseudo_weight:  # Eq. (6): the confident ones learn both, the label and its registration
            uv, depth = self.diverse.pose(labels.pose[0][rows]), labels.pose[1][rows]
            apart = _to_label(answers, uv, depth, config)
            if config.ungated_registered:
                uv_r, depth_r = (values[rows] for values in labels.registered)
                apart = apart + _to_label(answers, self.diverse.pose(uv_r), depth_r, config)
            apart = apart + _heatmaps(answers, uv, torch.ones_like(depth), config)
            losses["unsupervised"] = (labels.gate[rows] * apart).sum() / count
        if labels.teacher is not None and config.teacher_weight:
            uv, depth, weight = (values[rows] for values in labels.teacher)
            uv = self.diverse.pose(uv)
            flat = config if config.teacher_depth else replace(config, loss=replace(config.loss, depth_weight=0.0))
            apart = _to_label(answers, uv, depth, flat, weight) + _heatmaps(answers, uv, weight, config)
            losses["teacher"] = apart.sum() / count
        return losses


def batch_losses(network, halves: list[LabelledHalf | UnlabelledHalf], circles: CircleModel | None) -> Losses:
    """The halves' losses by name, added up; all their pictures go through the network in one forward pass."""
    pictures = [picture for half in halves for picture in half.pictures]
    stacks = [
        decode(maps) for maps in network(normalise(torch.cat(pictures)).contiguous(memory_format=torch.channels_last))
    ]
    ends = np.cumsum([len(picture) for picture in pictures])
    answers = [[stack[end - len(picture) : end] for stack in stacks] for picture, end in zip(pictures, ends)]
    total: Losses = {}
    for half in halves:
        own, answers = answers[: len(half.pictures)], answers[len(half.pictures) :]
        for name, loss in half.losses(own, circles).items():
            total[name] = total.get(name, 0.0) + loss
    return total


def _heatmaps(answers: Answers, uv: Tensor, weight: Tensor, config: FinetuneConfig) -> Tensor:
    """(B,): heatmaps toward a label's joints, as far as the supervised loss has such a term."""
    if not config.loss.heatmap_weight:
        return torch.zeros(len(uv), device=uv.device)
    entropy = sum(heatmap_cross_entropy(one.log_q, uv) for one in answers) / len(answers)
    share = config.loss.heatmap_weight / config.loss.pose_weight
    return share * (entropy * weight * on_grid(uv)).sum(1) / uv.shape[1]


def _to_label(
    answers: Answers, uv: Tensor, depth: Tensor, config: FinetuneConfig, weight: Tensor | None = None
) -> Tensor:
    """(B,): l to a label, averaged over the stacks."""
    return sum(pose_loss(one, uv, depth, config.loss, weight) for one in answers) / len(answers)


def _consistency(
    plain, seen, view, K, valid, circles, config: FinetuneConfig, fixed_mask=None, true_mask=None
) -> Losses:
    """Unweighted (B,) consistency terms of Eq. (9), those that are asked for; true_mask: w where it is known."""
    losses = {}
    if config.view_weight:
        losses["view"] = view_loss(plain, seen, view, config.loss, valid, fixed_mask)
    if config.circles_weight:
        s_px = pixels_per_unit(plain.uv.detach(), plain.depth.detach(), K)
        mask = plain.mask_logits.sigmoid() if true_mask is None else true_mask
        losses["circles"] = circles.cross_modal(plain.uv, mask, s_px, valid, config.circles)
    return losses
