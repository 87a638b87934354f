"""Diversity augmentation of rendered crops, on the batch and on any device (SemiHand Sec. 3.4).

Cached pictures show more than the network's crop; a random rotation, scale and shift picks the crop from them, the
same for image, mask and joints. Relative depth does not change: the crop's virtual camera turns with the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import Target


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges. crop_factor (low, high): side of the crop over the joints' box; turn: standard deviation in radians;
    any_turn: share of crops turned anyhow; shift: share of the side; colour: strengths; probabilities of grey pictures
    and erased rectangles; coarse: share of pictures with half the detail, noise: largest standard deviation, of the
    whole range. beside, mirrored: shares of crops that look past the hand, and that show it as the other
    hand; they only teach networks that say whether there is a hand and which."""

    crop_factor: tuple = (1.22, 1.85)
    turn: float = 0.25
    any_turn: float = 0.03
    shift: float = 0.08
    gain: float = 0.15
    brightness: float = 0.1
    contrast: tuple = (0.7, 1.3)
    grey: float = 0.08
    erase: float = 0.15
    coarse: float = 0.0
    noise: float = 0.0
    beside: float = 0.0
    mirrored: float = 0.0


#: For networks with a verdict: crops are tighter, and turned more, as not all who ask turn their crops upright.
VERDICT_AUGMENT = AugmentConfig(
    crop_factor=(1.08, 1.65), turn=0.3, any_turn=0.2, coarse=0.1, noise=0.02, beside=0.05, mirrored=0.1
)


def _uniform(count, low, high, like):
    return torch.rand(count, device=like.device) * (high - low) + low


def draw_transforms(count: int, cached_factor: float, config: AugmentConfig, like: Tensor) -> Tensor:
    """(B, 2, 3) affine maps from crop to cached picture, both in [-1, 1] coordinates."""
    angle = (torch.randn(count, device=like.device) * config.turn).clamp(-1.2, 1.2)
    free = _uniform(count, -math.pi, math.pi, like)
    angle = torch.where(torch.rand(count, device=like.device) < config.any_turn, free, angle)
    low, high = (math.log(factor / cached_factor) for factor in config.crop_factor)
    scale = torch.exp(_uniform(count, low, high, like))
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = (torch.rand(count, 2, device=like.device) * 2 - 1) * config.shift * 2 * scale[:, None]
    if config.beside:
        way, far = _uniform(count, -math.pi, math.pi, like), _uniform(count, 1.1, 1.8, like) * scale
        past = torch.stack([torch.cos(way), torch.sin(way)], 1) * far[:, None]
        shift = torch.where((torch.rand(count, device=like.device) < config.beside)[:, None], past, shift)
    return torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)


def center_transforms(count: int, cached_factor: float, crop_factor: float, like: Tensor) -> Tensor:
    """The plain crop of the given factor: what validation uses."""
    scale = crop_factor / cached_factor
    return torch.tensor([[scale, 0.0, 0.0], [0.0, scale, 0.0]], device=like.device).expand(count, 2, 3)


