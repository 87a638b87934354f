"""Where unlabelled frames come from: sequence folders and recordings, with nothing of a label but the crop."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.adapt.frames import sources
from semihand.adapt.frames.landmarks import Landmarks
from semihand.adapt.frames.sources import SourceFrame, open_source
from semihand.datasets.sequence import SequenceWriter
from semihand.errors import SemihandError
from semihand.models.camera import crop_camera, default_intrinsics
from semihand.tracker.crop import crop_box

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8), (0, 0), 3)


def hand(center, side=40.0, turn=0.0):
    """Joints (21, 2) of an upright hand in pixels, leaning by `turn` radians."""
    uv = np.random.default_rng(1).uniform(-0.5, 0.5, (21, 2))
    uv[:3], uv[9] = [[0.0, 0.5], [-0.5, 0.1], [0.5, -0.5]], [0.05, -0.1]
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array(center) + side * uv @ np.array([[cos, sin], [-sin, cos]])


def marks(center, presence=0.9, handedness="right", **more):
    return Landmarks(hand(center, **more), np.arange(21.0), presence, handedness, np.zeros(21))


def observer(*hands):
    """A landmark model that sees these hands, the surest first."""
    return lambda image: sorted(hands, key=lambda one: -one.presence)


@pytest.fixture
def sequence(tmp_path):
    """sequence(frames, **header): a folder of pictures with these labels."""

    def build(frames, name="seq", **header):
        with SequenceWriter(tmp_path / name, **header) as writer:
            for labels in frames:
                writer.add(PICTURE, **labels)
        return tmp_path / name

    return build


def test_frames_without_labels_take_the_surest_hand(sequence):
    folder = sequence([{}, {}], fps=20.0)
    frames = open_source(folder, observer=observer(marks((40, 60), 0.7, "left"), marks((110, 60), 0.95)))
    assert [frame.time for frame in frames] == [0.0, 0.05] and [frame.segment for frame in frames] == [0, 0]
    assert all(frame.handedness == "right" and frame.square is None for frame in frames)
    assert_allclose(frames[0].landmarks.uv_image, hand((110, 60)))
    assert frames[0].read().shape == PICTURE.shape


def test_loose_pictures_are_takes_of_their_own(sequence):
    frames = open_source(sequence([{}, {}, {}]), observer=observer(marks((80, 60))))
    assert len({frame.segment for frame in frames}) == len({frame.time for frame in frames}) == 3


def test_the_label_says_which_hand_is_meant(sequence):
    folder = sequence([{"uv": hand((42, 58))}, {"uv": hand((20, 20), 15.0)}])
    frames = open_source(folder, observer=observer(marks((40, 60), 0.7, "left"), marks((110, 60), 0.95)))
    assert len(frames) == 1  # nobody stands where the second label is
    assert_allclose(frames[0].landmarks.uv_image, hand((40, 60)))
    assert frames[0].handedness == "left" and frames[0].square is None


def test_detector_crops_are_the_trackers(sequence):
    K = np.array([[200.0, 0, 79.5], [0, 200.0, 59.5], [0, 0, 1]])
    (frame,) = open_source(sequence([{"K": K}]), observer=observer(marks((50, 70), handedness="left", turn=0.9)))
    box = crop_box(hand((50, 70), turn=0.9), 1.4, None)
    assert box.roll != 0
    wanted = crop_camera(K, box.center, box.side, box.roll, mirrored=True)
    for crop in (frame.crop(1.4), frame.crop_round(hand((50, 70), turn=0.9), 1.4)):
        assert_allclose(crop.image_to_crop, wanted.image_to_crop, atol=1e-9)
        assert crop.mirrored
    moved = frame.crop_round(hand((90, 50)), 1.4)
    assert np.abs(moved.image_to_crop - wanted.image_to_crop).max() > 0.1 and moved.mirrored


def test_label_crops_use_the_labelled_box_and_side_alone(sequence):
    """The landmark model is elsewhere and of another mind: it keeps its marks, but does not place the crop."""
    uv = hand((60, 60))
    uv[7] = np.nan
    folder = sequence([{"uv": uv, "handedness": "left"}])
    (frame,) = open_source(folder, "label", observer(marks((66, 62), handedness="right")))
    low, high = np.nanmin(uv, 0), np.nanmax(uv, 0)
    center, side = frame.square
    assert_allclose(center, (low + high) / 2, atol=1e-3)
    assert side == pytest.approx((high - low).max(), abs=1e-3)
    assert frame.handedness == "left" and frame.landmarks.handedness == "right"
    wanted = crop_camera(default_intrinsics(160, 120), center, 1.4 * side, mirrored=True)
    assert_allclose(frame.crop(1.4).image_to_crop, wanted.image_to_crop, atol=1e-9)


def test_label_crops_need_no_landmarks(sequence):
    folder = sequence([{"uv": hand((60, 60)), "handedness": "left"}, {"uv": hand((60, 60))}, {}])
    frames = open_source(folder, "label", observer())
    assert [frame.handedness for frame in frames] == ["left", "right"]
    assert all(frame.landmarks is None for frame in frames)
    with pytest.raises(SemihandError, match="No hand was found in the 3 pictures"):
        open_source(folder, "detector", observer())


def test_unknown_intrinsics_are_assumed_from_the_picture(sequence):
    (frame,) = open_source(sequence([{}]), observer=observer(marks((80, 60))))
    assert frame.K is None
    assert_allclose(frame.intrinsics, default_intrinsics(160, 120))


def test_a_recording_keeps_its_takes_and_cameras(tmp_path, monkeypatch):
    K = np.array([[300.0, 0, 10], [0, 300.0, 20], [0, 0, 1]])
    recorded = [
        SimpleNamespace(image=tmp_path / f"{i}.jpg", time=i / 30, segment=i // 2, handedness="left", K=K + i,
                        uv_image=hand((60, 60)) + i, depth=np.arange(21.0), presence=0.8)
        for i in range(4)
    ]  # fmt: skip
    monkeypatch.setattr(sources, "read_recording", lambda path: SimpleNamespace(frames=recorded))
    frames = open_source(tmp_path)
    assert [frame.segment for frame in frames] == [0, 0, 1, 1]
    assert all(isinstance(frame, SourceFrame) and frame.square is None for frame in frames)
    assert_allclose(frames[3].intrinsics, K + 3)
    assert_allclose(frames[3].landmarks.uv_image, hand((60, 60)) + 3)
    assert (frames[0].landmarks.presence, frames[0].landmarks.handedness) == (0.8, "left")
    assert frames[3].crop(1.4).mirrored


def test_what_is_no_source_is_one_sentence(tmp_path, sequence):
    with pytest.raises(SemihandError, match="'all' are unknown: detector or label"):
        open_source(sequence([{}]), "all", observer())
    (tmp_path / "empty").mkdir()
    with pytest.raises(SemihandError, match="no data set.*Leave --crop out"):
        open_source(tmp_path / "empty", "label")
    with pytest.raises(SemihandError):
        open_source(tmp_path / "empty")


def test_a_published_data_set_is_a_source_of_pictures(tmp_path):
    """In OneHand10K's layout, the last of four pictures without a hand to be seen where its label has one."""
    places = [(70, 60), (72, 60), (74, 60), (10, 10)]
    (tmp_path / "annotations").mkdir()
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), PICTURE)
    labels = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)],
        "annotations": [
            {
                "image_id": i,
                "bbox": [*place, 9, 9],
                "keypoints": np.column_stack([hand(place, 30), np.full(21, 2)]).ravel().tolist(),
            }
            for i, place in enumerate(places)
        ],
    }
    (tmp_path / "annotations/onehand10k_train.json").write_text(json.dumps(labels))
    sees = observer(marks((72, 60)), marks((130, 20), 0.95))
    frames = open_source(tmp_path, observer=sees, split="train")
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert_allclose(frames[0].landmarks.uv_image, hand((72, 60)))
    assert [frame.image.name for frame in open_source(tmp_path, observer=sees, split="train", limit=2)] == ["0.jpg"]
    with pytest.raises(SemihandError, match="test"):
        open_source(tmp_path, observer=sees)
