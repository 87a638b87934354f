"""Cameras and people in the data folder: whole or not there, damaged files told, other sizes kept."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.models import calibration
from semihand.models.calibration import (
    AVERAGE_BONES,
    Person,
    camera_record_of,
    find_camera_record,
    read_person,
    save_lens,
    save_person,
)
from semihand.models.camera import Lens, default_intrinsics

BENT = np.array([-0.2, 0.05, 0.0, 0.0, 0.0])


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path))
    return tmp_path


def lens(focal=600.0, size=(640, 480), distortion=None):
    return Lens(default_intrinsics(*size, focal), distortion)


def test_a_lens_comes_back_as_it_was():
    save_lens("HD Webcam: HD", 640, 480, lens(612.5, distortion=BENT), {"pictures": 20})
    found = find_camera_record("HD Webcam: HD").lenses[640, 480]
    assert_allclose(found.K, lens(612.5).K)
    assert_allclose(found.distortion, BENT)
    assert not found.assumed


def test_each_size_has_its_own_lens_and_the_newest_counts():
    save_lens("cam", 640, 480, lens(600.0), {})
    save_lens("cam", 1280, 720, lens(1100.0, (1280, 720)), {})
    save_lens("cam", 640, 480, lens(610.0), {})
    record = camera_record_of("cam")
    assert {size: one.K[0, 0] for size, one in record.lenses.items()} == {(640, 480): 610.0, (1280, 720): 1100.0}
    assert record.lenses[640, 480].distortion is None
    assert "calibrated at 1280x720, 640x480, not at 800x600" in record.other_size(800, 600)


def test_names_that_look_alike_in_a_file_stay_apart():
    for name, focal in (("HD Webcam!", 500.0), ("hd-webcam", 700.0), ("ウェブカメラ", 900.0)):
        save_lens(name, 640, 480, lens(focal), {})
    assert find_camera_record("HD Webcam!").lenses[640, 480].K[0, 0] == 500
    assert find_camera_record("hd-webcam").lenses[640, 480].K[0, 0] == 700
    assert find_camera_record("ウェブカメラ").lenses[640, 480].K[0, 0] == 900


def test_unknown_cameras_are_none_or_told():
    assert find_camera_record("cam") is None
    with pytest.raises(SemihandError, match="None is calibrated yet"):
        camera_record_of("cam")
    save_lens("desk", 640, 480, lens(), {})
    with pytest.raises(SemihandError, match="Calibrated: desk"):
        camera_record_of("cam")


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"schema": 1}', '{"schema": 2, "sizes": []}', '{"schema": 1, "sizes": [{"width": 640}]}',
     '{"schema": 1, "sizes": [{"width": 640, "height": 480, "K": [NaN, 1, 1, 1], "distortion": [0, 0, 0, 0, 0]}]}',
     '{"schema": 1, "sizes": [{"width": 640, "height": 480, "K": [600, 600, 1, 1], "distortion": [0]}]}',
     '{"schema": 1, "sizes": 3}'],
)  # fmt: skip
def test_damaged_cameras_are_told_and_can_be_measured_again(text):
    file = save_lens("cam", 640, 480, lens(), {})
    file.write_text(text)
    with pytest.raises(SemihandError, match="Calibrate the camera again, or delete the file"):
        find_camera_record("cam")
    save_lens("cam", 640, 480, lens(620.0), {})
    assert find_camera_record("cam").lenses[640, 480].K[0, 0] == 620


def test_a_profile_comes_back_to_a_hundredth_of_a_millimetre():
    save_person(Person("ann", AVERAGE_BONES * 1.1, "bank card"))
    person = read_person("ann")
    assert_allclose(person.bones, AVERAGE_BONES * 1.1, atol=6e-6)
    assert (person.name, person.measured) == ("ann", "bank card")
    assert_allclose(person.scale, 1.1, atol=1e-4)


def test_missing_profiles_name_those_that_are_there():
    with pytest.raises(SemihandError, match="There is none yet"):
        read_person("ann")
    save_person(Person("ann", AVERAGE_BONES, "bank card"))
    with pytest.raises(SemihandError, match="Profiles: ann"):
        read_person("bob")


@pytest.mark.parametrize("name", ["", "../ann", "a b", ".hidden", "x" * 65])
def test_a_profiles_name_leads_nowhere_else(name):
    with pytest.raises(SemihandError, match="is no name for a profile"):
        read_person(name)


@pytest.mark.parametrize("bones", [[1, 2], [40] * 19 + [900], [40] * 19 + [float("nan")], [4] * 20, "long", None])
def test_damaged_profiles_are_told(bones):
    file = save_person(Person("ann", AVERAGE_BONES, "bank card"))
    file.write_text(json.dumps({"schema": 1, "name": "ann", "measured": "x", "bone_lengths_mm": bones}))
    with pytest.raises(SemihandError, match="Measure the hand again, or delete the file"):
        read_person("ann")


def test_a_crash_while_writing_leaves_the_old_profile(monkeypatch):
    save_person(Person("ann", AVERAGE_BONES, "bank card"))

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("semihand.models.atomic.os.replace", fails)
    with pytest.raises(SemihandError, match="No space left"):
        save_person(Person("ann", 1.2 * AVERAGE_BONES, "bank card"))
    assert_allclose(read_person("ann").scale, 1.0, atol=1e-4)
    assert list((calibration.data_dir() / "people").glob("*.part")) == []
