"""Crops with a margin: what is on them, what the camera saw of them, and where the landmarks fall."""

from dataclasses import fields
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.adapt.frames.crops import MARGIN, WIDE_GRID, CropSet, cut_crops
from semihand.adapt.frames.landmarks import Landmarks
from semihand.adapt.frames.sources import SourceFrame
from semihand.datasets.sequence import SequenceWriter, read_sequence
from semihand.errors import SemihandError
from semihand.evaluate.labels.predict import predict as evaluate_predict

K = np.array([[500.0, 0, 159.5], [0, 500.0, 119.5], [0, 0, 1]])
PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "0.png"
    cv2.imwrite(str(path), PICTURE)
    return path


def joints(center=(160, 120), side=60.0):
    """Landmarks (21, 2) in a square of that side."""
    uv = np.random.default_rng(1).uniform(-0.5, 0.5, (21, 2))
    uv[:4] = [[-0.5, -0.5], [0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]]
    return np.array(center) + side * uv


def frame(path, handedness="right", center=(160, 120), side=60.0, landmarks=None, **more):
    return SourceFrame(path, more.pop("time", 0.0), more.pop("segment", 0), handedness, K, landmarks,
                       (np.array(center, float), side), **more)  # fmt: skip


def test_the_stored_picture_is_the_crop_and_24_grid_pixels_round_it(picture):
    """At the picture's centre the camera looks straight: a grid pixel is 2 image pixels for a side of 128."""
    one = frame(picture, side=64.0, center=(159.5, 119.5))
    crops = cut_crops([(one, one.crop(2.0))], 64)
    assert MARGIN == 24 and crops.image.shape == (1, WIDE_GRID, WIDE_GRID, 3) and len(crops) == 1
    shrunk = cv2.resize(PICTURE[8:232, 48:272], (112, 112), interpolation=cv2.INTER_AREA)[..., ::-1]  # RGB
    apart = np.abs(crops.image[0].astype(int) - shrunk)
    assert apart.max() <= 4 and apart.mean() < 1
    assert_allclose(crops.K_crop[0], [[250, 0, 31.5], [0, 250, 31.5], [0, 0, 1]])
    assert crops.covered.all() and crops.visible.shape == (1, 64, 64)


@pytest.mark.parametrize("size, stored", [(64, 112), (96, 168), (128, 224)])
def test_the_networks_pixels_are_kept(picture, size, stored):
    one = frame(picture)
    assert cut_crops([(one, one.crop(1.4))], size).image.shape == (1, stored, stored, 3)


def test_what_the_camera_did_not_see_is_known(picture):
    """A hand at the picture's left edge: everything left of it is made up."""
    one = frame(picture, center=(10.0, 119.5), side=60.0)
    crop = one.crop(2.0)
    crops = cut_crops([(one, crop)], 64)
    cells = np.stack(np.meshgrid(np.arange(64.0), np.arange(64.0)), -1)
    in_picture = ((crop.uv_to_image(cells) > -0.5) & (crop.uv_to_image(cells) < [319.5, 239.5])).all(-1)
    assert 0.4 < in_picture.mean() < 0.8
    assert (crops.visible[0] != in_picture).mean() < 0.02
    assert_array_equal(crops.visible, crops.covered[:, 24:88, 24:88])
    assert crops.covered[0].mean() < crops.visible[0].mean()


def test_landmarks_follow_their_crop(picture):
    """Side 120 round the centre: 64 / 120 grid pixels for a pixel, in depth and spread too."""
    depth = np.linspace(-20, 40, 21)
    landmarks = Landmarks(joints(), depth, 0.9, "right", np.full(21, 3.0))
    one = frame(picture, landmarks=landmarks, center=(159.5, 119.5))
    crops = cut_crops([(one, one.crop(2.0))], 96)
    assert_allclose(crops.marks_uv[0], 31.5 + (landmarks.uv_image - [159.5, 119.5]) * 64 / 120, atol=0.05)
    assert_allclose(crops.marks_depth[0], (depth - depth[9]) * 64 / 120, rtol=0.01, atol=1e-9)
    assert_allclose(crops.marks_spread[0], 3 * 64 / 120, rtol=0.01)
    assert crops.marks_presence[0] == 0.9


