"""The MediaPipe peer: its answers in our frames, and clear words when something it needs is missing."""

import importlib.util
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.evaluate.peers.mediapipe import MediaPipePeer, hands_from_result

#: Path of a hand_landmarker.task file for the test that runs the real package.
TASK_FILE = os.environ.get("SEMIHAND_TASK_FILE")
HAS_MEDIAPIPE = importlib.util.find_spec("mediapipe") is not None
needs_mediapipe = pytest.mark.skipif(not HAS_MEDIAPIPE, reason="the mediapipe package is not installed")


def test_result_comes_back_in_pixels_of_the_picture_without_border():
    point = SimpleNamespace(x=0.5, y=0.25, z=-0.1)
    result = SimpleNamespace(
        hand_landmarks=[[point] * 21],
        hand_world_landmarks=[[SimpleNamespace(x=0.01, y=0.02, z=0.03)] * 21],
        handedness=[[SimpleNamespace(category_name="Left", score=0.75)]],
    )
    (hand,) = hands_from_result(result, width=400, height=200, border=(100, 50))
    # The bordered picture is 600 x 300: (300, 75) there, (200, 25) without the border.
    assert_allclose(hand.uv_image, np.tile([200, 25], (21, 1)))
    assert_allclose(hand.z, np.full(21, -60))
    assert_allclose(hand.xyz_world, np.tile([0.01, 0.02, 0.03], (21, 1)))
    assert (hand.handedness, hand.score) == ("left", 0.75)


def test_no_hand_is_an_empty_list():
    empty = SimpleNamespace(hand_landmarks=[], hand_world_landmarks=[], handedness=[])
    assert hands_from_result(empty, 400, 200, (0, 0)) == []


def test_missing_package_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(SemihandError, match="not installed"):
        MediaPipePeer("hand_landmarker.task")


@pytest.mark.parametrize("task_file, message", [(None, "none was given"), ("no.task", "no task file no.task")])
def test_missing_task_file_is_said(monkeypatch, task_file, message):
    package = SimpleNamespace(tasks=SimpleNamespace(vision=SimpleNamespace(), BaseOptions=dict))
    monkeypatch.setitem(sys.modules, "mediapipe", package)
    with pytest.raises(SemihandError, match=message):
        MediaPipePeer(task_file)


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be one of"):
        MediaPipePeer("hand_landmarker.task", mode="live")


@needs_mediapipe
@pytest.mark.skipif(not TASK_FILE, reason="SEMIHAND_TASK_FILE names no hand_landmarker.task")
def test_runs_in_both_modes_on_noise(caplog):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    with MediaPipePeer(TASK_FILE, pad=0.25) as peer:
        assert peer.detect(noise) == []
    assert "reports usage" in caplog.text
    with MediaPipePeer(TASK_FILE, mode="video", max_hands=1) as peer:
        assert peer.detect(noise, 0) == [] and peer.detect(noise, 33) == []
        with pytest.raises(ValueError, match="timestamp_ms"):
            peer.detect(noise)
