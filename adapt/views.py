"""Views of a crop: the perturbation T and the diversity augmentation A (SemiHand Sec. 3.4), and looking at crops.

A view is an affine map on the 64-grid; picture, mask and joints go through the same one. Relative depth does not
change: in the crop's virtual camera turning the picture turns the hand about the optical axis (exact), and a shift of
5 grid pixels is a turn of a few degrees (about 2 mm, accepted).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import SemihandError
from ..models.camera import GRID, GRID_CENTER
from ..models.decode import decode
from ..models.network import Hourglass, normalise
from .frames.crops import WIDE_GRID, CropSet

PERTURBATIONS = ("shift", "tilt", "quarter", "mixed")


@dataclass(frozen=True)
class View:
    """Where the view's pixels lie in the plain crop: matrix (B, 2, 3), grid pixels about the crop's centre."""

    matrix: Tensor

    @classmethod
    def build(cls, angle: Tensor, scale: Tensor, shift: Tensor) -> View:
        """angle (B,) radians, scale (B,) of the seen square, shift (B, 2) grid pixels of its centre."""
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        rows = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        return cls(torch.cat([rows, shift[..., None]], -1))

    @classmethod
    def plain(cls, count: int, device=None) -> View:
        """The crop as it is."""
        zero = torch.zeros(count, device=device)
        return cls.build(zero, zero + 1, torch.zeros(count, 2, device=device))

    def to(self, device) -> View:
        """The same on a device."""
        return View(self.matrix.to(device))

    def then(self, other: View) -> View:
        """`other` looked at on top of this view."""
        turn = self.matrix[:, :, :2]
        shift = torch.einsum("bij,bj->bi", turn, other.matrix[:, :, 2]) + self.matrix[:, :, 2]
        return View(torch.cat([turn @ other.matrix[:, :, :2], shift[..., None]], -1))

    @property
    def scale(self) -> Tensor:
        """(B,) side of the seen square over the plain crop's."""
        return torch.linalg.det(self.matrix[:, :, :2]).abs().sqrt()

    def pose(self, uv: Tensor) -> Tensor:
        """Joints (B, 21, 2) of the plain crop's grid -> the view's grid."""
        away = uv - GRID_CENTER - self.matrix[:, None, :, 2]
        return torch.einsum("bij,bkj->bki", torch.linalg.inv(self.matrix[:, :, :2]), away) + GRID_CENTER

    def back(self, uv: Tensor) -> Tensor:
        """Joints of the view's grid -> the plain crop's."""
        turned = torch.einsum("bij,bkj->bki", self.matrix[:, :, :2], uv - GRID_CENTER)
        return turned + self.matrix[:, None, :, 2] + GRID_CENTER

    def picture(self, wide: Tensor, wide_grid: float, size: int) -> Tensor:
        """Pictures (B, C, S, S) that cover `wide_grid` grid pixels about the crop's centre -> (B, C, size, size)."""
        grid = self._sampling(wide_grid, size)
        return F.grid_sample(wide, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def mask(self, mask: Tensor, wide_grid: float = GRID) -> Tensor:
        """Masks (B, s, s) that cover `wide_grid` grid pixels -> (B, 64, 64), 0 where nothing is known."""
        grid = self._sampling(wide_grid, GRID)
        return F.grid_sample(mask[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]

    def _sampling(self, wide_grid: float, size: int) -> Tensor:
        theta = torch.cat([self.matrix[:, :, :2] * GRID, self.matrix[:, :, 2:] * 2], -1) / wide_grid
        return F.affine_grid(theta, (len(theta), 1, size, size), align_corners=False)


@dataclass(frozen=True)
class ViewConfig:
    """Ranges of T and A.

    T is one of `kinds`: a shift up to `shift` grid pixels, a tilt up to `tilt` degrees, 90, 180 or 270 degrees
    ("quarter"), or "mixed": turn, scale and move as A does. A turns by up to `turn` degrees, scales the seen square,
    and moves it by up to a share `move` of its side.
    """

    kinds: tuple[str, ...] = ("shift", "tilt", "quarter")
    shift: float = 5.0
    tilt: float = 2.0
    turn: float = 180.0
    scale: tuple[float, float] = (0.8, 1.2)
    move: float = 0.1

    def __post_init__(self):
        if not self.kinds or not set(self.kinds) <= set(PERTURBATIONS):
            raise SemihandError(f"Perturbations {self.kinds} are unknown: {', '.join(PERTURBATIONS)}.")


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator) * 2 - 1


def draw_perturbation(count: int, config: ViewConfig, generator: torch.Generator) -> View:
    """T for each of `count` crops: one of the configured kinds, each as likely."""
    kind = torch.randint(len(config.kinds), (count,), generator=generator)
    names = np.array(config.kinds)[kind.numpy()]
    is_kind = {name: torch.from_numpy(names == name) for name in PERTURBATIONS}
    shift = _uniform(generator, count, 2) * config.shift * is_kind["shift"][:, None]
    tilt = _uniform(generator, count) * math.radians(config.tilt) * is_kind["tilt"]
    quarter = torch.randint(1, 4, (count,), generator=generator) * (math.pi / 2) * is_kind["quarter"]
    plain = View.build(tilt + quarter, torch.ones(count), shift)
    if "mixed" not in config.kinds:
        return plain
    mixed = draw_diversity(count, config, generator)
    return View(torch.where(is_kind["mixed"][:, None, None], mixed.matrix, plain.matrix))


def draw_diversity(count: int, config: ViewConfig, generator: torch.Generator) -> View:
    """The geometric part of A for each of `count` crops."""
    angle = _uniform(generator, count) * math.radians(config.turn)
    low, high = (math.log(bound) for bound in config.scale)
    scale = torch.exp(torch.rand(count, generator=generator) * (high - low) + low)
    return View.build(angle, scale, _uniform(generator, count, 2) * config.move * GRID * scale[:, None])


@dataclass(frozen=True)
class Poses:
    """A network's answers. uv (N, 21, 2) on the 64-grid of what was looked at, depth (N, 21) unit bones, mask
    (N, 64, 64) in [0, 1], confidence (N, 21) in [0, 1]; all float32."""

    uv: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    confidence: np.ndarray


def wide_pictures(crops: CropSet, rows, device) -> Tensor:
    """Stored pictures of some crops, (B, 3, S, S) float in 0..255."""
    return torch.from_numpy(crops.image[rows]).to(device).permute(0, 3, 1, 2).float()


@torch.no_grad()
def predict(network: Hourglass, crops: CropSet, device="cpu", batch: int = 64, view: View | None = None) -> Poses:
    """The network's answers for all crops in evaluation mode, seen plainly or through `view` (one for each crop)."""
    was_training, parts = network.training, []
    network.eval()
    for start in range(0, len(crops), batch):
        rows = np.arange(start, min(start + batch, len(crops)))
        seen = View.plain(len(rows), device) if view is None else View(view.matrix[rows]).to(device)
        picture = seen.picture(wide_pictures(crops, rows, device), WIDE_GRID, network.config.input_size)
        answer = decode(network(normalise(picture).contiguous(memory_format=torch.channels_last))[-1])
        tensors = answer.uv, answer.depth, answer.mask_logits.sigmoid(), answer.confidence.sigmoid()
        parts.append([tensor.float().cpu().numpy() for tensor in tensors])
    network.train(was_training)
    return Poses(*(np.concatenate(column) for column in zip(*parts)))
