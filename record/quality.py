"""Which frames of a recording are kept: without labels, and each rejection with its reason."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ..tracker.crop import tight_box
from ..tracker.detect import LandmarkResult
from ..tracker.palm import STEADY_JOINTS
from .follow import Sighting

#: Reasons in the order in which they are asked, and how a summary says them of a number of frames.
REASONS = {
    "no hand": "without a hand",
    "other hand": "with the other hand",
    "several hands": "with further hands",
    "cut off": "with a hand cut off by the picture's edge",
    "doubtful": "where the detector doubts the hand",
    "side unsure": "where left or right is unsure",
    "disagreement": "where detector and model see different joints",
    "blurred": "blurred",
    "duplicate": "like others",
    "not needed": "more than needed",
}
#: Pixels of the palm at which sharpness is measured; smaller hands are measured as they are.
_SHARP_PALM = 40.0
_THUMB = 24


@dataclass(frozen=True)
class QualityConfig:
    """When a frame is left out.

    min_presence, min_side: of the landmark model's presence and handedness. max_outside: joints outside the picture.
    edge: pixels of the picture's rim that count as outside. max_disagreement: mean joint distance of landmark model
    and network in hand sizes. blurred: share of the running sharpness (its `level_quantile` over the last `memory`
    hands, from the `warm_up`-th on) below which a frame is blurred. same_joints: mean joint distance in hand sizes,
    same_picture: mean difference in grey levels, same_size: ratio of sizes, all below which a frame repeats a kept one.
    """

    min_presence: float = 0.8
    min_side: float = 0.7
    max_outside: int = 1
    edge: float = 1.0
    max_disagreement: float = 0.5
    blurred: float = 0.5
    level_quantile: float = 0.7
    memory: int = 120
    warm_up: int = 8
    same_joints: float = 0.008
    same_picture: float = 2.5
    same_size: float = 1.1

    def __post_init__(self) -> None:
        shares = (self.min_presence, self.min_side, self.blurred, self.level_quantile)
        if not all(0 <= share <= 1 for share in shares) or self.warm_up < 1 or self.memory < self.warm_up:
            raise ValueError(f"Shares must lie in [0, 1] and 1 <= warm_up <= memory, not {self}.")


@dataclass(frozen=True)
class HandLook:
    """How a hand looks. sharpness: see `sharpness`; joints (21, 2): centred, in hand sizes; size: of the joints' box
    in pixels; thumb (24, 24) float32: its picture, small and grey."""

    sharpness: float
    joints: np.ndarray
    size: float
    thumb: np.ndarray


def hand_look(image: np.ndarray, uv_image: np.ndarray) -> HandLook:
    """How the hand with joints uv_image (21, 2) looks in a picture (H, W, 3) uint8 BGR."""
    x, y, width, height = tight_box(uv_image)
    center, size = np.array([x + width / 2, y + height / 2]), max(width, height, 1.0)
    side = 1.2 * size
    grey = _grey_square(image, center, side)
    thumb = cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.float32)
    # All poses at one scale: that of the palm, which a fist has as large as an open hand.
    scale = _SHARP_PALM / max(*tight_box(uv_image[list(STEADY_JOINTS)])[2:], 1.0)
    if scale < 1 and min(grey.shape) * scale >= _THUMB:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return HandLook(sharpness(grey), (uv_image - center) / size, size, thumb)


def sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) over the energy of the gradient: low where all is blurred.

    Deviation: the variance alone counts edges, and a sharp fist has fewer of them than a blurred open hand.
    """
    picture = grey.astype(np.float32)
    laplacian = cv2.Laplacian(picture, cv2.CV_32F)
    dx, dy = cv2.Sobel(picture, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(picture, cv2.CV_32F, 0, 1) / 8
    # One grey level a pixel is noise, and keeps an even surface from dividing by zero.
    return float(laplacian.var() / ((dx * dx + dy * dy).mean() + 1.0))


class Quality:
    """Judges frame after frame against what was seen and kept before. `counts`: rejected frames by reason."""

    def __init__(self, config: QualityConfig = QualityConfig()) -> None:
        self.config = config
        self.kept = 0
        self.counts: Counter[str] = Counter()
        self._levels: deque[float] = deque(maxlen=config.memory)
        self._looks: list[tuple[int, HandLook]] = []

    @property
    def seen(self) -> int:
        """Frames judged so far."""
        return self.kept + self.counts.total()

    def judge(
        self,
        image: np.ndarray,
        sighting: Sighting,
        segment: int = 0,
        wanted: bool = True,
        disagreement: Callable[[], float] | None = None,
    ) -> HandLook | str:
        """The hand's look where the frame is to be kept, else the reason (a key of REASONS).

        image (H, W, 3) uint8 BGR; wanted: whether one more frame is of use now; disagreement: asked, only where all
        else is well, how far network and landmark model are apart (in hand sizes).
        """
        verdict = self._judge(image, sighting, wanted, disagreement)
        if isinstance(verdict, str):
            self.counts[verdict] += 1
        else:
            self.kept += 1
            self._looks.append((segment, verdict))
        return verdict

    def forget_from(self, segment: int) -> None:
        """Frames of this and later segments are taken back: they count no more, and may come again."""
        before = len(self._looks)
        self._looks = [entry for entry in self._looks if entry[0] < segment]
        self.kept -= before - len(self._looks)

    def _judge(self, image, sighting, wanted, disagreement) -> HandLook | str:
        marks = sighting.marks
        if marks is None:
            return "no hand"
        reason = self._doubt(marks, sighting, image.shape[1], image.shape[0])
        if reason:
            return reason
        look = hand_look(image, marks.uv_image)
        if self._blurred(look.sharpness):
            return "blurred"
        if not wanted:
            return "not needed"
        if self._repeats(look):
            return "duplicate"
        if disagreement is not None and not disagreement() <= self.config.max_disagreement:
            return "disagreement"
        return look

    def _doubt(self, marks: LandmarkResult, sighting: Sighting, width: int, height: int) -> str | None:
        if marks.handedness_score >= self.config.min_side and sighting.side not in (None, marks.handedness):
            return "other hand"
        if len(sighting.others) > 1 or sighting.side in sighting.others:
            return "several hands"
        if self._outside(marks.uv_image, width, height) > self.config.max_outside:
            return "cut off"
        if marks.presence < self.config.min_presence:
            return "doubtful"
        if marks.handedness_score < self.config.min_side or sighting.side is None:
            return "side unsure"
        return None

    def _outside(self, uv_image: np.ndarray, width: int, height: int) -> int:
        """Joints outside the picture or on its rim."""
        low, high = self.config.edge, np.array([width, height]) - 1 - self.config.edge
        return int(((uv_image < low) | (uv_image > high)).any(axis=1).sum())

    def _blurred(self, value: float) -> bool:
        """Against the hand's own usual sharpness, which depends on camera, light and skin."""
        self._levels.append(value)
        if len(self._levels) < self.config.warm_up:
            return False
        return value < self.config.blurred * float(np.quantile(self._levels, self.config.level_quantile))

    def _repeats(self, look: HandLook) -> bool:
        """Whether joints, size and picture are all near those of one kept frame."""
        if not self._looks:
            return False
        kept = [entry for _, entry in self._looks]
        apart = np.linalg.norm(np.stack([one.joints for one in kept]) - look.joints, axis=-1).mean(axis=-1)
        for index in np.flatnonzero(apart < self.config.same_joints):
            other = kept[index]
            ratio = max(other.size, look.size) / min(other.size, look.size)
            if ratio < self.config.same_size and np.abs(other.thumb - look.thumb).mean() < self.config.same_picture:
                return True
        return False

    def sentence(self) -> str:
        """How many frames were kept, and why the others were not."""
        parts = [f"{self.counts[reason]} {words}" for reason, words in REASONS.items() if self.counts[reason]]
        why = f"; left out: {', '.join(parts)}" if parts else ""
        return f"{self.kept} of {self.seen} frames kept{why}."


def _grey_square(image: np.ndarray, center: np.ndarray, side: float) -> np.ndarray:
    """The square round `center`, as far as the picture goes, grey."""
    low = np.clip(np.floor(center - side / 2), 0, np.array(image.shape[1::-1]) - 2).astype(int)
    high = np.clip(np.ceil(center + side / 2), low + 2, image.shape[1::-1]).astype(int)
    return cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_BGR2GRAY)
