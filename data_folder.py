"""Where the user's own recordings and models are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import SemihandError


def data_dir() -> Path:
    """Where semihand keeps the user's own files: SEMIHAND_DATA, or the platform's data folder.

    Raises SemihandError where there is no such place, because nobody has a home folder here.
    """
    folder = find_data_dir()
    if folder is None:
        raise SemihandError("There is no home folder to keep files in. Set SEMIHAND_DATA to a folder.")
    return folder


def find_data_dir() -> Path | None:
    """`data_dir`, or None where there is no home folder. Raises SemihandError where SEMIHAND_DATA is no whole path."""
    given = os.environ.get("SEMIHAND_DATA")
    if given:
        folder = Path(given)
        if not folder.is_absolute():
            raise SemihandError(f"SEMIHAND_DATA is {given}, which depends on the folder you are in. Give a whole path.")
        return folder
    if sys.platform == "win32":
        base = _absolute(os.environ.get("LOCALAPPDATA")) or _home("AppData", "Local")
    elif sys.platform == "darwin":
        base = _home("Library", "Application Support")
    else:
        # The XDG specification: a path that is not absolute is to be ignored.
        base = _absolute(os.environ.get("XDG_DATA_HOME")) or _home(".local", "share")
    return base / "semihand" if base else None


def _absolute(path: str | None) -> Path | None:
    return Path(path) if path and Path(path).is_absolute() else None


def _home(*below: str) -> Path | None:
    try:
        home = _absolute(str(Path.home()))
    except RuntimeError:  # HOME is not set, and the user has no entry in the system's list
        return None
    return home.joinpath(*below) if home else None
