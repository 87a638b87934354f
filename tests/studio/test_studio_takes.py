"""Takes of the second world: drawn from their number alone, smooth in time, split by gesture."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.models.lifting import project
from semihand.studio.body import build_body, draw_mask
from semihand.studio.takes import PERSONS, POSES, SPLIT_GESTURES, TAKE_FRAMES, TakeFrame, draw_take, pose_angles

K = np.array([[400.0, 0, 59.5], [0, 400, 59.5], [0, 0, 1]])
FACING = np.diag([1.0, -1.0, -1.0])


def frame(pose="open", position=(0, 0, 0.7)):
    return TakeFrame(pose_angles(pose), np.zeros(2), FACING, np.array(position))


def test_the_same_numbers_give_the_same_take_and_others_another():
    one, again, other = draw_take(3, "train", 5), draw_take(3, "train", 5), draw_take(4, "train", 5)
    assert_array_equal(one.frames[7].fingers, again.frames[7].fingers)
    assert np.abs(one.frames[7].position - other.frames[7].position).max() > 1e-3


@pytest.mark.parametrize("split", ["train", "test"])
def test_takes_are_smooth_in_front_of_the_camera_and_of_both_hands(split):
    takes = [draw_take(0, split, number) for number in range(12)]
    assert {take.handedness for take in takes} == {"left", "right"}
    assert {take.person for take in takes} == set(range(len(PERSONS)))
    for take in takes:
        assert len(take.frames) == TAKE_FRAMES and take.gesture in SPLIT_GESTURES[split]
        fingers = np.stack([f.fingers for f in take.frames])
        positions = np.stack([f.position for f in take.frames])
        assert np.abs(np.diff(fingers, axis=0)).max() < 1.2  # a fist closes in a third of a second
        assert np.linalg.norm(np.diff(positions, axis=0), axis=1).max() < 0.05
        assert positions[:, 2].min() > 0.3
        rotations = np.stack([f.rotation for f in take.frames])
        assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (TAKE_FRAMES, 1, 1)), atol=1e-9)


def test_test_takes_show_gestures_that_train_takes_never_show():
    assert set(SPLIT_GESTURES["test"]) & set(SPLIT_GESTURES["train"]) == {"counting"}


def test_every_pose_stays_within_a_hands_reach():
    for name in POSES:
        angles = pose_angles(name)
        assert angles.shape == (5, 4) and np.abs(angles).max() < 1.8


def test_a_left_hand_is_the_mirror_image():
    right, left = build_body(PERSONS[0], frame(), "right"), build_body(PERSONS[0], frame(), "left")
    assert_allclose(left.joints, right.joints * [-1, 1, 1])
    assert_allclose(left.sleeve[0], right.sleeve[0] * [-1, 1, 1])
    corner = lambda body: body.vertices[body.triangles[0]]  # noqa: E731
    turn = lambda body: np.cross(corner(body)[1] - corner(body)[0], corner(body)[2] - corner(body)[0])  # noqa: E731
    assert turn(left) @ body_normal(left) > 0 and turn(right) @ body_normal(right) > 0


def body_normal(body):
    return body.normals[body.triangles[0]].sum(0)


def test_a_right_palm_facing_the_camera_has_its_thumb_on_the_pictures_right():
    joints = build_body(PERSONS[0], frame(), "right").joints
    assert joints[4, 0] > joints[20, 0] and joints[12, 1] < joints[0, 1]


def test_the_mask_holds_the_joints_and_ends_at_the_wrist():
    body = build_body(PERSONS[1], frame(), "right")
    mask = draw_mask(body, K, 120)
    uv = np.round(project(body.joints, K)).astype(int)
    inner = [i for i in range(21) if i not in (4, 8, 12, 16, 20)]
    assert (mask[uv[inner, 1], uv[inner, 0]] == 1).all()
    pixel = K[0, 0] / body.joints[0, 2]
    lowest = np.flatnonzero(mask.any(1)).max()
    assert_allclose((lowest - uv[0, 1]) / pixel, 0.005 * PERSONS[1].scale[1], atol=0.004)


def test_a_sleeve_over_the_hand_is_not_part_of_the_mask():
    from dataclasses import replace

    bare, covered = (build_body(replace(PERSONS[0], sleeve_end=end), frame(), "right") for end in (np.nan, -0.04))
    assert draw_mask(covered, K, 120).sum() < 0.9 * draw_mask(bare, K, 120).sum()
