"""Hand-3D-Studio in its documented form: order, units, splits, objects."""

import json
import random

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.open import open_dataset
from semihand.errors import SemihandError
from semihand.models.joints import JOINT_NAMES
from semihand.models.lifting import project

K = np.array([[900.0, 0, 128], [0, 901, 129], [0, 0, 1]])


def real_size(hand):
    """The planted hand with 9 cm from the wrist to the middle MCP."""
    return hand * 0.09 / np.linalg.norm(hand[9] - hand[0])


@pytest.fixture
def samples(hand):
    """Twelve hands, the last two with an object; hand i has the depth of its number."""
    hands = [real_size(hand) + [0, 0, 0.01 * i] for i in range(12)]
    return [
        {
            "name": f"part{1 + i % 5}/{i}.jpg",
            "keypoint2d": project(xyz, K).tolist(),
            "keypoint3d": xyz.tolist(),
            "intrinsic_matrix": K.tolist(),
            "without_object": int(i < 10),
        }
        for i, xyz in enumerate(hands)
    ]


@pytest.fixture
def folder(tmp_path, samples, picture):
    for sample in samples:
        picture(tmp_path / "H3D_crop" / sample["name"])
    save(tmp_path, samples)
    return tmp_path


def save(folder, samples):
    (folder / "H3D_crop/annotation.json").write_text(json.dumps(samples))


def test_labels_are_read_in_order_and_land_on_the_2d_labels(folder, hand):
    for path in (folder, folder / "H3D_crop"):
        sequence = open_dataset(path, split="all")
        assert len(sequence.frames) == 10 and len(JOINT_NAMES) == len(sequence.frames[0].xyz)
        for i, frame in enumerate(sequence.frames):
            assert frame.image.name == f"{i}.jpg"
            assert_allclose(frame.xyz, real_size(hand) + [0, 0, 0.01 * i])
            assert_allclose(project(frame.xyz, frame.K), frame.uv)
            assert (frame.handedness, frame.gesture) == (None, "hand alone")


def test_splits_are_the_readers_shuffle_of_the_hands_alone(folder):
    order = list(range(10))
    random.seed(42)
    random.shuffle(order)
    number = [int(frame.image.stem) for frame in open_dataset(folder, split="test").frames]
    assert number == order[:2]
    number = [int(frame.image.stem) for frame in open_dataset(folder, split="train").frames]
    assert number == order[2:]


def test_hands_with_objects_are_chosen_by_option(folder):
    frames = open_dataset(folder, split="all", objects="with").frames
    assert [frame.image.name for frame in frames] == ["10.jpg", "11.jpg"] and frames[0].gesture == "with object"
    assert len(open_dataset(folder, split="all", objects="all").frames) == 12
    with pytest.raises(SemihandError, match="objects is 'some'; choose without, with, all"):
        open_dataset(folder, objects="some")


@pytest.mark.parametrize("factor", [1, 100, 1000])
def test_the_unit_is_told_from_the_hands_size(folder, samples, hand, factor):
    for sample in samples:
        sample["keypoint3d"] = (factor * np.array(sample["keypoint3d"])).tolist()
    save(folder, samples)
    assert_allclose(open_dataset(folder, split="all").frames[3].xyz, real_size(hand) + [0, 0, 0.03], rtol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda samples: [s.update(keypoint3d=(7 * np.array(s["keypoint3d"])).tolist()) for s in samples],
            "no hand in",
        ),
        (lambda samples: samples[4].pop("keypoint2d"), "has no field 'keypoint2d'"),
        (lambda samples: samples[4].update(keypoint3d=[[0, 0, 1]] * 20), "keypoint3d in .* does not hold numbers"),
        (lambda samples: samples[4].update(name="part1/99.jpg"), "99.jpg is missing"),
        (lambda samples: samples.clear(), "holds no list of samples"),
    ],
)
def test_other_labels_are_refused(folder, samples, change, message):
    change(samples)
    save(folder, samples)
    with pytest.raises(SemihandError, match=message):
        open_dataset(folder, "h3d", "all")


def test_nan_joints_become_unlabelled(folder, samples, caplog):
    samples[0]["keypoint3d"][8] = [float("nan")] * 3
    save(folder, samples)
    frame = open_dataset(folder, split="all").frames[0]
    assert np.isnan(frame.xyz[8]).all() and np.isfinite(frame.uv).all()
    assert "NaN or infinite 3D values" in caplog.text
