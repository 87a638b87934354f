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
from ..views import Poses, ViewConfig, draw_diversity, predict
from .pseudo import Confidence, LabelConfig, PseudoLabels

#: Views of a crop: the diversity augmentation with milder turns.
LOOKS = ViewConfig(turn=40.0)
#: Mean distance of joints, grid pixels, over which two answers stop being the same reading.
WIDTH = 3.0
#: Grid pixels that a unit bone of depth counts as in that distance.
UNIT_PX = 10.0
#: Difference in distance to the landmark model's joints, shares of the hand's size, that divides a vote by e.
MARKS_SCALE = 0.02
#: A label is doubted from this distance to them on, and by a factor e every so much.
MARKS_SLACK, MARKS_FADE = 0.04, 0.04


@dataclass(frozen=True)
class ReadingConfig:
    """How a crop is looked at and its answers are brought together.

    looks: the plain one and random views. every: iterations from one round of looking to the next. remembered: former
    looks, the newest first, that are read along with the new ones.
    """

    looks: int = 16
    remembered: int = 32
    every: int = 2

    def __post_init__(self):
        if self.looks < 2 or self.every < 1 or self.remembered < 0:
            raise SemihandError(f"Readings need at least 2 looks, every >= 1 and remembered >= 0, not {self}.")


@dataclass(frozen=True)
class Reading:
    """uv (N, 21, 2) on the plain crops' 64-grid, depth (N, 21) unit bones, sure (N,) in [0, 1]: how much of it is agreed;
    spread (N,) grid pixels: mean distance of all looks to it."""

    uv: np.ndarray
    depth: np.ndarray
    sure: np.ndarray
    spread: np.ndarray


def look(network, crops: CropSet, count: int, generator: torch.Generator, device) -> tuple[np.ndarray, np.ndarray]:
    """Answers to the plain crops and to random views of them, `count` in all, brought back to the plain crops.

    uv (V, N, 21, 2), depth (V, N, 21).
    """
    plain = predict(network, crops, device)
    uv, depth = [plain.uv], [plain.depth]
    for _ in range(count - 1):
        view = draw_diversity(len(crops), LOOKS, generator)
        seen = predict(network, crops, device, view=view)
        uv.append(view.back(torch.from_numpy(seen.uv)).numpy())
        depth.append(seen.depth)
    return np.stack(uv), np.stack(depth)


def vote(uv: np.ndarray, depth: np.ndarray, marks_uv: np.ndarray) -> Reading:
    """The reading that most looks share. uv (V, N, 21, 2), depth (V, N, 21); marks_uv (N, 21, 2): the landmark model's
    joints on the same grid, NaN where it saw no hand."""
    alike = np.exp(-_distances(uv, depth) / WIDTH)  # (V, V, N)
    rows, far = np.arange(uv.shape[1]), _marks_distance(uv, marks_uv)
    marked = far.any(axis=0)
    votes = np.exp(-(far - far.min(axis=0)) / MARKS_SCALE)
    center = np.where(marked, far.argmin(axis=0), alike.mean(axis=1).argmax(axis=0))
    weight = alike[center, :, rows].T * votes
    weight = weight / weight.sum(axis=0)
    doubted = np.exp(-np.maximum(far.min(axis=0) - MARKS_SLACK, 0) / MARKS_FADE)
    sure = np.where(marked, doubted, alike.mean(axis=1).max(axis=0))
    together = ((weight[..., None, None] * uv).sum(0), (weight[..., None] * depth).sum(0))
    spread = _distances(uv, depth, together).mean(axis=0)
    return Reading(*(np.float32(part) for part in (*together, sure, spread)))


def _distances(uv: np.ndarray, depth: np.ndarray, to=None) -> np.ndarray:
    """Mean distance of joints in grid pixels: of every look to every other (V, V, N), or to one pose each (V, N)."""
    points = np.concatenate([uv, UNIT_PX * depth[..., None]], axis=-1)
    if to is not None:
        there = np.concatenate([to[0], UNIT_PX * to[1][..., None]], axis=-1)
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
        """Look again where it is time to. The view term is the looks' spread, NaN for crops that are not read."""
        if self._judged % self.readings.every == 0:
            self._look(network, device)
        self._judged += 1
        if self._reading is None:
            self._reading = vote(*self._looks, self._read_crops.marks_uv)
        found = self._reading
        self.pose = self.registered = self._placed(found.uv, self.pose[0]), self._placed(found.depth, self.pose[1])
        spread = self._placed(found.spread, np.full(len(self.crops), np.nan, np.float32))
        nothing = np.zeros(len(self.crops), np.float32)
        return Confidence(spread, nothing, self._placed(found.sure, nothing))

    def _placed(self, values: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Values of the crops that are read among those of the others."""
        placed = others.copy()
        placed[self._rows] = values
        return placed

    def _look(self, network, device) -> None:
        new = look(network, self._read_crops, self.readings.looks, self._generator, device)
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
