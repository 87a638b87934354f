"""The pose sampler and the contact geometry under it."""

import time

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.synth.contact import FLESH, penetration, segment_distance
from semihand.synth.hand import load_hand, pose_hand
from semihand.synth.pose import GESTURES, HIGH, LOW, WRIST_HIGH, WRIST_LOW, Hand, PoseConfig, draw_gesture, sample_pose


@pytest.fixture(scope="module")
def asset():
    return load_hand()


@pytest.fixture(scope="module")
def poses(asset):
    rng = np.random.default_rng(0)
    return [(shape, sample_pose(rng, asset, shape)) for shape in rng.integers(0, len(asset.joints), 300)]


def test_poses_stay_inside_the_limits(asset, poses):
    for shape, pose in poses:
        degrees = np.rad2deg(pose.fingers + Hand(asset, shape).rest)
        assert (degrees >= LOW - 1e-6).all() and (degrees <= HIGH + 1e-6).all()
        wrist = np.rad2deg(pose.wrist)
        assert (wrist >= WRIST_LOW).all() and (wrist <= WRIST_HIGH).all()


def test_fingers_do_not_pass_through_each_other(asset, poses):
    overlaps = np.array([Hand(asset, shape).overlap(pose.fingers) for shape, pose in poses])
    assert np.percentile(overlaps, 99) < 0.12
    assert overlaps.max() < 0.25


def test_poses_are_varied(asset, poses):
    """Open hands and fists, thumbs that touch each finger, fingers beside each other and spread."""
    joints = np.array([pose_hand(asset, shape, pose)[0] for shape, pose in poses])
    palm = np.linalg.norm(joints[:, 9] - joints[:, 0], axis=1)
    for tip, base in ((8, 5), (12, 9), (16, 13), (20, 17)):
        stretch = np.linalg.norm(joints[:, tip] - joints[:, base], axis=1) / palm
        assert stretch.min() < 0.55 and stretch.max() > 0.75
        assert (np.linalg.norm(joints[:, tip] - joints[:, 4], axis=1) / palm).min() < 0.3


def test_same_seed_same_pose(asset):
    first, second = (sample_pose(np.random.default_rng(7), asset, 3) for _ in range(2))
    np.testing.assert_array_equal(first.fingers, second.fingers)
    np.testing.assert_array_equal(first.wrist, second.wrist)
    other = sample_pose(np.random.default_rng(8), asset, 3)
    assert np.abs(other.fingers - first.fingers).max() > 0.01


@pytest.mark.parametrize("name", GESTURES)
def test_every_gesture_can_be_made(asset, name):
    rng = np.random.default_rng(1)
    left = []
    for shape in range(0, 30, 3):
        hand = Hand(asset, shape)
        left.append(hand.settle(draw_gesture(rng, hand, name), PoseConfig().overlap))
    assert np.median(left) <= 0.105


@pytest.mark.parametrize("name", ["pinch", "ok", "tips", "tips_open"])
def test_contacts_bring_the_thumb_to_a_fingertip(asset, name):
    rng = np.random.default_rng(2)
    gaps = []
    for shape in range(0, 60, 3):
        hand = Hand(asset, shape)
        angles = draw_gesture(rng, hand, name)
        posed, _ = pose_hand(asset, shape, _pose(angles))
        tips = np.linalg.norm(posed[[8, 12, 16, 20]] - posed[4], axis=1)
        gaps.append(tips.min() / hand.unit)
    assert np.median(gaps) < 0.55


def test_settle_moves_no_more_than_needed(asset):
    hand = Hand(asset, 0)
    angles = np.zeros((5, 4))
    before = angles.copy()
    assert hand.settle(angles, 0.1) <= 0.1
    assert_allclose(angles, before)
    angles = hand.limit(np.array([[30.0, 20, 30, 30]] + [[80.0, 0, 112, 80]] * 4))
    crushed = hand.overlap(angles)
    assert crushed > 0.15
    assert hand.settle(angles, 0.1) < 0.12


def _pose(angles):
    from semihand.synth.hand import HandPoseAngles

    return HandPoseAngles(angles, np.zeros(2))


@pytest.mark.parametrize(
    "p, q, r, s, expected",
    [
        ([0, 0, 0], [1, 0, 0], [0.5, 1, 0], [0.5, 2, 0], 1.0),
        ([0, 0, 0], [1, 0, 0], [0.5, -1, 2], [0.5, 1, 2], 2.0),
        ([0, 0, 0], [1, 0, 0], [3, 0, 0], [4, 0, 0], 2.0),
        ([0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], 1.0),
        ([0, 0, 0], [1, 1, 0], [2, 1, 1], [2, 0, 1], np.sqrt(2)),
    ],
)
def test_segment_distance(p, q, r, s, expected):
    points = [np.array(x, float) for x in (p, q, r, s)]
    assert segment_distance(*points) == pytest.approx(expected)
    assert segment_distance(*points[2:], *points[:2]) == pytest.approx(expected)


def test_segment_distance_against_dense_points():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 201)[:, None]
    for _ in range(20):
        p, q, r, s = rng.normal(size=(4, 3))
        dense = np.linalg.norm((p + t * (q - p))[:, None] - (r + t * (s - r))[None], axis=-1).min()
        assert segment_distance(p, q, r, s) == pytest.approx(dense, abs=0.02)
        assert segment_distance(p, q, r, s) <= dense + 1e-9


def test_penetration_by_hand(asset):
    """The middle finger's last joints laid into the index's: bones that meet overlap by both thicknesses."""
    hand = Hand(asset, 0)
    assert penetration(hand.joints, hand.radius) < 0.1 * hand.unit
    laid = hand.joints.copy()
    laid[11:13] = hand.joints[7:9]
    assert penetration(laid, hand.radius) == pytest.approx(FLESH[1] * (hand.radius[1, 1] + hand.radius[2, 1]))


def test_sampler_is_fast(asset):
    """Above 900 poses a second of processor time (1 core)."""
    rng = np.random.default_rng(3)
    best = np.inf
    for _ in range(4):
        start = time.process_time()
        for _ in range(100):
            sample_pose(rng, asset, 1)
        best = min(best, (time.process_time() - start) / 100)
    assert best < 1 / 900


def test_shares_are_checked():
    with pytest.raises(ValueError, match="shares"):
        PoseConfig(transition=0.9, independent=0.3)
