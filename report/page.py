"""One HTML page that carries everything in itself: no scripts, nothing from outside, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
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
.plots { grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); }
.plots.one { grid-template-columns: minmax(0, 520px); }
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
figure { margin: 0; }
figcaption { color: var(--muted); font-size: 13px; line-height: 1.4; margin: 2px 0 0; max-width: 62ch; }
@media (max-width: 640px) {
  main { padding: 12px 8px 40px; }
  section, header { padding: 16px 14px; }
  dl, table, tbody, tr { display: block; }
  dd { margin: 0 0 8px; }
  table { min-width: 0; }
  tr { padding: 8px 0; border-bottom: 1px solid var(--line); }
  tr:first-child, td.aside, td:empty { display: none; }
  td, td.figure { display: flex; justify-content: space-between; gap: 12px; padding: 2px 0; border: 0; text-align: right; }
  td:first-child { display: block; text-align: left; font-weight: 600; }
  td::before { content: attr(data-head); color: var(--muted); text-align: left; }
  td:first-child::before { content: none; }
  td small { font-weight: 400; }
}
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
    """head: plain text; rows: cells of HTML; figures: columns of numbers, set to the right.

    On a phone every row becomes a list under its first cell; columns without a head are left out there.
    """
    kinds = [' class="figure"' if i in figures else ' class="aside"' if not name else "" for i, name in enumerate(head)]

    def line(row: Sequence[str]) -> str:
        named = zip(kinds, head, row, strict=True)
        cells = [
            f'<td{kind if i else ""} data-head="{escape(name)}">{cell}</td>'
            for i, (kind, name, cell) in enumerate(named)
        ]
        return f"<tr>{''.join(cells)}</tr>"

    names = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head))
    return f'<div class="wide"><table><tr>{names}</tr>{"".join(map(line, rows))}</table></div>'


def captioned(drawing: str, told: str) -> str:
    """A plot with a sentence on what it shows; nothing where there is no plot."""
    return f"<figure>{drawing}<figcaption>{escape(told)}</figcaption></figure>" if drawing else ""


def date_words(value: str) -> str:
    """An ISO date to the minute; anything else as it is."""
    try:
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return value


def definitions(facts: Iterable[tuple[str, str]]) -> str:
    """A list of names and plain values."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts) + "</dl>"
