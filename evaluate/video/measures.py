"""How steady a tracker's answers on a video are, where no label says what would be right: arrays in, numbers out.

The frames' own times count, so a video with a variable frame rate is measured as any other. A second difference in time
is twice the distance of a joint from the straight line between its neighbours in time: 0 for any steady motion, and at a
constant rate x[t-1] - 2 x[t] + x[t+1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models import metrics
from ...models.joints import FINGERS
from ...models.lifting import bone_lengths

#: A hand that is seen so near (in hand sizes) and so soon (seconds) where another id was, is the same hand.
NEAR, SOON = 1.0, 1.0
_MM = 1000.0


@dataclass(frozen=True)
class Hands:
    """What a tracker said of a video, one row for every hand and frame in the order of the frames.

    times (T,): seconds, of all frames, growing. frame (N,): the row's place in times. id (N,); handedness (N,) "left" |
    "right"; score (N,) in [0, 1]; uv (N, 21, 2) pixels; xyz (N, 21, 3) metres, camera frame; on_mask (N,): share of the
    joints that lie on the network's own mask.
    """

    times: np.ndarray
    frame: np.ndarray
    id: np.ndarray
    handedness: np.ndarray
    score: np.ndarray
    uv: np.ndarray
    xyz: np.ndarray
    on_mask: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def found(self) -> np.ndarray:
        """(T,): frames with a hand."""
        return np.isin(np.arange(len(self.times)), self.frame)

    @property
    def size(self) -> np.ndarray:
        """(N,) pixels: longer side of the joints' box, at least 1."""
        return metrics.hand_size(self.uv)


def absences(found: np.ndarray, times: np.ndarray) -> dict[str, float]:
    """missed frames of found (T,), their share, and the longest row of them in frames and in seconds.

    A gap lasts from its first missed frame to the next frame with a hand; the last frame lasts as long as is usual.
    """
    after = times[-1] + (float(np.median(np.diff(times))) if len(times) > 1 else 0.0)
    ends = np.r_[times, after]
    edges = np.diff(np.r_[0, ~found, 0].astype(int))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return {
        "missed": int((~found).sum()),
        "missed_share": float((~found).mean()),
        "longest_gap_frames": int((stops - starts).max(initial=0)),
        "longest_gap_s": float((ends[stops] - ends[starts]).max(initial=0.0)),
    }


def switches(hands: Hands) -> tuple[int, int]:
    """How often a hand went on under another id, and how often its handedness changed.

    A hand is the one that was at its place in the last frame with hands (see NEAR and SOON), else the one with its id.
    """
    frames = np.split(np.arange(len(hands)), 1 + np.flatnonzero(np.diff(hands.frame)))
    ids = sides = 0
    for before, now in zip(frames[:-1], frames[1:]):
        for i, j in _same_hands(hands, before, now):
            ids += hands.id[i] != hands.id[j]
            sides += hands.handedness[i] != hands.handedness[j]
    return int(ids), int(sides)


