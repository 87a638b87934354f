"""What an adaptation changed, to look at: a picture strip and a video of held-out hands before and after."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.camera import GRID
from ..tracker.draw import draw_skeleton
from ..tracker.scene import side_by_side
from ..tracker.text import write
from ..tracker.video import VideoSink

STRIP, VIDEO = "before-after.jpg", "before-after.mp4"
_TILE, _COLUMNS, _VIDEO_SIDE, _FPS = 240, 6, 384, 10.0
_NAMES = ("before", "after")
#: What stands over the strip's rows, in bands of so many pixels.
_HEADS = ("before: held-out hands, the ones that changed most", "after")
_BAND, _TEXT, _GROUND = 30, 17, (40, 40, 40)


def write_before_after(folder: str | Path) -> tuple[Path, Path]:
    """Write strip and video beside the report of a finished run; returns their paths.

    Raises SemihandError where the run has no held-out hands, or nothing can be written.
    """
    folder = Path(folder)
    try:
        with np.load(folder / "heldout.npz") as stored:
            image, joints = stored["image"][..., ::-1], (stored["uv_before"], stored["uv_after"])
    except (OSError, KeyError, ValueError) as error:
        raise SemihandError(f"{folder} holds no held-out hands to show: {error}. Run the adaptation again.") from error
    _write_strip(folder / STRIP, image, joints)
    _write_video(folder / VIDEO, image, joints)
    return folder / STRIP, folder / VIDEO


def most_changed(before: np.ndarray, after: np.ndarray, count: int) -> np.ndarray:
    """Rows, in order, of `count` hands (N, 21, 2) that changed most, each from another stretch of the frames."""
    change = np.linalg.norm(after - before, axis=-1).mean(axis=-1)
    parts = np.array_split(np.arange(len(change)), min(count, len(change)))
    return np.array([part[np.argmax(change[part])] for part in parts])


def _write_strip(path: Path, image: np.ndarray, joints: tuple[np.ndarray, np.ndarray]) -> None:
    rows = most_changed(*joints, _COLUMNS)
    lines = []
    for head, uv in zip(_HEADS, joints, strict=True):
        tiles = np.hstack([_tile(image[row], uv[row], _TILE) for row in rows])
        band = np.full((_BAND, tiles.shape[1], 3), _GROUND, np.uint8)
        write(band, head, 8, 5, _TEXT)
        lines += [band, tiles]
    try:
        path.write_bytes(cv2.imencode(".jpg", np.vstack(lines), [cv2.IMWRITE_JPEG_QUALITY, 92])[1])
    except OSError as error:
        raise SemihandError(
            f"{path} cannot be written: {error.strerror}. Make room, and run again with --resume."
        ) from error


def _write_video(path: Path, image: np.ndarray, joints: tuple[np.ndarray, np.ndarray]) -> None:
    sink = VideoSink(str(path), _FPS)
    try:
        for row in range(len(image)):
            tiles = [_tile(image[row], uv[row], _VIDEO_SIDE) for uv in joints]
            sink.write(side_by_side(tiles, _NAMES, (True, True)), row / _FPS)
    finally:
        sink.close()


def _tile(image: np.ndarray, uv: np.ndarray, side: int) -> np.ndarray:
    """The crop (S, S, 3) BGR enlarged, with joints (21, 2) of the 64-grid."""
    tile = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_CUBIC)
    draw_skeleton(tile, (uv + 0.5) * (side / GRID) - 0.5)
    return tile
