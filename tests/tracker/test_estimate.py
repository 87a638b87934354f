"""Boxes in, joints in the picture and in metres out: with planted answers, both hands in one batch."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.camera import crop_camera, default_intrinsics
from semihand.models.joints import PRIOR_BONE_LENGTHS, UNIT_BONE_METRES
from semihand.models.lifting import project, relative_depth
from semihand.tracker.crop import crop_box
from semihand.tracker.estimate import Estimator, Presence, PresenceConfig, joints_on_mask, presence
from semihand.tracker.types import HandBox, HandEstimate

K = default_intrinsics(640, 480)
IMAGE = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


class Exact:
    """Knows the hands in metres and answers each crop without an error, as a perfect network would."""

    def __init__(self, info, crops, hands):
        self.info, self.crops, self.hands, self.batches = info, crops, hands, []

    def run(self, batch):
        self.batches.append(batch.copy())
        virtual = [crop.xyz_to_virtual(xyz) for crop, xyz in zip(self.crops, self.hands)]
        uv = [project(xyz, crop.K_crop) for crop, xyz in zip(self.crops, virtual)]
        depth = [relative_depth(xyz, UNIT_BONE_METRES) for xyz in virtual]
        mask = np.zeros((len(batch), 64, 64))
        mask[:, 6:58, 6:58] = 1
        return np.stack(uv), np.stack(depth), mask, np.full((len(batch), 21), 0.9)


def boxes_of(hands, sides):
    made = [crop_box(project(xyz, K), 1.6, None) for xyz in hands]
    return [HandBox(box.center, box.side, box.roll, side) for box, side in zip(made, sides)]


@pytest.fixture
def hands(world, plant):
    return [plant("a", 0.15, 0.1, 0.55, "left").xyz, plant("b", -0.2, 0.12, 0.7, "right").xyz]


def test_pixels_and_metres_come_back_exactly(world, hands):
    """Crop, mirrored or not, off the axis and turned: the inverse way gives the planted hand."""
    boxes = boxes_of(hands, ["left", "right"])
    network = Exact(world.info, None, hands)
    estimator = Estimator(network)
    network.crops = [crop_camera(K, b.center, b.side, b.roll, b.handedness == "left") for b in boxes]
    found = estimator(IMAGE, boxes, K)
    assert [hand.crop.mirrored for hand in found] == [True, False]
    assert len(network.batches) == 1
    for hand, xyz in zip(found, hands):
        assert_allclose(hand.uv_image, project(xyz, K), atol=1e-6)
        assert_allclose(hand.xyz_cam, xyz, atol=1e-6)


def test_left_hands_are_mirrored_and_colours_are_rgb(world, hands):
    box = boxes_of(hands[:1], ["right"])[0]
    image = np.zeros((480, 640, 3), np.uint8)
    image[...] = (10, 20, 30)  # BGR
    image[:, : int(box.center[0])] = (1, 2, 3)
    network = Exact(world.info, [], [])
    estimator = Estimator(network)
    seen = {}
    for side in ("right", "left"):
        pictures = estimator._pictures(image, [_crop(box, side)])
        seen[side] = pictures[0].copy()
    assert seen["right"].shape == (128, 128, 3)
    assert_allclose(seen["right"][64, 120], (30, 20, 10))
    assert_allclose(seen["left"][64, 120], (3, 2, 1))


def _crop(box, side):
    return crop_camera(K, box.center, box.side, 0.0, side == "left")


def test_no_boxes_no_run(world):
    network = Exact(world.info, [], [])
    assert Estimator(network)(IMAGE, [], K) == []
    assert network.batches == []


def test_numbers_that_are_not_finite_leave_no_confidence(world, hands, caplog):
    class Broken(Exact):
        def run(self, batch):
            uv, depth, mask, confidence = super().run(batch)
            uv[1, 3] = np.nan
            return uv, depth, mask, confidence

    boxes = boxes_of(hands, ["left", "right"])
    crops = [crop_camera(K, b.center, b.side, b.roll, b.handedness == "left") for b in boxes]
    good, bad = Estimator(Broken(world.info, crops, hands))(IMAGE, boxes, K)
    assert presence(good.estimate, tracked=True) is Presence.PRESENT
    assert presence(bad.estimate, tracked=True) is Presence.ABSENT
    assert np.isfinite(bad.xyz_cam).all()
    assert "not finite" in caplog.text


def estimate(confidence=0.9, area=0.3, on_mask=21) -> HandEstimate:
    """`on_mask` joints in the upper part of the crop, which the mask covers to `area`; the others at the bottom."""
    mask = np.zeros((64, 64))
    mask[: round(64 * area)] = 1
    uv = np.tile([32.0, 5.0], (21, 1))
    uv[on_mask:, 1] = 63.0
    return HandEstimate(uv, np.zeros(21), mask, np.full(21, confidence))


@pytest.mark.parametrize(
    "seen,tracked,expected",
    [
        (estimate(), False, Presence.PRESENT),
        (estimate(confidence=0.3), True, Presence.PRESENT),
        (estimate(confidence=0.3), False, Presence.DOUBTFUL),
        (estimate(confidence=0.2), True, Presence.DOUBTFUL),
        (estimate(confidence=0.05), True, Presence.ABSENT),
        (estimate(area=0.0), True, Presence.DOUBTFUL),
        (estimate(area=1.0), True, Presence.DOUBTFUL),
        (estimate(on_mask=8), True, Presence.DOUBTFUL),
        (estimate(on_mask=9), True, Presence.PRESENT),
    ],
)
def test_presence(seen, tracked, expected):
    config = PresenceConfig(start=0.35, keep=0.25, drop=0.1, min_joints=0.4)
    assert presence(seen, tracked, config) is expected


@pytest.mark.parametrize(
    "said,confidence,tracked,expected",
    [
        (0.6, 0.9, False, Presence.PRESENT),
        (0.4, 0.9, False, Presence.DOUBTFUL),
        (0.4, 0.9, True, Presence.PRESENT),
        (0.2, 0.9, True, Presence.DOUBTFUL),
        (0.05, 0.9, True, Presence.ABSENT),
        (0.99, 0.3, False, Presence.DOUBTFUL),  # a face may look like a hand as long as nobody asks for its joints
        (0.99, 0.2, True, Presence.DOUBTFUL),
        (0.99, 0.05, True, Presence.ABSENT),
    ],
)
def test_presence_by_the_networks_own_word(said, confidence, tracked, expected):
    seen = replace(estimate(confidence), presence=said, right=0.9)
    assert presence(seen, tracked) is expected


def test_verdicts_come_with_the_hand_they_belong_to(world, hands):
    class Sure(Exact):
        def run(self, batch):
            return *super().run(batch), np.array([0.9, 0.2]), np.array([0.8, np.nan])

    boxes = boxes_of(hands, ["left", "right"])
    crops = [crop_camera(K, b.center, b.side, b.roll, b.handedness == "left") for b in boxes]
    good, broken = Estimator(Sure(world.info, crops, hands))(IMAGE, boxes, K)
    assert (good.estimate.presence, good.estimate.right) == (0.9, 0.8)
    assert (broken.estimate.presence, broken.estimate.right) == (0.0, 0.5)
    assert [good.box, broken.box] == boxes


def test_joints_on_mask_reaches_one_cell_further():
    seen = estimate(area=5 / 64, on_mask=21)  # rows 0..4; the joints stand in row 5
    assert joints_on_mask(seen) == 1.0
    seen.uv_crop[:, 1] = 6.0
    assert joints_on_mask(seen) == 0.0


def test_prior_bones_are_used(world):
    assert_allclose(Estimator(Exact(world.info, [], []))._bones, PRIOR_BONE_LENGTHS)
