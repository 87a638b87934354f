"""Plots as SVG text for pages that carry everything in themselves: lines, bars, scatter, PCK curves.

Colours come from CSS variables, so that a plot follows the page from light to dark: see
`axes.STYLE`. A point's value is its tooltip. Values that are not finite are left out; a plot without any says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ..evaluate.metrics import auc
from .axes import (
    CHAR,
    LEFT,
    PALETTE,
    Axes,
    grid,
    nothing,
    number,
    segment,
    signed,
    svg,
    tick,
    ticks,
    title_text,
)

#: Height of a bar in picture units.
_THICK = 14


@dataclass(frozen=True)
class Series:
    """One line or cloud: x and y of the same length; style "line" (with dots where few), "faint" or "dashed".

    color: place in the palette, None: the series' own place. labels: names of the points, for tooltips.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "line"
    color: int | None = None
    labels: Sequence[str] | None = None

    @property
    def paint(self) -> str:
        """CSS variable of its colour; what is dashed is there to compare with, and grey."""
        return "--muted" if self.style == "dashed" else PALETTE[(self.color or 0) % len(PALETTE)]

    def points(self) -> np.ndarray:
        """(N, 2) float. Raises ValueError where x and y differ in length."""
        return np.stack([np.asarray(self.x, float), np.asarray(self.y, float)], axis=1)


def line_plot(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float | None, float | None] = (None, None),
    size: tuple[int, int] = (520, 270),
    verticals: Sequence[float] = (),
) -> str:
    """Lines over x.

    y_range: ends of the axis, None: from the values, which may lie beyond fixed ends. verticals: x of upright lines.
    """
    series = _colored(series)
    axes = _axes(series, y_range, size, _top(series))
    if axes is None:
        return svg(title, size, [title_text(title), nothing(size)])
    uprights = [segment(axes, (x, axes.y[0]), (x, axes.y[1])) for x in verticals]
    lines = [part for one in series for part in _line(axes, one)]
    return svg(
        title,
        size,
        [title_text(title), _legend(_entries(series)), *grid(axes, x_label, y_label), *uprights, *lines],
    )


def scatter(
    series: Sequence[Series], title: str, x_label: str, y_label: str, size: tuple[int, int] = (520, 340)
) -> str:
    """Clouds of points with Spearman's rank correlation over all of them; the zero lines are marked."""
    series = _colored(series)
    axes = _axes(series, (None, None), size, _top(series) + 18, margin=0.04)
    if axes is None:
        return svg(title, size, [title_text(title), nothing(size)])
    every = np.concatenate([one.points() for one in series])
    note = f"rank correlation {signed(rank_correlation(every[:, 0], every[:, 1]))} ({len(_finite(every))} points)"
    zeros = [segment(axes, (0, axes.y[0]), (0, axes.y[1]), "zero")] * (axes.x[0] < 0 < axes.x[1])
    zeros += [segment(axes, (axes.x[0], 0), (axes.x[1], 0), "zero")] * (axes.y[0] < 0 < axes.y[1])
    dots = [part for one in series for part in _dots(axes, one, 4.5)]
    text = f'<text class="value" x="{LEFT}" y="{axes.top - 8}">{note}</text>'
    return svg(
        title,
        size,
        [title_text(title), _legend(_entries(series)), text, *grid(axes, x_label, y_label), *zeros, *dots],
    )


def pck_curves(
    errors: Mapping[str, np.ndarray], title: str, x_label: str, low: float, high: float,
    size: tuple[int, int] = (520, 300),
) -> str:  # fmt: skip
    """Share of joints below an error, for each name's errors (any shape, NaN: no label); AUC from low to high."""
    at = np.linspace(low, high, 101)
    curves = []
    for name, values in errors.items():
        known = np.sort(np.asarray(values, float)[np.isfinite(values)])
        share = (
            np.searchsorted(known, at, side="right") / len(known) if len(known) else np.full(len(at), np.nan)
        )
        label = f"{name} (AUC {auc(known, low, high):.3f})" if len(known) else name
        curves.append(Series(label, at, share))
    return line_plot(curves, title, x_label, "share of joints", (0, 1), size)