def _same_hands(hands: Hands, before: np.ndarray, now: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows of two frames that are one hand: nearest first, then by id."""
    pairs: list[tuple[int, int]] = []
    if hands.times[hands.frame[now[0]]] - hands.times[hands.frame[before[0]]] <= SOON:
        apart = {(i, j): _distance(hands, i, j) for i in before for j in now}
        for pair in sorted(apart, key=apart.get):
            if apart[pair] <= NEAR and not any(i == pair[0] or j == pair[1] for i, j in pairs):
                pairs.append(pair)
    left = [i for i in before if i not in {i for i, _ in pairs}]
    free = [j for j in now if j not in {j for _, j in pairs}]
    return pairs + [(i, j) for i in left for j in free if hands.id[i] == hands.id[j]]


def _distance(hands: Hands, i: int, j: int) -> float:
    """Mean distance of the joints of two rows over the larger hand's size."""
    apart = np.linalg.norm(hands.uv[i] - hands.uv[j], axis=-1).mean()
    return float(apart / max(np.ptp(hands.uv[i], axis=0).max(), np.ptp(hands.uv[j], axis=0).max(), 1.0))


def in_a_row(hands: Hands) -> np.ndarray:
    """Rows (M, 3) of one id in three successive frames."""
    triples = [np.empty((0, 3), int)]
    for one in np.unique(hands.id):
        rows = np.flatnonzero(hands.id == one)
        step = np.diff(hands.frame[rows]) == 1
        middle = 1 + np.flatnonzero(step[:-1] & step[1:])
        triples.append(np.stack([rows[middle - 1], rows[middle], rows[middle + 1]], axis=1))
    return np.concatenate(triples)


def second_differences(values: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of values (M, 3, ...) at times (M, 3): the second differences (M, ...) as in the module's text, and per second
    squared: the acceleration, exact for a parabola at any times."""
    before, after = np.diff(times, axis=1).T.reshape(2, -1, *[1] * (values.ndim - 2))
    line = (after * values[:, 0] + before * values[:, 2]) / (before + after)
    second = 2 * (line - values[:, 1])
    return second, second / (before * after)


@dataclass(frozen=True)
class Jitter:
    """Second differences. rows (M,): the middle one of each three; of every joint mm (M, 21) in space, size (M, 21) in
    the picture over the hand's size, and the same per second squared: m_s2 and size_s2 (M, 21)."""

    rows: np.ndarray
    mm: np.ndarray
    size: np.ndarray
    m_s2: np.ndarray
    size_s2: np.ndarray

    def per_row(self, values: np.ndarray, count: int) -> np.ndarray:
        """(count,): mean over the joints for every row of Hands, NaN where a neighbour is missing."""
        series = np.full(count, np.nan)
        series[self.rows] = values.mean(axis=1)
        return series


def jitter(hands: Hands) -> Jitter:
    """Second differences of all hands that are followed for three frames in a row."""
    triples = in_a_row(hands)
    times, size = hands.times[hands.frame[triples]], hands.size[triples[:, 1], None]
    space, space_s2 = (np.linalg.norm(v, axis=-1) for v in second_differences(hands.xyz[triples], times))
    flat, flat_s2 = (np.linalg.norm(v, axis=-1) for v in second_differences(hands.uv[triples], times))
    return Jitter(triples[:, 1], _MM * space, flat / size, space_s2, flat_s2 / size)


def bone_cv(hands: Hands, wanted: int) -> float:
    """Coefficient of variation of the bones' lengths, mean over the bones.

    Where one hand was wanted, all rows are that hand; else left and right ones are two, weighted by their frames.
    Raises ValueError where no hand has two frames.
    """
    groups = [np.arange(len(hands))] if wanted == 1 else [
        np.flatnonzero(hands.handedness == side) for side in ("left", "right")
    ]  # fmt: skip
    groups = [rows for rows in groups if len(rows) > 1]
    if not groups:
        raise ValueError("no hand was found in two frames")
    variation = [metrics.bone_cv(hands.xyz[rows]) for rows in groups]
    return float(np.average(variation, weights=[len(rows) for rows in groups]))


def finger_lengths_mm(xyz: np.ndarray) -> np.ndarray:
    """(N, 5): lengths of hands' (N, 21, 3) fingers in mm, along their bones from the wrist to the tip."""
    return _MM * bone_lengths(np.asarray(xyz, float)).reshape(len(xyz), len(FINGERS), 4).sum(axis=-1)


def percentiles(values: np.ndarray, name: str) -> dict[str, float]:
    """NAME: median and NAME_p95 of the values (any shape) that are finite; nothing where there are none."""
    known = np.asarray(values, float)[np.isfinite(values)]
    if not known.size:
        return {}
    return {name: float(np.median(known)), f"{name}_p95": float(np.percentile(known, 95))}


def speed(ms: list[dict[str, float]], found: np.ndarray) -> tuple[dict[str, dict], float | None]:
    """Milliseconds by stage {p50, p95, runs} and frames a second, reading of the file included.

    ms: one a frame. Stages that did not run (0 ms) do not count as fast; `total` counts over frames with a hand.
    """
    stages = {}
    for stage in ms[0] if ms else ():
        rows = [row[stage] for row, hand in zip(ms, found) if row[stage] > 0 and (hand or stage != "total")]
        if rows:
            p50, p95 = np.percentile(rows, (50, 95))
            stages[stage] = {"p50": float(p50), "p95": float(p95), "runs": len(rows)}
    seconds = sum(row["capture"] + row["total"] for row in ms) / _MM
    return stages, len(ms) / seconds if seconds > 0 else None
