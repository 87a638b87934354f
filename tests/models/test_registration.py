"""Pose registration: the template's bone lengths on an estimated pose, and the template of one person."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS, ROOT
from semihand.models.lifting import MAX_ROOT_DEPTH, MIN_ROOT_DEPTH, bone_lengths, lift, project
from semihand.models.registration import ORDER, estimate_template, register, register_xyz
from semihand.synth.hand import load_hand, pose_hand
from semihand.synth.pose import sample_pose
from semihand.synth.scene import draw_view

F = 240.0
K = np.array([[F, 0, 31.5], [0, F, 31.5], [0, 0, 1]])
PRIOR = np.array(PRIOR_BONE_LENGTHS)
BONE_MM = 40.0


def posed_hands(count, seed=0, shape=0):
    """Joints (count, 21, 3) in unit bones of one synthetic hand in many poses and views, 8 to 16 units away."""
    rng, asset = np.random.default_rng(seed), load_hand()
    hands = []
    for _ in range(count):
        joints = pose_hand(asset, shape, sample_pose(rng, asset, shape))[0]
        joints = (joints - joints.mean(0)) @ draw_view(rng, 0.8).T
        hands.append(joints / np.linalg.norm(joints[9] - joints[10]) + [0, 0, rng.uniform(8, 16)])
    return np.stack(hands)


def crops_of(xyz, size=32.0):
    """Intrinsics (N, 3, 3) that show hands (N, 21, 3) `size` grid pixels large."""
    on_plane = xyz[..., :2] / xyz[..., 2:]
    K_crop = np.tile(np.diag([1.0, 1, 1]), (len(xyz), 1, 1))
    low, high = on_plane.min(1), on_plane.max(1)
    focal = size / (high - low).max(-1)
    K_crop[:, [0, 1], [0, 1]] = focal[:, None]
    K_crop[:, :2, 2] = 31.5 - focal[:, None] * (low + high) / 2
    return K_crop


def flat(xyz, K_crop):
    """2.5D of hands (N, 21, 3) in unit bones: uv, depth, root depth."""
    return project(xyz, K_crop), xyz[..., 2] - xyz[..., ROOT, None, 2], xyz[..., ROOT, 2]


@pytest.fixture(scope="module")
def hands():
    return posed_hands(80)


@pytest.fixture(scope="module")
def noisy(hands):
    """uv, depth, K_crop of hands seen with errors of 1 px and 0.15 unit."""
    rng, K_crop = np.random.default_rng(1), crops_of(hands)
    uv, depth, _ = flat(hands, K_crop)
    depth = depth + rng.normal(0, 0.15, depth.shape)
    return uv + rng.normal(0, 1, uv.shape), depth - depth[:, ROOT, None], K_crop


def test_order_hangs_every_bone_once_from_a_placed_joint():
    placed = {ROOT}
    for parent, child in ORDER:
        assert parent in placed and child not in placed
        placed.add(child)
    assert placed == set(range(21))
    assert {frozenset(bone) for bone in ORDER} == {frozenset(bone) for bone in BONES}


@pytest.mark.parametrize("known_depth", [True, False])
def test_bone_lengths_are_the_templates(noisy, known_depth):
    uv, depth, K_crop = noisy
    template = PRIOR * np.linspace(0.9, 1.1, 20)
    template /= template[9]
    zr = np.linspace(8, 16, len(uv)) if known_depth else None
    uv_r, depth_r = register(uv, depth, K_crop, template, zr)
    zr = lift(uv, depth, K_crop, template, scale=1.0)[:, ROOT, 2] if zr is None else zr
    again = lift(uv_r, depth_r, K_crop, scale=1.0, root_depth=zr)
    assert_allclose(bone_lengths(again), np.broadcast_to(template, (len(uv), 20)), atol=1e-6)


def test_registering_twice_changes_nothing_more(noisy):
    uv, depth, K_crop = noisy
    once = register(uv, depth, K_crop)
    twice = register(*once, K_crop)
    assert np.abs(once[0] - uv).max() > 0.5
    assert_allclose(twice[0], once[0], atol=1e-5)
    assert_allclose(twice[1], once[1], atol=1e-6)


def test_the_root_stays(noisy):
    uv, depth, K_crop = noisy
    uv_r, depth_r = register(uv, depth, K_crop)
    assert_allclose(uv_r[:, ROOT], uv[:, ROOT], atol=1e-9)
    assert_allclose(depth_r[:, ROOT], 0, atol=1e-12)


def test_a_pose_with_the_templates_lengths_stays(hands):
    K_crop = crops_of(hands[:1])
    uv, depth, zr = flat(hands[:1], K_crop)
    own = bone_lengths(hands[0])
    for root_depth in (zr, None):
        uv_r, depth_r = register(uv, depth, K_crop, own, root_depth)
        assert_allclose(uv_r, uv, atol=1e-6)
        assert_allclose(depth_r, depth, atol=1e-6)


def test_directions_run_from_the_registered_parent_to_the_estimated_child():
    """The middle finger alone, by hand: joint 10 is found too far away, joint 11 off to the side."""
    p = np.zeros((21, 3))
    p[:, 2] = 10
    p[0, 1] = 1.96
    for child, (parent, _) in enumerate(BONES, start=1):
        p[child] += [child, -child, 0]
    p[9], p[10], p[11], p[12] = [0, 0, 10], [0, -2, 10], [0.8, -1.6, 10], [0.8, -9, 10]
    r = register_xyz(p)
    assert_allclose(r[9], p[9])
    assert_allclose(r[0], [0, 1.96, 10])
    assert_allclose(r[10], [0, -1, 10])  # length 1 toward (0, -2)
    assert_allclose(r[11], [0.59 * 0.8, -1 - 0.59 * 0.6, 10], atol=1e-12)  # from (0, -1) toward (.8, -1.6), 3-4-5
    toward = p[12] - r[11]
    assert_allclose(r[12], r[11] + 0.44 * toward / np.linalg.norm(toward), atol=1e-12)


def test_an_error_of_one_joint_moves_only_its_neighbours(hands):
    own = bone_lengths(hands[0])
    off = hands[0].copy()
    off[6] += [0.5, 0.2, -0.4]
    moved = np.linalg.norm(register_xyz(off, own) - hands[0], axis=-1)
    assert moved[6] > 0.2 and set(np.flatnonzero(moved > 1e-9)) == {6, 7, 8}
    assert moved[8] < moved[7] < moved[6]


def test_a_child_on_its_registered_parent_takes_the_estimated_direction(hands):
    p = hands[0].copy()
    own = bone_lengths(p)
    r = register_xyz(p, own * 0.5)
    p[11] = r[10]  # exactly where the registered parent comes to lie
    again = register_xyz(p, own * 0.5)
    wanted = (p[11] - p[10]) / np.linalg.norm(p[11] - p[10])
    assert_allclose(again[11], r[10] + 0.5 * own[10] * wanted, atol=1e-9)


def test_joints_that_all_coincide_still_get_a_hand_of_the_right_size():
    uv, depth = np.full((2, 21, 2), 31.5), np.zeros((2, 21))
    uv_r, depth_r = register(uv, depth, K)
    assert np.isfinite(uv_r).all() and np.isfinite(depth_r).all()
    xyz = lift(uv_r, depth_r, K, scale=1.0, root_depth=np.full(2, MAX_ROOT_DEPTH))
    assert_allclose(bone_lengths(xyz), np.broadcast_to(PRIOR, (2, 20)), atol=1e-6)


def test_root_depth_is_kept_in_range(hands):
    K_crop = crops_of(hands[:3])
    uv, depth, _ = flat(hands[:3], K_crop)
    near = register(uv, depth, K_crop, PRIOR, np.full(3, 0.5))
    nearest = register(uv, depth, K_crop, PRIOR, np.full(3, MIN_ROOT_DEPTH))
    for one, other in zip(near, nearest):
        assert_allclose(one, other, atol=0)


def test_values_that_are_not_finite_are_refused():
    uv, depth = np.zeros((1, 21, 2)), np.zeros((1, 21))
    uv[0, 3, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        register(uv, depth, K)


@pytest.mark.parametrize("scale, raw_mm, registered_mm", [(0.57, 5.6, 4.9), (1.0, 9.8, 8.7), (1.7, 16.7, 15.1)])
def test_noise_shrinks_as_specified(hands, scale, raw_mm, registered_mm):
    """Independent noise of 1 px an axis and 0.15 unit, times `scale`; true lengths and root depth; bone of 40 mm."""
    rng, K_crop, own = np.random.default_rng(2), crops_of(hands), bone_lengths(hands)
    uv, depth, zr = flat(hands, K_crop)
    uv, depth = uv + rng.normal(0, scale, uv.shape), depth + rng.normal(0, 0.15 * scale, depth.shape)
    depth -= depth[:, ROOT, None]
    found = lift(uv, depth, K_crop, scale=1.0, root_depth=zr)

    def error(xyz):
        return BONE_MM * np.linalg.norm((xyz - xyz[:, 9:10]) - (hands - hands[:, 9:10]), axis=-1).mean()

    before, after = error(found), error(lift(*register(uv, depth, K_crop, own, zr), K_crop, scale=1.0, root_depth=zr))
    assert before == pytest.approx(raw_mm, rel=0.12)  # of other poses than those of the specification
    assert after == pytest.approx(registered_mm, rel=0.12)
    assert 0.85 < after / before < 0.96
    assert error(chained(found, own)) > 0.96 * before  # the usual way, which piles errors up, gains nothing


def chained(p, lengths):
    """Bones of the template's length in the direction of the estimated ones."""
    r = p.copy()
    for parent, child in ORDER:
        bone = [frozenset(one) for one in BONES].index(frozenset((parent, child)))
        toward = p[:, child] - p[:, parent]
        r[:, child] = r[:, parent] + lengths[:, bone, None] * toward / np.linalg.norm(toward, axis=-1, keepdims=True)
    return r


