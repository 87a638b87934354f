"""The guided recording's logic, and the coverage meter, without a window or a clock."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.joints import BONES, FINGERS, PRIOR_BONE_LENGTHS
from semihand.record.coverage import AXES, Coverage, bins_of, pose_features
from semihand.record.guide import PROMPTS, Guide, GuideConfig, Prompt

TWO = (Prompt("open", "Open it.", frames=10, seconds=2.0), Prompt("fist", "Close it.", frames=5, seconds=1.0))
CONFIG = GuideConfig(ready=0.5, patience=2.0, waiting=4.0)


def run(guide, seconds, start=0.0, fps=30, hand=True, keep=True):
    """Feed pictures; returns the times at which frames were kept."""
    kept = []
    for index in range(round(seconds * fps)):
        time = start + index / fps
        guide.update(time, hand)
        if keep and hand and guide.wants(time):
            guide.keep()
            kept.append(time)
        if guide.done:
            break
    return kept


def test_prompts_cover_what_a_recording_should():
    names = [prompt.name for prompt in PROMPTS]
    assert len(set(names)) == len(names)
    assert {"open", "fist", "pinch", "turn", "near and far", "other light", "your own", *FINGERS} == set(names)
    assert 400 <= sum(prompt.frames for prompt in PROMPTS) <= 800
    assert 60 <= sum(prompt.seconds for prompt in PROMPTS) <= 130


def test_a_prompt_waits_for_reading_and_spreads_its_frames():
    guide = Guide(TWO, CONFIG)
    kept = run(guide, 2.4)
    assert kept[0] >= 0.5
    assert len(kept) == 10 and guide.index == 0 and guide.progress == 1.0
    assert_allclose(np.diff(kept), 0.2, atol=0.04)  # 10 frames in 2 s


def test_prompts_follow_each_other_to_the_end():
    guide = Guide(TWO, CONFIG)
    kept = run(guide, 60)
    assert guide.done and guide.prompt is None and len(kept) == 15
    assert guide.short == [] and guide.take == 2
    assert not guide.wants(100.0) and not guide.update(100.0, True) and guide.text() == "Done."


def test_time_runs_only_with_a_hand():
    guide = Guide(TWO, CONFIG)
    run(guide, 4.0, hand=False)
    assert guide.index == 0 and guide.seconds_left(4.0) == 2.0
    run(guide, 1.0, start=4.0)
    assert guide.index == 0 and 0.9 < guide.seconds_left(5.0) < 1.1


def test_a_prompt_that_gets_no_frames_is_left_after_its_patience():
    guide = Guide(TWO, CONFIG)
    run(guide, 4.4, keep=False)
    assert guide.index == 0
    run(guide, 0.2, start=4.4, keep=False)
    assert guide.index == 1 and guide.short == ["open"]


def test_nobody_there_does_not_hang():
    guide = Guide(TWO, CONFIG)
    run(guide, 100, hand=False)
    assert guide.done and guide.short == ["open", "fist"]


def test_next_and_redo():
    guide = Guide(TWO, CONFIG)
    run(guide, 1.5)
    assert guide.kept > 0
    guide.redo()
    assert (guide.index, guide.kept, guide.take) == (0, 0, 1)
    assert not guide.wants(1.6)
    guide.next()
    assert (guide.index, guide.short) == (1, ["open"])
    assert "2/2 fist: Close it." == guide.text()
    guide.next()
    guide.next()
    assert guide.done and guide.index == 2


def test_wrong_prompts_and_settings():
    for wrong in ({"frames": 0}, {"seconds": 0}):
        with pytest.raises(ValueError):
            Prompt("a", "b", **wrong)
    for wrong in ({"ready": -1}, {"patience": 0.5}, {"waiting": 0}):
        with pytest.raises(ValueError):
            GuideConfig(**wrong)
    with pytest.raises(ValueError):
        Guide(())


# -- coverage


def hand(curl=0.0, side="right"):
    """Joints (21, 3) metres of an upright hand, palm to the camera; each finger joint bent by `curl` degrees."""
    directions = np.deg2rad([60, 15, 0, -15, -30]) * (1 if side == "right" else -1)
    xyz = np.zeros((21, 3))
    for (parent, child), length in zip(BONES, PRIOR_BONE_LENGTHS):
        finger, joint = divmod(child - 1, 4)
        bend = np.deg2rad(curl) * joint
        flat = np.array([np.sin(directions[finger]), -np.cos(directions[finger]), 0.0])
        step = flat * np.cos(bend) + np.array([0, 0, -1.0]) * np.sin(bend)
        xyz[child] = xyz[parent] + 0.04 * length * step
    return xyz


def features(xyz, side="right", distance=0.5, focal=600.0):
    uv = (xyz[:, :2] / distance) * focal + 300
    return pose_features(xyz, uv, side, focal)


@pytest.mark.parametrize("curl", [0.0, 20.0, 60.0])
def test_curl_is_the_sum_of_the_bends(curl):
    bent = features(hand(curl)).curl
    assert_allclose(bent[1:], 3 * curl, atol=1e-3)
    assert_allclose(bent[0], 2 * curl, atol=1e-3)


def rotated(xyz, axis, degrees):
    angle = np.deg2rad(degrees)
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3)
    turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return xyz @ turn.T


@pytest.mark.parametrize("side", ["left", "right"])
def test_orientation(side):
    plain = features(hand(0, side), side)
    assert_allclose([plain.yaw, plain.pitch, plain.roll], 0, atol=1e-4)
    assert_allclose(features(rotated(hand(0, side), "z", 30), side).roll, 30, atol=1e-4)
    # About the vertical: the palm's normal, (0, 0, -1), turns to the picture's left.
    assert_allclose(features(rotated(hand(0, side), "y", 50), side).yaw, -50, atol=1e-4)
    assert_allclose(abs(features(rotated(hand(0, side), "y", 180), side).yaw), 180, atol=1e-3)
    # About the horizontal: fingertips towards the camera lets the palm look down.
    tipped = rotated(hand(0, side), "x", 40)
    assert tipped[12, 2] < 0
    assert_allclose(features(tipped, side).pitch, -40, atol=1e-4)


@pytest.mark.parametrize("distance", [0.3, 0.6, 0.9])
def test_distance(distance):
    assert_allclose(features(hand(10), distance=distance).distance, distance, rtol=1e-6)


@pytest.mark.parametrize(
    "xyz, distance, axis, cell",
    [
        (hand(0), 0.5, "index", "straight"),
        (hand(35), 0.5, "index", "half"),
        (hand(70), 0.5, "little", "curled"),
        (hand(70), 0.5, "thumb", "curled"),
        (hand(0), 0.5, "palm", "to the camera"),
        (rotated(hand(0), "y", 90), 0.5, "palm", "to the left"),
        (rotated(hand(0), "y", -90), 0.5, "palm", "to the right"),
        (rotated(hand(0), "y", 170), 0.5, "palm", "away"),
        (rotated(hand(0), "x", 40), 0.5, "tilt", "down"),
        (rotated(hand(0), "x", -40), 0.5, "tilt", "up"),
        (rotated(hand(0), "z", -40), 0.5, "lean", "left"),
        (hand(0), 0.3, "distance", "near"),
        (hand(0), 0.9, "distance", "far"),
    ],
)
def test_bins(xyz, distance, axis, cell):
    names = {axis: bins for group in AXES.values() for axis, bins in group.items()}
    assert names[axis][bins_of(features(xyz, distance=distance))[axis]] == cell


def test_coverage_counts_and_forgets():
    coverage = Coverage(enough=2)
    assert coverage.share("pose") == 0
    for segment in (0, 0, 1, 1):
        coverage.add(features(hand(0 if segment == 0 else 70)), segment)
    assert_allclose(coverage.share("pose"), 2 / 3)
    assert_allclose(coverage.share("distance"), 1 / 3)
    assert "index half" in coverage.missing() and "index curled" not in coverage.missing()
    coverage.forget_from(1)
    assert_allclose(coverage.share("pose"), 1 / 3)
    assert coverage.to_dict()["counts"]["index"] == [2, 0, 0]
    assert "pose 33 %" in coverage.sentence()
