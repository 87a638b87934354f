"""A labelled target that a method adapts to: its crops without labels, and its labels for measuring alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..adapt.crops import CropSet
from ..adapt.landmarks import LandmarkObserver
from ..adapt.sources import open_source
from ..adapt.teacher import TeacherLabels
from ..adapt.tracked import tracked_crops
from ..adapt.views import Poses, predict
from ..errors import SemihandError
from ..models.checkpoint import Checkpoint
from ..models.joints import PRIOR_BONE_LENGTHS
from ..models.lifting import relative_depth, unit_length
from .predict import Prediction, lift_with_label
from .run import Result, evaluate_predictions
from ..datasets.sequence import Sequence, SequenceFrame, read_sequence


@dataclass(frozen=True)
class Target:
    """crops: what a method sees. frames: the labels of the same crops, for `measure` and the oracle."""

    sequence: Sequence
    crops: CropSet
    frames: tuple[SequenceFrame, ...]

    def take(self, rows: np.ndarray) -> Target:
        """Some of its crops with their labels."""
        return Target(self.sequence, self.crops.take(rows), tuple(self.frames[i] for i in rows))

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

    def labels(self) -> TeacherLabels:
        """The true 2.5D poses, for the supervised oracle. Raises SemihandError where a frame has no 3D label."""
        rows = [self._label(crop, frame) for crop, frame in zip(self.crops.crops, self.frames)]
        uv, depth = (np.stack(column).astype(np.float32) for column in zip(*rows))
        return TeacherLabels(uv, depth, np.ones(depth.shape, np.float32), np.asarray(PRIOR_BONE_LENGTHS))

    @staticmethod
    def _label(crop, frame: SequenceFrame):
        if frame.xyz is None or not np.isfinite(frame.xyz).all():
            raise SemihandError(
                f"{frame.image.name} has no 3D label of all 21 joints: the oracle row needs them. Leave the row out."
            )
        xyz = crop.xyz_to_virtual(frame.xyz)
        return crop.uv_to_crop(frame.uv_label()), relative_depth(xyz, unit_length(xyz))


def open_target(folder, checkpoint: Checkpoint, crop: str = "label", observer: LandmarkObserver | None = None) -> Target:
    """Read a labelled sequence folder and cut its crops as `checkpoint`'s network wants them."""
    sequence = read_sequence(folder)
    sources = open_source(folder, crop, observer)
    crops = tracked_crops(sources, checkpoint, again=crop == "detector")
    by_picture = {frame.image: frame for frame in sequence.frames}
    return Target(sequence, crops, tuple(by_picture[source.image] for source in sources))
