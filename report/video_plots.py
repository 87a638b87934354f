"""Plots of a video's timelines: where hands were found, and histograms. Lines are those of `plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from .axes import CHAR, PALETTE, nothing, svg, tick, ticks, title_text
from .plots import Series, line_plot

_BAR, _PITCH = 16, 24
#: Points of a line at most, and bars of a histogram.
_POINTS, _BINS = 300, 30
#: A largest value above so many 99th percentiles would squeeze all others.
_FAR = 1.5


def presence_strip(times: np.ndarray, found: Mapping[str, np.ndarray], title: str, width: int = 1060) -> str:
    """One bar for every model over the time of the video (T,) seconds: coloured where found (T,), a gap where not."""
    left = 16 + CHAR * max((len(name) for name in found), default=0)
    height = 36 + _PITCH * len(found) + 24
    if not len(times):
        return svg(title, (width, height), [title_text(title), nothing((width, height))])
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    ends = np.r_[times, times[-1] + step]
    span = ends[-1] - ends[0]
    across = left + (width - left - 16) * (ends - ends[0]) / span
    parts = [title_text(title)]
    for row, (name, hand) in enumerate(found.items()):
        y = 32 + _PITCH * row
        parts.append(f'<text class="value" x="{left - 8:.0f}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        parts.append(_rect(across[0], across[-1], y + 5, _BAR - 10, "--line", ""))
        for start, stop in _runs(hand):
            told = f"{name}: {ends[start]:.2f} s to {ends[stop]:.2f} s"
            parts.append(_rect(across[start], across[stop], y, _BAR, PALETTE[row % len(PALETTE)], told))
    for second in ticks(ends[0], ends[-1], 10):
        if ends[0] <= second <= ends[-1]:
            x = left + (width - left - 16) * (second - ends[0]) / span
            parts.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{tick(second)} s</text>')
    return svg(title, (width, height), parts)


def timeline(times: np.ndarray, series: Mapping[str, np.ndarray], title: str, y_label: str) -> str:
    """A line for every name over seconds; series (T,), NaN where there is nothing. Long ones are thinned to means."""
    lines = [Series(name, *thinned(times, values)) for name, values in series.items()]
    return line_plot(lines, title, "seconds", y_label, (0, None))


def histogram(values: Mapping[str, np.ndarray], title: str, x_label: str) -> str:
    """Outlines of histograms with common bins; where a few values lie far beyond the rest, they count in the last bin."""
    known = {name: np.asarray(one, float)[np.isfinite(one)] for name, one in values.items()}
    every = np.concatenate([*known.values(), np.empty(0)])
    if not every.size:
        return line_plot([], title, x_label, "share")
    low, usual = min(0.0, float(every.min())), float(np.percentile(every, 99))
    high = usual if every.max() > _FAR * usual else float(every.max())
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    outline = []
    for name, one in known.items():
        share = np.histogram(np.clip(one, edges[0], edges[-1]), edges)[0] / max(len(one), 1)
        outline.append(Series(name, np.repeat(edges, 2)[1:-1], np.repeat(share if len(one) else np.full(_BINS, np.nan), 2)))
    return line_plot(outline, title, x_label, "share", (0, None))


def thinned(times: np.ndarray, values: np.ndarray, points: int = _POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Means over at most `points` equal parts of the time; NaN for a part without any value, so that gaps stay."""
    parts = np.array_split(np.arange(len(times)), min(points, max(len(times), 1)))
    middle, mean = [], []
    for part in parts:
        known = values[part][np.isfinite(values[part])]
        middle.append(times[part].mean() if len(part) else np.nan)
        mean.append(known.mean() if len(known) else np.nan)
    return np.array(middle), np.array(mean)


def _runs(found: np.ndarray) -> Sequence[tuple[int, int]]:
    edges = np.diff(np.r_[0, np.asarray(found, bool), 0].astype(int))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()))


def _rect(x1: float, x2: float, y: float, height: float, color: str, told: str) -> str:
    note = f"<title>{escape(told)}</title>" if told else ""
    return (
        f'<rect x="{x1:.2f}" y="{y}" width="{max(x2 - x1, 0.4):.2f}" height="{height}" fill="var({color})">{note}</rect>'
    )
