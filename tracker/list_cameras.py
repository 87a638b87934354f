"""`semihand cameras`: which cameras there are, what they deliver, and a picture of each."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import cv2

from ..errors import SemihandError
from ..models.calibration import find_camera_record
from ..paths import make_folder, shown
from ..picture_file import quiet_opencv, to_bgr8, write_picture
from ..text import table
from .find_camera import camera_names, find_cameras, open_number

logger = logging.getLogger(__name__)

#: Sizes that cameras are asked for.
SIZES = (
    (320, 240), (640, 360), (640, 480), (800, 600), (1024, 768), (1280, 720), (1280, 960), (1920, 1080), (2560, 1440),
    (3840, 2160),
)  # fmt: skip
#: Pictures that a camera takes before the one that is kept: its exposure settles.
_SETTLING = 10


class Mode(NamedTuple):
    """What a camera delivers: pixels, and pictures a second (0 where it does not say)."""

    width: int
    height: int
    fps: float


def cameras_text(folder: Path | None = None) -> str:
    """A table of all cameras for people. folder: where a picture of each goes."""
    names, rows, open_names = camera_names(), [], set()
    for number in find_cameras():
        name = names.get(number, f"camera {number}")
        open_names.add(name)
        rows.append([str(number), name, *_row(number, name, folder)])
    busy = {number: name for number, name in names.items() if name not in open_names}
    told = [f"{number} ({name}) does not open: another program may use it." for number, name in busy.items()]
    if not rows and not told:
        return "No camera was found: plug one in, or allow access to it."
    head = ("number", "name", "sizes, pictures a second", "calibrated", *(["picture"] if folder else []))
    return "\n".join([*([table(head, rows, left=len(head))] if rows else []), *told])


def modes(capture: cv2.VideoCapture) -> list[Mode]:
    """What an opened camera says that it delivers when it is asked for each of SIZES; smallest first."""
    found = set()
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    for width, height in SIZES:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        got = (capture.get(prop) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS))
        width, height, fps = got
        if width >= 1 and height >= 1:
            found.add(Mode(int(width), int(height), fps if 0 < fps <= 1000 else 0.0))
    return sorted(found)


def _row(number: int, name: str, folder: Path | None) -> list[str]:
    """Sizes, calibrated sizes and the picture's file of one camera."""
    capture = open_number(number)
    if capture is None:
        return ["does not open any more", *[""] * (1 + bool(folder))]
    try:
        with quiet_opencv():
            sizes = ", ".join(f"{w}x{h}" + (f"@{fps:g}" if fps else "") for w, h, fps in modes(capture))
            picture = [_picture(capture, number, folder)] if folder else []
    finally:
        capture.release()
    return [sizes or "does not say", _calibrated(name), *picture]


def _calibrated(name: str) -> str:
    try:
        record = find_camera_record(name)
    except SemihandError as error:
        logger.warning("%s", error)
        return "damaged"
    return ", ".join(f"{width}x{height}" for width, height in record.lenses) if record else "no"


def _picture(capture: cv2.VideoCapture, number: int, folder: Path) -> str:
    """The file into which a picture went, 1280x720 where the camera has that."""
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, 1280)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, 720)
    images = [image for ok, image in (capture.read() for _ in range(_SETTLING)) if ok and image is not None]
    if not images:
        return "delivers no picture"
    file = folder / f"camera-{number}.png"
    make_folder(folder, "Name another one.")
    write_picture(file, to_bgr8(images[-1]))
    return shown(file)
