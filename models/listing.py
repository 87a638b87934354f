"""Models as people and programs read them: `semihand models list` and `show`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .. import text
from .record import read_record
from .registry import Installed

#: So many versions does `show` list without --all.
MOST_VERSIONS = 8


def table(models: Sequence[Installed]) -> str:
    """One line a model; the default one is marked."""
    head = ("", "name", "kind", "parent", "learned from", "date", "version")
    return f"{text.table(head, map(_row, models), left=len(head))}\n\n* is used where no --model is given."


def _row(model: Installed) -> tuple[str, ...]:
    provenance = model.record.get("provenance", {})
    count = len(model.versions)
    return (
        "*" if model.default else "",
        model.name,
        "personal" if model.personal else "released",
        str(provenance.get("parent") or "-"),
        str(_run(provenance).get("source") or "-"),
        model.record.get("installed", "-")[:10],
        f"{model.version} ({count} kept)" if count else "-",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def to_json(models: Sequence[Installed]) -> str:
    """A list with one object a model."""
    return json.dumps([_entry(model) for model in models], indent=2, ensure_ascii=False)


def _entry(model: Installed) -> dict[str, Any]:
    return {
        "name": model.name,
        "kind": "personal" if model.personal else "released",
        "default": model.default,
        "path": str(model.path),
        "checkpoint": str(model.checkpoint) if model.checkpoint else None,
        "version": model.version,
        "versions": list(model.versions),
        "record": model.record,
    }


def details(model: Installed, record: bool = False) -> str:
    """One model: its files, its last versions, and what it comes from; with `record` all versions and the whole note."""
    lines = [
        f"{model.name}: {'personal' if model.personal else 'released'}{', the default' if model.default else ''}",
        f"model    {model.path}",
        f"weights  {model.checkpoint or '(none: it cannot be adapted further)'}",
    ]
    shown = model.versions if record else model.versions[-MOST_VERSIONS:]
    lines += [_version_line(model, number) for number in shown]
    if len(shown) < len(model.versions):
        lines.append(f"  and {len(model.versions) - len(shown)} older versions")
    if model.record and record:
        lines += ["", json.dumps(model.record, indent=2, ensure_ascii=False)]
    elif model.record:
        lines += [*_origin(model.record), "", "--all shows every version and the whole record."]
    return "\n".join(lines)


def _origin(record: Mapping[str, Any]) -> list[str]:
    """What the version in use comes from, a line a fact; facts that nobody noted are left out."""
    origin = record.get("provenance", {})
    run = _run(origin)
    facts = (
        ("from", origin.get("parent")),
        ("learned", run.get("source")),
        ("profile", run.get("profile")),
        ("frames", _frames(run)),
        ("verdict", run.get("verdict")),
        ("took", f"{run['seconds']:.0f} s" if _is_number(run.get("seconds")) else None),
    )  # fmt: skip
    return [f"{name:<9}{value}" for name, value in facts if value]


def _run(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an adaptation noted of itself; empty where it was none."""
    run = provenance.get("run")
    return run if isinstance(run, Mapping) else {}


def _version_line(model: Installed, number: int) -> str:
    file = model.version_file(number)
    record = read_record(file)
    megabytes = sum(entry.stat().st_size for entry in file.parent.iterdir()) / 1e6
    mark = "*" if number == model.version else " "
    return f"{mark} {number:<6d} {record.get('installed', '-')}  {megabytes:.1f} MB"


def _frames(run: Mapping[str, Any]) -> str | None:
    if "frames_train" not in run:
        return None
    return f"{run['frames_train']} learned from, {run.get('frames_held_out', 0)} held out"
