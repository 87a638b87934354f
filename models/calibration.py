"""What was measured of the user's cameras and hands, kept in the data folder.

cameras/NAME-HASH.json: one camera and its lens at every size of picture at which it was calibrated.
people/NAME.json: one person's bone lengths.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data_folder import data_dir
from ..errors import SemihandError
from ..jsonfile import parse_json
from ..paths import shown
from .atomic import exclusive, replace_text
from .camera import Lens
from .joints import BONES, PRIOR_BONE_LENGTHS, UNIT_BONE_METRES

SCHEMA = 1
#: Metres: shorter and longer bones belong to no hand; a hand is at most so many times larger or smaller than the average.
BONE_LIMITS, MOST_LARGER = (0.003, 0.2), 1.6
#: Bone lengths (20,) of the average hand in metres.
AVERAGE_BONES = np.array(PRIOR_BONE_LENGTHS) * UNIT_BONE_METRES
_NAME = re.compile(r"[^\W_][\w-]{0,63}")


@dataclass(frozen=True)
class CameraRecord:
    """One calibrated camera. lenses: by (width, height) of its pictures."""

    name: str
    lenses: Mapping[tuple[int, int], Lens] = field(default_factory=dict)

    def other_size(self, width: int, height: int) -> str:
        """The sentence for pictures of a size at which it was not calibrated."""
        known = ", ".join(f"{w}x{h}" for w, h in self.lenses)
        w, h = next(iter(self.lenses))
        return (
            f"{self.name} was calibrated at {known}, not at {width}x{height}: its focal length is assumed. "
            f"Calibrate it at this size too, or let it deliver that one (--width {w} --height {h})."
        )


@dataclass(frozen=True)
class Person:
    """One person's hand. bones (20,): lengths in metres, ordered as BONES; measured: by what ("bank card", "A4", ...)."""

    name: str
    bones: np.ndarray
    measured: str

    @property
    def scale(self) -> float:
        """The hand over an average one, all bones together."""
        return float(np.linalg.norm(self.bones) / np.linalg.norm(AVERAGE_BONES))


def save_lens(camera: str, width: int, height: int, lens: Lens, told: Mapping[str, Any]) -> Path:
    """Keep the lens of a camera at one size, beside those of its other sizes. told: what else stands in the file.

    A damaged file is written anew. Raises SemihandError where the file cannot be written.
    """
    file = _camera_file(camera)
    entry = {
        "width": width,
        "height": height,
        "K": [lens.K[0, 0], lens.K[1, 1], lens.K[0, 2], lens.K[1, 2]],
        "distortion": np.zeros(5).tolist() if lens.distortion is None else np.ravel(lens.distortion).tolist(),
        **told,
    }
    with _writing(file):
        others = [one for one in _sizes(file) if (one["width"], one["height"]) != (width, height)]
        _write(file, {"name": camera, "sizes": [*others, entry]})
    return file


def find_camera_record(camera: str) -> CameraRecord | None:
    """What is stored of a camera by its name; None where nothing is. Raises SemihandError on a damaged file."""
    file = _camera_file(camera)
    if not file.is_file():
        return None
    try:
        lenses = dict(map(_entry, _read(file, "sizes")))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(file, "calibration", error, "Calibrate the camera again") from error
    return CameraRecord(camera, lenses) if lenses else None


def camera_record_of(camera: str) -> CameraRecord:
    """The same for a camera that a user named. Raises SemihandError too where nothing is stored."""
    found = find_camera_record(camera)
    if found is None:
        names = _names(data_dir() / "cameras")
        known = f"Calibrated: {', '.join(names)}." if names else "None is calibrated yet."
        raise SemihandError(
            f"There is no calibrated camera {camera!r}. {known} Calibrate it: semihand calibrate --name {camera} --video FILE"
        )
    return found


def save_person(person: Person) -> Path:
    """Keep a profile; an older one of that name is replaced. Raises SemihandError on a bad name, or a full disk."""
    file = person_file(person.name)
    bones = [round(1e3 * float(length), 2) for length in person.bones]
    with _writing(file):
        _write(file, {"name": person.name, "measured": person.measured, "bone_lengths_mm": bones})
    return file


