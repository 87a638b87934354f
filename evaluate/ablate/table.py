"""The tables of an ablation as text: mean and spread over seeds, what each row gains, whether the paper's order holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ... import text
from .published import TABLE_1, comparison
from .results import ALL_METRICS, PARTS, Line
from .rows import CONTROLS, ROWS
from .settings import without_pictures

#: Places where errors are compared: what the metric of the first kind that a target has says.
LEADING = ("epe_mm", "tips_mm", "nme")
PART_NAMES = {"adapted": "poses adapted to", "other": "other poses"}
#: Table 1's order, worst first: each pair's left one has the larger error.
ORDER = (
    ("baseline", "vc"), ("baseline", "cc"), ("vc", "vc+cc"), ("cc", "vc+cc"),
    ("vc+cc", "pseudo-labels"), ("pseudo-labels", "paper"),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """All finished runs of one row with one setting: values over seeds by column, and curves (seeds, thresholds) by part.

    stopped: why some have none.
    """

    row: str
    setting: str
    values: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    stopped: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.row} [{self.setting}]" if self.setting else self.row

    def mean(self, column: str) -> float | None:
        """None where nothing was measured."""
        found = self.values.get(column, ())
        return float(np.mean(found)) if len(found) else None

    def squared_error(self, column: str) -> float | None:
        """Square of the mean's standard error; 0 for the source, which is always the same; None with one seed."""
        found = self.values[column]
        if self.row == "baseline":
            return 0.0
        return float(np.var(found, ddof=1) / len(found)) if len(found) > 1 else None


class Table:
    """The runs on one data set."""

    def __init__(self, lines: Iterable[Line]):
        self.rows: dict[tuple[str, str], Measured] = {}
        groups: dict[tuple[str, str], list[Line]] = {}
        for line in lines:
            groups.setdefault((line["row"], line["setting"]), []).append(line)
        known = list(ROWS)
        order = sorted(
            groups, key=lambda key: (_natural(key[1]), known.index(key[0]) if key[0] in known else len(known))
        )
        for row, setting in order:
            group = groups[row, setting]
            values = {
                f"{part}_{metric}": _numbers(group, f"{part}_{metric}") for part in PARTS for metric in ALL_METRICS
            }
            stopped = tuple(f"seed {line['seed']}: {line['note']}" for line in group if line["note"])
            curves = {part: _curves(group, f"{part}_curve") for part in PARTS}
            self.rows[row, setting] = Measured(row, setting, values, curves, stopped)

    def leading(self, part: str) -> str | None:
        """The column that rows are compared by; None where a part was not measured."""
        columns = (f"{part}_{metric}" for metric in LEADING)
        return next((name for name in columns if any(len(row.values[name]) for row in self.rows.values())), None)

    def beside(self, measured: Measured, row: str) -> Measured | None:
        """Another row with the same setting, else without what concerns the pictures, else as it is."""
        settings = (measured.setting, without_pictures(measured.setting), "")
        return next((self.rows[row, setting] for setting in settings if (row, setting) in self.rows), None)


def by_data(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Lines of every data set; those that name none belong to the only one that is named, else they are alone."""
    lines = list(lines)
    names = {line["data"] for line in lines if line["data"]}
    unnamed = names.pop() if len(names) == 1 else ""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line["data"] or unnamed, []).append(line)
    return groups


def table(lines: Iterable[Line], starts: Iterable[dict] = ()) -> str:
    """A table of every data set and part. starts: see `ablate_results.Results.starts`; they know how many frames."""
    frames = {start["data"]["name"]: start["data"].get("frames", {}) for start in starts}
    texts = []
    for data, group in by_data(lines).items():
        found = Table(group)
        texts += [_part(found, data, part, frames.get(data, {})) for part in PARTS if found.leading(part)]
        stopped = [f"{row.name}, {why}" for row in found.rows.values() for why in row.stopped]
        texts += ["Trainings that went wrong:\n" + "\n".join(stopped)] if stopped else []
    return "\n\n".join(texts) or "No run has a result."


def _part(found: Table, data: str, part: str, frames: dict) -> str:
    lead, rows = found.leading(part), list(found.rows.values())
    metrics = [name for name in ALL_METRICS if any(len(row.values[f"{part}_{name}"]) for row in rows)]
    published = comparison(data), PARTS.index(part)
    lead_name = lead.removeprefix(f"{part}_")
    metrics = [name for name in metrics if lead_name != "epe_mm" or not name.startswith("tips")]
    head = ["row", "seeds", lead_name, "against baseline", "against control", "closed"]
    head += [name for name in metrics if name != lead_name] + ["published epe_mm *"]
    body = []
    for row in rows:
        cells = [row.name, str(len(row.values[lead])), _mean_and_spread(row.values[lead])]
        cells += [
            _change(row, found.beside(row, other), lead) for other in ("baseline", CONTROLS.get(row.row, "control"))
        ]
        cells += [_closed(row, found, lead)]
        cells += [_mean_and_spread(row.values[f"{part}_{name}"]) for name in metrics if name != lead_name]
        body.append([*cells, f"{TABLE_1[row.row][published[1]]:.2f}" if row.row in TABLE_1 and not row.setting else ""])
    title = f"{data or 'unnamed data set'}, {PART_NAMES[part]}"
    if part in frames:
        title += f": {frames[part]} frames"
        if frames["missed"]:
            title += f"; no hand was found on {frames['missed']} of the data set's, which are not in here"
    note = f"* Table 1, STB {('train', 'test')[published[1]]}, {published[0].note('STB')}"
    kept = [i for i in range(len(head)) if any(row[i] for row in body)]
    grid = text.table([head[i] for i in kept], [[row[i] for i in kept] for row in body])
    return "\n".join([title, grid, note])


def _natural(setting: str) -> list:
    """To sort settings by: 5 % before 10 %, and rows as they are first."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", setting)]


