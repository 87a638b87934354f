"""The board by which a camera is calibrated: a chessboard with markers (ChArUco), printed or on a screen."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

#: Squares across and down, the marker's share of a square, and pixels of a square in the picture that is printed.
COLUMNS, ROWS, MARKER, SQUARE_PX = 8, 5, 0.72, 200
#: So many of the inner corners must be seen.
MIN_CORNERS = 8


class Corners(NamedTuple):
    """Corners of the board in a picture: ids (N,), uv (N, 2) pixels, and where they are on the board (N, 2) in squares."""

    ids: np.ndarray
    uv: np.ndarray
    on_board: np.ndarray


def board_picture() -> np.ndarray:
    """(1200, 1800) uint8 grey, half a square of white all round. Its size on paper or screen does not matter."""
    size = (SQUARE_PX * (COLUMNS + 1), SQUARE_PX * (ROWS + 1))
    return _board().generateImage(size, marginSize=SQUARE_PX // 2)


def find_corners(image: np.ndarray) -> Corners | None:
    """The board's corners in a picture (H, W, 3) BGR, None where too few of them are seen."""
    uv, ids, _, _ = _detector().detectBoard(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
    if ids is None or len(ids) < MIN_CORNERS:
        return None
    ids = np.ravel(ids)
    on_board = _board().getChessboardCorners()[ids, :2]
    return Corners(ids, np.reshape(uv, (-1, 2)).astype(np.float32), on_board.astype(np.float32))


@lru_cache(maxsize=1)
def _board() -> cv2.aruco.CharucoBoard:
    markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    return cv2.aruco.CharucoBoard((COLUMNS, ROWS), 1.0, MARKER, markers)


@lru_cache(maxsize=1)
def _detector() -> cv2.aruco.CharucoDetector:
    return cv2.aruco.CharucoDetector(_board())
