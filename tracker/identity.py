"""Which hand is which: left or right by vote, ids that outlive a short loss, and two tracks on one hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from .crop import joint_distance, overlap

SIDES = ("left", "right")


@dataclass(frozen=True)
class IdentityConfig:
    """Votes and ids.

    A vote of probability p for a side counts 2 p - 1. switch: evidence for the other side at which a label changes;
    limit: evidence kept at most, so that a wrong start can be outvoted; drift: share of the way to limit (2 p - 1) that
    a tracked frame's own reading moves it, as a hundred frames of one hand are no hundred witnesses; memory_s: how long
    a lost hand's id waits; near: how far from its last place (in hand sizes) it may come back; same_distance,
    same_overlap: hands with joints or boxes this close are one.
    """

    switch: float = 1.5
    limit: float = 4.0
    drift: float = 0.05
    memory_s: float = 0.5
    near: float = 1.0
    same_distance: float = 0.35
    same_overlap: float = 0.6


def other_side(side: str) -> str:
    """ "left" for "right" and the other way round."""
    return SIDES[1 - SIDES.index(side)]


class HandednessVote:
    """The evidence for left or right over a track's life, and the label it carries."""

    def __init__(self, config: IdentityConfig = IdentityConfig()) -> None:
        self.config = config
        self.count = 0
        self.label: str | None = None
        self._right = 0.0  # evidence for right, minus that for left

    def add(self, side: str, probability: float) -> None:
        """One reading: `side` with its probability in [0.5, 1]. The label moves in `settle` only."""
        weight = 2 * min(max(probability, 0.5), 1.0) - 1
        signed = weight if side == "right" else -weight
        self._right = min(max(self._right + signed, -self.config.limit), self.config.limit)
        self.count += 1

    def add_frame(self, side: str, probability: float) -> None:
        """A tracked frame's reading: `side` with its probability in [0, 1]. Also moves the label in `settle` only."""
        toward = self.config.limit * (2 * probability - 1) * (1 if side == "right" else -1)
        self._right += self.config.drift * (toward - self._right)

    def evidence(self, side: str) -> float:
        """Evidence for `side`; negative where the other side has more."""
        return self._right if side == "right" else -self._right

    @property
    def leaning(self) -> str:
        """The side with more evidence."""
        return "right" if self._right > 0 else "left"

    @property
    def certain(self) -> bool:
        """Whether the evidence is clear enough to change a label, or to keep it against a pair's other hand."""
        return abs(self._right) >= self.config.switch

    def settle(self) -> str:
        """The label after the votes so far: the first leaning, later the other side only with a clear majority."""
        if self.label is None or (self.certain and self.leaning != self.label):
            self.label = self.leaning
        return self.label


def settle_sides(votes: Sequence[HandednessVote], fixed: int = 0) -> None:
    """Settle the labels of all hands in a picture; those of the first `fixed` hands stay as they are.

    Of two hands with one label, the less certain takes the other side, unless it is certain: two people's right
    hands are two rights, but one person has not two.
    """
    for vote in votes[fixed:]:
        vote.settle()
    if len(votes) == 2 and fixed < 2 and votes[0].label == votes[1].label:
        label = votes[0].label
        weaker = min(votes[fixed:], key=lambda vote: vote.evidence(label))
        if not weaker.certain:
            weaker.label = other_side(label)


@dataclass(frozen=True)
class LostHand:
    """What is remembered of a lost hand: id, when and where it was last seen (uv_image (21, 2)), its vote."""

    id: int
    time: float
    uv_image: np.ndarray
    vote: HandednessVote


class Ids:
    """Gives ids; a hand that comes back soon and near gets its own."""

    def __init__(self, config: IdentityConfig = IdentityConfig()) -> None:
        self.config = config
        self._next = 1
        self._lost: list[LostHand] = []

    def forget(self, hand: LostHand) -> None:
        """A hand was lost: keep its id for a while."""
        self._lost.append(hand)

    def new(self) -> int:
        """An id that no hand had before."""
        self._next += 1
        return self._next - 1

    def waiting(self, time: float) -> bool:
        """Whether a hand was lost a short while ago."""
        return any(time - hand.time <= self.config.memory_s for hand in self._lost)

    def recall(self, uv_image: np.ndarray, side: str, time: float) -> LostHand | None:
        """The lost hand that the hand found at uv_image (21, 2) is, or None; it is no longer lost then.

        Of several, one of the same side first, then the nearest: two hands lost together come back as themselves.
        """
        self._lost = [hand for hand in self._lost if time - hand.time <= self.config.memory_s]
        far = {hand.id: _center_distance(hand.uv_image, uv_image) for hand in self._lost}
        near = [hand for hand in self._lost if far[hand.id] <= self.config.near]
        best = min(near, key=lambda hand: (hand.vote.label != side, far[hand.id]), default=None)
        if best is not None:
            self._lost.remove(best)
        return best


class Relation(Enum):
    """What two sets of joints are to each other. NEAR: two hands, or one of which one set has lost the outline."""

    APART = 0
    NEAR = 1
    SAME = 2


def relation(uv_a: np.ndarray, uv_b: np.ndarray, config: IdentityConfig = IdentityConfig()) -> Relation:
    """Whether two sets of joints (21, 2) are one hand: their joints, or their boxes, lie on each other."""
    if joint_distance(uv_a, uv_b) < config.same_distance or overlap(uv_a, uv_b) > config.same_overlap:
        return Relation.SAME
    return Relation.NEAR if _center_distance(uv_a, uv_b) <= config.near else Relation.APART


def _center_distance(uv_a: np.ndarray, uv_b: np.ndarray) -> float:
    """Distance of the two hands' means over the larger hand's size."""
    size = max(float(np.ptp(uv_a, axis=0).max()), float(np.ptp(uv_b, axis=0).max()), 1.0)
    return float(np.hypot(*(uv_a.mean(axis=0) - uv_b.mean(axis=0)))) / size
