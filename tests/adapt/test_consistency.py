"""Consistency of views, Eq. (10), and distances to labels: by hand, with and without gradients."""

import math

import pytest
import torch
from torch.testing import assert_close

from semihand.adapt.consistency import joint_mean, pose_loss, view_loss
from semihand.adapt.views import View
from semihand.models.decode import Prediction
from semihand.train.losses import PAPER_LOSS, LossConfig

ALL = torch.ones(1, 64, 64, dtype=torch.bool)


def prediction(uv, depth, mask_logits=None, learns=False):
    mask_logits = torch.full((len(uv), 64, 64), -30.0) if mask_logits is None else mask_logits
    tensors = [tensor.clone().requires_grad_(learns) for tensor in (uv, depth, mask_logits)]
    return Prediction(*tensors, None, torch.zeros(0))


@pytest.fixture
def plain():
    torch.manual_seed(0)
    mask = torch.full((1, 64, 64), -30.0)
    mask[:, 20:45, 15:40] = 30.0
    return prediction(20 + 20 * torch.rand(1, 21, 2), torch.randn(1, 21), mask)


def shift(u, v):
    return View.build(torch.zeros(1), torch.ones(1), torch.tensor([[float(u), float(v)]]))


def turn(quarters):
    return View.build(torch.tensor([quarters * math.pi / 2]), torch.ones(1), torch.zeros(1, 2))


def moved(plain, view):
    """What a perfectly equivariant network says of the view: sigmoids as the view sees them."""
    mask = view.mask(plain.mask_logits.sigmoid()).clamp(1e-7, 1 - 1e-7)
    return prediction(view.pose(plain.uv), plain.depth, mask.logit())


@pytest.mark.parametrize("view", [shift(0, 0), shift(5, -3), turn(1), turn(2), turn(3)])
def test_an_equivariant_network_loses_nothing(plain, view):
    assert view_loss(plain, moved(plain, view), view, PAPER_LOSS, ALL).item() < 1e-3


@pytest.mark.parametrize("view", [shift(5, -3), turn(1)])
def test_a_network_that_says_the_same_of_every_view_loses(plain, view):
    assert view_loss(plain, plain, view, PAPER_LOSS, ALL).item() > 30


def test_eq_10_by_hand(plain):
    """One joint 3-4 px off, all depths off by 0.1, five cells of the mask off by 0.5; sums of cells over 21."""
    view = shift(3, -2)
    seen = moved(plain, view)
    uv, mask = seen.uv.clone(), seen.mask_logits.clone()
    uv[0, 7] += torch.tensor([3.0, 4.0])
    mask[0, 10, 30:35] = 0.0
    seen = prediction(uv, seen.depth + 0.1, mask)
    loss = view_loss(plain, seen, view, PAPER_LOSS, ALL)
    assert loss.item() == pytest.approx(25 / 21 + 50 * 0.01 + 5 * 0.5 / 21, abs=2e-3)
    robust = LossConfig(depth_weight=7.0)
    loss = view_loss(plain, seen, view, robust, ALL)
    assert loss.item() == pytest.approx(7 / 21 + 7 * 0.1 + 5 * 0.5 / 21, abs=2e-3)


@pytest.mark.parametrize("uv, depth, mean", [((1.0, 0.0), 0.0, 1.0), ((0.0, 0.0), 0.125, 0.78125)])
def test_magnitudes_of_the_specification(plain, uv, depth, mean):
    off = prediction(plain.uv + torch.tensor(uv), plain.depth + depth, plain.mask_logits)
    assert_close(pose_loss(off, plain.uv, plain.depth, PAPER_LOSS), torch.tensor([mean]), atol=1e-4, rtol=0)
    assert_close(view_loss(plain, off, shift(0, 0), PAPER_LOSS, ALL), torch.tensor([mean]), atol=1e-3, rtol=0)


def gradients(plain, seen, view):
    first = prediction(plain.uv, plain.depth, plain.mask_logits * 0.02, learns=True)
    second = prediction(seen.uv + 1, seen.depth + 0.2, seen.mask_logits * 0.01, learns=True)
    view_loss(first, second, view, PAPER_LOSS, ALL).sum().backward()
    return [[p.uv.grad, p.depth.grad, p.mask_logits.grad] for p in (first, second)]


