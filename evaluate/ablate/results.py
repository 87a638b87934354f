"""The results file of an ablation: a line for every finished run, readable while it grows, and how it came about.

A line is appended in one write. Files of earlier versions have fewer columns: what is missing is empty, and the header
is replaced in one move before the first new line.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path

from ... import provenance
from ...errors import SemihandError
from ...models.checkpoint import atomic_file

log = logging.getLogger(__name__)

PARTS = ("adapted", "other")
METRICS = ("epe_mm", "pa_mm", "nme")
#: Metrics that came later; their columns stand behind.
MORE_METRICS = ("auc_20_50", "mask_iou", "tips_mm", "tips_auc_0_100")
ALL_METRICS = METRICS + MORE_METRICS
COLUMNS = (
    "row", "seed", "seconds", *(f"{part}_{name}" for part in PARTS for name in METRICS), "setting", "data",
    *(f"{part}_{name}" for part in PARTS for name in MORE_METRICS), *(f"{part}_curve" for part in PARTS), "note",
)  # fmt: skip
_NUMBERS = ("seconds", *(f"{part}_{name}" for part in PARTS for name in ALL_METRICS))

Line = dict[str, str]


class Results:
    """The results file. Raises SemihandError where it is no such file or cannot be written."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.is_dir():
            raise SemihandError(
                f"{self.path} is a folder. Give the results a file: --results {self.path / 'ablation.csv'}."
            )

    @property
    def provenance(self) -> Path:
        """The JSON file beside it: command, date, versions, model and data of every start."""
        return self.path.with_name(self.path.stem + ".provenance.json")

    def lines(self) -> list[Line]:
        """All finished runs; every column of COLUMNS is there, empty where the file has none."""
        return self._read()[1]

    def _read(self) -> tuple[list[str], list[Line]]:
        """Columns of the file and its lines, without one that a kill cut off."""
        if not self.path.exists():
            return [], []
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SemihandError(f"{self.path} cannot be read ({error}). Give another --results.") from error
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]), restval="", restkey="_more")
        columns = list(reader.fieldnames or [])
        if columns and not {"row", "seed"} <= set(columns):
            raise SemihandError(
                f"{self.path} is no results file: its first line lacks row or seed. Give another --results."
            )
        return columns, [self._line(number, values) for number, values in enumerate(reader, 2)]

    def _line(self, number: int, values: dict) -> Line:
        try:
            int(values["seed"])
            for name in _NUMBERS:
                float(values.get(name) or 0)
        except ValueError as error:
            raise SemihandError(f"{self.path}, line {number}: {error}. Mend or delete the line.") from error
        return dict.fromkeys(COLUMNS, "") | values

    def prepare(self, data: str) -> None:
        """Drop a line that a kill cut off, and bring an older file's header up to date.

        Lines that name no data set were measured before there was that column: they become those of `data`.
        """
        columns, lines = self._read()
        if not columns:
            return self._replace(COLUMNS, [])
        if unnamed := sum(not line["data"] for line in lines):
            log.info("%s: %d lines name no data set; they are taken as measured on %s.", self.path, unnamed, data)
        lines = [line | {"data": line["data"] or data} for line in lines]
        self._replace((*COLUMNS, *(name for name in columns if name not in COLUMNS)), lines)

    def _replace(self, columns, lines: list[Line]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        if not self.path.exists() or text.getvalue() != self.path.read_text(encoding="utf-8"):
            with atomic_file(self.path) as temporary:
                temporary.write_text(text.getvalue(), encoding="utf-8")

    def append(self, line: dict) -> None:
        """Add a finished run, in one write."""
        text, columns = io.StringIO(), self._read()[0]
        csv.DictWriter(text, columns, restval="", lineterminator="\n").writerow(line)
        try:
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                file.write(text.getvalue())
        except OSError as error:
            raise SemihandError(f"{self.path} could not be written ({error.strerror}); the run is lost.") from error

    def done(self, data: str) -> set[tuple[str, int, str]]:
        """(row, seed, setting) of the finished runs on a data set."""
        return {
            (line["row"], int(line["seed"]), line["setting"]) for line in self.lines() if line["data"] in ("", data)
        }

    def starts(self) -> list[dict]:
        """What is known of every start."""
        if not self.provenance.exists():
            return []
        try:
            return list(json.loads(self.provenance.read_text(encoding="utf-8"))["starts"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SemihandError(
                f"{self.provenance} is damaged ({error!r}). Delete it or give another --results."
            ) from error

    def note_start(self, data: dict, recipe: dict) -> None:
        """Keep how a start came about. recipe: what all runs on one data set must share.

        data: {"name": ..., and more}. Raises SemihandError where former runs on it had another recipe.
        """
        starts = self.starts()
        for start in starts:
            other = start.get("recipe", {}) if start["data"]["name"] == data["name"] else recipe
            if differing := [name for name in recipe if other.get(name) != recipe[name]]:
                was = ", ".join(f"{name} was {other.get(name)}, now {recipe[name]}" for name in differing)
                raise SemihandError(
                    f"{self.path} was measured otherwise on {data['name']}: {was}. Give another --results."
                )
        starts.append(provenance.record() | {"data": data, "recipe": recipe})
        with atomic_file(self.provenance) as temporary:
            temporary.write_text(json.dumps({"starts": starts}, indent=1), encoding="utf-8")
