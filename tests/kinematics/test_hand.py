"""What is remembered between frames: signs of quaternions and velocities, hand by hand."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.kinematics.hand import VELOCITY_TIME, Motion
from semihand.kinematics.quaternion import to_matrix
from semihand.kinematics.skeleton import MIRROR
from semihand.synth.hand import axis_rotation, load_hand
from semihand.tracker.types import HandBox, HandPose

JOINTS = load_hand().joints[0].astype(float) @ np.diag([1.0, -1.0, -1.0])


def pose(xyz, hand_id=1, side="right"):
    return HandPose(hand_id, side, 0.9, xyz[:, :2] * 500 + 300, xyz, np.zeros(21), np.ones(21), np.zeros((64, 64)),
                    np.eye(3), HandBox(np.zeros(2), 1.0))  # fmt: skip


def test_quaternions_do_not_change_sign_while_a_hand_turns_round_and_round():
    motion, before, w = Motion(), None, []
    for step in range(120):
        turned = JOINTS @ axis_rotation(np.array([0.6, 0.0, 0.8]), np.deg2rad(10 * step)).T
        (hand,) = motion([pose(turned)], step / 30)
        now = np.vstack([hand.palm_rotation, hand.bone_rotations])
        if before is not None:
            assert ((now * before).sum(-1) > 0.99).all()
        before = now
        w.append(hand.palm_rotation[3])
    assert min(w) < -0.5 and max(w) > 0.5


def test_velocity_settles_at_the_true_one_and_is_the_hands_own():
    motion = Motion()
    for step in range(30):
        time = step / 30
        moving, still = motion([pose(JOINTS + (0.3 * time, 0, 0.5)), pose(JOINTS * MIRROR, 2, "left")], time)
        if step == 0:
            assert_allclose(moving.palm_velocity, 0)
    assert_allclose(moving.palm_velocity, (0.3, 0, 0), atol=0.3 * np.exp(-29 / 30 / VELOCITY_TIME) + 1e-9)
    assert_allclose(still.palm_velocity, 0, atol=1e-12)
    assert motion([], 1.0) == []


def test_a_hand_that_was_away_starts_anew():
    motion = Motion()
    motion([pose(JOINTS)], 0.0)
    motion([pose(JOINTS, 2)], 1.0)
    (hand,) = motion([pose(JOINTS + 1)], 1.1)
    assert_allclose(hand.palm_velocity, 0)


def test_plain_numbers_that_json_can_hold():
    (hand,) = Motion()([pose(JOINTS + (0, 0, 0.5), 7, "left")], 0.0)
    record = json.loads(json.dumps(hand.to_dict()))
    assert record["id"] == 7 and record["handedness"] == "left"
    assert np.shape(record["bones"]["local"]) == np.shape(record["bones"]["rotation"]) == (15, 4)
    assert np.shape(record["angles_deg"]) == (5, 4) and len(record["extended"]) == 5
    assert record["palm"]["position_m"] == pytest.approx(hand.palm_position.tolist(), abs=1e-4)
    assert record["pinch"]["distance_m"] == pytest.approx(hand.pinch_distance, abs=1e-4)
    # A finger's first bone: its rotation is the palm's and then its own.
    palm, bones, local = (to_matrix(np.array(q)) for q in
                          (record["palm"]["rotation"], record["bones"]["rotation"], record["bones"]["local"]))  # fmt: skip
    assert_allclose(bones[3], palm @ local[3], atol=1e-3)
    assert_allclose(bones[4], bones[3] @ local[4], atol=1e-3)
