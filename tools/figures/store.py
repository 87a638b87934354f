"""benchmarks/NAME.json: a figure's results and where they come from."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

from semihand.errors import SemihandError
from semihand.evaluate import machine
from semihand.models.model_file import WEIGHTS

SCHEMA = 1
#: Without these no figure is shown.
PROVENANCE = ("date", "seconds", "commit", "commands", "hardware", "versions", "weights")
_HARDWARE = ("cpu", "cores")
#: Of a command's own report: stands in the provenance already, or is too much for a table.
_LEFT_OUT = {"schema", "command", "date", "commit", "hardware", "versions", "curves", "joints", "gestures", "bins", "calibration"}
#: A path from the root or of a drive: other people have other folders.
_PATH = re.compile(r"(?<![\w.<])(?:[A-Za-z]:)?[/\\](?:[^\s/\\,;:'\"()]+[/\\])+([^\s/\\,;:'\"()]*)")


def new_record(
    name: str, commands: list[str], results: dict, seconds: float, weights: tuple[str, ...], origin: dict, **more
) -> dict:
    """A figure as it is stored. origin: of `stamp`. more: taken as it is."""
    record = {
        "schema": SCHEMA, "name": name, **origin, "seconds": round(seconds, 1), "commands": commands,
        "weights": {weight: checksum(weight) for weight in weights}, **more,
    }  # fmt: skip
    return plain(record) | {"results": plain(trimmed(results))}


def stamp() -> dict:
    """date, commit, hardware and versions of now and here."""
    record = machine.record()
    return {name: record[name] for name in ("date", "commit", "hardware", "versions")}


def checksum(weight: str) -> str:
    """SHA-256 of a released model."""
    return hashlib.sha256((WEIGHTS / f"{weight}.onnx").read_bytes()).hexdigest()


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
    folder.mkdir(exist_ok=True)
    path = folder / f"{record['name']}.json"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    unfinished.replace(path)
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
    """The released models that are other files today than when they were measured."""
    return [name for name, known in record["weights"].items()
            if not (WEIGHTS / f"{name}.onnx").is_file() or checksum(name) != known]  # fmt: skip


def read_rows(path: Path) -> list[dict]:
    """A CSV's lines; what looks like a number is one, nothing is None. Raises SemihandError where there is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{key: _value(value) for key, value in line.items()} for line in csv.DictReader(file)]
    except OSError as error:
        raise SemihandError(f"{path} could not be read: {error.strerror}.") from error
    if not rows or not {"row", "seed"} <= rows[0].keys():
        raise SemihandError(f"{path} is no table of `semihand ablate`: it needs the columns row and seed, and a line.")
    return rows


def _value(text: str | None):
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def take(name: str, table: Path, step: str) -> dict:
    """The record of a figure from a CSV that a long command wrote, and the provenance that lies beside it as .json."""
    rows, beside = read_rows(table), table.with_suffix(".json")
    if not beside.exists():
        raise SemihandError(
            f"{table.name} comes without its origin: write {beside.name} beside it, on the machine that measured, with "
            "--stamp 'the command'."
        )
    origin = _json(beside)
    seconds = origin.get("seconds") or sum(row.get("seconds") or 0 for row in rows)
    commands = origin.get("commands") or [origin.get("command")]
    known = {key: origin.get(key) for key in ("date", "commit", "hardware", "versions", "weights")}
    known |= {"seconds": round(seconds, 1), "commands": [command for command in commands if command] or None}
    return plain({"schema": SCHEMA, "name": name, **known}) | {"results": {step: rows}}


def _json(path: Path) -> dict:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SemihandError(f"{path} is no JSON ({error}). Measure it anew.") from error
    if not isinstance(record, dict):
        raise SemihandError(f"{path} holds no object. Measure it anew.")
    return record
