"""A labelled target that a method adapts to: its crops without labels, and its labels for measuring alone."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ...adapt.frames.crops import CropSet
from ...adapt.frames.landmarks import LandmarkObserver
from ...adapt.frames.sources import frames_of
from ...adapt.frames.tracked import tracked_crops
from ...adapt.labels.teacher import TeacherLabels
from ...adapt.views import Poses, predict
from ...datasets.open import spread
from ...datasets.sequence import Sequence, SequenceFrame
from ...errors import SemihandError
from ...models.camera import GRID, GRID_CENTER, warp_crop
from ...models.checkpoint import Checkpoint
from ...models.joints import PRIOR_BONE_LENGTHS
from ...models.lifting import relative_depth, unit_length
from ..labels.predict import Prediction, knows_scale, lift_with_label
from ..labels.run import Result, evaluate_predictions

#: Parts of a frame's label that can teach, and what a frame without it lacks.
LABELS = {"labels": "3D label with root and unit bone", "places": "2D label", "masks": "mask"}


@dataclass(frozen=True)
class Target:
    """crops: what a method sees. frames: the labels of the same crops, for `measure` and the rows that learn from them.

    missed: frames of the sequence on which no hand was found; they are in no crop.
    """

    sequence: Sequence
    crops: CropSet
    frames: tuple[SequenceFrame, ...]
    missed: int = 0

    def __len__(self) -> int:
        return len(self.crops)

    def take(self, rows: np.ndarray) -> Target:
        """Some of its crops with their labels."""
        return Target(self.sequence, self.crops.take(rows), tuple(self.frames[i] for i in rows), self.missed)

    def join(self, other: Target) -> Target:
        """These crops and then the other's, whose takes are none of these."""
        columns = {f.name: (getattr(self.crops, f.name), getattr(other.crops, f.name)) for f in fields(CropSet)}
        mine, theirs = columns["segment"]
        columns["segment"] = mine, theirs + 1 + (mine.max() if len(mine) else 0)
        crops = columns.pop("crops")
        joined = CropSet(crops=crops[0] + crops[1], **{name: np.concatenate(pair) for name, pair in columns.items()})
        return Target(self.sequence, joined, self.frames + other.frames, self.missed + other.missed)

    def measure(self, network, device="cpu") -> Result:
        """The network's errors on these crops (see `evaluate.run`)."""
        return self.measure_poses(predict(network, self.crops, device))

    def measure_poses(self, poses: Poses) -> Result:
        """Errors of 2.5D poses on these crops."""
        predictions = [
            Prediction(crop.uv_to_image(uv), lift_with_label(frame, crop, uv, depth), mask_crop=mask, crop=crop)
            for frame, crop, uv, depth, mask in zip(self.frames, self.crops.crops, poses.uv, poses.depth, poses.mask)
        ]
        return evaluate_predictions(replace(self.sequence, frames=self.frames), predictions)

    def lacks(self, kind: str) -> str | None:
        """Why a part of the labels (see LABELS) cannot teach; None where every frame has it."""
        has = {"labels": knows_scale, "places": lambda frame: frame.uv_label() is not None,
               "masks": lambda frame: frame.mask is not None}[kind]  # fmt: skip
        without = [frame.image.name for frame in self.frames if not has(frame)]
        return f"{len(without)} frames ({without[0]} first) have no {LABELS[kind]}" if without else None

    def labels(self, kind: str = "labels") -> TeacherLabels:
        """Labels that teach: the true 2.5D poses, the "places" in the picture alone (depth 0), or the "masks" alone.

        A joint without label has weight 0. Raises SemihandError where a frame lacks them.
        """
        if reason := self.lacks(kind):
            raise SemihandError(f"{reason}, and a row learns from it. Leave the row out.")
        rows = [_label(crop, frame, kind) for crop, frame in zip(self.crops.crops, self.frames)]
        uv, depth, weight = (np.stack(column).astype(np.float32) for column in zip(*rows))
        mask = None if kind != "masks" else np.stack([_mask(*pair) for pair in zip(self.crops.crops, self.frames)])
        return TeacherLabels(uv, depth, weight, np.asarray(PRIOR_BONE_LENGTHS), mask)


def _label(crop, frame: SequenceFrame, kind: str):
    """uv (21, 2) grid pixels, depth (21,) unit bones, weight (21,)."""
    uv, depth = np.full((21, 2), GRID_CENTER), np.zeros(21)
    if kind == "masks":
        return uv, depth, np.zeros(21)
    places = crop.uv_to_crop(frame.uv_label())
    if kind == "labels":
        xyz = crop.xyz_to_virtual(frame.xyz)
        depth = relative_depth(xyz, unit_length(xyz))
    known = np.isfinite(places).all(-1) & np.isfinite(depth)
    return np.where(known[:, None], places, uv), np.where(known, depth, 0), known.astype(float)


def _mask(crop, frame: SequenceFrame) -> np.ndarray:
    """The true mask (64, 64) in [0, 1] of the plain crop."""
    return warp_crop(np.float32(frame.read_mask()), crop, GRID, border="black")


def cut_target(
    sequence: Sequence, checkpoint: Checkpoint, crop: str = "label", observer: LandmarkObserver | None = None,
    limit: int | None = None,
) -> Target:  # fmt: skip
    """A sequence's crops as `checkpoint`'s network wants them. limit: at most so many frames, evenly spread."""
    sequence = spread(sequence, limit)
    observer = observer or LandmarkObserver()
    sources = frames_of(sequence, crop, observer)
    crops = tracked_crops(sources, checkpoint, observer, again=crop == "detector")
    frames = tuple(sequence.frames[source.index] for source in sources)
    return Target(sequence, crops, frames, len(sequence.frames) - len(frames))
