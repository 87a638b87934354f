"""Calibrated cameras and measured hands in the live path: true positions through a bent lens, and what is said of it."""

import json
import logging

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.data_folder import data_dir
from semihand.models.calibration import AVERAGE_BONES, CameraRecord, Person, save_lens, save_person
from semihand.models.camera import Lens, default_intrinsics
from semihand.tracker import open as opening
from semihand.tracker.lens import Lenses
from semihand.tracker.pipeline import Tracker, TrackerConfig

SIZE = (640, 480)
BENT = Lens(default_intrinsics(*SIZE, 520.0), np.array([-0.25, 0.06, 0.0, 0.0, 0.0]))
CAMERA = CameraRecord("cam", {SIZE: BENT})


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))


@pytest.fixture
def through_the_lens(plant, monkeypatch):
    """The world's hands are seen through BENT."""

    def seen(self):
        return cv2.projectPoints(self.xyz, np.zeros(3), np.zeros(3), BENT.K, BENT.distortion)[0].reshape(21, 2)

    monkeypatch.setattr(type(plant("a", 0.0, 0.0)), "uv", property(seen))


@pytest.fixture
def pictures(world, tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in "12":
        cv2.imwrite(str(tmp_path / "pictures" / f"{name}.png"), world.image)
    return tmp_path / "pictures"


def test_a_bent_lens_leaves_hands_in_their_place(world, plant, through_the_lens):
    hand = plant("a", 0.2, 0.13)
    for config in (TrackerConfig(), TrackerConfig(smooth=None)):
        off = {}
        for lens in (CAMERA, CameraRecord("straight", {SIZE: Lens(BENT.K)})):
            tracker = Tracker(world, world, world, config)
            tracker.lens = Lenses(None, lens)
            for _ in range(3):
                (pose,) = tracker.step(world.frame())
            assert np.abs(pose.uv_image - hand.uv).max() < 2.0  # pixels stay those of the picture
            off[lens.name] = np.linalg.norm(pose.xyz_cam - hand.xyz, axis=1).mean()
        assert off["cam"] < 0.012 < off["straight"]


def test_a_measured_hand_is_as_much_nearer_as_it_is_smaller(world, plant):
    plant("a", 0.0, 0.1, 0.6)
    wrists = []
    for bones in (None, 0.8 * AVERAGE_BONES):
        tracker = Tracker(world, world, world, TrackerConfig(smooth=None), bones=bones)
        wrists.append(tracker.step(world.frame())[0].xyz_cam)
    assert_allclose(wrists[1], 0.8 * wrists[0], rtol=1e-9)


def test_the_given_focal_length_wins_and_other_sizes_are_told_once(caplog):
    image, small = np.zeros((480, 640, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)
    assert Lenses(700.0, CAMERA)(image).K[0, 0] == 700 and Lenses(700.0, CAMERA)(image).distortion is None
    lenses = Lenses(None, CAMERA)
    assert lenses(image) is BENT
    for _ in range(3):
        guess = lenses(small)
    assert guess.assumed and guess.K[0, 0] == 0.85 * 320
    assert caplog.text.count("cam was calibrated at 640x480, not at 320x240") == 1
    assert Lenses()(image).assumed


def test_a_tracker_takes_the_lens_of_the_camera_that_it_tracks(models, caplog):
    save_lens("Desk Cam", *SIZE, BENT, {})
    with opening.HandTracker() as tracker:
        tracker.look_through("Desk Cam")
        assert_allclose(tracker.intrinsics(models.image), BENT.K)
        tracker.look_through("")
        assert_allclose(tracker.intrinsics(models.image), BENT.K)
        tracker.look_through("another")
        assert tracker.lens(models.image).assumed
    with opening.HandTracker(focal=800.0) as tracker:
        tracker.look_through("Desk Cam")
        assert tracker.intrinsics(models.image)[0, 0] == 800
    next(data_dir().glob("cameras/*.json")).write_text("{")
    with opening.HandTracker() as tracker, caplog.at_level(logging.WARNING):
        tracker.look_through("Desk Cam")
        assert tracker.lens(models.image).assumed and "Calibrate the camera again" in caplog.text


def track(*arguments):
    return CliRunner().invoke(app, ["track", "--viewer", "none", *map(str, arguments)])


def test_a_track_says_whose_hand_and_which_lens(models, plant, pictures, tmp_path):
    plant("a", 0.0, 0.1)
    save_lens("phone", *SIZE, BENT, {})
    save_person(Person("ann", 1.1 * AVERAGE_BONES, "bank card"))
    out = tmp_path / "o.jsonl"
    result = track("--images", pictures, "--user", "ann", "--calibration", "phone", "--jsonl", out)
    assert result.exit_code == 0 and "estimates" not in result.stderr
    header = json.loads(out.read_text().splitlines()[0])
    assert header["camera"] == {
        "width": 640, "height": 480, "K": [520.0, 520.0, 319.5, 239.5], "assumed": False,
        "distortion": [-0.25, 0.06, 0.0, 0.0, 0.0],
    }  # fmt: skip
    assert header["hand"]["user"] == "ann" and header["hand"]["assumed"] is False
    assert_allclose(header["hand"]["bone_lengths_mm"], 1100 * AVERAGE_BONES, atol=0.06)


@pytest.mark.parametrize(
    "options, told", [((), "the lens and the hand's size are assumed"), (("--f", 700), "the hand's size is assumed")]
)
def test_distances_without_calibration_are_said_to_be_estimates(models, plant, pictures, tmp_path, options, told):
    plant("a", 0.0, 0.1)
    result = track("--images", pictures, *options, "--jsonl", tmp_path / "o.jsonl")
    assert result.exit_code == 0 and f"Distances are estimates: {told}" in result.stderr
    assert json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])["hand"]["assumed"] is True
    assert "estimates" not in track("--images", pictures).stderr  # nobody reads distances


@pytest.mark.parametrize(
    "options, sentence",
    [(("--user", "zoe"), "There is no profile 'zoe'"), (("--calibration", "x"), "There is no calibrated camera 'x'")],
)
def test_unknown_names_are_told(models, pictures, options, sentence):
    result = track("--images", pictures, *options)
    assert result.exit_code == 1 and sentence in str(result.exception)


def test_two_lenses_at_once_are_wrong_usage(models, pictures):
    result = track("--images", pictures, "--f", 700, "--calibration", "phone")
    assert result.exit_code == 2 and "exclude each other" in result.stderr
