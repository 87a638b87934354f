"""The baked hand, its kinematics and its skinning."""

import time

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.models.joints import BONES, MIDDLE_MCP, TIPS
from semihand.synth.hand import (
    FOREARM,
    HandPoseAngles,
    axis_rotation,
    finger_axes,
    forward_kinematics,
    load_hand,
    pose_hand,
    rest_flexion,
)


@pytest.fixture(scope="module")
def hand():
    return load_hand()


def bone_lengths(joints):
    return np.array([np.linalg.norm(joints[child] - joints[parent]) for parent, child in BONES])


def any_pose(seed):
    rng = np.random.default_rng(seed)
    return HandPoseAngles(rng.uniform(-0.3, 1.4, (5, 4)), rng.uniform(-0.4, 0.4, 2))


def test_asset_shapes_and_frame(hand):
    shapes, vertices = hand.vertices.shape[:2]
    assert hand.joints.shape == (shapes, 21, 3) and shapes >= 160
    assert hand.weights.shape == (vertices, 17) and hand.triangles.max() < vertices
    assert_allclose(hand.joints[:, 0], 0.0, atol=2e-4)
    assert_allclose(hand.joints[:, MIDDLE_MCP, [0, 2]], 0.0, atol=2e-4)
    assert (hand.joints[:, 5, 0] > 0.01).all() and (hand.joints[:, 17, 0] < -0.01).all()
    assert "CC0" in hand.provenance["body"] and hand.provenance["joint_order"] == "mediapipe21"


def test_weights_sum_to_one_and_sparse_equals_dense(hand):
    assert_allclose(hand.weights.sum(1), 1.0, atol=1e-6)
    assert hand.weights.min() >= 0.0
    dense = np.zeros_like(hand.weights)
    np.put_along_axis(dense, hand.bone_index.astype(int), hand.bone_weight, 1)
    assert_allclose(dense, hand.weights, atol=1e-6)


def test_axes_are_orthonormal(hand):
    product = np.einsum("nfij,nfkj->nfik", hand.axes, hand.axes)
    assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-5)
    assert_allclose(np.cross(hand.axes[:, :, 0], hand.axes[:, :, 2]), hand.axes[:, :, 1], atol=1e-5)


