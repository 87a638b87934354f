"""Files that are whole or not there, and one lock for all processes that change a folder."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from ..errors import SemihandError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"
#: Ending of what is not finished yet; whoever holds the lock may delete what a killed process left of it.
UNFINISHED = ".part"


@contextmanager
def exclusive(folder: Path, seconds: float = 60.0) -> Iterator[None]:
    """Hold the folder's lock; waits up to `seconds` for another process. The folder is made where it is missing.

    The system frees the lock of a process that dies, so none is ever left behind. Raises SemihandError after the wait,
    OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK_FILE, "a+b") as file:
        deadline = monotonic() + seconds
        while not _lock(file):
            if monotonic() > deadline:
                raise SemihandError(
                    f"Another semihand has been changing {folder} for {seconds:.0f} s. "
                    "Wait until it is done, or end it."
                )
            sleep(0.05)
        try:
            yield
        finally:
            _unlock(file)


def _lock(file) -> bool:
    """Take the lock if it is free. BlockingIOError and PermissionError mean that it is not."""
    try:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(file) -> None:
    """Said, not left to closing: a forked child may share the file and live on."""
    if sys.platform == "win32":
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_UN)


def replace_text(path: Path, text: str) -> None:
    """Write a small file so that a reader, and a crash, finds the old or the new text. Raises OSError."""
    temporary = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        write_synced(temporary, text)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_synced(path: Path, text: str) -> None:
    """Write a text and wait until it is on the disk. Raises OSError."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def copy_synced(source: Path, target: Path) -> None:
    """Copy a file and wait until the copy is on the disk. Raises OSError."""
    shutil.copyfile(source, target)
    with open(target, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the folder's own entries are on the disk (Windows has no call for that)."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear_unfinished(folder: Path) -> None:
    """Delete what a killed process left behind. The caller holds the lock."""
    for left in folder.glob(f".*{UNFINISHED}"):
        log.debug("Deleting %s, which was never finished.", left)
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()
