"""What a run keeps for its report: labels on their way, and held-out crops before and after."""

from __future__ import annotations

import numpy as np

from ..models.camera import GRID
from .frames.crops import MARGIN, WIDE_GRID, CropSet
from .labels.pseudo import Confidence
from .views import Poses

EXAMPLES = 12


def plain_pictures(crops: CropSet) -> np.ndarray:
    """(N, s, s, 3) uint8 RGB: the stored pictures without their margin."""
    side = crops.image.shape[1]
    start = round(side * MARGIN / WIDE_GRID)
    end = start + round(side * GRID / WIDE_GRID)
    return np.ascontiguousarray(crops.image[:, start:end, start:end])


class ExampleLabels:
    """Follows the labels of a few crops spread over the recording through a fine-tuning."""

    def __init__(self, count: int = EXAMPLES):
        self._count, self._rows = count, None
        self._label, self._registered, self._gate, self._cost = [], [], [], []

    def note(self, finetuning, confidence: Confidence | None) -> None:
        """Called before the first iteration, without a confidence, and after each one."""
        labels, crops, taught = finetuning.labels, finetuning.crops, finetuning.taught
        if self._rows is None:
            self._rows = np.unique(np.linspace(0, len(crops) - 1, self._count).astype(int))
            self._images = plain_pictures(crops.take(self._rows))
        rows = self._rows
        self._taught = taught[rows]
        self._label.append(labels.pose[0][rows])
        self._registered.append(labels.registered[0][rows])
        if confidence is not None and self._taught.any():  # those crops learn the other teacher's label
            self._label[-1] = np.where(self._taught[:, None, None], finetuning.teacher.uv[rows], self._label[-1])
        none = confidence is None
        self._gate.append(np.zeros(len(rows), bool) if none else finetuning.counting(confidence.gate)[rows] > 0.5)
        self._cost.append(np.full(len(rows), np.nan) if confidence is None else confidence.total[rows])

    def arrays(self) -> dict[str, np.ndarray]:
        """rows (M,), image (M, s, s, 3), uv_start (M, 21, 2), taught (M,): the label is another teacher's, and per
        iteration uv_label, uv_registered, gate: the label counts, confidence."""
        return {
            "rows": self._rows, "image": self._images, "uv_start": self._label[0], "taught": self._taught,
            "uv_label": np.stack(self._label),
            "uv_registered": np.stack(self._registered), "gate": np.stack(self._gate), "confidence": np.stack(self._cost),
        }  # fmt: skip


def held_out_arrays(
    crops: CropSet, before: Poses, after: Poses, cost_before: np.ndarray, cost_after: np.ndarray
) -> dict:
    """Pictures, joints and masks of held-out crops before and after; costs (N,): each crop's own inconsistency."""
    return {
        "image": plain_pictures(crops), "uv_before": before.uv, "uv_after": after.uv, "marks_uv": crops.marks_uv,
        "mask_before": (255 * before.mask).astype(np.uint8), "mask_after": (255 * after.mask).astype(np.uint8),
        "cost_before": cost_before, "cost_after": cost_after,
    }  # fmt: skip
