"""Views of a crop: picture, mask and joints take the same way, and a network is looked at through them."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from semihand.adapt.frames.crops import WIDE_GRID
from semihand.adapt.views import PERTURBATIONS, View, ViewConfig, draw_diversity, draw_perturbation, predict
from semihand.models.lifting import project

SIZE = 96
WIDE = 168  # pixels of a stored picture of a network of 96


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def quarter(times):
    return View.build(torch.tensor([times * math.pi / 2]), torch.ones(1), torch.zeros(1, 2))


def dots(uv, size=WIDE, wide_grid=WIDE_GRID, sigma=2.5):
    """A picture for each joint uv (21, 2) on the 64-grid, (1, 21, size, size), with a soft dot there."""
    at = (uv + 0.5 + (wide_grid - 64) / 2) * size / wide_grid - 0.5
    x = np.arange(size)
    row = np.exp(-0.5 * ((x[None] - at[:, :1]) / sigma) ** 2)
    column = np.exp(-0.5 * ((x[None] - at[:, 1:]) / sigma) ** 2)
    return torch.from_numpy(column[:, :, None] * row[:, None]).float()[None]


def centres(pictures):
    """Where the dots (21, size, size) are, on the 64-grid."""
    size = pictures.shape[-1]
    x = torch.arange(size).float()
    total = pictures.sum((1, 2))
    at = torch.stack([(pictures.sum(1) * x).sum(-1) / total, (pictures.sum(2) * x).sum(-1) / total], -1)
    return ((at + 0.5) * 64 / size - 0.5).numpy()


@pytest.fixture(scope="module")
def hand():
    """A rendered hand's joints: uv (21, 2) on the 64-grid, xyz (21, 3) and K of the grid."""
    from semihand.synth.scene import SceneConfig, SceneRenderer

    sample = SceneRenderer(SceneConfig(size=64, crop_factor=2.0, empty=0.0), seed=3).render(1)
    K = np.array([[sample.K[0], 0, sample.K[2]], [0, sample.K[1], sample.K[3]], [0, 0, 1]], float)
    return sample.uv.astype(float), sample.xyz.astype(float), K


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("draw", [draw_perturbation, draw_diversity])
def test_picture_and_pose_go_the_same_way(hand, draw, seed):
    view = draw(1, ViewConfig(scale=(0.8, 1.2)), generator(seed))
    seen = view.picture(dots(hand[0]), WIDE_GRID, SIZE)[0]
    wanted = view.pose(torch.from_numpy(hand[0]).float()[None])[0].numpy()
    whole = ((wanted > 6) & (wanted < 57)).all(-1)  # the whole dot is in the picture
    assert whole.sum() > 10
    assert np.abs(centres(seen) - wanted)[whole].max() < 0.1


def test_the_plain_view_is_the_crop(hand):
    view = View.plain(1)
    uv = torch.from_numpy(hand[0]).float()[None]
    assert_close(view.pose(uv), uv)
    wide = torch.rand(1, 3, WIDE, WIDE)
    assert_close(view.picture(wide, WIDE_GRID, SIZE), wide[:, :, 36:132, 36:132], atol=1e-4, rtol=0)
    mask = torch.rand(1, 64, 64)
    assert_close(view.mask(mask), mask, atol=1e-4, rtol=0)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_right_angles_are_exact(hand, times):
    uv = torch.from_numpy(hand[0]).float()[None]
    wanted = uv
    for _ in range(times):
        wanted = torch.stack([wanted[..., 1], 63 - wanted[..., 0]], -1)  # u' = v, v' = 63 - u
    view = quarter(times)
    assert_close(view.pose(uv), wanted, atol=2e-5, rtol=0)
    mask = torch.rand(1, 64, 64)
    assert_close(view.mask(mask)[0], torch.rot90(mask[0], times), atol=1e-4, rtol=0)
    wide = 255 * torch.rand(1, 3, WIDE, WIDE)
    turned = torch.rot90(wide[0], times, (1, 2))[:, 36:132, 36:132]
    assert_close(view.picture(wide, WIDE_GRID, SIZE)[0], turned, atol=0.02, rtol=0)


def test_turning_the_crop_turns_the_hand_about_the_optical_axis(hand):
    """So relative depth is the same in the view."""
    uv, xyz, K = hand
    angle = 0.7
    K = np.array([[K[0, 0], 0, 31.5], [0, K[0, 0], 31.5], [0, 0, 1]])  # the axis through the crop's centre
    view = View.build(torch.tensor([angle]), torch.ones(1), torch.zeros(1, 2))
    cos, sin = math.cos(angle), math.sin(angle)
    turned = xyz @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]).T
    seen = view.pose(torch.from_numpy(project(xyz, K)).float()[None])[0].numpy()
    assert_allclose(seen, project(turned, K), atol=1e-3)
    assert_array_equal(turned[:, 2], xyz[:, 2])


