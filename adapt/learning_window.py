"""The window between recording and result: says what is going on, how far it is, and that it may be closed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import numpy as np

from ..progress import listening
from ..tracker.text import text_size, wrapped, write
from ..tracker.viewer import display_available
from ..tracker.window import Screen

log = logging.getLogger(__name__)

_TITLE = "semihand learns"
_WIDTH, _HEIGHT, _EDGE = 640, 260, 32
_GROUND, _DARK, _GREEN, _GREY = (34, 30, 28), (62, 56, 52), (112, 214, 88), (190, 184, 178)
#: How the stages of an adaptation (`progress.Progress`) are said in the window.
_STAGES = {
    "reading hands": "Reading your recording",
    "finding hands": "Looking for hands",
    "looking again": "Looking at every hand again",
    "preparing": "Getting ready to learn",
    "adapting": "Learning your hands",
    "judging": "Is it better? Judging the result",
}
_HINT = "You may close this window: the work goes on in the terminal. Ctrl-C there stops it."
_EVERY = 0.2
#: Seconds of a stage after which it is said how long the rest takes.
_KNOWN = 2.0


class LearningWindow:
    """Call it with every step of progress; it draws a few times a second."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Raises SemihandError when this OpenCV has no windows."""
        self._clock, self._open = clock, True
        self._stage, self._began, self._drawn = "", clock(), -np.inf
        self._screen = Screen(_TITLE, {"q, Esc": "close this window; the work goes on"})
        self("", None)

    def __call__(self, what: str, share: float | None) -> None:
        """what: the stage; share in [0, 1] of it that is done, None where nobody knows."""
        now = self._clock()
        if what != self._stage:
            self._stage, self._began = what, now
        elif now - self._drawn < _EVERY:
            return
        if not self._open:
            return
        self._drawn = now
        known = share and now - self._began > _KNOWN
        left = (now - self._began) * (1 - share) / share if known else None
        self._screen.show(learning_picture(_STAGES.get(what, "Getting ready"), share, left))
        if self._screen.command(1) == "quit":
            self.close()
            log.info("The window is closed. The work goes on here; Ctrl-C stops it.")

    def close(self) -> None:
        """Take the window down; calling it twice does no harm."""
        if self._open:
            self._screen.close()
        self._open = False


@contextmanager
def learning_window(viewer: str) -> Iterator[None]:
    """A window that shows all progress within, unless viewer is "none" or there is no display."""
    if viewer == "none" or not display_available():
        yield
        return
    window = LearningWindow()
    try:
        with listening(window):
            yield
    finally:
        window.close()


def learning_picture(words: str, share: float | None, seconds_left: float | None) -> np.ndarray:
    """The window's picture (H, W, 3) BGR: the stage, its bar, the time left."""
    picture = np.full((_HEIGHT, _WIDTH, 3), _GROUND, np.uint8)
    write(picture, words, _EDGE, 40, 30)
    right = _WIDTH - _EDGE
    picture[104:116, _EDGE:right] = _DARK
    if share is not None:
        picture[104:116, _EDGE : _EDGE + round((right - _EDGE) * share)] = _GREEN
        write(picture, f"{100 * share:.0f} %", _EDGE, 126, 18)
    if seconds_left is not None:
        text = f"about {seconds_left / 60:.0f} min left" if seconds_left >= 90 else f"about {seconds_left:.0f} s left"
        write(picture, text, right - text_size(text, 18)[0], 126, 18, _GREY)
    for number, line in enumerate(wrapped(_HINT, 16, right - _EDGE)):
        write(picture, line, _EDGE, 190 + 22 * number, 16, _GREY)
    return picture
