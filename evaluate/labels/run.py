"""The metrics of predictions on a sequence, whoever made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...datasets.labels import joints_of_label, label_square
from ...datasets.sequence import Sequence, SequenceFrame
from ...errors import SemihandError
from ...kinematics.measures import joint_angle_errors
from ...models import metrics
from ...models.camera import GRID, warp_crop
from ...models.joints import NUM_JOINTS, WRIST
from .breakdown import palm_angles
from .predict import HandFinder, Prediction, predict

#: The ends in millimetres of the areas under the 3D PCK curve.
AUC_RANGES = ((20, 50), (0, 50), (0, 100))
PCK_THRESHOLDS = (0.05, 0.10, 0.20)
IMAGE_METRICS = ("nme", *(f"pck_{100 * threshold:02.0f}" for threshold in PCK_THRESHOLDS))
SPACE_METRICS = ("epe_mm", "epe20_mm", "pa_mm", *(f"auc_{low}_{high}" for low, high in AUC_RANGES))
ANGLE_METRICS = ("angle_deg",)
TIP_METRICS = ("tips_mm", "tips_auc_0_100")
TIME_METRICS = ("bone_cv", "jitter_mm", "jitter_label_mm", "lag_frames")
METRICS = (*IMAGE_METRICS, *SPACE_METRICS, *ANGLE_METRICS, *TIP_METRICS, "mask_iou", *TIME_METRICS, "handedness")


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
    tips_mm: float | None = None
    angle_deg: float | None = None
    gesture: str | None = None


@dataclass(frozen=True)
class HandErrors:
    """Of the N found hands in the frames' order: errors of the joints (N, 21), tips (N, 5) and joint angles (N, 20), NaN
    without label; the predicted confidence (N, 21), NaN where none; the palm's yaw and pitch in degrees and the longer
    side of the label's box in pixels (N,).
    """

    nme: np.ndarray
    epe_mm: np.ndarray
    pa_mm: np.ndarray
    tips_mm: np.ndarray
    angle_deg: np.ndarray
    confidence: np.ndarray
    yaw: np.ndarray
    pitch: np.ndarray
    size_px: np.ndarray

    def of_joints(self) -> dict[str, np.ndarray]:
        """The errors that exist for all 21 joints, by the metric's name."""
        return {"nme": self.nme, "epe_mm": self.epe_mm, "pa_mm": self.pa_mm}

    def every(self) -> dict[str, np.ndarray]:
        """All errors by the metric's name."""
        return {**self.of_joints(), "tips_mm": self.tips_mm, "angle_deg": self.angle_deg}


@dataclass(frozen=True)
class Result:
    """A sequence's metrics. frames: those with labels; missed: those of them on which no hand was found.

    Metrics are over the found frames; one that cannot be had stands in `absent` with the reason instead. 3D
    is with known root depth and hand scale; `handedness` is the share of right answers. errors: what the metrics,
    curves and tables are made of.
    """

    name: str
    frames: int
    unlabelled: int
    missed: int
    metrics: dict[str, float]
    absent: dict[str, str]
    per_frame: tuple[FrameResult, ...] = field(repr=False)
    errors: HandErrors | None = field(default=None, repr=False)
    fps: float | None = None


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


def labelled_frames(sequence: Sequence) -> list[int]:
    """Indices of the frames with labels. Raises SemihandError where there is none."""
    labelled = [i for i, frame in enumerate(sequence.frames) if label_square(frame) is not None]
    if not labelled:
        raise SemihandError(
            f"{sequence.name} has no labelled frame among {len(sequence.frames)}: metrics need `uv`, or `xyz_mm` "
            "with `K`, or `mask` (and `box` where fewer than 11 joints are labelled)."
        )
    return labelled


def evaluate_predictions(sequence: Sequence, predictions: list[Prediction | None]) -> Result:
    """Metrics of predictions, one for each frame of the sequence or None where no hand was found.

    Raises SemihandError where the sequence has no labels at all.
    """
    pairs = list(zip(sequence.frames, predictions, strict=True))
    labelled = labelled_frames(sequence)
    hands = [_Hand(i, *pairs[i]) for i in labelled if pairs[i][1] is not None]
    errors = _hand_errors(hands) if hands else None
    scores, columns = _Scores(), {hand.index: {} for hand in hands}
    _in_the_image(errors, scores)
    _in_space(errors, scores)
    _of_masks(hands, scores, columns)
    _in_time(hands, sequence.fps, scores)
    _of_handedness(hands, scores)
    if errors is not None:
        _note_errors(hands, errors, columns)
    rows = tuple(_row(sequence, i, pairs[i][1], columns.get(i, {})) for i in labelled)
    return Result(
        sequence.name, len(labelled), len(pairs) - len(labelled), len(labelled) - len(hands),
        scores.values, scores.absent, rows, errors, sequence.fps,
    )  # fmt: skip


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


