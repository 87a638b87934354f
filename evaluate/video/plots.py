"""Plots over a video's time: where hands were found, lines of long videos thinned, and histograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...report.plots import LIGHT, LINE, SIZE, Series, line_plot, plot

#: Points of a line at most, and bars of a histogram.
_POINTS, _BINS = 300, 30
#: A largest value above so many 99th percentiles would squeeze all others.
_FAR = 1.5


def presence_strip(times: np.ndarray, found: Mapping[str, np.ndarray], title: str) -> str:
    """One bar for every model over the time of the video (T,) seconds: coloured where found (T,), a line where not."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    ends = np.r_[times, times[-1:] + step]

    def draw(axes) -> None:
        for row, hand in enumerate(found.values()):
            axes.plot(ends[[0, -1]], [row, row], color=LINE, linewidth=5, zorder=0)
            axes.broken_barh(stretches(ends, hand), (row - 0.35, 0.7), color=LIGHT[row % len(LIGHT)])
        axes.set_yticks(range(len(found)), list(found))
        axes.invert_yaxis()
        axes.grid(False)
        axes.margins(x=0)

    return plot(draw, title, "seconds", "", (SIZE[0], 90 + 24 * len(found)), times)


def stretches(ends: np.ndarray, found: np.ndarray) -> list[tuple[float, float]]:
    """(begin, length) of every row of frames with a hand, of found (T,) and the frames' ends (T + 1,) in seconds."""
    edges = np.diff(np.r_[0, np.asarray(found, bool), 0].astype(int))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(ends[first].tolist(), (ends[last] - ends[first]).tolist(), strict=True))


def timeline(times: np.ndarray, series: Mapping[str, np.ndarray], title: str, y_label: str) -> str:
    """A line for every name over seconds; series (T,), NaN where there is nothing. Long ones are thinned to means."""
    lines = [Series(name, *thinned(times, values)) for name, values in series.items()]
    return line_plot(lines, title, "seconds", y_label, (0, None))


def histogram(values: Mapping[str, np.ndarray], title: str, x_label: str) -> str:
    """Outlines of histograms with common bins; where a few values lie far beyond the rest, they count in the last bin."""
    known = {name: np.asarray(one, float)[np.isfinite(one)] for name, one in values.items()}
    every = np.concatenate([*known.values(), np.empty(0)])
    edges = bins(every)

    def draw(axes) -> None:
        for i, (name, one) in enumerate(known.items()):
            if len(one):
                share = np.histogram(np.clip(one, edges[0], edges[-1]), edges)[0] / len(one)
                axes.stairs(share, edges, color=LIGHT[i % len(LIGHT)], label=name, linewidth=2)
        axes.set_ylim(bottom=0)

    return plot(draw, title, x_label, "share", SIZE, every)


def bins(values: np.ndarray) -> np.ndarray:
    """Edges of a histogram's bins from 0 or the lowest value on; values far beyond the rest are past the last edge."""
    if not values.size:
        return np.linspace(0, 1, _BINS + 1)
    low, usual = min(0.0, float(values.min())), float(np.percentile(values, 99))
    high = usual if values.max() > _FAR * usual else float(values.max())
    return np.linspace(low, high if high > low else low + 1.0, _BINS + 1)


def thinned(times: np.ndarray, values: np.ndarray, points: int = _POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Means over at most `points` equal parts of the time; NaN for a part without any value, so that gaps stay."""
    parts = np.array_split(np.arange(len(times)), min(points, max(len(times), 1)))
    middle, mean = [], []
    for part in parts:
        known = values[part][np.isfinite(values[part])]
        middle.append(times[part].mean() if len(part) else np.nan)
        mean.append(known.mean() if len(known) else np.nan)
    return np.array(middle), np.array(mean)
