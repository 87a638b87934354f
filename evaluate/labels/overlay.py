"""Pictures to look at: predicted joints over true ones, and a contact sheet with the worst frames first."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...datasets.labels import label_square
from ...datasets.sequence import Sequence, SequenceFrame
from ...errors import SemihandError
from ...models.joints import BONES
from ...picture_file import write_picture
from ...tracker.draw import FINGER_COLORS
from ...tracker.text import plate
from .predict import Prediction
from .run import FrameResult, Result

#: True joints are white, predicted ones have their finger's colour.
_TRUE, _CROP, _MISSED = (255, 255, 255), (150, 150, 150), (60, 60, 255)
_MIN_PICTURE = 640
_TILE, _COLUMNS, _SHEET_TILES = 200, 8, 48
#: A tile shows this many times the labelled box.
_TILE_VIEW = 1.6


def write_overlays(
    folder: str | Path, sequence: Sequence, result: Result, predictions: list[Prediction | None]
) -> Path:
    """Write every labelled frame's picture and the contact sheet under folder/NAME; returns the sheet."""
    folder = Path(folder) / result.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemihandError(f"Could not make the folder {folder}: {error.strerror}.") from error
    tiles = {}
    worst = {row.index for row in by_error(result)[:_SHEET_TILES]}
    for row in result.per_frame:
        frame, prediction = sequence.frames[row.index], predictions[row.index]
        image = frame.read()
        write_picture(folder / f"{row.index:06d}.jpg", draw(*_enlarged(image), frame, prediction))
        if row.index in worst:
            tiles[row.index] = _tile(image, frame, prediction, row)
    sheet = folder / "sheet.png"
    write_picture(sheet, _grid([tiles[row.index] for row in by_error(result)[:_SHEET_TILES]]))
    return sheet


def by_error(result: Result) -> list[FrameResult]:
    """The labelled frames, worst first: missed ones, then by 3D error where there is one, else by 2D."""
    return sorted(result.per_frame, key=lambda row: (row.found, -(row.epe_mm or 0.0), -(row.nme or 0.0)))


def draw(canvas: np.ndarray, to_canvas: np.ndarray, frame: SequenceFrame, prediction: Prediction | None) -> np.ndarray:
    """Draw into a BGR picture: true joints white, predicted ones coloured by finger, the crop grey.

    to_canvas (2, 3): affine map from the frame's pixels to the canvas's.
    """
    if prediction is not None and prediction.crop is not None:
        corners = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 63.5], [-0.5, 63.5]])
        _polygon(canvas, _map(to_canvas, prediction.crop.uv_to_image(corners)))
    uv_true = frame.uv_label()
    if uv_true is not None:
        _skeleton(canvas, _map(to_canvas, uv_true), (_TRUE,) * 5, 1)
    if prediction is not None:
        _skeleton(canvas, _map(to_canvas, prediction.uv_image), FINGER_COLORS, 2)
    return canvas


def _tile(image: np.ndarray, frame: SequenceFrame, prediction: Prediction | None, row: FrameResult) -> np.ndarray:
    center, side = label_square(frame)
    scale = _TILE / (_TILE_VIEW * side)
    to_tile = np.array([[scale, 0, _TILE / 2 - scale * center[0]], [0, scale, _TILE / 2 - scale * center[1]]])
    tile = cv2.warpAffine(image, to_tile, (_TILE, _TILE), flags=cv2.INTER_LINEAR)
    draw(tile, to_tile, frame, prediction)
    error = "missed" if not row.found else _error(row)
    plate(tile, f"{row.index}  {error}", 2, 2, 13, _TRUE if row.found else _MISSED)
    return tile


def _error(row: FrameResult) -> str:
    if row.epe_mm is not None:
        return f"{row.epe_mm:.0f} mm"
    return f"{row.nme:.3f}" if row.nme is not None else f"IoU {row.mask_iou:.2f}"


def _enlarged(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A copy of the picture, small ones enlarged, and the affine map (2, 3) from its pixels to the copy's."""
    times = max(1, round(_MIN_PICTURE / max(image.shape[:2])))
    canvas = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_LINEAR)
    shift = (times - 1) / 2
    return canvas, np.array([[times, 0, shift], [0, times, shift]], float)


def _skeleton(canvas: np.ndarray, uv: np.ndarray, colours: tuple, thickness: int) -> None:
    for parent, child in BONES:
        if np.isfinite(uv[[parent, child]]).all():
            _line(canvas, uv[parent], uv[child], colours[(child - 1) // 4], thickness)
    for joint, point in enumerate(uv):
        if np.isfinite(point).all():
            colour = colours[max(joint - 1, 0) // 4]
            cv2.circle(canvas, _pixel(point), thickness + 1, colour, -1, cv2.LINE_AA)


def _polygon(canvas: np.ndarray, corners: np.ndarray) -> None:
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        _line(canvas, start, end, _CROP, 1)


def _line(canvas, start: np.ndarray, end: np.ndarray, colour: tuple, thickness: int) -> None:
    cv2.line(canvas, _pixel(start), _pixel(end), colour, thickness, cv2.LINE_AA)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    u, v = np.clip(point, -32000, 32000)
    return round(float(u)), round(float(v))


def _map(affine: np.ndarray, uv: np.ndarray) -> np.ndarray:
    return uv @ affine[:, :2].T + affine[:, 2]


def _grid(tiles: list[np.ndarray]) -> np.ndarray:
    rows = -(-len(tiles) // _COLUMNS)
    columns = min(_COLUMNS, len(tiles))
    sheet = np.zeros((rows * _TILE, columns * _TILE, 3), np.uint8)
    for i, tile in enumerate(tiles):
        v, u = i // columns * _TILE, i % columns * _TILE
        sheet[v : v + _TILE, u : u + _TILE] = tile
    return sheet
