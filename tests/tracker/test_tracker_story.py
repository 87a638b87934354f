"""Stories, frame by frame, in a world with planted hands: ids, sides, loss, and when the detector runs."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.tracker.estimate import PresenceConfig
from semihand.tracker.find import FindConfig, Kind
from semihand.tracker.palm import ALL_VIEWS, OTHER_VIEWS, PLAIN
from semihand.tracker.pipeline import STAGES, Tracker, TrackerConfig
from semihand.tracker.types import Frame

RAW, FPS = TrackerConfig(smooth=None), 30.0


def pytest_generate_tests(metafunc):
    """Every story is told with a network that needs the landmark model, and with one that has verdicts."""
    if "world" in metafunc.fixturenames:
        metafunc.parametrize("world", [False, True], ids=["landmarks", "verdicts"], indirect=True)


@pytest.fixture
def tracker(world):
    return Tracker(world, world, world, RAW)


def ids(poses):
    return [pose.id for pose in poses]


def sides(poses):
    return {pose.id: pose.handedness for pose in poses}


def test_a_moving_hand_keeps_its_id_and_its_joints(world, plant, tracker):
    for index in range(60):
        hand = plant("a", -0.2 + 0.006 * index, 0.1 + 0.02 * np.sin(index / 5), 0.5 + 0.002 * index)
        poses = tracker.step(world.frame())
        assert ids(poses) == [1]
        assert np.abs(poses[0].uv_image - hand.uv).max() < 2.0
        assert_allclose(poses[0].xyz_cam, hand.xyz, atol=0.015)
        assert poses[0].handedness == "right"
        assert_allclose(poses[0].score, 0.9, atol=1e-6)


def test_a_left_hand_is_estimated_in_a_mirrored_crop(world, plant, tracker):
    hand = plant("a", 0.1, 0.1, side="left")
    pose = tracker.step(world.frame())[0]
    assert pose.handedness == "left"
    assert pose.score > 0.8  # the world's network is half as sure of a crop that is mirrored wrongly
    assert np.abs(pose.uv_image - hand.uv).max() < 2.0
    z = hand.xyz_virtual[:, 2]
    assert_allclose(pose.depth_rel, z - z[9], atol=0.002)


def test_smoothing_lags_little_and_settles(world, plant):
    tracker = Tracker(world, world, world, TrackerConfig())
    for index in range(30):
        hand = plant("a", -0.1 + 0.004 * min(index, 15), 0.1)
        pose = tracker.step(world.frame())[0]
        assert np.abs(pose.uv_image - hand.uv).max() < 6.0
    assert np.abs(pose.uv_image - hand.uv).max() < 2.0


def test_two_hands_are_two_ids_in_one_batch(world, plant, tracker):
    plant("a", -0.15, 0.1), plant("b", 0.15, 0.1, side="left")
    for _ in range(10):
        poses = tracker.step(world.frame())
        assert ids(poses) == [1, 2]
    assert sorted(sides(poses).values()) == ["left", "right"]
    assert world.calls["network"] == 10 + world.verdicts  # one look at both boxes, both ways, in one batch


def test_detector_runs_only_while_hands_are_missing(world, plant, tracker):
    plant("a", -0.15, 0.1)
    for _ in range(20):
        tracker.step(world.frame())
    assert world.calls["detect"] == 4  # frames 0, 5, 10, 15
    plant("b", 0.15, 0.1, side="left")
    found_at = next(index for index in range(20, 30) if len(tracker.step(world.frame())) == 2)
    assert found_at - 20 < 5
    calls = world.calls["detect"]
    for _ in range(20):
        tracker.step(world.frame())
    assert world.calls["detect"] == calls


def test_one_wanted_hand_needs_one_look(world, plant):
    tracker = Tracker(world, world, world, replace(RAW, hands=1))
    plant("a", -0.15, 0.1), plant("b", 0.15, 0.1, side="left")
    for _ in range(20):
        assert len(tracker.step(world.frame())) == 1
    assert world.calls["detect"] == 1


def test_no_hand_is_a_result(world, tracker):
    for _ in range(3):
        assert tracker.step(world.frame()) == []
    assert world.calls == {"detect": 3, "landmark": 0, "network": 0}


def test_a_hand_that_comes_back_within_half_a_second_keeps_its_id(world, plant, tracker):
    hand = plant("a", 0.0, 0.1)
    for _ in range(5):
        assert ids(tracker.step(world.frame())) == [1]
    hand.shown = False
    for _ in range(10):
        assert tracker.step(world.frame()) == []
    hand.shown = True
    assert ids(tracker.step(world.frame())) == [1]
    hand.shown = False
    for _ in range(18):
        tracker.step(world.frame())
    hand.shown = True
    assert ids(tracker.step(world.frame())) == [2]


def test_a_hand_that_jumps_is_found_in_the_same_frame(world, plant, tracker):
    plant("a", -0.2, 0.1)
    tracker.step(world.frame())
    hand = plant("a", 0.2, 0.1)
    poses = tracker.step(world.frame())
    assert len(poses) == 1
    assert np.abs(poses[0].uv_image - hand.uv).max() < 2.0


def test_the_other_hand_is_not_disturbed_by_a_loss(world, plant, tracker):
    plant("a", -0.15, 0.1), plant("b", 0.15, 0.1, side="left")
    tracker.step(world.frame())
    world.hands["b"].shown = False
    for _ in range(6):
        assert ids(tracker.step(world.frame())) == [1]
    world.hands["b"].shown = True
    assert ids(tracker.step(world.frame())) == [1, 2]


def test_doubtful_frames_are_forgiven_three_times(world, plant):
    tracker = Tracker(world, world, world, replace(RAW, presence=PresenceConfig(start=0.35, keep=0.25, drop=0.1)))
    hand = plant("a", 0.0, 0.1, presence=0.7)  # the landmark model sees it, but is not sure either
    tracker.step(world.frame())
    hand.sure = 0.2
    for _ in range(3):
        assert ids(tracker.step(world.frame())) == [1]
    assert tracker.step(world.frame()) == []  # and 0.2 is too little for a new hand
    hand.sure = 0.3
    assert tracker.step(world.frame()) == []
    hand.sure = 0.4
    assert ids(tracker.step(world.frame())) == [1]


def test_the_landmark_model_outweighs_the_networks_doubts(world, plant, tracker):
    if world.verdicts:
        pytest.skip("for networks without verdicts")
    hand = plant("a", 0.0, 0.1, sure=0.2)
    for _ in range(60):
        assert ids(tracker.step(world.frame())) == [1]
    # One look, and then a check in the frame after each stretch of trust.
    assert 5 <= world.calls["landmark"] <= 8 + world.calls["detect"]
    hand.sure = 0.05  # but where the network sees none, there is none
    assert tracker.step(world.frame()) == []


def test_a_single_doubtful_frame_changes_nothing(world, plant, tracker):
    hand = plant("a", 0.0, 0.1)
    for index in range(40):
        hand.sure = 0.2 if index % 4 == 3 else 0.9
        assert ids(tracker.step(world.frame())) == [1]


def test_a_hand_that_leaves_the_picture_is_lost(world, plant, tracker):
    seen = []
    for index in range(40):
        plant("a", -0.1 - 0.01 * index, 0.1, 0.4)
        seen.append(len(tracker.step(world.frame())))
    assert seen[0] == 1 and seen[-1] == 0
    assert seen == sorted(seen, reverse=True)


def test_two_boxes_on_one_hand_are_one_hand(world, plant, tracker):
    from semihand.tracker.palm import box_from_landmarks

    hand = plant("a", 0.0, 0.1)
    world.extra_boxes = [box_from_landmarks(hand.uv + 40, score=0.6)]
    for _ in range(12):
        assert ids(tracker.step(world.frame())) == [1]


def test_two_tracks_that_run_into_one_hand_become_the_older(world, plant, tracker):
    plant("a", -0.07, 0.1), plant("b", 0.07, 0.1, side="left")
    assert len(tracker.step(world.frame())) == 2
    world.hands["b"].shown = False
    plant("a", 0.0, 0.1)  # half way: both crops show it
    merged = [ids(tracker.step(world.frame())) for _ in range(3)]
    assert merged == [[1]] * 3


def test_a_track_that_lost_the_outline_is_put_back_in_place(world, plant, tracker):
    hand = plant("a", 0.0, 0.1)
    tracker.step(world.frame())
    track = tracker._tracks[0]
    track.uv_image = hand.uv.mean(axis=0) + 0.1 * (hand.uv - hand.uv.mean(axis=0))
    track.misses = 1
    poses = tracker.step(world.frame())
    assert ids(poses) == [1]
    assert np.abs(poses[0].uv_image - hand.uv).max() < 2.0


def test_a_wrong_first_vote_is_corrected_once(world, plant, tracker):
    hand = plant("a", 0.0, 0.1, sure=0.9, vote=("left", 0.6))
    labels = []
    for index in range(90):
        if index == 2:
            hand.vote = None
        poses = tracker.step(world.frame())
        assert ids(poses) == [1]
        labels.append(poses[0].handedness)
    changes = [index for index in range(1, 90) if labels[index] != labels[index - 1]]
    assert labels[0] == "left" and labels[-1] == "right"
    assert len(changes) == 1
    # From the frame of the change on everything is of the right hand: the crop, the joints, the confidence.
    assert poses[0].box.handedness == "right"
    assert poses[0].score > 0.8


def test_one_contrary_vote_changes_nothing(world, plant, tracker):
    """The landmark model is asked every 30 frames, a network that has verdicts says it in each."""
    hand, end = plant("a", 0.0, 0.1), 65 if world.verdicts else 90
    for index in range(200):
        hand.vote = ("left", 0.99) if 55 <= index <= end else None
        assert sides(tracker.step(world.frame())) == {1: "right"}


def test_never_two_rights_for_one_pair(world, plant, tracker):
    plant("a", -0.15, 0.1, vote=("right", 0.9)), plant("b", 0.15, 0.1, side="left", vote=("right", 0.6))
    for _ in range(60):
        poses = tracker.step(world.frame())
        assert sides(poses) == {1: "right", 2: "left"}


def test_two_people_have_two_rights(world, plant, tracker):
    plant("a", -0.15, 0.1), plant("b", 0.15, 0.1)
    for _ in range(60):
        poses = tracker.step(world.frame())
    assert sides(poses) == {1: "right", 2: "right"}


def test_a_tracked_thing_that_is_no_hand_is_dropped(world, plant):
    if world.verdicts:
        pytest.skip("for networks without verdicts")
    find = FindConfig(vote_every=2, check_every=2)
    tracker = Tracker(world, world, world, replace(RAW, find=find))
    hand = plant("a", 0.0, 0.1)
    tracker.step(world.frame())

    class Thing:
        """The network goes on seeing a hand where the other two models see none."""

        info = world.info

        def run(self, crops):
            hand.shown = True
            answer = world.run(crops)
            hand.shown = False
            return answer

    tracker._estimator.model = Thing()
    hand.shown = False
    kept = [len(tracker.step(world.frame())) for _ in range(8)]
    assert kept[0] == 1 and kept[-1] == 0


def test_a_network_that_no_longer_sees_a_hand_ends_it(world, plant, tracker):
    if not world.verdicts:
        pytest.skip("for networks that have verdicts")
    hand = plant("a", 0.0, 0.1)
    tracker.step(world.frame())
    hand.presence = 0.2  # a doubt that is forgiven for a while, however sure the joints
    kept = [len(tracker.step(world.frame())) for _ in range(6)]
    assert kept == [1, 1, 1, 0, 0, 0]
    hand.presence = 0.4  # too little for a new hand
    assert tracker.step(world.frame()) == []
    hand.presence = 0.6
    assert ids(tracker.step(world.frame())) == [1]
    hand.presence = 0.4  # enough for a tracked one
    assert [len(tracker.step(world.frame())) for _ in range(6)] == [1] * 6
    hand.presence = 0.05
    assert tracker.step(world.frame()) == []


def test_a_lost_hand_is_looked_for_near_its_place_where_the_palm_model_is_blind(world, plant, tracker):
    """It jumps by half its size: out of its crop, but not out of one and a half of it."""
    if not world.verdicts:
        pytest.skip("for networks that have verdicts")
    plant("a", 0.0, 0.1)
    tracker.step(world.frame())
    world.blind = True
    hand = plant("a", 0.115, 0.1)
    poses = tracker.step(world.frame())
    assert ids(poses) == [1]
    assert np.abs(poses[0].uv_image - hand.uv).max() < 2.0
    world.hands["a"].shown = False
    assert [tracker.step(world.frame()) for _ in range(3)] == [[]] * 3


def test_a_hand_on_the_other_ones_place_is_not_counted_twice(world, plant, tracker):
    """The left hand vanishes beside the right one: its crop shows the right one, which keeps its id and side."""
    if not world.verdicts:
        pytest.skip("for networks that have verdicts")
    plant("a", 0.0, 0.1, side="left"), plant("b", 0.075, 0.1)
    labels = sides(tracker.step(world.frame()))
    assert sorted(labels.values()) == ["left", "right"]
    right = next(one for one, side in labels.items() if side == "right")
    world.hands["a"].shown = False
    for _ in range(10):
        assert sides(tracker.step(world.frame())) == {right: "right"}


@pytest.mark.parametrize("reach,seconds", [(0.1, 0.4), (0.15, 0.5), (0.2, 0.6)])
def test_a_hand_in_fast_motion_stays_in_its_crop(world, plant, tracker, reach, seconds):
    """Waving to and fro by `reach` metres, at up to 2 m a second half a metre away."""
    outside = []
    for index in range(60):
        hand = plant("a", reach * np.cos(2 * np.pi * index / FPS / seconds), 0.1, 0.5)
        poses = tracker.step(world.frame())
        assert ids(poses) == [1]
        uvw = np.column_stack([hand.uv, np.ones(21)]) @ poses[0].image_to_crop.T
        outside.append(np.abs(uvw[:, :2] / uvw[:, 2:] - 31.5).max() - 32)
    assert max(outside) < 0


def test_the_palm_model_looks_from_all_sides_first_and_from_one_more_in_turn(world, plant, tracker):
    for _ in range(8):
        tracker.step(world.frame())
    assert world.views[0] == ALL_VIEWS
    assert all(len(views) == 2 and views[0] == PLAIN for views in world.views[1:])
    assert {views[1] for views in world.views[1:]} == set(OTHER_VIEWS)
    plant("a", 0.0, 0.1)
    for _ in range(11):
        tracker.step(world.frame())
    assert world.views[9:] == [(PLAIN,)] * 2  # beside a tracked hand the plain picture has to do
    tracker.reset()
    tracker.step(world.frame())
    assert world.views[-1] == ALL_VIEWS


def test_the_landmark_model_is_needed_by_networks_without_verdicts_only(world, plant):
    plant("a", 0.0, 0.1)
    tracker = Tracker(world, world, world if not world.verdicts else None, RAW)
    hand_seen = [ids(tracker.step(world.frame())) for _ in range(40)]
    assert hand_seen == [[1]] * 40
    assert (world.calls["landmark"] > 0) is not world.verdicts


def test_a_network_of_the_other_kind_takes_over_between_two_frames(world, plant):
    hand = plant("a", 0.0, 0.1)
    other = type(world)(not world.verdicts)
    other.hands = world.hands
    tracker = Tracker(world, world, world, RAW)
    for network in (world, other, world):
        tracker.use(network)
        for _ in range(40):
            assert sides(tracker.step(world.frame())) == {1: "right"}
    hand.shown = False
    assert tracker.step(world.frame()) == []


def test_the_finder_says_and_changes_nothing(world, plant, tracker):
    hand = plant("a", 0.0, 0.1)
    tracker.step(world.frame())
    (track,) = tracker._tracks
    track.misses, track.uv_image = 1, hand.uv + 120  # lost its outline
    before = dict(vars(track))
    (verdict,) = tracker._finder.find(world.frame(), tracker.intrinsics(world.image), tracker._tracks, False)[-1:]
    assert verdict.track is track and verdict.kind is Kind.MOVED
    assert np.abs(verdict.observation.uv_image - hand.uv).max() < 2.0
    assert all(vars(track)[name] is value for name, value in before.items()) and tracker._tracks == [track]


def test_reset_starts_over(world, plant, tracker):
    plant("a", 0.0, 0.1)
    tracker.step(world.frame())
    calls = world.calls["detect"]
    tracker.reset()
    assert ids(tracker.step(world.frame())) == [1]
    assert world.calls["detect"] == calls + 1


def test_every_stage_is_timed(world, plant, tracker):
    plant("a", 0.0, 0.1)
    tracker.step(replace(world.frame(), capture_ms=2.5))
    assert tuple(tracker.ms) == STAGES
    assert tracker.ms["capture"] == 2.5
    parts = sum(tracker.ms[stage] for stage in ("detect", "crop", "estimate", "lift", "smooth"))
    assert 0 < parts <= tracker.ms["total"]


def test_the_picture_is_never_changed(world, plant, tracker):
    plant("a", 0.0, 0.1)
    before = world.image.copy()
    tracker.step(world.frame())
    assert_allclose(world.image, before, atol=0)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3000, 3), (16, 16, 3)])
def test_odd_pictures(world, tracker, shape):
    assert tracker.step(Frame(np.zeros(shape, np.uint8), 0.0, 0)) == []


def test_focal_length_scales_depth(world, plant):
    plant("a", 0.0, 0.1)
    near = Tracker(world, world, world, RAW, focal=544.0).step(world.frame())[0]
    far = Tracker(world, world, world, RAW, focal=1088.0).step(world.frame())[0]
    assert_allclose(far.xyz_cam[9, 2] / near.xyz_cam[9, 2], 2.0, rtol=0.02)


@pytest.mark.parametrize("values", [{"hands": 0}, {"patience": -1}])
def test_refuses_senseless_configurations(values):
    with pytest.raises(ValueError, match="A tracker needs"):
        TrackerConfig(**values)


def test_looking_for_a_second_hand_delays_no_frame(world, plant, monkeypatch):
    """The palm model's answer is heard when it comes: at the next frame, which waits for it."""
    if not world.verdicts:
        pytest.skip("for networks that have verdicts")
    plant("a", -0.15, 0.1)
    tracker, answered, detect = Tracker(world, world, None, RAW), threading.Event(), world.detect
    tracker.step(world.frame())

    def slow(*arguments):
        assert answered.wait(20)
        return detect(*arguments)

    monkeypatch.setattr(world, "detect", slow)
    plant("b", 0.15, 0.1, side="left")
    for _ in range(FindConfig().look_every):
        assert ids(tracker.step(world.frame())) == [1]  # the last of these frames looked, and did not wait
    answered.set()
    assert ids(tracker.step(world.frame())) == [1, 2]
