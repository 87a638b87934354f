"""The window of `--check`: shows one enlarged crop, waits for a click or a key."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from ...errors import SemihandError
from ...models.camera import GRID
from ...tracker.text import text_size, write
from ...tracker.viewer import display_available
from ...tracker.window import COMMANDS
from .session import Answer, CheckResult, Question, run_check

_TITLE = "semihand: click the joint"
#: Pixels of the enlarged crop and of the bars above and below it.
SIDE, BAR = 704, 56
_ANSWERS = {"next": "skip_joint", "skip": "skip_frame", "undo": "undo", "quit": "quit"}
_HELP = "n: can't see it    f: skip frame    u: undo    q: finish"
_GREY, _OWN = (170, 170, 170), (80, 220, 255)


class ClickWindow:
    """An OpenCV window that answers questions. Keys: n next joint, f skip frame, u undo, q or Esc finish.

    Raises SemihandError where no window can open.
    """

    def __init__(self) -> None:
        if not display_available():
            raise SemihandError("--check needs a window to click in, but there is no display. Leave --check out.")
        # OpenCV's Qt complains once a picture about fonts that it does not need.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)
            cv2.setMouseCallback(_TITLE, self._mouse)
        except cv2.error as error:
            raise SemihandError("This OpenCV was built without windows. Leave --check out.") from error
        self._clicked: tuple[int, int] | None = None

    def ask(self, question: Question) -> Answer:
        """Show the question until it is answered; closing the window finishes."""
        cv2.imshow(_TITLE, draw_question(question))
        self._clicked = None
        while True:
            key = cv2.waitKey(20)
            if self._clicked is not None and (uv := to_grid(*self._clicked)) is not None:
                return Answer("click", uv)
            self._clicked = None
            if key >= 0 and (answer := _ANSWERS.get(COMMANDS.get(key & 0xFF))):
                return Answer(answer)
            if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                return Answer("quit")

    def close(self) -> None:
        """Take the window down."""
        cv2.destroyAllWindows()

    def _mouse(self, event: int, x: int, y: int, _flags, _data) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            self._clicked = (x, y)


def check_by_clicking(folder: str | Path, count: int = 20) -> CheckResult:
    """`check.run_check` on a run's folder with the user at the window, which is closed at the end."""
    window = ClickWindow()
    try:
        return run_check(folder, window, count)
    finally:
        window.close()


def draw_question(question: Question) -> np.ndarray:
    """The window's picture (SIDE + 2 BAR, SIDE, 3) BGR: what to click, the bare crop with own clicks, the keys."""
    crop = cv2.resize(question.image[..., ::-1], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    canvas = np.full((SIDE + 2 * BAR, SIDE, 3), 28, np.uint8)
    canvas[BAR : BAR + SIDE] = crop
    write(canvas, f"Click the {question.name}", 14, 12, 24)
    count = f"{question.frame} / {question.frames}"
    write(canvas, count, SIDE - 14 - text_size(count, 18)[0], 16, 18, _GREY)
    write(canvas, _HELP, 14, SIDE + BAR + 16, 18, _GREY)
    for uv in question.clicked[np.isfinite(question.clicked).all(axis=1)]:
        at = tuple(round(float(value)) for value in to_window(uv))
        cv2.circle(canvas, at, 6, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.circle(canvas, at, 6, _OWN, 1, cv2.LINE_AA)
    return canvas


def to_grid(x: float, y: float) -> tuple[float, float] | None:
    """A pixel of the window on the crop's 64-grid, None on the bars."""
    if not (0 <= x < SIDE and BAR <= y < BAR + SIDE):
        return None
    return tuple((value + 0.5) * GRID / SIDE - 0.5 for value in (x, y - BAR))


def to_window(uv: np.ndarray) -> np.ndarray:
    """The way back: 64-grid (2,) to pixels (2,) of the window."""
    return (np.asarray(uv, float) + 0.5) * SIDE / GRID - 0.5 + (0, BAR)
