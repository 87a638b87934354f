"""Second opinions about a tracked hand: the same model on crops a little off, and the landmark model.

A model that knows where a hand is says the same of a crop that is moved, turned or scaled. The crops here are cut from
the picture as the tracker cuts its own, so nothing but the box differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians

import numpy as np

from ...models.camera import GRID
from ...tracker.detect import HandDetector, HandLandmarker
from ...tracker.estimate import Estimator, Hand
from ...tracker.palm import box_from_landmarks, rotation
from ...tracker.types import HandBox

#: Presence from which the landmark model sees a hand.
MIN_PRESENCE = 0.5
#: Hand sizes up to which two readings are of the same hand.
SAME = 1.0


@dataclass(frozen=True)
class Change:
    """How a box is changed. shift: grid pixels of the crop; turn: degrees clockwise; scale: of the side."""

    kind: str
    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    scale: float = 1.0


#: Small changes are those of the method's perturbation (5 grid pixels, 2 degrees, right angles); "turn" is a mild
#: version of what its training pictures go through.
CHANGES = (
    Change("shift", (4.0, 3.0)), Change("shift", (-4.0, -3.0)),
    Change("tilt", turn=2.0), Change("tilt", turn=-2.0),
    Change("turn", turn=25.0, scale=0.85), Change("turn", turn=-25.0, scale=1.2),
    Change("quarter", turn=90.0), Change("quarter", turn=180.0), Change("quarter", turn=270.0),
)  # fmt: skip
KINDS = tuple(dict.fromkeys(change.kind for change in CHANGES))
#: Those that a tracker's own crops go through from frame to frame. It turns its crops with the hand, so right angles,
#: which tell what a network has learned, do not happen to it.
USUAL = ("shift", "tilt", "turn")


def changed(box: HandBox, change: Change) -> HandBox:
    """The box after a change."""
    move = rotation(box.roll) @ np.array(change.shift) * (box.side / GRID)
    return replace(box, center=box.center + move, side=box.side * change.scale, roll=box.roll + radians(change.turn))


@dataclass(frozen=True)
class Views:
    """A model's answers on one hand. plain: on the box itself. uv (V, 21, 2): picture pixels, of every one of CHANGES.

    distance (V,): mean distance to the plain answer over the hand's size, of the joints that both crops show; NaN where
    there are none.
    """

    plain: Hand
    uv: np.ndarray
    distance: np.ndarray

    def of(self, kind: str) -> float:
        """Mean distance over the changes of one kind; NaN where no joint is shown."""
        return _mean(self.distance[[change.kind == kind for change in CHANGES]])

    @property
    def mean(self) -> float:
        """Mean over the usual kinds."""
        return _mean(np.array([self.of(kind) for kind in USUAL]))

    @property
    def worst(self) -> np.ndarray:
        """(21, 2): the answer to a usual change that is furthest from the plain one."""
        usual = np.array([change.kind in USUAL for change in CHANGES])
        return self.uv[int(np.argmax(np.where(usual & np.isfinite(self.distance), self.distance, -1.0)))]


def look(estimator: Estimator, image: np.ndarray, box: HandBox, K: np.ndarray) -> Views:
    """The model's answers on a hand's box in a picture (H, W, 3) BGR and on its changes, in one batch."""
    plain, *others = estimator(image, [box, *(changed(box, change) for change in CHANGES)], K)
    size = max(float(np.ptp(plain.uv_image, axis=0).max()), 1.0)
    uv = np.stack([other.uv_image for other in others])
    apart = np.linalg.norm(uv - plain.uv_image, axis=-1) / size
    shown = np.stack([_inside(other.crop.uv_to_crop(plain.uv_image)) for other in others])
    return Views(plain, uv, np.array([_mean(row[seen]) for row, seen in zip(apart, shown)]))


class LandmarkReader:
    """The landmark model's joints of all hands in a picture, found without any tracker."""

    def __init__(self, detector=None, landmarker=None, hands: int = 2) -> None:
        self._detector, self._landmarker = detector or HandDetector(), landmarker or HandLandmarker()
        self._hands = hands

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Joints (21, 2) in pixels of the hands in a picture (H, W, 3) BGR.

        Each is looked at twice: in the detector's box, and in one round its own joints.
        """
        found = []
        for box in self._detector.detect(image, self._hands):
            for _ in range(2):
                marks = self._landmarker(image, box)
                if marks.presence < MIN_PRESENCE:
                    break
                box = box_from_landmarks(marks.uv_image)
            else:
                found.append(marks.uv_image)
        return found


def agreement(uv: np.ndarray, readings: list[np.ndarray]) -> tuple[float, np.ndarray | None]:
    """Mean distance of joints (21, 2) to the nearest reading over that hand's size, and the reading; NaN and None where
    none is of the same hand."""
    apart = [np.linalg.norm(uv - marks, axis=-1).mean() / max(np.ptp(marks, axis=0).max(), 1.0) for marks in readings]
    if not apart or min(apart) > SAME:
        return float("nan"), None
    nearest = int(np.argmin(apart))
    return float(apart[nearest]), readings[nearest]


def _inside(uv: np.ndarray) -> np.ndarray:
    return ((uv >= -0.5) & (uv <= GRID - 0.5)).all(axis=-1)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
