"""Through which lens a picture was taken: a given focal length, a calibrated camera's, or a guess."""

from __future__ import annotations

import logging

import numpy as np

from ..errors import SemihandError
from ..models.calibration import CameraRecord, find_camera_record
from ..models.camera import Lens, default_intrinsics

logger = logging.getLogger(__name__)


def lenses_of(camera: str, focal: float | None = None) -> Lenses:
    """The lenses of a source's pictures, by its `camera`; a file that cannot be read is told, and the lens assumed."""
    if focal is None and camera:
        try:
            return Lenses(None, find_camera_record(camera))
        except SemihandError as error:
            logger.warning("%s Until then its focal length is assumed.", error)
    return Lenses(focal)


class Lenses:
    """The lens for every picture, by its size.

    focal: pixels where given, which wins. camera: what is stored of the camera that takes the pictures.
    """

    def __init__(self, focal: float | None = None, camera: CameraRecord | None = None) -> None:
        self.focal = focal
        self._camera = camera
        self._known: dict[tuple[int, int], Lens] = {}

    def __call__(self, image: np.ndarray) -> Lens:
        """That of a picture (H, W, 3). A size at which the camera was not calibrated is told once."""
        size = image.shape[1], image.shape[0]
        if size not in self._known:
            self._known[size] = self._find(*size)
        return self._known[size]

    def _find(self, width: int, height: int) -> Lens:
        if self.focal is not None:
            return Lens(default_intrinsics(width, height, self.focal))
        if self._camera is not None and (width, height) in self._camera.lenses:
            return self._camera.lenses[width, height]
        if self._camera is not None:
            logger.warning("%s", self._camera.other_size(width, height))
        return Lens(default_intrinsics(width, height), assumed=True)