def test_rest_pose_is_the_rest_shape(hand):
    joints, vertices = pose_hand(hand, 5, HandPoseAngles.rest())
    assert_allclose(joints, hand.joints[5], atol=1e-7)
    assert_allclose(vertices, hand.vertices[5], atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_bone_lengths_do_not_change(hand, seed):
    joints, _ = forward_kinematics(hand.joints[seed], hand.axes[seed], any_pose(seed).fingers, np.zeros(2))
    assert_allclose(bone_lengths(joints), bone_lengths(hand.joints[seed].astype(float)), atol=1e-6)


def test_one_joint_by_hand(hand):
    """Bending only the index DIP by 0.7 turns the tip about that joint's flexion axis and moves nothing else."""
    angles = np.zeros((5, 4))
    angles[1, 3] = 0.7
    joints, transforms = forward_kinematics(hand.joints[0], hand.axes[0], angles, np.zeros(2))
    rest = hand.joints[0].astype(float)
    turned = rest[7] + axis_rotation(hand.axes[0, 1, 0].astype(float), 0.7) @ (rest[8] - rest[7])
    assert_allclose(joints[8], turned, atol=1e-9)
    others = [j for j in range(21) if j != 8]
    assert_allclose(joints[others], rest[others], atol=1e-9)
    assert_allclose(transforms[6][:, :3] @ rest[8] + transforms[6][:, 3], turned, atol=1e-9)


@pytest.mark.parametrize("finger", range(1, 5))
def test_flexion_closes_toward_the_palm_and_deviation_toward_the_little_finger(hand, finger):
    tip = TIPS[finger]
    for column, axis, sign in ((0, 2, 1), (2, 2, 1), (3, 2, 1), (1, 0, -1)):
        angles = np.zeros((5, 4))
        angles[finger, column] = 0.3
        joints, _ = pose_hand(hand, 0, HandPoseAngles(angles, np.zeros(2)))
        assert sign * (joints[tip, axis] - hand.joints[0, tip, axis]) > 0.003


def test_thumb_crosses_the_palm(hand):
    angles = np.zeros((5, 4))
    angles[0] = (0.6, 0.5, 0.7, 0.8)
    joints, _ = pose_hand(hand, 0, HandPoseAngles(angles, np.zeros(2)))
    assert joints[4, 0] < hand.joints[0, 4, 0] - 0.03
    assert joints[4, 2] > 0.0


def test_wrist_moves_the_forearm_only(hand):
    bent, vertices = pose_hand(hand, 0, HandPoseAngles(np.zeros((5, 4)), np.array([0.5, 0.0])))
    assert_allclose(bent, hand.joints[0], atol=1e-7)
    arm = hand.weights[:, FOREARM] > 0.99
    fingers = hand.weights[:, 1:16].sum(1) > 0.99
    assert_allclose(vertices[fingers], hand.vertices[0][fingers], atol=1e-6)
    assert (vertices[arm][:, 2] > hand.vertices[0][arm][:, 2]).all()  # the palm's side of the arm comes nearer
    assert hand.forearm[arm].mean() > 0.99 and not hand.forearm[fingers].any()


def test_joints_lie_inside_the_skin(hand):
    for seed in range(6):
        joints, vertices = pose_hand(hand, 11 * seed, any_pose(seed))
        distance = np.linalg.norm(joints[:, None] - vertices[None], axis=-1).min(1)
        assert distance.max() < 0.025
        assert distance[list(TIPS)].max() < 0.008


def test_skin_reaches_past_the_tips(hand):
    """The fingertips' joints lie inside the flesh, just before the end of the finger."""
    for finger, tip in enumerate(TIPS):
        along = hand.joints[:, tip] - hand.joints[:, tip - 1]
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        rows = hand.finger_id == finger
        past = np.einsum("nvi,ni->nv", hand.vertices[:, rows] - hand.joints[:, tip, None], along).max(1)
        assert past.min() > 0.0005 and past.max() < 0.006


def test_proportions_are_those_of_measured_hands(hand):
    """Mean phalanges of grown-ups in units of the middle finger's first (Buryanov and Kotiuk 2010), within a tenth or so."""
    lengths = np.array([bone_lengths(j) for j in hand.joints])
    ratio = np.median(lengths / lengths[:, 9:10], axis=0)
    assert_allclose(ratio[[5, 13, 17]], [0.89, 0.93, 0.73], atol=0.06)
    assert_allclose(ratio[[6, 10, 14, 18]], [0.50, 0.59, 0.575, 0.405], atol=0.06)
    assert 1.6 < ratio[8] < 2.0
    assert 0.03 < lengths[:, 9].min() + 0.005 and lengths[:, 9].max() < 0.065


def test_rest_flexion_is_what_straightens_a_finger(hand):
    joints = hand.joints[3].astype(float)
    joints_straight, _ = forward_kinematics(joints, hand.axes[3], -rest_flexion(joints), np.zeros(2))
    for finger in range(1, 5):
        bones = np.diff(joints_straight[1 + 4 * finger : 5 + 4 * finger], axis=0)
        bones /= np.linalg.norm(bones, axis=1, keepdims=True)
        assert np.sum(bones[0] * bones[1]) > np.cos(np.deg2rad(8.0))
        assert abs(bones[0, 2]) < 0.1


def test_finger_axes_of_a_straight_finger_lie_along_the_knuckles():
    joints = np.zeros((1, 21, 3))
    for finger in range(5):
        for part in range(4):
            joints[0, 1 + 4 * finger + part] = [0.02 * finger, 0.03 * part, 0.004 * part**2]
    axes = finger_axes(joints)
    assert (axes[0, 1:, 0, 0] > 0.99).all()
    assert (axes[0, 1:, 1, 2] > 0.95).all()


def test_attributes(hand):
    assert set(np.unique(hand.finger_id)) == {-1, 0, 1, 2, 3, 4}
    coordinate = hand.finger_coordinate
    assert_allclose(coordinate[hand.finger_id < 0], -1.0)
    assert coordinate[hand.finger_id > 0].max() > 3.0
    palm = hand.finger_id < 0
    back = palm & (hand.dorsal > 0.8) & (hand.wrist_distance > 0)
    front = palm & (hand.dorsal < -0.8) & (hand.wrist_distance > 0)
    assert hand.rest[back, 2].mean() < hand.rest[front, 2].mean() - 0.015
    assert_allclose(hand.wrist_distance, hand.rest[:, 1], atol=2e-4)


def test_volume_is_kept_at_a_fist(hand):
    """Linear skinning may not collapse the hand: a fist keeps most of its volume."""
    angles = np.zeros((5, 4))
    angles[1:] = np.deg2rad([75, 0, 85, 45])
    rest, fist = (
        signed_volume(pose_hand(hand, 0, HandPoseAngles(a, np.zeros(2)))[1], hand.triangles)
        for a in (angles * 0, angles)
    )
    assert 0.85 < fist / rest < 1.1


def signed_volume(vertices, triangles):
    a, b, c = (vertices[triangles[:, k]].astype(float) for k in range(3))
    return abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


def test_loads_fast():
    def once():
        load_hand.cache_clear()
        start = time.process_time()
        load_hand()
        return time.process_time() - start

    assert min(once() for _ in range(3)) < 0.2


def test_missing_asset_is_one_clear_error(tmp_path):
    with pytest.raises(SemihandError, match="could not be read"):
        load_hand(tmp_path / "nothing.npz")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"not an archive")
    with pytest.raises(SemihandError, match="broken.npz"):
        load_hand(broken)
