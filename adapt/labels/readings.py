"""Pseudo-labels from many looks at a crop: the reading of the hand that most looks share (beyond the paper).

A network that is unsure between two readings of a hand, palm or back, index or middle finger, answers some views of the
picture with one and some with the other. Their mean is neither, and consistency alone commits to whichever comes first.
So each crop is seen through random views, and the label is the mean of those answers that agree: with each other, and in
2D with the landmark model's joints, which only choose among the network's own answers and never become a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...errors import SemihandError
from ...models.joints import PRIOR_BONE_LENGTHS
from ..frames.crops import CropSet
from .pseudo import Confidence, LabelConfig, PseudoLabels
from ..views import Poses, ViewConfig, draw_diversity, predict


@dataclass(frozen=True)
class ReadingConfig:
    """How a crop is looked at and its answers are brought together.

    looks: the plain one and random views. turn: degrees that views turn by at most. every: iterations from one round
    of looking to the next. remembered: former looks, the newest first, that are read along with the new ones. width:
    mean distance of joints, grid pixels, over which two answers stop being the same reading; unit_px: grid pixels
    that a unit bone of depth counts as in it. marks_scale: difference in distance to the landmark model's joints,
    shares of the hand's size, that divides an answer's weight by e; 0: the landmark model has no say. marks_slack,
    marks_fade: a label is doubted from this distance on, and by a factor e every `marks_fade`.
    """

    looks: int = 16
    remembered: int = 32
    turn: float = 40.0
    every: int = 2
    width: float = 3.0
    unit_px: float = 10.0
    marks_scale: float = 0.02
    marks_slack: float = 0.04
    marks_fade: float = 0.04

    def __post_init__(self):
        positive, not_negative = (self.width, self.marks_fade), (self.marks_scale, self.remembered)
        if self.looks < 2 or self.every < 1 or min(positive) <= 0 or min(not_negative) < 0:
            raise SemihandError(f"Readings need at least 2 looks, every >= 1 and positive widths, not {self}.")


@dataclass(frozen=True)
class Reading:
    """uv (N, 21, 2) on the plain crops' 64-grid, depth (N, 21) unit bones, sure (N,) in [0, 1]: how much of it is agreed;
    spread (N,) grid pixels: mean distance of all looks to it; far (N,): 2D distance to the landmark model's joints in
    shares of the hand, 0 where it saw none or has no say."""

    uv: np.ndarray
    depth: np.ndarray
    sure: np.ndarray
    spread: np.ndarray
    far: np.ndarray


def look(network, crops: CropSet, config: ReadingConfig, generator: torch.Generator, device) -> tuple[np.ndarray, np.ndarray]:
    """Answers to all looks, brought back to the plain crops: uv (V, N, 21, 2), depth (V, N, 21)."""
    plain = predict(network, crops, device)
    uv, depth = [plain.uv], [plain.depth]
    for _ in range(config.looks - 1):
        view = draw_diversity(len(crops), ViewConfig(turn=config.turn), generator)
        seen = predict(network, crops, device, view=view)
        uv.append(view.back(torch.from_numpy(seen.uv)).numpy())
        depth.append(seen.depth)
    return np.stack(uv), np.stack(depth)


def read(uv: np.ndarray, depth: np.ndarray, config: ReadingConfig, marks_uv: np.ndarray | None = None) -> Reading:
    """The reading that most looks share. uv (V, N, 21, 2), depth (V, N, 21); marks_uv (N, 21, 2): the landmark model's
    joints on the same grid, NaN where it saw no hand."""
    apart = _distances(uv, depth, config.unit_px)
    alike = np.exp(-apart / config.width)  # (V, V, N)
    rows, far = np.arange(uv.shape[1]), np.zeros(uv.shape[:2])
    if marks_uv is not None and config.marks_scale:
        far = _marks_distance(uv, marks_uv)
    told = np.exp(-(far - far.min(axis=0)) / config.marks_scale) if far.any() else np.ones_like(far)
    center = np.where(far.any(axis=0), far.argmin(axis=0), alike.mean(axis=1).argmax(axis=0))
    weight = alike[center, :, rows].T * told
    weight = weight / weight.sum(axis=0)
    doubted = np.exp(-np.maximum(far.min(axis=0) - config.marks_slack, 0) / config.marks_fade)
    sure = np.where(far.any(axis=0), doubted, alike.mean(axis=1).max(axis=0))
    together = ((weight[..., None, None] * uv).sum(0), (weight[..., None] * depth).sum(0))
    spread = _distances(uv, depth, config.unit_px, together).mean(axis=0)
    return Reading(*(np.float32(part) for part in (*together, sure, spread, far.min(axis=0))))


def _distances(uv: np.ndarray, depth: np.ndarray, unit_px: float, to=None) -> np.ndarray:
    """Mean distance of joints in grid pixels: of every look to every other (V, V, N), or to one pose each (V, N)."""
    points = np.concatenate([uv, unit_px * depth[..., None]], axis=-1)
    if to is not None:
        there = np.concatenate([to[0], unit_px * to[1][..., None]], axis=-1)
        return np.linalg.norm(points - there, axis=-1).mean(axis=-1)
    return np.stack([np.linalg.norm(points - one, axis=-1).mean(axis=-1) for one in points])


def _marks_distance(uv: np.ndarray, marks_uv: np.ndarray) -> np.ndarray:
    """(V, N) mean 2D distance to the landmark model's joints over the longer side of their box; 0 without them."""
    size = (marks_uv.max(axis=1) - marks_uv.min(axis=1)).max(axis=-1)
    far = np.linalg.norm(uv - marks_uv, axis=-1).mean(axis=-1) / size
    return np.where(np.isfinite(far), far, 0.0)


