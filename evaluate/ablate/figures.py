"""The figures of an ablation as PNG files, from its results file alone.

Published figures are hatched or dashed, named as published, and drawn only where ours are of the same data set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from ...models.checkpoint import atomic_file
from .plan import AUC_ROWS, BAR_ROWS, SHARES, WEAK_ROWS
from .published import AREA_ENDS, AREAS, TABLE_1, TABLE_1_SETS, comparison, published_beside
from .published import SHARES as PUBLISHED_SHARES
from .results import PARTS, Line
from .rows import ROWS
from .settings import ADAPT_TO, Setting
from .table import PART_NAMES, Measured, Table, by_data

#: Names in figures where the row's own says too little.
NAMES = {
    "vc+cc": "consistency only", "pseudo-labels": "pseudo-labels only", "paper": "full, paper's recipe",
    "robust": "robust recipe", "weak-masks": "masks as weak labels", "weak-2d": "2D as weak labels", "oracle": "full labels",
}  # fmt: skip


#: A row has the same colour in all figures.
COLOURS = {row: colormaps["tab20"](i) for row, i in zip(ROWS, cycle((14, 15, 19, 1, 3, 2, 4, 6, 9, 0, 10, 16, 8, 12)))}


class Nothing(Exception):
    """The results hold nothing for a figure; the text says what is missing."""


@dataclass(frozen=True)
class Bars:
    """A row's bars: for each group height and standard error (0 where unknown), or None. published: where, hatched."""

    row: str
    heights: list[tuple[float, float] | None]
    published: str = ""

    @property
    def name(self) -> str:
        """For the legend."""
        if not self.published:
            return NAMES.get(self.row, self.row)
        return f"published, {self.published}: {'full' if self.row == 'paper' else NAMES.get(self.row, self.row)}"

    @property
    def look(self) -> dict:
        """Filled where it is ours."""
        colour = COLOURS.get(self.row, "0.5")
        return {"hatch": "///", "facecolor": "white", "edgecolor": colour} if self.published else {"facecolor": colour}


def draw(name: str, lines: Iterable[Line], data: str, results: Path, rows: Iterable[str] | None = None) -> str:
    """Draw a figure (see `ablate_plan.FIGURES`) beside the results file; rows: of the curves, None for the usual ones.

    Returns a sentence: where it is, or why there is none.
    """
    groups = by_data(lines)
    found = Table(groups.get(data) or groups.get("") or [])
    of_data = "" if name == "bars" else "-" + re.sub(r"[^a-z0-9]+", "-", data.lower()).strip("-")
    file = results.with_name(f"{results.stem}-{name}{of_data}.png")
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    try:
        _DRAWN[name](figure.subplots(1, 2), found, data, groups if name == "bars" else tuple(rows or AUC_ROWS))
    except Nothing as reason:
        return f"Figure {name} is not drawn: {reason}."
    with atomic_file(file) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return "\n".join([f"Figure {name}: {file}", *published_beside(name, data)])


def _bars(axes, found: Table, data: str, groups: dict[str, list[Line]]) -> None:
    """Fig. 6: four bars of every data set, and the robust recipe where it was measured."""
    tables = {name: Table(lines) for name, lines in groups.items()}
    if not any((row, "") in one.rows for one in tables.values() for row in BAR_ROWS[1:]):
        raise Nothing("none of vc+cc, pseudo-labels and paper is finished")
    for axis, part in zip(axes, PARTS):
        columns = {name: one.leading(part) for name, one in tables.items() if one.leading(part)}
        series = [Bars(row, [_height(tables[name].rows.get((row, "")), column) for name, column in columns.items()])
                  for row in (*BAR_ROWS, "robust")]  # fmt: skip
        series += [_published(TABLE_1[row], row, columns, part) for row in BAR_ROWS]
        _grouped(axis, list(columns), series, PART_NAMES[part], _unit(columns.values()))


def _sets(axes, found: Table, data: str, rows) -> None:
    """Last rows of Table 1: adapted to the train part, the test part, or both, and measured on each."""
    variants = {name: Setting(adapt_to=name).text for name in ADAPT_TO}
    methods = [row for row, setting in found.rows if setting in (variants["test"], variants["both"])]
    if not methods:
        raise Nothing("no row was adapted to the test part")
    for axis, part in zip(axes, PARTS):
        if not (column := found.leading(part)):
            continue
        series = [Bars("baseline", [_height(found.rows.get(("baseline", "")), column)] * len(variants))]
        for row in dict.fromkeys(methods):
            series.append(Bars(row, [_height(found.rows.get((row, text)), column) for text in variants.values()]))
        if comparison(data).name == "STB":
            heights = [(TABLE_1_SETS[name][PARTS.index(part)], 0.0) for name in variants]
            series.append(Bars("paper", heights, "STB"))
        title = f"{data}, measured on the {('train', 'test')[PARTS.index(part)]} part"
        _grouped(axis, [f"adapted to {name}" for name in variants], series, title, _unit([column]))


