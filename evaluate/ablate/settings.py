"""What a run of an ablation changes beside its row: fields of the recipe, how many pictures, and which ones."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, replace

from ...adapt.profiles import FinetuneConfig
from ...errors import SemihandError

#: What a row adapts to; it is measured on both parts.
ADAPT_TO = ("train", "test", "both")
#: Fields that have an option of their own, or none.
_NOT_HERE = {"seed": "--seeds", "profile": "--row"}
_TRUTH = {"true": True, "false": False}

Changes = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Setting:
    """changes: (field, value) of the recipe. unlabelled: per cent of the pictures adapted to. adapt_to: ADAPT_TO."""

    changes: Changes = ()
    unlabelled: int = 100
    adapt_to: str = "train"

    @property
    def text(self) -> str:
        """As the results file has it; empty for a row as it is."""
        parts = [] if self.unlabelled == 100 else [f"unlabelled={self.unlabelled}%"]
        parts += [] if self.adapt_to == "train" else [f"adapt={self.adapt_to}"]
        return " ".join(parts + [f"{name}={_shown(value)}" for name, value in sorted(self.changes)])


def without_pictures(text: str) -> str:
    """A setting's text without how many pictures, and which ones: that of the row it compares with."""
    return " ".join(part for part in text.split() if not part.startswith(("unlabelled=", "adapt=")))


def parse_changes(texts: typing.Sequence[str]) -> Changes:
    """Fields of the recipe as "name=value", those of its parts as "labels.tau=3"; raises SemihandError on others.

    Booleans are true or false, several values stand between commas, "none" is no value.
    """
    changes = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise SemihandError(f"--set {text} has no value. Write NAME=VALUE, for example --set view_weight=1.")
        if name in changes:
            raise SemihandError(f"--set {name} is given twice.")
        changes[name] = _typed(name, value, _kind(name))
    found = tuple(sorted(changes.items()))
    changed(FinetuneConfig("check"), found)  # refuses values that no recipe takes
    return found


def changed(config: FinetuneConfig, changes: Changes) -> FinetuneConfig:
    """The recipe with these fields changed. Raises SemihandError where it refuses a value."""
    for name, value in changes:
        part, _, field = name.partition(".")
        if field:
            value = replace(getattr(config, part) or _plain(_kinds()[part])(), **{field: value})
        config = replace(config, **{part: value})
    return config


def _kinds(config: type = FinetuneConfig) -> dict[str, object]:
    """Types of the fields by name."""
    return {name: kind for name, kind in typing.get_type_hints(config).items() if name in _names(config)}


def _names(config: type) -> set[str]:
    return {field.name for field in dataclasses.fields(config)}


def _kind(name: str):
    """The type of a field, or of a part's field. Raises SemihandError with the known names."""
    if name in _NOT_HERE:
        raise SemihandError(f"--set {name} is not possible; {_NOT_HERE[name]} chooses it.")
    part, dot, field = name.partition(".")
    kind = _kinds().get(part)
    parts = _kinds(_plain(kind)) if dot and dataclasses.is_dataclass(_plain(kind)) else {}
    found = parts.get(field) if dot else kind
    if found is None or dataclasses.is_dataclass(found):
        raise SemihandError(f"--set {name} is unknown. Known: {', '.join(_known())}.")
    return found


def _known() -> list[str]:
    names = []
    for name, kind in _kinds().items():
        plain = _plain(kind)
        if dataclasses.is_dataclass(plain):
            names += [f"{name}.{field}" for field in _kinds(plain)]
        if not dataclasses.is_dataclass(kind) and name not in _NOT_HERE:
            names.append(name)
    return names


def _plain(kind):
    """X of X | None."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(one for one in typing.get_args(kind) if one is not type(None))
    return kind


def _typed(name: str, text: str, kind):
    """The value of a field. Raises SemihandError that names the wanted type."""
    plain = _plain(kind)
    if plain is not kind and text == "none":
        return None
    try:
        return _value(text, plain)
    except (ValueError, KeyError) as error:
        raise SemihandError(f"--set {name}={text} does not fit; it takes {_meaning(plain)}.") from error


def _value(text: str, kind):
    if dataclasses.is_dataclass(kind):
        return {"default": kind}[text]()
    if typing.get_origin(kind) is tuple:
        parts, kinds = [part for part in text.split(",") if part], typing.get_args(kind)
        kinds = [kinds[0]] * len(parts) if kinds[-1] is Ellipsis else kinds
        return tuple(_value(part, one) for part, one in zip(parts, kinds, strict=True))
    if kind is bool:
        return _TRUTH[text.lower()]
    value = kind(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(text)
    return value


def _meaning(kind) -> str:
    if dataclasses.is_dataclass(kind):
        return "default or none"
    if typing.get_origin(kind) is tuple:
        kinds = typing.get_args(kind)
        many = "values" if kinds[-1] is Ellipsis else f"{len(kinds)} values"
        return f"{many} between commas, each {_meaning(kinds[0])}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[kind]


def _shown(value) -> str:
    if isinstance(value, tuple):
        return ",".join(_shown(one) for one in value)
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return "default" if dataclasses.is_dataclass(value) else str(value)
