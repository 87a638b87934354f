"""Any data set that the project can read, from its original files, as one `Sequence`."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from . import coco, dexter_object, freihand, h3d, hsd, rhd, stb, yt3d
from .reader import Reader
from .sequence import FILE_NAME, Sequence, read_sequence

logger = logging.getLogger(__name__)

SEQUENCE = "sequence"
READERS: dict[str, Reader] = {
    reader.name: reader
    for reader in (
        rhd.READER,
        stb.READER,
        dexter_object.READER,
        h3d.READER,
        yt3d.READER,
        hsd.READER,
        freihand.READER,
        coco.WHOLE_BODY_READER,
        coco.ONE_HAND_READER,
    )
}
FORMATS = (SEQUENCE, *READERS)
_NEIGHBOURS = 50


def open_dataset(path: str | Path, format: str = "auto", split: str | None = None, **options: str) -> Sequence:
    """A data set in memory: labels now, pictures when a frame is read.

    format: one of FORMATS, or "auto" to tell it from the files. split: one of `known_splits(format)`, None for
    the first. options: the reader's own (STB: wrist; Hand-3D-Studio: objects). Raises SemihandError that names
    the file that was looked for, the known splits, the options, or the first missing picture.
    """
    path = Path(path)
    if not path.exists():
        raise SemihandError(f"{path} does not exist. Give the folder that the data set was unpacked to.")
    if format == "auto":
        format = detect_format(path)
        logger.info("%s is read as %s.", path, format)
    chosen = _known_split(format, split)
    _check_options(format, options)
    if format == SEQUENCE:
        return read_sequence(path)
    if path.is_file() and format != coco.ONE_HAND_READER.name:
        raise SemihandError(f"{path} is a file; {READERS[format].title} is read from its folder.")
    return READERS[format].read(path, chosen, **options)


def spread(sequence: Sequence, limit: int | None) -> Sequence:
    """At most `limit` evenly spread frames, the first and the last among them."""
    count = len(sequence.frames)
    if limit is None or limit >= count:
        return sequence
    rows = np.unique(np.linspace(0, count - 1, limit).round().astype(int))
    step = (count - 1) / max(1, limit - 1)
    fps = None if sequence.fps is None else sequence.fps / step
    return replace(sequence, frames=tuple(sequence.frames[i] for i in rows), fps=fps)


def is_dataset(path: Path) -> bool:
    """Whether the folder, or file, is one that `open_dataset` knows by its files."""
    return path.exists() and _matching(path) is not None


def known_splits(format: str) -> tuple[str, ...]:
    """The splits of a format, the default first; none for a sequence folder. Raises SemihandError if unknown."""
    if format == SEQUENCE:
        return ()
    if format not in READERS:
        raise SemihandError(f"Unknown data set format {format!r}; choose auto, {', '.join(FORMATS)}.")
    return READERS[format].splits


def detect_format(path: Path) -> str:
    """The format whose files lie in the folder. Raises SemihandError that says what was looked for."""
    found = _matching(path)
    if found:
        return found
    for other in (path.absolute().parent, *_folders_below(path)):
        near = _matching(other)
        if near:
            raise SemihandError(f"{path} is no data set, but {other} is one ({near}). Give that folder.")
    wanted = [f"{FILE_NAME} ({SEQUENCE})"]
    wanted += [f"{reader.looks_for[0]} ({reader.name})" for reader in READERS.values() if reader.looks_for]
    raise SemihandError(f"{path} is no data set that can be read: looked for {', '.join(wanted)}.")


def _matching(path: Path) -> str | None:
    if path.is_file():
        return coco.ONE_HAND_READER.name if path.suffix == ".json" and path.name != FILE_NAME else None
    if (path / FILE_NAME).is_file():
        return SEQUENCE
    return next((reader.name for reader in READERS.values() if reader.matches(path)), None)


def _folders_below(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir())[:_NEIGHBOURS] if path.is_dir() else []


def _known_split(format: str, split: str | None) -> str | None:
    splits = known_splits(format)
    if split is not None and split not in splits:
        known = f"choose {', '.join(splits)}" if splits else "a sequence folder has none"
        raise SemihandError(f"Unknown split {split!r} of {format}; {known}.")
    return split or next(iter(splits), None)


def _check_options(format: str, options: dict[str, str]) -> None:
    known = READERS[format].options if format in READERS else ()
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise SemihandError(f"{format} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}.")
