"""STB in its original layout, and the label reader on a real label file where that is present."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.io import savemat

from semihand.datasets import stb
from semihand.datasets.open import open_dataset
from semihand.errors import SemihandError
from semihand.models.lifting import bone_lengths, project

SHARED = Path(os.environ.get("SEMIHAND_SHARED", Path(__file__).resolve().parents[2] / "../shared"))
#: STB's own order: palm, little finger from the palm to its tip, ring, middle, index, thumb.
LITTLE_FIRST = [0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4]
K_COLOR = np.array([[607.92271, 0, 314.78337], [0, 607.88192, 236.42484], [0, 0, 1]])


def color_to_depth(xyz):
    """As the set's README says: color camera's coordinates to the depth camera's, millimetres."""
    rotation, _ = cv2.Rodrigues(np.array([0.00531, -0.01196, 0.00301]))
    return xyz @ rotation.T + [-24.0381, -0.4563, -1.2326]


def save_labels(file, xyz_mm):
    """handPara (3, 21, N) in STB's order from hands (N, 21, 3) in mediapipe21 order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, {"handPara": xyz_mm[:, LITTLE_FIRST].transpose(2, 1, 0)})


@pytest.fixture
def folder(tmp_path, hand, picture):
    """B1 with two pictures a recording and camera, the second one's hand a centimetre to the right."""
    hands_mm = 1000 * np.stack([hand, hand + [0.01, 0, 0]])
    for recording in ("B1Counting", "B1Random"):
        save_labels(tmp_path / f"labels/{recording}_SK.mat", color_to_depth(hands_mm))
        save_labels(tmp_path / f"labels/{recording}_BB.mat", hands_mm)
        for i in range(2):
            picture(tmp_path / f"images/{recording}/SK_color_{i}.png")
            picture(tmp_path / f"images/{recording}/BB_left_{i}.png")
    return tmp_path


def test_sk_labels_stand_in_the_color_camera_and_land_on_its_picture(folder, hand):
    sequence = open_dataset(folder)
    assert (sequence.name, len(sequence.frames)) == ("STB sk-test", 4)
    for frame, moved in zip(sequence.frames, (0, 0.01, 0, 0.01)):
        truth = hand + [moved, 0, 0]
        assert_allclose(frame.xyz[1:], truth[1:], atol=1e-9)
        assert_allclose(frame.uv_label()[1:], project(truth, K_COLOR)[1:], atol=1e-6)
        assert frame.handedness == "left"
    assert [frame.gesture for frame in sequence.frames] == ["B1Counting"] * 2 + ["B1Random"] * 2
    assert sequence.frames[3].image.name == "SK_color_1.png" and sequence.frames[3].read().shape == (8, 8, 3)


def test_bb_labels_need_no_rotation(folder, hand):
    frame = open_dataset(folder, "stb", "bb-test").frames[1]
    assert frame.image.name == "BB_left_1.png"
    assert_allclose(frame.xyz[1:], hand[1:] + [0.01, 0, 0])
    assert_allclose(frame.K[[0, 0, 1], [0, 2, 2]], [822.79041, 318.47345, 250.31296])


def test_wrist_conventions(folder, hand):
    palm, middle, ring = hand[0], hand[9], hand[13]
    for wrist, expected in (("bihand", 2.2 * palm - 1.2 * middle), ("hand3d", 2 * palm - ring)):
        frame = open_dataset(folder, split="bb-test", wrist=wrist).frames[0]
        assert_allclose(frame.xyz[0], expected, atol=1e-12)
    frame = open_dataset(folder, split="bb-test", wrist="none").frames[0]
    assert np.isnan(frame.xyz[0]).all() and np.isfinite(frame.xyz[1:]).all()
    with pytest.raises(SemihandError, match="unknown wrist convention 'palm'; choose bihand, hand3d, none"):
        open_dataset(folder, wrist="palm")


def test_recordings_beside_the_labels_are_found(folder):
    for recording in ("B1Counting", "B1Random"):
        (folder / "images" / recording).rename(folder / recording)
    assert len(open_dataset(folder).frames) == 4


def test_nan_labels_become_unlabelled(folder, hand, caplog):
    hands = np.stack([hand, hand])
    hands[1, 8] = np.nan
    save_labels(folder / "labels/B1Random_BB.mat", 1000 * hands)
    frame = open_dataset(folder, split="bb-test").frames[3]
    assert np.isnan(frame.xyz[8]).all() and np.isnan(frame.uv_label()[8]).all()
    assert np.isfinite(np.delete(frame.uv_label(), 8, axis=0)).all()
    assert "STB B1Random: 1 joints of 1 frames have NaN or infinite 3D values, first in frame 1" in caplog.text


def test_what_is_missing_or_broken_is_named(folder):
    with pytest.raises(SemihandError, match="holds no labels/B2Counting_SK.mat"):
        open_dataset(folder, split="sk-train")
    (folder / "images/B1Random/SK_color_1.png").unlink()
    with pytest.raises(SemihandError, match=r"SK_color_1.png is missing \(1 of 4 are\)"):
        open_dataset(folder)
    label = folder / "labels/B1Counting_SK.mat"
    content = label.read_bytes()
    for broken in (b"", b"no matlab file", content[:600]):
        label.write_bytes(broken)
        with pytest.raises(SemihandError, match="is no complete MATLAB file"):
            open_dataset(folder)
    savemat(label, {"other": 1})
    with pytest.raises(SemihandError, match="holds no variable handPara"):
        open_dataset(folder)
    savemat(label, {"handPara": np.zeros((3, 20, 5))})
    with pytest.raises(SemihandError, match=r"has the shape \(3, 20, 5\); it must be \(3, 21, -1\)"):
        open_dataset(folder)


def test_without_scipy_the_reader_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io.matlab", None)
    with pytest.raises(SemihandError, match=r"labels need SciPy: pip install 'semihand\[train\]'"):
        open_dataset(folder)


def test_the_training_split_is_b2_to_b6():
    names = stb.RECORDINGS["train"]
    assert len(names) == 10 and names[0] == "B2Counting" and names[-1] == "B6Random" and len(set(names)) == 10


def test_opening_reads_no_picture(folder, monkeypatch):
    monkeypatch.setattr(cv2, "imread", lambda *_: pytest.fail("a picture was read"))
    assert len(open_dataset(folder).frames) == 4


def test_real_labels_are_one_hand_before_the_camera():
    file = SHARED / "real" / "stb-B1Counting_BB.mat"
    if not file.is_file():
        pytest.skip("the real STB label file is not here")
    xyz = stb.read_labels(file)
    assert xyz.shape == (1500, 21, 3) and (xyz[..., 2] > 0.4).all() and (xyz[..., 2] < 1).all()
    uv = project(xyz, stb.CAMERAS["bb"])
    assert (uv > 0).all() and (uv < [640, 480]).all()
    bones = 1000 * bone_lengths(stb.with_wrist(xyz, "bihand"))
    assert bones.std(axis=0)[1:4].max() < 0.01  # one rigid bone model for all frames
    lengths = bones[0]
    assert_allclose(lengths[[4, 8, 12, 16]], [86, 86, 84, 73], atol=1)  # the palm, with the wrist by bihand
    assert (np.diff(lengths.reshape(5, 4)[1:4, 1:], axis=1) < 0).all()  # phalanges get shorter to the tip
    assert lengths[9] == lengths[[5, 9, 13, 17]].max()  # the middle finger's first phalanx is the longest