def test_a_shift_by_hand():
    view = View.build(torch.zeros(1), torch.ones(1), torch.tensor([[3.0, -2.0]]))
    uv = torch.tensor([[[20.0, 30.0]]])
    assert_close(view.pose(uv), torch.tensor([[[17.0, 32.0]]]))
    mask = torch.zeros(1, 64, 64)
    mask[0, 30, 20] = 1
    moved = view.mask(mask)[0]
    assert moved[32, 17] > 0.999 and moved.sum() < 1.001


def test_an_enlargement_by_hand():
    """A seen square of 0.5 times the side shows everything twice as large about the centre."""
    view = View.build(torch.zeros(1), torch.tensor([0.5]), torch.zeros(1, 2))
    assert_close(view.pose(torch.tensor([[[41.5, 21.5]]])), torch.tensor([[[51.5, 11.5]]]))
    assert_close(view.scale, torch.tensor([0.5]))


def test_back_undoes_pose(hand):
    uv = torch.from_numpy(hand[0]).float().expand(16, -1, -1)
    for draw in (draw_perturbation, draw_diversity):
        view = draw(16, ViewConfig(), generator())
        assert_close(view.back(view.pose(uv)), uv, atol=1e-4, rtol=0)
        assert (view.pose(uv) - uv).abs().mean() > 1


def test_then_is_one_view_after_the_other(hand):
    uv = torch.from_numpy(hand[0]).float().expand(8, -1, -1)
    first, second = draw_diversity(8, ViewConfig(), generator(1)), draw_perturbation(8, ViewConfig(), generator(2))
    both = first.then(second)
    assert_close(both.pose(uv), second.pose(first.pose(uv)), atol=1e-4, rtol=0)
    assert not torch.allclose(both.pose(uv), second.then(first).pose(uv), atol=0.1)
    assert_close(both.scale, first.scale, atol=1e-5, rtol=1e-5)
    picture = dots(hand[0])
    twice = centres(View(both.matrix[:1]).picture(picture, WIDE_GRID, SIZE)[0])
    wanted = both.pose(uv)[0].numpy()
    whole = ((wanted > 6) & (wanted < 57)).all(-1)
    assert whole.any() and np.abs(twice - wanted)[whole].max() < 0.1


def test_a_mask_on_another_grid_goes_the_way_of_the_picture():
    """A mask that covers 112 grid pixels in 56 cells, seen plainly: its middle 32 cells, twice as large."""
    mask = torch.zeros(1, 56, 56)
    mask[0, 20:30, 16:40] = 1
    seen = View.plain(1).mask(mask, WIDE_GRID)[0]
    assert seen.shape == (64, 64)
    wanted = torch.zeros(64, 64)
    wanted[2 * (20 - 12) : 2 * (30 - 12), 2 * (16 - 12) : 2 * (40 - 12)] = 1
    assert ((seen > 0.5) == (wanted > 0.5)).all()


def test_what_lies_outside_the_mask_is_unknown():
    view = View.build(torch.zeros(1), torch.ones(1), torch.tensor([[10.0, 0.0]]))
    known = view.mask(torch.ones(1, 64, 64))[0]
    assert (known[:, :53] > 0.99).all() and (known[:, 55:] == 0).all()


def test_the_margin_covers_every_perturbation():
    """Any T, and T on top of a shifted T: no pixel of the view is made up from the stored picture's edge."""
    inside = torch.zeros(500, 1, 56, 56)
    inside[:, :, 1:-1, 1:-1] = 1
    seen = draw_perturbation(500, ViewConfig(), generator()).picture(inside, WIDE_GRID, 32)
    assert seen.min() > 0.999
    turned = View.build(torch.linspace(0, 6.28, 500), torch.ones(500), torch.full((500, 2), 5.0))
    assert turned.picture(inside, WIDE_GRID, 32).min() > 0.999


