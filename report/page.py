"""One HTML page that carries everything in itself: no scripts, nothing from outside, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from . import hand_tiles, plots

STYLE = """
:root { color-scheme: light dark; }
:root { --back: #f4f6f8; --card: #fff; --good: #14764a; --bad: #b3261e; --wait: #7d6608; }
@media (prefers-color-scheme: dark) {
  :root { --back: #101316; --card: #191d22; --good: #5cc795; --bad: #ff8a80; --wait: #d3b341; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 25px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 0 0 2px; }
h3 { font-size: 15px; margin: 14px 0 0; }
section, header { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
section, header { padding: 20px 22px; margin: 0 0 16px; }
p { margin: 4px 0 12px; max-width: 78ch; }
.muted, small { color: var(--muted); }
.good { --tone: var(--good); }
.bad { --tone: var(--bad); }
.wait { --tone: var(--wait); }
.even { --tone: var(--muted); }
.verdict { border-left: 6px solid var(--tone); }
.verdict .word { color: var(--tone); font-size: 19px; font-weight: 650; margin: 10px 0 0; }
.toned { color: var(--tone); font-weight: 600; white-space: nowrap; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; margin-top: 14px; }
.facts div { min-width: 90px; }
.facts b { display: block; font-size: 18px; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; min-width: 760px; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 13px; }
th, td { padding: 8px 14px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.figure, th.figure { text-align: right; padding-right: 22px; }
td.figure { font-variant-numeric: tabular-nums; white-space: nowrap; }
td small { display: block; max-width: 56ch; }
.plots { display: grid; gap: 18px 26px; margin-top: 14px; }
.plots { grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); }
.plots.one { grid-template-columns: minmax(0, 560px); }
.plots.small { grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); }
.strip { display: grid; gap: 6px; margin-top: 12px; font-size: 12px; }
.strip .head { font-weight: 600; }
.strip .note { color: var(--muted); margin: 3px 2px 8px; line-height: 1.3; }
.pairs { display: grid; gap: 16px 22px; margin: 12px 0 20px; }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 6px; font-size: 13px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 8px 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: 13px ui-monospace, monospace; }
"""

#: Even text that slipped in from a file could load nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, body: Iterable[str]) -> str:
    """The whole document round its sections."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{plots.STYLE}{hand_tiles.STYLE}{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main></body></html>\n"
    )


def section(title: str, told: str, *parts: str) -> str:
    """A card: heading, a paragraph of plain text, then HTML parts."""
    return f'<section><h2>{escape(title)}</h2><p class="muted">{escape(told)}</p>{"".join(parts)}</section>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], figures: Sequence[int] = ()) -> str:
    """head: plain text; rows: cells of HTML; figures: columns of numbers, set to the right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        marks = [' class="figure"' if i in figures else "" for i in range(len(row))]
        return "<tr>" + "".join(f"<{tag}{mark}>{cell}</{tag}>" for mark, cell in zip(marks, row, strict=True)) + "</tr>"

    body = "".join(cells("td", row) for row in rows)
    return f'<div class="wide"><table>{cells("th", [escape(name) for name in head])}{body}</table></div>'


def definitions(facts: Iterable[tuple[str, str]]) -> str:
    """A list of names and plain values."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts) + "</dl>"
