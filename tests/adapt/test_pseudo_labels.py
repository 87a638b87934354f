"""Pseudo-labels: Eq. (7) and (8) by hand, the gates on planted costs, and a state that comes back."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from semihand.adapt.labels import pseudo as pseudo_labels
from semihand.adapt.labels.pseudo import Confidence, LabelConfig, PseudoLabels, distance
from semihand.adapt.views import Poses, ViewConfig
from semihand.errors import SemihandError
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS
from semihand.models.registration import register, register_xyz
from semihand.train.losses import on_grid

DIRECTIONS = np.deg2rad([60, 15, 0, -15, -30])
STILL = ViewConfig(kinds=("shift",), shift=0.0)


@pytest.fixture
def hands(crop_set):
    """Six crops, and true poses (uv, depth) of an open hand in them, each leaning another way."""
    crops, K = crop_set(6), crop_set(1).K_crop[0]
    flat = np.zeros((21, 3))
    for (parent, child), length in zip(BONES, PRIOR_BONE_LENGTHS):
        angle = DIRECTIONS[(child - 1) // 4]
        flat[child] = flat[parent] + length * np.array([np.sin(angle), -np.cos(angle), 0.05 * child % 0.3])
    flat = register_xyz(flat - flat[9])
    found = []
    for lean in np.linspace(-0.9, 0.9, 6):
        cos, sin = math.cos(lean), math.sin(lean)
        turned = flat @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T
        xyz = turned + [0, 0, K[0, 0] / 5.0]  # 5 px for the unit bone
        found.append((xyz[:, :2] / xyz[:, 2:] * K[0, 0] + 31.5, turned[:, 2]))
    uv, depth = (np.stack(column).astype(np.float32) for column in zip(*found))
    assert on_grid(uv).all()
    return crops, uv, depth


def poses(uv, depth, confidence=0.9):
    confidence = np.broadcast_to(confidence, (len(uv),))[:, None].repeat(21, 1)
    return Poses(uv, depth, np.zeros((len(uv), 64, 64), np.float32), confidence.astype(np.float32))


def says(monkeypatch, uv, depth, offsets=0.0, deeper=0.0):
    """The network answers every view of the poses equivariantly, but for offsets (N,) or (draws, N) px in u."""
    offsets = np.atleast_2d(np.broadcast_to(offsets, np.broadcast_shapes(np.shape(offsets), (len(uv),))))
    draws = iter(np.tile(offsets, (50, 1)))

    def predict(network, crops, device="cpu", batch=64, view=None):
        moved = uv if view is None else view.pose(torch.from_numpy(uv)).numpy()
        off = next(draws)[:, None, None] * np.float32([1, 0])
        return poses(moved + off.astype(np.float32), depth + np.float32(deeper))

    monkeypatch.setattr(pseudo_labels, "predict", predict)


def labels_of(crops, uv, depth, config=LabelConfig(), views=ViewConfig(), **more):
    labels = PseudoLabels(crops, config, views, **more)
    labels.start(poses(uv, depth))
    return labels


def test_the_distance_of_eq_2_by_hand():
    zero = np.zeros((1, 21, 2)), np.zeros((1, 21))
    uv, depth = np.full((1, 21, 2), [3.0, 4.0]), np.full((1, 21), 0.2)
    assert_allclose(distance(uv, depth, *zero, 50.0), [27.0])
    assert_allclose(distance(np.full((1, 21, 2), [1.0, 0.0]), zero[1], *zero, 50.0), [1.0])
    assert_allclose(distance(zero[0], np.full((1, 21), 0.125), *zero, 50.0), [0.78125])
    keep = np.zeros((1, 21))
    assert_allclose(distance(uv, depth, *zero, 50.0, keep), [0.0])
    uv[0, 3] = 10.0
    keep[0, 2:4] = 1
    assert_allclose(distance(uv, depth, *zero, 50.0, keep), [(25 + 200) / 2 + 2])


def test_start_takes_the_answers_and_registers_them(hands):
    crops, uv, depth = hands
    rng = np.random.default_rng(0)
    uv = uv + rng.normal(0, 1, uv.shape).astype(np.float32)
    labels = labels_of(crops, uv, depth)
    assert_array_equal(labels.pose[0], uv)
    wanted = register(uv, depth, crops.K_crop)
    assert_allclose(labels.registered[0], wanted[0], atol=1e-4)
    assert_allclose(labels.registered[1], wanted[1], atol=1e-5)
    assert np.abs(labels.registered[0] - uv).max() > 0.5


def test_eq_7_is_the_midpoint_of_answer_and_last_correction(hands):
    crops, uv, depth = hands
    rng = np.random.default_rng(1)
    labels = labels_of(crops, uv + rng.normal(0, 1, uv.shape).astype(np.float32), depth)
    uv_r, depth_r = labels.registered
    answer = poses(uv + 2, depth + np.float32(0.1))
    labels.update(answer)
    assert_allclose(labels.pose[0], (uv + 2 + uv_r) / 2, atol=1e-5)
    assert_allclose(labels.pose[1], (depth + 0.1 + depth_r) / 2, atol=1e-6)
    assert_allclose(labels.registered[0], register(*labels.pose, crops.K_crop)[0], atol=1e-4)


def test_the_midpoint_minimises_both_distances(hands):
    """Eq. (7) itself: any step away from the midpoint makes l(p', p) + l(r', p) larger."""
    crops, uv, depth = hands
    rng = np.random.default_rng(2)
    labels = labels_of(crops, uv + rng.normal(0, 1, uv.shape).astype(np.float32), depth)
    old = labels.registered
    labels.update(poses(uv, depth))

    def cost(uv_p, depth_p):
        return distance(uv_p, depth_p, uv, depth, 50.0) + distance(uv_p, depth_p, *old, 50.0)

    best = cost(*labels.pose)
    for _ in range(5):
        step = rng.normal(0, 0.3, uv.shape), rng.normal(0, 0.05, depth.shape)
        assert (cost(labels.pose[0] + step[0], labels.pose[1] + step[1]) > best).all()


def test_the_second_term_of_c_drops_fourfold_where_the_network_stays(hands, monkeypatch):
    crops, uv, depth = hands
    rng = np.random.default_rng(3)
    uv = uv + rng.normal(0, 1, uv.shape).astype(np.float32)
    depth = depth + rng.normal(0, 0.15, depth.shape).astype(np.float32)
    depth -= depth[:, 9:10]
    says(monkeypatch, uv, depth)
    labels = labels_of(crops, uv, depth)
    before = labels.judge(None, "cpu").bone_term
    labels.update(poses(uv, depth))
    after = labels.judge(None, "cpu").bone_term
    assert 3.3 < np.median(before / after) < 4.7
    labels.update(poses(uv, depth))  # a fixed point, but for the root's depth
    assert_allclose(np.median(labels.judge(None, "cpu").bone_term / after), 1, atol=0.1)


def test_terms_of_c_by_hand(hands, monkeypatch):
    """The view says 2 px to the right and 0.1 deeper; the bones are right but for one joint's 3 px and 4 px."""
    crops, uv, depth = hands
    says(monkeypatch, uv, depth, offsets=2.0, deeper=0.1)
    labels = labels_of(crops, uv, depth)
    labels.registered = labels.registered[0].copy(), labels.pose[1]
    labels.registered[0][:] = uv
    labels.registered[0][:, 4] += [3, 4]
    confidence = labels.judge(None, "cpu")
    assert_allclose(confidence.view_term, 4 + 50 * 0.01, rtol=1e-3)
    assert_allclose(confidence.bone_term, 25 / 21, rtol=1e-5)
    assert_allclose(confidence.total, 4.5 + 25 / 21, rtol=1e-3)


