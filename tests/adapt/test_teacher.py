"""The landmark model as a teacher, with planted landmarks of hands whose 2.5D pose is known."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.adapt.frames.crops import MARGIN, CropSet
from semihand.adapt.labels.definition import SHIFTED, SHIFTS, fit_depth_gain, fit_shifts, to_our_joints
from semihand.adapt.labels.smoothing import local_lines, smooth
from semihand.adapt.labels.teacher import TeacherConfig, detector_labels, to_units
from semihand.adapt.views import Poses
from semihand.errors import SemihandError
from semihand.models.camera import GRID, crop_camera, default_intrinsics
from semihand.models.joints import BONES, MIDDLE_PIP, NUM_JOINTS, PRIOR_BONE_LENGTHS, ROOT, THUMB_TIP
from semihand.models.lifting import bone_lengths, lift

K = default_intrinsics(640, 480)
PIXELS = 6.0
#: Labels as they come: nothing moved, smoothed or drawn toward bone lengths.
PLAIN = TeacherConfig(shift_joints=False, own_template=False, registered=0.0, bandwidth=0.0)


def poses(count: int, seed: int = 0) -> np.ndarray:
    """Hands (N, 21, 3) in unit bones with the prior's bone lengths, directions at random round a palm's."""
    rng = np.random.default_rng(seed)
    angles = np.deg2rad([60, 15, 0, -15, -30])
    xyz = np.zeros((count, NUM_JOINTS, 3))
    for (parent, child), length in zip(BONES, PRIOR_BONE_LENGTHS):
        angle = angles[(child - 1) // 4]
        step = np.array([np.sin(angle), -np.cos(angle), 0]) + 0.4 * rng.standard_normal((count, 3))
        xyz[:, child] = xyz[:, parent] + length * step / np.linalg.norm(step, axis=-1, keepdims=True)
    return xyz - xyz[:, ROOT, None]


def crop_set(uv, depth_pixels, time=None, segment=None, centers=None, presence=1.0, spread=0.0) -> CropSet:
    """Crops of empty pictures with these landmarks; centers (N, 2): where in the picture each crop lies."""
    count, wide = len(uv), GRID + 2 * MARGIN
    centers = np.full((count, 2), 300.0) if centers is None else centers
    crops = tuple(crop_camera(K, center, 200.0) for center in centers)
    return CropSet(
        image=np.zeros((count, 8, 8, 3), np.uint8), covered=np.ones((count, wide, wide), bool),
        K_crop=np.stack([crop.K_crop for crop in crops]), crops=crops,
        time=np.arange(count) / 30 if time is None else time,
        segment=np.arange(count) if segment is None else segment,
        marks_uv=uv, marks_depth=depth_pixels, marks_presence=np.full(count, presence),
        marks_spread=np.full((count, NUM_JOINTS), spread),
    )  # fmt: skip


def planted(count: int = 6, **options) -> tuple[CropSet, np.ndarray, np.ndarray]:
    """Crops whose landmarks are weak-perspective views of known hands; uv and depth as labels should have them."""
    xyz = poses(count)
    uv = xyz[..., :2] * PIXELS + (31.5, 38.0)
    return crop_set(uv, xyz[..., 2] * PIXELS, **options), uv, xyz[..., 2]


def own_poses(uv: np.ndarray) -> Poses:
    """A network that agrees, with a mask that covers everything."""
    count = len(uv)
    return Poses(uv.copy(), np.zeros((count, NUM_JOINTS)), np.ones((count, GRID, GRID)), np.ones((count, NUM_JOINTS)))


def test_landmarks_become_joints_and_unit_bones_exactly():
    crops, uv, depth = planted()
    labels = detector_labels(crops, config=PLAIN)
    assert_allclose(labels.uv, uv, atol=1e-5)
    assert_allclose(labels.depth, depth, atol=1e-5)
    assert_allclose(labels.weight, 1)
    assert labels.uv.dtype == labels.depth.dtype == labels.weight.dtype == np.float32


def test_the_template_sets_the_size_of_the_unit():
    crops, _, depth = planted()
    _, smaller = to_units(crops.marks_uv, crops.marks_depth, 1.25 * np.array(PRIOR_BONE_LENGTHS), shift_joints=False)
    assert_allclose(smaller, 1.25 * depth, atol=1e-9)


def shifted_back(ours: np.ndarray, shifts: np.ndarray, gain: float) -> np.ndarray:
    """Landmarks (N, 21, 3) that `to_our_joints` turns into these joints, root at depth 0."""
    matrix = to_our_joints(np.eye(NUM_JOINTS)[:, :, None].transpose(1, 0, 2).repeat(3, -1), shifts, 1.0)[..., 0].T
    flat = ours * (1, 1, 1 / gain)
    return np.linalg.solve(matrix, flat)


def test_planted_shifts_and_depth_gain_are_found_again():
    ours, shifts = poses(200), np.zeros(SHIFTS.shape)
    shifts[SHIFTED] = np.random.default_rng(3).normal(0, 0.1, (len(SHIFTED), 2))
    points = shifted_back(ours, shifts, 1.0)
    assert_allclose(to_our_joints(points, shifts, 1.0), ours, atol=1e-9)
    found = fit_shifts(points, ours, prior=1e-6)
    assert_allclose(found, shifts, atol=1e-4)
    flat = points * (1, 1, 0.8)
    assert fit_depth_gain(flat, ours, shifts) == pytest.approx(1.25, abs=1e-6)


def test_registration_repairs_depth_and_leaves_the_picture():
    crops, uv, depth = planted(40)
    noisy = replace(crops, marks_depth=crops.marks_depth + np.random.default_rng(1).normal(0, 2.0, depth.shape))
    plain, registered = (detector_labels(noisy, config=replace(PLAIN, registered=share)) for share in (0.0, 1.0))
    assert_allclose(registered.uv, uv, atol=1e-5)
    lengths = [
        bone_lengths(lift(one.uv, one.depth, crops.K_crop, PRIOR_BONE_LENGTHS, scale=1.0)) / PRIOR_BONE_LENGTHS
        for one in (plain, registered)
    ]
    assert np.abs(lengths[1] - 1).mean() < 0.7 * np.abs(lengths[0] - 1).mean()
    assert np.abs(registered.depth - depth).mean() < 0.95 * np.abs(plain.depth - depth).mean()
    half = detector_labels(noisy, config=replace(PLAIN, registered=0.5))
    assert_allclose(half.depth, (plain.depth + registered.depth) / 2, atol=1e-5)


def test_own_template_is_that_of_the_hand():
    lengths = np.array(PRIOR_BONE_LENGTHS)
    xyz = poses(400) * 1.0
    xyz[:, 13:] = xyz[:, :1] + 1.15 * (xyz[:, 13:] - xyz[:, :1])  # broader on the little finger's side
    crops = crop_set(xyz[..., :2] * PIXELS + (31.5, 38.0), xyz[..., 2] * PIXELS)
    found = detector_labels(crops, config=replace(PLAIN, own_template=True)).bone_lengths
    assert found[MIDDLE_PIP - 1] == pytest.approx(1.0)
    grown = found / lengths
    assert grown[12:].mean() / grown[:12].mean() == pytest.approx(1.15, abs=0.04)


class TestSmoothing:
    def test_a_straight_line_stays_at_uneven_times_and_at_the_ends(self):
        time = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.06, 40))
        line = 3.0 * time[:, None, None] * np.ones((1, 2, 3)) - 1
        weight = np.random.default_rng(1).uniform(0.1, 1, (40, 2))
        assert_allclose(local_lines(time, line, weight, 0.05), line, atol=1e-9)

    def test_a_step_is_smoothed_the_same_before_and_after(self):
        time = np.arange(41) / 30
        step = np.where(time > time[20], 1.0, np.where(time < time[20], -1.0, 0.0))[:, None, None]
        smooth_step = local_lines(time, step, np.ones((41, 1)), 0.05)
        assert_allclose(smooth_step, -smooth_step[::-1], atol=1e-9)
        assert smooth_step[20, 0, 0] == pytest.approx(0, abs=1e-9)

    def test_noise_shrinks(self):
        noise = np.random.default_rng(2).standard_normal((300, 4, 2))
        out = local_lines(np.arange(300) / 30, noise, np.ones((300, 4)), 0.08)
        assert out.std() < 0.5 * noise.std()

    def test_crops_that_follow_the_hand_change_nothing(self):
        """A hand that moves straight through the picture, seen by crops that jitter."""
        count, rng = 12, np.random.default_rng(0)
        hand = poses(1)[0]
        centers = np.linspace([200, 200], [420, 260], count) + rng.uniform(-6, 6, (count, 2))
        plain = crop_set(np.zeros((count, 21, 2)), np.zeros((count, 21)), segment=np.zeros(count, int), centers=centers)
        picture = hand[:, :2] * 20 + np.linspace([200, 200], [420, 260], count)[:, None]
        uv = np.stack([crop.uv_to_crop(one) for crop, one in zip(plain.crops, picture)])
        depth = np.repeat(hand[None, :, 2], count, 0)
        uv_s, depth_s = smooth(plain, uv, depth, np.ones((count, 21)), 0.05)
        assert_allclose(uv_s, uv, atol=1e-7)
        assert_allclose(depth_s, depth, atol=1e-9)

    def test_loose_pictures_and_distant_frames_stay_as_they_are(self):
        crops, uv, depth = planted(6)
        for one in (crops, replace(crops, segment=np.zeros(6, int), time=np.arange(6.0))):
            labels = detector_labels(one, config=replace(PLAIN, bandwidth=0.05))
            assert_allclose(labels.uv, uv, atol=1e-4)
            assert_allclose(labels.depth, depth, atol=1e-5)

    def test_a_frame_that_jumps_counts_less_and_is_drawn_back(self):
        hand = poses(1)[0]
        uv = np.repeat((hand[None, :, :2] * PIXELS + (31.5, 38.0)), 15, 0)
        uv += np.random.default_rng(0).normal(0, 0.05, uv.shape)
        jumped = uv.copy()
        jumped[7, THUMB_TIP] += 8
        crops = crop_set(jumped, np.repeat(hand[None, :, 2] * PIXELS, 15, 0), segment=np.zeros(15, int))
        labels = detector_labels(crops, config=replace(PLAIN, bandwidth=0.05))
        assert np.linalg.norm(labels.uv[7, THUMB_TIP] - uv[7, THUMB_TIP]) < 6
        assert labels.weight[7, THUMB_TIP] < 0.01 and np.median(labels.weight) > 0.8


class TestWeights:
    def test_a_joint_far_from_our_own_network_counts_less(self):
        crops, uv, _ = planted(8)
        own = own_poses(uv + np.random.default_rng(0).normal(0, 0.5, uv.shape))
        own.uv[3, 4] += 12
        weight = detector_labels(crops, own=own, config=PLAIN).weight
        assert weight[3, 4] < 0.05 and np.median(weight) > 0.85

    def test_a_joint_off_the_mask_counts_a_quarter(self):
        crops, uv, _ = planted(2)
        own = own_poses(uv)
        column, row = np.rint(uv[0, 8]).astype(int)
        own.mask[0, row - 3 : row + 4, column - 3 : column + 4] = 0
        weight = detector_labels(crops, own=own, config=PLAIN).weight
        assert weight[0, 8] == pytest.approx(0.25)
        assert_allclose(weight[1], 1)

    def test_spread_and_presence_lower_the_weight(self):
        crops, _, _ = planted(8, spread=0.2)
        crops.marks_spread[2, 5] = 4.0
        crops.marks_presence[6] = 0.725
        weight = detector_labels(crops, config=PLAIN).weight
        assert weight[2, 5] < 0.05
        assert_allclose(weight[6] / weight[0], 0.5, atol=1e-6)

    def test_crops_without_a_hand_have_no_weight_and_finite_labels(self):
        crops, _, _ = planted(4)
        crops.marks_uv[1], crops.marks_depth[1], crops.marks_presence[2] = np.nan, np.nan, 0.3
        labels = detector_labels(crops, own=own_poses(np.full((4, 21, 2), 30.0)))
        assert (labels.weight[1:3] == 0).all() and (labels.weight[[0, 3]] > 0).any()
        assert np.isfinite(labels.uv).all() and np.isfinite(labels.depth).all()

    def test_a_recording_without_landmarks_cannot_teach(self):
        crops, _, _ = planted(3)
        with pytest.raises(SemihandError, match="saw no hand in any frame"):
            detector_labels(replace(crops, marks_presence=np.zeros(3)))


@pytest.mark.parametrize("wrong", [{"registered": 1.5}, {"least_mask": -1}, {"bandwidth": -1.0}, {"tolerance": -2.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SemihandError):
        TeacherConfig(**wrong)
