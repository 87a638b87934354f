"""Palm detection and hand landmarks: geometry by hand, and real pictures against MediaPipe's own answers."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.models import joints
from semihand.tracker import detect, palm
from semihand.tracker.detect import HandDetector, HandLandmarker, landmark_result, letterbox, open_session
from semihand.tracker.palm import (
    ALL_VIEWS,
    PLAIN,
    PalmConfig,
    View,
    box_from_landmarks,
    box_from_palm,
    decode_palms,
    weighted_nms,
)
from semihand.tracker.types import HandBox

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("SEMIHAND_SHARED", HERE.parents[1] / "../shared"))
READING = json.loads((HERE / "mediapipe_reading.json").read_text())["pictures"]


@pytest.fixture(scope="module")
def detector():
    return HandDetector()


@pytest.fixture(scope="module")
def landmarker():
    return HandLandmarker()


def palm_row(x, y, width, height, wrist=(0, 0), middle=(0, 0)):
    keypoints = np.zeros((7, 2))
    keypoints[palm.WRIST_KEYPOINT], keypoints[palm.MIDDLE_MCP_KEYPOINT] = wrist, middle
    return np.concatenate([[x, y, width, height], keypoints.ravel()])


def test_anchors_lie_in_cell_centers_row_by_row():
    anchors = palm.palm_anchors()
    assert anchors.shape == (2016, 2)
    # 24 x 24 cells of 8 px with two anchors each, then 12 x 12 cells of 16 px with six each.
    assert_allclose(anchors[[0, 1, 2, 3, 48, 1151]], [[4, 4], [4, 4], [12, 4], [12, 4], [4, 12], [188, 188]])
    assert_allclose(anchors[[1152, 1157, 1158, 1152 + 72, 2015]], [[8, 8], [8, 8], [24, 8], [8, 24], [184, 184]])


def test_decode_adds_the_anchor_to_center_and_keypoints_only():
    raw, logits = np.zeros((2016, 18), np.float32), np.full(2016, -200.0, np.float32)
    raw[50] = np.arange(18)
    logits[50] = np.log(0.8 / 0.2)
    anchors = palm.palm_anchors()
    palms, scores = decode_palms(raw, logits, anchors, min_score=0.5)
    assert_allclose(scores, [0.8], rtol=1e-6)
    x, y = anchors[50]
    expected = np.arange(18) + np.array([x, y, 0, 0] + [x, y] * 7)
    assert_allclose(palms, [expected])


def test_decode_drops_boxes_of_negative_size():
    raw, logits = np.zeros((2016, 18), np.float32), np.full(2016, 5.0, np.float32)
    raw[1:, 2] = -1
    palms, scores = decode_palms(raw, logits, palm.palm_anchors(), min_score=0.5)
    assert palms.shape == (1, 18) and scores.shape == (1,)


def test_weighted_nms_averages_by_score_and_keeps_the_best_score():
    # Same size, 2 px apart: IoU 8/12 > .3. The third is far away and stays alone.
    rows = np.stack([palm_row(50, 50, 10, 10), palm_row(150, 50, 10, 10), palm_row(52, 50, 10, 10)])
    merged, scores = weighted_nms(rows, np.array([0.6, 0.7, 0.9]), min_iou=0.3)
    assert_allclose(scores, [0.9, 0.7])
    assert_allclose(merged[0], palm_row((0.6 * 50 + 0.9 * 52) / 1.5, 50, 10, 10))
    assert_allclose(merged[1], rows[1])


def test_nms_compares_with_the_best_palm_not_with_the_merged_one():
    # A-B and B-C overlap by IoU .43 (4 of 10 px apart), A-C only by .11: C survives beside A.
    rows = np.stack([palm_row(x, 50, 10, 10) for x in (50, 54, 58)])
    merged, _ = weighted_nms(rows, np.array([0.9, 0.8, 0.7]), min_iou=0.3)
    assert len(merged) == 2
    assert_allclose(merged[1], rows[2])


def test_nms_of_nothing():
    merged, scores = weighted_nms(np.zeros((0, 18)), np.zeros(0), 0.3)
    assert merged.shape == (0, 18) and scores.shape == (0,)


def test_iou_of_empty_boxes_is_zero():
    assert_allclose(palm.box_iou(palm_row(5, 5, 0, 0), np.stack([palm_row(5, 5, 0, 0)])), [0])


def test_palm_box_upright():
    box = box_from_palm(palm_row(100, 80, 40, 30, wrist=(100, 95), middle=(100, 65)), 0.7)
    # Up by half the height of 30, side 2.6 times the longer side of 40.
    assert_allclose(box.center, [100, 65])
    assert (box.side, box.roll, box.score, box.handedness) == (pytest.approx(104), 0, 0.7, None)


def test_palm_box_turned_to_the_right():
    box = box_from_palm(palm_row(100, 80, 40, 30, wrist=(90, 80), middle=(120, 80)), 0.7)
    assert box.roll == pytest.approx(np.pi / 2)  # fingers to the right: a quarter turn clockwise
    assert_allclose(box.center, [115, 80])


@pytest.mark.parametrize("roll", [0, 0.5, np.pi / 2, -2.5])
def test_box_from_landmarks_turns_with_the_hand(roll):
    uv = np.zeros((21, 2))
    uv[joints.WRIST] = [0, 60]
    mcps = [joints.INDEX_MCP, joints.MIDDLE_MCP, joints.RING_MCP, joints.LITTLE_MCP]
    uv[mcps] = [[-20, 0], [0, -5], [20, 10], [30, 12]]
    uv[list(joints.TIPS)] = [500, 500]  # tips don't count
    turned = uv @ palm.rotation(roll).T + [300, 200]
    box = box_from_landmarks(turned)
    # Before the turn the direction from the wrist to the mean of the MCPs (0, 0) is exactly up.
    assert_allclose([np.cos(box.roll), np.sin(box.roll)], [np.cos(roll), np.sin(roll)], atol=1e-9)
    # Upright extent: x -20..30, y -5..60; side 2 x 65, center 6.5 above the middle (5, 27.5).
    assert box.side == pytest.approx(130)
    assert_allclose(box.center, palm.rotation(roll) @ [5, 21] + [300, 200])


def test_crop_of_a_turned_box_shows_the_hand_upright():
    box = HandBox(np.array([100.0, 50.0]), 80.0, np.pi / 2)
    to_crop = palm.image_to_crop(box, 224)
    # The box's middle, and the point half a side to the right of it (where the fingers point).
    assert_allclose(to_crop @ [100, 50, 1], [112, 112])
    assert_allclose(to_crop @ [140, 50, 1], [112, 0], atol=1e-9)


@pytest.mark.parametrize("roll", [0.0, 0.7, -3.0])
def test_landmarks_return_to_the_picture(roll):
    box = HandBox(np.array([320.0, 200.0]), 150.0, roll)
    uv_image = np.random.default_rng(0).uniform(100, 300, (21, 2))
    crop = np.column_stack([uv_image, np.ones(21)]) @ palm.image_to_crop(box, 224).T
    output = np.column_stack([crop, np.full(21, 22.4)]).astype(np.float32).ravel()
    up = np.tile([0.0, -0.1, 0.02], 21).astype(np.float32)
    result = landmark_result(output, 0.9, 0.2, up, box)
    assert_allclose(result.uv_image, uv_image, atol=1e-3)
    assert_allclose(result.depth, np.full(21, 0.1 * 150 / 0.4), rtol=1e-5)
    assert_allclose(result.xyz_world[0], [0.1 * np.sin(roll), -0.1 * np.cos(roll), 0.02], atol=1e-7)
    assert (result.presence, result.handedness, result.handedness_score) == (0.9, "left", 0.8)


@pytest.mark.parametrize("size", [(640, 480), (544, 960), (1, 1)])
@pytest.mark.parametrize("pad", [0.0, 0.25])
def test_letterbox_centers_the_bordered_picture(size, pad):
    width, height = size
    to_input = letterbox(width, height, View(pad))
    assert_allclose(to_input @ [width / 2, height / 2, 1], [96, 96])
    corner = to_input @ [-pad * width, -pad * height, 1]
    assert_allclose(corner.min(), 0, atol=1e-9)
    assert corner.max() >= -1e-9


def test_letterbox_turns_clockwise():
    to_input = letterbox(640, 480, View(turn=90))
    assert_allclose(to_input @ [0, 0, 1], [168, 0], atol=1e-9)  # the upper left corner comes to the upper right
    assert_allclose(to_input @ [640, 0, 1], [168, 192], atol=1e-9)
    assert_allclose(letterbox(640, 480, View(turn=180)) @ [0, 0, 1], [192, 168], atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (480, 640), (4320, 7680)])
def test_no_hand_in_noise(detector, size):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert detector.detect(noise) == []


def test_noise_is_no_hand_for_the_landmark_model(landmarker):
    noise = np.random.default_rng(2).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    result = landmarker(noise, HandBox(np.array([150.0, 150.0]), 200.0, 0.3))
    assert result.presence < 0.1
    assert [result.uv_image.shape, result.depth.shape, result.xyz_world.shape] == [(21, 2), (21,), (21, 3)]


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3))])
def test_other_pictures_are_refused(detector, image):
    with pytest.raises(ValueError, match="uint8 picture"):
        detector.detect(image)


@pytest.mark.parametrize("wrong", [{"min_score": 0.0}, {"min_score": 1.0}, {"min_iou": 1.5}])
def test_config_refuses_values_outside(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PalmConfig(**wrong)


def test_broken_model_files_are_told_apart(tmp_path):
    with pytest.raises(SemihandError, match="is missing"):
        open_session("palm_detection", folder=tmp_path)
    whole = (detect.WEIGHTS / "palm_detection.onnx").read_bytes()
    (tmp_path / "palm_detection.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SemihandError, match="cannot be read"):
        open_session("palm_detection", folder=tmp_path)
    (tmp_path / "hand_landmark.onnx").write_bytes(whole)
    with pytest.raises(SemihandError, match="not the hand_landmark model"):
        open_session("hand_landmark", folder=tmp_path)


def read_picture(name):
    """A picture of the shared real sets; FILE#turned by a quarter counter-clockwise. Skips where missing."""
    file, _, turned = name.partition("#")
    path = SHARED / "real" / file
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    image = cv2.imread(str(path))
    return np.ascontiguousarray(np.rot90(image)) if turned else image


