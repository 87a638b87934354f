"""The second world's hand: its asset, its skeleton and its skinning."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.models.joints import BONES, MIDDLE_MCP, UNIT_BONE
from semihand.studio.hand import ASSET_PATH, FOREARM, bone_transforms, load_hand, pose_hand, vertex_normals
from semihand.studio.takes import pose_angles

SCALE, STILL = np.ones(3), np.zeros(2)


def test_asset_is_a_right_hand_in_the_hand_frame_with_its_licence():
    hand = load_hand()
    assert_allclose(hand.joints[0], 0, atol=1e-6)
    assert_allclose(hand.joints[MIDDLE_MCP, [0, 2]], 0, atol=1e-6)
    assert hand.joints[5, 0] > hand.joints[17, 0]  # index on the x side
    assert hand.joints[4, 2] > hand.joints[17, 2]  # the thumb stands out of the palm
    assert_allclose(hand.weights.sum(1), 1, atol=1e-6)
    with np.load(ASSET_PATH) as stored:
        assert "MIT License" in str(stored["licence"]) and "Amazon" in str(stored["licence"])


def test_wrist_to_middle_finger_has_the_projects_proportion():
    joints = load_hand().joints
    unit = np.linalg.norm(joints[UNIT_BONE[1]] - joints[UNIT_BONE[0]])
    assert_allclose(np.linalg.norm(joints[MIDDLE_MCP]) / unit, 1.71, atol=0.02)


def test_rest_pose_leaves_everything_in_place():
    hand = load_hand()
    joints, vertices = pose_hand(hand, SCALE, np.zeros((5, 4)), STILL)
    assert_allclose(joints, hand.joints, atol=1e-9)
    assert_allclose(vertices, hand.vertices, atol=1e-9)


@pytest.mark.parametrize("pose", ["fist", "ok", "shaka"])
def test_bones_keep_their_lengths_in_every_pose(pose):
    hand = load_hand()
    joints, _ = pose_hand(hand, SCALE, pose_angles(pose), STILL)
    length = lambda points: np.array([np.linalg.norm(points[a] - points[b]) for a, b in BONES])  # noqa: E731
    assert_allclose(length(joints), length(hand.joints), atol=1e-9)


def test_a_bent_finger_ends_on_the_palm_side_and_moves_alone():
    hand, angles = load_hand(), np.zeros((5, 4))
    angles[1] = (np.pi / 2, 0, 0, 0)
    joints, _ = pose_hand(hand, SCALE, angles, STILL)
    finger = joints[8] - joints[5]
    assert finger[2] > 0.95 * np.linalg.norm(hand.joints[8] - hand.joints[5])
    others = [i for i in range(21) if i not in (6, 7, 8)]
    assert_allclose(joints[others], hand.joints[others], atol=1e-12)


def test_a_spread_hand_is_wider_than_a_closed_one():
    width = [np.ptp(pose_hand(load_hand(), SCALE, pose_angles(p), STILL)[0][[8, 20], 0]) for p in ("flat", "open")]
    assert width[1] > width[0] + 0.02


def test_the_wrist_moves_the_forearm_only():
    hand = load_hand()
    joints, transforms = bone_transforms(hand, SCALE, np.zeros((5, 4)), np.array([0.5, 0.0]))
    assert_allclose(joints, hand.joints, atol=1e-12)
    down = transforms[FOREARM] @ [0, -0.1, 0, 1]
    assert_allclose(down, [0, -0.1 * np.cos(0.5), 0.1 * np.sin(0.5)], atol=1e-9)


def test_normals_point_outward_and_agree_across_texture_seams():
    hand = load_hand()
    normals = vertex_normals(hand, hand.vertices)
    assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert_allclose(normals, normals[hand.welded], atol=0)
    arm = hand.vertices[:, 1] < -0.05
    away = (hand.vertices - hand.vertices[arm].mean(0))[arm][:, [0, 2]]
    assert (np.sum(normals[arm][:, [0, 2]] * away, 1) > 0).mean() > 0.99


def test_a_missing_asset_is_named(tmp_path):
    with pytest.raises(SemihandError, match="hand.npz could not be read.*build_studio_hand"):
        load_hand(tmp_path / "hand.npz")
