"""Plots by matplotlib in one style, as SVG text that a page holds in itself.

Colours become the page's CSS variables, so a plot follows it from light to dark. Values that are not finite are left
out; a plot without any says so.
"""

from __future__ import annotations

import io
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ..models.metrics import rank_correlation
from ..text import number, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the series in their order: six that stay apart for colour-blind eyes, on light and on dark.
LIGHT = ("#2a6fc9", "#c2560c", "#14866a", "#7a55c7", "#b8336a", "#7d6608")
DARK = ("#6aa9f4", "#f2924a", "#45c39b", "#b096f2", "#ee7aab", "#d3b341")
INK, MUTED, LINE, BEFORE = "#1b1f24", "#5a6472", "#dde2e8", "#a3adb9"
#: Picture units of a plot. It is drawn as wide as the page has room: small, so that a phone's can still be read.
SIZE = (420, 260)
_DARK_REST = ("#e6e9ed", "#9aa5b1", "#343c45", "#66717d")
#: Every colour of a drawing, and the page's variable that it becomes.
_VARIABLES = {color: f"--s{i}" for i, color in enumerate(LIGHT)} | {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    BEFORE: "--before",
}
_RC = {
    "svg.fonttype": "none", "svg.hashsalt": "semihand", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11, "text.color": INK, "axes.titlesize": 13, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.titlecolor": INK, "axes.labelcolor": MUTED, "axes.edgecolor": LINE, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "axes.grid": True, "axes.grid.axis": "y",
    "axes.axisbelow": True, "grid.color": LINE, "xtick.color": MUTED, "ytick.color": MUTED, "ytick.left": False,
    "legend.frameon": False, "lines.linewidth": 2, "lines.markersize": 4, "figure.facecolor": "none",
    "axes.facecolor": "none",
}  # fmt: skip


def _variables(colors: Sequence[str]) -> str:
    return " ".join(f"{name}: {color};" for name, color in zip(_VARIABLES.values(), colors, strict=True))


STYLE = f"""
:root {{ {_variables(tuple(_VARIABLES))} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK + _DARK_REST)} }} }}
svg.plot {{ width: 100%; height: auto; display: block; }}
svg.plot * {{ stroke-linejoin: round; stroke-linecap: butt; }}
"""


@dataclass(frozen=True)
class Series:
    """One line or cloud: x and y of the same length; style "line" (with dots where few), "faint" or "dashed".

    color: place in the palette, None: the series' own place. What is dashed is there to compare with, and grey.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "line"
    color: int | None = None

    def points(self) -> np.ndarray:
        """(N, 2) float, NaN where one of the two is not finite. Raises ValueError where x and y differ in length."""
        points = np.stack([np.asarray(self.x, float), np.asarray(self.y, float)], axis=1)
        return np.where(np.isfinite(points).all(1, keepdims=True), points, np.nan)


def line_plot(
    series: Sequence[Series], title: str, x_label: str, y_label: str,
    y_range: tuple[float | None, float | None] = (None, None), size: tuple[int, int] = SIZE,
    verticals: Sequence[float] = (),
) -> str:  # fmt: skip
    """Lines over x.

    y_range: ends of the axis, None: from the values, which may lie beyond fixed ends. verticals: x of upright lines.
    Lines through the same points become one, which bears both names.
    """
    series = _apart(series)

    def draw(axes: Axes) -> None:
        for x in verticals:
            axes.axvline(x, color=LINE, linewidth=1)
        for one, color in zip(series, _colors(series), strict=True):
            look = {"faint": {"alpha": 0.35, "linewidth": 1}, "dashed": {"linestyle": "--", "linewidth": 1.5}}
            few = one.style == "line" and len(one.x) <= 40
            label = one.name if one.style != "faint" else None
            axes.plot(*one.points().T, color=color, marker="o" if few else None, label=label, **look.get(one.style, {}))
        _set_ends(axes, _every(series), y_range)

    return plot(draw, title, x_label, y_label, size, _every(series))


def scatter(
    series: Sequence[Series], title: str, x_label: str, y_label: str, size: tuple[int, int] = (520, 340)
) -> str:
    """Clouds of points with Spearman's rank correlation over all of them; the zero lines are marked."""
    every = _every(series)

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.axhline(0, color=MUTED, linewidth=1)
        for one, color in zip(series, _colors(series), strict=True):
            axes.scatter(*one.points().T, color=color, label=one.name, s=20)
        told = f"rank correlation {signed(rank_correlation(*every.T))} ({len(every)} points)"
        axes.text(0.01, 0.98, told, transform=axes.transAxes, va="top")

    return plot(draw, title, x_label, y_label, size, every)


