"""What the readers of published data sets share: how one is described, found, checked and cleaned."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..jsonfile import parse_json
from .sequence import Sequence, SequenceFrame

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """A published data set: how it is recognised and read.

    name: the format's name; title: the set's name in sentences. splits: the known ones, the default first.
    looks_for: patterns below the folder, any of which tells the format; empty: never guessed.
    read(folder, split, **options): the Sequence; raises SemihandError. options: the names it takes.
    """

    name: str
    title: str
    splits: tuple[str, ...]
    looks_for: tuple[str, ...]
    read: Callable[..., Sequence]
    options: tuple[str, ...] = ()

    def matches(self, folder: Path) -> bool:
        """Whether one of the files it looks for is there."""
        return any(next(folder.glob(pattern), None) is not None for pattern in self.looks_for)


def required(title: str, folder: Path, *names: str) -> Path:
    """The first of these paths below `folder` that exists. Raises SemihandError that names them."""
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise SemihandError(
        f"{title}: {folder} holds no {' and no '.join(names)}. Give the folder that the set was unpacked to."
    )


def read_json(title: str, file: Path) -> object:
    """The JSON file's content. Raises SemihandError where it is broken, as after a stopped download."""
    try:
        return parse_json(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise SemihandError(f"{title}: {file} cannot be read ({error}). Download it again.") from error


def field(title: str, file: Path, entry: object, name: str, number: int | None = None) -> object:
    """entry[name]. Raises SemihandError that names the file, the entry and the field."""
    if not isinstance(entry, dict) or name not in entry:
        where = "" if number is None else f", entry {number}"
        raise SemihandError(f"{title}: {file}{where} has no field {name!r}. Is this the set's original file?")
    return entry[name]


def entries(title: str, file: Path, data: object, name: str) -> list:
    """The list data[name]. Raises SemihandError where it is missing or no list."""
    found = field(title, file, data, name)
    if not isinstance(found, list):
        raise SemihandError(f"{title}: {name} in {file} is a {type(found).__name__} where a list is expected.")
    return found


def numbers(title: str, where: object, values: object, shape: tuple[int, ...]) -> np.ndarray:
    """`values` as floats of `shape`, -1 for any length. Raises SemihandError with the shape that was found."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise SemihandError(f"{title}: {where} does not hold numbers of the shape {shape}: {error}.") from error
    if array.ndim != len(shape) or any(want not in (-1, have) for want, have in zip(shape, array.shape)):
        raise SemihandError(f"{title}: {where} has the shape {array.shape}; it must be {shape}.")
    return array


def camera(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    """Intrinsics (3, 3) pixels."""
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def usable_cameras(title: str, where: object, K: np.ndarray) -> np.ndarray:
    """K (N, 3, 3) unchanged. Raises SemihandError on a camera with NaN or without positive focal lengths."""
    good = np.isfinite(K).all(axis=(1, 2)) & (K[:, 0, 0] > 0) & (K[:, 1, 1] > 0)
    if not good.all():
        first = int(np.argmin(good))
        raise SemihandError(f"{title}: the camera of frame {first} in {where} is {K[first].tolist()}.")
    return K


def usable_xyz(title: str, xyz: np.ndarray) -> np.ndarray:
    """xyz (N, 21, 3) metres with NaN rows in place of joints that cannot be a label; says how many and why.

    Those are joints with NaN or infinite values and joints that do not stand before the camera.
    """
    finite = np.isfinite(xyz).all(axis=-1)
    behind = finite & (np.where(finite, xyz[..., 2], 1.0) <= 0)
    _say(title, "NaN or infinite 3D values", ~finite)
    _say(title, "a depth that is not positive", behind)
    return np.where((finite & ~behind)[..., None], xyz, np.nan)


def usable_uv(title: str, uv: np.ndarray) -> np.ndarray:
    """uv (N, 21, 2) pixels with NaN rows in place of joints with NaN or infinite values; says how many."""
    finite = np.isfinite(uv).all(axis=-1)
    _say(title, "NaN or infinite 2D values", ~finite)
    return np.where(finite[..., None], uv, np.nan)


def label_or_none(rows: np.ndarray) -> np.ndarray | None:
    """A frame's joints (21, D), or None where none has a label."""
    return rows if np.isfinite(rows).all(axis=-1).any() else None


def missing_pictures(paths: Iterable[Path]) -> list[Path]:
    """The paths that do not exist, in their order; every folder is listed once instead of asking per file."""
    listed: dict[Path, frozenset[str]] = {}
    missing = []
    for path in paths:
        folder = path.parent
        if folder not in listed:
            listed[folder] = frozenset(os.listdir(folder) if folder.is_dir() else ())
        if path.name not in listed[folder]:
            missing.append(path)
    return missing


def complete(title: str, frames: list[SequenceFrame]) -> tuple[SequenceFrame, ...]:
    """The frames. Raises SemihandError that names the first missing picture or mask, or says there is none."""
    if not frames:
        raise SemihandError(f"{title}: this split holds no labelled picture. Choose another split.")
    paths = [frame.image for frame in frames] + [frame.mask for frame in frames if frame.mask is not None]
    missing = missing_pictures(paths)
    if missing:
        raise SemihandError(
            f"{title}: the picture {missing[0]} is missing ({len(missing)} of {len(paths)} are). The download "
            "is not complete; unpack or fetch it again."
        )
    return tuple(frames)


def _say(title: str, reason: str, joints: np.ndarray) -> None:
    """Log how many joints (N, 21) lose their label and why."""
    if joints.any():
        frames = np.flatnonzero(joints.any(axis=-1))
        logger.warning(
            "%s: %d joints of %d frames have %s, first in frame %d; they count as unlabelled.",
            title,
            int(joints.sum()),
            len(frames),
            reason,
            frames[0],
        )
