"""Opens the real tracker for demo and benchmark, warmed up, so that its first frame is no slower than the others."""

from __future__ import annotations

import numpy as np

from ..models.model_file import open_model
from ..tracker.detect import HandDetector, HandLandmarker
from ..tracker.pipeline import Tracker, TrackerConfig
from ..tracker.types import HandBox


def open_tracker(
    model: str | None, device: str = "auto", hands: int = 1, threads: int | None = None, focal: float | None = None
) -> Tracker:
    """A tracker of at most `hands` hands with a model by name or file, None for the default.

    focal: the camera's, in pixels, if known.

    Raises SemihandError where the model is missing or broken, or the device does not run.
    """
    network = open_model(model, device, threads)
    detector, landmarker = HandDetector(threads=threads), HandLandmarker(threads=threads)
    size, picture = network.info.input_size, np.zeros((64, 64, 3), np.uint8)
    for batch in range(1, hands + 1):
        network.run(np.zeros((batch, size, size, 3), np.uint8))
    detector.detect(picture)
    landmarker(picture, HandBox(np.array([32.0, 32.0]), 64.0))
    return Tracker(network, detector, landmarker, TrackerConfig(hands=hands), focal)
