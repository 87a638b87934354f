"""Errors by joint, gesture and view; PCK curves; what a confidence says about the error."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation
from scipy.stats import mannwhitneyu, spearmanr

from semihand.evaluate.labels import breakdown, curves
from semihand.models.joints import INDEX_MCP, JOINT_NAMES, LITTLE_MCP, MIDDLE_MCP, NUM_JOINTS
from semihand.record.coverage import pose_features

RNG = np.random.default_rng(4)


def facing(yaw=0.0, pitch=0.0):
    """A right hand (21, 3), fingers up, palm to the camera, turned by these degrees."""
    hand = np.zeros((NUM_JOINTS, 3))
    hand[MIDDLE_MCP], hand[INDEX_MCP], hand[LITTLE_MCP] = [0, -0.1, 0], [0.03, -0.1, 0], [-0.04, -0.08, 0]
    # Positive pitch turns the palm up, then positive yaw turns it to the picture's right.
    turn = Rotation.from_euler("y", -yaw, degrees=True) * Rotation.from_euler("x", -pitch, degrees=True)
    return turn.apply(hand) + [0, 0, 0.5]


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (30, 0), (-75, 0), (0, 40), (0, -20), (120, 25)])
def test_yaw_and_pitch_of_planted_hands(yaw, pitch):
    found = breakdown.palm_angles(facing(yaw, pitch)[None], np.array([True]))
    assert_allclose(np.ravel(found), [yaw, pitch], atol=1e-9)
    mirrored = facing(yaw, pitch) * [-1, 1, 1]
    assert_allclose(np.ravel(breakdown.palm_angles(mirrored[None], np.array([False]))), [-yaw, pitch], atol=1e-9)


def test_angles_are_those_of_the_coverage_meter():
    hands = RNG.normal(size=(20, NUM_JOINTS, 3))
    right = RNG.random(20) < 0.5
    known = [pose_features(hand, hand[:, :2], "right" if side else "left", 500.0) for hand, side in zip(hands, right)]
    yaw, pitch = breakdown.palm_angles(hands, right)
    assert_allclose(yaw, [one.yaw for one in known])
    assert_allclose(pitch, [one.pitch for one in known])


def test_hands_without_a_palm_have_no_angles():
    hands = np.stack([np.full((NUM_JOINTS, 3), np.nan), np.ones((NUM_JOINTS, 3))])
    assert np.isnan(breakdown.palm_angles(hands, np.array([True, True]))).all()


def test_by_joint_by_hand():
    nme, epe = np.full((2, 21), np.nan), np.full((2, 21), np.nan)
    nme[:, 4], nme[0, 8], epe[1, 4] = [0.1, 0.3], 0.5, 12.0
    rows = breakdown.by_joint({"nme": nme, "epe_mm": epe})
    assert rows == [
        {"joint": "thumb_tip", "labels": 2, "nme": 0.2, "epe_mm": 12.0},
        {"joint": JOINT_NAMES[8], "labels": 1, "nme": 0.5},
    ]


def test_by_gesture_counts_missed_frames_and_leaves_out_frames_without_one():
    gestures = ["fist", None, "open", "fist", "fist"]
    found = np.array([True, True, True, False, True])
    nme = np.array([[0.1], [9.0], [0.4], [0.3]]) * np.ones((1, 21))
    assert breakdown.by_gesture(gestures, found, {"nme": nme}) == [
        {"gesture": "fist", "frames": 3, "missed": 1, "nme": 0.2},
        {"gesture": "open", "frames": 1, "missed": 0, "nme": 0.4},
    ]
    assert breakdown.by_gesture(["fist"], np.array([False]), {}) == [{"gesture": "fist", "frames": 1, "missed": 1}]


def test_bins_hold_their_lower_end_and_the_last_both():
    values = np.array([0.0, 9.9, 10.0, 30.0, np.nan])
    nme = np.arange(1.0, 6.0)[:, None] * np.ones((1, 21))
    assert breakdown.by_bins(values, (0, 10, 20, 30), {"nme": nme}) == [
        {"low": 0.0, "high": 10.0, "hands": 2, "nme": 1.5},
        {"low": 10.0, "high": 20.0, "hands": 1, "nme": 3.0},
        {"low": 20.0, "high": 30.0, "hands": 1, "nme": 4.0},
    ]
    sizes = breakdown.by_bins(np.array([5000.0]), breakdown.BINS["size_px"], {"nme": nme[:1]})
    assert sizes == [{"low": 384.0, "high": None, "hands": 1, "nme": 1.0}]


def test_a_pck_curve_by_hand():
    """Errors 0, 10, 20 and 99 at the thresholds 0, 10, 20: shares 1/4, 2/4, 3/4, area 1/2."""
    errors = np.array([[0.0, 10.0, np.nan], [20.0, 99.0, np.nan]])
    assert curves.pck_curve(errors, (0.0, 20.0, 3)) == {
        "thresholds": [0, 10, 20], "share": [0.25, 0.5, 0.75], "auc": 0.5,
    }  # fmt: skip
    with pytest.raises(ValueError, match="No labelled joint"):
        curves.pck_curve(np.full((2, 3), np.nan), (0.0, 1.0, 2))


def test_planted_confidences():
    errors = RNG.permutation(np.linspace(0, 0.2, 2100)).reshape(100, 21)
    honest = curves.calibration(1 - errors, errors)
    assert_allclose([honest["rank_correlation"], honest["auroc"]], [-1, 1])
    assert_allclose([part["nme"] for part in honest["bins"]], np.linspace(0, 0.2, 2100).reshape(10, 210).mean(1)[::-1],
                    atol=1e-6)  # fmt: skip
    assert [part["within_limit"] for part in honest["bins"]] == [0] * 5 + [1] * 5
    liar = curves.calibration(errors, errors)
    assert_allclose([liar["rank_correlation"], liar["auroc"]], [1, 0])
    silent = curves.calibration(RNG.random(errors.shape), errors)
    assert abs(silent["rank_correlation"]) < 0.1 and abs(silent["auroc"] - 0.5) < 0.06


def test_calibration_agrees_with_scipy_with_ties_and_unlabelled_joints():
    errors, confidence = RNG.gamma(2, 0.04, 400), RNG.integers(0, 12, 400) / 12
    with_gaps = np.append(errors, [np.nan, 0.1]), np.append(confidence, [0.5, np.nan])
    found = curves.calibration(with_gaps[1], with_gaps[0])
    assert found["joints"] == 400
    assert_allclose(found["rank_correlation"], spearmanr(confidence, errors).statistic, atol=1e-6)
    large = errors > 0.1
    u = mannwhitneyu(confidence[~large], confidence[large]).statistic
    assert_allclose(found["auroc"], u / large.sum() / (~large).sum(), atol=1e-6)
    assert_allclose(found["above_limit"], large.mean(), atol=1e-6)


def test_auroc_by_hand():
    """Positives 3 and 1 against 1 and 0: 3 beats both, 1 ties with one and beats the other: (2 + 1.5) / 4."""
    score, positive = np.array([3.0, 1, 1, 0]), np.array([True, True, False, False])
    assert_allclose(curves.auroc(score, positive), 3.5 / 4)


def test_what_a_confidence_cannot_say_is_said_not_nan():
    small = curves.calibration(np.linspace(0, 1, 20), np.linspace(0.01, 0.02, 20))
    assert "auroc" not in small and "same side" in small["absent"]["auroc"]
    constant = curves.calibration(np.full(20, 0.5), np.linspace(0, 1, 20))
    assert "rank_correlation" not in constant and "equal" in constant["absent"]["rank_correlation"]
    assert constant["auroc"] == 0.5
    json.dumps([small, constant], allow_nan=False)
    with pytest.raises(ValueError, match="no confidence"):
        curves.calibration(np.full((3, 21), np.nan), np.zeros((3, 21)))
    with pytest.raises(ValueError, match="too few"):
        curves.calibration(np.ones(4), np.ones(4))
