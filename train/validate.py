"""How good a network is on rendered pictures with exact truth: the fixed synthetic validation set."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..models.decode import decode
from ..models.network import Hourglass, normalise
from ..picture_file import write_picture
from ..synth.cache import Cache
from ..synth.preview import FINGER_COLORS, draw_skeleton
from .augment import prepare
from .batches import fetch

WHITE = ((255, 255, 255),) * 5


@dataclass(frozen=True)
class Scores:
    """Means over the pictures that show a hand. epe_mm: 3D, root and scale known; nme: 2D error over the joints' box;
    mask_iou; empty: share of pictures without a hand whose mean confidence is below 0.25 (1.0 where there is none)."""

    epe_mm: float
    nme: float
    depth_mm: float
    mask_iou: float
    empty: float

    def __str__(self) -> str:
        return (
            f"EPE {self.epe_mm:.2f} mm, nme {self.nme:.4f}, depth {self.depth_mm:.2f} mm, mask IoU {self.mask_iou:.3f},"
            f" empty pictures recognised {self.empty:.0%}"
        )


@torch.no_grad()
def predict(network: Hourglass, cache: Cache, rows: np.ndarray, bf16: bool, device, size: int | None = None):
    """uv (B, 21, 2) and depth (B, 21), mask IoU (B,) and mean confidence (B,) of the plain crops of some rows.

    size: pixels of the crops, default the network's own.
    """
    batch = fetch(cache, rows, device)
    config = network.config
    image, target = prepare(batch, cache.config["crop_factor"], size or config.input_size, None, config.crop_factor)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        maps = network(normalise(image).contiguous(memory_format=torch.channels_last))[-1]
    answer = decode(maps)
    mine, true = answer.mask_logits > 0, target.mask > 0.5
    iou = (mine & true).sum((1, 2)) / (mine | true).sum((1, 2)).clamp(min=1)
    tensors = answer.uv, answer.depth, target.uv, iou, answer.confidence.sigmoid().mean(1)
    return [tensor.float().cpu().numpy() for tensor in tensors]


def errors(cache: Cache, rows, uv, depth, uv_true, crop_factor: float):
    """Per picture: EPE (mm), normalised 2D error and depth error (mm), lifted with the true root depth and scale."""
    xyz, K = cache.xyz[rows], cache.K[rows]
    unit = np.linalg.norm(xyz[:, 9] - xyz[:, 10], axis=-1)[:, None]
    z = xyz[:, 9:10, 2] + depth * unit
    factor, size = crop_factor / cache.config["crop_factor"], cache.config["size"]
    pixels = (uv - 31.5) / 64 * size * factor + (size - 1) / 2
    plane = (pixels - K[:, None, 2:]) / K[:, None, :2]
    mine = np.concatenate([plane * z[..., None], z[..., None]], -1)
    mine, true = mine - mine[:, 9:10], xyz - xyz[:, 9:10]
    box = (uv_true.max(1) - uv_true.min(1)).max(-1)
    epe = np.linalg.norm(mine - true, axis=-1).mean(1) * 1000
    nme = np.linalg.norm(uv - uv_true, axis=-1).mean(1) / box
    return epe, nme, np.abs(mine[..., 2] - true[..., 2]).mean(1) * 1000


def score(
    network: Hourglass, cache: Cache, bf16: bool, device, size: int | None = None, batch: int = 50
) -> tuple[Scores, np.ndarray]:
    """Scores on the whole cache, and its row numbers from the largest EPE to the smallest."""
    network.eval()
    collected = []
    for start in range(0, len(cache), batch):
        rows = np.arange(start, min(start + batch, len(cache)))
        uv, depth, uv_true, iou, confidence = predict(network, cache, rows, bf16, device, size)
        collected.append([*errors(cache, rows, uv, depth, uv_true, network.config.crop_factor), iou, confidence])
    epe, nme, depth_mm, iou, confidence = (np.concatenate(part) for part in zip(*collected))
    shown = np.asarray(cache.present)
    means = [float(values[shown].mean()) for values in (epe, nme, depth_mm, iou)]
    empty = float((confidence[~shown] < 0.25).mean()) if (~shown).any() else 1.0
    return Scores(*means, empty), np.argsort(-epe * shown)


def contact_sheet(network: Hourglass, cache: Cache, path, worst: np.ndarray, device, size: int | None = None,
                  columns: int = 10) -> None:  # fmt: skip
    """A picture of predictions: the first 40 validation pictures, then the 20 worst (truth in white)."""
    rows = np.concatenate([np.arange(min(40, len(cache))), worst[: min(20, len(worst))]])
    uv, _, uv_true, _, _ = predict(network, cache, rows, False, device, size)
    factor, size = network.config.crop_factor / cache.config["crop_factor"], cache.config["size"]
    tiles = []
    for row, mine, true in zip(rows, uv, uv_true):
        tile = cv2.cvtColor(cache.image[row], cv2.COLOR_RGB2BGR)
        for joints, colors in ((true, WHITE), (mine, FINGER_COLORS)):
            draw_skeleton(tile, (joints - 31.5) / 64 * size * factor + (size - 1) / 2, colors)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    lines = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    write_picture(path, np.concatenate(lines, 0))
