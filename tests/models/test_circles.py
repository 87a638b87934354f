"""The circle model and its loss against loops, hand-computed geometry and finite differences."""

import json
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from semihand.errors import SemihandError
from semihand.models import lifting
from semihand.models.circles import (
    GRID,
    PALM_ROWS,
    ROW_NAMES,
    CircleModel,
    CrossModalConfig,
    d2m,
    layout_weights,
    load_circles,
    m2d,
    overlap,
    pixels_per_unit,
    render,
    signed_distance,
)
from semihand.models.joints import NUM_JOINTS, WRIST

#: An open hand on the 64 grid: wrist below, fingers fanned upwards.
OPEN_HAND = torch.tensor(
    [[32, 56], [25, 52], [20, 46], [16, 41], [13, 38]]
    + [[24 + 5 * f - 2 * (3 - j) * (f == 0), 36 - 6 * j + 2 * abs(f - 1)] for f in range(4) for j in range(4)],
    dtype=torch.float32,
)  # fmt: skip
S_PX = torch.tensor([9.0])


@pytest.fixture(scope="module")
def model():
    return load_circles("paper")


def hand_batch(count=3, noise=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return OPEN_HAND + noise * torch.randn(count, NUM_JOINTS, 2, generator=generator)


def soft_mask(count=3, seed=1):
    """Smooth blobs in [0, 1], none of whose values is near .5."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 8, 8, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (GRID, GRID), mode="bicubic")[:, 0].clamp(0, 1)
    return torch.where((fine - 0.5).abs() < 0.01, fine + 0.05, fine)


def one_circle(u, v, radius):
    return torch.tensor([[[u, v]]]), torch.tensor([[radius]])


def test_rows_are_the_papers():
    weights = layout_weights()
    rows = dict(zip(ROW_NAMES, weights))
    assert weights.shape == (55, 21) and len(set(ROW_NAMES)) == 55
    assert_close(weights.sum(1), torch.ones(55))
    for name, expected in {
        "thumb_0": {1: 1.0}, "index_1": {5: 2 / 3, 6: 1 / 3}, "index_5": {6: 1 / 3, 7: 2 / 3},
        "middle_6": {11: 1.0}, "middle_7": {11: 0.5, 12: 0.5}, "little_8": {20: 1.0},
        "thenar": {0: 0.25, 1: 0.5, 9: 0.25}, "thumb_web": {1: 0.4, 2: 0.3, 5: 0.3},
    }.items():  # fmt: skip
        planted = torch.zeros(21)
        planted[list(expected)] = torch.tensor(list(expected.values()))
        assert_close(rows[name], planted)


@pytest.mark.parametrize("layout", ["paper", "fitted"])
def test_stored_circles(layout):
    model = load_circles(layout)
    assert_close(model.weights.sum(1), torch.ones(55), atol=1e-4, rtol=0)
    assert ((model.radii > 0.02) & (model.radii < 0.8)).all()
    assert_close(model.weights[:45], layout_weights()[:45])
    assert (layout == "paper") == torch.equal(model.weights, layout_weights())


def test_signed_distance_of_one_circle():
    s = signed_distance(*one_circle(30.0, 20.0, 5.0))[0]
    assert s.shape == (64, 64)
    assert_close(s[20, 30], torch.tensor(-5.0), atol=1e-5, rtol=0)
    assert_close(s[24, 33], torch.tensor(0.0), atol=1e-5, rtol=0)  # 3-4-5
    assert_close(s[20, 42], torch.tensor(7.0), atol=1e-5, rtol=0)
    assert (signed_distance(*one_circle(30.0, 20.0, 5.05)) < 0).sum() == 81  # integer points within 5 px


def test_signed_distance_is_that_of_the_nearest_outline():
    centres = torch.tensor([[[20.0, 32.0], [40.0, 32.0]]])
    s = signed_distance(centres, torch.tensor([[2.0, 10.0]]))[0]
    # 6 px from the small circle's centre, 14 from the large one's: outlines at equal distances 4.
    assert_close(s[32, [20, 26, 40]], torch.tensor([-2.0, 4.0, -10.0]), atol=1e-5, rtol=0)
    assert_close(s[32, 25], torch.tensor(3.0), atol=1e-5, rtol=0)


def test_gradient_reaches_the_nearest_circle_only():
    centres = torch.tensor([[[20.0, 32.0], [40.0, 32.0]]], requires_grad=True)
    radii = torch.full((1, 2), 3.0, requires_grad=True)
    signed_distance(centres, radii)[0, 32, 24].backward()
    assert_close(centres.grad, torch.tensor([[[-1.0, 0.0], [0.0, 0.0]]]))
    assert_close(radii.grad, torch.tensor([[-1.0, 0.0]]))


def test_gradient_at_a_circles_centre_is_finite():
    centres = torch.tensor([[[20.0, 32.0]]], requires_grad=True)
    signed_distance(centres, torch.tensor([[3.0]]))[0, 32, 20].backward()
    assert_close(centres.grad, torch.zeros(1, 1, 2))


def test_rendered_mask_has_the_circles_area_less_its_rim():
    radius = 12.0
    rendered = render(signed_distance(*one_circle(31.3, 30.8, radius)))
    expected = math.pi / 3 * (radius**3 - (radius - 1) ** 3)  # a ramp of 1 px inside the outline
    assert_allclose(rendered.sum().item(), expected, rtol=2e-3)
    wide = render(signed_distance(*one_circle(31.3, 30.8, radius)), delta=3.0)
    assert_allclose(wide.sum().item(), math.pi / 9 * (radius**3 - (radius - 3) ** 3), rtol=2e-3)


def test_rendered_background_has_no_gradient():
    centres, radii = one_circle(32.0, 32.0, 6.0)
    s = signed_distance(centres.requires_grad_(), radii)
    outside = s.detach() > 0
    render(s)[outside].sum().backward()
    assert_close(centres.grad, torch.zeros_like(centres))


def test_scale_invariance(model):
    uv = hand_batch()
    small = model.signed_distance(uv / 2, S_PX.expand(3) / 2)
    large = model.signed_distance(uv, S_PX.expand(3))
    assert_close(large[:, ::2, ::2], 2 * small[:, :32, :32], atol=1e-4, rtol=1e-5)
    assert_close(model.radii_px(2 * S_PX), 2 * model.radii_px(S_PX))


def loop_of_equation_14(centres, radii, mask):
    """Both cases as printed, pixel by pixel."""
    d = np.zeros_like(mask)
    for v in range(mask.shape[0]):
        for u in range(mask.shape[1]):
            far = [math.dist((u, v), centre) - radius for centre, radius in zip(centres, radii)]
            inside = any(value < 0 for value in far)
            if mask[v, u] >= 0.5 and not inside:
                d[v, u] = min(far)
            elif mask[v, u] < 0.5 and inside:
                d[v, u] = max(-value for value in far)
    return d


def test_loss_equals_the_papers_loops(model):
    uv, mask = hand_batch(1), soft_mask(1)
    centres, radii = model.centres(uv)[0].double().numpy(), model.radii_px(S_PX)[0].double().numpy()
    expected = loop_of_equation_14(centres, radii, mask[0].double().numpy())
    s = model.signed_distance(uv, S_PX)
    assert expected[mask[0] >= 0.5].any() and expected[mask[0] < 0.5].any()
    assert_allclose(d2m(s, mask)[0].numpy(), expected, atol=2e-5)
    filled = np.array([[max(radius - math.dist((u, v), centre) for centre, radius in zip(centres, radii))
                        for u in range(GRID)] for v in range(GRID)])  # fmt: skip
    difference = np.abs(np.clip(filled, 0, 1) - mask[0].numpy())
    assert_allclose(m2d(render(s), mask)[0].numpy(), difference, atol=2e-5)
    total = (difference.sum() + expected.sum()) / NUM_JOINTS
    assert_allclose(model.cross_modal(uv, mask, S_PX).item(), total, rtol=1e-5)


def test_gradient_by_finite_differences(model):
    uv = hand_batch(2).double().requires_grad_()
    mask, s_px = soft_mask(2).double(), torch.tensor([9.0, 7.0]).double()
    (gradient,) = torch.autograd.grad(model.cross_modal(uv, mask, s_px).sum(), uv)
    step = 1e-5
    for joint in range(NUM_JOINTS):
        for axis in (0, 1):
            move = torch.zeros_like(uv)
            move[:, joint, axis] = step
            with torch.no_grad():
                change = model.cross_modal(uv + move, mask, s_px) - model.cross_modal(uv - move, mask, s_px)
            assert_close(gradient[:, joint, axis], change / (2 * step), atol=2e-4, rtol=1e-3)


def test_no_gradient_into_mask_scale_or_radii(model):
    uv = hand_batch().requires_grad_()
    mask, s_px = soft_mask().requires_grad_(), S_PX.repeat(3).requires_grad_()
    model.cross_modal(uv, mask, s_px).sum().backward()
    assert mask.grad is None and s_px.grad is None and not list(model.parameters())
    assert uv.grad.norm() > 0
    assert not model.cross_modal(uv.detach(), mask, s_px).requires_grad


def test_loss_draws_a_moved_hand_back(model):
    truth = hand_batch(8, noise=0.5)
    s_px = S_PX.repeat(8)
    mask = render(model.signed_distance(truth, s_px) - 0.5)
    moved = (truth + torch.tensor([2.0, 1.0])).requires_grad_()
    loss = model.cross_modal(moved, mask, s_px)
    loss.sum().backward()
    assert (loss > 3 * model.cross_modal(truth, mask, s_px)).all()
    cosine = torch.nn.functional.cosine_similarity(-moved.grad.flatten(1), (truth - moved).detach().flatten(1))
    assert (cosine > 0.35).all()


def test_free_joints_are_not_moved(model):
    uv, mask = hand_batch(), soft_mask()
    both = []
    for free in ((), (WRIST, 4)):
        at = uv.clone().requires_grad_()
        model.cross_modal(at, mask, S_PX.repeat(3), config=CrossModalConfig(free_joints=free)).sum().backward()
        both.append(at.grad)
    others = [joint for joint in range(NUM_JOINTS) if joint not in (WRIST, 4)]
    assert both[0][:, WRIST].norm() > 0
    assert_close(both[1][:, [WRIST, 4]], torch.zeros(3, 2, 2))
    assert_close(both[1][:, others], both[0][:, others])


def test_pictures_where_the_masks_disagree_are_skipped(model):
    uv, s_px = hand_batch(2), S_PX.repeat(2)
    mask = render(model.signed_distance(uv, s_px))
    mask[1] = 0
    mask[1, :20, :20] = 1
    robust = model.cross_modal(uv, mask, s_px, config=CrossModalConfig(skip_below_iou=0.5))
    plain = model.cross_modal(uv, mask, s_px)
    assert plain[1] > 0 and robust[1] == 0
    assert_close(robust[0], plain[0])


def test_iou_of_planted_squares():
    ours, theirs = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    ours[0, :4, :4], theirs[0, :4, 2:6] = 1, 1
    assert_close(overlap(ours, theirs), torch.tensor([8 / 24]))
    valid = torch.zeros(1, 8, 8, dtype=torch.bool)
    valid[0, :, :4] = True
    assert_close(overlap(ours, theirs, valid), torch.tensor([0.5]))
    assert_close(overlap(0 * ours, 0 * theirs), torch.tensor([0.0]))


def test_pixels_without_a_source_do_not_count(model):
    uv, mask, s_px = hand_batch(2), soft_mask(2), S_PX.repeat(2)
    valid = torch.ones(2, GRID, GRID, dtype=torch.bool)
    assert_close(model.cross_modal(uv, mask, s_px, valid), model.cross_modal(uv, mask, s_px))
    valid[:, :, 40:] = False
    corrupt = mask.clone()
    corrupt[:, :, 40:] = 1 - corrupt[:, :, 40:]
    assert_close(model.cross_modal(uv, corrupt, s_px, valid), model.cross_modal(uv, mask, s_px, valid))
    assert_close(model.cross_modal(uv, mask, s_px, ~torch.ones_like(valid)), torch.zeros(2))


def test_stride_counts_every_second_pixel_fourfold(model):
    uv, mask, s_px = hand_batch(), soft_mask(), S_PX.repeat(3)
    s = model.signed_distance(uv, s_px)
    wrong = (m2d(render(s), mask) + d2m(s, mask))[:, ::2, ::2].sum((1, 2)) * 4 / 21
    assert_close(model.cross_modal(uv, mask, s_px, config=CrossModalConfig(stride=2)), wrong)
    assert_close(wrong, model.cross_modal(uv, mask, s_px), rtol=0.05, atol=0)


def test_half_precision_joints_are_computed_in_full(model):
    uv, mask = hand_batch().bfloat16(), soft_mask()
    assert_close(model.cross_modal(uv, mask, S_PX.repeat(3)), model.cross_modal(uv.float(), mask, S_PX.repeat(3)))


def lifted_hand(seed=0):
    """2.5D joints of 4 random hands with an exact camera: uv, depth, K, bone lengths, true root depth in units."""
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(4, 21, 3))
    xyz -= xyz[:, 9:10]
    xyz /= lifting.unit_length(xyz)[:, None, None]
    root = np.array([9.0, 12.0, 20.0, 30.0])
    xyz[..., 2] += root[:, None]
    K = np.array([[70.0, 0, 31.5], [0, 70.0, 31.5], [0, 0, 1]])
    return lifting.project(xyz, K), xyz[..., 2] - root[:, None], K, lifting.bone_lengths(xyz), root


def test_pixels_per_unit_is_focal_length_over_root_depth():
    uv, depth, K, lengths, root = (torch.as_tensor(array) for array in lifted_hand())
    assert_close(pixels_per_unit(uv, depth, K, lengths), (70 / root).float())
    assert_close(pixels_per_unit(uv, depth, K.expand(4, 3, 3), lengths, root), (70 / root).float())


def test_pixels_per_unit_agrees_with_numpy_under_noise():
    uv, depth, K, lengths, _ = lifted_hand(1)
    uv = uv + np.random.default_rng(2).normal(size=uv.shape)
    ours = pixels_per_unit(torch.as_tensor(uv), torch.as_tensor(depth), torch.as_tensor(K), lengths)
    assert_allclose(ours.numpy(), 70 / lifting.root_depth(uv, depth, K, lengths, scale=np.ones(4)), rtol=1e-5)
    weak = pixels_per_unit(torch.as_tensor(uv), torch.as_tensor(depth), None, lengths)
    assert_allclose(weak.numpy(), lifting.pixels_per_unit(uv, depth, lengths), rtol=1e-5)


def test_pixels_per_unit_of_a_collapsed_hand_is_finite_and_positive():
    K = torch.diag(torch.tensor([70.0, 70.0, 1.0]))
    s_px = pixels_per_unit(torch.full((2, 21, 2), 31.5), torch.zeros(2, 21), K)
    assert_close(s_px, torch.full((2,), 70 / lifting.MAX_ROOT_DEPTH))


def test_pixels_per_unit_has_no_gradient():
    assert not pixels_per_unit(hand_batch().requires_grad_(), torch.zeros(3, 21)).requires_grad


@pytest.mark.parametrize("wrong", [dict(delta=0.0), dict(stride=3), dict(skip_below_iou=2.0), dict(free_joints=(21,))])
def test_config_refuses(wrong):
    with pytest.raises(SemihandError):
        CrossModalConfig(**wrong)


def test_unreadable_circles(tmp_path):
    with pytest.raises(SemihandError, match="semihand synth circles"):
        load_circles("paper", tmp_path / "none.json")
    file = tmp_path / "circles.json"
    file.write_text("{")
    with pytest.raises(SemihandError, match="could not be read"):
        load_circles("paper", file)
    file.write_text(json.dumps({"layouts": {"paper": {"palm": {name: {} for name in PALM_ROWS}, "radii": {}}}}))
    with pytest.raises(SemihandError, match="55 circles"):
        load_circles("paper", file)
    with pytest.raises(SemihandError, match="unknown: paper, fitted"):
        load_circles("other")


def test_model_refuses_other_shapes():
    with pytest.raises(ValueError, match="55, 21"):
        CircleModel(torch.zeros(10, 21), torch.ones(10))