class ReadingLabels(PseudoLabels):
    """Pseudo-labels that are readings, renewed every few iterations; between them labels and gate stay.

    rows: the crops that are read, None for all. The others' labels are the network's answers, and no gate opens for them.
    """

    def __init__(self, crops: CropSet, config: LabelConfig, views: ViewConfig, seed: int = 0,
                 bone_lengths=PRIOR_BONE_LENGTHS, readings: ReadingConfig = ReadingConfig(), rows=None):  # fmt: skip
        super().__init__(crops, config, views, seed, bone_lengths)
        self.readings, self._judged, self._reading = readings, 0, None
        self._rows = np.arange(len(crops)) if rows is None else np.asarray(rows)
        self._read_crops, count = (crops if rows is None else crops.take(self._rows)), len(self._rows)
        self._looks = np.zeros((0, count, 21, 2), np.float32), np.zeros((0, count, 21), np.float32)

    def judge(self, network, device) -> Confidence:
        """Look again where it is time to. The view term is the looks' spread, the detector's term the distance to the
        landmark model's joints; both NaN for crops that are not read."""
        if self._judged % self.readings.every == 0:
            self._look(network, device)
        self._judged += 1
        if self._reading is None:
            self._reading = read(*self._looks, self.readings, self._read_crops.marks_uv)
        found = self._reading
        self.pose = self.registered = self._placed(found.uv, self.pose[0]), self._placed(found.depth, self.pose[1])
        spread, far = (self._placed(term, np.full(len(self.crops), np.nan, np.float32)) for term in (found.spread, found.far))
        nothing = np.zeros(len(self.crops), np.float32)
        return Confidence(spread, nothing, far, self._placed(found.sure, nothing))

    def _placed(self, values: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Values of the crops that are read among those of the others."""
        placed = others.copy()
        placed[self._rows] = values
        return placed

    def _look(self, network, device) -> None:
        new = look(network, self._read_crops, self.readings, self._generator, device)
        kept = self.readings.looks + self.readings.remembered
        self._looks = tuple(np.concatenate(pair)[:kept] for pair in zip(new, self._looks))
        self._reading = None

    def update(self, poses: Poses) -> None:
        """Labels of crops that are read change when they are looked at again."""
        uv, depth = (array[self._rows] for array in self.pose)
        self.pose = self.registered = self._placed(uv, poses.uv), self._placed(depth, poses.depth)

    def state(self) -> dict[str, np.ndarray]:
        """All that `restore` needs."""
        uv, depth = self._looks
        return super().state() | {"looks_uv": uv, "looks_depth": depth, "judged": np.array(self._judged)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        super().restore(state)
        self._looks, self._judged = (state["looks_uv"], state["looks_depth"]), int(state["judged"].item())
