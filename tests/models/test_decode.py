import pytest
import torch
from torch.testing import assert_close

from semihand.models.decode import cell_centres, decode
from semihand.models.joints import INDEX_TIP, ROOT
from semihand.models.network import StackMaps


def maps(size, heat=None, depth=None, confidence=None):
    zero = torch.zeros(1, 21, size, size)
    return StackMaps(
        zero if heat is None else heat, zero if depth is None else depth, torch.zeros(1, 64, 64), confidence
    )


def planted(size, row, column, joint=slice(None), height=60.0):
    heat = torch.zeros(1, 21, size, size)
    heat[:, joint, row, column] = height
    return heat


@pytest.mark.parametrize("size, u, v", [(64, 50.0, 3.0), (32, 100.5, 6.5)])
def test_planted_peak(size, u, v):
    found = decode(maps(size, planted(size, row=3, column=50 % size)))
    expected = torch.tensor([u if size == 64 else (18 + 0.5) * 2 - 0.5, v])
    assert_close(found.uv, expected.expand(1, 21, 2), atol=1e-4, rtol=0)


def test_cell_centres_of_both_map_sizes():
    assert_close(cell_centres(64), torch.arange(64.0))
    assert_close(cell_centres(32)[[0, 1, 31]], torch.tensor([0.5, 2.5, 62.5]))


def test_two_equal_peaks_give_their_middle():
    heat = planted(32, 4, 10)
    heat[:, :, 6, 20] = 60.0
    assert_close(decode(maps(32, heat)).uv[0, 0], torch.tensor([30.5, 10.5]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [32, 64])
def test_uniform_heatmap_gives_the_centre(size):
    found = decode(maps(size))
    assert_close(found.uv, torch.full((1, 21, 2), 31.5), atol=1e-4, rtol=0)
    assert_close(found.log_q.exp().sum((2, 3)), torch.ones(1, 21))


def test_depth_is_read_at_the_peak_and_relative_to_the_root():
    heat = planted(32, 9, 9)
    heat[:, INDEX_TIP] = planted(32, 2, 30)[:, INDEX_TIP]
    depth = torch.full((1, 21, 32, 32), -7.0)
    depth[:, :, 9, 9] = 1.25
    depth[:, INDEX_TIP, 2, 30] = 3.0
    found = decode(maps(32, heat, depth)).depth
    expected = torch.zeros(1, 21)
    expected[0, INDEX_TIP] = 1.75
    assert_close(found, expected, atol=1e-5, rtol=0)
    assert found[0, ROOT] == 0


def test_mirrored_maps():
    torch.manual_seed(0)
    heat, depth = 3 * torch.randn(1, 21, 32, 32), torch.randn(1, 21, 32, 32)
    straight, mirrored = decode(maps(32, heat, depth)), decode(maps(32, heat.flip(-1), depth.flip(-1)))
    assert_close(mirrored.uv[..., 0], 63 - straight.uv[..., 0], atol=1e-4, rtol=0)
    assert_close(mirrored.uv[..., 1], straight.uv[..., 1], atol=1e-4, rtol=0)
    assert_close(mirrored.depth, straight.depth)


def test_confidence_is_read_at_the_peak_and_moves_no_joint():
    heat = planted(32, 5, 6, height=12.0).requires_grad_()
    confidence = torch.zeros(1, 21, 32, 32)
    confidence[:, :, 5, 6] = 4.0
    confidence.requires_grad_()
    found = decode(maps(32, heat, confidence=confidence))
    assert_close(found.confidence, 4 * found.log_q.exp()[:, :, 5, 6])
    found.confidence.sum().backward()
    assert heat.grad is None
    assert_close(confidence.grad, found.log_q.exp().detach())


def test_gradient_of_uv_reaches_the_heatmap():
    heat = planted(32, 5, 6, height=5.0).requires_grad_()
    decode(maps(32, heat)).uv.sum().backward()
    assert heat.grad.abs().max() > 0


def test_half_precision_maps_are_decoded_in_float32():
    heat, depth = planted(64, 40, 61).bfloat16(), torch.zeros(1, 21, 64, 64).bfloat16()
    found = decode(StackMaps(heat, depth, torch.zeros(1, 64, 64).bfloat16()))
    assert found.uv.dtype == found.depth.dtype == found.mask_logits.dtype == torch.float32
    assert_close(found.uv[0, 0], torch.tensor([61.0, 40.0]), atol=1e-4, rtol=0)


def test_huge_logits_stay_finite():
    found = decode(maps(32, planted(32, 0, 31, height=1e5)))
    assert_close(found.uv[0, 0], torch.tensor([62.5, 0.5]), atol=1e-4, rtol=0)


def test_log_probabilities_are_those_of_the_heatmap_and_pictures_can_be_taken():
    torch.manual_seed(1)
    heat = 3 * torch.randn(3, 21, 32, 32)
    found = decode(maps(32, heat, confidence=torch.zeros(3, 21, 32, 32)))
    assert_close(found.log_q.exp().flatten(2), heat.flatten(2).softmax(-1))
    part = found[1:]
    assert_close(part.log_q, found.log_q[1:])
    assert part.verdict is None and part.confidence.shape == (2, 21) and torch.equal(part.uv, found.uv[1:])
