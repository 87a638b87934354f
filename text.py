"""Numbers in words and tables of plain text, the same for every terminal and page."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence

#: No table is broken into shorter lines: a terminal does that, and a file keeps them whole.
_WIDTH = 10_000


def number(value: float | None, like: float | None = None) -> str:
    """Three digits that count, or as many after the point as `like` has; an en dash where there is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value if like is None else like)
    if 0 < size < 0.001:
        return f"{value:.2g}"
    return f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def signed(value: float) -> str:
    """Two digits after the point with their sign (a real minus)."""
    return "–" if not math.isfinite(value) else f"{value:+.2f}".replace("-", "−")


def tick(value: float) -> str:
    """A round number as short as it can be written."""
    return f"{round(value, 12) + 0.0:.10g}".replace("-", "−")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Columns under their heads, two spaces apart: the first `left` ones to the left, the others to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(head):
        grid.add_column(Text(name), justify="left" if i < left else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*map(Text, row))
    drawn = io.StringIO()
    Console(file=drawn, width=_WIDTH, color_system=None, legacy_windows=False).print(grid)
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines())
