"""What a user sees of a guided recording: a window with prompt, progress and coverage, or lines of text."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..tracker.draw import draw_skeleton
from ..tracker.text import WHITE, fitted, text_size, write
from ..tracker.viewer import display_available
from ..tracker.window import Screen
from .coverage import AXES, Coverage
from .guide import Guide
from .hints import Hints

logger = logging.getLogger(__name__)

VIEWERS = ("auto", "window", "none")
_TITLE = "semihand recording"
_KEYS = {
    "space": "pause, and go on",
    "n": "next prompt",
    "r": "this prompt again",
    "h": "these keys",
    "q, Esc": "finish",
}
_COMMANDS = {"pause": "pause", "next": "next", "again": "redo", "quit": "stop"}
_PROMPTS = Path(__file__).parent / "prompts"
_GREEN, _DARK, _GREY, _GROUND = (112, 214, 88), (62, 56, 52), (190, 184, 178), (34, 30, 28)
#: Seconds that each of a prompt's two poses is shown. Heights of the bars in units: 640 of them are the width, or more
#: than that in pictures so tall that the window shrinks them.
_POSE_SECONDS = 0.9
_HEAD, _PLAIN_HEAD, _FOOT, _UNIT, _TALL = 112, 40, 60, 640, 780


@dataclass(frozen=True)
class ViewState:
    """What to show of one picture. image (H, W, 3) BGR, unmirrored; uv_image (21, 2) or None; reason: why the frame
    was left out, empty where it was kept; kept: frames so far; guide None for files; side: of the hand, None while
    that is open; paused: nothing is recorded now."""

    image: np.ndarray
    uv_image: np.ndarray | None
    reason: str
    kept: int
    time: float
    coverage: Coverage
    guide: Guide | None = None
    side: str | None = None
    paused: bool = False


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
    """An OpenCV window; a camera is mirrored, as users expect of themselves."""

    def __init__(self) -> None:
        """Raises SemihandError when this OpenCV has no windows."""
        self._screen, self._hints = Screen(_TITLE, _KEYS), Hints()

    def show(self, state: ViewState) -> str | None:
        """Draw one picture. Returns "next", "redo", "pause", "stop" or None."""
        if not state.paused:
            self._hints.note(state.reason)
        words = self._hints.words(state.guide, state.coverage) if state.guide else ""
        self._screen.show(record_picture(state, words))
        return _COMMANDS.get(self._screen.command(30 if state.paused else 1))

    def close(self) -> None:
        """Take the window down."""
        self._screen.close()


def open_view(kind: str) -> TextView | WindowView:
    """kind: one of VIEWERS; auto is a window where there is a display. Raises SemihandError where it does not open."""
    if kind not in VIEWERS:
        raise ValueError(f"--viewer {kind} is unknown. Known: {', '.join(VIEWERS)}.")
    if kind == "window" and not display_available():
        raise SemihandError("No window can be opened here. Use --viewer none.")
    return WindowView() if kind != "none" and display_available() else TextView()


def record_picture(state: ViewState, words: str = "") -> np.ndarray:
    """The picture with the skeleton, at least 640 wide, between two bars that cover nothing of it; a camera's is mirrored.

    Above: the prompt with its pose, what its bar waits for (`words`), progress. Below: frames, keys, coverage.
    """
    mirrored = state.guide is not None
    picture = cv2.flip(state.image, 1) if mirrored else state.image
    scale = max(_UNIT / picture.shape[1], 1.0)
    picture = cv2.resize(picture, None, fx=scale, fy=scale) if scale > 1 else picture.copy()
    if state.uv_image is not None:
        uv = state.uv_image * (-1, 1) + (state.image.shape[1] - 1, 0) if mirrored else state.uv_image
        draw_skeleton(picture, (uv + 0.5) * scale - 0.5)
    if state.paused:
        picture //= 2
    height, width = picture.shape[:2]
    unit = max(width / _UNIT, height / _TALL)
    return np.vstack([_head(state, words, unit, width), picture, _foot(state, unit, width)])


def _head(state: ViewState, words: str, unit: float, width: int) -> np.ndarray:
    guide, size, edge = state.guide, round(16 * unit), round(10 * unit)
    bar = _ground(_HEAD if guide else _PLAIN_HEAD, unit, width)
    if guide is None or guide.done:
        film = "paused: space goes on" if state.paused else "Recording one hand from this film"
        write(bar, film if guide is None else "Done", edge, edge, size)
        return bar
    side = bar.shape[0] - edge
    _paste(bar, _pose(guide.prompt.name, int(state.time / _POSE_SECONDS) % 2, state.side), edge, edge // 2, side)
    left, right = side + 2 * edge, bar.shape[1] - edge
    write(bar, f"{guide.index + 1} of {len(guide.prompts)}", left, edge // 2, round(13 * unit), _GREY)
    small, lines = fitted(guide.prompt.text, size, right - left, 2)
    for number, line in enumerate(lines):
        write(bar, line, left, edge // 2 + round((17 + 20 * number) * unit), small)
    _bar(bar, left, round(75 * unit), right, round(81 * unit), guide.progress)
    words = "paused: space goes on" if state.paused else words
    write(bar, words, left, round(86 * unit), size, _GREEN if words.startswith("good") else WHITE)
    seconds = f"{guide.seconds_left(state.time):.0f} s"
    write(bar, seconds, right - text_size(seconds, size)[0], round(86 * unit), size, _GREY)
    return bar


def _foot(state: ViewState, unit: float, width: int) -> np.ndarray:
    bar = _ground(_FOOT, unit, width)
    size, edge = round(13 * unit), round(10 * unit)
    write(bar, f"{state.kept} frames kept", edge, edge, size)
    keys = "space pause   n next   r again   q finish" if state.guide else "space pause   q finish"
    write(bar, keys, edge, round(32 * unit), size, _GREY)
    for row, (group, words) in enumerate(zip(AXES, ("poses", "turns", "distances"), strict=True)):
        top = round((6 + 17 * row) * unit)
        write(bar, words, bar.shape[1] - round(150 * unit), top, size, _GREY)
        ends = (bar.shape[1] - round(80 * unit), top + round(5 * unit), bar.shape[1] - edge, top + round(12 * unit))
        _bar(bar, *ends, state.coverage.share(group))
    return bar


def _ground(height: int, unit: float, width: int) -> np.ndarray:
    return np.full((round(height * unit), width, 3), _GROUND, np.uint8)


def _bar(canvas: np.ndarray, left: int, top: int, right: int, bottom: int, share: float) -> None:
    canvas[top:bottom, left:right] = _DARK
    canvas[top:bottom, left : left + round((right - left) * share)] = _GREEN


@lru_cache(maxsize=32)
def _pose(prompt: str, number: int, side: str | None) -> np.ndarray | None:
    """The prompt's first or second pose (S, S, 4) BGRA as in a mirror; None for a prompt without a picture."""
    path = _PROMPTS / f"{prompt.replace(' ', '-')}.webp"
    if not path.is_file():
        return None
    both = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    tile = np.hsplit(both, 2)[number]
    return tile[:, ::-1] if side == "left" else tile


def _paste(canvas: np.ndarray, tile: np.ndarray | None, left: int, top: int, side: int) -> None:
    if tile is None:
        return
    tile = cv2.resize(np.ascontiguousarray(tile), (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    part, opacity = canvas[top : top + side, left : left + side], tile[..., 3:] / 255
    part[:] = np.rint(part * (1 - opacity) + tile[..., :3] * opacity).astype(np.uint8)