def test_landmarks_fall_on_what_they_mark(tmp_path):
    """A white dot at the first joint, far off the camera's axis, of a right and of a left hand."""
    image = np.zeros((240, 320, 3), np.uint8)
    landmarks = Landmarks(joints((250, 180)), np.zeros(21), 0.9, "left", np.zeros(21))
    cv2.circle(
        image, tuple(np.round(landmarks.uv_image[5] * 16).astype(int)), 4 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4
    )
    cv2.imwrite(str(tmp_path / "dot.png"), image)
    seen = {}
    for handedness in ("left", "right"):
        one = frame(tmp_path / "dot.png", handedness, (250, 180), landmarks=landmarks)
        crops = cut_crops([(one, one.crop(1.5))], 96)
        weight = crops.image[0, ..., 0].astype(float)
        x = (np.arange(168) + 0.5) * 112 / 168 - 0.5 - 24
        dot = np.array([(weight.sum(0) * x).sum(), (weight.sum(1) * x).sum()]) / weight.sum()
        assert_allclose(crops.marks_uv[0, 5], dot, atol=0.1)
        seen[handedness] = crops.marks_uv[0]
    assert_allclose(seen["left"][:, 0], 63 - seen["right"][:, 0], atol=1e-6)  # left hands are mirrored
    assert_allclose(seen["left"][:, 1], seen["right"][:, 1], atol=1e-6)


def test_depth_keeps_its_sign_in_mirrored_crops(picture):
    depth = np.linspace(-20, 40, 21)
    found = []
    for handedness in ("left", "right"):
        one = frame(picture, handedness, landmarks=Landmarks(joints(), depth, 0.9, handedness, np.zeros(21)))
        found.append(cut_crops([(one, one.crop(2.0))], 64).marks_depth[0])
    assert_allclose(found[0], found[1], rtol=1e-6)
    assert found[0][9] == 0 and (np.diff(found[0]) > 0).all()


def test_frames_without_landmarks_have_none(picture):
    marked = frame(picture, landmarks=Landmarks(joints(), np.zeros(21), 0.9, "right", np.zeros(21)))
    bare = frame(picture, time=1.5, segment=3)
    crops = cut_crops([(one, one.crop(2.0)) for one in (marked, bare)], 64)
    assert np.isfinite(crops.marks_uv[0]).all() and np.isnan(crops.marks_uv[1]).all()
    assert np.isnan(crops.marks_depth[1]).all() and np.isnan(crops.marks_spread[1]).all()
    assert crops.marks_presence.tolist() == [0.9, 0.0]
    assert crops.time.tolist() == [0.0, 1.5] and crops.segment.tolist() == [0, 3]


def test_take_keeps_rows_together(crop_set):
    crops = crop_set(5, time=np.arange(5) / 10)
    taken = crops.take(np.array([3, 1]))
    assert len(taken) == 2 and len(taken.crops) == 2 and taken.time.tolist() == [0.3, 0.1]
    for field in fields(CropSet):
        if field.name != "crops":
            assert_array_equal(getattr(taken, field.name), getattr(crops, field.name)[[3, 1]])
    assert len(crops.take(np.arange(0))) == 0


def test_nothing_to_cut_is_one_sentence():
    with pytest.raises(SemihandError, match="No frame shows a hand.*Record again"):
        cut_crops([], 96)


def test_a_broken_picture_is_one_sentence(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    one = frame(tmp_path / "broken.jpg")
    with pytest.raises(SemihandError, match="broken.jpg"):
        cut_crops([(one, one.crop(2.0))], 64)


class Looker:
    """A model that keeps the crops that it is shown."""

    info = SimpleNamespace(input_size=96, crop_factor=1.4)

    def run(self, crops):
        self.crops = crops
        count = len(crops)
        return np.full((count, 21, 2), 31.5), np.zeros((count, 21)), np.zeros((count, 64, 64)), np.ones((count, 21))


def test_label_crops_are_those_of_the_evaluation(tmp_path):
    """Two labelled frames, a right and a left hand, one of them at the picture's edge."""
    from semihand.adapt.frames.sources import open_source

    with SequenceWriter(tmp_path / "seq", fps=10.0) as writer:
        for handedness, center in (("right", (150, 110)), ("left", (285, 60))):
            writer.add(PICTURE, K=K, handedness=handedness, uv=joints(center, 70.0))
    looker = Looker()
    evaluated = evaluate_predict(read_sequence(tmp_path / "seq"), looker, "label")
    frames = open_source(tmp_path / "seq", "label", observer=lambda image: [])
    crops = cut_crops([(one, one.crop(1.4)) for one in frames], 96)
    assert np.abs(crops.image[:, 36:132, 36:132].astype(int) - looker.crops).max() <= 2
    for mine, theirs in zip(crops.crops, evaluated):
        assert_allclose(mine.image_to_crop, theirs.crop.image_to_crop, atol=1e-9)
        assert mine.mirrored == theirs.crop.mirrored
    assert [crop.mirrored for crop in crops.crops] == [False, True]
