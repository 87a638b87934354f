"""Crops as the tracker cuts them, with the landmark model's joints of as many of them as it can be brought to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...models.checkpoint import Checkpoint
from ...progress import Progress
from ..views import predict
from .crops import CropSet, cut_crops
from .landmarks import LandmarkObserver
from .sources import SourceFrame

#: Presence from which on the landmark model is not asked again.
SURE = 0.95


def tracked_crops(
    frames: Sequence[SourceFrame], checkpoint: Checkpoint, observer: LandmarkObserver, again: bool = True
) -> CropSet:
    """The frames' crops for the checkpoint's network; `again`: cut once more round the network's own joints.

    Where the landmark model is unsure or saw no hand, the observer looks again at the place of the network's joints.
    """
    factor, size = checkpoint.info.crop_factor, checkpoint.info.input_size
    first = cut_crops([(frame, frame.crop(factor)) for frame in frames], size)
    if not again and all(map(_sure, frames)):
        return first
    seen = predict(checkpoint.build().eval(), first)
    joints = [crop.uv_to_image(uv) for crop, uv in zip(first.crops, seen.uv)]
    crops = [frame.crop_round(uv, factor) for frame, uv in zip(frames, joints)] if again else first.crops
    pairs = Progress(zip(frames, joints), total=len(joints), desc="looking again", unit="hands")
    return cut_crops(zip([_looked_at(frame, uv, observer) for frame, uv in pairs], crops), size)


def _looked_at(frame: SourceFrame, uv_image: np.ndarray, observer: LandmarkObserver) -> SourceFrame:
    """The frame with surer landmarks, where there are any."""
    if _sure(frame):
        return frame
    return replace(frame, landmarks=observer.near(frame.read(), uv_image, frame.landmarks))


def _sure(frame: SourceFrame) -> bool:
    return frame.landmarks is not None and frame.landmarks.presence >= SURE
