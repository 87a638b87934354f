"""The plots of an evaluation's page, each over all models, from the rows that `semihand eval --json` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...report.page import captioned
from ...report.plots import Series, bar_groups, line_plot
from ...text import tick

#: Metrics that bars may show, the most telling first: title and unit, factor of the value.
MEASURES = (
    ("epe_mm", "3D error", "mm", 1.0), ("tips_mm", "3D error of the fingertips", "mm", 1.0),
    ("nme", "2D error", "% of the hand", 100.0),
)  # fmt: skip
BIN_TITLES = {"yaw": "palm's yaw, degrees", "pitch": "palm's pitch, degrees", "size_px": "hand's size, pixels"}
#: What the bars of a kind show.
_BARS = {
    "joints": "Mean error of each joint.",
    "gestures": "Mean error of the hands of each gesture.",
    "yaw": "Mean error by how far the palm is turned sideways: 0 faces the camera, positive turns to the picture's right.",
    "pitch": "Mean error by how far the palm is tilted: positive looks up.",
    "size_px": "Mean error by the hand's size in the picture, the longer side of its label's box.",
}
_CURVES = (
    ("pck_2d", "2D", "error over the hand's size", 0.5), ("pck_3d", "3D, to 50 mm", "error, mm", 50.0),
    ("pck_3d", "3D, to 100 mm", "error, mm", 100.0), ("pck_tips", "Fingertips", "error, mm", 100.0),
)  # fmt: skip
_AREAS = {"3D, to 50 mm": "auc_0_50", "3D, to 100 mm": "auc_0_100", "Fingertips": "tips_auc_0_100"}


def measure_of(rows: Sequence[dict]) -> tuple[str, str, str, float]:
    """The first of MEASURES that any row has; the last where none has any."""
    return next((measure for measure in MEASURES if any(measure[0] in row for row in rows)), MEASURES[-1])


def curve_plots(rows: Sequence[dict]) -> list[str]:
    """PCK curves of every kind that any row has; fingertips only where there is no other 3D."""
    whole = any("pck_3d" in row["curves"] for row in rows)
    return [
        _curve_plot(rows, *curve) for curve in _CURVES
        if any(curve[0] in row["curves"] for row in rows) and not (whole and curve[0] == "pck_tips")
    ]  # fmt: skip


def _curve_plot(rows: Sequence[dict], name: str, title: str, x_label: str, end: float) -> str:
    lines = []
    for row in rows:
        if name in row["curves"]:
            curve = row["curves"][name]
            inside = [i for i, at in enumerate(curve["thresholds"]) if at <= end]
            area = row.get(_AREAS[title]) if title in _AREAS else curve["auc"]
            x, y = ([curve[part][i] for i in inside] for part in ("thresholds", "share"))
            lines.append(Series(f"{row['predicted_by']} (AUC {area:.3f})", x, y))
    drawn = line_plot(lines, f"Joints within an error: {title}", x_label, "share of joints", (0, 1))
    return captioned(drawn, "How many of the joints have at most the error below; the further up and left, the better.")


def bars_by(rows: Sequence[dict], kind: str, measure: tuple[str, str, str, float]) -> str:
    """Bars of a measure by "joints", "gestures", or the bins "yaw", "pitch", "size_px"; "" where no row has it."""
    name, title, unit, factor = measure
    tables = {row["predicted_by"]: {_group(kind, entry): entry for entry in _entries(row, kind)} for row in rows}
    groups = _ordered([list(entries) for entries in tables.values()], kind)
    if not any(name in entry for entries in tables.values() for entry in entries.values()):
        return ""
    series = {
        source: [factor * entries.get(group, {}).get(name, math.nan) for group in groups]
        for source, entries in tables.items()
    }
    counts = {group: max(e.get(group, {}).get("hands", 0) for e in tables.values()) for group in groups}
    labels = [_label(group) + f" ({counts[group]})" * bool(counts[group]) for group in groups]
    head = f"{title} by {BIN_TITLES.get(kind, kind[:-1])}"
    told = f"{_BARS[kind]} Shorter is better{'; in brackets: how many hands' * any(counts.values())}."
    if kind == "joints" and name == "epe_mm":
        told += " The middle knuckle, on which answer and label are laid onto each other, has none."
    return captioned(bar_groups(labels, series, head, unit), told)


def calibration_plot(rows: Sequence[dict]) -> str:
    """Mean 2D error of each tenth of the joints over its mean confidence."""
    lines = []
    for row in rows:
        bins = row["calibration"]["bins"]
        x, y = [part["confidence"] for part in bins], [100 * part["nme"] for part in bins]
        lines.append(Series(row["predicted_by"], x, y))
    drawn = line_plot(lines, "2D error over predicted confidence", "mean confidence of a tenth of the joints",
                      "% of the hand", (0, None))  # fmt: skip
    return captioned(
        drawn, "Each dot is a tenth of the joints; a line that falls says that the less sure ones are more wrong."
    )


def _entries(row: dict, kind: str) -> list[dict]:
    return row["bins"].get(kind, []) if kind in BIN_TITLES else row[kind]


def _group(kind: str, entry: dict) -> str | tuple[float, float | None]:
    return (entry["low"], entry["high"]) if kind in BIN_TITLES else entry[kind[:-1]]


def _ordered(groups: list[list], kind: str) -> list:
    """Every group once: bins from low to high, others as they come."""
    every = dict.fromkeys(group for part in groups for group in part)
    return sorted(every, key=lambda ends: ends[0]) if kind in BIN_TITLES else list(every)


def _label(group: str | tuple[float, float | None]) -> str:
    if isinstance(group, str):
        return group.replace("_", " ")
    low, high = group
    return f"{tick(low)} to {tick(high)}" if high is not None else f"from {tick(low)}"