def test_both_branches_learn(plain):
    view = turn(1)
    first, second = gradients(plain, moved(plain, view), view)
    for mine, theirs in zip(first, second):
        assert mine.abs().sum() > 0 and theirs.abs().sum() > 0
    # Newton's third law: what pulls the one pulls the other, turned back
    assert_close(first[1], -second[1])
    back = torch.stack([-second[0][..., 1], second[0][..., 0]], -1)
    assert_close(first[0], -back, atol=1e-6, rtol=1e-4)


def test_cells_that_the_camera_did_not_see_do_not_count(plain):
    """The left third of the crop is unknown; the view, turned a quarter, has it at its bottom."""
    view, valid = turn(1), ALL.clone()
    valid[:, :, :20] = False  # u < 20 goes to v' = 63 - u > 43
    right = moved(plain, view)
    wrong = right.mask_logits.clone()
    wrong[:, 44:] = 30.0 - wrong[:, 44:]
    seen = prediction(right.uv, right.depth, wrong)
    assert view_loss(plain, seen, view, PAPER_LOSS, valid).item() < 1e-3
    assert view_loss(plain, seen, view, PAPER_LOSS, ALL).item() > 30
    wrong = right.mask_logits.clone()
    wrong[:, 43] = 0.0
    seen = prediction(right.uv, right.depth, wrong)
    assert view_loss(plain, seen, view, PAPER_LOSS, valid).item() == pytest.approx(64 * 0.5 / 21, abs=1e-2)


def test_cells_beyond_the_crop_do_not_count(plain):
    """A shift of 5 shows five columns of which the plain answer knows nothing."""
    view = shift(5, 0)
    right = moved(plain, view)
    wrong = right.mask_logits.clone()
    wrong[:, :, 59:] = 30.0
    assert view_loss(plain, prediction(right.uv, right.depth, wrong), view, PAPER_LOSS, ALL).item() < 1e-3


def test_joints_that_leave_the_grid_do_not_count(plain):
    uv = plain.uv.clone()
    uv[0, 4] = torch.tensor([2.0, 30.0])  # 3 px beyond the edge after a shift of 5
    plain = prediction(uv, plain.depth, plain.mask_logits)
    view = shift(5, 0)
    seen = moved(plain, view)
    wild = seen.uv.clone()
    wild[0, 4] = 40.0
    assert view_loss(plain, prediction(wild, seen.depth, seen.mask_logits), view, PAPER_LOSS, ALL).item() < 1e-3
    wild[0, 5] += torch.tensor([2.0, 0.0])
    loss = view_loss(plain, prediction(wild, seen.depth, seen.mask_logits), view, PAPER_LOSS, ALL)
    assert loss.item() == pytest.approx(4 / 20, abs=1e-3)  # a mean over the other twenty


def test_a_mean_over_nothing_is_zero():
    assert_close(joint_mean(torch.ones(2, 3), torch.tensor([[0.0, 0, 0], [1, 0, 1]])), torch.tensor([0.0, 1.0]))
    far = torch.full((1, 21, 2), 90.0)
    assert pose_loss(prediction(far, torch.ones(1, 21)), far + 5, torch.zeros(1, 21), PAPER_LOSS).item() == 0


def test_weights_say_how_much_a_joint_counts(plain):
    """Weights do not share the loss of doubted joints out to the others: it is divided by 21 all the same."""
    off = prediction(plain.uv + torch.tensor([1.0, 0.0]), plain.depth)
    weight = torch.zeros(1, 21)
    assert pose_loss(off, plain.uv, plain.depth, PAPER_LOSS, weight).item() == 0
    weight[0, :7] = 0.5
    assert pose_loss(off, plain.uv, plain.depth, PAPER_LOSS, weight).item() == pytest.approx(3.5 / 21, abs=1e-5)
    assert pose_loss(off, plain.uv, plain.depth, PAPER_LOSS, torch.ones(1, 21)).item() == pytest.approx(1, abs=1e-5)


def test_a_loss_for_each_picture(plain):
    """The second of two pictures is right."""
    pair = prediction(plain.uv.repeat(2, 1, 1), plain.depth.repeat(2, 1), plain.mask_logits.repeat(2, 1, 1))
    view = View(torch.cat([shift(5, -3).matrix, turn(1).matrix]))
    seen = moved(pair, view)
    uv = seen.uv.clone()
    uv[0] += torch.tensor([2.0, 0.0])
    losses = view_loss(pair, prediction(uv, seen.depth, seen.mask_logits), view, PAPER_LOSS, ALL.repeat(2, 1, 1))
    assert losses.shape == (2,)
    assert losses[0].item() == pytest.approx(4.0, abs=1e-3) and losses[1].item() < 1e-3
