"""The animated clip: labels against geometry, the same frames for the same seed, both hands, smooth moves."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.models.lifting import bone_lengths, project
from semihand.synth.clip import Clip, ClipConfig
from semihand.synth.motion import STORY, minimum_jerk

SMALL = {"width": 320, "height": 240}
FRAMES = (0, 17, 60, 120)


@pytest.fixture(scope="module")
def pair():
    return Clip(ClipConfig(hands=2, **SMALL))


@pytest.fixture(scope="module")
def frames(pair):
    return [pair.frame(index) for index in FRAMES]


def joints(clip, number, count=300):
    """Joints (count, 21, 3) in mm of one hand, without drawing."""
    return np.stack([clip.movers[number].at(index / clip.config.fps)[0] for index in range(count)])


def test_pixels_are_the_projected_joints(pair, frames):
    for frame in frames:
        for hand in frame.hands:
            assert_allclose(hand.uv, project(hand.xyz, pair.K), atol=1e-6)


def test_the_camera_sees_as_wide_as_asked():
    K = Clip(ClipConfig(view_degrees=90.0)).K
    assert_allclose(K[0, 0], 320.0)
    assert_allclose(K[:2, 2], (319.5, 239.5))


def test_joints_lie_in_their_own_masks(frames):
    for frame in frames:
        masks = [cv2.dilate(hand.mask, np.ones((5, 5))) > 127 for hand in frame.hands]
        for number, hand in enumerate(frame.hands):
            u, v = np.rint(hand.uv).astype(int).T
            assert masks[number][v, u].mean() > 0.95
            assert masks[1 - number][v, u].mean() < 0.05
            assert 0.01 < (hand.mask > 127).mean() < 0.2


def test_masks_follow_the_picture(frames):
    """Where neither hand nor arm ever is, the picture stands still; where a hand moves, it changes."""
    first, second = frames[0], frames[1]
    change = np.abs(first.image.astype(int) - second.image).max(-1)
    assert np.median(change[:40]) < 10
    moved = (first.hands[0].mask > 127) & (second.hands[0].mask == 0)
    moved &= second.hands[1].mask == 0
    assert np.median(change[moved]) > 20


def test_the_same_seed_gives_the_same_frames_in_any_order(frames):
    again = Clip(ClipConfig(hands=2, **SMALL))
    for frame in reversed(frames):
        other = again.frame(frame.index)
        assert_array_equal(other.image, frame.image)
        for one, two in zip(other.hands, frame.hands, strict=True):
            assert_array_equal(one.mask, two.mask)
            assert_array_equal(one.xyz, two.xyz)


def test_another_seed_gives_another_person(frames):
    other = Clip(ClipConfig(hands=2, seed=3, **SMALL)).frame(0)
    assert np.abs(other.image.astype(int) - frames[0].image).mean() > 5


def test_left_hands_are_mirrored_right_hands(pair):
    """Fingers bend to the palm's side, which a left hand has on the other side of wrist, index and little finger."""
    for number, sign in ((0, 1), (1, -1)):
        moving = joints(pair, number)
        palm = np.cross(moving[:, 5] - moving[:, 0], moving[:, 17] - moving[:, 0])
        bend = (moving[:, [12, 16]] - moving[:, [9, 13]]).mean(1)
        assert np.median(sign * (palm * bend).sum(-1)) > 0


def test_one_hand_is_the_right_one(frames):
    assert [hand.handedness for hand in Clip(ClipConfig(**SMALL)).frame(0).hands] == ["right"]
    for frame in frames:
        right, left = frame.hands
        assert (right.handedness, left.handedness) == ("right", "left")
        assert right.uv[:, 0].mean() < left.uv[:, 0].mean()  # as a camera sees a person


def test_bones_are_rigid_and_alike(pair):
    lengths = np.concatenate([bone_lengths(joints(pair, number, 100)) for number in (0, 1)])
    fingers = np.delete(lengths, [0, 4, 8, 12, 16], axis=1)  # the palm is rigid too, but not every pose's wrist
    assert_allclose(fingers, np.broadcast_to(fingers[0], fingers.shape), rtol=1e-3)


@pytest.mark.parametrize("seed", [18, 3])
def test_hands_stay_in_sight_and_move_smoothly(seed):
    clip = Clip(ClipConfig(hands=2, seed=seed))
    for number in (0, 1):
        moving = joints(clip, number)
        uv = project(moving, clip.K)
        assert uv.min() > 0 and (uv.max((0, 1)) < (640, 480)).all()
        assert np.linalg.norm(np.diff(moving, axis=0), axis=-1).max() < 70
        assert np.linalg.norm(np.diff(moving, 2, axis=0), axis=-1).max() < 40
        assert clip.movers[number].at(2.0)[1][:, 2].min() > 80


def test_near_and_far(pair):
    depth = joints(pair, 0)[:, :, 2].mean(1)
    assert depth.max() > 1.5 * depth.min()


def test_the_clip_goes_on_after_its_end():
    clip = Clip(ClipConfig(frames=2, **SMALL))
    assert [frame.index for frame in clip] == [0, 1]
    assert_allclose([frame.time for frame in clip], [0, 1 / 30])
    assert len(clip.frame(2 * 60 * len(STORY)).hands) == 1


def test_minimum_jerk_by_hand():
    # t^3 (10 - 15 t + 6 t^2) at a quarter: 0.015625 * 6.625
    assert_allclose(minimum_jerk(np.array([-1, 0, 0.25, 0.5, 1, 2])), [0, 0, 0.103515625, 0.5, 1, 1])


@pytest.mark.parametrize(
    "wrong", [{"frames": 0}, {"hands": 3}, {"fps": 0.0}, {"view_degrees": 5.0}, {"width": 10}, {"noise": -1.0}]
)
def test_impossible_clips_are_refused(wrong):
    with pytest.raises(ValueError, match="A clip needs"):
        ClipConfig(**wrong)