def test_an_equivariant_network_of_the_right_bones_is_sure(hands, monkeypatch):
    crops, uv, depth = hands
    says(monkeypatch, uv, depth)
    confidence = labels_of(crops, uv, depth).judge(None, "cpu")
    assert confidence.view_term.max() < 1e-4 and confidence.bone_term.max() < 0.01
    assert_array_equal(confidence.gate, 1)


def test_the_view_term_compares_in_the_view(hands, monkeypatch):
    """A network that gives the plain answer to every turned view is found out."""
    crops, uv, depth = hands
    monkeypatch.setattr(pseudo_labels, "predict", lambda *_, **__: poses(uv, depth))
    labels = labels_of(crops, uv, depth, views=ViewConfig(kinds=("quarter",)))
    assert labels.judge(None, "cpu").view_term.min() > 50


def test_joints_moved_off_the_grid_do_not_count(hands, monkeypatch):
    crops, uv, depth = hands
    far = uv.copy()
    far[:, 4] = [80.0, 30.0]
    says(monkeypatch, far, depth, offsets=1.0)
    labels = labels_of(crops, far, depth, LabelConfig(register=False), STILL)
    assert_allclose(labels.judge(None, "cpu").view_term, 1.0, atol=1e-4)


def test_the_absolute_gate_is_tau(hands, monkeypatch):
    crops, uv, depth = hands
    says(monkeypatch, uv, depth, np.sqrt([0.1, 1.4, 1.6, 1.45, 9.0, 1.0]))
    config = LabelConfig(register=False)
    assert config.tau == 1.5
    assert_array_equal(labels_of(crops, uv, depth, config, STILL).judge(None, "cpu").gate, [1, 1, 0, 1, 0, 1])


def test_registration_counts_against_tau(hands, monkeypatch):
    crops, uv, depth = hands
    says(monkeypatch, uv, depth, 1.0)
    labels = labels_of(crops, uv, depth, LabelConfig())
    assert_array_equal(labels.judge(None, "cpu").gate, 1)
    labels.registered[0][2, 5] += 4.0  # 32 / 21 more
    assert_array_equal(labels.judge(None, "cpu").gate, [1, 1, 0, 1, 1, 1])


