"""The landmark model's joints of a hand in a picture, and how sure they are.

One answer depends on the box it was asked with. So the model looks again at a box round its own joints, plainly, in a
mirror, and, where more draws are wanted, at boxes a little off; the answers' mean is better and their spread says how
much they can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.joints import NUM_JOINTS
from ...models.lifting import bone_lengths
from ...tracker.detect import HandDetector, HandLandmarker, LandmarkResult
from ...tracker.palm import box_from_landmarks
from ...tracker.types import HandBox

MIN_PRESENCE = 0.5
#: Looks after the first one. The mirror image counts most; beyond four the mean hardly gets better.
DRAWS = 2
#: Boxes of further draws in the order they are taken: shift (shares of the side), logarithm of scale, turn (radians).
#: The first two are the plain box and its mirror image; those that follow come in opposite pairs.
_OFF = (
    (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0),
    (0.03, 0.02, 0.05, 0.10), (-0.03, -0.02, -0.05, -0.10),
    (-0.02, 0.03, 0.03, -0.12), (0.02, -0.03, -0.03, 0.12),
    (0.04, -0.01, -0.04, 0.05), (-0.04, 0.01, 0.04, -0.05),
    (0.01, 0.04, -0.06, -0.08), (-0.01, -0.04, 0.06, 0.08),
)  # fmt: skip
MAX_DRAWS = len(_OFF)


@dataclass(frozen=True)
class Landmarks:
    """Joints of one hand as the landmark model sees them.

    uv_image (21, 2) pixels; depth (21,) pixels away from the camera, near 0 at the wrist; presence in [0, 1];
    handedness "left" | "right" of the person's real hand; spread (21,) pixels: standard deviation of the joints over
    the draws, 0 where there was one look.
    """

    uv_image: np.ndarray
    depth: np.ndarray
    presence: float
    handedness: str
    spread: np.ndarray


class LandmarkObserver:
    """Finds the hands of a still picture and reads their joints.

    draws: looks after the first one, 0 to 10; each costs a run of the landmark model (about 8 ms on two free cores).
    Raises ValueError on other numbers.
    """

    def __init__(
        self, detector: HandDetector | None = None, landmarker: HandLandmarker | None = None, max_hands: int = 2,
        draws: int = DRAWS,
    ):  # fmt: skip
        if not 0 <= draws <= MAX_DRAWS:
            raise ValueError(f"draws must lie between 0 and {MAX_DRAWS}, got {draws}")
        self._detector, self._landmarker = detector or HandDetector(), landmarker or HandLandmarker()
        self._max_hands, self._draws = max_hands, draws

    def __call__(self, image: np.ndarray) -> list[Landmarks]:
        """Hands of a BGR picture (H, W, 3) uint8, the surest first."""
        found = [self._landmarker(image, box) for box in self._detector.detect(image, self._max_hands)]
        landmarks = [self._settle(image, one) for one in found if one.presence >= MIN_PRESENCE]
        return sorted(landmarks, key=lambda one: -one.presence)

    def refine(self, image: np.ndarray, landmarks: Landmarks) -> Landmarks:
        """A hand whose joints are known already, read again; the same landmarks where the model sees no hand there.

        Handedness stays: whoever recorded it has seen more than one picture.
        """
        first = self._landmarker(image, box_from_landmarks(landmarks.uv_image))
        if first.presence < MIN_PRESENCE:
            return landmarks
        seen = self._settle(image, first)
        return Landmarks(seen.uv_image, seen.depth, seen.presence, landmarks.handedness, seen.spread)

    def near(self, image: np.ndarray, uv_image: np.ndarray, known: Landmarks | None = None) -> Landmarks | None:
        """The hand at these joints (21, 2) pixels, where somebody else sees one: the surer one of what the landmark
        model says there and `known`. The palm detector, which misses many hands that fill the picture, has no part."""
        first = self._landmarker(image, box_from_landmarks(uv_image))
        if first.presence < MIN_PRESENCE:
            return known
        seen = self._settle(image, first)
        return seen if known is None or seen.presence > known.presence else known

    def _settle(self, image: np.ndarray, first: LandmarkResult) -> Landmarks:
        """The mean of the draws' answers; the first answer where there are none."""
        box, looks = box_from_landmarks(first.uv_image), []
        mirror = np.ascontiguousarray(image[:, ::-1]) if self._draws > 1 else None
        for draw in range(self._draws):
            moved = _moved(box, _OFF[draw])
            look = self._in_mirror(mirror, moved) if draw % 2 else self._landmarker(image, moved)
            looks += [look] if look.presence >= MIN_PRESENCE else []
        return _mean(looks or [first])

    def _in_mirror(self, mirror: np.ndarray, box: HandBox) -> LandmarkResult:
        """What the model says of the mirrored picture, in the coordinates of the picture itself."""
        last = mirror.shape[1] - 1
        seen = self._landmarker(mirror, HandBox(np.array([last - box.center[0], box.center[1]]), box.side, -box.roll))
        uv = np.column_stack([last - seen.uv_image[:, 0], seen.uv_image[:, 1]])
        handedness = "left" if seen.handedness == "right" else "right"
        world = seen.xyz_world * (-1.0, 1.0, 1.0)
        return LandmarkResult(uv, seen.depth, seen.presence, handedness, seen.handedness_score, world)


def depth_of(result: LandmarkResult) -> np.ndarray:
    """Depth (21,) in pixels, 0 at the wrist: the mean of the model's two answers.

    Its depth beside the pixels and that of its joints in metres, brought to the same size of the hand, err in
    different ways.
    """
    beside = result.depth - result.depth[0]
    size = np.linalg.norm(bone_lengths(np.column_stack([result.uv_image, beside])))
    metric = result.xyz_world[:, 2] - result.xyz_world[0, 2]
    return (beside + metric * size / max(np.linalg.norm(bone_lengths(result.xyz_world)), 1e-9)) / 2


def _mean(looks: list[LandmarkResult]) -> Landmarks:
    uv = np.array([look.uv_image for look in looks])
    votes = sum(look.handedness_score if look.handedness == "right" else 1 - look.handedness_score for look in looks)
    return Landmarks(
        uv.mean(0),
        np.mean([depth_of(look) for look in looks], axis=0),
        float(np.mean([look.presence for look in looks])),
        "right" if votes >= len(looks) / 2 else "left",
        np.sqrt(uv.var(axis=0).sum(-1)) if len(looks) > 1 else np.zeros(NUM_JOINTS),
    )


def _moved(box: HandBox, off: tuple[float, float, float, float]) -> HandBox:
    shift_u, shift_v, scale, turn = off
    center = box.center + box.side * np.array([shift_u, shift_v])
    return HandBox(center, box.side * float(np.exp(scale)), box.roll + turn)
