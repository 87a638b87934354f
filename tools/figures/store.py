"""benchmarks/NAME.json: a figure's results and where they come from."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from semihand import provenance
from semihand.errors import SemihandError
from semihand.evaluate.ablate.results import Results
from semihand.models.checkpoint import atomic_file
from semihand.models.model_file import WEIGHTS

SCHEMA = 1
#: Without these no figure is shown.
PROVENANCE = ("date", "seconds", "commit", "commands", "hardware", "versions", "weights")
_HARDWARE = ("cpu", "cores")
#: Of a command's own report: stands in the provenance already, or is too much for a table.
_LEFT_OUT = {"schema", "command", "date", "commit", "hardware", "versions"}
_LEFT_OUT |= {"curves", "joints", "gestures", "bins", "calibration"}
#: A path from the root or of a drive: other people have other folders.
_PATH = re.compile(r"(?<![\w.<])(?:[A-Za-z]:)?[/\\](?:[^\s/\\,;:'\"()]+[/\\])+([^\s/\\,;:'\"()]*)")


def new_record(
    name: str, commands: list[str], results: dict, seconds: float, weights: tuple[str, ...], origin: dict
) -> dict:
    """A figure as it is stored. origin: of `stamp`."""
    record = {
        "schema": SCHEMA, "name": name, **origin, "seconds": round(seconds, 1), "commands": commands,
        "weights": {file: checksum(file) for file in weights},
    }  # fmt: skip
    return plain(record) | {"results": plain(trimmed(results))}


def stamp() -> dict:
    """date, commit, hardware and versions of now and here."""
    record = provenance.record()
    return {name: record[name] for name in ("date", "commit", "hardware", "versions")}


def checksum(file: str) -> str | None:
    """SHA-256 of a file of released weights; None where there is none of that name."""
    path = WEIGHTS / file
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def trimmed(value):
    """A command's report without what a figure has no use for."""
    if isinstance(value, dict):
        return {key: trimmed(each) for key, each in value.items() if key not in _LEFT_OUT}
    return [trimmed(each) for each in value] if isinstance(value, (list, tuple)) else value


def plain(value):
    """JSON values as they are stored: of a path from the root only its last name, of a number six digits."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 6)
    return _PATH.sub(r"\1", value) if isinstance(value, str) else value


def write(folder: Path, record: dict) -> Path:
    """Store a record; the old one is replaced in one move."""
    _check(record, record["name"])
    path = folder / f"{record['name']}.json"
    with atomic_file(path) as unfinished:
        unfinished.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def read(folder: Path, name: str) -> dict | None:
    """A figure's record; None where it was never measured. Raises SemihandError where its provenance is incomplete."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    record = _json(path)
    _check(record, str(path))
    return record


def _check(record: dict, what: str) -> None:
    missing = [key for key in (*PROVENANCE, "results") if record.get(key) is None]
    missing += [f"hardware.{key}" for key in _HARDWARE if not (record.get("hardware") or {}).get(key)]
    if missing:
        lacks = ", ".join(missing)
        raise SemihandError(f"{what} lacks {lacks}: a figure without its origin is not shown. Measure it anew.")


def other_weights(record: dict) -> list[str]:
    """The files of released weights that are others today than when they were measured."""
    return [file for file, known in record["weights"].items() if not (checksum(file) or "").startswith(known)]


def read_rows(path: Path) -> list[dict]:
    """The lines of `semihand ablate` without curves and empty cells; what looks like a number is one."""
    if not (lines := Results(path).lines()):
        raise SemihandError(f"{path} is no table of `semihand ablate`: it is missing or holds no finished run.")
    return [
        {key: _value(value) for key, value in line.items() if value and not key.endswith("_curve")} for line in lines
    ]


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def take(name: str, tables: dict[str, Path]) -> dict:
    """The record of a figure from {step: file}, results files of `ablate` with their provenance beside them.

    Raises SemihandError where a file or its provenance is missing or damaged.
    """
    rows = {step: read_rows(table) for step, table in tables.items()}
    origins = [_origin(table) for table in tables.values()]
    commands = [command for origin in origins for command in origin["commands"]]
    seconds = round(sum(row.get("seconds", 0) for lines in rows.values() for row in lines), 1)
    known = origins[-1] | {"seconds": seconds, "commands": commands}
    return plain({"schema": SCHEMA, "name": name, **known, "results": rows})


def _origin(table: Path) -> dict:
    """What `semihand ablate` noted of its starts; of several the last one's date and machine."""
    starts = Results(table).starts()
    if not starts:
        raise SemihandError(f"{table.name} comes without its origin, {Results(table).provenance.name}.")
    checksums = {start.get("recipe", {}).get("model") for start in starts} - {None}
    last = {key: starts[-1].get(key) for key in ("date", "commit", "hardware", "versions")}
    weights = {"lite.safetensors": checksums.pop()} if len(checksums) == 1 else None
    return last | {"commands": list(dict.fromkeys(start.get("command") for start in starts)), "weights": weights}


def _json(path: Path) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SemihandError(f"{path} is no JSON ({error}). Measure it anew.") from error
    if not isinstance(record, dict):
        raise SemihandError(f"{path} holds no object. Measure it anew.")
    return record
