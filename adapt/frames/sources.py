"""Where unlabelled frames come from: a recording or a data set, both as frames with a hand's place in them.

Videos and folders of pictures become a recording first (see `record`), so that hands are found once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...datasets.labels import MIN_OVERLAP, label_box, label_square
from ...datasets.open import is_dataset, open_dataset, spread
from ...datasets.sequence import Sequence, SequenceFrame
from ...errors import SemihandError
from ...models.camera import Crop, crop_camera, default_intrinsics
from ...progress import Progress
from ...record.recording import read_recording
from ...tracker.crop import crop_box, overlap
from .landmarks import LandmarkObserver, Landmarks

CROPS = ("detector", "label")


@dataclass(frozen=True)
class SourceFrame:
    """One unlabelled picture and where its hand is.

    image: path of the picture. K (3, 3) pixels, None: assumed. handedness "left" | "right". landmarks: the landmark
    model's joints, None where it saw no hand. square: centre (2,) and longer side in pixels of the joints' box, where
    the crop is cut round something else than the landmarks. index: the frame's number in its sequence.
    """

    image: Path
    time: float
    segment: int
    handedness: str
    K: np.ndarray | None = None
    landmarks: Landmarks | None = None
    square: tuple[np.ndarray, float] | None = None
    index: int = 0

    def read(self) -> np.ndarray:
        """The picture (H, W, 3) uint8 BGR. Raises SemihandError where the file is no picture."""
        return SequenceFrame(self.image).read()

    @cached_property
    def intrinsics(self) -> np.ndarray:
        """K (3, 3), assumed where nobody knows it."""
        if self.K is not None:
            return self.K
        height, width = self.read().shape[:2]
        return default_intrinsics(width, height)

    def crop(self, factor: float) -> Crop:
        """The virtual camera of the network's crop, side = factor times the longer side of the joints' box."""
        mirrored = self.handedness == "left"
        if self.square is not None:
            center, side = self.square
            return crop_camera(self.intrinsics, center, factor * side, mirrored=mirrored)
        box = crop_box(self.landmarks.uv_image, factor, None)
        return crop_camera(self.intrinsics, box.center, box.side, box.roll, mirrored)

    def crop_round(self, uv_image: np.ndarray, factor: float) -> Crop:
        """The tracker's crop round other joints (21, 2) pixels, those of the network's first look."""
        box = crop_box(uv_image, factor, None)
        return crop_camera(self.intrinsics, box.center, box.side, box.roll, self.handedness == "left")


def open_source(
    path: str | Path, crop: str = "detector", observer: LandmarkObserver | None = None, refine: bool = False,
    split: str | None = None, limit: int | None = None,
) -> list[SourceFrame]:  # fmt: skip
    """Frames with a hand of a recording or a data set (see `datasets.open`), in the order of time.

    split: part of the data set, None for its first; limit: at most so many of its frames, evenly spread. crop "label"
    (data sets only, for measuring): the labelled joints' box says where the hand is; nothing else of a label is used.
    "detector": the landmark model's joints say it. refine: read the landmarks of recorded frames again, with the
    observer's draws (a recording holds those of one look). Raises SemihandError where the folder is neither, holds no
    hand, or the crops are unknown.
    """
    path = Path(path)
    if crop not in CROPS:
        raise SemihandError(f"Crops {crop!r} are unknown: detector or label.")
    if is_dataset(path):
        return frames_of(spread(open_dataset(path, split=split), limit), crop, observer or LandmarkObserver())
    if crop == "label":
        raise SemihandError(f"{path} is no data set, so it has no labels to crop by. Leave --crop out.")
    return _of_recording(path, (observer or LandmarkObserver()) if refine else None)


def _of_recording(path: Path, observer: LandmarkObserver | None) -> list[SourceFrame]:
    frames = []
    for frame in Progress(read_recording(path).frames, desc="reading hands", unit="frames"):
        landmarks = Landmarks(frame.uv_image, frame.depth, frame.presence, frame.handedness, np.zeros(len(frame.depth)))
        landmarks = landmarks if observer is None else observer.refine(frame.read(), landmarks)
        frames.append(SourceFrame(frame.image, frame.time, frame.segment, frame.handedness, frame.K, landmarks))
    return frames


def frames_of(sequence: Sequence, crop: str, observer: LandmarkObserver) -> list[SourceFrame]:
    """Frames with a hand of a sequence, see `open_source`. Raises SemihandError where there is none."""
    frames = []
    for index, frame in enumerate(Progress(sequence.frames, desc="finding hands", unit="frames")):
        found = _sequence_frame(frame, index, sequence.fps, crop, observer)
        frames += [] if found is None else [found]
    if not frames:
        raise SemihandError(f"No hand was found in the {len(sequence.frames)} pictures of {sequence.folder}.")
    return frames


def _sequence_frame(frame: SequenceFrame, index: int, fps: float | None, crop: str, observer) -> SourceFrame | None:
    """Without a known rate the pictures are loose ones: every one is a take of its own."""
    time, segment = (index / fps, 0) if fps else (float(index), index)
    square = label_square(frame) if crop == "label" else None
    landmarks = _labelled_hand(frame, observer(frame.read()))
    if landmarks is None and square is None:
        return None
    side = frame.handedness if crop == "label" and frame.handedness else None
    handedness = side or (landmarks.handedness if landmarks else "right")
    return SourceFrame(frame.image, time, segment, handedness, frame.K, landmarks, square, index)


def _labelled_hand(frame: SequenceFrame, hands: list[Landmarks]) -> Landmarks | None:
    """The hand that the label means where there is a label, else the surest."""
    box = label_box(frame)
    if box is None or not hands:
        return hands[0] if hands else None
    corners = np.array([box[:2], box[:2] + box[2:]])
    best = max(hands, key=lambda hand: overlap(corners, hand.uv_image))
    return best if overlap(corners, best.uv_image) >= MIN_OVERLAP else None