def bar_groups(
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    title: str,
    unit: str = "",
    spread: Mapping[str, Sequence[float]] | None = None,
    width: int = 520,
    colors: Sequence[str] = PALETTE,
) -> str:
    """Lying bars from zero, one of each series for every group; negative values have none.

    spread: half lengths of whiskers, NaN for none. colors: CSS variables of the series.
    """
    values = _table(series, groups)
    whiskers = _table({name: (spread or {}).get(name, [math.nan] * len(groups)) for name in series}, groups)
    left = 16 + CHAR * max((len(group) for group in groups), default=0)
    # The longest bar leaves room for its number.
    reach = values + np.where(np.isfinite(whiskers), whiskers, 0)
    scale = (width - left - 8 - CHAR * (8 + len(unit)) * (2 if spread else 1)) / max(
        [*reach[np.isfinite(reach)], 1e-12]
    )
    legend = _legend([(name, colors[i % len(colors)], "") for i, name in enumerate(series)])
    top, pitch = 34 + 22 * bool(legend), _THICK * len(series) + 12
    parts = [title_text(title), legend]
    for g, group in enumerate(groups):
        y = top + g * pitch
        middle = y + _THICK * len(series) / 2 + 3
        parts.append(
            f'<text class="value" x="{left - 8:.0f}" y="{middle:.0f}" text-anchor="end">{escape(group)}</text>'
        )
        for i, name in enumerate(series):
            told = _told(values[i, g], whiskers[i, g], unit)
            bar = _bar(
                left, y + i * _THICK, scale * values[i, g], scale * whiskers[i, g], colors[i % len(colors)]
            )
            parts += [f"<g><title>{escape(f'{group}, {name}: {told}')}</title>{bar}{escape(told)}</text></g>"]
    return svg(title, (width, top + len(groups) * pitch), parts)


def pair_bar(before: float, after: float, tone: str) -> str:
    """Two small bars for a table's cell, before over after; tone: CSS variable of the second's colour."""
    longest = max([abs(v) for v in (before, after) if math.isfinite(v)] + [1e-12])
    lengths = [110 * abs(v) / longest if math.isfinite(v) else 0 for v in (before, after)]
    colors = ("--before", tone)
    bars = "".join(
        f'<rect x="0" y="{3 + 10 * i}" width="{length:.1f}" height="8" rx="1.5" fill="var({color})"/>'
        for i, (length, color) in enumerate(zip(lengths, colors, strict=True))
    )
    return f'<svg viewBox="0 0 112 24" width="112" height="24" aria-hidden="true">{bars}</svg>'


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's, ties share their mean rank, pairs that are not finite left out; NaN where it has no meaning."""
    pairs = _finite(np.stack([np.asarray(x, float), np.asarray(y, float)], axis=1))
    if len(pairs) < 2 or (np.ptp(pairs, axis=0) == 0).any():
        return math.nan
    ranks = np.stack([_ranks(column) for column in pairs.T])
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _finite(points: np.ndarray) -> np.ndarray:
    return points[np.isfinite(points).all(axis=1)]


def _colored(series: Sequence[Series]) -> list[Series]:
    own = {}
    for one in series:
        own.setdefault(one.name, len(own))
    return [
        Series(s.name, s.x, s.y, s.style, own[s.name] if s.color is None else s.color, s.labels)
        for s in series
    ]


