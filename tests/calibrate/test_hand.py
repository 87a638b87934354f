"""Hands of known size, photographed flat beside a card or on a sheet, and what a profile does to distances."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.calibrate import hand as hand_module
from semihand.calibrate.hand import (
    _belongs,
    bones_of_length,
    drawn,
    measure_hand,
    profile_from_length,
    profile_from_picture,
)
from semihand.calibrate.sheet import Sheet, find_sheets
from semihand.errors import SemihandError
from semihand.models.calibration import Person, read_person, save_person
from semihand.models.camera import Lens, default_intrinsics
from semihand.models.lifting import bone_lengths
from semihand.picture_file import write_picture
from semihand.synth.hand import load_hand
from semihand.tracker.open import HandTracker

FOCAL = 0.5 * 1280 / np.tan(np.deg2rad(65) / 2)


@pytest.fixture(scope="module")
def tracker():
    with HandTracker("base", smooth=False) as opened:
        yield opened


@pytest.fixture
def one_tracker(tracker, monkeypatch):
    """`profile_from_picture` uses the opened tracker."""
    monkeypatch.setattr(hand_module, "HandTracker", lambda **_: tracker)
    monkeypatch.setattr(tracker, "close", lambda: None)


@pytest.mark.parametrize("sheet, kind", [("card", "bank card"), ("a4", "sheet of A4")])
def test_a_card_and_a_sheet_are_found_where_they_lie(hand_photo, sheet, kind):
    image, joints = hand_photo(1, sheet, tilt=(12.0, -8.0), turn=10.0)
    lens = Lens(default_intrinsics(1280, 960, FOCAL))
    found = find_sheets(image, lens)[0]
    assert found.kind == kind
    uv = joints[:, :2] / joints[:, 2:] * FOCAL + lens.K[:2, 2]
    above = -((joints - found.place) @ found.rotation)[:, 2]
    # Exact joints at their exact heights give exact bones: what the corners do to lengths.
    assert_allclose(bone_lengths(found.joints_mm(uv, lens, above)), bone_lengths(joints), rtol=0.01)
    assert 2 < np.median(above) < 25


def test_no_sheet_on_an_empty_desk(hand_photo):
    image, _ = hand_photo(2, "")
    sheets = find_sheets(image, Lens(default_intrinsics(1280, 960, FOCAL)))
    assert sheets == []


@pytest.mark.parametrize("seed, sheet, shape", [(1, "card", 40), (2, "a4", 90), (3, "card", 120), (4, "a4", 10)])
def test_hands_of_known_size_are_measured(tracker, hand_photo, seed, sheet, shape):
    image, joints = hand_photo(seed, sheet, shape)
    measured = measure_hand(image, tracker)
    true = bone_lengths(joints) / 1e3
    assert abs(np.linalg.norm(measured.bones) / np.linalg.norm(true) - 1) < 0.12
    assert np.abs(measured.bones - true).mean() < 0.005
    picture = drawn(image, measured)
    u, v = np.rint(measured.sheet.corners.mean(0)).astype(int)
    assert picture.shape == image.shape and (picture != image).any()


def test_what_is_not_there_is_told(tracker, hand_photo):
    with pytest.raises(SemihandError, match="neither a bank card"):
        measure_hand(hand_photo(2, "")[0], tracker)
    with pytest.raises(SemihandError, match="photo.png shows no hand"):
        measure_hand(np.full((480, 640, 3), 120, np.uint8), tracker, "photo.png")
    image = hand_photo(2, "")[0]
    with pytest.raises(SemihandError, match="2 hands"):
        measure_hand(np.hstack([image[:, 300:900], image[:, 300:900, :][:, ::-1]]), tracker)


def test_a_card_lies_beside_the_hand_and_a_sheet_under_it():
    uv = np.stack([np.linspace(100, 140, 21), np.linspace(300, 100, 21)], -1)
    uv[0], uv[9] = (120, 300), (120, 220)

    def at(kind, left, top, right, bottom):
        corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
        return _belongs(Sheet(kind, corners, np.eye(3), np.zeros(3)), uv)

    assert at("bank card", 200, 150, 250, 240) and not at("bank card", 80, 90, 160, 310)
    assert not at("bank card", 90, 320, 150, 420)  # a sleeve
    assert at("sheet of A4", 50, 50, 250, 330) and not at("sheet of A4", 200, 50, 400, 330)


def test_a_bent_hand_is_refused(tracker, hand_photo, monkeypatch):
    monkeypatch.setattr(hand_module, "_MOST_BEND", 0.5)
    with pytest.raises(SemihandError, match=r"not flat: its \w+ finger bends by \d+ degrees"):
        measure_hand(hand_photo(2, "a4")[0], tracker)


def test_a_picture_becomes_a_profile(one_tracker, hand_photo, own_data, tmp_path):
    image, joints = hand_photo(1, "card", 40)
    write_picture(tmp_path / "hand.png", image)
    told = profile_from_picture("ann", tmp_path / "hand.png", tmp_path / "measured.png")
    assert "by a bank card" in told and "--user ann" in told
    assert cv2.imread(str(tmp_path / "measured.png")).shape == image.shape
    person = read_person("ann")
    assert abs(np.linalg.norm(person.bones) / np.linalg.norm(bone_lengths(joints) / 1e3) - 1) < 0.12


def test_pictures_that_cannot_be_read_are_told(own_data, tmp_path):
    with pytest.raises(SemihandError, match="no name for a profile"):
        profile_from_picture("../ann", tmp_path / "none.png")
    with pytest.raises(SemihandError, match="does not exist"):
        profile_from_picture("ann", tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SemihandError, match="cannot be read as a picture"):
        profile_from_picture("ann", tmp_path / "text.png")


def test_one_typed_length_scales_an_average_hand(own_data):
    assert "182 mm from wrist to fingertip, by a typed length" in profile_from_length("bob", 182.0)
    bones = read_person("bob").bones
    assert_allclose(bones, bones_of_length(182.0), atol=1e-5)
    assert_allclose(bones_of_length(364.0), 2 * bones_of_length(182.0))
    # Wrist to middle fingertip along the bones, a little less than to the skin's end.
    assert 0.16 < bones[[8, 9, 10, 11]].sum() < 0.19


def test_a_typed_length_fits_rendered_hands(on_table):
    for shape in range(0, 200, 20):
        joints, vertices = on_table(shape)
        length = joints[0, 1] - vertices[:, 1].min()
        size = np.linalg.norm(bones_of_length(length)) / np.linalg.norm(bone_lengths(joints) / 1e3)
        assert abs(size - 1) < 0.06


def test_a_profile_puts_a_small_hand_at_its_true_distance(tracker, hand_photo, own_data):
    """Without one it is taken for an average hand, further off."""
    sizes = np.linalg.norm(bone_lengths(load_hand().joints), axis=1)
    image, joints = hand_photo(5, "card", int(np.argsort(sizes)[20]), tilt=(0.0, 0.0))
    save_person(Person("small", measure_hand(image, tracker).bones, "bank card"))
    off = {}
    for user in (None, "small"):
        with HandTracker("base", focal=FOCAL, user=user, smooth=False) as one:
            for look in range(3):
                (hand,) = one(image, look / 10)
        off[user] = hand.xyz_cam[0, 2] - joints[0, 2] / 1e3
    assert abs(off["small"]) < 0.035 < 0.05 < off[None]
