"""The sequence folder: written, read, and refused where it is wrong."""

import json

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.datasets.sequence import SequenceFrame, SequenceWriter, read_sequence
from semihand.errors import SemihandError

K = np.array([[500.0, 0, 159.5], [0, 510, 119.5], [0, 0, 1]])
XYZ = np.random.default_rng(1).uniform(-0.1, 0.1, (21, 3)) + [0, 0, 0.5]
PICTURE = np.full((240, 320, 3), (20, 90, 160), np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A folder with a full frame, a frame of two joints in a box, and an unlabelled frame."""
    two = np.full((21, 2), np.nan)
    two[[4, 8]] = [[10.5, 20], [30, 40.25]]
    mask = np.zeros((240, 320))
    mask[100:140, 50:90] = 1
    with SequenceWriter(tmp_path / "set", fps=30, licence="CC0") as writer:
        writer.add(PICTURE, K=K, handedness="left", xyz=XYZ, mask=mask)
        writer.add(PICTURE, uv=two, box=[5, 6, 70, 80])
        writer.add(PICTURE)
    return tmp_path / "set"


def edited(folder, change, frame=0):
    """Change the folder's JSON: `change` gets the whole object and the frame's."""
    file = folder / "sequence.json"
    data = json.loads(file.read_text())
    change(data, data["frames"][frame])
    file.write_text(json.dumps(data))
    return folder


def test_what_is_written_is_read(folder):
    sequence = read_sequence(folder)
    assert (sequence.name, sequence.fps, sequence.licence, len(sequence.frames)) == ("set", 30, "CC0", 3)
    full, two, bare = sequence.frames
    assert_allclose(full.K, K)
    assert_allclose(full.xyz, XYZ, atol=1e-7)
    assert full.handedness == "left" and full.uv is None
    assert_allclose(full.uv_label()[3], XYZ[3, :2] / XYZ[3, 2] * [500, 510] + [159.5, 119.5], atol=1e-3)
    assert_allclose(two.uv[[4, 8]], [[10.5, 20], [30, 40.25]])
    assert np.isnan(np.delete(two.uv, [4, 8], axis=0)).all()
    assert_allclose(two.box, [5, 6, 70, 80])
    assert (bare.K, bare.handedness, bare.box, bare.uv_label(), bare.xyz, bare.read_mask()) == (None,) * 6


def test_pictures_and_masks_are_read_when_asked_for(folder):
    full = read_sequence(folder).frames[0]
    assert_allclose(full.read().astype(int), PICTURE, atol=3)
    mask = full.read_mask()
    assert mask.shape == (240, 320) and mask.sum() == 1600 and mask[120, 60] == 1
    full.image.write_bytes(b"no picture")
    with pytest.raises(SemihandError, match="cannot be read as a picture"):
        full.read()


def test_a_grey_picture_is_read_as_colour(folder):
    frame = read_sequence(folder).frames[2]
    cv2.imwrite(str(frame.image), PICTURE[..., 0])
    assert frame.read().shape == (240, 320, 3)


def test_a_frame_of_nulls_is_unlabelled(folder):
    edited(folder, lambda data, frame: frame.update(uv=[None] * 21), frame=2)
    assert read_sequence(folder).frames[2].uv_label() is None


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda data, frame: data.update(joint_order="rhd"), "joint_order is 'rhd'"),
        (lambda data, frame: data.pop("joint_order"), "joint_order is None"),
        (lambda data, frame: data.update(frames=[]), "at least one frame"),
        (lambda data, frame: data.update(fps=0), "fps is 0"),
        (lambda data, frame: frame.pop("image"), "frame 0: `image`"),
        (lambda data, frame: frame.update(image="images/9.jpg"), "9.jpg is missing"),
        (lambda data, frame: frame.update(handedness="both"), "handedness is 'both'"),
        (lambda data, frame: frame.update(K=[500, 500, 100]), r"K has the shape \(3,\)"),
        (lambda data, frame: frame.update(K=[0, 500, 100, 100]), "focal lengths 0, 500"),
        (lambda data, frame: frame.update(box=[1, 2, 0, 5]), "no area"),
        (lambda data, frame: frame.update(uv=[[1, 2]] * 20), "uv holds 20 joints"),
        (lambda data, frame: frame.update(uv=[[1, 2, 3]] * 21), "uv has the shape"),
        (lambda data, frame: frame.update(uv=[[1, float("nan")]] * 21), "uv holds NaN"),
        (lambda data, frame: frame["xyz_mm"].pop(), r"xyz_mm holds 20 joints"),
        (lambda data, frame: frame["xyz_mm"].__setitem__(0, [0, 1]), "xyz_mm is not a list"),
        (lambda data, frame: frame.update(gesture=3), "gesture is 3"),
        (lambda data, frame: frame["xyz_mm"].__setitem__(0, [0, 0, -1]), "z = -1"),
        (lambda data, frame: frame["xyz_mm"].__setitem__(0, "no"), "xyz_mm is not a list"),
    ],
)
def test_wrong_files_are_refused_with_the_place_and_the_value(folder, change, message):
    with pytest.raises(SemihandError, match=message):
        read_sequence(edited(folder, change))


def test_missing_and_broken_files_are_refused(tmp_path, folder):
    with pytest.raises(SemihandError, match="sequence.json is missing"):
        read_sequence(tmp_path)
    text = (folder / "sequence.json").read_text()
    for broken, message in ((text[:50], "cannot be read"), ("[]", "holds a list")):
        (folder / "sequence.json").write_text(broken)
        with pytest.raises(SemihandError, match=message):
            read_sequence(folder)


def test_unread_fields_are_named(folder, caplog):
    read_sequence(edited(folder, lambda data, frame: frame.update(xyz=1, depth=2)))
    assert "not read: depth, xyz" in caplog.text


def test_a_writer_never_overwrites_and_keeps_what_it_has_when_stopped(folder, tmp_path):
    with pytest.raises(SemihandError, match="holds a sequence already"):
        SequenceWriter(folder)
    with pytest.raises(TypeError, match="Unknown header fields: author"):
        SequenceWriter(tmp_path / "other", author="me")
    with pytest.raises(KeyboardInterrupt), SequenceWriter(tmp_path / "stopped") as writer:
        writer.add(PICTURE, uv=np.ones((21, 2)))
        raise KeyboardInterrupt
    assert_array_equal(read_sequence(tmp_path / "stopped").frames[0].uv, np.ones((21, 2)))


def test_fingertips_alone_gestures_and_coded_masks(tmp_path):
    tips = np.where(np.isin(np.arange(21), [4, 8])[:, None], XYZ, np.nan)
    with SequenceWriter(tmp_path / "tips") as writer:
        writer.add(PICTURE, K=K, xyz=tips, gesture="pinch")
        writer.add(PICTURE, xyz=np.full((21, 3), np.nan))
    frame, bare = read_sequence(tmp_path / "tips").frames
    assert (frame.gesture, bare.gesture, bare.xyz) == ("pinch", None, None)
    assert_allclose(frame.xyz, tips, atol=1e-7)
    uv = frame.uv_label()
    assert_allclose(uv[8], XYZ[8, :2] / XYZ[8, 2] * [500, 510] + [159.5, 119.5], atol=1e-3)
    assert np.isnan(np.delete(uv, [4, 8], axis=0)).all()
    coded = tmp_path / "coded.png"
    cv2.imwrite(str(coded), np.array([[0, 1, 2], [17, 18, 33]], np.uint8))
    assert_array_equal(SequenceFrame(coded, mask=coded, mask_ids=(2, 17)).read_mask(), [[0, 0, 1], [1, 0, 0]])
