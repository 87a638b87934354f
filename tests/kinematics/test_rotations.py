"""Rotations of posed hands against the true ones of the forward kinematics, and their properties."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.kinematics.bones import palm_position, rotations
from semihand.kinematics.measures import extended, grab_strength, joint_angle_errors, pinch_strength
from semihand.kinematics.quaternion import angle_between, from_matrix, in_axes, near, to_matrix
from semihand.kinematics.skeleton import BONE_END, BONE_START, MIRROR, REST
from semihand.synth.hand import axis_rotation, forward_kinematics, load_hand
from semihand.synth.pose import Hand, draw_gesture, sample_pose


def turn(*angles):
    """A rotation by angles in degrees about x, y and z."""
    matrix = np.eye(3)
    for axis, angle in zip(np.eye(3), np.deg2rad(angles)):
        matrix = axis_rotation(axis, angle) @ matrix
    return matrix


@pytest.fixture(scope="module")
def posed():
    """Joints (N, 21, 3) of sampled poses, those of the same shapes at rest, and the bones' true rotations (N, 15, 3, 3)."""
    asset, rng = load_hand(), np.random.default_rng(0)
    joints, rest, truth = [], [], []
    for shape in rng.integers(0, len(asset.joints), 500):
        pose = sample_pose(rng, asset, shape)
        posed, bones = forward_kinematics(asset.joints[shape], asset.axes[shape], pose.fingers, pose.wrist)
        joints.append(posed)
        rest.append(asset.joints[shape])
        truth.append(bones[1:16, :, :3])
    return np.stack(joints), np.stack(rest).astype(float), np.stack(truth)


def gestures(name, count=40):
    asset, rng, joints = load_hand(), np.random.default_rng(1), []
    for shape in rng.integers(0, len(asset.joints), count):
        hand = Hand(asset, shape)
        angles = draw_gesture(rng, hand, name)
        joints.append(forward_kinematics(asset.joints[shape], asset.axes[shape], angles, np.zeros(2))[0])
    return np.stack(joints)


def test_bones_turn_as_the_forward_kinematics_turned_them(posed):
    joints, rest, truth = posed
    now, before = rotations(joints).bones, rotations(rest).bones
    turned = (now @ np.swapaxes(before, -1, -2)).reshape(-1, 15, 3, 3)
    # Both hands' palms stand still in the hand frame, in which the truth is told.
    palm = rotations(rest).palm[:, None]
    errors = angle_between(palm @ turned @ np.swapaxes(palm, -1, -2), truth)
    assert errors.mean() < 2.5 and np.percentile(errors, 95) < 7
    assert errors.reshape(-1, 5, 3).mean(axis=(0, 2)).max() < 4


def test_rotations_lead_back_to_the_joints(posed):
    joints = posed[0]
    turned = rotations(joints)
    lengths = np.linalg.norm(joints[:, BONE_END] - joints[:, BONE_START], axis=-1)
    bones = turned.palm[:, None, None] @ turned.bones
    offsets = lengths[..., None] * (bones @ REST[..., None])[..., 0]
    ends = joints[:, BONE_START[:, 0], None] + offsets.cumsum(axis=2)
    assert_allclose(ends, joints[:, BONE_END], atol=1e-6)


def test_local_rotations_chain_to_the_global_ones_and_are_rotations(posed):
    turned = rotations(posed[0])
    chained = turned.local.copy()
    for part in (1, 2):
        chained[:, :, part] = chained[:, :, part - 1] @ turned.local[:, :, part]
    assert_allclose(chained, turned.bones, atol=1e-9)
    assert_allclose(np.linalg.det(turned.bones), 1, atol=1e-9)


def test_a_left_hand_is_a_right_one_in_the_mirror(posed):
    right, left = rotations(posed[0]), rotations(posed[0] * MIRROR, True)
    M = np.diag(MIRROR)
    assert_allclose(left.angles, right.angles, atol=1e-9)
    assert_allclose(left.palm, M @ right.palm @ M, atol=1e-9)
    assert_allclose(left.local, M @ right.local @ M, atol=1e-9)
    both = rotations(np.stack([posed[0][0], posed[0][1] * MIRROR]), [False, True])
    assert_allclose(both.bones[1], left.bones[1], atol=1e-12)


def test_axes_of_an_upright_hand_before_the_camera(posed):
    """Seen by the camera from its palm, fingers up: y is up, z toward the camera, the right thumb on the picture's right."""
    seen = posed[0] @ np.diag([1.0, -1.0, -1.0]) + (0, 0, 0.5)
    palm = rotations(seen).palm[0]
    assert palm[1, 1] < -0.99 and palm[2, 2] < -0.99 and palm[0, 0] > 0.99
    assert seen[0, 1, 0] > seen[0, 0, 0]
    assert_allclose(palm_position(seen)[0], 0.5 * (seen[0, 0] + seen[0, [5, 9, 13, 17]].mean(axis=0)))


