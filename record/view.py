"""What a user sees of a guided recording: a window with prompt, progress and coverage, or lines of text."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.joints import BONES, FINGERS
from ..tracker.draw import FINGER_COLORS
from ..tracker.viewer import display_available
from .coverage import AXES, Coverage
from .guide import Guide

logger = logging.getLogger(__name__)

VIEWERS = ("auto", "window", "none")
_TITLE = "semihand recording"
_KEYS = {ord("n"): "next", ord(" "): "next", ord("r"): "redo", ord("q"): "stop", 27: "stop"}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _GREEN, _DARK = (255, 255, 255), (90, 200, 90), (40, 40, 40)


@dataclass(frozen=True)
class ViewState:
    """What to show of one picture. image (H, W, 3) BGR, unmirrored; uv_image (21, 2) or None; reason: why the frame
    was left out, empty where it was kept; kept: frames so far; guide None for files."""

    image: np.ndarray
    uv_image: np.ndarray | None
    reason: str
    kept: int
    time: float
    coverage: Coverage
    guide: Guide | None = None


class TextView:
    """Prompts as log lines, for machines without a display. Has no keys."""

    def __init__(self) -> None:
        self._take = -1

    def show(self, state: ViewState) -> str | None:
        """Tell a new prompt once; returns no command."""
        guide = state.guide
        if guide is not None and guide.take != self._take:
            self._take = guide.take
            logger.info("[%d frames, %s] %s", state.kept, state.coverage.sentence(), guide.text())
        return None

    def close(self) -> None:
        """Nothing to take down."""


class WindowView:
    """An OpenCV window, mirrored as users expect of themselves. Keys: n or space next, r redo, q or Esc stop."""

    def __init__(self) -> None:
        """Raises SemihandError when this OpenCV has no windows."""
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise SemihandError("This OpenCV was built without windows. Use --viewer none.") from error
        self._sized = False

    def show(self, state: ViewState) -> str | None:
        """Draw one picture. Returns "next", "redo", "stop" or None."""
        picture = record_picture(state)
        if not self._sized:
            scale = min(1.0, 1280 / picture.shape[1], 800 / picture.shape[0])
            cv2.resizeWindow(_TITLE, *(int(side * scale) for side in picture.shape[1::-1]))
            self._sized = True
        cv2.imshow(_TITLE, picture)
        key = cv2.waitKey(1)
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "stop"
        return _KEYS.get(key & 0xFF) if key >= 0 else None

    def close(self) -> None:
        """Take the window down."""
        cv2.destroyAllWindows()


def open_view(kind: str) -> TextView | WindowView:
    """kind: one of VIEWERS; auto is a window where there is a display. Raises SemihandError where it does not open."""
    if kind not in VIEWERS:
        raise ValueError(f"--viewer {kind} is unknown. Known: {', '.join(VIEWERS)}.")
    if kind == "window" and not display_available():
        raise SemihandError("No window can be opened here. Use --viewer none.")
    return WindowView() if kind != "none" and display_available() else TextView()


def record_picture(state: ViewState) -> np.ndarray:
    """The mirrored picture with skeleton, prompt, progress and coverage meter, (H, W, 3) BGR of at least 640 wide."""
    picture = cv2.flip(state.image, 1)
    scale = max(640 / picture.shape[1], 1.0)
    picture = cv2.resize(picture, None, fx=scale, fy=scale) if scale > 1 else picture
    if state.uv_image is not None:
        _draw_skeleton(
            picture, ((state.image.shape[1] - 1 - state.uv_image[:, 0]), state.uv_image[:, 1]), scale
        )
    _draw_band(picture, state)
    _draw_meter(picture, state.coverage)
    return picture


def _draw_skeleton(picture: np.ndarray, uv, scale: float) -> None:
    points = np.rint(np.stack(uv, axis=-1) * scale).astype(int).tolist()
    for parent, child in BONES:
        color = FINGER_COLORS[(child - 1) * len(FINGERS) // len(BONES)]
        cv2.line(picture, points[parent], points[child], color, 2, cv2.LINE_AA)


def _draw_band(picture: np.ndarray, state: ViewState) -> None:
    """Prompt and progress at the top, keys and the frame's fate at the bottom."""
    width, guide = picture.shape[1], state.guide
    lines = _wrapped(guide.text() if guide else "Recording", width - 20)
    bottom = 14 + 24 * len(lines)
    picture[: bottom + 12] //= 3
    for number, line in enumerate(lines):
        _write(picture, line, 10, 24 + 24 * number, 0.6)
    if guide:
        cv2.rectangle(picture, (10, bottom), (width - 10, bottom + 6), _DARK, -1)
        end = 10 + round((width - 20) * guide.progress)
        cv2.rectangle(picture, (10, bottom), (end, bottom + 6), _GREEN, -1)
        left = f"{guide.seconds_left(state.time):.0f} s"
        _write(picture, left, width - 60, bottom + 28, 0.5)
    fate = f"{state.kept} kept" + (f"   ({state.reason})" if state.reason else "")
    _write(picture, fate, 10, picture.shape[0] - 30, 0.5)
    _write(picture, "n next   r redo   q stop", 10, picture.shape[0] - 10, 0.5)


def _draw_meter(picture: np.ndarray, coverage: Coverage) -> None:
    """A bar for each group of the coverage, at the right."""
    left, top = picture.shape[1] - 150, picture.shape[0] - 22 * len(AXES) - 8
    for row, group in enumerate(AXES):
        y = top + 22 * row
        _write(picture, group, left, y + 11, 0.42)
        cv2.rectangle(picture, (left + 80, y), (left + 140, y + 12), _DARK, -1)
        cv2.rectangle(
            picture, (left + 80, y), (left + 80 + round(60 * coverage.share(group)), y + 12), _GREEN, -1
        )


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and cv2.getTextSize(longer, _FONT, 0.6, 1)[0][0] > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _write(picture: np.ndarray, text: str, x: int, y: int, size: float) -> None:
    # A dark rim by shifting: a thicker stroke has wider letters.
    for shade, shift in (((0, 0, 0), 1), ((0, 0, 0), -1), (_WHITE, 0)):
        cv2.putText(picture, text, (x + shift, y + shift), _FONT, size, shade, 1, cv2.LINE_AA)