def _hand_errors(hands: list[_Hand]) -> HandErrors:
    """Joints without label or prediction are NaN and stay so."""
    uv_true = np.stack([joints_of_label(hand.frame) for hand in hands])
    boxes = np.stack([np.full(4, np.nan) if hand.frame.box is None else hand.frame.box for hand in hands])
    size = metrics.hand_size(uv_true, boxes)
    sides = [hand.frame.handedness or hand.prediction.handedness for hand in hands]
    xyz_true = _stacked([None if side is None else hand.frame.xyz for side, hand in zip(sides, hands, strict=True)],
                        (NUM_JOINTS, 3))  # fmt: skip
    yaw, pitch = palm_angles(xyz_true, np.array([side == "right" for side in sides]))
    return HandErrors(
        nme=metrics.normalised_errors(np.stack([hand.prediction.uv_image for hand in hands]), uv_true, size),
        confidence=_stacked([hand.prediction.confidence for hand in hands], (NUM_JOINTS,)),
        yaw=yaw, pitch=pitch, size_px=size, angle_deg=_angle_errors(hands, sides), **_space_errors(hands),
    )  # fmt: skip


def _space_errors(hands: list[_Hand]) -> dict[str, np.ndarray]:
    """The errors in 3D of HandErrors by their names."""
    measured = np.array([hand.frame.xyz is not None and hand.prediction.xyz is not None for hand in hands])
    xyz = _stacked([hand.prediction.xyz for hand in hands], (NUM_JOINTS, 3))[measured]
    xyz_true = _stacked([hand.frame.xyz for hand in hands], (NUM_JOINTS, 3))[measured]
    found = {
        "epe_mm": metrics.joint_errors_mm(xyz, xyz_true), "pa_mm": metrics.procrustes_errors_mm(xyz, xyz_true),
        "tips_mm": metrics.tip_errors_mm(xyz, xyz_true),
    }  # fmt: skip
    errors = {name: np.full((len(hands), values.shape[1]), np.nan) for name, values in found.items()}
    for name, values in found.items():
        errors[name][measured] = values
    return errors


def _angle_errors(hands: list[_Hand], sides: list[str | None]) -> np.ndarray:
    """Errors in degrees (N, 20) of the joint angles of `kinematics.skeleton`; NaN where a side or a joint is unknown."""
    xyz = _stacked([hand.prediction.xyz for hand in hands], (NUM_JOINTS, 3))
    xyz_true = _stacked([hand.frame.xyz for hand in hands], (NUM_JOINTS, 3))
    known = np.isfinite(xyz + xyz_true).all((1, 2)) & np.array([side is not None for side in sides])
    mirror = np.array([[-1.0 if side == "left" else 1.0, 1.0, 1.0] for side in sides])[known, None]
    errors = np.full((len(hands), 20), np.nan)
    if known.any():
        errors[known] = joint_angle_errors(xyz[known] * mirror, xyz_true[known] * mirror).reshape(-1, 20)
    return errors


def _stacked(parts: list[np.ndarray | None], shape: tuple[int, ...]) -> np.ndarray:
    """(N, *shape) float, NaN for None."""
    missing = np.full(shape, np.nan)
    return np.stack([missing if part is None else part for part in parts]).astype(float)


def _in_the_image(errors: HandErrors | None, scores: _Scores) -> None:
    if errors is None:
        return scores.lack(IMAGE_METRICS, "no hand was found")
    scores.add("nme", metrics.mean_error, errors.nme)
    for threshold, name in zip(PCK_THRESHOLDS, IMAGE_METRICS[1:], strict=True):
        scores.add(name, metrics.pck, errors.nme, threshold)


def _in_space(errors: HandErrors | None, scores: _Scores) -> None:
    if errors is None or not np.isfinite(errors.pa_mm).any() and not np.isfinite(errors.tips_mm).any():
        reason = "no found hand has 3D labels, intrinsics and a 3D prediction"
        return scores.lack((*SPACE_METRICS, *ANGLE_METRICS, *TIP_METRICS), reason)
    if np.isfinite(errors.epe_mm).any():
        scores.add("epe_mm", metrics.mean_error, errors.epe_mm)
        scores.add("epe20_mm", metrics.mean_error, np.delete(errors.epe_mm, WRIST, axis=1))
        for (low, high), name in zip(AUC_RANGES, SPACE_METRICS[3:], strict=True):
            scores.add(name, metrics.auc, errors.epe_mm, low, high)
    else:
        reason = "no label has joint 9, the middle knuckle, which hands are moved onto; see tips_mm"
        scores.lack(tuple(name for name in SPACE_METRICS if name != "pa_mm"), reason)
    scores.add("pa_mm", metrics.mean_error, errors.pa_mm)
    if np.isfinite(errors.angle_deg).any():
        scores.add("angle_deg", metrics.mean_error, errors.angle_deg)
    else:
        scores.lack(ANGLE_METRICS, "no found hand has all 21 joints labelled in 3D and a known side")
    scores.add("tips_mm", metrics.mean_error, errors.tips_mm)
    scores.add("tips_auc_0_100", metrics.auc, errors.tips_mm, 0, 100)


