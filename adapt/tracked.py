"""Crops as the tracker cuts them."""

from __future__ import annotations

from collections.abc import Sequence

from ..models.checkpoint import Checkpoint
from .crops import CropSet, cut_crops
from .sources import SourceFrame
from .views import predict


def tracked_crops(frames: Sequence[SourceFrame], checkpoint: Checkpoint, again: bool = True) -> CropSet:
    """The frames' crops for the checkpoint's network; `again`: cut once more round the network's own joints."""
    factor, size = checkpoint.info.crop_factor, checkpoint.info.input_size
    crops = cut_crops([(frame, frame.crop(factor)) for frame in frames], size)
    if not again:
        return crops
    seen = predict(checkpoint.build().eval(), crops)
    joints = [crop.uv_to_image(uv) for crop, uv in zip(crops.crops, seen.uv)]
    return cut_crops([(frame, frame.crop_round(uv, factor)) for frame, uv in zip(frames, joints)], size)
