"""PCK curves, and how much a confidence says about the error: arrays in, plain JSON values out."""

from __future__ import annotations

import numpy as np

from ...models.metrics import labelled_errors, rank_correlation

#: Ends and number of the thresholds: normalised 2D errors, and millimetres in 3D.
CURVE_2D, CURVE_3D = (0.0, 0.5, 51), (0.0, 100.0, 101)
#: A 2D error above this share of the hand is one that a low confidence should announce.
LARGE_ERROR = 0.1
RELIABILITY_BINS = 10
_DIGITS = 6


def pck_curve(errors: np.ndarray, ends: tuple[float, float, int]) -> dict:
    """`thresholds`, `share` of errors (...) at or below each, NaN not counted, and the `auc` between the ends.

    ends: first and last threshold and their number. Raises ValueError without any labelled joint.
    """
    errors = np.sort(labelled_errors(errors))
    thresholds = np.linspace(*ends)
    share = np.searchsorted(errors, thresholds, side="right") / errors.size
    area = float(((share[1:] + share[:-1]) / 2).mean())
    return {"thresholds": _plain(thresholds), "share": _plain(share), "auc": round(area, _DIGITS)}


def calibration(confidence: np.ndarray, errors: np.ndarray, limit: float = LARGE_ERROR) -> dict:
    """Does a low confidence mean a large error? confidence and errors of any one shape, NaN where unknown.

    joints: how many count. rank_correlation: Spearman's, -1 where the confidence sorts the errors. auroc: chance that
    of two joints, one above `limit` and one not, the first has the lower confidence (0.5: it says nothing).
    bins: tenths of the joints by confidence, each with its mean confidence, mean error and share within `limit`.
    Raises ValueError where no confidence varies or fewer than ten joints have both.
    """
    known = np.isfinite(confidence) & np.isfinite(errors)
    confidence, errors = np.asarray(confidence)[known].astype(float), np.asarray(errors)[known]
    if not confidence.size:
        raise ValueError("no confidence was predicted for a labelled joint")
    if confidence.size < RELIABILITY_BINS:
        raise ValueError(f"{confidence.size} joints are too few, it takes {RELIABILITY_BINS}")
    found = {"joints": int(confidence.size), "limit": limit, "above_limit": _rounded((errors > limit).mean())}
    absent = {}
    for name, score in (("rank_correlation", _spearman), ("auroc", lambda c, e: auroc(-c, e > limit))):
        try:
            found[name] = _rounded(score(confidence, errors))
        except ValueError as error:
            absent[name] = str(error)
    return {**found, "bins": _reliability(confidence, errors, limit), "absent": absent}


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive's score (N,) is above another's; equal scores count half (Mann-Whitney).

    Raises ValueError where all or none are positive.
    """
    above, below = score[positive], np.sort(score[~positive])
    if not above.size or not below.size:
        raise ValueError("every error is on the same side of the limit")
    lower, not_higher = (np.searchsorted(below, above, side=side) for side in ("left", "right"))
    return float((lower + not_higher).mean() / 2 / below.size)


def _spearman(confidence: np.ndarray, errors: np.ndarray) -> float:
    value = rank_correlation(confidence, errors)
    if not np.isfinite(value):
        raise ValueError("all confidences or all errors are equal")
    return value


def _reliability(confidence: np.ndarray, errors: np.ndarray, limit: float) -> list[dict]:
    order = np.argsort(confidence, kind="stable")
    return [
        {"low": _rounded(confidence[part[0]]), "high": _rounded(confidence[part[-1]]), "joints": len(part),
         "confidence": _rounded(confidence[part].mean()), "nme": _rounded(errors[part].mean()),
         "within_limit": _rounded((errors[part] <= limit).mean())}
        for part in np.array_split(order, RELIABILITY_BINS)
    ]  # fmt: skip


def _plain(values: np.ndarray) -> list[float]:
    return np.round(values, _DIGITS).tolist()


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)
