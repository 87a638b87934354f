"""The overlay of every frame as a picture file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import SemihandError
from ..paths import make_folder
from .types import Frame

_JPEG_QUALITY = 95


class StillsFolder:
    """Writes NAME.jpg for a picture of a folder and 000012.jpg for a film's frame 12."""

    def __init__(self, folder: str) -> None:
        """Raises SemihandError when the folder cannot be made."""
        self.folder = make_folder(folder, "Name another one with --save-images.")
        self._names: set[str] = set()

    def write(self, frame: Frame, picture: np.ndarray) -> None:
        """The overlay (H, W, 3) BGR of one frame. Raises SemihandError when it cannot be written."""
        path = self.folder / self._name(frame)
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        try:
            path.write_bytes(data)
        except OSError as error:
            raise SemihandError(
                f"{path} cannot be written: {error.strerror}. Make room, or choose another folder."
            ) from error

    def close(self) -> None:
        """Every picture is a whole file already."""

    def _name(self, frame: Frame) -> str:
        """a.jpg and a.png of one folder become a.jpg and a-1.jpg."""
        name = f"{Path(frame.name).stem or f'{frame.index:06d}'}.jpg"
        if name in self._names:
            name = f"{Path(name).stem}-{frame.index}.jpg"
        self._names.add(name)
        return name
