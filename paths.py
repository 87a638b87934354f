"""Names of files as people really have them: bytes that are no UTF-8, links in a circle, addresses, pipes."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import SemihandError

#: A scheme of more than one letter: C:\ is a drive.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_address(text: str) -> bool:
    """Whether a text is an address (rtsp://..., http://...) and no file's name."""
    return bool(_ADDRESS.match(text))


def without_password(address: str) -> str:
    """An address as it may stand in files and messages: user, password and query taken out."""
    return re.sub(r"\?.*", "?...", re.sub(r"://[^/@]*@", "://", address))


@contextmanager
def plain_name(path: str | Path) -> Iterator[str]:
    """A name by which C++ can open `path` inside the block; what was opened stays open behind it.

    OpenCV crashes on a text that is no UTF-8, so such a file is opened through a link of plain letters. Raises
    SemihandError where no link can be made.
    """
    text = str(path)
    if _is_utf8(text):
        yield text
        return
    try:
        with tempfile.TemporaryDirectory(prefix="semihand-") as folder:
            link = Path(folder, "link" + "".join(re.findall(r"\.[A-Za-z0-9]+$", text)))
            link.symlink_to(os.path.abspath(text))
            yield str(link)
    except OSError as error:
        raise SemihandError(
            f"{shown(path)} has a name that is no UTF-8, and no link to it could be made ({error.strerror}). Rename it."
        ) from error


def make_folder(folder: str | Path, instead: str) -> Path:
    """The folder, which is there now. Raises SemihandError where it cannot be made; `instead` says how to go on."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemihandError(f"The folder {shown(folder)} cannot be made: {error.strerror}. {instead}") from error
    return Path(folder)


def shown(path: str | Path) -> str:
    """A path as any console and file can take it: bytes that are no UTF-8 become \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names lead to one file: through links, by another spelling, or both not there yet but equal."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # at least one is not there, or leads nowhere
        return os.path.realpath(one) == os.path.realpath(other)


def why_not_there(path: Path) -> str:
    """What is wrong with a path at which no file was found, and what to do."""
    try:
        path.stat()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            return f"{shown(path)} may not be read. Check the permissions of the file and its folders."
        if path.is_symlink():
            return f"{shown(path)} is a link that leads nowhere. Name the file that it should lead to."
        if isinstance(error, OSError) and len(os.fsencode(path.name)) > 255:
            return f"A path of {len(os.fsencode(path))} characters is too long. Give the file a shorter name."
    return f"{shown(path)} does not exist. Check the path."


def _is_utf8(text: str) -> bool:
    try:
        return text.encode("utf-8") == os.fsencode(text)
    except UnicodeEncodeError:
        return False
