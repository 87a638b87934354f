"""What `semihand eval --video` leaves behind: measures.json, frames.csv, report.html, overlay.mp4.

They are made in a folder of their own and take their place at the end: a run that fails leaves an earlier report as it
was, and one that succeeds replaces it. Nothing but an earlier report of the same kind is ever replaced.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import SemihandError
from ...paths import same_file
from .measures import Hands

log = logging.getLogger(__name__)

KIND = "semihand-video-eval"
MEASURES, FRAMES, PAGE, OVERLAY = "measures.json", "frames.csv", "report.html", "overlay.mp4"
NAMES = (MEASURES, FRAMES, PAGE, OVERLAY)
CSV_COLUMNS = (
    "model", "frame", "t", "hands", "id", "handedness", "score", "jitter_mm", "jitter_size", "joints_on_mask",
    "view_consistency", "landmark_distance", "total_ms",
)  # fmt: skip


def check_folder(folder: Path, video: Path) -> None:
    """Whether a report may be written there. Raises SemihandError with what stands in the way."""
    if folder.exists() and not folder.is_dir():
        raise SemihandError(f"{folder} is a file, not a folder for a report. Choose another --out.")
    held = [name for name in NAMES if (folder / name).exists()]
    if held and not _is_report(folder / MEASURES):
        raise SemihandError(
            f"{folder} holds {', '.join(held)} of something else, which the report would replace. Choose another --out."
        )
    if any(same_file(folder / name, video) for name in NAMES):
        raise SemihandError(f"The report would replace the video {video} itself. Choose another --out.")


def _is_report(path: Path) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("kind") == KIND
    except (OSError, ValueError, AttributeError) as error:
        log.debug("%s is no report: %s", path, error)
        return False


@contextmanager
def fresh_report(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files take their places in `folder` when the block ends well.

    Raises SemihandError where nothing can be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", suffix=".part", dir=folder.parent) as temporary:
            yield Path(temporary)
            folder.mkdir(exist_ok=True)
            for name in NAMES:
                made = Path(temporary) / name
                if made.exists():
                    os.replace(made, folder / name)
                else:  # of an earlier report, to which the new one would not belong
                    (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise SemihandError(
            f"The report {folder} could not be written: {error.strerror or error}. Check the space and permissions there."
        ) from error


def write_measures(path: Path, document: dict) -> None:
    """The document as JSON; never NaN: what could not be measured is null, with the reason under `absent`."""
    path.write_text(to_json(document) + "\n", encoding="utf-8", errors="backslashreplace")


def to_json(document: dict) -> str:
    """The document as it is printed and kept."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def write_frames(
    path: Path, times: Sequence[float], tables: dict[str, tuple[Hands, dict[str, np.ndarray], list]]
) -> None:
    """One row a model, frame and hand; a frame without a hand has a row with hands 0 and empty cells.

    tables: model -> hands, columns (N,) by name with NaN for an empty cell, and the frames' milliseconds.
    """
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS, restval="")
        writer.writeheader()
        for model, (hands, columns, ms) in tables.items():
            rows_of = [[] for _ in times]
            for row, place in enumerate(hands.frame):
                rows_of[place].append(row)
            for place, rows in enumerate(rows_of):
                frame = {"model": model, "frame": place, "t": f"{times[place]:.4f}", "hands": len(rows),
                         "total_ms": f"{ms[place]['total']:.2f}"}  # fmt: skip
                writer.writerows([frame | _hand(hands, columns, row) for row in rows] or [frame])


def _hand(hands: Hands, columns: dict[str, np.ndarray], row: int) -> dict[str, str]:
    known = {name: f"{values[row]:.5g}" for name, values in columns.items() if math.isfinite(values[row])}
    return {
        "id": str(hands.id[row]), "handedness": str(hands.handedness[row]), "score": f"{hands.score[row]:.3f}",
        "joints_on_mask": f"{hands.on_mask[row]:.3f}", **known,
    }  # fmt: skip
