"""Results as a table for the terminal, as JSON and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ... import text
from ...errors import SemihandError
from . import breakdown, curves
from .run import METRICS, TIP_METRICS, FrameResult, HandErrors, Result

SCHEMA = 2
#: Digits after the point; the other metrics are shares and get three.
DIGITS = {"nme": 4, "lag_frames": 2, "angle_deg": 1, **{name: 2 for name in METRICS if name.endswith("_mm")}}
#: Metrics that JSON has and the terminal's table has no room for.
_NOT_IN_TABLE = ("epe20_mm", "jitter_label_mm")
_WORST_JOINTS = 5


def by_set(results: dict[str, list[Result]]) -> Iterator[tuple[str, Result]]:
    """(source, result), the sources of one set next to each other."""
    for rows in zip(*results.values(), strict=True):
        yield from zip(results, rows, strict=True)


def table(results: dict[str, list[Result]]) -> str:
    """One row per set and source of predictions ({source: results}); metrics that no row has are left out."""
    names = shown_metrics([result.metrics for _, result in by_set(results)])
    rows = [
        [
            result.name,
            source,
            str(result.frames),
            str(result.missed),
            *(number(n, result.metrics.get(n)) for n in names),
        ]
        for source, result in by_set(results)
    ]
    return text.table(["set", "predicted by", "frames", "missed", *names], rows, left=2)


def shown_metrics(found: list[dict]) -> list[str]:
    """The metrics of a summary: those that any row has; the fingertips' only where a row has no `epe_mm`."""
    tips = any("tips_mm" in metrics and "epe_mm" not in metrics for metrics in found)
    left_out = _NOT_IN_TABLE if tips else (*_NOT_IN_TABLE, *TIP_METRICS)
    return [name for name in METRICS if name not in left_out and any(name in metrics for metrics in found)]


def details(results: dict[str, list[Result]]) -> str:
    """A few lines for each row of the table: worst joints, every gesture, and what the confidence is worth."""
    return "\n".join(line for source, result in by_set(results) for line in _detail_lines(source, result))


def _detail_lines(source: str, result: Result) -> Iterator[str]:
    found = set_record(source, result)
    yield f"\n{result.name}, {source}"
    joints = found["joints"]
    measure = next((name for name in ("epe_mm", "nme") if any(name in row for row in joints)), None)
    if measure is not None:
        worst = sorted((row for row in joints if measure in row), key=lambda row: -row[measure])[:_WORST_JOINTS]
        yield f"  worst joints by {measure}: " + ", ".join(f"{w['joint']} {number(measure, w[measure])}" for w in worst)
    if "epe20_mm" in found:
        yield f"  epe_mm over the 20 joints without the wrist: {number('epe20_mm', found['epe20_mm'])}"
    for row in found["gestures"]:
        values = ", ".join(f"{name} {number(name, row[name])}" for name in row if name in METRICS)
        yield f"  {row['gesture']}: {row['frames']} frames, {row['missed']} missed" + f", {values}" * bool(values)
    yield f"  {_confidence_line(found['calibration'])}"
    for reason in dict.fromkeys(result.absent.values()):
        yield f"  no {', '.join(name for name in result.absent if result.absent[name] == reason)}: {reason}"


def _confidence_line(found: dict) -> str:
    if "reason" in found:
        return f"no calibration: {found['reason']}"
    values = [f"{name.replace('_', ' ')} {found[name]:+.2f}" for name in ("rank_correlation", "auroc") if name in found]
    return f"confidence against error over {found['joints']} joints: " + (", ".join(values) or "nothing varies")


def record(results: dict[str, list[Result]], header: dict) -> dict:
    """The header's fields, then `sets`: of each its counts, its metrics, why others are absent, curves and tables."""
    sets = [set_record(source, result) for source, result in by_set(results)]
    return {"schema": SCHEMA, **header, "sets": sets}


def to_json(results: dict[str, list[Result]], header: dict) -> str:
    """`record` as text. Raises ValueError where a value is no number."""
    return json.dumps(record(results, header), indent=2, allow_nan=False)


def set_record(source: str, result: Result) -> dict:
    """One set and source as plain values; see `breakdown` and `curves` for what the tables hold."""
    return {
        "name": result.name, "predicted_by": source, "frames": result.frames, "unlabelled": result.unlabelled,
        "missed": result.missed, "fps": result.fps, **result.metrics, "absent": result.absent, **_tables(result),
    }  # fmt: skip


def _tables(result: Result) -> dict:
    gestures = [row.gesture for row in result.per_frame]
    found = np.array([row.found for row in result.per_frame], bool)
    errors = result.errors
    if errors is None:
        return {"curves": {}, "joints": [], "gestures": breakdown.by_gesture(gestures, found, {}),
                "bins": {}, "calibration": {"reason": "no hand was found"}}  # fmt: skip
    return {
        "curves": _curves(errors),
        "joints": breakdown.by_joint(errors.of_joints()),
        "gestures": breakdown.by_gesture(gestures, found, errors.every()),
        "bins": {name: breakdown.by_bins(getattr(errors, name), edges, errors.every())
                 for name, edges in breakdown.BINS.items()},
        "calibration": _calibration(errors),
    }  # fmt: skip


def _curves(errors: HandErrors) -> dict:
    wanted = {
        "pck_2d": (errors.nme, curves.CURVE_2D), "pck_3d": (errors.epe_mm, curves.CURVE_3D),
        "pck_tips": (errors.tips_mm, curves.CURVE_3D),
    }  # fmt: skip
    return {
        name: curves.pck_curve(values, ends) for name, (values, ends) in wanted.items() if np.isfinite(values).any()
    }


def _calibration(errors: HandErrors) -> dict:
    try:
        return curves.calibration(errors.confidence, errors.nme)
    except ValueError as error:
        return {"reason": str(error)}


def write_csv(file: str | Path, results: dict[str, list[Result]]) -> None:
    """One line per set, source and labelled frame, with that frame's own errors; empty where none."""
    fields = [field.name for field in dataclasses.fields(FrameResult)]
    try:
        with Path(file).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["set", "predicted_by", *fields])
            for source, result in by_set(results):
                writer.writerows([result.name, source, *dataclasses.astuple(row)] for row in result.per_frame)
    except OSError as error:
        raise SemihandError(f"Could not write {file}: {error.strerror}.") from error


def number(name: str, value: float | None) -> str:
    """A metric's value with the digits that count, - where there is none."""
    return "-" if value is None else f"{value:.{DIGITS.get(name, 3)}f}"
