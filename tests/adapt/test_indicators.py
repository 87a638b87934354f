"""Indicators of networks whose answers are known."""

import json
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from semihand.adapt.frames.crops import MARGIN, WIDE_GRID, CropSet
from semihand.adapt.gate.indicators import (
    blocks,
    bone_changes,
    bone_distance,
    detector_agreement,
    diversity,
    jitter,
    measure,
    pose_mask_iou,
    synthetic_slice,
    view_distance,
)
from semihand.adapt.views import Poses, View
from semihand.models.camera import Crop
from semihand.models.circles import load_circles, pixels_per_unit, render
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS
from semihand.models.lifting import project
from semihand.models.network import StackMaps
from semihand.synth.feed import FixedPictures

FOCAL = 120.0
K = np.array([[FOCAL, 0, 31.5], [0, FOCAL, 31.5], [0, 0, 1]])


def hand(count=1, seed=0):
    """Poses of hands with the average bones whose bones point in random directions, unit bones; (uv, depth)."""
    rng = np.random.default_rng(seed)
    directions = rng.normal([0, -1.0, 0], 0.4, (count, 20, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    xyz = np.zeros((count, 21, 3))
    for i, (parent, child) in enumerate(BONES):
        xyz[:, child] = xyz[:, parent] + PRIOR_BONE_LENGTHS[i] * directions[:, i]
    xyz += np.array([0, 1.5, 14.0]) - xyz[:, 9:10]
    return project(xyz, K).astype(np.float32), (xyz[..., 2] - xyz[:, 9:10, 2]).astype(np.float32)


def poses(uv, depth=None, mask=None, confidence=0.9):
    count = len(uv)
    depth = np.zeros((count, 21), np.float32) if depth is None else depth
    mask = np.zeros((count, 64, 64), np.float32) if mask is None else mask
    return Poses(np.float32(uv), np.float32(depth), np.float32(mask), np.full((count, 21), confidence, np.float32))


def crop_set(count, size=168, **changes):
    """Black crops of a camera that sees everything, one segment at 10 pictures a second, without landmarks."""
    parts = {
        "image": np.zeros((count, size, size, 3), np.uint8), "covered": np.ones((count, WIDE_GRID, WIDE_GRID), bool),
        "K_crop": np.repeat(K[None], count, 0), "crops": (Crop(np.eye(3), K, np.eye(3)),) * count,
        "time": np.arange(count) / 10, "segment": np.zeros(count, int), "marks_uv": np.full((count, 21, 2), np.nan),
        "marks_depth": np.full((count, 21), np.nan), "marks_presence": np.zeros(count), "marks_spread": np.full((count, 21), np.nan),
    }  # fmt: skip
    return CropSet(**(parts | changes))


class Planted(nn.Module):
    """A network that puts all joints at the picture's bright spot, each `uv` (21, 2) grid pixels away from it; or,
    stuck, at `uv` from the middle whatever it sees."""

    def __init__(self, config, uv, stuck=False):
        super().__init__()
        self.config, self.stuck = config, stuck
        self.anything = nn.Parameter(torch.zeros(1))
        self.uv = torch.from_numpy(np.float32(uv))

    def forward(self, image):
        light = (image[:, 0] - image[:, 0].amin((1, 2), keepdim=True)).clamp(min=0) + 1e-6
        size = image.shape[-1]
        at = (torch.arange(size) + 0.5) * 64 / size - 0.5
        total = light.sum((1, 2))
        spot = torch.stack([(light.sum(1) * at).sum(1) / total, (light.sum(2) * at).sum(1) / total], -1)
        centre = torch.full_like(spot, 31.5) if self.stuck else spot
        joints = centre[:, None] + self.uv
        cells = torch.arange(64.0)
        u, v = ((cells - joints[..., axis, None]) ** 2 for axis in (0, 1))
        heat = -(u[:, :, None, :] + v[..., None]) / 2
        return [StackMaps(heat, torch.zeros_like(heat), torch.zeros(len(image), 64, 64), torch.full_like(heat, 2.0))]


@pytest.fixture
def spots():
    """Crops with one bright spot each, at other places, as pictures for a network of 96 pixels."""
    rng = np.random.default_rng(1)
    image = np.zeros((8, 168, 168, 3), np.uint8)
    x = np.arange(168)
    for picture, (u, v) in zip(image, rng.uniform(26, 37, (8, 2))):
        centre = (np.array([u, v]) + 0.5 + MARGIN) * 168 / WIDE_GRID - 0.5
        glow = np.exp(-0.5 * (((x - centre[0]) / 3) ** 2 + ((x[:, None] - centre[1]) / 3) ** 2))
        picture[:] = (250 * glow)[..., None]
    return crop_set(8, image=image)


@pytest.fixture
def config_of_96(micro):
    from dataclasses import replace

    return replace(micro, input_size=96)


def test_a_network_that_sees_is_consistent_and_a_stuck_one_is_not(spots, config_of_96):
    offsets = np.zeros((21, 2))
    seeing = measure(Planted(config_of_96, offsets), spots)
    stuck = measure(Planted(config_of_96, offsets + [6.0, 0.0], stuck=True), spots)
    assert seeing.values()["view_consistency"] < 0.2 and seeing.values()["turn_consistency"] < 0.2
    assert stuck.values()["turn_consistency"] > 2.0
    assert_allclose(seeing.values()["confidence"], 1 / (1 + math.exp(-2)), rtol=1e-5)


def test_the_same_views_for_every_network_of_a_seed(spots, config_of_96):
    network = Planted(config_of_96, np.full((21, 2), 5.0), stuck=True)
    first, again, other = (measure(network, spots, seed=seed) for seed in (3, 3, 4))
    assert_array_equal(first.per_crop["turn_consistency"], again.per_crop["turn_consistency"])
    assert abs(first.values()["turn_consistency"] - other.values()["turn_consistency"]) > 1e-3


def test_one_pose_for_all_has_no_diversity(spots, config_of_96):
    uv = np.random.default_rng(0).normal(0, 8, (21, 2))
    stuck = measure(Planted(config_of_96, uv, stuck=True), spots)
    assert stuck.whole["diversity"] < 1e-4
    assert_allclose(stuck.values()["spread"], uv.std(0).mean(), rtol=1e-3)


def test_missing_indicators_are_none_in_json(spots, config_of_96):
    values = json.loads(json.dumps(measure(Planted(config_of_96, np.zeros((21, 2))), spots).values(), allow_nan=False))
    assert values["detector_agreement"] is None and "synthetic_nme" not in values
    assert values["jitter"] is not None


def test_view_distance_of_a_stuck_answer_is_the_shift():
    uv, depth = hand(3)
    plain = poses(uv, depth)
    view = View.build(torch.zeros(3), torch.ones(3), torch.tensor([[3.0, 4.0]]).expand(3, 2))
    across, along = view_distance(plain, plain, view)
    assert_allclose(across, 5.0, rtol=1e-5)
    moved = poses(view.pose(torch.from_numpy(uv)).numpy(), depth + np.float32(0.25))
    across, along = view_distance(plain, moved, view)
    assert_allclose(across, 0.0, atol=1e-4)
    assert_allclose(along, 0.25, rtol=1e-5)


def test_joints_that_a_view_does_not_show_do_not_count():
    uv = np.full((1, 21, 2), 31.5, np.float32)
    uv[0, 4] = [1.0, 31.5]
    view = View.build(torch.zeros(1), torch.ones(1), torch.tensor([[5.0, 0.0]]))
    answer = view.pose(torch.from_numpy(uv)).numpy()
    answer[0, 4] += 100
    assert_allclose(view_distance(poses(uv), poses(answer), view)[0], 0.0, atol=1e-5)


def moving(count, step=(1.0, 0.0)):
    uv, _ = hand(1)
    return uv + np.arange(count)[:, None, None] * np.float32(step)


def test_jitter_is_zero_in_even_motion_and_exact_for_one_planted_step():
    uv = moving(7)
    assert_allclose(jitter(poses(uv), crop_set(7))[1:-1], 0.0, atol=1e-6)
    uv[3, :, 1] += 2.0
    size = (uv[3].max(0) - uv[3].min(0)).max()
    found = jitter(poses(uv), crop_set(7))
    assert_allclose(found[3], 4.0 / size, rtol=1e-5)
    assert_allclose(found[[2, 4]], 2.0 / size, rtol=1e-5)
    assert np.isnan(found[[0, 6]]).all()


def test_jitter_does_not_cross_segments_and_gaps():
    uv = moving(6)
    apart = crop_set(6, segment=np.array([0, 0, 0, 1, 1, 1]))
    assert_array_equal(np.isfinite(jitter(poses(uv), apart)), [0, 1, 0, 0, 1, 0])
    late = crop_set(6, time=np.array([0, 0.1, 0.2, 5, 5.1, 5.2]))
    assert_array_equal(np.isfinite(jitter(poses(uv), late)), [0, 1, 0, 0, 1, 0])
    loose = crop_set(6, segment=np.arange(6), time=np.arange(6.0))
    assert np.isnan(jitter(poses(uv), loose)).all()


def test_jitter_is_that_of_the_picture_not_of_the_moving_crop():
    uv = moving(5, (0.0, 0.0))
    crops = tuple(Crop(np.array([[1.0, 0, -i * i], [0, 1, 0], [0, 0, 1]]), K, np.eye(3)) for i in range(5))
    size = (uv[0].max(0) - uv[0].min(0)).max()
    assert_allclose(jitter(poses(uv), crop_set(5, crops=crops))[1:-1], 2.0 / size, rtol=1e-5)


def test_agreement_is_the_offset_over_the_size_and_missing_without_landmarks():
    uv, _ = hand(4)
    marks = uv.astype(float)
    size = (marks[0].max(0) - marks[0].min(0)).max()
    marks[1] = np.nan
    found = detector_agreement(poses(uv + np.float32([0.6, 0.8])), crop_set(4, marks_uv=marks))
    assert_allclose(found[0], 1.0 / size, rtol=1e-4)
    assert_array_equal(np.isfinite(found), [1, 0, 1, 1])


def test_bones_of_the_average_hand_do_not_vary_and_are_registered():
    uv, depth = hand(6)
    still = poses(uv, depth)
    deviation, variation = bone_changes(still, crop_set(6))
    assert deviation.max() < 1e-4 and variation < 1e-4
    assert bone_distance(still, crop_set(6)).max() < 1e-2
    noisy = poses(uv + np.random.default_rng(0).normal(0, 2, uv.shape), depth)
    deviation, variation = bone_changes(noisy, crop_set(6))
    assert deviation.min() > 0.02 and variation > 0.03
    assert bone_distance(noisy, crop_set(6)).min() > 0.5


def test_one_longer_finger_in_one_crop_is_that_crops_deviation():
    uv, depth = hand(1)
    uv, depth = np.repeat(uv, 5, 0), np.repeat(depth, 5, 0)
    lift_lengths = bone_changes(poses(uv, depth), crop_set(5))
    assert_allclose(lift_lengths[0], 0, atol=1e-6)
    uv[3, 8] += 6
    deviation, _ = bone_changes(poses(uv, depth), crop_set(5))
    assert_allclose(deviation[[0, 1, 2, 4]], 0, atol=1e-6)
    assert deviation[3] > 0.02


def test_a_network_without_numbers_measures_nothing(spots, config_of_96):
    found = measure(Planted(config_of_96, np.full((21, 2), np.nan)), spots)
    assert set(found.values().values()) == {None} and len(found) == len(spots)
    assert set(found.per_crop) == set(measure(Planted(config_of_96, np.zeros((21, 2))), spots).per_crop)


def test_overlap_is_one_with_the_hands_own_circles_and_none_with_an_empty_mask():
    uv, depth = hand(3)
    crops = crop_set(3)
    s_px = pixels_per_unit(*(torch.from_numpy(a) for a in (uv, depth, crops.K_crop)))
    drawn = render(load_circles().signed_distance(torch.from_numpy(uv), s_px)).numpy()
    mask = (drawn > 0.5).astype(np.float32)
    assert_allclose(pose_mask_iou(poses(uv, depth), mask, crops), 1.0)
    assert_allclose(pose_mask_iou(poses(uv, depth), np.zeros_like(mask), crops), 0.0)
    half = mask.copy()
    half[:, :, 32:] = 0
    covered = np.ones((3, WIDE_GRID, WIDE_GRID), bool)
    covered[:, :, MARGIN + 32 :] = False
    assert_allclose(pose_mask_iou(poses(uv, depth), half, crop_set(3, covered=covered)), 1.0)


def test_diversity_is_of_shapes_not_of_places_and_sizes():
    uv, _ = hand(1)
    rng = np.random.default_rng(0)
    same = uv * rng.uniform(0.7, 1.3, (9, 1, 1)) + rng.uniform(-9, 9, (9, 1, 2))
    assert diversity(same) < 1e-5
    assert diversity(hand(9)[0]) > 0.2


@pytest.mark.parametrize(
    "segment, wanted",
    [
        (np.zeros(32, int), [15, 15, 2]),
        (np.arange(12), [5, 5, 2]),
        (np.repeat([0, 1, 2], [8, 3, 9]), [8, 12]),
        (np.repeat([0, 1], [20, 20]), [15, 5, 15, 5]),
    ],
)
def test_blocks_are_neighbours(segment, wanted):
    found = blocks(segment)
    assert_array_equal(np.bincount(found), wanted)
    assert (np.diff(found) >= 0).all()


def test_forgetting_is_measured_on_the_same_rendered_pictures(pictures, micro):
    torch.manual_seed(0)
    from semihand.models.network import Hourglass

    network = Hourglass(micro).eval()
    fixed = FixedPictures(pictures)
    one, two = synthetic_slice(fixed, 12, seed=5), synthetic_slice(fixed, 12, seed=5)
    assert_array_equal(one.image, two.image)
    crops = crop_set(2, size=224)
    found = measure(network, crops, synthetic=one)
    assert len(found.synthetic) == one.present.sum()
    assert_allclose(found.values()["synthetic_nme"], found.synthetic.mean(), rtol=1e-6)
    assert_array_equal(found.synthetic, measure(network, crops, synthetic=two).synthetic)


def test_the_source_mask_stays_when_the_new_mask_vanishes(spots, config_of_96):
    class Blind(Planted):
        def forward(self, image):
            return [maps._replace(mask_logits=maps.mask_logits - 9) for maps in super().forward(image)]

    uv = np.random.default_rng(0).normal(0, 9, (21, 2))
    before, after = Planted(config_of_96, uv), Blind(config_of_96, uv)
    alone, judged = measure(after, spots), measure(after, spots, reference=before)
    assert alone.values()["source_mask_iou"] == 0.0
    assert judged.values()["pose_mask_iou"] == 0.0 and judged.values()["source_mask_iou"] > 0.01
