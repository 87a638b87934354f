"""Where a frame's label says that the hand is, and how much a box has to share with it to be the same hand."""

from __future__ import annotations

import numpy as np

from ..models.metrics import MIN_JOINTS_FOR_SIZE
from .sequence import SequenceFrame

#: A hand counts as the labelled one where their boxes share at least this much (intersection over union).
MIN_OVERLAP = 0.1


def label_square(frame: SequenceFrame) -> tuple[np.ndarray, float] | None:
    """Centre (2,) and longer side in pixels of `label_box`; None without labels."""
    rectangle = label_box(frame)
    return None if rectangle is None else (rectangle[:2] + rectangle[2:] / 2, float(rectangle[2:].max()))


def label_box(frame: SequenceFrame) -> np.ndarray | None:
    """[x, y, w, h] pixels round the labelled joints, or `box` where fewer than 11 or only a mask are labelled; else None."""
    uv = joints_of_label(frame)
    if uv is None:
        return None
    labelled = uv[np.isfinite(uv).all(-1)]
    if len(labelled) < MIN_JOINTS_FOR_SIZE:
        return frame.box
    low, high = labelled.min(0), labelled.max(0)
    return np.concatenate([low, np.maximum(high - low, 1.0)])


def joints_of_label(frame: SequenceFrame) -> np.ndarray | None:
    """Labelled joints (21, 2) pixels, NaN where unknown: all of them where only a mask is labelled; else None."""
    uv = frame.uv_label()
    return np.full((21, 2), np.nan) if uv is None and frame.mask is not None else uv