def warp(image: Tensor, mask: Tensor, uv: Tensor, transforms: Tensor, size: int):
    """Crop images (B, 3, S, S) float, masks (B, m, s, s) float in [0, 1] and joints uv (B, 21, 2) of the S grid.

    Returns images (B, 3, size, size), masks (B, m, 64, 64) and uv on the 64 grid.
    """
    count, cached = image.shape[0], image.shape[-1]
    grid = F.affine_grid(transforms, (count, 1, size, size), align_corners=False)
    image = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    grid = F.affine_grid(transforms, (count, 1, 64, 64), align_corners=False)
    mask = F.grid_sample(mask, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    place = (uv + 0.5) / cached * 2 - 1 - transforms[:, None, :, 2]
    (a, b), (c, d) = (row.unbind(-1) for row in transforms[:, None, :, :2].unbind(-2))
    u, v = place.unbind(-1)  # the inverse by hand: a solver would make a GPU wait for the answer
    place = torch.stack([d * u - b * v, a * v - c * u], -1) / (a * d - b * c)[..., None]
    return image, mask, (place + 1) * 32 - 0.5


def jitter(image: Tensor, config: AugmentConfig) -> Tensor:
    """Colour changes and erased rectangles on images (B, 3, S, S) in 0..255."""
    count, size = image.shape[0], image.shape[-1]
    if config.coarse:
        half = F.interpolate(F.avg_pool2d(image, 2), size=(size, size), mode="bilinear", align_corners=False)
        image = torch.where((torch.rand(count, device=image.device) < config.coarse).view(count, 1, 1, 1), half, image)
    if config.noise:
        strength = 255 * config.noise * torch.rand(count, 1, 1, 1, device=image.device)
        image = image + strength * torch.randn_like(image)
    gain = 1 + _uniform(count * 3, -config.gain, config.gain, image).view(count, 3, 1, 1)
    offset = 255 * _uniform(count, -config.brightness, config.brightness, image).view(count, 1, 1, 1)
    contrast = _uniform(count, *config.contrast, image).view(count, 1, 1, 1)
    middle = image.mean((1, 2, 3), keepdim=True)
    image = ((image - middle) * contrast + middle) * gain + offset
    grey = (torch.rand(count, device=image.device) < config.grey).view(count, 1, 1, 1)
    image = torch.where(grey, image.mean(1, keepdim=True), image)
    image = torch.where(
        _rectangles(count, size, config.erase, image), 255 * torch.rand(count, 3, 1, 1, device=image.device), image
    )
    return image.clamp(0, 255)


def _rectangles(count: int, size: int, share: float, like: Tensor) -> Tensor:
    """(B, 1, S, S) bool: one rectangle, a twelfth to a third of the side wide and high, in this share of the pictures."""
    side = _uniform(count * 2, size / 12, size / 3, like).view(2, count, 1)
    first = torch.rand(2, count, 1, device=like.device) * (size - side)
    cells = torch.arange(size, device=like.device)
    wide, high = (cells >= first) & (cells < first + side)
    chosen = (torch.rand(count, device=like.device) < share).view(count, 1, 1)
    return (high[:, :, None] & wide[:, None, :] & chosen)[:, None]


def prepare(batch: dict, cached_factor: float, size: int, config: AugmentConfig | None, crop_factor: float):
    """A batch of the cache -> images (B, 3, size, size) in 0..255 and their Target.

    batch: image (B, S, S, 3) uint8, mask (B, s, s) uint8, uv, depth, present, on the training device; weight (B, 21) and
    known (B, s, s) uint8 where not every label counts fully and the mask is not known everywhere.
    config None: the plain centred crop.
    """
    image = batch["image"].permute(0, 3, 1, 2).float()
    mask = batch["mask"].float() / 255
    known = batch["known"].float() / 255 if "known" in batch else torch.ones_like(mask)
    count, weight, mirrored = len(image), batch.get("weight"), None
    if config is None:
        transforms = center_transforms(count, cached_factor, crop_factor, image)
    else:
        transforms = draw_transforms(count, cached_factor, config, image)
    if config is not None and (config.beside or config.mirrored):
        mirrored = torch.rand(count, device=image.device) < config.mirrored
        flip = 1 - 2 * mirrored.to(image.dtype)
        transforms = torch.cat([transforms[:, :, :1] * flip[:, None, None], transforms[:, :, 1:]], 2)
        weight = torch.ones_like(batch["depth"]) if weight is None else weight
    image, masks, uv = warp(image, torch.stack([mask, known], 1), batch["uv"], transforms, size)
    if config is not None:
        image = jitter(image, config)
    target = Target(uv, batch["depth"], masks[:, 0], batch["present"], weight, masks[:, 1], mirrored)
    if mirrored is not None:
        target = replace(target, weight=weight * (target.shown & ~mirrored)[:, None])
    return image, target
