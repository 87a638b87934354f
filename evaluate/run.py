"""The metrics of predictions on a sequence, whoever made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..errors import SemihandError
from ..models.camera import GRID, warp_crop
from . import metrics
from .predict import HandFinder, Prediction, label_square, predict
from ..datasets.sequence import Sequence, SequenceFrame

#: The ends in millimetres of the areas under the 3D PCK curve.
AUC_RANGES = ((20, 50), (0, 50), (0, 100))
PCK_THRESHOLDS = (0.05, 0.10, 0.20)
IMAGE_METRICS = ("nme", *(f"pck_{100 * threshold:02.0f}" for threshold in PCK_THRESHOLDS))
SPACE_METRICS = ("epe_mm", "pa_mm", *(f"auc_{low}_{high}" for low, high in AUC_RANGES))
METRICS = (*IMAGE_METRICS, *SPACE_METRICS, "mask_iou", "bone_cv", "jitter_mm", "handedness")


@dataclass(frozen=True)
class FrameResult:
    """One labelled frame: errors are None where nothing was found or the label has no such part."""

    index: int
    image: str
    found: bool
    score: float | None = None
    handedness: str | None = None
    nme: float | None = None
    epe_mm: float | None = None
    pa_mm: float | None = None
    mask_iou: float | None = None


@dataclass(frozen=True)
class Result:
    """A sequence's metrics. frames: those with labels; missed: those of them on which no hand was found.

    Metrics are over the found frames; one that cannot be had stands in `absent` with the reason instead. 3D
    is with known root depth and hand scale; `handedness` is the share of right answers.
    """

    name: str
    frames: int
    unlabelled: int
    missed: int
    metrics: dict[str, float]
    absent: dict[str, str]
    per_frame: tuple[FrameResult, ...] = field(repr=False)


@dataclass(frozen=True)
class _Hand:
    """A found hand and its label."""

    index: int
    frame: SequenceFrame
    prediction: Prediction


def evaluate(
    sequence: Sequence, model, crop: str = "label", finder: HandFinder | None = None, refine: int = 1
) -> tuple[Result, list[Prediction | None]]:
    """Run a model over a sequence (see `predict`): the metrics, and for each frame a prediction or None."""
    predictions = predict(sequence, model, crop, finder, refine)
    return evaluate_predictions(sequence, predictions), predictions


def evaluate_predictions(sequence: Sequence, predictions: list[Prediction | None]) -> Result:
    """Metrics of predictions, one for each frame of the sequence or None where no hand was found.

    Raises SemihandError where the sequence has no labels at all.
    """
    pairs = list(zip(sequence.frames, predictions, strict=True))
    labelled = [i for i, (frame, _) in enumerate(pairs) if label_square(frame) is not None]
    if not labelled:
        raise SemihandError(
            f"{sequence.name} has no labelled frame: metrics need `uv`, or `xyz_mm` with `K`."
        )
    hands = [_Hand(i, *pairs[i]) for i in labelled if pairs[i][1] is not None]
    scores, columns = _Scores(), {hand.index: {} for hand in hands}
    for measure in (_in_the_image, _in_space, _of_masks, _in_time, _of_handedness):
        measure(hands, scores, columns)
    rows = tuple(_row(sequence, i, pairs[i][1], columns.get(i, {})) for i in labelled)
    missed = len(labelled) - len(hands)
    return Result(
        sequence.name, len(labelled), len(pairs) - len(labelled), missed, scores.values, scores.absent, rows
    )


class _Scores:
    """Metrics as they come: a number, or the reason why there is none."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.absent: dict[str, str] = {}

    def add(self, name: str, score: Callable[..., float], *arguments) -> None:
        """Take score(*arguments); its ValueError is the reason."""
        try:
            self.values[name] = score(*arguments)
        except ValueError as error:
            self.absent[name] = str(error)

    def lack(self, names: tuple[str, ...], reason: str) -> None:
        self.absent.update(dict.fromkeys(names, reason))