def test_the_quantile_gate_takes_the_surest_share(hands, monkeypatch):
    crops, uv, depth = hands
    costs = [100.0, 4.0, 25.0, 49.0, 9.0, 64.0]
    for share, gate in ((0.5, [0, 1, 1, 0, 1, 0]), (1.0, [1] * 6), (0.2, [0, 1, 0, 0, 1, 0])):
        says(monkeypatch, uv, depth, np.sqrt(costs))
        labels = labels_of(crops, uv, depth, LabelConfig(gate="quantile", share=share, register=False), STILL)
        assert_array_equal(labels.judge(None, "cpu").gate, gate)


def test_unregistered_labels_keep_their_bones(hands, monkeypatch):
    crops, uv, depth = hands
    says(monkeypatch, uv, depth)
    labels = labels_of(crops, uv * np.float32(1.1), depth, LabelConfig(register=False))
    assert_array_equal(labels.registered[0], labels.pose[0])
    assert_array_equal(labels.judge(None, "cpu").bone_term, 0)


def test_an_own_template_comes_from_the_sure_frames(hands):
    """Fingers a tenth longer on sure frames; wild bones on doubtful ones."""
    crops, uv, depth = hands
    long = np.array(PRIOR_BONE_LENGTHS)
    long[[4, 12, 16]] *= 1.15
    crops = crops.take(np.tile(np.arange(6), 20))
    uv_r, depth_r = register(np.tile(uv, (20, 1, 1)), np.tile(depth, (20, 1)), crops.K_crop, long)
    sure = np.where(np.arange(120) % 2, 0.9, 0.3)
    doubtful = sure < 0.5
    uv_r[doubtful] = 31.5 + (uv_r[doubtful] - 31.5) * np.random.default_rng(0).uniform(0.3, 1.5, (60, 21, 1))
    labels = PseudoLabels(crops, LabelConfig(own_template=True), ViewConfig())
    labels.start(poses(uv_r.astype(np.float32), depth_r.astype(np.float32), sure))
    ratio = labels.bone_lengths / PRIOR_BONE_LENGTHS
    assert (ratio[[4, 12, 16]] > 1.07).all() and abs(np.median(ratio) - 1) < 0.03
    plain = labels_of(crops, uv_r.astype(np.float32), depth_r.astype(np.float32))
    assert_array_equal(plain.bone_lengths, PRIOR_BONE_LENGTHS)


def test_state_comes_back(hands, monkeypatch):
    crops, uv, depth = hands
    rng = np.random.default_rng(5)
    uv = uv + rng.normal(0, 1, uv.shape).astype(np.float32)
    config = LabelConfig(own_template=True)
    monkeypatch.setattr(pseudo_labels, "predict", rotated_answers(uv, depth))
    labels = labels_of(crops, uv, depth, config, seed=3)
    labels.judge(None, "cpu")
    labels.update(poses(uv + 1, depth))
    state = {name: np.array(array) for name, array in labels.state().items()}
    other = PseudoLabels(crops, config, ViewConfig(), seed=77)
    other.restore(state)
    assert_array_equal(other.pose[0], labels.pose[0])
    assert_array_equal(other.bone_lengths, labels.bone_lengths)
    first, second = labels.judge(None, "cpu"), other.judge(None, "cpu")  # the same random views
    assert_array_equal(first.view_term, second.view_term)
    assert_array_equal(first.bone_term, second.bone_term)
    for one in (labels, other):
        one.update(poses(uv - 1, depth))
    assert_array_equal(labels.registered[0], other.registered[0])


def rotated_answers(uv, depth):
    """A network whose error depends on the view that it is shown."""

    def predict(network, crops, device="cpu", batch=64, view=None):
        return poses((view.pose(torch.from_numpy(uv)) + view.matrix[:, None, :, 2]).numpy(), depth)

    return predict


def test_other_seeds_draw_other_views(hands, monkeypatch):
    crops, uv, depth = hands
    monkeypatch.setattr(pseudo_labels, "predict", rotated_answers(uv, depth))
    terms = [labels_of(crops, uv, depth, seed=seed).judge(None, "cpu").view_term for seed in (0, 0, 1)]
    assert_array_equal(terms[0], terms[1])
    assert np.abs(terms[0] - terms[2]).max() > 0.1


@pytest.mark.parametrize("values", [{"gate": "soft"}, {"share": 0.0}, {"share": 1.2}])
def test_impossible_configurations_are_refused(values):
    with pytest.raises(SemihandError):
        LabelConfig(**values)


def test_confidence_is_the_sum_of_its_terms():
    one = Confidence(np.array([1.0]), np.array([2.0]), np.array([1.0]))
    assert one.total.tolist() == [3.0]
