"""The user's own models: installed whole or not at all, with every former version and how each came to be.

One folder per model in `model_file.personal_models_dir()`:

    NAME/0001/NAME.onnx           what the tracker runs; never changed once it is there
    NAME/0001/NAME.safetensors    the weights a later adaptation starts from, where they were given
    NAME/0001/record.json         where it comes from
    NAME/0002/...
    NAME/current                  the number of the version in use

Replacing the file `current` is the one step that puts a version in place, so a crash leaves the old or the new model
with its own weights and record. All changes hold one lock. The folder's `default.txt` names the default model.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SemihandError
from .atomic import UNFINISHED, clear_unfinished, copy_synced, exclusive, replace_text, sync_folder, write_synced
from .model_file import (
    CURRENT,
    DEFAULT_FILE,
    DETECTOR_FILES,
    RELEASED_DEFAULT,
    WEIGHTS,
    available_models,
    default_model,
    personal_models_dir,
    resolve_model,
)
from .record import PROVENANCE_KEYS, RECORD, new_record, plain, read_record
from .verify import check_weights, try_model

log = logging.getLogger(__name__)

_NAME = re.compile(r"[^\W_][\w-]{0,63}")


@dataclass(frozen=True)
class Installed:
    """A model that can be used by name.

    path: the ONNX file in use. version, versions: the number in use and all that are kept; None and () for a released
    model or a file put there by hand. record: what `install` noted of the version in use, {} where nothing.
    """

    name: str
    path: Path
    personal: bool
    default: bool
    version: int | None = None
    versions: tuple[int, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path | None:
        """The weights beside the model, where there are any."""
        file = self.path.with_suffix(".safetensors")
        return file if file.is_file() else None

    def version_file(self, number: int) -> Path:
        """The ONNX file of a version."""
        return self.path.parents[1] / f"{number:04d}" / self.path.name


def installed() -> list[Installed]:
    """All models, released ones first. Raises SemihandError where a record cannot be read."""
    models = [_describe(name, path) for name, path in available_models().items()]
    return sorted(models, key=lambda model: (model.personal, model.name))


def find(name: str) -> Installed:
    """The model of that name. Raises SemihandError where there is none."""
    models = available_models()
    if name not in models:
        raise SemihandError(f"No model is called {name!r}. Names: {', '.join(sorted(models))}.")
    return _describe(name, models[name])


def checkpoint_of(name_or_path: str | Path | None) -> Path:
    """The weights (.safetensors) beside a model, for training on; None is the default model. Raises SemihandError."""
    path = resolve_model(name_or_path).with_suffix(".safetensors")
    if not path.is_file():
        raise SemihandError(
            f"{path.stem} has no weights to train on: {path} does not exist. Start from another model, like base."
        )
    return path


def install(
    onnx_file: str | Path, name: str, provenance: Mapping[str, Any], checkpoint: str | Path | None = None
) -> Installed:
    """Put a model in place as the newest version of `name`, after opening it and running one crop.

    provenance: PROVENANCE_KEYS and whatever else is worth keeping; plain values, arrays and paths.
    Raises SemihandError, with the former model untouched, where the name or a file is bad, the disk is full, or
    another process keeps the lock; ValueError where provenance lacks a key.
    """
    missing = [key for key in PROVENANCE_KEYS if key not in provenance]
    if missing:
        raise ValueError(f"provenance lacks {', '.join(missing)}")
    _check_name(name)
    origin = {"sha256": try_model(onnx_file).sha256, "provenance": plain(provenance)}
    if checkpoint is not None:
        check_weights(Path(checkpoint))
    with _changing(f"{name} was not installed") as folder:
        home = _home(folder, name)
        number = _add_version(home, Path(onnx_file), Path(checkpoint) if checkpoint else None, origin)
        try:
            _point(home, number)
        except OSError:
            shutil.rmtree(home / f"{number:04d}")
            raise
        log.info("%s is installed as version %d.", name, number)
        return find(name)


def use(name: str) -> Installed:
    """Make a model the default one of `track`, `eval` and `demo`. Raises SemihandError."""
    with _changing("The default model was not changed") as folder:
        try_model(find(name).path)
        if name == RELEASED_DEFAULT:
            (folder / DEFAULT_FILE).unlink(missing_ok=True)
        else:
            replace_text(folder / DEFAULT_FILE, name + "\n")
        return find(name)


def rollback(name: str, version: int | None = None) -> Installed:
    """Go back to the version that the one in use had replaced, or to any that is kept. Raises SemihandError."""
    with _changing(f"{name} was not changed") as folder:
        model = _versioned(name)
        number = version or model.record.get("previous")
        if number is None:
            raise SemihandError(f"{name} has no version before {model.version}. Kept: {_numbers(model.versions)}.")
        if number not in model.versions:
            raise SemihandError(f"{name} has no version {number}. Kept: {_numbers(model.versions)}.")
        try_model(model.version_file(number))
        _point(folder / name, number)
        return find(name)


def remove(name: str) -> Path:
    """Delete a personal model with all its versions; the default falls back to base where it was this one.

    Returns where it was. Raises SemihandError.
    """
    with _changing(f"{name} was not removed") as folder:
        model = find(name)
        if not model.personal:
            raise SemihandError(f"{name} comes with semihand and stays. Personal models: {_personal_names()}.")
        if model.default:
            (folder / DEFAULT_FILE).unlink(missing_ok=True)
        for suffix in (".onnx", ".safetensors"):
            (folder / name).with_suffix(suffix).unlink(missing_ok=True)
        if model.version is None:
            return model.path
        gone = folder / f".{name}{UNFINISHED}"
        os.rename(folder / name, gone)  # from here on it is removed, however long deleting takes
        shutil.rmtree(gone)
    return folder / name


@contextmanager
def _changing(failed: str) -> Iterator[Path]:
    """The folder of personal models under its lock. What the disk refuses becomes a SemihandError: `failed`, why."""
    folder = personal_models_dir()
    try:
        with exclusive(folder):
            clear_unfinished(folder)
            yield folder
    except OSError as error:
        raise SemihandError(
            f"{failed}: {error.strerror or error} ({folder}). Check the space and permissions there, then try again."
        ) from error


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SemihandError(f"{name!r} is no name for a model: use up to 64 letters, digits, - and _.")
    if name in DETECTOR_FILES or (WEIGHTS / f"{name}.onnx").is_file():
        raise SemihandError(f"{name} is a released model's name; choose another for your own.")


def _home(folder: Path, name: str) -> Path:
    """The model's own folder. A file NAME.onnx that was put there by hand becomes its first version."""
    home = folder / name
    home.mkdir(exist_ok=True)
    clear_unfinished(home)
    file = folder / f"{name}.onnx"
    if file.is_file() and not (home / CURRENT).is_file():
        weights = file.with_suffix(".safetensors")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        origin = {"sha256": digest, "provenance": {"found": str(file)}}
        _point(home, _add_version(home, file, weights if weights.is_file() else None, origin))
        file.unlink()
        weights.unlink(missing_ok=True)
    return home


