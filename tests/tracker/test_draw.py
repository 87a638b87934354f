"""The overlay: drawn where the hand is, mirrored on demand, faded where doubtful, and the picture itself stays as it is."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.camera import crop_camera, default_intrinsics
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS, TIPS
from semihand.tracker import draw as draw_module
from semihand.tracker.draw import EDGE_COLOR, FINGER_COLORS, PARTS, UNSURE, Look, draw, label
from semihand.tracker.types import HandBox, HandPose

REFERENCE = Path(__file__).parent / "overlay_reference.png"
K = default_intrinsics(320, 240)
BLACK = np.zeros((240, 320, 3), np.uint8)
BONES_ALONE = Look.of("none")


def open_hand() -> np.ndarray:
    """Joints (21, 2) of an open right hand on the 64-grid."""
    directions = np.deg2rad([60, 15, 0, -15, -30])
    uv = np.zeros((21, 2))
    for (parent, child), length in zip(BONES, PRIOR_BONE_LENGTHS):
        angle = directions[(child - 1) // 4]
        uv[child] = uv[parent] + length * np.array([np.sin(angle), -np.cos(angle)])
    return 31.5 + (uv - (uv.min(axis=0) + uv.max(axis=0)) / 2) * (44 / np.ptp(uv, axis=0).max())


def pose(center=(100.0, 120.0), side=128.0, mirrored=False, mask=None, roll=0.0, sure=0.9) -> HandPose:
    crop = crop_camera(K, center, side, roll, mirrored)
    return HandPose(
        id=3,
        handedness="left" if mirrored else "right",
        score=sure,
        uv_image=crop.uv_to_image(open_hand()),
        xyz_cam=np.zeros((21, 3)),
        depth_rel=np.zeros(21),
        confidence=np.full(21, sure),
        mask_crop=np.zeros((64, 64)) if mask is None else mask,
        image_to_crop=crop.image_to_crop,
        box=HandBox(np.array(center), side, roll),
    )


def has_color(picture, uv, color, radius=3) -> bool:
    u, v = np.rint(uv).astype(int)
    part = picture[max(v - radius, 0) : v + radius + 1, max(u - radius, 0) : u + radius + 1].reshape(-1, 3).astype(int)
    return bool((np.abs(part - color).max(axis=1) < 40).any())


def overlay(shift: float = 0.0) -> np.ndarray:
    """What the reference picture shows: a sure hand and a doubtful one with masks, labels and speed on grey."""
    yy, xx = np.mgrid[:64, :64]
    mask = (np.hypot(xx - 31.5, yy - 36) < 24).astype(float)
    left = pose((90.0 + shift, 110.0), mask=mask)
    right = pose((230.0, 120.0), mirrored=True, mask=mask, sure=0.4, roll=0.3)
    return draw(np.full((240, 320, 3), 120, np.uint8), [left, right], fps=30, latency_ms=9)


def test_the_overlay_looks_like_the_reference_picture():
    expected = cv2.imread(str(REFERENCE)).astype(int)
    difference = np.abs(overlay().astype(int) - expected)
    assert difference.mean() < 1.0 and np.quantile(difference, 0.99) < 30
    assert np.abs(overlay(shift=3).astype(int) - expected).mean() > 3  # three pixels would be seen


def test_joints_and_bones_are_where_the_hand_is():
    hand = pose()
    picture = draw(BLACK, [hand])
    for finger in range(5):
        joints = hand.uv_image[1 + 4 * finger : 5 + 4 * finger]
        for place in (*joints, *(joints[1:] + joints[:-1]) / 2):
            assert has_color(picture, place, FINGER_COLORS[finger])
    assert not BLACK.any()


@pytest.mark.parametrize("ground", [0, 255])
def test_every_finger_is_seen_on_light_and_on_dark(ground):
    hand = pose()
    picture = draw(np.full((240, 320, 3), ground, np.uint8), [hand], look=BONES_ALONE)
    for finger in range(5):
        middle = hand.uv_image[[3 + 4 * finger, 4 + 4 * finger]].mean(axis=0)
        assert has_color(picture, middle, FINGER_COLORS[finger], 1)
        assert ground == 0 or has_color(picture, middle, (30, 26, 24), 4)  # the rim


def test_one_palette_in_which_nothing_is_taken_for_another():
    colors = np.array([*FINGER_COLORS, EDGE_COLOR], np.uint8)
    lab = cv2.cvtColor(colors[None].astype(np.float32) / 255, cv2.COLOR_BGR2Lab)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[~np.eye(len(lab), dtype=bool)]
    assert apart.min() > 40  # in CIELAB, where 2.3 can just be seen


def strength(sure: float) -> float:
    hand = pose(sure=sure)
    return float(draw(BLACK, [hand], look=BONES_ALONE).astype(int).sum())


def test_doubt_fades_joint_by_joint():
    assert strength(0.1) < strength(0.3) < strength(0.45) < strength(0.9) == strength(0.5)
    assert strength(0.1) > 0.15 * strength(0.9)
    hand = pose()
    doubtful = hand.confidence.copy()
    doubtful[8] = 0.1  # the index finger's tip
    picture = draw(BLACK, [replace(hand, confidence=doubtful)])
    assert not has_color(picture, hand.uv_image[8], FINGER_COLORS[1])
    assert has_color(picture, hand.uv_image[7], FINGER_COLORS[1]) and has_color(
        picture, hand.uv_image[12], FINGER_COLORS[2]
    )


@pytest.mark.parametrize("mirrored,roll", [(False, 0.0), (True, 0.0), (False, 0.8)])
def test_mask_tints_its_own_pixels_and_has_an_edge(mirrored, roll):
    mask = np.zeros((64, 64))
    mask[20:30, 40:60] = 1
    hand = pose(mirrored=mirrored, mask=mask, roll=roll)
    ground = np.full((240, 320, 3), 120, np.uint8)
    only_mask, nothing = (draw(ground, [hand], look=look) for look in (Look.of("mask"), BONES_ALONE))
    crop = crop_camera(K, hand.box.center, hand.box.side, roll, mirrored)
    changed = np.argwhere((only_mask != nothing).any(axis=2))[:, ::-1]
    grid = crop.uv_to_crop(changed)
    assert_allclose(grid.min(axis=0), (39.5, 19.5), atol=1.2)
    assert_allclose(grid.max(axis=0), (59.5, 29.5), atol=1.2)
    assert has_color(only_mask, crop.uv_to_image(np.array([[50.0, 19.5]]))[0], EDGE_COLOR)
    inside = np.rint(crop.uv_to_image(np.array([[44.0, 25.0]]))[0]).astype(int)
    blue, green, red = only_mask[inside[1], inside[0]].astype(int)
    assert blue > green > red and red < 105  # not the colour of skin


def test_a_masks_hole_stays_clear_and_specks_are_left_out():
    mask = np.zeros((64, 64))
    mask[12:52, 12:52] = 1
    mask[26:38, 26:38] = 0
    mask[2, 60] = 1
    hand = pose(mask=mask)
    ground = np.full((240, 320, 3), 120, np.uint8)
    picture = draw(ground, [hand], look=Look.of("mask"))
    crop = crop_camera(K, hand.box.center, hand.box.side)
    away = [(u, v) for u, v in ((56.0, 56.0), (60.0, 2.0))]
    for u, v in np.rint(crop.uv_to_image(np.array(away))).astype(int):
        assert (picture[v, u] == 120).all()
    bones = draw(ground, [hand], look=BONES_ALONE)
    u, v = np.rint(crop.uv_to_image(np.array([[35.5, 28.5]]))[0]).astype(int)
    assert (picture[v, u] == bones[v, u]).all()


def test_mirror_flips_picture_and_hands_but_not_the_writing():
    image = np.random.default_rng(1).integers(0, 60, (240, 320, 3), np.uint8)
    mask = np.zeros((64, 64))
    mask[10:50, 10:30] = 1
    hand = pose(mask=mask)
    look = Look.of("mask,dots")
    plain, mirrored = draw(image, [hand], look=look), draw(image, [hand], mirror=True, look=look)
    assert np.abs(plain.astype(int) - cv2.flip(mirrored, 1)).mean() < 0.5
    text = draw(BLACK, [], fps=30, latency_ms=5)
    assert_allclose(draw(BLACK, [], mirror=True, fps=30, latency_ms=5), text)
    assert text[:30, :160].any()


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (544, 960), (3840, 2160)])
@pytest.mark.parametrize("x, y, roll", [(0.5, 0.5, 0.0), (0.5, 0.85, 0.0), (0.15, 0.2, 2.5), (0.9, 0.9, -1.2), (0.5, 0.2, 3.1)])  # fmt: skip
def test_the_label_stays_in_the_picture_and_off_the_fingertips(size, x, y, roll):
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    hand = pose((x * size[0], y * size[1]), 0.5 * min(size), roll=roll)
    text_wide, text_high = extent = draw_module.plate_size("right, unsure", draw_module.text_height(canvas))
    left, top = draw_module._label_place(canvas, hand.uv_image, extent)
    assert 0 <= left <= size[0] - text_wide and 0 <= top <= size[1] - text_high
    for u, v in hand.uv_image[list(TIPS)]:
        assert not (left < u < left + text_wide and top < v < top + text_high)


def test_the_label_says_unsure_instead_of_a_score():
    names = Look.of("labels,ids")
    assert label(pose(sure=UNSURE + 0.01), names) == "#3 right"
    assert label(pose(sure=UNSURE - 0.01), names) == "#3 right, unsure"
    assert label(pose(sure=0.2), Look.of("ids")) == "#3" and label(pose(), BONES_ALONE) == ""


def test_every_part_can_be_switched_off():
    hand = pose(mask=np.pad(np.ones((40, 40)), 12))
    full = draw(BLACK, [hand], look=Look.of(",".join(PARTS)))
    without = [draw(BLACK, [hand], look=replace(Look.of(",".join(PARTS)), **{part: False})) for part in PARTS]
    assert all((picture != full).any() for picture in without)
    with pytest.raises(ValueError, match="--show wings is unknown. Known: mask, dots, labels, ids, none."):
        Look.of("mask,wings")


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (240, 320, 3)])
@pytest.mark.parametrize("center", [(100.0, 120.0), (-500.0, 5.0), (1e5, -1e5)])
def test_nothing_breaks_on_odd_pictures_and_hands_outside(shape, center):
    hands = [pose(center, mask=np.ones((64, 64)), sure=sure) for sure in (0.1, 0.9)]
    picture = draw(np.zeros(shape, np.uint8), hands, fps=10, latency_ms=1)
    assert picture.shape == shape
