"""The worst frames of an evaluation as pictures: predicted joints in colours over the true ones in dashed white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ...report.hand_tiles import marks, pale_skeleton, skeleton, tile
from ...report.page import section


@dataclass(frozen=True)
class Example:
    """A frame's surroundings of the hand.

    set, source: the data's name and who predicted. told: its error in words. image (S, S, 3) uint8 RGB.
    uv_true, uv (21, 2): labelled and predicted joints on the picture's 64-grid, NaN where unknown.
    """

    set: str
    source: str
    told: str
    image: np.ndarray
    uv_true: np.ndarray
    uv: np.ndarray


def pictures(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Every picture by the name that its tile uses."""
    return {_name(number): example.image for number, example in enumerate(examples)}


def example_section(name: str, examples: Sequence[Example]) -> str:
    """The tiles of one set, a row of them for each source; "" where it has none."""
    numbered = [(number, example) for number, example in enumerate(examples) if example.set == name]
    if not numbered:
        return ""
    parts = []
    for source in dict.fromkeys(example.source for _, example in numbered):
        tiles = "".join(_tile(number, example) for number, example in numbered if example.source == source)
        parts.append(f'<h3>{escape(source)}</h3><div class="strip" style="{_COLUMNS}">{tiles}</div>')
    told = "Missed frames first, then the largest errors. Coloured: predicted; dashed white and white dots: the label."
    return section(f"Worst frames of {name}", told, *parts)


_COLUMNS = "grid-template-columns: repeat(auto-fill, minmax(140px, 1fr))"


def _name(number: int) -> str:
    return f"example{number}"


def _tile(number: int, example: Example) -> str:
    parts = [pale_skeleton(example.uv_true), marks(example.uv_true)]
    parts += [skeleton(example.uv)] if np.isfinite(example.uv).any() else []
    told = escape(example.told)
    return f'<div>{tile(_name(number), parts, told)}<div class="note">{told}</div></div>'
