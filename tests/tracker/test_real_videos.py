"""The released models on real videos, where they are: one hand, one id, the right side, no frame without it."""

import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from semihand.models.model_file import WEIGHTS, open_model
from semihand.tracker.detect import HandDetector, HandLandmarker
from semihand.tracker.files import VideoFile
from semihand.tracker.pipeline import Tracker

REAL = Path(os.environ.get("SEMIHAND_SHARED", Path(__file__).resolve().parents[2] / "../shared")) / "real"
FRAMES = 40


@pytest.mark.parametrize("model", ["lite", "base"])
@pytest.mark.parametrize("name", ["webcam-a.mp4", "phone-b.mp4", "webcam-dark-c.mp4"])
def test_one_hand_stays_one_hand(name, model):
    path = REAL / name
    for file in (path, WEIGHTS / f"{model}.onnx"):
        if not file.is_file():
            pytest.skip(f"{file} is not here")
    landmarker = HandLandmarker(threads=1)
    tracker = Tracker(open_model(model, "cpu", threads=1), HandDetector(threads=1), landmarker)
    found = []
    with VideoFile(path) as source:
        for frame in islice(source.frames(), FRAMES):
            poses = tracker.step(frame)
            found.append([(pose.id, pose.handedness) for pose in poses])
            inside = (poses[0].uv_image > 0).all() and (poses[0].uv_image < frame.image.shape[1::-1]).all()
            assert inside and 0.15 < poses[0].xyz_cam[9, 2] < 1.5
    assert found == [[(1, "right")]] * FRAMES
    # The landmark model, asked about the last frame at the tracked place, sees the same hand there.
    from semihand.tracker.palm import box_from_landmarks

    marks = landmarker(frame.image, box_from_landmarks(poses[0].uv_image))
    apart = np.linalg.norm(marks.uv_image - poses[0].uv_image, axis=1).mean()
    assert marks.presence > 0.9
    assert apart < 0.3 * np.ptp(marks.uv_image, axis=0).max()
