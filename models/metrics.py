"""Errors and scores of hand poses: arrays in, plain numbers out. Joints are metres, reports millimetres.

Functions that return errors keep one value per frame and joint, so that any average, curve or share can be
taken from them; a joint without label has the error NaN, which no score counts. Labels hold NaN where a joint has
none, predictions never. Scores of nothing raise ValueError: the caller says why there is nothing.
"""

from __future__ import annotations

import numpy as np

from .joints import ROOT, TIPS
from .lifting import bone_lengths

#: Thresholds of a PCK curve between its two ends, both included.
AUC_STEPS = 20
#: Below this many labelled joints their box says little about the hand's size: the labelled `box` is taken.
MIN_JOINTS_FOR_SIZE = 11
#: A turn needs three labelled joints, a scale two.
_MIN_JOINTS_TO_TURN, _MIN_JOINTS_TO_SCALE = 3, 2
#: Frames that a prediction may come late or early, how many shared steps a shift needs, and how well they must fit.
MAX_LAG, _MIN_SHARED, _MIN_CORRELATION = 10, 10, 0.3
#: Tips that are all together within so many metres have no size to scale by.
_SAME_PLACE = 1e-6
_MM = 1000.0


def joint_errors_mm(xyz: np.ndarray, xyz_true: np.ndarray, root: int | None = ROOT) -> np.ndarray:
    """Distances (N, 21) in mm of joints (N, 21, 3) metres after moving both hands' `root` to the origin.

    root None compares as they stand. A hand whose root has no label has no error at all.
    """
    if root is not None:
        xyz, xyz_true = xyz - xyz[:, [root]], xyz_true - xyz_true[:, [root]]
    return _MM * np.linalg.norm(xyz - xyz_true, axis=-1)


def procrustes(xyz: np.ndarray, xyz_true: np.ndarray) -> np.ndarray:
    """xyz (N, J, 3) moved, turned and scaled (never mirrored) onto xyz_true by least squares (Umeyama 1991).

    Over the labelled joints; all J are moved. A hand whose joints all coincide is moved only; one with fewer than
    three labelled joints becomes NaN.
    """
    labelled = np.isfinite(xyz_true).all(-1)
    x, center = _centred(xyz, labelled)
    y, center_true = _centred(xyz_true, labelled)
    u, singular, vt = np.linalg.svd(np.swapaxes(x, 1, 2) @ y)
    signs = np.ones_like(singular)
    signs[:, -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * signs[:, None, :]) @ vt
    spread = (x**2).sum((1, 2))
    scale = np.divide((singular * signs).sum(1), spread, out=np.ones_like(spread), where=spread > 0)
    scale[labelled.sum(1) < _MIN_JOINTS_TO_TURN] = np.nan
    return scale[:, None, None] * ((xyz - center) @ rotation) + center_true


def procrustes_errors_mm(xyz: np.ndarray, xyz_true: np.ndarray) -> np.ndarray:
    """Distances (N, 21) in mm of joints (N, 21, 3) metres after a similarity Procrustes per frame."""
    return joint_errors_mm(procrustes(xyz, xyz_true), xyz_true, root=None)


def tip_errors_mm(xyz: np.ndarray, xyz_true: np.ndarray) -> np.ndarray:
    """Distances (N, 5) in mm of the fingertips of joints (N, 21, 3) metres, of data that label nothing else.

    As Minimal-Hand measures on Dexter+Object: over the labelled tips of a frame the centroids are moved onto each
    other and the mean distances from them are made equal; no turn. Tips that all coincide are moved only; fewer than
    two labelled tips have no error.
    """
    tips, tips_true = xyz[:, TIPS], xyz_true[:, TIPS]
    labelled = np.isfinite(tips_true).all(-1)
    x, _ = _centred(tips, labelled)
    y, _ = _centred(tips_true, labelled)
    reach, reach_true = (np.linalg.norm(part, axis=-1).sum(1) for part in (x, y))
    scale = np.divide(reach_true, reach, out=np.ones_like(reach), where=reach > _SAME_PLACE)
    measured = labelled & (labelled.sum(1) >= _MIN_JOINTS_TO_SCALE)[:, None]
    return np.where(measured, _MM * np.linalg.norm(scale[:, None, None] * x - y, axis=-1), np.nan)


