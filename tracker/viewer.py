"""Showing the hands while they are tracked: a window, the rerun viewer, or nothing."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import monotonic

import cv2
import numpy as np

from ..errors import SemihandError
from ..outputs.rerun_log import log_hands, log_pixels, need_rerun
from .display import display_trouble
from .draw import PARTS, Look
from .scene import Scene
from .text import plate, plate_size, text_height
from .types import Frame
from .window import Pace, Screen

logger = logging.getLogger(__name__)

VIEWERS = ("auto", "window", "rerun", "none")
_TITLE = "semihand"
#: What can be pressed in the window, as its help says it.
KEYS = {
    "space": "pause, and go on",
    "n": "one picture further",
    "r": "back to the start",
    "m": "mirror",
    "c": "one model, or both (--compare)",
    "1 2 3 4": "mask, dots, labels, ids",
    "s": "save this picture",
    "h": "these keys",
    "q, Esc": "quit",
}
_NOTICE_SECONDS = 3.0


@dataclass(frozen=True)
class WindowConfig:
    """How the window starts, and what its source can.

    mirror, look: of the picture, until keys change them. paced: a film runs at its own speed. one_by_one: every picture
    waits for a key. rewinds: the source can go back to the start.
    """

    mirror: bool = False
    look: Look = Look()
    paced: bool = False
    one_by_one: bool = False
    rewinds: bool = False


class Viewer(ABC):
    """rewind: the user wants to go back to the first picture; whoever does it sets it to False again.
    waited_ms: how long the last `show` waited, for a film's own speed or in a pause."""

    rewind: bool = False
    waited_ms: float = 0.0

    @abstractmethod
    def show(self, frame: Frame, scene: Scene) -> bool:
        """Show one frame. False when the user wants to stop."""

    def idle(self) -> bool:
        """Called while no picture comes. False when the user wants to stop."""
        return True

    def close(self) -> None:
        """Take the window down."""


class NoViewer(Viewer):
    """Runs without a display."""

    def show(self, frame, scene) -> bool:
        return True


