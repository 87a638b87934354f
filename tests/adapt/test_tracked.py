"""Crops with landmarks: who is asked again, where, and what stays as it was."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from semihand.adapt.frames.landmarks import LandmarkObserver, Landmarks
from semihand.adapt.frames.sources import SourceFrame
from semihand.adapt.frames.tracked import SURE, tracked_crops
from semihand.datasets.labels import label_square
from semihand.datasets.sequence import read_sequence
from semihand.models.checkpoint import Checkpoint, describe, load_checkpoint
from semihand.models.network import Hourglass
from semihand.models.registry import checkpoint_of

SHARED = Path(os.environ.get("SEMIHAND_SHARED", Path(__file__).resolve().parents[2] / "../shared"))
FILM = SHARED / "real" / "ti1k-translation-2"
CENTER = np.array([80.0, 60.0])


def marks(presence, away=0.0):
    uv = CENTER + away + np.stack(np.meshgrid(np.linspace(-20, 20, 7), np.linspace(-20, 20, 3)), -1).reshape(21, 2)
    return Landmarks(uv, np.arange(21.0), presence, "right", np.zeros(21))


class Observer:
    """Sees a sure hand wherever it is asked; asked: the places and what was known there."""

    def __init__(self):
        self.asked = []

    def near(self, image, uv_image, known=None):
        self.asked.append((uv_image.mean(axis=0), known))
        return marks(0.99, away=3.0)


@pytest.fixture
def checkpoint(micro):
    torch.manual_seed(0)
    return Checkpoint(describe(micro, {}), Hourglass(micro).state_dict())


@pytest.fixture
def frame(tmp_path):
    cv2.imwrite(str(tmp_path / "hand.png"), np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8))

    def build(known, square=(CENTER, 40.0)):
        return SourceFrame(tmp_path / "hand.png", 0.0, 0, "right", landmarks=known, square=square)

    return build


def test_only_hands_that_are_missed_or_unsure_are_asked_for_again(checkpoint, frame):
    observer, unsure = Observer(), marks(SURE - 0.1)
    frames = [frame(None), frame(unsure), frame(marks(SURE))]
    crops = tracked_crops(frames, checkpoint, observer, again=False)
    assert [known for _, known in observer.asked] == [None, unsure]
    assert all(np.abs(place - CENTER).max() < 40 for place, _ in observer.asked)  # the network's joints are in the crop
    places = [crop.uv_to_image(uv).mean(axis=0) for crop, uv in zip(crops.crops, crops.marks_uv)]
    assert_allclose(places, [CENTER + 3, CENTER + 3, CENTER], atol=1e-3)


def test_surer_marks_do_not_move_a_crop(checkpoint, frame):
    frames = [frame(marks(0.6), square=None), frame(None)]
    crops = tracked_crops(frames, checkpoint, Observer(), again=False)
    for crop, one in zip(crops.crops, frames):
        assert_allclose(crop.image_to_crop, one.crop(checkpoint.info.crop_factor).image_to_crop)
    again = tracked_crops(frames, checkpoint, Observer())
    assert np.abs(again.crops[1].image_to_crop - crops.crops[1].image_to_crop).max() > 1e-3


@pytest.mark.skipif(not FILM.is_dir(), reason=f"no real pictures at {FILM}")
def test_real_hands_that_the_palm_detector_misses_are_seen():
    """Six frames of a first-person film: hands near the picture's edge, known to nobody but the network."""
    frames = read_sequence(FILM).frames[1:26:4]
    observer, source = LandmarkObserver(), load_checkpoint(checkpoint_of("lite"))
    missed = [frame for frame in frames if not observer(frame.read())]
    assert len(missed) >= 4
    given = [SourceFrame(f.image, 0.0, 0, f.handedness or "right", f.K, square=label_square(f)) for f in missed]
    crops = tracked_crops(given, source, observer, again=False)
    assert (crops.marks_presence > 0.5).all()
    for frame, crop, marks_uv in zip(missed, crops.crops, crops.marks_uv):
        away = np.linalg.norm(crop.uv_to_image(marks_uv) - frame.uv_label(), axis=-1)
        assert np.nanmean(away) < 0.2 * label_square(frame)[1]