def auc(errors: np.ndarray, low: float, high: float, steps: int = AUC_STEPS) -> float:
    """Area under the PCK curve of errors (...) from `low` to `high`: trapezoid rule, normalised to [0, 1].

    PCK at a threshold is the share of errors at or below it; `steps` thresholds, both ends included.
    """
    errors = np.sort(labelled_errors(errors))
    thresholds = np.linspace(low, high, steps)
    pck = np.searchsorted(errors, thresholds, side="right") / errors.size
    return float(np.mean((pck[1:] + pck[:-1]) / 2))


def hand_size(uv_true: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
    """Longer side (N,), at least 1 pixel, of the box round joints (N, 21, 2), NaN where a joint has no label.

    Frames with fewer than 11 labelled joints take that of box (N, 4) [x, y, w, h], NaN where unknown.
    """
    labelled = np.isfinite(uv_true).all(-1)
    high = np.where(labelled[..., None], uv_true, -np.inf).max(1)
    low = np.where(labelled[..., None], uv_true, np.inf).min(1)
    few = labelled.sum(1) < MIN_JOINTS_FOR_SIZE
    size = np.where(few, np.nan, np.where(np.isfinite(high - low), high - low, 0).max(1))
    return np.maximum(size if box is None else np.where(few, box[:, 2:].max(1), size), 1.0)


def normalised_errors(uv: np.ndarray, uv_true: np.ndarray, size: np.ndarray) -> np.ndarray:
    """2D errors (N, 21) of joints (N, 21, 2) pixels over the hand's size (N,); NaN without a label."""
    return np.linalg.norm(uv - uv_true, axis=-1) / size[:, None]


def pck(errors: np.ndarray, threshold: float) -> float:
    """Share of labelled joints whose error is at or below the threshold, as a PCK curve counts them."""
    return float((labelled_errors(errors) <= threshold).mean())


def mean_error(errors: np.ndarray) -> float:
    """Mean over labelled joints: `epe_mm`, `pa_mm` or `nme`, as the errors are."""
    return float(labelled_errors(errors).mean())


def frame_means(errors: np.ndarray) -> np.ndarray:
    """Mean (N,) of errors (N, J) over the labelled joints of each frame, NaN where there is none."""
    labelled = np.isfinite(errors)
    count = labelled.sum(1)
    return np.where(count, np.where(labelled, errors, 0).sum(1) / np.maximum(count, 1), np.nan)


def mask_iou(mask: np.ndarray, mask_true: np.ndarray) -> np.ndarray:
    """Intersection over union (N,) of masks (N, H, W) in [0, 1], cut at one half; 1 for two empty masks."""
    predicted, true = mask >= 0.5, mask_true >= 0.5
    both, either = (predicted & true).sum((1, 2)), (predicted | true).sum((1, 2))
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def bone_cv(xyz: np.ndarray) -> float:
    """Coefficient of variation of each bone's length over hands (N, 21, 3), mean over the 20 bones."""
    lengths = bone_lengths(np.asarray(xyz, float))
    mean = lengths.mean(axis=0) if len(lengths) else np.zeros(1)
    if len(lengths) < 2 or not (mean > 0).all():
        raise ValueError(f"No variation of bones over {len(lengths)} hands, or a bone has no length.")
    return float((lengths.std(axis=0) / mean).mean())


def jitter_mm(xyz: np.ndarray, found: np.ndarray | None = None) -> float:
    """Median norm in mm of the second difference in time of joints (T, 21, 3) metres, frames in time order.

    found (T,): frames that hold a hand; only three found frames in a row count.
    """
    found = np.ones(len(xyz), bool) if found is None else np.asarray(found, bool)
    in_a_row = found[2:] & found[1:-1] & found[:-2]
    if not in_a_row.any():
        raise ValueError("No three frames in a row hold a hand.")
    second = (xyz[2:] - 2 * xyz[1:-1] + xyz[:-2])[in_a_row]
    return float(np.median(_MM * np.linalg.norm(second, axis=-1)))


def lag_frames(track: np.ndarray, track_true: np.ndarray, max_lag: int = MAX_LAG) -> float:
    """Frames by which trajectories (T, J, D) come after the true ones, by the cross-correlation of their steps.

    Steps from frame to frame, as places themselves drift slowly and fit at many shifts. Positive: late. Frames in
    time order, NaN where a joint isn't known; parts of a frame by a parabola through the three best shifts. Raises
    ValueError where nothing moves, too few frames are shared, the steps fit at no shift, or best at the largest one.
    """
    limit = min(max_lag, len(track) - 1 - _MIN_SHARED)
    if limit < 1:
        raise ValueError(f"a shift in time needs more than {_MIN_SHARED + 1} frames, there are {len(track)}")
    steps, steps_true = (_steps(path) for path in (track, track_true))
    scores = np.array([_correlation(*steps, *steps_true, lag) for lag in range(-limit, limit + 1)])
    best = int(np.argmax(scores))
    if scores[best] < _MIN_CORRELATION:
        raise ValueError(f"the predicted motion does not follow the true one: correlation {scores[best]:.2f} at best")
    if best in (0, len(scores) - 1):
        raise ValueError(f"no shift of less than {limit} frames fits the true motion best")
    before, here, after = scores[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(best - limit + (0.5 * (before - after) / bend if bend < 0 else 0.0))


def _steps(track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps (T - 1, J * D) of trajectories (T, J, D) about their mean, 0 where unknown; and which are known."""
    steps = np.diff(track, axis=0).reshape(len(track) - 1, -1)
    known = np.isfinite(steps)
    mean = np.where(known, steps, 0).sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known, steps - mean, 0), known


def _correlation(steps, known, steps_true, known_true, lag: int) -> float:
    """Correlation of steps[t + lag] with steps_true[t] over those that are known of both."""
    late, true = (slice(lag, None), slice(len(steps) - lag)) if lag >= 0 else (slice(lag), slice(-lag, None))
    x, y, shared = steps[late], steps_true[true], known[late] & known_true[true]
    if shared.any(1).sum() < _MIN_SHARED:
        raise ValueError(f"fewer than {_MIN_SHARED} frames are both labelled and found at a shift of {lag}")
    size = np.sqrt(np.vdot(x**2, shared) * np.vdot(y**2, shared))
    if not size > 0:
        raise ValueError("the hand does not move")
    return float(np.vdot(x, y) / size)


def _centred(xyz: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (N, J, 3) minus the mean (N, 1, 3) of the labelled ones (N, J), 0 where unlabelled; and that mean."""
    shown = labelled[..., None]
    count = np.maximum(labelled.sum(1), 1)[:, None, None]
    center = np.where(shown, xyz, 0).sum(1, keepdims=True) / count
    return np.where(shown, xyz - center, 0), center


def labelled_errors(errors: np.ndarray) -> np.ndarray:
    """The errors (M,) that are not NaN, at least one."""
    errors = np.asarray(errors, float).ravel()
    errors = errors[~np.isnan(errors)]
    if not errors.size:
        raise ValueError("No labelled joint to average over.")
    return errors


def rank_correlation(x, y) -> float:
    """Spearman's, ties share their mean rank, pairs that are not finite left out; NaN where it has no meaning."""
    pairs = np.stack([np.asarray(x, float), np.asarray(y, float)], axis=1)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) < 2 or (np.ptp(pairs, axis=0) == 0).any():
        return float("nan")
    return float(np.corrcoef(_ranks(pairs[:, 0]), _ranks(pairs[:, 1]))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
