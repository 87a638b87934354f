"""What all our windows share: an OpenCV window that keeps its pictures' shape, one meaning for every key, and the pace."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from time import monotonic

import cv2
import numpy as np

from ..errors import SemihandError
from .text import panel

_ESCAPE, _BACKSPACE = 27, 8
#: What a key means, in every window.
COMMANDS = {
    ord("q"): "quit", _ESCAPE: "quit", ord(" "): "pause", ord("n"): "next", ord("r"): "again", ord("u"): "undo",
    _BACKSPACE: "undo", ord("s"): "snapshot", ord("m"): "mirror", ord("c"): "compare", ord("h"): "help",
    ord("f"): "skip", ord("y"): "yes", ord("1"): "mask", ord("2"): "dots", ord("3"): "labels", ord("4"): "ids",
}  # fmt: skip
#: Window systems where OpenCV keeps the pictures' shape by itself.
_KEEP_RATIO = ("QT", "GTK")
#: Largest size in pixels in which a window opens.
_WIDEST, _HIGHEST = 1280, 800


class Screen:
    """One OpenCV window. `keys` are the lines of its help: key and meaning."""

    def __init__(self, title: str, keys: Mapping[str, str]) -> None:
        """Raises SemihandError when this OpenCV has no windows."""
        self.title, self.help = title, False
        self._keys = tuple(keys.items())
        self._shape: tuple[int, ...] | None = None
        # OpenCV's Qt complains once a picture about fonts that it does not need.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise SemihandError("This OpenCV was built without windows. Use --viewer none.") from error

    def show(self, picture: np.ndarray) -> None:
        """Put a picture (H, W, 3) BGR into the window, whole and unstretched, under the help where it is wanted.

        The window takes the size of a picture of another shape; from then on it is the user's.
        """
        if picture.shape != self._shape:
            height, width = picture.shape[:2]
            scale = min(1.0, _WIDEST / width, _HIGHEST / height)
            cv2.resizeWindow(self.title, max(int(width * scale), 160), max(int(height * scale), 120))
            self._shape = picture.shape
        if self.help:
            picture = picture.copy()
            panel(picture, self._keys)
        if not cv2.currentUIFramework().startswith(_KEEP_RATIO):
            picture = _padded(picture, cv2.getWindowImageRect(self.title)[2:])
        cv2.imshow(self.title, picture)

    def command(self, ms: int) -> str | None:
        """What is pressed within so many milliseconds, one of COMMANDS' values; "quit" once the window is closed."""
        key = cv2.waitKey(max(ms, 1))
        if cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1:
            return "quit"
        command = COMMANDS.get(key & 0xFF) if key >= 0 else None
        if command == "help":
            self.help = not self.help
        return command

    def close(self) -> None:
        """Take the window down."""
        cv2.destroyAllWindows()


def _padded(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The picture with dark bars, in the shape of a window of `size` (width, height) that a user may have resized."""
    height, width = picture.shape[:2]
    if min(size) < 1 or abs(size[0] * height - size[1] * width) < 0.01 * size[1] * width:
        return picture
    across = max(round(height * size[0] / size[1]) - width, 0)
    down = max(round(width * size[1] / size[0]) - height, 0)
    return cv2.copyMakeBorder(
        picture, down // 2, down - down // 2, across // 2, across - across // 2, cv2.BORDER_CONSTANT, value=(24,) * 3
    )


class Pace:
    """When a picture of a film is due, so that it runs at its own speed. What comes late moves the rest back: no hurry."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._start: float | None = None

    def wait(self, time: float) -> float:
        """Seconds until the picture of `time` is due; 0 where it is or was."""
        now = self._clock()
        if self._start is None or now > self._start + time:
            self._start = now - time
        return self._start + time - now

    def restart(self) -> None:
        """The next picture is due at once: after a pause, or from the start."""
        self._start = None