def test_angles_move_as_the_joints_were_moved():
    asset = load_hand()
    bent = np.zeros((5, 4))
    bent[1:] = np.deg2rad([40.0, -10.0, 50.0, 30.0])
    moved = forward_kinematics(asset.joints[0], asset.axes[0], bent, np.zeros(2))[0]
    change = rotations(moved).angles - rotations(asset.joints[0]).angles
    assert_allclose(change[1:, [0, 2, 3]], np.tile([40.0, 50.0, 30.0], (4, 1)), atol=2.5)
    assert_allclose(change[1:, 1], 10, atol=5)
    assert_allclose(change[0], 0, atol=1e-6)


@pytest.mark.parametrize("degrees", [1.0, 15.0, 90.0])
def test_angles_do_not_depend_on_place_size_and_turn(posed, degrees):
    moved = 3 * posed[0] @ turn(degrees, 2 * degrees, -degrees).T + (0.1, -0.2, 0.7)
    assert_allclose(rotations(moved).angles, rotations(posed[0]).angles, atol=1e-6)
    assert_allclose(rotations(moved).palm, turn(degrees, 2 * degrees, -degrees) @ rotations(posed[0]).palm, atol=1e-9)


def test_rotations_of_a_closing_hand_do_not_jump():
    """From stretched over straight to a fist in small steps: no bone turns much more than its joints were bent."""
    asset = load_hand()
    low, high = np.zeros((5, 4)), np.zeros((5, 4))
    low[1:], high[1:] = np.deg2rad([-15.0, 0, -35.0, -20.0]), np.deg2rad([90.0, 3.0, 95.0, 60.0])
    low[0], high[0] = np.deg2rad([-20.0, -30.0, -20.0, -20.0]), np.deg2rad([35.0, 35.0, 40.0, 60.0])
    steps = np.linspace(0, 1, 201)
    joints = np.stack([
        forward_kinematics(asset.joints[3], asset.axes[3], low + share * (high - low), np.zeros(2))[0] for share in steps
    ])  # fmt: skip
    bones = rotations(joints).bones
    assert angle_between(bones[1:], bones[:-1]).max() < 3


def test_hands_without_extent_have_finite_rotations():
    turned = rotations(np.zeros((2, 21, 3)), [True, False])
    assert np.isfinite(turned.bones).all() and np.isfinite(turned.angles).all()


def test_pinch_grab_and_stretched_fingers_of_gestures():
    for name, low, high in (("pinch", 0.9, 1.0), ("ok", 0.9, 1.0), ("open", 0.0, 0.05), ("point", 0.0, 0.05)):
        assert low <= np.median(pinch_strength(gestures(name))) <= high, name
    angles = {name: rotations(gestures(name)).angles for name in ("fist", "open", "peace", "point")}
    assert np.median(grab_strength(angles["fist"])) > 0.95 and np.median(grab_strength(angles["open"])) < 0.05
    shares = {name: extended(values).mean(axis=0)[1:] for name, values in angles.items()}
    assert_array_equal(shares["peace"].round(1), [1, 1, 0, 0])
    assert_array_equal(shares["point"].round(1), [1, 0, 0, 0])
    assert (shares["open"] > 0.95).all() and (shares["fist"] < 0.05).all()


def test_joint_angle_errors():
    asset = load_hand()
    bent = np.zeros((5, 4))
    bent[2, 3] = np.deg2rad(20)
    moved = forward_kinematics(asset.joints[0], asset.axes[0], bent, np.zeros(2))[0]
    errors = joint_angle_errors(moved, asset.joints[0])
    assert errors[2, 3] == pytest.approx(20, abs=1) and errors.shape == (5, 4)
    assert np.delete(errors.ravel(), [8 + 1, 8 + 2, 8 + 3]).max() < 1e-6
    assert_allclose(joint_angle_errors(2 * moved + 1, moved), 0, atol=1e-6)


# ---- quaternions


def test_quaternions_of_all_turns():
    rng = np.random.default_rng(2)
    q = rng.normal(size=(500, 4))
    q[:4] = np.eye(4)  # half turns about the axes, and none
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    back = from_matrix(to_matrix(q))
    assert_allclose(np.abs((back * q).sum(-1)), 1, atol=1e-12)
    assert (back[:, 3] >= 0).all()
    assert_allclose(to_matrix(from_matrix(turn(90, 0, 0))), turn(90, 0, 0), atol=1e-12)
    assert_allclose(from_matrix(turn(90, 0, 0)), [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-12)


def test_quaternions_in_a_mirrors_axes():
    q, B = from_matrix(turn(20, 40, -70)), np.diag([1.0, -1.0, 1.0])
    assert_allclose(to_matrix(in_axes(q, B)), B @ to_matrix(q) @ B, atol=1e-12)


def test_the_sign_follows_the_frame_before():
    q = from_matrix(turn(0, 0, 179))
    assert_allclose(near(-q, q), q)
    assert_allclose(near(np.stack([q, -q]), q), [q, q])
