"""The overlay: drawn where the hand is, mirrored on demand, and the picture itself stays as it is."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.camera import crop_camera, default_intrinsics
from semihand.tracker.draw import FINGER_COLORS, SIDE_COLORS, confidence_color, draw
from semihand.tracker.types import HandBox, HandPose

K = default_intrinsics(320, 240)
BLACK = np.zeros((240, 320, 3), np.uint8)


def pose(center=(100.0, 120.0), side=128.0, mirrored=False, mask=None, roll=0.0) -> HandPose:
    rng = np.random.default_rng(0)
    crop = crop_camera(K, center, side, roll, mirrored)
    grid = rng.uniform(16, 48, (21, 2))
    return HandPose(
        id=3,
        handedness="left" if mirrored else "right",
        score=0.87,
        uv_image=crop.uv_to_image(grid),
        xyz_cam=np.zeros((21, 3)),
        depth_rel=np.zeros(21),
        confidence=np.full(21, 0.9),
        mask_crop=np.zeros((64, 64)) if mask is None else mask,
        image_to_crop=crop.image_to_crop,
        box=HandBox(np.array(center), side, roll),
    )


def has_color(picture, uv, color, radius=3) -> bool:
    u, v = np.rint(uv).astype(int)
    part = (
        picture[max(v - radius, 0) : v + radius + 1, max(u - radius, 0) : u + radius + 1]
        .reshape(-1, 3)
        .astype(int)
    )
    return bool((np.abs(part - color).max(axis=1) < 40).any())


def test_joints_and_bones_are_where_the_hand_is():
    hand = pose()
    picture = draw(BLACK, [hand])
    for joint in range(21):
        assert has_color(picture, hand.uv_image[joint], confidence_color(0.9))
    for finger, joint in enumerate((3, 7, 11, 15, 19)):
        middle = (hand.uv_image[joint] + hand.uv_image[joint + 1]) / 2
        assert has_color(picture, middle, FINGER_COLORS[finger])
    assert not BLACK.any()


@pytest.mark.parametrize("mirrored,roll", [(False, 0.0), (True, 0.0), (False, 0.8)])
def test_mask_tints_its_own_pixels_only(mirrored, roll):
    mask = np.zeros((64, 64))
    mask[20:30, 40:60] = 1
    hand = pose(mirrored=mirrored, mask=mask, roll=roll)
    picture = draw(BLACK, [hand])
    crop = crop_camera(K, hand.box.center, hand.box.side, roll, mirrored)
    inside = np.rint(crop.uv_to_image(np.array([[50.0, 25.0]]))[0]).astype(int)
    tint = 0.35 * np.array(SIDE_COLORS[hand.handedness])
    untouched = draw(BLACK, [pose(mirrored=mirrored, roll=roll)])
    assert_allclose(picture[inside[1], inside[0]], tint, atol=4)
    changed = np.argwhere((picture != untouched).any(axis=2))[:, ::-1]
    grid = crop.uv_to_crop(changed)
    assert grid[:, 0].min() > 38 and grid[:, 0].max() < 61 and grid[:, 1].min() > 18 and grid[:, 1].max() < 31


def test_mirror_flips_picture_and_hands_but_not_the_writing():
    image = np.random.default_rng(1).integers(0, 60, (240, 320, 3), np.uint8)
    mask = np.zeros((64, 64))
    mask[10:50, 10:30] = 1
    hand = pose(mask=mask)
    plain, mirrored = draw(image, [hand]), draw(image, [hand], mirror=True)
    flipped = cv2.flip(mirrored, 1)
    below = slice(int(hand.uv_image[:, 1].min()) + 2, None)  # under the label
    assert np.abs(plain[below].astype(int) - flipped[below]).mean() < 0.5
    for joint in range(21):
        u, v = hand.uv_image[joint]
        assert has_color(mirrored, (319 - u, v), confidence_color(0.9))
    text = draw(BLACK, [], fps=30, latency_ms=5)
    assert_allclose(draw(BLACK, [], mirror=True, fps=30, latency_ms=5), text)
    assert text[:30, :160].any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 2000, 3), (240, 320, 3)])
@pytest.mark.parametrize("center", [(100.0, 120.0), (-500.0, 5.0), (1e5, -1e5)])
def test_nothing_breaks_on_odd_pictures_and_hands_outside(shape, center):
    picture = draw(np.zeros(shape, np.uint8), [pose(center, mask=np.ones((64, 64)))], fps=10, latency_ms=1)
    assert picture.shape == shape


def test_confidence_colors():
    assert confidence_color(0.0) == (0, 0, 255)
    assert confidence_color(0.5) == (0, 255, 255)
    assert confidence_color(1.0) == (0, 255, 0)
    assert confidence_color(-3) == confidence_color(0.0)