def _auc(axes, found: Table, data: str, rows) -> None:
    """Fig. 7 and 8: PCK curves, and the areas under them beside the published ones of the same data set."""
    part, name = _part(found), comparison(data).name
    low, high = AREA_ENDS.get(name, (20, 50))
    curves = {row: found.rows[row, ""].curves[part] for row in rows if (row, "") in found.rows}
    curves = {row: values for row, values in curves.items() if len(values)}
    if not curves:
        raise Nothing("no finished run kept its PCK curve (older files have none); use another --results")
    series = []
    for row, values in curves.items():
        areas = curve_areas(values, low, high)
        thresholds = np.linspace(0, 100, values.shape[1])
        axes[0].plot(thresholds, values.mean(0), color=COLOURS[row], label=f"{NAMES.get(row, row)}, {areas.mean():.3f}")
        axes[0].fill_between(thresholds, values.min(0), values.max(0), color=COLOURS[row], alpha=0.15)
        series.append(Bars(row, [(float(areas.mean()), _error(areas))]))
    series += [Bars(row, [(area, 0.0)], name) for row, area in AREAS.get(name, {}).items()]
    axes[0].axvspan(low, high, color="0.93", zorder=0)
    axes[0].set(xlim=(0, max(60, high)), ylim=(0, 1), xlabel="threshold, mm", ylabel="3D PCK")
    axes[0].set_title(f"{data}, {PART_NAMES[part]}")
    axes[0].legend(fontsize=8, title=f"AUC {low} to {high} mm", title_fontsize=8)
    _grouped(axes[1], [data], series, f"area under the curve, {low} to {high} mm", "AUC", digits=3)


def curve_areas(curves: np.ndarray, low: float, high: float) -> np.ndarray:
    """Areas (S,) under PCK curves (S, T) over 0 to 100 mm between two thresholds: trapezoid rule, normalised to 1."""
    thresholds, at = np.linspace(0, 100, curves.shape[1]), np.linspace(low, high, 61)
    values = np.stack([np.interp(at, thresholds, curve) for curve in curves])
    return ((values[:, 1:] + values[:, :-1]) / 2).mean(1)


def _share(axes, found: Table, data: str, rows) -> None:
    """Fig. 10: error by per cent of the unlabelled pictures; and with no, weak and full labels."""
    part = _part(found)
    column, texts = found.leading(part), {share: Setting(unlabelled=share).text for share in SHARES}
    methods = list(dict.fromkeys(row for row, setting in found.rows if setting in list(texts.values())[:-1]))
    if not methods:
        raise Nothing("no row was adapted to a share of the pictures")
    for method in methods:
        heights = {share: _height(found.rows.get((method, text)), column) for share, text in texts.items()}
        shares = [share for share in SHARES if heights[share]]
        means, errors = ([heights[share][i] for share in shares] for i in (0, 1))
        look = {"color": COLOURS.get(method), "label": NAMES.get(method, method), "marker": "o", "capsize": 3}
        axes[0].errorbar(shares, means, yerr=errors, **look)
    if baseline := _height(found.rows.get(("baseline", "")), column):
        axes[0].axhline(baseline[0], color="0.5", linewidth=1, label="baseline")
    if comparison(data).name == "STB":
        axes[0].plot(
            list(PUBLISHED_SHARES), list(PUBLISHED_SHARES.values()), "x--", color="0.35", label="published, STB"
        )
    axes[0].set_xscale("log")
    axes[0].set_xticks(SHARES, [str(share) for share in SHARES])
    axes[0].minorticks_off()
    axes[0].set(xlabel="unlabelled pictures used, %", ylabel=_unit([column]), title=f"{data}, {PART_NAMES[part]}")
    axes[0].legend(fontsize=8)
    series = [Bars(row, [_height(found.rows.get((row, "")), column)]) for row in ("baseline", *methods, *WEAK_ROWS)]
    _grouped(axes[1], [data], series, "all pictures: without, with weak, with full labels", _unit([column]))


_DRAWN: dict[str, Callable] = {"bars": _bars, "auc": _auc, "share": _share, "sets": _sets}


def _part(found: Table) -> str:
    """The part that figures show: the other poses, else those adapted to."""
    part = next((part for part in reversed(PARTS) if found.leading(part)), None)
    if part is None:
        raise Nothing("no finished run has a result")
    return part


def _height(measured: Measured | None, column: str) -> tuple[float, float] | None:
    """Mean and standard error; None where nothing was measured."""
    values = () if measured is None else measured.values[column]
    return (float(np.mean(values)), _error(values)) if len(values) else None


def _error(values) -> float:
    """Standard error of the mean; 0 where one value does not tell."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _published(values: tuple[float, float], row: str, columns: dict[str, str], part: str) -> Bars:
    """The paper's Table 1 on those of the data sets that are STB."""
    heights = [(values[PARTS.index(part)], 0.0) if comparison(name).name == "STB" else None for name in columns]
    return Bars(row, heights, "STB")


def _unit(columns: Iterable[str]) -> str:
    """Label of the axis of errors."""
    names = sorted({column.split("_", 1)[1] for column in columns})
    words = {"epe_mm": "EPE, mm", "tips_mm": "error of the fingertips, mm", "nme": "2D error, share of the hand"}
    return " or ".join(words[name] for name in names)


def _grouped(axis, groups: list[str], series: list[Bars], title: str, unit: str, digits: int = 1) -> None:
    """Bars side by side in groups, with standard errors and their values; series without any height are left out."""
    series = [one for one in series if any(one.heights)]
    width = 0.8 / max(1, len(series))
    for number, one in enumerate(series):
        shown = [
            (i + (number - (len(series) - 1) / 2) * width, *height) for i, height in enumerate(one.heights) if height
        ]
        at, heights, errors = zip(*shown)
        bars = axis.bar(at, heights, width, yerr=errors if any(errors) else None, capsize=2, label=one.name, **one.look)
        axis.bar_label(bars, fmt=f"%.{digits}f", fontsize=7, padding=1)
    axis.set_xticks(range(len(groups)), groups)
    axis.set(title=title, ylabel=unit)
    axis.margins(y=0.12)
    if series:
        axis.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)
