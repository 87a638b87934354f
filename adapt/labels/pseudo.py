"""Pseudo-labels of the user's frames: their confidence, which of them count, and how they are corrected.

| here         | paper | meaning                                                            |
|--------------|-------|--------------------------------------------------------------------|
| pose         | p̂     | pseudo-label                                                       |
| registered   | r     | its registration P(p̂) to the hand's bone lengths                   |
| view_term    | C     | l(T(p̂), f(T(x))): does another view of the picture say the same?   |
| bone_term    | C     | l(p̂, P(p̂)): does it look like a hand?                              |
| gate         | 1(.)  | how much each picture's label counts                               |
| tau          | τ     | threshold of the confidence (low C is confident)                   |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...errors import SemihandError
from ...models.joints import PRIOR_BONE_LENGTHS
from ...models.registration import estimate_template, register
from ...train.losses import on_grid
from ..frames.crops import CropSet
from ..views import Poses, ViewConfig, draw_perturbation, predict

GATES = ("absolute", "quantile")


@dataclass(frozen=True)
class LabelConfig:
    """How pseudo-labels are made and chosen.

    gate "absolute": C <= tau, as in the paper; "quantile": the surest `share` of the pictures. register False: labels
    keep their own bone lengths. own_template: bone lengths estimated from this person's sure frames instead of the
    prior. depth_weight: λ_d of C's own distance, isotropic at crop factor 2.
    """

    gate: str = "absolute"
    tau: float = 1.5
    share: float = 0.5
    register: bool = True
    own_template: bool = False
    depth_weight: float = 50.0

    def __post_init__(self):
        if self.gate not in GATES:
            raise SemihandError(f"Gate {self.gate!r} is unknown: {', '.join(GATES)}.")
        if not 0 < self.share <= 1:
            raise SemihandError(f"The share of sure labels is above 0 and at most 1, not {self.share}.")


@dataclass(frozen=True)
class Confidence:
    """C of every picture and its terms, (N,) each; low is sure. gate (N,) in [0, 1]."""

    view_term: np.ndarray
    bone_term: np.ndarray
    gate: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """C (N,), Eq. (8)."""
        return self.view_term + self.bone_term


def distance(uv_a, depth_a, uv_b, depth_b, depth_weight: float, keep=None) -> np.ndarray:
    """l of Eq. (2) for each hand, (N,): squared, mean over the joints kept; arrays as in Poses."""
    per_joint = ((uv_a - uv_b) ** 2).sum(-1) + depth_weight * (depth_a - depth_b) ** 2
    if keep is None:
        return per_joint.mean(-1)
    return (per_joint * keep).sum(-1) / np.maximum(keep.sum(-1), 1)


class PseudoLabels:
    """The labels of one adaptation, in crop coordinates. pose and registered: (uv (N, 21, 2), depth (N, 21));
    mask (N, 64, 64): the source's, which is not corrected."""

    def __init__(
        self, crops: CropSet, config: LabelConfig, views: ViewConfig, seed: int = 0, bone_lengths=PRIOR_BONE_LENGTHS
    ):
        self.crops, self.config, self.views = crops, config, views
        self.bone_lengths = np.asarray(bone_lengths, float)
        self._generator = torch.Generator().manual_seed(seed)

    def start(self, poses: Poses) -> None:
        """The network's own answers are the first labels."""
        if self.config.own_template:
            sure = poses.confidence.mean(1)
            weight = sure * (sure >= np.quantile(sure, 0.5))
            self.bone_lengths = estimate_template(poses.uv, poses.depth, self.crops.K_crop, weight, self.bone_lengths)
        self.pose, self.mask = (poses.uv, poses.depth), poses.mask
        self.registered = self._register(self.pose)

    def update(self, poses: Poses) -> None:
        """Correct the labels with new answers: Eq. (7) is least halfway between the answer and the last registration."""
        uv_r, depth_r = self.registered
        self.pose = (poses.uv + uv_r) / 2, (poses.depth + depth_r) / 2
        self.registered = self._register(self.pose)

    def _register(self, pose):
        if not self.config.register:
            return pose
        uv, depth = register(*pose, self.crops.K_crop, self.bone_lengths)
        return uv.astype(np.float32), depth.astype(np.float32)

    def judge(self, network, device) -> Confidence:
        """C of every label under a fresh random view, Eq. (8), and the gate that follows from it."""
        (uv, depth), (uv_r, depth_r), weight = self.pose, self.registered, self.config.depth_weight
        view = draw_perturbation(len(self.crops), self.views, self._generator)
        seen = predict(network, self.crops, device, view=view)
        moved = view.pose(torch.from_numpy(uv)).numpy()
        view_term = distance(moved, depth, seen.uv, seen.depth, weight, on_grid(moved))
        bone_term = distance(uv, depth, uv_r, depth_r, weight)
        return Confidence(view_term, bone_term, self._gate(view_term + bone_term))

    def _gate(self, cost: np.ndarray) -> np.ndarray:
        """Eq. (6)'s indicator, or what stands for it."""
        if self.config.gate == "absolute":
            return (cost <= self.config.tau).astype(np.float32)
        return (cost <= np.quantile(cost, self.config.share)).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs."""
        return {
            "uv": self.pose[0], "depth": self.pose[1], "uv_registered": self.registered[0],
            "depth_registered": self.registered[1], "bone_lengths": self.bone_lengths, "mask": self.mask,
            "generator": self._generator.get_state().numpy(),
        }  # fmt: skip

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        self.pose, self.registered = (state["uv"], state["depth"]), (state["uv_registered"], state["depth_registered"])
        self.bone_lengths, self.mask = state["bone_lengths"], state["mask"]
        self._generator.set_state(torch.from_numpy(state["generator"]))