@pytest.mark.parametrize("name", [name for name, answer in READING.items() if answer])
def test_boxes_and_landmarks_equal_mediapipes(name, detector, landmarker):
    image, theirs = read_picture(name), READING[name]
    *center, side, roll = theirs["box"]
    boxes = detector.detect(image, views=(PLAIN,))
    assert len(boxes) == 1
    assert_allclose(boxes[0].center, center, atol=0.004 * side)
    assert_allclose([boxes[0].side, boxes[0].score], [side, theirs["score"]], rtol=0.004)
    assert_allclose(boxes[0].roll, roll, atol=0.006)

    ours = landmarker(image, HandBox(np.array(center), side, roll))
    uvz = np.array(theirs["uvz"])
    assert_allclose(ours.uv_image, uvz[:, :2], atol=0.002 * side)
    assert_allclose(ours.depth, uvz[:, 2], atol=0.004 * side)
    assert_allclose(1000 * ours.xyz_world, theirs["world_mm"], atol=1.0)
    assert ours.presence > 0.5
    assert ours.handedness == {"Left": "right", "Right": "left"}[theirs["label_if_mirrored"]]
    assert_allclose(ours.handedness_score, theirs["handedness_score"], atol=0.03)


@pytest.mark.parametrize("theirs", [answer for answer in READING.values() if answer])
def test_next_box_equals_mediapipes(theirs):
    box = box_from_landmarks(np.array(theirs["uvz"])[:, :2])
    assert_allclose([*box.center, box.side, box.roll], theirs["next_box"], atol=0.03)