def bar_groups(
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    title: str,
    unit: str = "",
    colors: Sequence[str] = LIGHT,
) -> str:
    """Lying bars from zero with their numbers, one of each series for every group; negative values have no bar.

    Raises ValueError where a series has another number of values than there are groups.
    """
    values = np.array([list(row) for row in series.values()], float).reshape(len(series), len(groups))
    thick = 0.85 / max(1, len(series))

    def draw(axes: Axes) -> None:
        for i, name in enumerate(series):
            at = np.arange(len(groups)) + (i - (len(series) - 1) / 2) * thick
            bars = axes.barh(
                at, np.maximum(np.nan_to_num(values[i]), 0), 0.9 * thick, color=colors[i % len(colors)], label=name
            )
            told = [number(v) + f" {unit}" * (bool(unit) and math.isfinite(v)) for v in values[i]]
            axes.bar_label(bars, told, padding=4, fontsize=10)
        axes.set_yticks(range(len(groups)), groups)
        axes.margins(x=0.2, y=0.02)
        axes.invert_yaxis()
        axes.grid(False)
        axes.spines.bottom.set_visible(False)
        axes.set_xticks([])

    height = 60 + len(groups) * (14 * len(series) + 10)
    return plot(draw, title, "", "", (SIZE[0], height), values[np.isfinite(values)])


def pair_bar(before: float, after: float, tone: str) -> str:
    """Two small bars for a table's cell, before over after; tone: CSS variable of the second's colour."""
    longest = max([abs(v) for v in (before, after) if math.isfinite(v)] + [1e-12])
    bars = "".join(
        f'<rect y="{y}" width="{110 * abs(v) / longest if math.isfinite(v) else 0:.1f}" height="8" fill="var({color})"/>'
        for y, v, color in ((3, before, "--before"), (13, after, tone))
    )
    return f'<svg viewBox="0 0 112 24" width="112" height="24" aria-hidden="true">{bars}</svg>'


def new_figure(size: tuple[int, int]) -> Figure:
    """An empty figure of (width, height) picture units in the pages' style; draw within `style`."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.WARNING)  # "generated new fontManager"
    from matplotlib.figure import Figure

    return Figure(figsize=(size[0] / 72, size[1] / 72), layout="constrained")


def style():
    """The context in which figures are drawn and saved."""
    import matplotlib

    return matplotlib.rc_context(_RC)


def svg(figure: Figure, title: str) -> str:
    """A figure as an inline SVG, as wide on the page as there is room, in the page's colours."""
    for artist in figure.findobj():
        artist.set_clip_on(False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    box = re.search(r'viewBox="([^"]+)"', text)[1]
    body = text[text.index("<g ") : text.rindex("</svg>")]  # without the head, whose style would reach the whole page
    body = re.sub(r' id="[\w.]+_\d+"', "", body).replace("xlink:href", "href").replace("'DejaVu Sans'", "system-ui")
    body = re.sub(r"\s+", " ", body)
    for color, variable in _VARIABLES.items():
        body = body.replace(color, f"var({variable})")
    return f'<svg class="plot" role="img" aria-label="{escape(title)}" viewBox="{box}">{body}</svg>'


def plot(draw, title: str, x_label: str, y_label: str, size: tuple[int, int], values: np.ndarray) -> str:
    """A figure with title, axes and a legend under it where there are several names."""
    with style():
        figure = new_figure(size)
        axes = figure.subplots()
        axes.set(title=title, xlabel=x_label, ylabel=y_label)
        if not len(values):
            axes.set_axis_off()
            axes.text(0.5, 0.5, "nothing was measured", ha="center", transform=axes.transAxes)
            return svg(figure, title)
        draw(axes)
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        if len(handles) > 1:
            figure.legend(
                handles.values(),
                handles,
                loc="outside lower left",
                ncols=_columns(handles),
                fontsize=10,
                labelcolor=MUTED,
            )
        return svg(figure, title)


def _columns(names: Iterable[str]) -> int:
    """Of a legend: as many as there is room for."""
    return max(1, min(3, 54 // (8 + max(map(len, names)))))


def _apart(series: Sequence[Series]) -> list[Series]:
    """The same with one series for those that would hide each other."""
    kept: list[Series] = []
    for one in series:
        points = one.points()
        twin = next(
            (i for i, other in enumerate(kept) if other.name != one.name and _same(other.points(), points)), None
        )
        if twin is None or one.style == "dashed":
            kept.append(one)
        else:
            kept[twin] = replace(kept[twin], name=f"{kept[twin].name} = {one.name}")
    return kept


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two rows of points (N, 2) can't be told apart in a plot."""
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=0.002, atol=1e-9, equal_nan=True))


def _every(series: Sequence[Series]) -> np.ndarray:
    """All finite points (N, 2)."""
    points = np.concatenate([np.empty((0, 2)), *(one.points() for one in series)])
    return points[np.isfinite(points).all(1)]


def _colors(series: Sequence[Series]) -> list[str]:
    """A colour for each name."""
    own: dict[str, int] = {}
    for one in series:
        own.setdefault(one.name, len(own))
    places = [own[one.name] if one.color is None else one.color for one in series]
    return [MUTED if one.style == "dashed" else LIGHT[i % len(LIGHT)] for one, i in zip(series, places, strict=True)]


def _set_ends(axes: Axes, points: np.ndarray, y_range: tuple[float | None, float | None]) -> None:
    """Fixed ends, unless a value lies beyond them; whole numbers under few whole x, as iterations are."""
    from matplotlib.ticker import MaxNLocator

    if not len(points):
        return
    (x_low, low), (x_high, high) = points.min(0), points.max(0)
    if y_range[0] is not None:
        axes.set_ylim(bottom=min(y_range[0], low))
    if y_range[1] is not None:
        axes.set_ylim(top=max(y_range[1], high))
    if x_high - x_low <= 40 and x_low == round(x_low) and x_high == round(x_high):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
