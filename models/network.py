"""The stacked hourglass that turns one hand crop into 2.5D maps, a mask and a confidence (SemiHand Sec. 4).

One class for both sizes: `PAPER` is the two-stack, 256-channel network with 64x64 input and maps, `LITE` the
CPU size with 96x96 input and 24x24 maps. `decode.decode` turns the maps into joints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import SemihandError
from .joints import NUM_JOINTS

#: Side of the grid on which joints and mask are given, whatever the network's own input and maps.
CROP_GRID = 64
#: Range of the learned soft-argmax sharpness; outside it the softmax is flat or its gradient vanishes.
BETA_RANGE = (1.0, 50.0)

_MAP_SIZE = {(64, "stride1"): 64, (96, "stride4"): 24, (128, "stride4"): 32}


@dataclass(frozen=True)
class NetworkConfig:
    """Size and layout of a `Hourglass`.

    widths: channels at each resolution, finest first; one pooling between two of them.
    bottleneck_divisor, bottleneck_min: inner width of a residual block is max(min, out // divisor).
    crop_factor: side of the square crop over the longer side of the joints' box.
    Raises SemihandError where a value makes no network.
    """

    name: str
    input_size: int = 64
    stem: str = "stride1"
    widths: tuple[int, ...] = (256,) * 5
    blocks_per_position: int = 1
    stacks: int = 2
    norm: str = "batch"
    bottleneck_divisor: int = 2
    bottleneck_min: int = 32
    beta_init: float = 10.0
    crop_factor: float = 2.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        for allowed, what in (
            ((self.input_size, self.stem) in _MAP_SIZE, f"input_size and stem one of {sorted(_MAP_SIZE)}"),
            (
                len(self.widths) >= 2 and all(w > 0 and w % 16 == 0 for w in self.widths),
                "widths at least two positive multiples of 16",
            ),
            (2 ** (len(self.widths) - 1) <= self.map_size, "fewer widths than halvings of the maps"),
            (self.blocks_per_position >= 1 and self.stacks >= 1, "blocks_per_position and stacks at least 1"),
            (self.norm in ("batch", "group"), 'norm "batch" or "group"'),
            (
                self.bottleneck_divisor >= 1 and self.bottleneck_min > 0 and self.bottleneck_min % 8 == 0,
                "bottleneck_divisor at least 1 and bottleneck_min a positive multiple of 8",
            ),
            (BETA_RANGE[0] <= self.beta_init <= BETA_RANGE[1], f"beta_init in {BETA_RANGE}"),
            (self.crop_factor >= 1, "crop_factor at least 1"),
        ):
            if not allowed:
                raise SemihandError(f"No such network: {asdict(self)}. A network needs {what}.")

    @property
    def map_size(self) -> int:
        """Side of the heatmaps in cells."""
        return _MAP_SIZE.get((self.input_size, self.stem), 0)

    def bottleneck(self, width: int) -> int:
        """Inner channels of a residual block with `width` outputs."""
        return max(self.bottleneck_min, width // self.bottleneck_divisor)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Inverse of `to_dict`. Raises SemihandError on unknown or missing keys."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "name" not in values:
            problem = f"unknown keys {unknown}" if unknown else "no name"
            raise SemihandError(f"The network's configuration has {problem}; known keys are {sorted(known)}.")
        return cls(**values)


PAPER = NetworkConfig("paper")
LITE = NetworkConfig("lite", input_size=96, stem="stride4", widths=(64, 128, 192, 256), crop_factor=1.4)


class StackMaps(NamedTuple):
    """Raw maps of one stack; h = w = `NetworkConfig.map_size`.

    heat (B, 21, h, w): heatmap logits, the sharpness beta already applied.
    depth (B, 21, h, w): relative depth in units of the middle proximal phalanx, root not yet subtracted.
    mask_logits (B, 64, 64). confidence (B, 21, h, w): logits, on the last stack only.
    """

    heat: Tensor
    depth: Tensor
    mask_logits: Tensor
    confidence: Tensor | None = None


def normalise(pixels: Tensor) -> Tensor:
    """Pixel values 0..255 of any type and layout to the network's float input, -2..2."""
    return (pixels.float() - 127.5) / 63.75


def _norm(config: NetworkConfig, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if config.norm == "batch" else nn.GroupNorm(channels // 8, channels)


class Residual(nn.Module):
    """Pre-activation bottleneck: norm, ReLU and convolution three times (1x1, 3x3, 1x1) beside a skip."""

    def __init__(self, config: NetworkConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = config.bottleneck(outputs)
        self.norm1, self.reduce = _norm(config, inputs), nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm2, self.spread = _norm(config, inner), nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.norm3, self.expand = _norm(config, inner), nn.Conv2d(inner, outputs, 1)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h, w)."""
        y = self.reduce(F.relu(self.norm1(x)))
        y = self.spread(F.relu(self.norm2(y)))
        return self.expand(F.relu(self.norm3(y))) + self.skip(x)


def _residuals(config: NetworkConfig, inputs: int, outputs: int) -> nn.Sequential:
    widths = [inputs] + [outputs] * config.blocks_per_position
    return nn.Sequential(*(Residual(config, a, b) for a, b in zip(widths, widths[1:])))


class HourglassLevel(nn.Module):
    """One resolution of an hourglass and, inside it, all coarser ones."""

    def __init__(self, config: NetworkConfig, level: int = 0) -> None:
        super().__init__()
        width, coarser = config.widths[level : level + 2]
        innermost = level + 2 == len(config.widths)
        self.keep = _residuals(config, width, width)
        self.down = _residuals(config, width, coarser)
        self.inner = _residuals(config, coarser, coarser) if innermost else HourglassLevel(config, level + 1)
        self.up = _residuals(config, coarser, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) to the same shape."""
        coarse = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        return self.keep(x) + F.interpolate(coarse, scale_factor=2.0, mode="nearest")


def _stem(config: NetworkConfig) -> nn.Sequential:
    width = config.widths[0]

    def convolution(inputs: int, outputs: int, size: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        return [conv, _norm(config, outputs), nn.ReLU()]

    if config.stem == "stride4":
        return nn.Sequential(
            *convolution(3, 32, 5, 2), *convolution(32, 64, 3, 2), Residual(config, 64, width)
        )
    quarter, half = max(16, width // 4), max(16, width // 2)
    return nn.Sequential(
        *convolution(3, quarter, 3, 1),
        Residual(config, quarter, half),
        Residual(config, half, half),
        Residual(config, half, width),
    )


class Stack(nn.Module):
    """One hourglass with its heads."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width = config.widths[0]
        self.hourglass = HourglassLevel(config)
        self.after = _residuals(config, width, width)
        self.mix = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), _norm(config, width), nn.ReLU())
        self.head = nn.Conv2d(width, 2 * NUM_JOINTS + (CROP_GRID // config.map_size) ** 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) and raw maps (B, 42 + mask channels, h, w), the maps always in float32."""
        feature = self.mix(self.after(self.hourglass(x)))
        return feature, _float32_conv(self.head, feature)


def _float32_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Heads stay in float32 under autocast: bfloat16 logits times beta would be off by tenths."""
    with torch.autocast(x.device.type, enabled=False):
        return conv(x.float())


class Hourglass(nn.Module):
    """Stacked hourglass with 2D heatmaps, depth maps, mask and per-joint confidence."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.widths[0]
        self.stem = _stem(config)
        self.stacks = nn.ModuleList(Stack(config) for _ in range(config.stacks))
        maps = self.stacks[0].head.out_channels
        self.feed_feature = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(config.stacks - 1))
        self.feed_maps = nn.ModuleList(nn.Conv2d(maps, width, 1) for _ in range(config.stacks - 1))
        self.confidence = nn.Conv2d(width, NUM_JOINTS, 1)
        self.beta = nn.Parameter(torch.full((NUM_JOINTS,), config.beta_init))
        self._initialise()

    def _initialise(self) -> None:
        # Convolutions keep PyTorch's own Kaiming-uniform start: against He-normal it halved the pixel error
        # after the first hundred steps. Heads start near zero, so every joint starts at the centre.
        for head in [stack.head for stack in self.stacks] + [self.confidence]:
            nn.init.normal_(head.weight, std=0.001)
            nn.init.zeros_(head.bias)

    def forward(self, x: Tensor) -> list[StackMaps]:
        """x (B, 3, S, S) from `normalise`, S = config.input_size. One StackMaps per stack, the answer last.

        Training may feed another S that the poolings divide: the maps are smaller or larger, the grid is the same.
        """
        x = self.stem(x)
        outputs = []
        for i, stack in enumerate(self.stacks):
            feature, maps = stack(x)
            last = i == len(self.stacks) - 1
            outputs.append(self._split(maps, _float32_conv(self.confidence, feature) if last else None))
            if not last:
                x = x + self.feed_feature[i](feature) + self.feed_maps[i](maps)
        return outputs

    def _split(self, maps: Tensor, confidence: Tensor | None) -> StackMaps:
        heat, depth = maps[:, :NUM_JOINTS], maps[:, NUM_JOINTS : 2 * NUM_JOINTS]
        mask = F.pixel_shuffle(maps[:, 2 * NUM_JOINTS :], CROP_GRID // self.config.map_size)
        if mask.shape[-1] != CROP_GRID:  # fed pictures of another size than its own
            mask = F.interpolate(mask, size=(CROP_GRID, CROP_GRID), mode="bilinear", align_corners=False)
        beta = self.beta.clamp(*BETA_RANGE)[:, None, None]
        return StackMaps(beta * heat, depth, mask[:, 0], confidence)
