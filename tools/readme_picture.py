"""Make the README's moving picture: a film's hand by two models, one beside the other, with a line of credit.

python tools/readme_picture.py hand.mp4 docs/hand.webp --after my-hand --credit "Film: NAME (LICENCE)"
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from semihand.errors import SemihandError
from semihand.tracker.draw import Look, draw
from semihand.tracker.files import VideoFile
from semihand.tracker.open import HandTracker
from semihand.tracker.scene import side_by_side
from semihand.tracker.text import plate, plate_size

LIMIT_BYTES = 3_000_000
_QUALITIES = (85, 75, 65, 50, 35)
_TEXT = 13


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("out", type=Path, help="an animated .webp or .gif")
    parser.add_argument("--before", default="lite", help="model on the left")
    parser.add_argument("--after", required=True, help="model on the right")
    parser.add_argument("--credit", required=True, help="who filmed it, and the licence")
    parser.add_argument("--start", type=float, default=0.0, help="seconds into the film")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--fps", type=float, default=12.0)
    parser.add_argument("--height", type=int, default=420, help="pixels of each picture")
    options = parser.parse_args()
    pictures = film_pictures(options)
    size = write_animation(options.out, pictures, options.fps)
    print(f"{options.out}: {len(pictures)} pictures, {size / 1e6:.2f} MB")


def film_pictures(options: argparse.Namespace) -> list[np.ndarray]:
    """The pictures (H, W, 3) BGR of the stretch. Every frame is tracked; those that fit the rate are kept."""
    trackers = [HandTracker(name, device="cpu", hands=1) for name in (options.before, options.after)]
    pictures: list[np.ndarray] = []
    with VideoFile(options.film) as film:
        for frame in film.frames():
            hands = [tracker.step(frame) for tracker in trackers]
            if frame.time >= options.start + options.seconds:
                break
            if frame.time >= options.start + len(pictures) / options.fps:
                pictures.append(_picture(frame.image, hands, options))
    if not pictures:
        raise SemihandError(f"{options.film} ends before {options.start} seconds.")
    return pictures


def _picture(image: np.ndarray, hands: list, options: argparse.Namespace) -> np.ndarray:
    size = round(image.shape[1] * options.height / image.shape[0]), options.height
    drawn = [draw(image, poses, look=Look.of("mask,dots")) for poses in hands]
    drawn = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in drawn]
    whole = side_by_side(drawn, ("before", "after"), [bool(poses) for poses in hands])
    width, height = plate_size(options.credit, _TEXT)
    plate(whole, options.credit, whole.shape[1] - width - 6, whole.shape[0] - height - 6, _TEXT)
    return whole


def write_animation(path: Path, pictures: list[np.ndarray], fps: float, limit: int = LIMIT_BYTES) -> int:
    """Write BGR pictures as an endless animation of at most `limit` bytes; returns the bytes.

    Raises SemihandError where not even the lowest quality is small enough.
    """
    frames = [Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)) for picture in pictures]
    for quality in _QUALITIES:
        frames[0].save(
            path, save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0, quality=quality, method=6
        )
        if path.stat().st_size <= limit:
            return path.stat().st_size
    size = path.stat().st_size
    path.unlink()
    raise SemihandError(
        f"{path} would have {size / 1e6:.1f} MB, more than {limit / 1e6:.0f}. Take fewer seconds, or less height."
    )


if __name__ == "__main__":
    main()