class Window(Viewer):
    """A window; KEYS says what can be pressed."""

    def __init__(
        self,
        config: WindowConfig = WindowConfig(),
        folder: Path = Path("."),
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """folder: where snapshots go. stopped: says when waiting must end without a key. clock: seconds.

        Raises SemihandError when this OpenCV has no windows.
        """
        self._config, self._folder, self._stopped, self._clock = config, folder, stopped, clock
        self._screen, self._pace = Screen(_TITLE, KEYS), Pace(clock)
        self._mirror, self._look, self._compare = config.mirror, config.look, True
        self._paused = False
        self._scene: Scene | None = None
        self._say("h shows the keys")

    def show(self, frame, scene) -> bool:
        begun = self._clock()
        go_on = self._until_due(frame.time)
        drawing = self._clock()
        self._scene = scene
        self._draw()
        drawn = self._clock()
        go_on = go_on and self._stay()
        self.waited_ms = (drawing - begun + self._clock() - drawn) * 1e3
        return go_on

    def idle(self) -> bool:
        return self._scene is None or self._react(self._screen.command(1)) is not False

    def close(self) -> None:
        self._screen.close()

    @property
    def _held(self) -> bool:
        return self._paused or self._config.one_by_one

    def _until_due(self, time: float) -> bool:
        """Let the picture before stand until the one of `time` seconds is due. False when the user wants to stop."""
        while self._config.paced and not self._held and not self.rewind:
            left = self._pace.wait(time)
            if left < 1e-3:
                return True
            if self._react(self._screen.command(int(min(left, 0.03) * 1e3))) is False:
                return False
        return True

    def _stay(self) -> bool:
        """Listen to keys once, or as long as the picture is held. False when the user wants to stop."""
        while not self.rewind:
            go_on = self._react(self._screen.command(30 if self._held else 1))
            if go_on is not None or not self._held:
                return go_on is not False
        return True

    def _react(self, command: str | None) -> bool | None:
        """Do what is wanted. True: on to the next picture; False: stop; None: neither."""
        if command == "quit" or self._stopped():
            return False
        if command == "next" or (command == "pause" and self._config.one_by_one):
            held, self._paused = self._held, not self._config.one_by_one
            if held:
                return True
        elif command == "pause":
            self._paused = not self._paused
            self._pace.restart()
        elif command == "again":
            self._go_back()
        elif command == "snapshot":
            self._snapshot()
        elif command == "mirror":
            self._mirror = not self._mirror
        elif command == "compare":
            self._switch_compare()
        elif command in PARTS:
            self._look = replace(self._look, **{command: not getattr(self._look, command)})
        if command:
            self._draw()
        return None

    def _go_back(self) -> None:
        if self._config.rewinds:
            self.rewind = True
            self._pace.restart()
        else:
            self._say("r goes back only in a file, while nothing is written")

    def _switch_compare(self) -> None:
        if self._scene is not None and len(self._scene.hands) > 1:
            self._compare = not self._compare
        else:
            self._say("start with --compare MODEL to see two models")

    def _say(self, words: str) -> None:
        self._words, self._until = words, self._clock() + _NOTICE_SECONDS

    def _draw(self) -> None:
        if self._scene is None:
            return
        picture = self._picture()
        words = self._words if self._clock() < self._until else ""
        if self._paused and not words:
            words = "paused: space goes on, n one picture"
        elif self._config.one_by_one and not words:
            words = "n next picture, q quit"
        if words:
            picture, size = picture.copy(), text_height(picture)
            width, _ = plate_size(words, size)
            plate(picture, words, (picture.shape[1] - width) / 2, picture.shape[0] - 2.2 * size, size)
        self._screen.show(picture)

    def _picture(self) -> np.ndarray:
        return self._scene.picture(self._mirror, self._look, self._compare)

    def _snapshot(self) -> None:
        if self._scene is None:
            return
        path = self._folder / f"semihand-{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        try:
            path.write_bytes(cv2.imencode(".png", self._picture())[1])
        except OSError as error:
            logger.warning("The snapshot %s could not be written: %s.", path, error.strerror)
            self._say(f"the snapshot could not be written: {error.strerror}")
        else:
            logger.info("Snapshot: %s", path)
            self._say(f"saved {path.name}")


class RerunViewer(Viewer):
    """Sends the unmirrored picture and the hands in 2D and 3D to the rerun viewer, which it starts."""

    def __init__(self) -> None:
        """Raises SemihandError when rerun is not installed or its viewer does not start."""
        self._rerun = rerun = need_rerun()
        rerun.init(_TITLE)
        try:
            with _without_usage_reports():
                rerun.spawn(hide_welcome_screen=True)
        except RuntimeError as error:
            raise SemihandError(f"The rerun viewer did not start ({error}). Use --viewer window or none.") from error
        rerun.log("hands", rerun.ViewCoordinates.RIGHT_HAND_Y_DOWN, static=True)

    def show(self, frame, scene) -> bool:
        rr = self._rerun
        log_hands(rr, rr, frame, scene.hands[0])
        rr.log("picture", rr.Image(frame.image, color_model="BGR").compress(jpeg_quality=80))
        log_pixels(rr, rr, scene.hands[0])
        return True

    def close(self) -> None:
        self._rerun.disconnect()


@contextmanager
def _without_usage_reports() -> Iterator[None]:
    """The rerun viewer reports usage over the network, but not where this variable says that nobody sits before it."""
    before = os.environ.get("CI")
    os.environ["CI"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before


def open_viewer(
    kind: str, config: WindowConfig = WindowConfig(), stopped: Callable[[], bool] = lambda: False
) -> Viewer:
    """kind: one of VIEWERS; auto: a window where there is a display. config and stopped as in `Window`.

    Raises SemihandError where it does not open, ValueError on other kinds.
    """
    if kind not in VIEWERS:
        raise ValueError(f"Unknown viewer {kind!r}. Known: {', '.join(VIEWERS)}.")
    if kind == "rerun":
        return RerunViewer()
    if kind == "none":
        return NoViewer()
    trouble = display_trouble()
    if trouble and kind == "window":
        raise SemihandError(f"{trouble} Use --viewer none.")
    if trouble:
        logger.info("%s Running without a window.", trouble)
        return NoViewer()
    return Window(config, stopped=stopped)


def display_available() -> bool:
    """Whether a window can open."""
    return display_trouble() is None
