"""Writing on pictures: the one text function of all windows and videos, the same with every OpenCV.

Letters are Pillow's (its own font, Aileron, CC0), because OpenCV 4 and 5 draw one and the same call with other letters of
another width. Sizes are the font's pixels; places are pixels of the text's upper left corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

WHITE = (255, 255, 255)
#: BGR and opacity of the plates under text.
PLATE, PLATE_OPACITY = (28, 24, 22), 0.72


def text_height(canvas: np.ndarray) -> int:
    """The size that reads well on a picture (H, W, 3), whatever its own size and shape are."""
    return max(13, round(0.022 * float(np.sqrt(canvas.shape[0] * canvas.shape[1]))))


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of what `write` puts on the picture."""
    height, width = _letters(text, size).shape
    return width, height


def write(canvas: np.ndarray, text: str, x: float, y: float, size: int, color=WHITE) -> None:
    """Write in place, in `color` (BGR), moved into the picture where it does not fit."""
    letters = _letters(text, size)
    left, top = _inside(canvas, letters.shape, x, y)
    _blend(canvas, letters, left, top, color)


def plate(canvas: np.ndarray, text: str, x: float, y: float, size: int, color=WHITE) -> None:
    """The same on a dark plate with round corners, whose upper left corner is (x, y)."""
    width, height = plate_size(text, size)
    left, top = _inside(canvas, (height, width), x, y)
    _blend(canvas, _rounded(width, height, size // 3), left, top, PLATE)
    _blend(canvas, _letters(text, size), left + size // 2, top + size // 4, color)


def plate_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of a plate with this text."""
    width, height = text_size(text, size)
    return width + 2 * (size // 2), height + 2 * (size // 4)


def panel(canvas: np.ndarray, lines: Sequence[tuple[str, str]]) -> None:
    """Two columns on one dark plate in the middle of the picture, in place; small pictures get small letters."""
    size = min(text_height(canvas), max(int(canvas.shape[0] / (1.5 * len(lines) + 2)), 6))
    step = round(1.5 * size)
    first, second = (max(text_size(line[column], size)[0] for line in lines) for column in (0, 1))
    width, height = first + second + 4 * size, step * len(lines) + 2 * size
    left, top = _inside(canvas, (height, width), (canvas.shape[1] - width) / 2, (canvas.shape[0] - height) / 2)
    _blend(canvas, _rounded(width, height, size // 2), left, top, PLATE)
    for number, (key, meaning) in enumerate(lines):
        y = top + size + step * number
        write(canvas, key, left + size, y, size, (255, 190, 70))
        write(canvas, meaning, left + first + 3 * size, y, size)


def banner(canvas: np.ndarray, text: str) -> None:
    """A sentence on a dark plate in the middle of the picture, in place, in as many lines as it needs."""
    size = round(1.2 * text_height(canvas))
    lines = wrapped(text, size, canvas.shape[1] - 4 * size)
    step, wide = round(1.4 * size), max(text_size(line, size)[0] for line in lines)
    width, height = wide + 2 * size, step * len(lines) + size
    left, top = _inside(canvas, (height, width), (canvas.shape[1] - width) / 2, (canvas.shape[0] - height) / 2)
    _blend(canvas, _rounded(width, height, size // 2), left, top, PLATE)
    for number, line in enumerate(lines):
        write(canvas, line, left + size + (wide - text_size(line, size)[0]) / 2, top + size // 2 + step * number, size)


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines of at most `width` pixels; a single word may be longer."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_size(longer, size)[0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def fitted(text: str, size: int, width: int, most: int) -> tuple[int, list[str]]:
    """The largest size up to `size` at which the text has at most `most` lines of `width` pixels, and these lines."""
    lines = wrapped(text, size, width)
    while len(lines) > most and size > 8:
        size -= 1
        lines = wrapped(text, size, width)
    return size, lines


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=256)
def _letters(text: str, size: int) -> np.ndarray:
    """Opacity (H, W) uint8 of the text; the height depends on the size alone."""
    font = _font(size)
    ascent, descent = font.getmetrics()
    image = Image.new("L", (max(int(np.ceil(font.getlength(text))) + 1, 1), ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.array(image)


@lru_cache(maxsize=64)
def _rounded(width: int, height: int, radius: int) -> np.ndarray:
    image = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(image).rounded_rectangle(
        (0, 0, 4 * width - 1, 4 * height - 1), 4 * radius, round(255 * PLATE_OPACITY)
    )
    return np.array(image.resize((width, height), Image.Resampling.BOX))


def _inside(canvas: np.ndarray, shape: tuple[int, int], x: float, y: float) -> tuple[int, int]:
    left = int(min(max(x, 0), max(canvas.shape[1] - shape[1], 0)))
    return left, int(min(max(y, 0), max(canvas.shape[0] - shape[0], 0)))


def _blend(canvas: np.ndarray, opacity: np.ndarray, left: int, top: int, color) -> None:
    """part + opacity (color - part), all in 8 bits."""
    part = canvas[top : top + opacity.shape[0], left : left + opacity.shape[1]]
    if not part.size:
        return
    weights = cv2.merge([opacity[: part.shape[0], : part.shape[1]]] * 3)
    cv2.add(
        cv2.multiply(part, cv2.bitwise_not(weights), scale=1 / 255),
        cv2.multiply(np.full_like(part, color), weights, scale=1 / 255),
        dst=part,
    )
