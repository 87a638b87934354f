"""Errors by joint, by gesture, and by how the hand stands to the camera: arrays in, rows of plain values out.

`errors` is always {name of the metric: errors (N, J)}, NaN where a joint has no label. A row leaves out a metric
that none of its joints has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...models.joints import INDEX_MCP, JOINT_NAMES, LITTLE_MCP, MIDDLE_MCP, WRIST

#: Ends of the bins: degrees, degrees, pixels.
BINS = {
    "yaw": (-180, -140, -100, -60, -20, 20, 60, 100, 140, 180),
    "pitch": (-90, -50, -30, -10, 10, 30, 50, 90),
    "size_px": (0, 32, 48, 64, 96, 128, 192, 256, 384, np.inf),
}
_DIGITS = 6
Errors = Mapping[str, np.ndarray]


def palm_angles(xyz: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Yaw and pitch (N,) in degrees of the palm's normal of hands (N, 21, 3) in the camera frame.

    right (N,) bool: a right hand. yaw: 0 to the camera, positive to the picture's right, 180 away. pitch: positive up.
    NaN where one of the four joints has no label or the palm has no area.
    """
    up = xyz[:, MIDDLE_MCP] - xyz[:, WRIST]
    across = xyz[:, INDEX_MCP] - xyz[:, LITTLE_MCP]
    normal = np.cross(across, up) * np.where(right, 1.0, -1.0)[:, None]
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, length, out=np.full_like(normal, np.nan), where=length > 0)
    yaw = np.degrees(np.arctan2(normal[:, 0], -normal[:, 2]))
    return yaw, np.degrees(np.arcsin(np.clip(-normal[:, 1], -1, 1)))


def means(errors: Errors, rows: np.ndarray | None = None, joint: int | None = None) -> dict[str, float]:
    """The mean of every metric over some hands (rows: bool or indices) and one joint or all."""
    found = {}
    for name, values in errors.items():
        chosen = values if rows is None else values[rows]
        chosen = chosen if joint is None else chosen[:, joint]
        chosen = chosen[np.isfinite(chosen)]
        if chosen.size:
            found[name] = round(float(chosen.mean()), _DIGITS)
    return found


def by_joint(errors: Errors) -> list[dict]:
    """A row for each of the 21 joints that has a label somewhere: `joint`, `labels` (hands), and its means."""
    rows = []
    for joint, name in enumerate(JOINT_NAMES):
        labels = max((int(np.isfinite(values[:, joint]).sum()) for values in errors.values()), default=0)
        if labels:
            rows.append({"joint": name, "labels": labels, **means(errors, joint=joint)})
    return rows


def by_gesture(gestures: Sequence[str | None], found: np.ndarray, errors: Errors) -> list[dict]:
    """A row for each gesture in the order of its first frame: `gesture`, `frames`, `missed`, and its means.

    gestures and found (F,): of all labelled frames; errors: of the found ones, in the same order.
    """
    every = np.array([gesture or "" for gesture in gestures])
    of_found = every[found]
    return [
        {"gesture": name, "frames": int((every == name).sum()), "missed": int((every[~found] == name).sum()),
         **means(errors, of_found == name)}
        for name in dict.fromkeys(gesture for gesture in gestures if gesture)
    ]  # fmt: skip


def by_bins(values: np.ndarray, edges: Sequence[float], errors: Errors) -> list[dict]:
    """A row for each bin [low, high) of values (N,) that holds a hand: `low`, `high`, `hands`, and its means.

    The last bin holds its upper end too; an end at infinity is None; hands whose value is NaN are in none.
    """
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    rows = []
    for number, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        inside = (place == number) & np.isfinite(values)
        if inside.any():
            ends = {"low": _end(low), "high": _end(high), "hands": int(inside.sum())}
            rows.append({**ends, **means(errors, inside)})
    return rows


def _end(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
