"""The two halves of a fine-tuning batch: pictures with synthetic labels, and the user's pictures without any.

Each half lists the pictures it wants looked at, all halves go through the network in one forward pass, and each takes
its loss from the answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..models.camera import GRID
from ..models.circles import CircleModel, CrossModalConfig, pixels_per_unit
from ..models.decode import Prediction
from ..train.augment import jitter
from ..train.batches import to_tensors
from .consistency import pose_loss, view_loss, within
from .frames.crops import WIDE_GRID, CropSet
from ..train.losses import Target, heatmap_cross_entropy, supervised_loss
from .profiles import FinetuneConfig
from .views import View, draw_diversity, draw_perturbation, wide_pictures

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Answers:
    """What the network said of some pictures: decoded predictions of every stack, and the heatmaps' log-probability."""

    stacks: list[Prediction]
    log_q: list[Tensor]

    @property
    def last(self) -> Prediction:
        """The last stack's: the network's answer."""
        return self.stacks[-1]

    def part(self, rows: slice) -> Answers:
        """Those of some pictures of the batch."""
        return Answers([_part(one, rows) for one in self.stacks], [one[rows] for one in self.log_q])


def _part(prediction: Prediction, rows: slice) -> Prediction:
    confidence = None if prediction.confidence is None else prediction.confidence[rows]
    return Prediction(prediction.uv[rows], prediction.depth[rows], prediction.mask_logits[rows], confidence, prediction.Q[rows])


class LabelledHalf:
    """A batch of synthetic pictures A(x_L) with labels and, where asked for, T of them for the consistency terms."""

    def __init__(
        self, arrays: dict, cached_factor: float, size: int, crop_factor: float, config: FinetuneConfig, generator, device
    ):
        """arrays: pictures with labels by field name (see `synth.cache.Cache`), cut with `cached_factor`."""
        self.config = config
        batch = to_tensors(arrays, device)
        count = len(batch["uv"])
        wide = batch["image"].permute(0, 3, 1, 2).float()
        wide_grid = GRID * cached_factor / crop_factor
        self._diverse = _to(draw_diversity(count, config.views, generator), device)
        uv = (batch["uv"] + 0.5) * (wide_grid / wide.shape[-1]) - 0.5 - (wide_grid - GRID) / 2
        mask = self._diverse.mask(batch["mask"].float() / 255, wide_grid)
        self.target = Target(self._diverse.pose(uv), batch["depth"], mask, batch["present"])
        wide = jitter(wide, config.colour)
        self.pictures = [self._diverse.picture(wide, wide_grid, size)]
        self._view = None
        if config.labelled_consistency and (config.view_weight or config.circles_weight):
            self._view = _to(draw_perturbation(count, config.views, generator), device)
            self.pictures.append(self._diverse.then(self._view).picture(wide, wide_grid, size))

    def losses(self, answers: list[Answers], circles: CircleModel | None) -> Losses:
        """Eq. (3) and, where asked for, the consistency terms on pictures that show a hand."""
        total, _ = supervised_loss(answers[0].stacks, answers[0].log_q, self.target, self.config.loss)
        losses = {"supervised": total}
        if self._view is not None:
            valid = torch.ones(len(self.target.uv), GRID, GRID, dtype=torch.bool, device=self.target.uv.device)
            consistency = _consistency(answers[0].last, answers[1].last, self._view, None, valid, circles, self.config)
            present = self.target.present.float()
            losses |= {name: (loss * present).mean() for name, loss in consistency.items()}
        return losses


@dataclass(frozen=True)
class Labels:
    """Labels of a batch of unlabelled crops, on the device. pose, registered: (uv (B, 21, 2), depth (B, 21)); gate (B,);
    taught: (uv, depth, weight (B, 21)) of another teacher, or None; mask (B, 64, 64): the source's;
    true_mask (B, 64, 64): a label, or None."""

    pose: tuple[Tensor, Tensor]
    registered: tuple[Tensor, Tensor]
    gate: Tensor
    taught: tuple[Tensor, Tensor, Tensor] | None
    mask: Tensor | None = None
    true_mask: Tensor | None = None