def _axes(series, y_range, size, top: int, margin: float = 0.0) -> Axes | None:
    """Axes round every finite point, None where there is none; margin: share of the width left free at both ends."""
    points = _finite(np.concatenate([one.points() for one in series])) if series else np.empty((0, 2))
    if not len(points):
        return None
    (x_low, y_low), (x_high, y_high) = points.min(0), points.max(0)
    low, high = (
        free if fixed is None else fixed for free, fixed in zip((y_low, y_high), y_range, strict=True)
    )
    if high <= low:
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if high else (-1.0, 1.0)
    around = ticks(low, high)
    y = tuple(
        float(end if fixed is None else fixed)
        for end, fixed in zip((around[0], around[-1]), y_range, strict=True)
    )
    free = margin * (x_high - x_low) if x_high > x_low else 1.0
    return Axes(
        (float(x_low - free), float(x_high + free)),
        (min(y[0], float(y_low)), max(y[1], float(y_high))),
        size,
        top,
    )


def _line(axes: Axes, series: Series) -> list[str]:
    path, pen = [], "M"
    for x, y in series.points():
        if math.isfinite(x) and math.isfinite(y):
            path.append("{}{:.1f} {:.1f}".format(pen, *axes.place(x, y)))
        pen = "L" if math.isfinite(x) and math.isfinite(y) else "M"
    look = "line" if series.style == "line" else f"line {series.style}"
    drawn = [f'<path class="{look}" stroke="var({series.paint})" d="{" ".join(path)}"/>']
    return drawn + (_dots(axes, series, 3) if series.style == "line" and len(series.x) <= 40 else [])


def _dots(axes: Axes, series: Series, radius: float) -> list[str]:
    parts = []
    for i, (x, y) in enumerate(series.points()):
        if math.isfinite(x) and math.isfinite(y):
            across, level = axes.place(x, y)
            name = series.labels[i] if series.labels is not None else f"{series.name}, {tick(x)}"
            told = f"<title>{escape(name)}: {number(y)}</title>"
            parts.append(
                f'<circle cx="{across:.1f}" cy="{level:.1f}" r="{radius}" fill="var({series.paint})">{told}</circle>'
            )
    return parts


def _table(series: Mapping[str, Sequence[float]], groups: Sequence[str]) -> np.ndarray:
    """(series, groups) float. Raises ValueError where a series has another number of values."""
    return np.array([list(values) for values in series.values()], float).reshape(len(series), len(groups))


def _told(value: float, spread: float, unit: str) -> str:
    if not math.isfinite(value):
        return number(value)
    return (
        number(value)
        + (f" ± {number(spread, value)}" if math.isfinite(spread) else "")
        + (f" {unit}" if unit else "")
    )


def _bar(left: float, y: float, length: float, whisker: float, color: str) -> str:
    """A bar, its whisker, and the begin of the text behind them; lengths in picture units."""
    length = max(length, 0.0) if math.isfinite(length) else 0.0
    bar = f'<rect x="{left:.0f}" y="{y}" width="{length:.1f}" height="{_THICK - 2}" rx="2" fill="var({color})"/>'
    end = left + length
    if math.isfinite(whisker):
        low, end = left + max(length - whisker, 0), end + whisker
        bar += f'<path d="M{low:.1f} {y + _THICK / 2 - 1}H{end:.1f}" stroke="var(--ink)" stroke-width="1.5"/>'
    return f'{bar}<text class="value" x="{end + 6:.1f}" y="{y + _THICK - 4}">'


def _top(series: Sequence[Series]) -> int:
    return 56 if len({one.name for one in series}) > 1 else 36


def _legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """(name, CSS variable, style) of every series, each name once; nothing where there is one name only."""
    names = {}
    for name, color, style in entries:
        names.setdefault(name, (color, style))
    if len(names) < 2:
        return ""
    parts, x = [], 5.0
    for name, (color, style) in names.items():
        dash = ' stroke-dasharray="5 4"' if style == "dashed" else ""
        parts.append(f'<path d="M{x:.0f} 37h16" stroke="var({color})" stroke-width="3"{dash}/>')
        parts.append(f'<text x="{x + 21:.0f}" y="41">{escape(name)}</text>')
        x += 38 + CHAR * len(name)
    return "".join(parts)


def _entries(series: Sequence[Series]) -> list[tuple[str, str, str]]:
    return [(one.name, one.paint, one.style) for one in series]