def read_person(name: str) -> Person:
    """A person's profile by name. Raises SemihandError where there is none, or it is damaged."""
    file = person_file(name)
    if not file.is_file():
        names = _names(file.parent)
        known = f"Profiles: {', '.join(names)}." if names else "There is none yet."
        raise SemihandError(
            f"There is no profile {name!r}. {known} Make it: semihand calibrate --user {name} --hand PICTURE"
        )
    try:
        bones = np.asarray(_read(file, "bone_lengths_mm"), float) / 1e3
        return checked(Person(name, bones, str(_read(file, "measured"))))
    except (TypeError, ValueError) as error:
        raise _damaged(file, "profile", error, "Measure the hand again") from error


def checked(person: Person) -> Person:
    """The person, whose bones may be those of a hand. Raises ValueError where not."""
    low, high = BONE_LIMITS
    if person.bones.shape != (len(BONES),) or not ((low <= person.bones) & (person.bones <= high)).all():
        raise ValueError(f"it has no {len(BONES)} bones of {1e3 * low:g} to {1e3 * high:g} mm")
    if not 1 / MOST_LARGER <= person.scale <= MOST_LARGER:
        raise ValueError(f"the hand would be {person.scale:.2f} times an average one")
    return person


def _sizes(file: Path) -> list[dict[str, Any]]:
    """The entries of a camera's file that can be read."""
    try:
        sizes = _read(file, "sizes") if file.is_file() else []
        return [one for one in sizes if _entry(one)]
    except (KeyError, TypeError, ValueError):
        return []


def _entry(entry: Mapping[str, Any]) -> tuple[tuple[int, int], Lens]:
    """One size and its lens. Raises KeyError, TypeError or ValueError where it is none."""
    fx, fy, cx, cy = (float(value) for value in entry["K"])
    distortion = np.asarray(entry["distortion"], float)
    values = np.array([fx, fy, cx, cy, *distortion])
    if distortion.shape != (5,) or not np.isfinite(values).all() or min(fx, fy) < 1:
        raise ValueError("its numbers are no lens")
    lens = Lens(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), distortion if distortion.any() else None)
    return (int(entry["width"]), int(entry["height"])), lens


def _camera_file(camera: str) -> Path:
    plain = re.sub(r"[^a-z0-9]+", "-", camera.lower()).strip("-")[:40]
    return data_dir() / "cameras" / f"{plain}-{hashlib.sha256(camera.encode(errors='replace')).hexdigest()[:8]}.json"


def person_file(name: str) -> Path:
    """Where a profile is kept. Raises SemihandError on names that are none."""
    if not _NAME.fullmatch(name):
        raise SemihandError(f"{name!r} is no name for a profile: use up to 64 letters, digits, - and _.")
    return data_dir() / "people" / f"{name}.json"


def _read(file: Path, key: str) -> Any:
    """One entry of a stored file. Raises SemihandError where it cannot be read, ValueError where it is another thing."""
    try:
        values = parse_json(file.read_bytes())
    except OSError as error:
        raise SemihandError(f"{shown(file)} could not be read: {error.strerror}. Check its permissions.") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA or key not in values:
        raise ValueError(f"it has no {key} in layout {SCHEMA}")
    return values[key]


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        with exclusive(file.parent):
            yield
    except OSError as error:
        raise SemihandError(
            f"{shown(file)} could not be written: {error.strerror}. Make room, or check permissions."
        ) from error


def _write(file: Path, values: Mapping[str, Any]) -> None:
    replace_text(file, json.dumps({"schema": SCHEMA, **values}, indent=1) + "\n")


def _names(folder: Path) -> list[str]:
    """Names in the files of a folder that can be read."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            found.append(str(_read(file, "name")))
        except (SemihandError, ValueError):
            continue
    return found


def _damaged(file: Path, kind: str, error: Exception, then: str) -> SemihandError:
    return SemihandError(f"{shown(file)} is no {kind} that can be read ({error}). {then}, or delete the file.")