def _in_the_image(hands: list[_Hand], scores: _Scores, columns: dict) -> None:
    if not hands:
        return scores.lack(IMAGE_METRICS, "no hand was found")
    uv_true = np.stack([hand.frame.uv_label() for hand in hands])
    boxes = np.stack([np.full(4, np.nan) if hand.frame.box is None else hand.frame.box for hand in hands])
    uv = np.stack([hand.prediction.uv_image for hand in hands])
    errors = metrics.normalised_errors(uv, uv_true, metrics.hand_size(uv_true, boxes))
    _note(columns, "nme", hands, np.nanmean(errors, axis=1))
    scores.add("nme", metrics.mean_error, errors)
    for threshold, name in zip(PCK_THRESHOLDS, IMAGE_METRICS[1:], strict=True):
        scores.add(name, metrics.pck, errors, threshold)


def _in_space(hands: list[_Hand], scores: _Scores, columns: dict) -> None:
    hands = [hand for hand in hands if hand.frame.xyz is not None and hand.prediction.xyz is not None]
    if not hands:
        return scores.lack(SPACE_METRICS, "no found hand has 3D labels, intrinsics and a 3D prediction")
    xyz = np.stack([hand.prediction.xyz for hand in hands])
    xyz_true = np.stack([hand.frame.xyz for hand in hands])
    errors, errors_pa = metrics.joint_errors_mm(xyz, xyz_true), metrics.procrustes_errors_mm(xyz, xyz_true)
    _note(columns, "epe_mm", hands, errors.mean(axis=1))
    _note(columns, "pa_mm", hands, errors_pa.mean(axis=1))
    scores.add("epe_mm", metrics.mean_error, errors)
    scores.add("pa_mm", metrics.mean_error, errors_pa)
    for (low, high), name in zip(AUC_RANGES, SPACE_METRICS[2:], strict=True):
        scores.add(name, metrics.auc, errors, low, high)


def _of_masks(hands: list[_Hand], scores: _Scores, columns: dict) -> None:
    hands = [hand for hand in hands if hand.frame.mask is not None and hand.prediction.mask_crop is not None]
    if not hands:
        return scores.lack(("mask_iou",), "no found hand has a mask label and a predicted mask")
    truth = [
        warp_crop(np.float32(hand.frame.read_mask()), hand.prediction.crop, GRID, border="black")
        for hand in hands
    ]
    iou = metrics.mask_iou(np.stack([hand.prediction.mask_crop for hand in hands]), np.stack(truth))
    _note(columns, "mask_iou", hands, iou)
    scores.add("mask_iou", metrics.mean_error, iou)


def _in_time(hands: list[_Hand], scores: _Scores, columns: dict) -> None:
    """Of the predicted 3D, frames in the folder's order; of loose pictures it says nothing sensible."""
    hands = [hand for hand in hands if hand.prediction.xyz is not None]
    if not hands:
        return scores.lack(("bone_cv", "jitter_mm"), "no found hand has a 3D prediction")
    xyz = np.zeros((hands[-1].index + 1, *hands[0].prediction.xyz.shape))
    found = np.zeros(len(xyz), bool)
    for hand in hands:
        xyz[hand.index], found[hand.index] = hand.prediction.xyz, True
    scores.add("bone_cv", metrics.bone_cv, xyz[found])
    scores.add("jitter_mm", metrics.jitter_mm, xyz, found)


def _of_handedness(hands: list[_Hand], scores: _Scores, columns: dict) -> None:
    answers = [
        hand for hand in hands if hand.frame.handedness is not None and hand.prediction.handedness is not None
    ]
    if not answers:
        return scores.lack(("handedness",), "no handedness was both labelled and predicted")
    right = [hand.frame.handedness == hand.prediction.handedness for hand in answers]
    scores.values["handedness"] = float(np.mean(right))


def _note(columns: dict, name: str, hands: list[_Hand], values: np.ndarray) -> None:
    for hand, value in zip(hands, values, strict=True):
        columns[hand.index][name] = float(value)


def _row(sequence: Sequence, index: int, prediction: Prediction | None, columns: dict) -> FrameResult:
    image = sequence.frames[index].image.relative_to(sequence.folder).as_posix()
    if prediction is None:
        return FrameResult(index, image, found=False)
    return FrameResult(index, image, True, prediction.score, prediction.handedness, **columns)
