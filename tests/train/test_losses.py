"""The supervised losses: SemiHand Eq. 2 and 3 by hand, and what each part teaches."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from semihand.errors import SemihandError
from semihand.models.decode import Prediction, cell_centres, decode
from semihand.models.network import StackMaps
from semihand.train.losses import (
    PAPER_LOSS,
    LossConfig,
    Target,
    concatenate,
    confidence_loss,
    heatmap_cross_entropy,
    mask_loss,
    masked_mean,
    pose_distance,
    supervised_loss,
    verdict_loss,
)  # fmt: skip

SIZE = 32


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def target(batch=2, **changes):
    values = dict(
        uv=5 + 50 * torch.rand(batch, 21, 2), depth=torch.randn(batch, 21), mask=torch.rand(batch, 64, 64).round(),
        present=torch.ones(batch, dtype=torch.bool),
    )  # fmt: skip
    return Target(**{**values, **changes})


def prediction_at(truth, uv=0.0, depth=0.0, logits=20.0, confidence=None):
    """A prediction that misses the truth by the given amounts."""
    return Prediction(truth.uv + uv, truth.depth + depth, (truth.mask - 0.5) * 2 * logits, confidence, torch.zeros(0))


def uniform_log_q(truth):
    return torch.full((len(truth.uv), 21, SIZE, SIZE), -math.log(SIZE * SIZE))


def confidences(truth, value=0.0):
    return torch.full(truth.depth.shape, value)


def test_eq_2_on_one_joint_by_hand():
    uv, depth = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[0.5]])
    zero_uv, zero_depth = torch.zeros(1, 1, 2), torch.tensor([[0.3]])
    assert_close(pose_distance(uv, depth, zero_uv, zero_depth, PAPER_LOSS), torch.tensor([[25.0 + 50 * 0.04]]))
    robust = LossConfig(depth_weight=7.0)
    assert_close(pose_distance(uv, depth, zero_uv, zero_depth, robust), torch.tensor([[7.0 + 7 * 0.2]]))


@pytest.mark.parametrize(
    "uv, depth, mean", [((1.0, 0.0), 0.0, 1.0), ((0.6, 0.8), 0.0, 1.0), ((0.0, 0.0), 0.125, 0.78125)]
)
def test_magnitudes_of_the_specification(uv, depth, mean):
    truth = target(3)
    off = torch.tensor(uv).expand(3, 21, 2)
    distance = pose_distance(truth.uv + off, truth.depth + depth, truth.uv, truth.depth, PAPER_LOSS)
    assert_close(masked_mean(distance, truth.inside), torch.tensor(mean), atol=1e-4, rtol=0)
    assert_close(distance[0].sum(), torch.tensor(21 * mean), atol=2e-3, rtol=0)


def test_eq_3_is_pose_plus_weighted_mask_and_averages_the_stacks():
    truth = target(mask=torch.ones(2, 64, 64))
    half = math.log(0.98 / 0.02)  # a mask that is 2 % off everywhere: 100 x 0.02 = 2
    first, last = prediction_at(truth, uv=torch.tensor([1.0, 0.0])), prediction_at(truth, depth=0.125)
    first = Prediction(first.uv, first.depth, torch.full((2, 64, 64), half), None, first.heat)
    last = Prediction(last.uv, last.depth, torch.full((2, 64, 64), half), confidences(truth), last.heat)
    total, parts = supervised_loss([first, last], truth, PAPER_LOSS)
    assert parts["pose"].item() == pytest.approx((1.0 + 0.78125) / 2, abs=1e-4)
    assert parts["mask"].item() == pytest.approx(2.0, abs=1e-3)
    assert parts["heatmap"] == 0.0
    assert total.item() == pytest.approx(sum(float(part) for part in parts.values()), abs=1e-5)
    assert not any(isinstance(part, torch.Tensor) and part.requires_grad for part in parts.values())


def test_losses_vanish_at_the_truth():
    truth = target()
    total, parts = supervised_loss([prediction_at(truth, confidence=confidences(truth, 30.0))], truth, PAPER_LOSS)
    assert_close(total, torch.tensor(0.0), atol=1e-5, rtol=0)


def test_mask_losses_by_hand():
    logits, mask = torch.tensor([[[0.0, 2.0]]]), torch.tensor([[[1.0, 0.0]]])
    sigmoid = 1 / (1 + math.exp(-2))
    assert mask_loss(logits, mask, "l1").item() == pytest.approx((0.5 + sigmoid) / 2, abs=1e-6)
    cross = (math.log(2) + math.log(1 + math.exp(2))) / 2
    assert mask_loss(logits, mask, "bce").item() == pytest.approx(cross, abs=1e-6)


def test_masked_mean_of_nothing_is_zero():
    values, keep = torch.tensor([[1.0, 2.0, 6.0]]), torch.tensor([[True, False, True]])
    assert masked_mean(values, keep).item() == 3.5
    assert masked_mean(values, torch.zeros(1, 3, dtype=torch.bool)).item() == 0.0


def test_inside_is_the_64_grid_edge_to_edge():
    uv = torch.full((1, 21, 2), 30.0)
    uv[0, 0], uv[0, 1] = torch.tensor([-0.4, 63.4]), torch.tensor([-0.6, 30.0])
    uv[0, 2], uv[0, 3] = torch.tensor([30.0, 63.6]), torch.tensor([63.4, -0.4])
    inside = target(1, uv=uv).inside[0]
    assert inside[:4].tolist() == [True, False, False, True] and inside[4:].all()


def gaussian_log_q(uv, size=SIZE):
    cell = 64 / size
    u = -0.5 * ((cell_centres(size) - uv[..., :1]) / cell) ** 2
    v = -0.5 * ((cell_centres(size) - uv[..., 1:]) / cell) ** 2
    return (v[..., :, None] + u[..., None, :]).flatten(2).log_softmax(-1).unflatten(2, (size, size))


def test_heatmap_term_is_least_for_the_gaussian_at_the_truth():
    uv = 10 + 44 * torch.rand(2, 21, 2)
    best = heatmap_cross_entropy(gaussian_log_q(uv), uv)
    entropy = -(gaussian_log_q(uv).exp() * gaussian_log_q(uv)).sum((2, 3))
    assert_close(best, entropy, atol=1e-4, rtol=0)
    for shift in ((1.0, 0.0), (0.0, -1.0), (3.0, 3.0)):
        assert (heatmap_cross_entropy(gaussian_log_q(uv + torch.tensor(shift)), uv) > best + 0.05).all()
    swapped = gaussian_log_q(uv.flip(-1))
    far = (uv[..., 0] - uv[..., 1]).abs() > 4
    assert (heatmap_cross_entropy(swapped, uv) > best + 0.5)[far].all()


def test_uniform_heatmap_costs_the_logarithm_of_its_cells():
    uv = 10 + 44 * torch.rand(1, 21, 2)
    assert_close(heatmap_cross_entropy(uniform_log_q(target(1)), uv), torch.full((1, 21), math.log(SIZE * SIZE)))


def maps(batch=2, requires_grad=True):
    tensors = [torch.randn(batch, 21, SIZE, SIZE), torch.randn(batch, 21, SIZE, SIZE), torch.randn(batch, 64, 64),
               torch.randn(batch, 21, SIZE, SIZE)]  # fmt: skip
    return StackMaps(*(tensor.requires_grad_(requires_grad) for tensor in tensors))


def loss_of(raw, truth, config):
    return supervised_loss([decode(raw)], truth, config)


@pytest.mark.parametrize("config", [LossConfig(), PAPER_LOSS])
def test_absent_hands_and_joints_outside_teach_nothing_about_the_pose(config):
    uv = 5 + 50 * torch.rand(2, 21, 2)
    uv[0, 3] = torch.tensor([70.0, 20.0])
    truth = target(uv=uv, present=torch.tensor([True, False]), mask=torch.zeros(2, 64, 64))
    raw = maps()
    loss_of(raw, truth, config)[0].backward()
    assert raw.heat.grad[1].abs().max() == 0 and raw.depth.grad[1].abs().max() == 0
    assert raw.heat.grad[0, 3].abs().max() == 0 and raw.depth.grad[0, 3].abs().max() == 0
    assert raw.heat.grad[0, 4].abs().max() > 0 and raw.depth.grad[0, 4].abs().max() > 0
    assert raw.mask_logits.grad[1].abs().max() > 0  # an empty picture does teach the empty mask
    assert raw.confidence.grad[1].abs().max() > 0  # and the low confidence


def test_a_batch_without_hands_still_gives_a_finite_loss():
    truth = target(present=torch.zeros(2, dtype=torch.bool))
    total, parts = loss_of(maps(), truth, LossConfig())
    assert torch.isfinite(total) and float(parts["pose"]) == 0.0


def test_confidence_learns_exp_of_minus_the_error():
    truth = target(2, present=torch.tensor([True, False]))
    off = torch.zeros(2, 21, 2)
    off[0, 1], off[0, 2] = torch.tensor([4.0, 0.0]), torch.tensor([4.8, 6.4])
    wanted = torch.ones(2, 21)
    wanted[0, 1], wanted[0, 2], wanted[1] = math.exp(-1), math.exp(-2), 0.0
    logits = torch.zeros(2, 21, requires_grad=True)
    confidence_loss(Prediction(truth.uv + off, truth.depth, truth.mask, logits, torch.zeros(0)), truth).backward()
    assert_close(logits.grad, (0.5 - wanted) / 42)


def test_confidence_sends_no_gradient_into_the_pose():
    raw, truth = maps(), target()
    confidence_loss(decode(raw), truth).backward()
    assert raw.heat.grad is None and raw.depth.grad is None
    assert raw.confidence.grad.abs().sum() > 0


def test_weights_scale_their_parts():
    truth, raw = target(), maps(requires_grad=False)
    once = loss_of(raw, truth, LossConfig(pose_weight=1, mask_weight=1, heatmap_weight=1, confidence_weight=1))[1]
    thrice = loss_of(raw, truth, LossConfig(pose_weight=3, mask_weight=3, heatmap_weight=3, confidence_weight=3))[1]
    for name in ("pose", "mask", "heatmap", "confidence"):
        assert float(once[name]) > 0
        assert_close(thrice[name], 3 * once[name])


@pytest.mark.parametrize("values", [{"pose": "cubed"}, {"mask": "dice"}])
def test_unknown_losses_are_refused(values):
    with pytest.raises(SemihandError, match=next(iter(values.values()))):
        LossConfig(**values)


def crops(*places, present=True, **more):
    """A target whose hands have this share of their joints inside the crop."""
    uv = torch.full((len(places), 21, 2), 100.0)
    for row, share in enumerate(places):
        uv[row, : round(21 * share)] = 30.0
    return target(len(places), uv=uv, present=torch.full((len(places),), present), **more)


def test_a_crop_shows_a_hand_or_none_or_is_hard_to_say():
    truth = crops(1.0, 0.7, 0.4, 0.0)
    assert truth.shown.tolist() == [True, True, False, False]
    assert truth.absent.tolist() == [False, False, False, True]
    empty = crops(1.0, 0.0, present=False)
    assert empty.absent.all() and not empty.shown.any()


def test_verdict_by_hand():
    truth = crops(1.0, 0.0, mirrored=torch.tensor([False, False]))
    sure = torch.tensor([[20.0, 20.0], [-20.0, 20.0]])
    assert verdict_loss(sure, truth) < 1e-6
    # Nobody asks which hand an empty crop shows, nor anything of a crop that is hard to say.
    assert verdict_loss(sure * torch.tensor([[1, 1], [1, -1]]), truth) < 1e-6
    assert verdict_loss(torch.tensor([[20.0, 20.0], [20.0, 0.0]]), crops(1.0, 0.4)) < 1e-6
    assert_close(verdict_loss(torch.zeros(2, 2), truth), torch.tensor(2 * math.log(2)))
    mirrored = crops(1.0, 1.0, mirrored=torch.tensor([True, False]))
    wrong = torch.tensor([[20.0, 20.0], [20.0, 20.0]])
    assert_close(verdict_loss(wrong, mirrored), torch.tensor(20.0 * 4 / 5), atol=1e-3, rtol=0)


def test_weights_and_unknown_mask_cells_do_not_teach():
    truth = target(1, weight=torch.tensor([[1.0] * 20 + [0.0]]), known=torch.zeros(1, 64, 64))
    truth.known[0, :32] = 1
    away = torch.zeros(1, 21, 2)
    away[0, 20] = 9.0
    config = LossConfig(heatmap_weight=0.0)
    prediction = prediction_at(truth, uv=away, confidence=confidences(truth, 4.0))
    prediction.mask_logits[0, 32:] *= -1
    _, parts = supervised_loss([prediction], truth, config)
    assert parts["pose"] == 0 and parts["mask"] < 1e-6
    full = replace(truth, weight=None, known=None)
    _, parts = supervised_loss([prediction], full, config)
    assert parts["pose"] > 0.05 and parts["mask"] > 1


def test_parts_of_a_batch_become_one_target():
    plain, weighed = (
        target(2, known=torch.ones(2, 64, 64)),
        target(1, known=torch.zeros(1, 64, 64), weight=torch.full((1, 21), 0.5)),
    )
    both = concatenate([plain, weighed])
    assert both.uv.shape == (3, 21, 2) and both.known.mean() == pytest.approx(2 / 3)
    assert_close(both.weight[:, 0], torch.tensor([1.0, 1.0, 0.5]))
    assert not both.mirrored.any()
    assert concatenate([plain, plain]).weight is None