@pytest.fixture(scope="module")
def person():
    """Poses (150, 21, 3) of a hand whose bones differ from the prior's, and its lengths (20,)."""
    xyz = posed_hands(150, seed=3, shape=5)
    planted = np.median(bone_lengths(xyz), 0) * np.random.default_rng(4).uniform(0.88, 1.12, 20)
    planted /= planted[9]
    return register_xyz(xyz, planted), planted


class TestTemplate:
    """Bone lengths of one person from estimated poses."""

    def estimate(self, xyz, uv_noise, depth_noise, prior_weight, weight=None):
        rng, K_crop = np.random.default_rng(5), crops_of(xyz)
        uv, depth, _ = flat(xyz, K_crop)
        uv, depth = uv + rng.normal(0, uv_noise, uv.shape), depth + rng.normal(0, depth_noise, depth.shape)
        weight = np.ones(len(xyz)) if weight is None else weight
        return estimate_template(uv, depth - depth[:, ROOT, None], K_crop, weight, PRIOR, prior_weight)

    def test_recovers_planted_lengths(self, person):
        xyz, planted = person
        assert np.abs(planted / PRIOR - 1).max() > 0.1
        assert_allclose(self.estimate(xyz, 0, 0, 0.0), planted, rtol=0.01)
        noisy = self.estimate(xyz, 0.5, 0.05, 0.0)
        assert np.abs(noisy / planted - 1).mean() < 0.05 < np.abs(PRIOR / planted - 1).mean()

    def test_the_unit_bone_stays_the_unit(self, person):
        assert self.estimate(person[0], 0.5, 0.05, 30.0)[9] == pytest.approx(1, abs=1e-12)

    def test_few_poses_stay_near_the_prior(self, person):
        xyz, planted = person
        few, many = (self.estimate(xyz[:n], 0, 0, 30.0) for n in (10, 150))
        assert np.abs(few - PRIOR).mean() < 0.5 * np.abs(planted - PRIOR).mean()
        assert np.abs(many - planted).mean() < 0.5 * np.abs(planted - PRIOR).mean()

    def test_poses_without_weight_do_not_count(self, person):
        xyz, planted = person
        wrong = register_xyz(posed_hands(200, seed=6), PRIOR * np.linspace(0.8, 1.2, 20))
        weight = np.r_[np.ones(len(xyz)), np.zeros(len(wrong))]
        found = self.estimate(np.concatenate([xyz, wrong]), 0, 0, 0.0, weight)
        assert_allclose(found, planted, rtol=0.01)

    def test_no_sure_pose_is_an_error(self, person):
        with pytest.raises(ValueError, match="sure enough"):
            self.estimate(person[0], 0, 0, 30.0, np.zeros(150))
