"""YouTube-3D-Hands: the published annotation with the frames a user extracted."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.open import open_dataset
from semihand.errors import SemihandError

TIPS, TIP_VERTICES = [4, 8, 12, 16, 20], [744, 320, 443, 555, 672]
MESH = np.stack([np.arange(778.0), 2 * np.arange(778.0), np.zeros(778)], axis=1)
ROOT = "youtube/abc/video/frames"


def annotation():
    images = [{"id": 7 + i, "name": f"{ROOT}/{i}.png", "width": 16, "height": 12} for i in range(3)]
    notes = [
        {"id": 0, "image_id": 8, "is_left": 1, "vertices": MESH.tolist()},
        {"id": 1, "image_id": 7, "is_left": 0, "vertices": (MESH + 1).tolist()},
        {"id": 2, "image_id": 9, "is_left": 0, "vertices": MESH.tolist()},
    ]
    return {"images": images, "annotations": notes}


@pytest.fixture
def folder(tmp_path, picture):
    """Two of the test split's three frames, in the annotated size."""
    (tmp_path / "youtube_test.json").write_text(json.dumps(annotation()))
    for i in range(2):
        picture(tmp_path / ROOT / f"{i}.png", (16, 12))
    return tmp_path


def test_fingertips_boxes_and_hands_without_the_licensed_regressor(folder, caplog):
    sequence = open_dataset(folder)
    assert [frame.image.name for frame in sequence.frames] == ["1.png", "0.png"]
    assert [frame.handedness for frame in sequence.frames] == ["left", "right"]
    frame = sequence.frames[0]
    assert_allclose(frame.uv[TIPS], MESH[TIP_VERTICES, :2])
    assert np.isnan(np.delete(frame.uv, TIPS, axis=0)).all()
    assert_allclose(frame.box, [0, 0, 777, 1554])
    assert (frame.xyz, frame.K, frame.gesture, sequence.note) == (None, None, "abc", "fingertips only")
    assert "joint_regressor.npy is missing, so only fingertips" in caplog.text
    assert "1 of 3 frames are missing, first" in caplog.text and "NaN" not in caplog.text


def test_all_joints_with_the_regressor(folder):
    regressor = np.zeros((16, 778))
    regressor[np.arange(16), 10 * np.arange(16)] = 1  # MANO joint j is vertex 10 j
    np.save(folder / "joint_regressor.npy", regressor)
    uv = open_dataset(folder).frames[0].uv
    mano = {0: 0, 5: 1, 7: 3, 9: 4, 11: 6, 17: 7, 19: 9, 13: 10, 15: 12, 1: 13, 3: 15}
    for joint, number in mano.items():
        assert_allclose(uv[joint], [10 * number, 20 * number])
    assert_allclose(uv[TIPS], MESH[TIP_VERTICES, :2])
    np.save(folder / "joint_regressor.npy", regressor.T)
    with pytest.raises(SemihandError, match=r"has the shape \(778, 16\)"):
        open_dataset(folder)
    (folder / "joint_regressor.npy").write_text("no array")
    with pytest.raises(SemihandError, match="is no array of numbers"):
        open_dataset(folder)


def test_labels_follow_the_size_of_the_extracted_frames(folder, picture):
    for i in range(2):
        picture(folder / ROOT / f"{i}.png", (32, 36))
    assert_allclose(open_dataset(folder).frames[0].uv[TIPS], MESH[TIP_VERTICES, :2] * [2, 3])


def test_what_is_missing_or_broken_is_named(folder):
    with pytest.raises(SemihandError, match="holds no youtube_train.json and no data/youtube_train.json"):
        open_dataset(folder, split="train")
    data = annotation()
    del data["annotations"][1]["is_left"]
    (folder / "youtube_test.json").write_text(json.dumps(data))
    with pytest.raises(SemihandError, match="entry 1 has no field 'is_left'"):
        open_dataset(folder)
    data = annotation()
    data["annotations"][0]["vertices"] = data["annotations"][0]["vertices"][:700]
    (folder / "youtube_test.json").write_text(json.dumps(data))
    with pytest.raises(SemihandError, match=r"vertices of annotation 0 .* \(700, 3\)"):
        open_dataset(folder)
    for i in range(2):
        (folder / ROOT / f"{i}.png").unlink()
    with pytest.raises(SemihandError, match="no extracted frame is there: .*0.png is missing"):
        open_dataset(folder)
