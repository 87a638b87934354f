"""A sheet of synthetic pictures to look at: would a person take these for hands?"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..picture_file import write_picture
from ..tracker.draw import FINGER_COLORS
from .background import load_pictures
from .scene import Sample, SceneConfig, SceneRenderer

SUFFIXES = (".png", ".jpg", ".jpeg")


def draw_skeleton(image, uv, colors=FINGER_COLORS) -> None:
    """Draw joints uv (21, 2), pixel centres at integers, into image (H, W, 3) BGR, in place, one colour a finger."""
    for finger, color in enumerate(colors):
        chain = uv[[0, *range(1 + 4 * finger, 5 + 4 * finger)]]
        points = (chain * 16).round().astype(np.int32)
        cv2.polylines(image, [points], False, color, 1, cv2.LINE_AA, 4)


def _tile(sample: Sample, labels: bool):
    """The picture as BGR, with skeleton and mask outline if `labels`."""
    tile = cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR)
    if labels and sample.present:
        mask = cv2.resize(sample.mask, tile.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        outline, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(tile, outline, -1, (255, 255, 255), 1)
        draw_skeleton(tile, sample.uv)
    return tile


def preview_sheet(path, count: int = 60, seed: int = 0, config: SceneConfig = SceneConfig(), backgrounds=None,
                  columns: int = 10) -> None:  # fmt: skip
    """Write a sheet of `count` pictures; every third one shows its labels. Raises SemihandError where it can't."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or not path.parent.is_dir():
        raise SemihandError(f"The sheet {path} cannot be written: give a .png or .jpg file in a folder that exists.")
    renderer = SceneRenderer(config, seed, load_pictures(backgrounds) if backgrounds else None)
    tiles = [_tile(renderer.render(index), index % 3 == 2) for index in range(count)]
    tiles += [np.zeros_like(tiles[0])] * (-count % columns)
    lines = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    write_picture(path, np.concatenate(lines, 0))