def test_perturbations_are_of_one_kind_each_and_in_range():
    view = draw_perturbation(600, ViewConfig(), generator())
    shift = view.matrix[:, :, 2]
    angle = torch.rad2deg(torch.atan2(view.matrix[:, 1, 0], view.matrix[:, 0, 0]))
    assert_close(view.scale, torch.ones(600), atol=1e-5, rtol=0)
    shifted, near = shift.abs().amax(1) > 0, angle.abs() < 2.001
    quarters = ~near
    tilted = near & ~shifted
    assert all(0.27 < kind.float().mean() < 0.4 for kind in (shifted, tilted, quarters))
    assert not (shifted & (angle.abs() > 1e-4)).any()
    assert 4.8 < shift.abs().max() <= 5.0 and 1.9 < angle[tilted].abs().max() < 2.001
    counts = [((angle - a).abs() < 0.01).sum().item() for a in (90, -90)] + [(angle.abs() > 179.9).sum().item()]
    assert sum(counts) == quarters.sum() and min(counts) > 0.25 * sum(counts)


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_only_the_configured_kinds_are_drawn(kind):
    view = draw_perturbation(50, ViewConfig(kinds=(kind,)), generator())
    angle = torch.rad2deg(torch.atan2(view.matrix[:, 1, 0], view.matrix[:, 0, 0])).abs()
    moves, turns = view.matrix[:, :, 2].abs().max() > 0, angle.max().item()
    assert ((view.scale - 1).abs().max() > 0.1) == (kind == "mixed")
    assert (bool(moves), turns > 0.1, turns > 45) == {
        "shift": (True, False, False), "tilt": (False, True, False), "quarter": (False, True, True),
        "mixed": (True, True, True),
    }[kind]  # fmt: skip


def test_diversity_is_in_range():
    config = ViewConfig(turn=30.0, scale=(0.8, 1.25), move=0.1)
    view = draw_diversity(800, config, generator())
    angle = torch.rad2deg(torch.atan2(view.matrix[:, 1, 0], view.matrix[:, 0, 0]))
    assert 28 < angle.abs().max() <= 30.001
    assert 0.8 <= view.scale.min() < 0.82 and 1.22 < view.scale.max() <= 1.2501
    assert abs(view.scale.log().mean().item()) < 0.02
    moved = view.matrix[:, :, 2].abs() / (64 * view.scale[:, None])
    assert 0.095 < moved.max() <= 0.10001


def test_the_same_seed_draws_the_same_views():
    assert_close(
        draw_perturbation(9, ViewConfig(), generator(4)).matrix, draw_perturbation(9, ViewConfig(), generator(4)).matrix
    )


def three_dots(crop_set, uv):
    """Crops whose red, green and blue dots stand at uv (N, 3, 2)."""
    image = np.stack([dots(one)[0].numpy().transpose(1, 2, 0) for one in uv])
    return crop_set(image=(255 * image).round().astype(np.uint8))


def test_predict_looks_at_every_crop_plainly_and_through_views(crop_set, dot_finder):
    uv = np.random.default_rng(0).uniform(16, 47, (5, 3, 2))
    crops, network = three_dots(crop_set, uv), dot_finder(SIZE)
    network.train()
    plain = predict(network, crops, batch=2)
    assert network.training
    assert plain.uv.dtype == plain.depth.dtype == plain.mask.dtype == plain.confidence.dtype == np.float32
    assert plain.uv.shape == (5, 21, 2) and plain.mask.shape == (5, 64, 64)
    assert np.abs(plain.uv[:, :3] - uv).max() < 0.3  # a softmax of pixels of 8 bits is no exact centre
    assert_allclose(plain.depth, np.broadcast_to((np.arange(21) - 9) / 10, (5, 21)), atol=1e-5)
    assert_allclose(plain.confidence, 1 / (1 + math.exp(-2)), atol=1e-5)
    view = draw_perturbation(5, ViewConfig(), generator(7))
    seen = predict(network, crops, batch=2, view=view)
    wanted = view.pose(torch.from_numpy(uv).float()).numpy()
    inside = ((wanted > 5) & (wanted < 58)).all(-1)
    assert inside.sum() > 10 and np.abs(seen.uv[:, :3] - wanted)[inside].max() < 0.3
    assert_allclose(view.back(torch.from_numpy(seen.uv[:, :3])).numpy()[inside], uv[inside], atol=0.3)


def test_predict_leaves_no_gradient_and_uses_stored_statistics(crop_set, micro):
    from semihand.models.network import Hourglass

    torch.manual_seed(0)
    crops = crop_set(3, size=224)
    network = Hourglass(micro).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    all_at_once, one_by_one = predict(network, crops), predict(network, crops, batch=1)
    assert_allclose(all_at_once.uv, one_by_one.uv, atol=1e-3)  # other pictures of the batch have no influence
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