def test_a_hand_that_fills_the_picture_is_found_with_a_border(detector, landmarker):
    (name,) = [name for name, answer in READING.items() if answer is None]
    image = read_picture(name)
    assert detector.detect(image, views=(PLAIN,)) == []
    (box,) = detector.detect(image)
    assert landmarker(image, box).presence > 0.5


@pytest.mark.parametrize("view", ALL_VIEWS)
def test_every_view_shows_a_hand_at_the_same_place(view, detector):
    """Of a picture turned the other way, so that in the view the hand stands as in the plain one."""
    image = np.pad(read_picture("ge-real-a/images/00124.jpg"), ((64, 64), (64, 64), (0, 0)))
    (plain,) = detector.detect(image, views=(PLAIN,))
    middle, turn = np.array(image.shape[1::-1]) / 2, palm.rotation(np.deg2rad(view.turn))
    back = np.column_stack([turn.T, middle - turn.T @ middle])
    (box,) = detector.detect(cv2.warpAffine(image, back, image.shape[1::-1]), views=(view,))
    assert_allclose(turn @ (box.center - middle) + middle, plain.center, atol=0.1 * plain.side)
    assert_allclose(box.side, plain.side, rtol=0.15)
    assert abs(np.angle(np.exp(1j * (box.roll + np.deg2rad(view.turn) - plain.roll)))) < 0.25


def test_left_hands_are_left_and_mirrored_ones_right(detector, landmarker):
    image = read_picture("ge-real-a/images/00124.jpg")
    for picture, expected in ((image, "left"), (np.ascontiguousarray(image[:, ::-1]), "right")):
        result = landmarker(picture, detector.detect(picture)[0])
        assert result.handedness == expected and result.handedness_score > 0.9


def test_at_most_the_wanted_number_of_hands_best_first(detector):
    hand = read_picture("ge-real-a/images/00124.jpg")
    wide = np.zeros((256, 1024, 3), np.uint8)
    wide[:, :256], wide[:, 384:640], wide[:, 768:] = hand, hand[:, ::-1], hand
    boxes = detector.detect(wide, max_hands=3)
    assert sorted(round(box.center[0] // 341) for box in boxes) == [0, 1, 2]
    scores = [box.score for box in boxes]
    assert scores == sorted(scores, reverse=True)
    assert [box.score for box in detector.detect(wide, max_hands=2)] == scores[:2]
