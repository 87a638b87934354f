"""A sheet of the second world's pictures to look at, every second one with its joints and its mask's outline."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.lifting import project
from ..picture_file import write_picture
from ..progress import Progress
from ..synth.preview import SUFFIXES, draw_skeleton
from .render import RenderConfig, Shot, TakeRenderer, load_mitsuba
from .takes import SPLITS, TAKE_FRAMES, draw_take


def preview_sheet(path: Path, count: int = 24, seed: int = 0, config: RenderConfig = RenderConfig(),
                  columns: int = 8) -> None:  # fmt: skip
    """Write `count` pictures, two a take, from both splits in turn. Raises SemihandError where it can't."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or not path.parent.is_dir():
        raise SemihandError(f"The sheet {path} cannot be written: give a .png or .jpg file in a folder that exists.")
    load_mitsuba()
    tiles = []
    for number in Progress(range(-(-count // 2)), unit="take"):
        renderer = TakeRenderer(draw_take(seed, SPLITS[number % 2], number // 2), config, seed)
        for index, labels in ((TAKE_FRAMES // 3, False), (TAKE_FRAMES - 1, True)):
            tiles.append(tile(renderer.render(index), labels))
    tiles = tiles[:count] + [np.zeros_like(tiles[0])] * (-count % columns)
    lines = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    write_picture(path, np.concatenate(lines, 0))


def tile(shot: Shot, labels: bool) -> np.ndarray:
    """The picture (S, S, 3) BGR, with skeleton and mask outline if `labels`."""
    image = shot.image.copy()
    if labels:
        inside = (shot.mask > 0.5).astype(np.uint8)
        outline, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outline, -1, (255, 255, 255), 1)
        draw_skeleton(image, project(shot.xyz, shot.K))
    return image
