"""The metrics against values computed by hand or by another route."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from semihand.models import metrics
from semihand.models.joints import BONES, ROOT

RNG = np.random.default_rng(5)
HANDS = RNG.normal(size=(6, 21, 3)) * 0.05 + [0.1, 0, 0.6]


def test_joint_errors_are_aligned_at_the_root():
    moved = HANDS + [0.3, -0.2, 0.1]
    moved[0, 4, 0] += 0.021
    errors = metrics.joint_errors_mm(moved, HANDS)
    expected = np.zeros((6, 21))
    expected[0, 4] = 21.0
    assert_allclose(errors, expected, atol=1e-9)
    assert_allclose(metrics.mean_error(errors), 21 / (6 * 21))


def test_an_error_of_the_root_counts_at_every_other_joint():
    wrong_root = HANDS.copy()
    wrong_root[:, ROOT, 2] += 0.010
    assert_allclose(metrics.mean_error(metrics.joint_errors_mm(wrong_root, HANDS)), 10 * 20 / 21)


def test_procrustes_undoes_a_similarity_and_no_reflection():
    turn = Rotation.from_euler("xyz", [0.4, -1.0, 2.0]).as_matrix()
    changed = 1.7 * HANDS @ turn.T + [1, 2, 3]
    assert_allclose(metrics.procrustes_errors_mm(changed, HANDS), 0, atol=1e-9)
    assert metrics.procrustes_errors_mm(HANDS * [-1, 1, 1], HANDS).mean() > 10


def test_procrustes_is_the_best_similarity_that_a_general_optimiser_finds():
    guess = HANDS + RNG.normal(size=HANDS.shape) * 0.03

    def squares(parameters, x, y):
        turned = np.exp(parameters[0]) * Rotation.from_rotvec(parameters[1:4]).apply(x) + parameters[4:]
        return 1e4 * ((turned - y) ** 2).sum()

    for x, y, aligned in zip(guess, HANDS, metrics.procrustes(guess, HANDS), strict=True):
        best = minimize(squares, np.zeros(7), args=(x, y), method="BFGS", options={"gtol": 1e-9})
        assert_allclose(1e4 * ((aligned - y) ** 2).sum(), best.fun, rtol=1e-6)


def test_procrustes_of_a_collapsed_hand_moves_it_only():
    collapsed = np.full((1, 21, 3), 0.4)
    assert_allclose(metrics.procrustes(collapsed, HANDS[:1]), HANDS[:1].mean(1, keepdims=True) + 0 * collapsed)


def test_auc_by_hand():
    """Thresholds 20, 35, 50; errors 10, 30, 40, 60: PCK 1/4, 2/4, 3/4; area (3/8 + 5/8) / 2 = 1/2."""
    assert_allclose(metrics.auc(np.array([10.0, 30, 40, 60, np.nan]), 20, 50, steps=3), 0.5)
    assert metrics.auc(np.zeros(3), 0, 50) == 1.0
    assert metrics.auc(np.array([50.0]), 0, 50, steps=2) == 0.5  # at or below the threshold
    assert metrics.auc(np.full(3, 51.0), 20, 50) == 0.0


def test_auc_with_the_default_steps_is_close_to_the_exact_area():
    errors = RNG.gamma(4, 5, 20_000)
    exact = np.clip((50 - errors) / 30, 0, 1).mean()
    assert_allclose(metrics.auc(errors, 20, 50), exact, atol=1e-3)


def test_auc_is_numpys_trapezoid_over_the_pck_curve():
    errors = RNG.gamma(3, 8, 500)
    thresholds = np.linspace(20, 50, 20)
    share = [(errors <= threshold).mean() for threshold in thresholds]
    assert_allclose(metrics.auc(errors, 20, 50), np.trapezoid(share, thresholds) / 30)


def test_auc_of_errors_spread_evenly_is_one_half():
    """Errors of 0.5, 1.5 ... 49.5 mm: PCK(t) = t / 50, so its mean between 0 and 50 is 1/2, between 20 and 50 0.7."""
    errors = np.arange(50) + 0.5
    assert_allclose([metrics.auc(errors, 0, 50, 51), metrics.auc(errors, 20, 50, 31)], [0.5, 0.7])


def test_hand_size_is_the_longer_side_of_joints_or_of_the_box():
    uv = np.full((3, 21, 2), np.nan)
    uv[0, :11] = np.linspace([10, 5], [110, 45], 11)
    uv[1, :10] = np.linspace([10, 5], [110, 45], 10)
    uv[2] = 7.0
    boxes = np.array([[0, 0, 500, 500.0], [0, 0, 60, 80], [np.nan] * 4])
    assert_allclose(metrics.hand_size(uv, boxes), [100, 80, 1])
    assert_allclose(metrics.hand_size(uv), [100, np.nan, 1])


def test_nme_and_pck_by_hand():
    uv_true = np.full((1, 21, 2), np.nan)
    uv_true[0, :3] = [[0, 0], [100, 50], [20, 20]]
    uv = np.zeros((1, 21, 2))
    uv[0, :3] = [[3, 4], [100, 60], [20, 45]]  # 5, 10 and 25 pixels away
    errors = metrics.normalised_errors(uv, uv_true, np.array([100.0]))
    assert_allclose(metrics.mean_error(errors), 0.40 / 3)
    assert_allclose([metrics.pck(errors, t) for t in (0.05, 0.10, 0.20, 0.26)], [1 / 3, 2 / 3, 2 / 3, 1])


def test_mask_iou_by_hand():
    mask, truth = np.zeros((3, 4, 4)), np.zeros((3, 4, 4))
    mask[0, :2], truth[0, 1:3] = 0.6, 1.0  # 8 and 8 pixels, 4 shared: 4 / 12
    mask[1, 0] = 0.4  # below one half: empty, like the truth
    truth[2, 0] = 1.0
    assert_allclose(metrics.mask_iou(mask, truth), [1 / 3, 1, 0])


def test_bone_cv_by_hand():
    hands = np.zeros((2, 21, 3))
    for parent, child in BONES:
        hands[:, child] = hands[:, parent] + [0, 0.03, 0]
    assert metrics.bone_cv(hands) == 0
    hands[1, 4] += [0, 0.03, 0]  # lengths 30 and 60 mm: deviation 15 over a mean of 45, one bone of 20
    assert_allclose(metrics.bone_cv(hands), (1 / 3) / 20)


def test_jitter_by_hand():
    t = np.arange(5.0)[:, None, None]
    steady = np.ones((5, 21, 3)) * t * 0.01
    assert_allclose(metrics.jitter_mm(steady), 0, atol=1e-9)
    shaken = steady + [0.002, 0, 0] * (np.arange(5) % 2)[:, None, None]  # second differences of 4 mm
    assert_allclose(metrics.jitter_mm(shaken), 4.0)
    found = np.array([True, True, False, True, True])
    with pytest.raises(ValueError, match="three frames in a row"):
        metrics.jitter_mm(shaken, found)
    shaken[0] = 9.0
    assert_allclose(metrics.jitter_mm(shaken, np.array([False, True, True, True, True])), 4.0)


@pytest.mark.parametrize(
    "score",
    [
        lambda: metrics.mean_error(np.full(3, np.nan)),
        lambda: metrics.auc(np.array([]), 0, 50),
        lambda: metrics.pck(np.full((2, 21), np.nan), 0.1),
        lambda: metrics.bone_cv(HANDS[:1]),
        lambda: metrics.bone_cv(np.zeros((3, 21, 3))),
        lambda: metrics.jitter_mm(HANDS[:2]),
    ],
)
def test_scores_of_nothing_are_errors_not_nan(score):
    with pytest.raises(ValueError):
        score()


def test_an_error_at_the_threshold_counts_as_on_the_curve():
    errors = np.array([0.05, 0.05, 0.2, np.nan])
    assert metrics.pck(errors, 0.05) == pytest.approx(2 / 3)
    assert metrics.pck(errors, 0.049) == 0


def test_rank_correlation_against_scipy():
    rng = np.random.default_rng(3)
    x = rng.integers(0, 6, 40).astype(float)
    y = x + rng.integers(0, 8, 40)
    assert_allclose(metrics.rank_correlation(x, y), spearmanr(x, y).statistic, atol=1e-12)
    y[5] = np.nan
    known = np.isfinite(y)
    assert_allclose(metrics.rank_correlation(x, y), spearmanr(x[known], y[known]).statistic, atol=1e-12)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3])])
def test_rank_correlation_without_meaning(x, y):
    assert np.isnan(metrics.rank_correlation(x, y))
