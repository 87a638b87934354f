"""The parts that plots share: palette, axes with round ticks, numbers in words, the SVG round it all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

#: Colours of the series in their order: six that stay apart for colour-blind eyes, on light and on dark.
LIGHT = ("#2a6fc9", "#c2560c", "#14866a", "#7a55c7", "#b8336a", "#7d6608")
DARK = ("#6aa9f4", "#f2924a", "#45c39b", "#b096f2", "#ee7aab", "#d3b341")
#: Their CSS variables.
PALETTE = tuple(f"--s{i}" for i in range(len(LIGHT)))


def _variables(colors: Sequence[str], ink: str, muted: str, line: str, before: str) -> str:
    names = [f"{name}: {color};" for name, color in zip(PALETTE, colors, strict=True)]
    return " ".join([*names, f"--ink: {ink}; --muted: {muted}; --line: {line}; --before: {before};"])


STYLE = f"""
:root {{ {_variables(LIGHT, "#1b1f24", "#5a6472", "#dde2e8", "#a3adb9")} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK, "#e6e9ed", "#9aa5b1", "#343c45", "#66717d")} }} }}
svg.plot {{ width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }}
svg.plot text {{ fill: var(--muted); }}
svg.plot .title {{ fill: var(--ink); font-size: 14px; font-weight: 600; }}
svg.plot .value {{ fill: var(--ink); }}
svg.plot .grid {{ stroke: var(--line); stroke-width: 1; }}
svg.plot .zero {{ stroke: var(--muted); stroke-width: 1; }}
svg.plot .line {{ fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }}
svg.plot .faint {{ stroke-width: 1; opacity: .35; }}
svg.plot .dashed {{ stroke-dasharray: 5 4; stroke-width: 1.5; }}
"""

LEFT, _RIGHT, _BOTTOM = 58, 16, 42
#: Mean width of a letter.
CHAR = 6.4


@dataclass(frozen=True)
class Axes:
    """A plot's frame: ranges of the values, and their places in the picture of `size` (width, height)."""

    x: tuple[float, float]
    y: tuple[float, float]
    size: tuple[int, int]
    top: int

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Values to picture units."""
        width, height = self.size[0] - LEFT - _RIGHT, self.size[1] - self.top - _BOTTOM
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * width, self.top + (1 - up) * height


def ticks(low: float, high: float, wanted: int = 5) -> np.ndarray:
    """About `wanted` round numbers (1, 2, 2.5 or 5 times a power of ten) that enclose [low, high]."""
    rough = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return step * np.arange(first, last + 1)


def number(value: float | None, like: float | None = None) -> str:
    """Three digits that count, or as many after the point as `like` has; an en dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value if like is None else like)
    if size and size < 0.001:
        return f"{value:.2g}"
    return f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def signed(value: float) -> str:
    """Two digits after the point with their sign (a real minus)."""
    return "–" if not math.isfinite(value) else f"{value:+.2f}".replace("-", "−")


def grid(axes: Axes, x_label: str, y_label: str) -> list[str]:
    """Level lines with their values, the values under the plot, and the names of both axes."""
    parts = []
    for y in _inside(ticks(*axes.y), axes.y):
        left, level = axes.place(axes.x[0], y)
        parts.append(segment(axes, (axes.x[0], y), (axes.x[1], y)))
        parts.append(f'<text x="{left - 7:.0f}" y="{level + 4:.1f}" text-anchor="end">{tick(y)}</text>')
    for x in _inside(ticks(*axes.x, wanted=max(2, axes.size[0] // 75)), axes.x):
        across, floor = axes.place(x, axes.y[0])
        if _whole(axes) and x != round(x):
            continue
        parts.append(f'<text x="{across:.1f}" y="{floor + 17:.0f}" text-anchor="middle">{tick(x)}</text>')
    middle, floor = axes.place(sum(axes.x) / 2, axes.y[0])
    parts.append(f'<text x="{middle:.0f}" y="{floor + 34:.0f}" text-anchor="middle">{escape(x_label)}</text>')
    _, level = axes.place(axes.x[0], sum(axes.y) / 2)
    turn = f'transform="translate(13 {level:.0f}) rotate(-90)"'
    return [*parts, f'<text {turn} text-anchor="middle">{escape(y_label)}</text>']


def _whole(axes: Axes) -> bool:
    """Few whole numbers on the x axis, as iterations are: no half ones between them."""
    return axes.x[1] - axes.x[0] <= 40 and all(end == round(end) for end in axes.x)


def _inside(values: np.ndarray, ends: tuple[float, float]) -> list[float]:
    slack = 1e-9 * (ends[1] - ends[0])
    return [float(v) for v in values if ends[0] - slack <= v <= ends[1] + slack]


def tick(value: float) -> str:
    """A round number as short as it can be written."""
    return f"{round(value, 12) + 0.0:.10g}".replace("-", "−")


def segment(axes: Axes, start, end, look: str = "grid") -> str:
    """A line between two points given in values."""
    (x1, y1), (x2, y2) = axes.place(*start), axes.place(*end)
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def title_text(title: str) -> str:
    return f'<text class="title" x="4" y="17">{escape(title)}</text>'


def nothing(size: tuple[int, int]) -> str:
    return f'<text x="{size[0] // 2}" y="{size[1] // 2}" text-anchor="middle">nothing was measured</text>'


def svg(title: str, size: tuple[int, int], parts: Sequence[str]) -> str:
    """A plot of `size` (width, height) in picture units, as wide on the page as there is room."""
    head = f'<svg class="plot" role="img" aria-label="{escape(title)}" viewBox="0 0 {size[0]} {size[1]}">'
    return head + "".join(parts) + "</svg>"
