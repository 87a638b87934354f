"""Geometric and colour augmentation: picture, mask and joints move together, depth stays."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from semihand.synth.scene import SceneConfig, SceneRenderer
from semihand.synth.sensor import SensorConfig
from semihand.train.augment import AugmentConfig, center_transforms, draw_transforms, jitter, prepare, warp

FACTOR = 1.9
STILL = AugmentConfig(
    crop_factor=(FACTOR, FACTOR), turn=0.0, any_turn=0.0, shift=0.0, gain=0.0, brightness=0.0, contrast=(1.0, 1.0),
    grey=0.0, erase=0.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(3)


def turning(angle, scale=1.0, shift=(0.0, 0.0)):
    c, s = math.cos(angle) * scale, math.sin(angle) * scale
    return torch.tensor([[[c, -s, shift[0]], [s, c, shift[1]]]])


def dots(uv, size, sigma=2.0):
    """Pictures (B, 3, size, size) with one smooth dot at uv (B, 2)."""
    at = torch.arange(size, dtype=torch.float32)
    u = torch.exp(-((at - uv[:, :1]) ** 2) / (2 * sigma**2))
    v = torch.exp(-((at - uv[:, 1:]) ** 2) / (2 * sigma**2))
    return 200 * (v[:, :, None] * u[:, None, :])[:, None].repeat(1, 3, 1, 1)


def centroids(pictures):
    """(B, 2) of pictures (B, H, W)."""
    at = torch.arange(pictures.shape[-1], dtype=torch.float32)
    total = pictures.sum((1, 2))
    return torch.stack([(pictures.sum(1) * at).sum(1) / total, (pictures.sum(2) * at).sum(1) / total], 1)


def grid_to_pixels(uv, size):
    return (uv + 0.5) * size / 64 - 0.5


def test_identity_changes_nothing():
    image, mask, uv = 255 * torch.rand(2, 3, 64, 64), torch.rand(2, 1, 64, 64), 60 * torch.rand(2, 21, 2)
    same = warp(image, mask, uv, center_transforms(2, FACTOR, FACTOR, image), 64)
    assert_close(same[0], image, atol=1e-2, rtol=0)
    assert_close(same[1], mask, atol=1e-4, rtol=0)
    assert_close(same[2], uv, atol=1e-4, rtol=0)


def test_plain_crop_magnifies_about_the_middle():
    uv = torch.tensor([[[79.5, 79.5], [79.5 + 10, 79.5 - 20]]])
    image, mask = torch.zeros(1, 3, 160, 160), torch.zeros(1, 1, 80, 80)
    moved = warp(image, mask, uv, center_transforms(1, FACTOR, 0.95, image), 64)[2]
    assert_close(moved, torch.tensor([[[31.5, 31.5], [31.5 + 8, 31.5 - 16]]]))  # 2 x 64 / 160 grid pixels a pixel


@pytest.mark.parametrize("size", [64, 128])
def test_joints_land_where_their_dots_land(size):
    count, cached = 24, 160
    uv = 79.5 + 20 * torch.randn(count, 2).clamp(-1.5, 1.5)
    transforms = draw_transforms(count, FACTOR, AugmentConfig(any_turn=0.5), uv)
    image, mask = dots(uv, cached), dots((uv + 0.5) / 2 - 0.5, cached // 2, 3.0)[:, :1] / 200
    image, mask, moved = warp(image, mask, uv[:, None].expand(-1, 21, -1), transforms, size)
    assert_close(moved[:, 0], moved[:, 20])
    inside = ((moved[:, 0] > 8) & (moved[:, 0] < 55)).all(1)
    assert inside.sum() > count / 2
    assert_close(centroids(image[:, 0])[inside], grid_to_pixels(moved[:, 0], size)[inside], atol=0.1, rtol=0)
    assert_close(centroids(mask[:, 0])[inside], moved[:, 0][inside], atol=0.1, rtol=0)


def rendered():
    config = SceneConfig(size=96, crop_factor=FACTOR, second_hand=0, held_object=0, occluder=0, empty=0,
                         sensor=SensorConfig(strength=0))  # fmt: skip
    sample = SceneRenderer(config, 11).render(0)
    image = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float()
    return (sample, image, torch.from_numpy(sample.mask)[None, None].float() / 255, torch.from_numpy(sample.uv)[None])


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_of_a_rendered_hand_equal_turns_by_index(quarters):
    sample, image, mask, uv = rendered()
    turned, turned_mask, turned_uv = warp(image, mask, uv, turning(quarters * math.pi / 2), 96)
    by_index = np.rot90(sample.image, quarters).copy()
    assert_close(turned[0].permute(1, 2, 0), torch.from_numpy(by_index).float(), atol=0.1, rtol=0)
    expected = sample.uv.copy()
    for _ in range(quarters):
        expected = np.stack([expected[:, 1], 95 - expected[:, 0]], -1)
    assert_close(grid_to_pixels(turned_uv[0], 96), torch.from_numpy(expected), atol=1e-3, rtol=0)
    plain_mask = warp(image, mask, uv, turning(0.0), 96)[1]
    assert_close(turned_mask[0, 0], torch.rot90(plain_mask[0, 0], quarters), atol=1e-3, rtol=0)


@pytest.mark.parametrize("angle", [0.3, -0.8, 2.5])
def test_turned_hand_and_turned_mask_agree_to_a_tenth_of_a_pixel(angle):
    _, image, mask, uv = rendered()
    middle = centroids(mask[:, 0]) * 2 + 0.5  # of the picture
    _, turned_mask, turned = warp(image, mask, middle[:, None], turning(angle, 1.0), 64)
    assert_close(centroids(turned_mask[:, 0]), turned[:, 0], atol=0.1, rtol=0)


def test_transforms_stay_in_their_ranges():
    config, count = AugmentConfig(any_turn=0.0), 20000
    maps = draw_transforms(count, FACTOR, config, torch.zeros(1))
    scale = maps[:, :, 0].norm(dim=1)
    low, high = (factor / FACTOR for factor in config.crop_factor)
    assert low - 1e-4 <= scale.min() < low * 1.01 and high * 0.99 < scale.max() <= high + 1e-4
    assert_close(torch.linalg.det(maps[:, :, :2]), scale**2, atol=1e-4, rtol=1e-4)
    angle = torch.atan2(maps[:, 1, 0], maps[:, 0, 0])
    assert angle.abs().max() <= 1.2 + 1e-4 and angle.std().item() == pytest.approx(config.turn, rel=0.05)
    shift = maps[:, :, 2] / scale[:, None] / 2  # shares of the crop's side
    assert 0.99 * config.shift < shift.abs().max() <= config.shift + 1e-5
    assert_close(shift.mean(0), torch.zeros(2), atol=2e-3, rtol=0)
    assert torch.corrcoef(shift.T)[0, 1].abs() < 0.05  # the two axes have nothing to do with each other


def test_some_turns_are_free():
    maps = draw_transforms(4000, FACTOR, AugmentConfig(turn=0.0, any_turn=0.25), torch.zeros(1))
    angle = torch.atan2(maps[:, 1, 0], maps[:, 0, 0])
    assert (angle.abs() > 1e-3).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert angle.min() < -3.0 and angle.max() > 3.0


def batch(count=4):
    return {
        "image": torch.randint(0, 256, (count, 96, 96, 3), dtype=torch.uint8),
        "mask": torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8),
        "uv": 95 * torch.rand(count, 21, 2), "depth": torch.randn(count, 21), "present": torch.rand(count) < 0.5,
    }  # fmt: skip


def test_prepare_leaves_depth_and_presence_alone():
    given = batch()
    image, truth = prepare(given, FACTOR, 64, AugmentConfig(), 1.5)
    assert image.shape == (4, 3, 64, 64) and truth.mask.shape == (4, 64, 64) and truth.uv.shape == (4, 21, 2)
    assert_close(truth.depth, given["depth"], atol=0, rtol=0)
    assert torch.equal(truth.present, given["present"])
    assert truth.mask.min() >= 0 and truth.mask.max() <= 1


def test_prepare_without_augmentation_is_the_plain_crop():
    given = batch()
    first, truth = prepare(given, FACTOR, 64, None, FACTOR / 2)
    assert_close(first, prepare(given, FACTOR, 64, None, FACTOR / 2)[0], atol=0, rtol=0)
    assert_close(truth.uv, (given["uv"] - 47.5) * 2 * 64 / 96 + 31.5, atol=1e-3, rtol=0)
    still, same = prepare(given, FACTOR, 64, STILL, 0.0)
    plain, truth = prepare(given, FACTOR, 64, None, FACTOR)
    assert_close(still, plain, atol=0.05, rtol=0)
    assert_close(same.uv, truth.uv, atol=1e-3, rtol=0)


def test_jitter_keeps_the_range_and_its_input():
    image = 255 * torch.rand(16, 3, 48, 48)
    before = image.clone()
    out = jitter(image, AugmentConfig(gain=0.5, brightness=0.5, contrast=(0.2, 3.0), erase=1.0, grey=0.5))
    assert out.shape == image.shape and out.min() >= 0 and out.max() <= 255
    assert_close(image, before, atol=0, rtol=0)
    assert ((out - before).abs().mean((1, 2, 3)) > 3).all()


def test_jitter_without_strength_changes_nothing():
    image = 255 * torch.rand(4, 3, 48, 48)
    assert_close(jitter(image, STILL), image, atol=1e-3, rtol=0)


def test_grey_pictures_have_equal_channels():
    out = jitter(255 * torch.rand(6, 3, 48, 48), AugmentConfig(grey=1.0, erase=0.0))
    assert_close(out[:, 0], out[:, 1])
    assert_close(out[:, 0], out[:, 2])


def test_erased_rectangles_are_one_colour_and_leave_most_of_the_picture():
    image = 255 * torch.rand(20, 3, 60, 60)
    erased = jitter(image, replace(STILL, erase=1.0))
    for before, after in zip(image, erased):
        where = ((after - before).abs() > 0.01).any(0)
        assert 0 < where.float().mean() <= 1 / 9
        rows, columns = where.any(1).nonzero(), where.any(0).nonzero()
        box = after[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert_close(box, box[:, :1, :1].expand_as(box))
