"""What stands behind the hand: pictures of the user's choice, and painted rooms, gradients, clutter and faces."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..picture_file import read_picture
from .materials import SKIN_TONES

log = logging.getLogger(__name__)

PAINTED_HEIGHT, PAINTED_WIDTH = 300, 400
#: Pictures whose shorter side is below this, after shrinking, make no background.
SHORTEST_SIDE = 64
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def picture_files(folder) -> list[Path]:
    """Files below a folder whose name says picture, sorted. Raises SemihandError where there is none."""
    files = [path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in _SUFFIXES]
    if not files:
        raise SemihandError(f"No readable picture in {folder}. Give a folder of jpg or png files as backgrounds.")
    return files


def load_pictures(folder, longest: int = 720) -> list[np.ndarray]:
    """All pictures below a folder as RGB uint8, none longer than `longest`; unreadable and narrow ones are left out.

    Raises SemihandError where none remains.
    """
    pictures = []
    for path in picture_files(folder):
        image = read_picture(path)
        if image is None:
            log.warning("%s cannot be read as a picture and is left out.", path)
            continue
        scale = longest / max(image.shape[:2])
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(image.shape[:2]) >= SHORTEST_SIDE:
            pictures.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    if not pictures:
        raise SemihandError(f"No readable picture in {folder}. Give a folder of jpg or png files as backgrounds.")
    return pictures


def _color(rng):
    """RGB in 0..255: mostly the greys, browns and pale tints of rooms, sometimes a strong colour."""
    if rng.random() < 0.12:
        return rng.uniform(0, 255, 3)
    return np.clip(rng.uniform(10, 245) + rng.normal(0, 14, 3) + rng.normal(0, 12) * np.array([1, 0.2, -1]), 0, 255)


def _blend(canvas, mask, color, softness):
    if softness > 0.3:
        mask = cv2.GaussianBlur(mask, (0, 0), softness)
    canvas += mask[..., None] * (color - canvas)


def _clouds(rng, height, width, contrast):
    """Smooth noise over several octaves, zero mean."""
    total = np.zeros((height, width), np.float32)
    for cells in (3, 7, 17, 41):
        coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / np.sqrt(cells)
    return contrast * total


def _rectangle(rng, canvas):
    height, width = canvas.shape[:2]
    mask = np.zeros((height, width), np.float32)
    size = np.exp(rng.uniform(np.log(8), np.log(width * 0.9), 2))
    center = rng.uniform(0, 1, 2) * [width, height]
    tilt = 0.0 if rng.random() < 0.6 else rng.normal(0, 15)
    corners = cv2.boxPoints((tuple(center), tuple(size), tilt))
    cv2.fillConvexPoly(mask, corners.astype(np.int32), 1.0, cv2.LINE_AA)
    color = _color(rng)
    shaded = color * np.linspace(*rng.uniform(0.6, 1.2, 2), width, dtype=np.float32)[None, :, None]
    _blend(canvas, mask, shaded + _clouds(rng, height, width, rng.uniform(0, 20))[..., None], rng.uniform(0, 2))


def _stroke(rng, canvas):
    height, width = canvas.shape[:2]
    mask = np.zeros((height, width), np.float32)
    points = (rng.uniform(-0.1, 1.1, (rng.integers(2, 6), 2)) * [width, height]).astype(np.int32)
    cv2.polylines(mask, [points], bool(rng.random() < 0.2), 1.0, int(rng.integers(1, 14)), cv2.LINE_AA)
    _blend(canvas, mask, _color(rng), rng.uniform(0, 1.5))


def _blob(rng, canvas):
    height, width = canvas.shape[:2]
    mask = np.zeros((height, width), np.float32)
    center = (rng.uniform(0, 1, 2) * [width, height]).astype(int)
    axes = np.exp(rng.uniform(np.log(4), np.log(90), 2)).astype(int)
    cv2.ellipse(mask, tuple(map(int, center)), tuple(map(int, axes)), float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    skin_like = rng.random() < 0.3
    color = SKIN_TONES[rng.integers(len(SKIN_TONES))] * 255 * rng.uniform(0.6, 1.1) if skin_like else _color(rng)
    shaded = color * np.linspace(*rng.uniform(0.5, 1.2, 2), height, dtype=np.float32)[:, None, None]
    _blend(canvas, mask, shaded, rng.uniform(0.3, 3))


def _lettering(rng, canvas):
    height, width = canvas.shape[:2]
    text = "".join(rng.choice(list("aeinorstlkmdEHOT0148 .-"), rng.integers(3, 14)))
    place = (int(rng.uniform(-0.1, 0.8) * width), int(rng.uniform(0, 1) * height))
    mask = np.zeros((height, width), np.uint8)
    font, size = int(rng.integers(0, 8)), float(rng.uniform(0.3, 2.0))
    cv2.putText(mask, text, place, font, size, 255, int(rng.integers(1, 4)), cv2.LINE_AA)
    _blend(canvas, mask.astype(np.float32) / 255, _color(rng), 0.0)


def _face(rng, canvas):
    """A head with hair, eyes and mouth, shaded from one side: the commonest skin-coloured thing near a hand."""
    height, width = canvas.shape[:2]
    size = rng.uniform(0.15, 0.45) * height
    center = rng.uniform(0.15, 0.85, 2) * [width, height]
    tone = SKIN_TONES[rng.integers(len(SKIN_TONES))] * 255 * rng.uniform(0.6, 1.1)
    dark = rng.uniform(0, 90) * np.ones(3)
    side = np.linspace(*rng.uniform(0.55, 1.2, 2), width, dtype=np.float32)[None, :, None]

    def ellipse(dx, dy, ax, ay, color, soft):
        mask = np.zeros((height, width), np.float32)
        at = (int(center[0] + dx * size), int(center[1] + dy * size))
        cv2.ellipse(mask, at, (max(1, int(ax * size)), max(1, int(ay * size))), 0, 0, 360, 1.0, -1)
        _blend(canvas, mask, color, soft)

    ellipse(0, 1.9, 1.5, 0.9, _color(rng) * side, 1.5)  # shoulders
    ellipse(0, 0.9, 0.35, 0.6, 0.85 * tone * side, 1.5)  # neck
    ellipse(0, -0.15, 0.82, 1.08, dark, 2.0)  # hair
    ellipse(0, 0.1, 0.7, 0.95, tone * side, 1.5)  # face
    for eye in (-0.27, 0.27):
        ellipse(eye, 0.0, 0.12, 0.06, 0.3 * tone, 1.0)
        ellipse(eye, -0.16, 0.16, 0.03, dark, 1.0)
    ellipse(0, 0.25, 0.08, 0.12, 0.82 * tone * side, 1.5)
    ellipse(0, 0.55, 0.22, 0.06, tone * [0.75, 0.45, 0.45], 1.0)


def paint(rng) -> np.ndarray:
    """One painted room (300, 400, 3) RGB uint8."""
    height, width = PAINTED_HEIGHT, PAINTED_WIDTH
    base = _color(rng)
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = base
    canvas *= np.linspace(*rng.uniform(0.6, 1.3, 2), height, dtype=np.float32)[:, None, None]
    canvas += _clouds(rng, height, width, rng.uniform(0, 30))[..., None]
    busy = rng.random()
    for painter, most in ((_rectangle, 16), (_blob, 10), (_stroke, 5), (_lettering, 4)):
        for _ in range(rng.integers(0, 1 + int(most * busy))):
            painter(rng, canvas)
    if rng.random() < 0.4:
        _face(rng, canvas)
    if rng.random() < 0.5:
        canvas += rng.normal(0, rng.uniform(1, 12), (height, width, 1)).astype(np.float32)
    if rng.random() < 0.4:
        canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 4))
    return np.clip(canvas, 0, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def painted_pool(seed: int, block: int, count: int = 24) -> list[np.ndarray]:
    """The painted backgrounds that one block of consecutive pictures chooses from."""
    rng = np.random.default_rng([seed, block, 77])
    return [paint(rng) for _ in range(count)]


def window(rng, picture, size: int) -> np.ndarray:
    """A random square of a picture, resized, flipped, recoloured: (size, size, 3) float32 RGB in 0..255."""
    height, width = picture.shape[:2]
    side = int(np.exp(rng.uniform(np.log(50), np.log(min(height, width)))))
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    out = cv2.resize(picture[y : y + side, x : x + side], (size, size), interpolation=interpolation).astype(np.float32)
    if rng.random() < 0.5:
        out = out[:, ::-1]
    if rng.random() < 0.1:
        out = out[..., rng.permutation(3)]
    if rng.random() < 0.35:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 4))
    return np.ascontiguousarray(out * np.float32(rng.uniform(0.4, 1.3)) + np.float32(rng.uniform(-30, 40)))
