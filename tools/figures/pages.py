"""Figures in pages: what stands between `<!-- figures:NAME -->` and `<!-- /figures:NAME -->` is written here."""

from __future__ import annotations

import re
from pathlib import Path

from semihand.errors import SemihandError

from . import store
from .definitions import FIGURES, SUMMARIES

_MARKER = re.compile(r"<!-- (/?)figures:(\S+) -->")
_BLOCK = re.compile(
    r"^(?P<start><!-- figures:(?P<name>\S+) -->)$(?:(?!<!-- /?figures:).)*^(?P<end><!-- /figures:(?P=name) -->)$",
    re.M | re.S,
)


def blocks(folder: Path) -> dict[str, list[str] | None]:
    """The lines of every figure and summary; None where something that it needs was never measured."""
    records = {name: store.read(folder, name) for name in FIGURES}
    found = {name: None if record is None else block(name, record) for name, record in records.items()}
    for name, (needs, table) in SUMMARIES.items():
        known = {each: records[each] for each in needs}
        found[name] = None if None in known.values() else _summary(known, table)
    return found


def block(name: str, record: dict) -> list[str]:
    """A figure's table and its origin."""
    try:
        table = FIGURES[name].table(record["results"])
    except (KeyError, IndexError, ValueError) as error:
        message = f"benchmarks/{name}.json has another layout ({error!r}). Measure it anew: --only {name}."
        raise SemihandError(message) from error
    return [*table, "", origin(record), *_commands(record), *_warnings({name: record})]


def origin(record: dict) -> str:
    """When, at which commit, on what."""
    hardware, versions = record["hardware"], record["versions"]
    memory = f", {hardware['memory_gb']:.0f} GB" if hardware.get("memory_gb") else ""
    runtime = next((f", ONNX Runtime {v}" for package, v in versions.items() if package.startswith("onnxruntime")), "")
    peers = "".join(f", {peer} {versions[peer]}" for peer in ("mediapipe", "rtmlib") if peer in versions)
    commit = record["commit"].removesuffix("+") + (" with local changes" if record["commit"].endswith("+") else "")
    return (
        f"Measured {record['date'][:10]} at commit {commit} on {hardware['cores']} cores of {hardware['cpu']}{memory}, "
        f"{hardware.get('gpu') or 'no GPU'}; Python {versions.get('python', '?')}{runtime}{peers}; "
        f"{_duration(record['seconds'])}."
    )


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"


def _commands(record: dict) -> list[str]:
    return ["", "```", *record["commands"], "```"]


def _warnings(records: dict[str, dict]) -> list[str]:
    notes = [note for record in records.values() for note in record.get("notes", [])]
    for name, record in records.items():
        notes += [
            f"{name} is older than the weights: `{file}` has been released anew since (`--only {name}` measures again)."
            for file in store.other_weights(record)
        ]
    return ["", *(f"**{note}**" for note in notes)] if notes else []


def _summary(records: dict[str, dict], table) -> list[str]:
    lines = table({name: record["results"] for name, record in records.items()})
    dates = sorted({record["date"][:10] for record in records.values()})
    span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return [*lines, "", f"Measured {span}; machine and commands in BENCHMARKS.md.", *_warnings(records)]


def render(text: str, found: dict[str, list[str] | None], page: str) -> str:
    """The page with every measured block as it is today; blocks never measured stay as they are.

    Raises SemihandError on an unknown name and on markers that do not pair.
    """

    def anew(block: re.Match) -> str:
        lines = found[block["name"]]
        return block[0] if lines is None else "\n".join([block["start"], "", *lines, "", block["end"]])

    names = [name for _, name in _MARKER.findall(text)]
    if unknown := [name for name in names if name not in found]:
        raise SemihandError(f"{page}: no figure is called {unknown[0]!r}. Known: {', '.join(found)}.")
    if names != [block["name"] for block in _BLOCK.finditer(text) for _ in range(2)]:
        raise SemihandError(f"{page}: a marker stands without its other half, or not on a line of its own.")
    return _BLOCK.sub(anew, text)
