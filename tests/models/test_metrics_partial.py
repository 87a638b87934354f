"""Metrics of partly labelled hands, of fingertips alone, in time, and against scipy's Procrustes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import orthogonal_procrustes
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.transform import Rotation

from semihand.models import metrics
from semihand.models.joints import ROOT, TIPS

RNG = np.random.default_rng(8)
HANDS = RNG.normal(size=(5, 21, 3)) * 0.05 + [0.1, 0, 0.6]
GUESS = HANDS + RNG.normal(size=HANDS.shape) * 0.02
#: Labels of the first hand lack the wrist, those of the second all but the fingertips, the third has one joint.
PARTIAL = HANDS.copy()
PARTIAL[0, 0] = np.nan
PARTIAL[1, np.setdiff1d(np.arange(21), TIPS)] = np.nan
PARTIAL[2, 1:] = np.nan


def test_procrustes_errors_are_scipys():
    """scipy.spatial.procrustes scales the truth to unit norm; its joints times that norm are millimetres again."""
    errors = metrics.procrustes_errors_mm(GUESS, HANDS)
    for guess, hand, found in zip(GUESS, HANDS, errors, strict=True):
        true, aligned, _ = scipy_procrustes(hand, guess)
        norm = np.linalg.norm(hand - hand.mean(0))
        assert_allclose(found, 1000 * norm * np.linalg.norm(true - aligned, axis=1))


def test_partial_procrustes_is_scipys_over_the_labelled_joints():
    errors = metrics.procrustes_errors_mm(GUESS, PARTIAL)
    for number, joints in ((0, np.arange(1, 21)), (1, np.array(TIPS))):
        x, y = (hand[joints] - hand[joints].mean(0) for hand in (GUESS[number], HANDS[number]))
        turn, reach = orthogonal_procrustes(x, y)
        aligned = x @ turn * reach / (x**2).sum()
        assert np.linalg.det(turn) > 0
        assert_allclose(errors[number, joints], 1000 * np.linalg.norm(aligned - y, axis=1))
        assert np.isnan(np.delete(errors[number], joints)).all()
    assert np.isnan(errors[2]).all()
    assert_allclose(errors[3:], metrics.procrustes_errors_mm(GUESS[3:], HANDS[3:]))


def test_errors_count_labelled_joints_only():
    errors = metrics.joint_errors_mm(GUESS, PARTIAL)
    assert np.isnan(errors[0, 0]) and np.isfinite(errors[0, 1:]).all()
    assert np.isnan(errors[1:3]).all()  # without the root there is nothing to move them onto
    whole = metrics.joint_errors_mm(GUESS, HANDS)
    assert_allclose(metrics.mean_error(errors), np.concatenate([whole[0, 1:], *whole[3:]]).mean())
    assert_allclose(metrics.frame_means(errors)[[0, 3]], [whole[0, 1:].mean(), whole[3].mean()])
    assert np.isnan(metrics.frame_means(errors)[1:3]).all()


def test_tips_are_moved_and_scaled_but_not_turned():
    hand = np.zeros((21, 3))
    hand[list(TIPS)] = [[0, 0, 0], [0.03, 0, 0], [0, 0.04, 0], [0.03, 0.04, 0], [0.015, 0.02, 0]]
    moved = 3.0 * hand[None] + [0.2, 0.1, 0.7]
    assert_allclose(metrics.tip_errors_mm(moved, hand[None]), 0, atol=1e-9)
    turned = hand @ Rotation.from_euler("z", 180, degrees=True).as_matrix().T
    # About their common centre each of the four corners, 25 mm away from it, comes to the opposite one.
    assert_allclose(metrics.tip_errors_mm(turned[None], hand[None]), [[50, 50, 50, 50, 0]], atol=1e-9)


def test_the_scale_of_tips_makes_the_mean_distance_from_the_centre_equal():
    """Two labelled tips 40 mm apart, predicted 20 mm apart at right angles: each ends 20 sqrt(2) mm off."""
    hand, guess = np.full((1, 21, 3), np.nan), np.zeros((1, 21, 3))
    hand[0, [4, 8]] = [[0, 0, 0.5], [0.04, 0, 0.5]]
    guess[0, [4, 8]] = [[0, 0, 0.4], [0, 0.02, 0.4]]
    errors = metrics.tip_errors_mm(guess, hand)
    assert_allclose(errors[0, :2], 20 * np.sqrt(2))
    assert np.isnan(errors[0, 2:]).all()
    hand[0, 8] = np.nan
    assert np.isnan(metrics.tip_errors_mm(guess, hand)).all()  # one tip has no scale


def moving(frames=80):
    """A smooth trajectory (frames, 21, 2) in pixels."""
    return 200 * gaussian_filter1d(RNG.normal(size=(frames + 20, 21, 2)), 3, axis=0)[10:-10]


PATH = moving(100)


@pytest.mark.parametrize("late", [3, 0, -2])
def test_a_planted_lag_is_found(late):
    true, late_track = PATH[10:90], PATH[10 - late : 90 - late]
    assert_allclose(metrics.lag_frames(late_track + RNG.normal(size=true.shape), true), late, atol=0.05)


def test_a_lag_between_two_frames_is_found_with_missed_frames():
    path = moving(90)
    track = 0.5 * path[9:89] + 0.5 * path[8:88]
    true = path[10:90].copy()
    track[20:25], true[40, :5] = np.nan, np.nan
    assert_allclose(metrics.lag_frames(track, true), 1.5, atol=0.1)


@pytest.mark.parametrize(
    ("track", "true", "reason"),
    [
        (np.zeros((30, 21, 2)), np.zeros((30, 21, 2)), "does not move"),
        (moving(8), moving(8), "more than 11 frames"),
        (np.full((30, 21, 2), np.nan), moving(30), "both labelled and found"),
        (moving(60), moving(60), "does not follow"),
        (PATH[:60], PATH[10:70], "no shift of less than 10 frames"),
    ],
)
def test_a_lag_that_cannot_be_had_says_why(track, true, reason):
    with pytest.raises(ValueError, match=reason):
        metrics.lag_frames(track, true)


def test_a_slow_drift_does_not_hide_the_lag():
    drift = np.linspace(0, 4000, 80)[:, None, None]
    assert_allclose(metrics.lag_frames(PATH[8:88] + drift, PATH[10:90] + drift), 2, atol=0.05)


def test_alignment_at_the_root_is_at_joint_nine():
    assert ROOT == 9
    only_root = np.full((1, 21, 3), np.nan)
    only_root[0, [9, 10]] = HANDS[0, [9, 10]]
    errors = metrics.joint_errors_mm(GUESS[:1], only_root)
    assert_allclose(errors[0, 9], 0)
    assert_allclose(errors[0, 10], 1000 * np.linalg.norm((GUESS[0, 10] - GUESS[0, 9]) - (HANDS[0, 10] - HANDS[0, 9])))
