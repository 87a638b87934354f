"""Results as a table for the terminal, as JSON and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

from ..errors import SemihandError
from .run import METRICS, FrameResult, Result

#: Digits after the point; the other metrics are shares and get three.
_DIGITS = {"epe_mm": 2, "pa_mm": 2, "jitter_mm": 2, "nme": 4}


def table(results: dict[str, list[Result]]) -> str:
    """One row per set and source of predictions ({source: results}); metrics that no row has are left out."""
    every = [result for rows in results.values() for result in rows]
    names = [name for name in METRICS if any(name in result.metrics for result in every)]
    lines = [["set", "predicted by", "frames", "missed", *names]]
    for source, rows in results.items():
        for result in rows:
            numbers = [_number(name, result.metrics.get(name)) for name in names]
            lines.append([result.name, source, str(result.frames), str(result.missed), *numbers])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(map(_cell, range(len(line)), line, widths)) for line in lines)


def to_json(results: dict[str, list[Result]], header: dict) -> str:
    """The header's fields, then `sets`: of each its counts, its metrics and why others are absent."""
    sets = [
        {
            "name": result.name,
            "predicted_by": source,
            "frames": result.frames,
            "unlabelled": result.unlabelled,
            "missed": result.missed,
            **result.metrics,
            "absent": result.absent,
        }
        for source, rows in results.items()
        for result in rows
    ]
    return json.dumps({**header, "sets": sets}, indent=2, allow_nan=False)


def write_csv(file: str | Path, results: dict[str, list[Result]]) -> None:
    """One line per set, source and labelled frame, with that frame's own errors; empty where none."""
    fields = [field.name for field in dataclasses.fields(FrameResult)]
    try:
        with Path(file).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["set", "predicted_by", *fields])
            for source, rows in results.items():
                for result in rows:
                    writer.writerows(
                        [result.name, source, *dataclasses.astuple(row)] for row in result.per_frame
                    )
    except OSError as error:
        raise SemihandError(f"Could not write {file}: {error.strerror}.") from error


def _number(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{_DIGITS.get(name, 3)}f}"


def _cell(column: int, text: str, width: int) -> str:
    return text.ljust(width) if column < 2 else text.rjust(width)
