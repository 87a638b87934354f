"""`eval`'s mean joint-angle error: planted bends, both sides, and labels that lack a joint or a side."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.sequence import Sequence, SequenceFrame
from semihand.evaluate.labels.predict import Prediction
from semihand.evaluate.labels.run import evaluate_predictions
from semihand.models.lifting import project
from semihand.synth.hand import forward_kinematics, load_hand

K = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])


def hand(side="right", bend=0.0):
    """Joints (21, 3) metres before the camera; the index finger's outermost joint bends by so many degrees more."""
    asset, angles = load_hand(), np.zeros((5, 4))
    angles[1:, [0, 2]] = np.deg2rad(20)
    angles[1, 3] = np.deg2rad(bend)
    xyz = forward_kinematics(asset.joints[0], asset.axes[0], angles, np.zeros(2))[0] @ np.diag([1.0, -1.0, -1.0])
    return xyz * ([-1, 1, 1] if side == "left" else 1) + (0.02, 0.0, 0.5)


def measured(*frames):
    """The result for (side, labelled joints, predicted joints)."""
    sequence = Sequence(
        "planted", Path("."), [SequenceFrame(Path("x.png"), K, side, None, None, xyz) for side, xyz, _ in frames]
    )
    return evaluate_predictions(sequence, [Prediction(project(xyz, K), xyz, side, 0.9) for side, _, xyz in frames])


@pytest.mark.parametrize("side", ["right", "left"])
def test_one_bent_joint_of_twenty_angles(side):
    exact, bent = measured((side, hand(side), hand(side))), measured((side, hand(side), hand(side, 30.0)))
    assert_allclose(exact.metrics["angle_deg"], 0.0, atol=1e-6)
    # 30 degrees in one of 20 angles; the finger's twist is told anew from the larger bend, by a little.
    assert_allclose(bent.metrics["angle_deg"], 1.5, atol=0.1)
    assert_allclose(bent.per_frame[0].angle_deg, bent.metrics["angle_deg"])


def test_size_and_place_do_not_count():
    result = measured(("right", hand(), 1.3 * hand() + (0.1, 0, 0.2)))
    assert_allclose(result.metrics["angle_deg"], 0.0, atol=1e-6)


def test_hands_with_missing_joints_or_sides_are_left_out():
    cut = hand()
    cut[8] = np.nan
    result = measured(("right", cut, hand(bend=30.0)), ("right", hand(), hand()), (None, hand(), hand(bend=30.0)))
    assert_allclose(result.metrics["angle_deg"], 0.0, atol=1e-6)
    assert result.per_frame[0].angle_deg is None and result.per_frame[2].angle_deg is None
    alone = measured(("right", cut, hand()))
    assert "all 21 joints" in alone.absent["angle_deg"]
