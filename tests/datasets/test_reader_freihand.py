"""FreiHAND in its original layout: four versions of the training pictures, masks, and missing labels."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.datasets.open import open_dataset
from semihand.errors import SemihandError

K = [[480.0, 0, 112], [0, 481, 113], [0, 0, 1]]


@pytest.fixture
def folder(tmp_path, hand, picture):
    """Two training hands in four versions with masks, and three evaluation pictures."""
    xyz = [hand.tolist(), (hand + 0.01).tolist()]
    for name, content in (
        ("training_K", [K] * 2),
        ("training_xyz", xyz),
        ("training_scale", [0.03] * 2),
        ("evaluation_K", [K] * 3),
        ("evaluation_xyz", xyz + xyz[:1]),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    for i in range(8):
        picture(tmp_path / f"training/rgb/{i:08d}.jpg")
    for i in range(2):
        picture(tmp_path / f"training/mask/{i:08d}.jpg", value=255 * i)
    for i in range(3):
        picture(tmp_path / f"evaluation/rgb/{i:08d}.jpg")
    return tmp_path


def test_labels_cameras_and_masks_of_training(folder, hand):
    frames = open_dataset(folder, split="training").frames
    assert_allclose(frames[1].xyz, hand + 0.01)
    assert_allclose(frames[0].uv_label()[7], hand[7, :2] / hand[7, 2] * [480, 481] + [112, 113])
    assert [frame.handedness for frame in frames] == ["right", "right"]
    assert_array_equal(frames[0].read_mask(), np.zeros((8, 8)))
    assert_array_equal(frames[1].read_mask(), np.ones((8, 8)))


@pytest.mark.parametrize(
    "split, first", [("training", 0), ("training-homogenised", 2), ("training-sampled", 4), ("training-auto", 6)]
)
def test_versions_share_labels_and_masks(folder, hand, split, first):
    frames = open_dataset(folder, split=split).frames
    assert [int(frame.image.stem) for frame in frames] == [first, first + 1]
    assert [int(frame.mask.stem) for frame in frames] == [0, 1]
    assert_allclose(frames[1].xyz, hand + 0.01)


def test_evaluation_without_its_labels_is_unlabelled(folder, hand, caplog):
    assert_allclose(open_dataset(folder).frames[2].xyz, hand)
    assert not caplog.text
    (folder / "evaluation_xyz.json").unlink()
    sequence = open_dataset(folder)
    assert len(sequence.frames) == 3 and all(frame.xyz is None for frame in sequence.frames)
    assert "evaluation_xyz.json is missing; the pictures count as unlabelled" in caplog.text


def test_what_is_missing_or_broken_is_named(folder, hand):
    (folder / "training/rgb/00000003.jpg").unlink()
    assert len(open_dataset(folder, split="training").frames) == 2
    with pytest.raises(SemihandError, match="rgb.00000003.jpg is missing"):
        open_dataset(folder, split="training-homogenised")
    file = folder / "training_xyz.json"
    for content, message in (
        (json.dumps([hand.tolist()]), r"holds 1 entries, training_K.json 2"),
        (json.dumps([hand.tolist()[:20]] * 2), r"has the shape \(2, 20, 3\)"),
        ("[[", "cannot be read"),
    ):
        file.write_text(content)
        with pytest.raises(SemihandError, match=message):
            open_dataset(folder, split="training")
    file.unlink()
    with pytest.raises(SemihandError, match="holds no training_xyz.json"):
        open_dataset(folder, split="training")
