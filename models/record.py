"""The note beside an installed model: where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import SemihandError
from ..jsonfile import parse_json

RECORD, RECORD_SCHEMA = "record.json", 1
#: What `install` must be told of a model's origin. indicators: {"before": {name: value}, "after": {name: value}}.
PROVENANCE_KEYS = ("parent", "parent_sha256", "recording_sha256", "config", "seed", "indicators")
LICENCE_NOTE = (
    "A personal model: derived from the released weights (Apache-2.0) with a recording of its user. "
    "It never leaves this machine by itself."
)


def new_record(name: str, version: int, previous: int | None, origin: Mapping[str, Any]) -> str:
    """The note's text. previous: the version that this one replaces. origin: sha256 and provenance, plain values."""
    stamp = {
        "schema": RECORD_SCHEMA,
        "name": name,
        "version": version,
        "previous": previous,
        "installed": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "semihand": __version__,
        "licence_note": LICENCE_NOTE,
    }
    return json.dumps(stamp | dict(origin), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def read_record(path: Path) -> dict[str, Any]:
    """What `install` noted of an installed ONNX file; {} where the note is missing. Raises SemihandError."""
    file = path.with_name(RECORD)
    try:
        record = parse_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SemihandError(f"{file} cannot be read ({error}); install the model anew.") from error
    return record


def plain(value: Any) -> Any:
    """The value as JSON can hold it: arrays as lists, paths as text, numbers that are not finite as None."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, type(None))) else str(value)
