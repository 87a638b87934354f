"""Following the one hand that is recorded: its landmarks in every picture, its side, and what other hands are about."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..tracker.crop import joint_distance, share_inside, tight_box
from ..tracker.detect import LandmarkResult
from ..tracker.find import Detector
from ..tracker.identity import HandednessVote, IdentityConfig
from ..tracker.observe import Landmarker
from ..tracker.palm import box_from_landmarks
from ..tracker.types import HandBox


@dataclass(frozen=True)
class FollowConfig:
    """When a hand is one.

    min_presence: of the landmark model; below it the hand is lost. min_inside: share of its box in the picture.
    min_size: pixels of its longer side. look_every: seconds between two looks for other hands. other_presence: of the
    landmark model for another hand, which must not be taken for one easily. same: mean joint distance (in hand sizes)
    below which two are one. max_hands: looked for at once. certain: evidence (a reading counts up to 1) that settles
    which hand is recorded.
    """

    min_presence: float = 0.5
    min_inside: float = 0.25
    min_size: float = 24.0
    look_every: float = 0.5
    other_presence: float = 0.8
    same: float = 0.35
    max_hands: int = 4
    certain: float = 1.5

    def __post_init__(self) -> None:
        if not (0 < self.min_presence <= 1 and self.max_hands >= 2 and self.look_every > 0):
            raise ValueError(f"Presence must lie in (0, 1], max_hands be 2 or more, look_every positive, not {self}.")


@dataclass(frozen=True)
class Sighting:
    """What one picture shows. marks: the followed hand's, None where there is none; side: which hand is recorded,
    None while that is open; others: sides of the further hands at the last look."""

    marks: LandmarkResult | None
    side: str | None
    others: tuple[str, ...] = ()


class HandFollower:
    """Runs the landmark model on every picture; the palm detector only where the hand is lost, and now and then."""

    def __init__(
        self, detector: Detector, landmarker: Landmarker, side: str | None = None, config: FollowConfig = FollowConfig()
    ) -> None:
        """side: "left" | "right" to follow that hand only, None for the first one seen."""
        self.config = config
        self._detector, self._landmarker = detector, landmarker
        self._side = side
        self._vote = HandednessVote(IdentityConfig(switch=config.certain))
        self.reset()

    def reset(self) -> None:
        """The next picture has nothing to do with the last one. Which hand is recorded stays."""
        self._box: HandBox | None = None
        self._others: tuple[str, ...] = ()
        self._contrary = 0
        self._looked = -np.inf

    def follow(self, image: np.ndarray, time: float) -> Sighting:
        """The hand in a picture (H, W, 3) uint8 BGR taken at `time` seconds."""
        marks = self._again(image) if self._box is not None else None
        if marks is None or time - self._looked >= self.config.look_every:
            marks = self._look(image, time, marks)
        self._box = None if marks is None else box_from_landmarks(marks.uv_image)
        if marks is not None:
            self._settle(marks)
        return Sighting(marks, self._side, self._others)

    def _again(self, image: np.ndarray) -> LandmarkResult | None:
        marks = self._landmarker(image, self._box)
        return marks if self._is_hand(image, marks) else None

    def _look(self, image: np.ndarray, time: float, followed: LandmarkResult | None) -> LandmarkResult | None:
        """Run the detector: find the hand where it is lost, and note the others."""
        self._looked = time
        hands = [] if followed is None else [followed]
        for box in self._detector.detect(image, self.config.max_hands):
            marks = self._landmarker(image, box)
            if self._is_hand(image, marks) and all(not self._same(marks, hand) for hand in hands):
                hands.append(marks)
        if not hands:
            self._others = ()
            return None
        chosen = followed or self._best(hands)
        others = [hand for hand in hands if hand is not chosen and hand.presence >= self.config.other_presence]
        self._others = tuple(hand.handedness for hand in others)
        return chosen

    def _best(self, hands: list[LandmarkResult]) -> LandmarkResult:
        """One of the recorded side, else any; of those the largest, which is the nearest."""

        def rank(hand: LandmarkResult):
            return (hand.handedness == self._side, max(tight_box(hand.uv_image)[2:]))

        return max(hands, key=rank)

    def _settle(self, marks: LandmarkResult) -> None:
        """Decide which hand is recorded, or let go of the other one after it was taken for it."""
        if self._side is None:
            self._vote.add(marks.handedness, marks.handedness_score)
            self._side = self._vote.leaning if self._vote.certain else None
            return
        self._contrary = self._contrary + 1 if marks.handedness != self._side else 0
        if self._contrary >= 5:  # look again: the right hand may be there too
            self._box, self._contrary, self._looked = None, 0, -np.inf

    def _is_hand(self, image: np.ndarray, marks: LandmarkResult) -> bool:
        if marks.presence < self.config.min_presence or not np.isfinite(marks.uv_image).all():
            return False
        height, width = image.shape[:2]
        large = max(tight_box(marks.uv_image)[2:]) >= self.config.min_size
        return large and share_inside(marks.uv_image, width, height) >= self.config.min_inside

    def _same(self, a: LandmarkResult, b: LandmarkResult) -> bool:
        return joint_distance(a.uv_image, b.uv_image) < self.config.same


def shifted(marks: LandmarkResult, offset: np.ndarray, scale: float = 1.0) -> LandmarkResult:
    """Landmarks of a picture as those of a part of it that begins at pixel `offset` (2,) and was scaled by `scale`."""
    uv = (marks.uv_image - offset + 0.5) * scale - 0.5
    return replace(marks, uv_image=uv, depth=marks.depth * scale)
