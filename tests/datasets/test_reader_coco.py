"""2D hands in COCO-style JSON: COCO-WholeBody, OneHand10K and a file of one's own."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.open import open_dataset
from semihand.errors import SemihandError

JOINTS = np.stack([np.arange(21.0), 100 + np.arange(21.0), np.full(21, 2.0)], axis=1)


def hand(shift=0.0, hidden=()):
    """63 numbers: joint i at [i + shift, 100 + i], visibility 2, or 0 at [0, 0] for hidden joints."""
    joints = JOINTS + [shift, 0, 0]
    joints[list(hidden)] = 0
    return joints.ravel().tolist()


def person(image, left, right, **hands):
    values = {"image_id": image, "keypoints": [0] * 51}
    for side, valid in (("left", left), ("right", right)):
        values |= {f"{side}hand_valid": valid, f"{side}hand_kpts": hand(), f"{side}hand_box": [1.0, 2, 3, 4]}
    return values | hands


@pytest.fixture
def coco(tmp_path, picture):
    """Two pictures; both hands of one person, the right hand of another, a third one without hands."""
    people = [
        person(20, True, True, righthand_kpts=hand(300, hidden=(8,))),
        person(10, False, True, righthand_box=[0.0, 0, 0, 0]),
        person(10, False, False),
    ]
    images = [{"id": i, "file_name": f"{i:012d}.jpg"} for i in (10, 20)]
    save(tmp_path / "annotations/coco_wholebody_val_v1.0.json", images, people)
    for i in (10, 20):
        picture(tmp_path / f"val2017/{i:012d}.jpg")
    return tmp_path


def save(file, images, annotations):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"images": images, "annotations": annotations}))


def test_every_valid_hand_of_a_person_is_a_frame(coco):
    sequence = open_dataset(coco)
    assert [(frame.image.stem, frame.handedness) for frame in sequence.frames] == [
        ("000000000020", "left"),
        ("000000000020", "right"),
        ("000000000010", "right"),
    ]
    left, right, other = sequence.frames
    assert_allclose(left.uv, JOINTS[:, :2])
    assert_allclose(np.delete(right.uv, 8, axis=0), np.delete(JOINTS[:, :2] + [300, 0], 8, axis=0))
    assert np.isnan(right.uv[8]).all()
    assert_allclose(left.box, [1, 2, 3, 4])
    assert (other.box, left.xyz, left.K) == (None, None, None)


@pytest.fixture
def onehand(tmp_path, picture):
    images = [{"id": i, "file_name": f"Test/source/{i}.jpg"} for i in range(2)]
    hands = [{"image_id": i, "keypoints": hand(10 * i), "bbox": [5.0, 6, 7, 8]} for i in range(2)]
    save(tmp_path / "annotations/onehand10k_test.json", images, hands)
    for i in range(2):
        picture(tmp_path / f"Test/source/{i}.jpg")
    return tmp_path


def test_onehand10k(onehand):
    sequence = open_dataset(onehand)
    assert (sequence.name, len(sequence.frames)) == ("OneHand10K test", 2)
    assert_allclose(sequence.frames[1].uv, JOINTS[:, :2] + [10, 0])
    assert sequence.frames[1].handedness is None and sequence.frames[1].read().shape == (8, 8, 3)


def test_a_json_file_of_ones_own_finds_its_pictures(onehand):
    file = onehand / "annotations/onehand10k_test.json"
    assert len(open_dataset(file).frames) == 2  # pictures below the folder above
    assert open_dataset(file.rename(onehand / "mine.json")).name == "mine"  # and beside it


def test_nan_joints_become_unlabelled_and_are_said(onehand, caplog):
    images = [{"id": 0, "file_name": "Test/source/0.jpg"}]
    joints = hand()
    joints[3 * 5] = float("nan")
    save(
        onehand / "annotations/onehand10k_test.json",
        images,
        [{"image_id": 0, "keypoints": joints, "bbox": [0, 0, 1, 1]}],
    )
    frame = open_dataset(onehand).frames[0]
    assert np.isnan(frame.uv[5]).all() and np.isfinite(np.delete(frame.uv, 5, axis=0)).all()
    assert "OneHand10K: 1 joints of 1 frames have NaN or infinite 2D values" in caplog.text


def test_what_is_missing_or_broken_is_named(coco, onehand):
    with pytest.raises(SemihandError, match="annotations/coco_wholebody_train_v1.0.json"):
        open_dataset(coco, "coco-wholebody", "train")
    (coco / "val2017/000000000010.jpg").unlink()
    with pytest.raises(SemihandError, match=r"000000000010.jpg is missing \(1 of 3 are\)"):
        open_dataset(coco, "coco-wholebody")
    file = onehand / "annotations/onehand10k_test.json"
    note = {"image_id": 0, "keypoints": hand(), "bbox": [0, 0, 1, 1]}
    images = [{"id": 0, "file_name": "Test/source/0.jpg"}]
    for change, message in (
        ({"image_id": 4}, "labels the picture 4, which is not among its images"),
        ({"keypoints": hand()[:60]}, r"has the shape \(1, 60\)"),
        ({"bbox": [1, 2]}, r"bbox of picture 0 .* \(2,\)"),
    ):
        save(file, images, [note | change])
        with pytest.raises(SemihandError, match=message):
            open_dataset(onehand, "onehand10k")
    save(file, images, [])
    with pytest.raises(SemihandError, match="holds no labelled picture"):
        open_dataset(onehand, "onehand10k")
    file.write_text('{"images": {}, "annotations": []}')
    with pytest.raises(SemihandError, match="images in .* is a dict where a list is expected"):
        open_dataset(onehand, "onehand10k")
    file.write_text("[]")
    with pytest.raises(SemihandError, match="has no field 'images'"):
        open_dataset(onehand, "onehand10k")
