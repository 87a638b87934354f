"""Boxes round joints: roll, size, motion ahead, overlap."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.camera import crop_camera, default_intrinsics
from semihand.models.joints import MIDDLE_MCP, WRIST
from semihand.tracker.crop import (
    CropConfig,
    ahead,
    crop_box,
    joint_distance,
    joints_box,
    moving_factor,
    overlap,
    share_inside,
    tight_box,
    wrap,
)
from semihand.tracker.palm import STEADY_JOINTS

RNG = np.random.default_rng(0)


def hand(roll: float = 0.0, center=(300.0, 200.0), size: float = 100.0) -> np.ndarray:
    """21 joints in a rectangle 0.6 wide and 1 high, fingers along `roll`."""
    uv = RNG.uniform((-0.3, -0.5), (0.3, 0.5), (21, 2))
    uv[WRIST], uv[MIDDLE_MCP], uv[12] = (0, 0.5), (0, 0), (0, -0.5)
    uv[4], uv[20] = (0.3, 0), (-0.3, 0)
    c, s = math.cos(roll), math.sin(roll)
    return (size * uv) @ np.array([[c, s], [-s, c]]) + center


EXACT = CropConfig(slack=0.0, max_room=1.0)


@pytest.mark.parametrize("roll", [0.0, 0.5, -1.2, 3.0])
def test_box_follows_the_roll_and_keeps_its_size(roll):
    box = crop_box(hand(roll), 1.5, None, EXACT)
    assert_allclose(box.roll, roll, atol=1e-9)
    assert_allclose(box.side, 150.0, atol=1e-6)
    assert_allclose(box.center, (300, 200), atol=1e-6)


def test_turned_hand_comes_upright_out_of_the_crop():
    uv = hand(roll=1.0, center=(319.5, 239.5))  # fingers to the right and up
    box = crop_box(uv, 1.5, None, EXACT)
    crop = crop_camera(default_intrinsics(640, 480), box.center, box.side, box.roll)
    grid = crop.uv_to_crop(uv)
    assert abs(grid[WRIST, 0] - grid[MIDDLE_MCP, 0]) < 0.2
    assert grid[WRIST, 1] - grid[MIDDLE_MCP, 1] > 15


def test_not_upright_is_the_plain_square_round_the_joints():
    uv = hand(roll=0.7)
    box = crop_box(uv, 2.0, None, CropConfig(upright=False, max_room=1.0))
    assert box.roll == 0.0
    assert_allclose(box.side, 2 * np.ptp(uv, axis=0).max())
    assert_allclose(box.center, (uv.min(axis=0) + uv.max(axis=0)) / 2)


def test_roll_rests_within_the_slack_and_follows_beyond_it():
    config = CropConfig(slack=0.2)
    assert crop_box(hand(0.15), 1.5, 0.0, config).roll == 0.0
    assert_allclose(crop_box(hand(0.5), 1.5, 0.0, config).roll, 0.3, atol=1e-9)
    assert_allclose(crop_box(hand(-0.5), 1.5, 0.0, config).roll, -0.3, atol=1e-9)
    # Across the half turn the short way counts.
    assert_allclose(crop_box(hand(-3.0), 1.5, 3.0, config).roll, wrap(-3.0 - 0.2), atol=1e-9)


def test_a_fist_has_room_to_open():
    """Tips folded onto the palm: the crop is that of the same hand with stretched fingers, as far as allowed."""
    uv = hand(roll=0.7)
    fist = uv.copy()
    fist[[8, 12, 16, 20]] = uv[[5, 9, 13, 17]]
    config = CropConfig(slack=0.0)
    plain = joints_box(fist, 1.5, 0.7)
    roomy = crop_box(fist, 1.5, None, config)
    assert plain.side < roomy.side <= 1.2300001 * plain.side
    room = (roomy.side - plain.side) / 2
    toward_tips = (roomy.center - plain.center) @ (math.sin(0.7), -math.cos(0.7))
    assert_allclose(toward_tips, room / 2, atol=1e-9)
    generous = crop_box(fist, 1.5, None, CropConfig(slack=0.0, max_room=5.0))
    steady = joints_box(fist[list(STEADY_JOINTS)], 2.0, 0.7)
    assert_allclose(generous.side, max(steady.side, plain.side))


def test_a_hand_that_points_at_the_camera_keeps_its_roll():
    uv = hand()
    uv[MIDDLE_MCP] = uv[WRIST] + (3, 0)
    assert crop_box(uv, 1.5, 0.4).roll == 0.4
    assert crop_box(uv, 1.5, None).roll == 0.0


def test_one_point_still_has_a_box():
    box = joints_box(np.full((21, 2), 7.0), 2.0)
    assert box.side > 0
    assert_allclose(box.center, 7.0)


def test_ahead_moves_by_lead_and_no_further_than_allowed():
    uv, config = hand(), CropConfig(lead=0.5, max_lead=0.1, max_move=0.5)
    assert_allclose(ahead(uv, np.array([100.0, 0]), 0.04, config) - uv, np.tile([2.0, 0], (21, 1)))
    assert_allclose(ahead(uv, np.array([100.0, 0]), 5.0, config) - uv, np.tile([5.0, 0], (21, 1)))
    moved = ahead(uv, np.array([0.0, 1e6]), 0.1, config) - uv
    assert_allclose(np.hypot(*moved[0]), 0.5 * np.ptp(uv, axis=0).max())
    assert_allclose(ahead(uv, np.array([100.0, 0]), -1.0, config), uv)


@pytest.mark.parametrize(
    "factor,moved,expected", [(1.2, 0, 1.2), (1.2, 0.1, 1.3), (1.2, 0.2, 1.4), (1.2, 5, 1.4), (1.6, 5, 1.6)]
)
def test_a_tight_crop_grows_with_the_motion(factor, moved, expected):
    assert_allclose(moving_factor(factor, moved, CropConfig(moving_factor=1.4, full_speed=0.2)), expected)


@pytest.mark.parametrize("angle,expected", [(0, 0), (4, 4 - 2 * math.pi), (-4, 2 * math.pi - 4), (math.pi, math.pi)])
def test_wrap(angle, expected):
    assert_allclose(wrap(angle), expected)


def test_overlap_by_hand():
    a = np.array([[0.0, 0], [10, 10]])
    assert_allclose(overlap(a, a + (5, 0)), 50 / 150)
    assert overlap(a, a + (20, 0)) == 0.0
    assert_allclose(overlap(a, a), 1.0)


def test_joint_distance_is_relative_to_the_smaller_hand():
    a = hand(size=100.0)
    assert_allclose(joint_distance(a, a + (30, 40)), 0.5)
    assert_allclose(joint_distance(a + (30, 40), a), 0.5)


def test_share_inside_the_picture():
    uv = np.array([[90.0, 40.0], [109.0, 60.0]])  # 19 wide, of which 9.5 up to the edge at 99.5
    assert_allclose(share_inside(uv, 100, 100), 0.5)
    assert share_inside(uv + 500, 100, 100) == 0.0
    assert_allclose(share_inside(uv - (50, 0), 100, 100), 1.0)
    assert tight_box(uv) == (90.0, 40.0, 19.0, 20.0)