def _of_masks(hands: list[_Hand], scores: _Scores, columns: dict) -> None:
    hands = [hand for hand in hands if hand.frame.mask is not None and hand.prediction.mask_crop is not None]
    if not hands:
        return scores.lack(("mask_iou",), "no found hand has a mask label and a predicted mask")
    for hand in hands:  # one by one: a large set's masks fill the memory
        truth = warp_crop(np.float32(hand.frame.read_mask()), hand.prediction.crop, GRID, border="black")
        columns[hand.index]["mask_iou"] = float(metrics.mask_iou(hand.prediction.mask_crop[None], truth[None])[0])
    iou = np.array([columns[hand.index]["mask_iou"] for hand in hands])
    scores.add("mask_iou", metrics.mean_error, iou)


def _in_time(hands: list[_Hand], fps: float | None, scores: _Scores) -> None:
    """Of the predicted 3D, frames in the folder's order; of loose pictures it says nothing sensible."""
    predicted = [(hand.index, hand.prediction.xyz) for hand in hands if hand.prediction.xyz is not None]
    if predicted:
        xyz, found = _track(predicted)
        scores.add("bone_cv", metrics.bone_cv, xyz[found])
        scores.add("jitter_mm", metrics.jitter_mm, xyz, found)
    else:
        scores.lack(("bone_cv", "jitter_mm"), "no found hand has a 3D prediction")
    if fps is None or not hands:
        reason = "no hand was found" if fps else "the pictures are no video: the sequence has no fps"
        return scores.lack(("jitter_label_mm", "lag_frames"), reason)
    _against_labels_in_time(hands, scores)


def _against_labels_in_time(hands: list[_Hand], scores: _Scores) -> None:
    """The labels' own jitter, and how late the joints in the picture are."""
    labels = [(hand.index, hand.frame.xyz) for hand in hands if hand.frame.xyz is not None]
    labels = [(index, xyz) for index, xyz in labels if np.isfinite(xyz).all()]
    if labels:
        scores.add("jitter_label_mm", metrics.jitter_mm, *_track(labels))
    else:
        scores.lack(("jitter_label_mm",), "no found hand has all 21 joints labelled in 3D")
    uv, _ = _track([(hand.index, hand.prediction.uv_image) for hand in hands])
    uv_true, _ = _track([(hand.index, joints_of_label(hand.frame)) for hand in hands])
    scores.add("lag_frames", metrics.lag_frames, uv, uv_true)


def _track(points: list[tuple[int, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 21, D) by the frame's number up to the last one, NaN where none; and where there are some (T,)."""
    track = np.full((points[-1][0] + 1, *points[0][1].shape), np.nan)
    found = np.zeros(len(track), bool)
    for index, joints in points:
        track[index], found[index] = joints, True
    return track, found


def _of_handedness(hands: list[_Hand], scores: _Scores) -> None:
    answers = [hand for hand in hands if hand.frame.handedness is not None and hand.prediction.handedness is not None]
    if not answers:
        return scores.lack(("handedness",), "no handedness was both labelled and predicted")
    right = [hand.frame.handedness == hand.prediction.handedness for hand in answers]
    scores.values["handedness"] = float(np.mean(right))


def _note_errors(hands: list[_Hand], errors: HandErrors, columns: dict) -> None:
    """Every frame's own means."""
    for name, values in errors.every().items():
        for hand, value in zip(hands, metrics.frame_means(values), strict=True):
            if np.isfinite(value):
                columns[hand.index][name] = float(value)


def _row(sequence: Sequence, index: int, prediction: Prediction | None, columns: dict) -> FrameResult:
    frame = sequence.frames[index]
    image = frame.image.relative_to(sequence.folder) if frame.image.is_relative_to(sequence.folder) else frame.image
    known = {"gesture": frame.gesture, **columns}
    if prediction is None:
        return FrameResult(index, image.as_posix(), found=False, **known)
    return FrameResult(index, image.as_posix(), True, prediction.score, prediction.handedness, **known)