def _numbers(lines: list[Line], column: str) -> np.ndarray:
    return np.array([float(line[column]) for line in lines if line[column]])


def _curves(lines: list[Line], column: str) -> np.ndarray:
    """(seeds that have one, thresholds)."""
    return np.array([[float(share) for share in line[column].split()] for line in lines if line[column]])


def _mean_and_spread(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():.4g}" if len(values) else ""
    return f"{values.mean():.4g} ± {values.std(ddof=1):.2g}"


def _change(row: Measured, other: Measured | None, column: str) -> str:
    """By how much the error changes against another row's."""
    here, there = row.mean(column), None if other is None else other.mean(column)
    if here is None or not there or other is row:
        return ""
    return f"{here / there - 1:+.1%}"


def _closed(row: Measured, found: Table, column: str) -> str:
    """Share of the way from the synthetic-only control of the robust recipe to the oracle."""
    ends = [found.beside(row, name) for name in ("robust-control", "oracle")]
    start, end = (None if one is None else one.mean(column) for one in ends)
    here = row.mean(column)
    if None in (start, end, here) or row.row == "baseline" or not start > end:
        return ""
    return f"{(start - here) / (start - end):.0%}"


def order_report(lines: Iterable[Line]) -> str:
    """Whether the errors are ordered as the paper's (see ORDER) on each data set, part and setting, and how surely."""
    texts = []
    for data, group in by_data(lines).items():
        found = Table(group)
        settings = dict.fromkeys(without_pictures(setting) for _, setting in found.rows)
        for setting in settings:
            texts += [_order(found, setting, data, part) for part in PARTS if found.leading(part)]
    return "\n\n".join(text for text in texts if text)


def _order(found: Table, setting: str, data: str, part: str) -> str:
    column = found.leading(part)
    rows = {name: found.rows.get((name, setting)) for pair in ORDER for name in pair}
    rows["baseline"] = found.rows.get(("baseline", "")) or rows["baseline"]
    if sum(row is not None for row in rows.values()) < 2:
        return ""
    pairs = [_pair(rows[worse], rows[better], worse, better, column) for worse, better in ORDER]
    missing = sum(holds is None for holds, _ in pairs)
    verdict = f"cannot be told, {missing} of {len(pairs)} comparisons lack a row" if missing else "holds"
    if any(holds is False for holds, _ in pairs):
        verdict = "does not hold"
    name = ", ".join(part for part in (data, PART_NAMES[part], setting) if part)
    title = f"The paper's order on {name} ({column.removeprefix(part + '_')}): {verdict}"
    return "\n".join([title, *(text for _, text in pairs)])


def _pair(worse: Measured | None, better: Measured | None, *names_and_column: str) -> tuple[bool | None, str]:
    """Whether the first has the larger error, and a line that says how surely (two standard errors of the difference)."""
    *names, column = names_and_column
    means = [None if row is None else row.mean(column) for row in (worse, better)]
    if None in means:
        absent = [name for name, mean in zip(names, means) if mean is None]
        return None, f"  {names[0]} > {names[1]}: not measured: {', '.join(absent)}"
    apart, squared = means[0] - means[1], [row.squared_error(column) for row in (worse, better)]
    if None in squared:
        spread = "one seed, its spread is unknown"
    else:
        limit = 2 * float(np.sqrt(sum(squared)))
        spread = f"{'more' if abs(apart) > limit else 'not more'} than two standard errors, {limit:.3g}"
    compared = f"{names[0]} {means[0]:.4g} > {names[1]} {means[1]:.4g}"
    return apart > 0, f"  {compared}: {'yes' if apart > 0 else 'no'}, {apart:+.3g}; {spread}"
