"""`semihand calibrate`: a camera's lens from the board, moved before it, filmed or photographed."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.calibration import save_lens
from ..paths import shown
from ..progress import Progress
from ..signals import stop_on_signal
from ..tracker.camera import Source
from ..tracker.display import display_trouble
from ..tracker.options import TrackOptions
from ..tracker.run import open_source
from ..tracker.text import plate, plate_size, text_height
from ..tracker.window import Screen
from .board import Corners
from .lens import ENOUGH_VIEWS, MOST_VIEWS, WELL_KNOWN, Solution, Views, solve

logger = logging.getLogger(__name__)

_KEYS = {"h": "these keys", "q, Esc": "enough: measure with what is kept"}
_FOUND = (80, 220, 255)


@dataclass(frozen=True)
class CameraOptions:
    """source: what shows the board, as `track` takes it. name: under which the lens is kept; None is the camera's own."""

    source: TrackOptions = TrackOptions()
    name: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where a file shows the board and nobody says which camera took it, and on other viewers."""
        if self.source.viewer == "rerun":
            raise ValueError("--viewer rerun shows no board. Known here: auto, window, none.")
        if not self.name and (self.source.video is not None or self.source.images is not None):
            raise ValueError("--name is missing: how is the camera called that took these pictures?")


def calibrate_camera(options: CameraOptions) -> str:
    """Measure the lens and keep it; returns what was found, for people. Raises SemihandError where it cannot be told."""
    with open_source(options.source) as source:
        views = watch(source, options.source.viewer)
        name = options.name or source.camera
    solution = views.solve()
    width, height = views.size
    told = {
        "error_px": round(solution.error_px, 3), "focal_error_px": round(solution.focal_error, 2),
        "pictures": solution.views, "date": date.today().isoformat(),
    }  # fmt: skip
    file = save_lens(name, width, height, solution.lens, told)
    return f"{describe(name, (width, height), solution)}\nKept in {shown(file)}. {_used(options)}"


def watch(source: Source, viewer: str = "auto") -> Views:
    """Look for the board in every picture, in a window where there is one. A camera ends once the lens is known."""
    views = Views(every=source.independent)
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_on_signal())
        screen = _window(viewer) if source.live else None
        if screen is not None:
            stack.callback(screen.close)
        source.stop_when = stopped
        progress = stack.enter_context(Progress(desc="board", total=source.count, unit="pictures", disable=source.live))
        for frame in source.frames():
            kept = len(views.kept)
            corners = views.look(frame.image)
            progress.update()
            if source.live and len(views.kept) > kept:
                logger.info("%d of about %d pictures; %s", len(views.kept), ENOUGH_VIEWS, views.hint)
            quit_asked = screen is not None and _show(screen, frame.image, corners, views)
            if stopped() or quit_asked or (source.live and len(views.kept) > kept and _enough(views)):
                break
    return views


def describe(name: str, size: tuple[int, int], solution: Solution) -> str:
    """One line on a measured lens."""
    focal = solution.lens.K[0, 0]
    view = 2 * np.degrees(np.arctan(size[0] / 2 / focal))
    return (
        f"{name} at {size[0]}x{size[1]}: focal length {focal:.1f} ± {solution.focal_error:.1f} pixels, "
        f"{view:.0f} degrees wide; corners within {solution.error_px:.2f} pixels over {solution.views} pictures."
    )


def drawn(image: np.ndarray, corners: Corners | None, views: Views) -> np.ndarray:
    """The picture with the corners in it, what was kept so far, and what to do next."""
    picture = image.copy()
    for kept in views.kept:
        for u, v in kept.uv:
            cv2.circle(picture, (round(float(u)), round(float(v))), 2, (120, 200, 120), -1, cv2.LINE_AA)
    for u, v in () if corners is None else corners.uv:
        cv2.circle(picture, (round(float(u)), round(float(v))), 5, _FOUND, 2, cv2.LINE_AA)
    words, size = f"{len(views.kept)} of {ENOUGH_VIEWS}: {views.hint}", text_height(picture)
    width, _ = plate_size(words, size)
    plate(picture, words, (picture.shape[1] - width) / 2, picture.shape[0] - 2.2 * size, size)
    return picture


def _window(viewer: str) -> Screen | None:
    trouble = None if viewer == "none" else display_trouble()
    if viewer == "window" and trouble:
        raise SemihandError(f"{trouble} Use --viewer none.")
    return None if viewer == "none" or trouble else Screen("semihand: calibrate", _KEYS)


def _show(screen: Screen, image: np.ndarray, corners: Corners | None, views: Views) -> bool:
    """Whether the user has had enough."""
    screen.show(drawn(image, corners, views))
    return screen.command(1) == "quit"


def _enough(views: Views) -> bool:
    """Whether a camera's lens is known well, or as well as more pictures would make it."""
    if len(views.kept) < ENOUGH_VIEWS // 2:
        return False
    solution = solve(views.kept, views.size)
    if solution is None or not solution.sure:
        return len(views.kept) >= MOST_VIEWS
    return len(views.kept) >= ENOUGH_VIEWS or solution.focal_error < WELL_KNOWN * solution.lens.K[0, 0]


def _used(options: CameraOptions) -> str:
    if options.name is None:
        return "It is used whenever this camera delivers pictures of this size."
    return f"Use it for videos and pictures of this camera: track --calibration {options.name}"
