"""Who says what a box shows: the network itself, both ways in one batch, or the landmark model."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.camera import default_intrinsics
from semihand.tracker.observe import LandmarkObserver, NetworkObserver, has_verdict, observer_for
from semihand.tracker.palm import box_from_landmarks
from semihand.tracker.types import HandBox

K = default_intrinsics(640, 480)
NOWHERE = HandBox(np.array([600.0, 60.0]), 80.0)


def pytest_generate_tests(metafunc):
    """With a network that needs the landmark model, and with one that has verdicts."""
    if "world" in metafunc.fixturenames:
        metafunc.parametrize("world", [False, True], ids=["landmarks", "verdicts"], indirect=True)


def test_the_network_is_asked_where_it_can_say(world):
    observer = observer_for(world, world)
    assert has_verdict(world) is world.verdicts is observer.every_frame
    assert isinstance(observer, NetworkObserver if world.verdicts else LandmarkObserver)


@pytest.mark.parametrize("side", ["left", "right"])
def test_both_kinds_see_the_same(world, plant, side):
    hand = plant("a", 0.0, 0.1, side=side, presence=0.8, vote=(side, 0.9))
    seen, empty = observer_for(world, world)(world.image, [box_from_landmarks(hand.uv), NOWHERE], K)
    assert np.abs(seen.uv_image - hand.uv).max() < 2.0
    assert seen.handedness == side
    assert_allclose([seen.presence, seen.handedness_score], [0.8, 0.9], atol=1e-6)
    assert empty.presence < 0.1
    assert world.calls == {"detect": 0, "network": int(world.verdicts), "landmark": 2 * (not world.verdicts)}


def test_a_box_of_a_known_side_is_looked_at_that_way_only(world, plant):
    if not world.verdicts:
        pytest.skip("for networks that have verdicts")
    hand = plant("a", 0.0, 0.1, side="left", vote=("left", 0.9))
    counts = []
    run = world.run
    world.run = lambda crops: counts.append(len(crops)) or run(crops)
    box = box_from_landmarks(hand.uv)
    observer = NetworkObserver(world)
    as_said, otherwise, both = observer(
        world.image, [replace(box, handedness="left"), replace(box, handedness="right"), box], K
    )
    assert counts == [4]
    assert [one.handedness for one in (as_said, otherwise, both)] == ["left"] * 3
    assert_allclose([one.handedness_score for one in (as_said, otherwise, both)], 0.9, atol=1e-6)


def test_no_boxes_no_run(world):
    assert observer_for(world, world)(world.image, [], K) == []
    assert world.calls == {"detect": 0, "network": 0, "landmark": 0}
