"""Crops with landmarks: who is asked again, where, and what stays as it was."""

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from semihand.adapt.landmarks import Marks
from semihand.adapt.sources import SourceFrame
from semihand.adapt.tracked import SURE, tracked_crops
from semihand.models.checkpoint import Checkpoint, describe
from semihand.models.network import Hourglass

CENTER = np.array([80.0, 60.0])


def marks(presence, away=0.0):
    uv = CENTER + away + np.stack(np.meshgrid(np.linspace(-20, 20, 7), np.linspace(-20, 20, 3)), -1).reshape(21, 2)
    return Marks(uv, np.arange(21.0), presence, "right", np.zeros(21))


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
        return SourceFrame(tmp_path / "hand.png", 0.0, 0, "right", marks=known, square=square)

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