class UnlabelledHalf:
    """A batch of the user's crops: x_U, T(x_U), and A(x_U) of those whose label counts."""

    def __init__(self, crops: CropSet, rows: np.ndarray, labels: Labels, size: int, config: FinetuneConfig, generator, device):
        self.config, self.labels = config, labels
        wide = wide_pictures(crops, rows, device)
        self._K = torch.from_numpy(crops.K_crop[rows]).float().to(device)
        self._valid = torch.from_numpy(crops.visible[rows]).to(device)
        self.pictures = [View.plain(len(rows), device).picture(wide, WIDE_GRID, size)]
        self._view, self._chosen = None, None
        if config.view_weight:
            self._view = _to(draw_perturbation(len(rows), config.views, generator), device)
            seen = self._view.picture(wide, WIDE_GRID, size)
            self.pictures.append(jitter(seen, config.colour) if config.perturb_colour else seen)
        counts = self._counts()
        if counts.any():
            self._chosen = torch.nonzero(counts).flatten()
            self._diverse = _to(draw_diversity(len(self._chosen), config.views, generator), device)
            self.pictures.append(jitter(self._diverse.picture(wide[self._chosen], WIDE_GRID, size), config.colour))

    def _counts(self) -> Tensor:
        """(B,) bool: crops that are trained on a label under diversity augmentation."""
        counts = (self.labels.gate > 0) & bool(self.config.pseudo_weight)
        if self.labels.taught is not None and self.config.teacher_weight:
            counts = counts | (self.labels.taught[2].sum(1) > 0)
        return counts

    def losses(self, answers: list[Answers], circles: CircleModel | None) -> Losses:
        """Eq. (6) and (9) on these crops, and the other teacher's loss."""
        config, plain = self.config, answers[0]
        seen = answers[1].last if self._view is not None else None
        known, own = self.labels.true_mask, self.labels.mask if config.fixed_masks else None
        mask = own if known is None else known
        terms = _consistency(plain.last, seen, self._view, self._K, self._valid, circles, config, mask, known)
        weight = self.labels.gate if config.gated_consistency else torch.ones_like(self.labels.gate)
        losses = {name: (weight * loss).mean() for name, loss in terms.items()}
        if config.pseudo_weight and config.ungated_registered:
            held = (1 - self.labels.gate) * self._to_label(plain, *self.labels.registered, config)
            losses["unsupervised"] = held.mean()
        if self._chosen is not None:
            for name, loss in self._on_diverse(answers[-1]).items():
                losses[name] = losses.get(name, 0.0) + loss
        return losses

    def _on_diverse(self, answers: Answers) -> Losses:
        config, rows, count = self.config, self._chosen, len(self.labels.gate)
        losses = {}
        if config.pseudo_weight:  # Eq. (6): the confident ones learn both, the label and its registration
            both = [self._moved(pose, rows) for pose in (self.labels.pose, self.labels.registered)]
            if not config.ungated_registered:
                both = both[:1]
            gate = self.labels.gate[rows]
            apart = sum(self._to_label(answers, uv, depth, config) for uv, depth in both)
            apart = apart + self._heatmaps(answers, both[0][0], torch.ones_like(both[0][1]), config)
            losses["unsupervised"] = (gate * apart).sum() / count
        if self.labels.taught is not None and config.teacher_weight:
            uv, depth, weight = (tensor[rows] for tensor in self.labels.taught)
            moved = self._diverse.pose(uv)
            flat = config if config.teacher_depth else replace(config, loss=replace(config.loss, depth_weight=0.0))
            taught = self._to_label(answers, moved, depth, flat, weight) + self._heatmaps(answers, moved, weight, config)
            losses["teacher"] = taught.sum() / count
        return losses

    def _moved(self, pose, rows):
        return self._diverse.pose(pose[0][rows]), pose[1][rows]

    @staticmethod
    def _heatmaps(answers: Answers, uv, weight, config) -> Tensor:
        """(B,): heatmaps toward another teacher's joints, as far as the supervised loss has such a term."""
        if not config.loss.heatmap_weight:
            return torch.zeros(len(uv), device=uv.device)
        entropy = sum(heatmap_cross_entropy(log_q, uv) for log_q in answers.log_q) / len(answers.log_q)
        share = config.loss.heatmap_weight / config.loss.pose_weight
        return share * (entropy * weight * within(uv)).sum(1) / uv.shape[1]

    @staticmethod
    def _to_label(answers: Answers, uv, depth, config, weight=None) -> Tensor:
        """(B,): l to a label, averaged over the stacks."""
        return sum(pose_loss(one, uv, depth, config.loss, weight) for one in answers.stacks) / len(answers.stacks)


def _consistency(plain, seen, view, K, valid, circles, config: FinetuneConfig, fixed_mask=None, true_mask=None) -> Losses:
    """Unweighted (B,) consistency terms of Eq. (9), those that are asked for; true_mask: w where it is known."""
    losses = {}
    if config.view_weight:
        losses["view"] = view_loss(plain, seen, view, config.loss, valid, config.stop_gradient, fixed_mask)
    if config.circles_weight:
        s_px = pixels_per_unit(plain.uv.detach(), plain.depth.detach(), K)
        options = CrossModalConfig(
            stride=config.circle_stride, skip_below_iou=config.skip_below_iou, free_joints=config.free_joints
        )
        mask = plain.mask_logits.sigmoid() if true_mask is None else true_mask
        losses["circles"] = circles.cross_modal(plain.uv, mask, s_px, valid, options)
    return losses


def _to(view: View, device) -> View:
    return View(view.matrix.to(device))
