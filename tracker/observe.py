"""What a box of a picture shows, by whoever can say: the network itself, or the landmark model beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..models.camera import default_intrinsics
from .estimate import Estimator, Hand, Network
from .identity import SIDES, other_side
from .types import HandBox


@dataclass(frozen=True)
class Observation:
    """What a box shows. uv_image (21, 2) pixels, meaningless where `presence` of a hand, in [0, 1], is low.

    handedness "left" | "right" of the person's real hand, with its probability in [0.5, 1].
    """

    uv_image: np.ndarray
    presence: float
    handedness: str
    handedness_score: float


class Landmarker(Protocol):
    """Says whether a box holds a hand, where its joints are and which hand it is (see `detect.HandLandmarker`)."""

    def __call__(self, image_bgr: np.ndarray, box: HandBox): ...


class Observer(Protocol):
    """Looks at boxes of a picture (H, W, 3) BGR with intrinsics K (3, 3).

    every_frame: the network says the same of every crop that it estimates, so tracked hands need no further checks.
    """

    every_frame: bool

    def __call__(self, image: np.ndarray, boxes: Sequence[HandBox], K: np.ndarray) -> list[Observation]: ...


class LandmarkObserver:
    """Asks the landmark model, for networks that do not say whether they see a hand."""

    every_frame = False

    def __init__(self, landmarker: Landmarker) -> None:
        self._landmarker = landmarker

    def __call__(self, image: np.ndarray, boxes: Sequence[HandBox], K: np.ndarray) -> list[Observation]:
        """One run of the landmark model a box; K is not needed."""
        marks = [self._landmarker(image, box) for box in boxes]
        return [Observation(one.uv_image, one.presence, one.handedness, one.handedness_score) for one in marks]


class NetworkObserver:
    """Asks the network: one batch, each box as it is and mirrored, or as its `handedness` says where that is known."""

    every_frame = True

    def __init__(self, model: Network) -> None:
        self._estimator = Estimator(model)

    def __call__(self, image: np.ndarray, boxes: Sequence[HandBox], K: np.ndarray) -> list[Observation]:
        """Of both ways the one counts in which the hand looks more like a right one."""
        sides = [(box.handedness,) if box.handedness else SIDES for box in boxes]
        ways = [replace(box, handedness=side) for box, two in zip(boxes, sides) for side in two]
        hands = iter(self._estimator(image, ways, K))
        return [_observation([next(hands) for _ in two]) for two in sides]


def _observation(ways: list[Hand]) -> Observation:
    best, *others = sorted(ways, key=lambda hand: -hand.estimate.right)
    fits = float(np.mean([best.estimate.right, *(1 - hand.estimate.right for hand in others)]))
    side = best.box.handedness
    return Observation(
        uv_image=best.uv_image,
        presence=best.estimate.presence,
        handedness=side if fits >= 0.5 else other_side(side),
        handedness_score=max(fits, 1 - fits),
    )


def has_verdict(model: Network) -> bool:
    """Whether a network says of every crop if it shows a hand, and which."""
    return {"presence", "right"} <= set(getattr(model, "outputs", ()))


def observer_for(model: Network, landmarker: Landmarker) -> Observer:
    """The network itself where it can say what a box shows, else the landmark model, which is not touched before."""
    return NetworkObserver(model) if has_verdict(model) else LandmarkObserver(landmarker)


def warm_up(model: Network, landmarker: Landmarker) -> None:
    """Let whoever observes beside this network look once, because the first look is slow."""
    picture, box = np.zeros((64, 64, 3), np.uint8), HandBox(np.array([32.0, 32.0]), 64.0)
    observer_for(model, landmarker)(picture, [box], default_intrinsics(64, 64))
