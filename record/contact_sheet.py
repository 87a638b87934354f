"""One picture that shows a recording: frames evenly spread over it, with the joints that the detector saw."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.joints import BONES, FINGERS
from ..tracker.draw import FINGER_COLORS
from ..tracker.text import plate
from .recording import RecordedFrame, Recording

_SHOWN = 1.8


def contact_sheet(recording: Recording, path: str | Path, count: int = 60, size: int = 160, columns: int = 10) -> None:
    """Write `count` frames as a picture of cells of `size` pixels, each the hand with its segment and prompt.

    Raises SemihandError where the recording holds no frame, or the file cannot be written.
    """
    if not recording.frames:
        raise SemihandError(f"The recording {recording.name} holds no frame. Record again.")
    chosen = np.unique(np.linspace(0, len(recording.frames) - 1, count).round().astype(int))
    cells = [_cell(recording.frames[index], size) for index in chosen]
    cells += [np.zeros_like(cells[0])] * (-len(cells) % min(columns, len(cells)))
    wide = min(columns, len(cells))
    sheet = np.vstack([np.hstack(cells[row : row + wide]) for row in range(0, len(cells), wide)])
    _write(Path(path), sheet)


def _cell(frame: RecordedFrame, size: int) -> np.ndarray:
    """The hand (size, size, 3) BGR with joints and a caption."""
    low, high = frame.uv_image.min(axis=0), frame.uv_image.max(axis=0)
    scale = size / (_SHOWN * max(float((high - low).max()), 1.0))
    to_cell = np.column_stack([np.eye(2) * scale, (size - 1) / 2 - scale * (low + high) / 2])
    cell = cv2.warpAffine(frame.read(), to_cell, (size, size), flags=cv2.INTER_AREA)
    uv = np.rint(frame.uv_image @ to_cell[:, :2].T + to_cell[:, 2]).astype(int)
    for parent, child in BONES:
        finger = (child - 1) // (len(BONES) // len(FINGERS))
        cv2.line(cell, uv[parent].tolist(), uv[child].tolist(), FINGER_COLORS[finger], 1, cv2.LINE_AA)
    caption = f"{frame.segment}  {frame.handedness[0].upper()}  {frame.time:.1f}  {frame.prompt}"
    plate(cell, caption, 2, size, 11)
    return cell


def _write(path: Path, sheet: np.ndarray) -> None:
    try:
        path.write_bytes(cv2.imencode(path.suffix or ".jpg", sheet)[1])
    except cv2.error as error:
        raise SemihandError(f"{path}: unknown kind of picture {path.suffix!r}. Use .jpg or .png.") from error
    except OSError as error:
        raise SemihandError(f"{path} cannot be written: {error.strerror}. Choose another place.") from error