def _add_version(home: Path, onnx_file: Path, checkpoint: Path | None, origin: dict[str, Any]) -> int:
    """Copy a version into the model's folder, complete, but not yet in use. Returns its number."""
    numbers = _version_numbers(home)
    number = max(numbers, default=0) + 1
    unfinished = home / f".{number:04d}{UNFINISHED}"
    unfinished.mkdir()
    try:
        copy = unfinished / f"{home.name}.onnx"
        copy_synced(onnx_file, copy)
        if hashlib.sha256(copy.read_bytes()).hexdigest() != origin["sha256"]:
            raise SemihandError(f"{onnx_file} changed while it was being installed. Try again.")
        if checkpoint is not None:
            copy_synced(checkpoint, copy.with_suffix(".safetensors"))
        write_synced(unfinished / RECORD, new_record(home.name, number, _current_number(home), origin))
        sync_folder(unfinished)
        os.rename(unfinished, home / f"{number:04d}")
        sync_folder(home)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return number


def _point(home: Path, number: int) -> None:
    """Put a version in use: the one step that counts."""
    replace_text(home / CURRENT, f"{number:04d}\n")


def _current_number(home: Path) -> int | None:
    pointer = home / CURRENT
    text = pointer.read_text().strip() if pointer.is_file() else ""
    return int(text) if text.isdecimal() else None


def _version_numbers(home: Path) -> tuple[int, ...]:
    return tuple(sorted(int(entry.name) for entry in home.iterdir() if entry.name.isdecimal()))


def _versioned(name: str) -> Installed:
    model = find(name)
    if model.version is None:
        raise SemihandError(f"{name} has no versions. Models that have: {_personal_names()}.")
    return model


def _describe(name: str, path: Path) -> Installed:
    personal, default = path.is_relative_to(personal_models_dir()), name == default_model()
    if path.parent in (WEIGHTS, personal_models_dir()):
        return Installed(name, path, personal, default)
    versions = _version_numbers(path.parents[1])
    return Installed(name, path, True, default, int(path.parent.name), versions, read_record(path))


def _personal_names() -> str:
    names = [name for name, path in available_models().items() if path.is_relative_to(personal_models_dir())]
    return ", ".join(names) or "(none)"


def _numbers(versions: tuple[int, ...]) -> str:
    return ", ".join(map(str, versions))
