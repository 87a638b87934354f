"""The hourglass that turns one hand crop into 2.5D maps, a mask and a confidence (SemiHand Sec. 4).

One class for three sizes: `PAPER` is the two-stack, 256-channel network with 64x64 input and maps, `LITE` the size for
slow CPUs with 96x96 input and 24x24 maps, `BASE` one hourglass whose way down is MediaPipe's landmark encoder (see
`encoder`), with 128x128 input and 32x32 maps, that also says whether it sees a hand and which. `decode.decode` turns
the maps into joints.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import SemihandError
from .encoder import CHANNELS, Features, LandmarkEncoder
from .joints import NUM_JOINTS

#: Side of the grid on which joints and mask are given, whatever the network's own input and maps.
CROP_GRID = 64
#: Range of the learned soft-argmax sharpness; outside it the softmax is flat or its gradient vanishes.
BETA_RANGE = (1.0, 50.0)

_MAP_SIZE = {
    (64, "stride1"): 64, (96, "stride4"): 24, (128, "stride4"): 32, (128, "landmark"): 32, (160, "landmark"): 40,
}  # fmt: skip


@dataclass(frozen=True)
class NetworkConfig:
    """Size and layout of a `Hourglass`.

    stem: "stride1" or "stride4" convolutions, or the "landmark" encoder, which is the whole way down. widths: channels
    at each resolution, finest first; one pooling between two of them. With the encoder: of the way up at strides 4, 8
    and 16.
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
            (
                self.stem != "landmark" or (len(self.widths) == len(CHANNELS) - 2 and self.stacks == 1),
                "three widths and one stack with the landmark encoder",
            ),
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

    @property
    def mask_cells(self) -> int:
        """Mask values along a side of one map cell."""
        return 1 if self.map_size == CROP_GRID else 2

    @property
    def verdict(self) -> bool:
        """Whether the network says if its crop shows a hand, and of which side."""
        return self.stem == "landmark"

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
#: With a crop of 1.25 times the joints' box a hand has about the size in pixels that the encoder was trained for.
BASE = NetworkConfig("base", input_size=128, stem="landmark", widths=(64, 96, 128), stacks=1, crop_factor=1.25)


class StackMaps(NamedTuple):
    """Raw maps of one stack; h = w = `NetworkConfig.map_size`.

    heat (B, 21, h, w): heatmap logits, the sharpness beta already applied.
    depth (B, 21, h, w): relative depth in units of the middle proximal phalanx, root not yet subtracted.
    mask_logits (B, 64, 64). confidence (B, 21, h, w): logits, on the last stack only. verdict (B, 2): logits of "the
    crop shows a hand" and of "it is a right hand (or a mirrored left one)", only of networks that have it.
    """

    heat: Tensor
    depth: Tensor
    mask_logits: Tensor
    confidence: Tensor | None = None
    verdict: Tensor | None = None


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


class WayUp(nn.Module):
    """The way up over the landmark encoder's features: at each stride the coarser map and a skip connection."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        widths, (_, *skips, deepest) = config.widths, CHANNELS
        self.skips = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(skips, widths))
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip((*widths[1:], deepest), widths))
        self.blocks = nn.ModuleList(_residuals(config, width, width) for width in widths)

    def forward(self, features: Features) -> Tensor:
        """To (B, widths[0], S/4, S/4)."""
        _, *skipped, x = features
        for level in reversed(range(len(self.skips))):
            coarse = F.interpolate(self.reduce[level](x), scale_factor=2.0, mode="nearest")
            x = self.blocks[level](self.skips[level](skipped[level]) + coarse)
        return x


class Outline(nn.Module):
    """What the encoder's finest map adds to the mask: a hand's outline is finer than the cells of the last features."""

    def __init__(self, config: NetworkConfig, inner: int = 32) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(CHANNELS[0], inner, 4, 2, 1), nn.Conv2d(config.widths[0], inner, 1)
        self.head = nn.Conv2d(inner, config.mask_cells**2, 1)
        nn.init.zeros_(self.head.weight)  # at first it adds nothing
        nn.init.zeros_(self.head.bias)

    def forward(self, feature: Tensor, stride2: Tensor) -> Tensor:
        """Features (B, C, S/4, S/4) and the encoder's (B, 16, S/2, S/2) to raw mask maps (B, 4, S/4, S/4)."""
        return _float32(self.head, F.relu(self.fine(stride2) + self.coarse(feature)))


def _stem(config: NetworkConfig) -> nn.Module:
    if config.stem == "landmark":
        return LandmarkEncoder()
    width = config.widths[0]

    def convolution(inputs: int, outputs: int, size: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        return [conv, _norm(config, outputs), nn.ReLU()]

    if config.stem == "stride4":
        return nn.Sequential(*convolution(3, 32, 5, 2), *convolution(32, 64, 3, 2), Residual(config, 64, width))
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
        self.hourglass = WayUp(config) if config.stem == "landmark" else HourglassLevel(config)
        self.after = _residuals(config, width, width)
        self.mix = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), _norm(config, width), nn.ReLU())
        self.head = nn.Conv2d(width, 2 * NUM_JOINTS + config.mask_cells**2, 1)

    def forward(self, x: Tensor | Features) -> tuple[Tensor, Tensor]:
        """Features (B, C, h, w) and raw maps (B, 42 + mask channels, h, w), the maps always in float32."""
        feature = self.mix(self.after(self.hourglass(x)))
        return feature, _float32(self.head, feature)


def _float32(head: nn.Module, x: Tensor) -> Tensor:
    """Heads stay in float32 under autocast: bfloat16 logits times beta would be off by tenths."""
    with torch.autocast(x.device.type, enabled=False):
        return head(x.float())


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
        self.verdict = nn.Linear(CHANNELS[-1], 2) if config.verdict else None
        self.outline = Outline(config) if config.stem == "landmark" else None
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
        if self.verdict is not None:  # the encoder knows colours from 0 to 1
            x = (x + 2) / 4
        x = self.stem(x)
        verdict = None if self.verdict is None else _float32(self.verdict, x[-1].float().mean((2, 3)))
        outputs = []
        for i, stack in enumerate(self.stacks):
            feature, maps = stack(x)
            last = i == len(self.stacks) - 1
            if self.outline is not None:
                mask = maps[:, 2 * NUM_JOINTS :] + self.outline(feature, x[0])
                maps = torch.cat([maps[:, : 2 * NUM_JOINTS], mask], 1)
            outputs.append(
                self._split(maps, _float32(self.confidence, feature), verdict) if last else self._split(maps)
            )
            if not last:
                x = x + self.feed_feature[i](feature) + self.feed_maps[i](maps)
        return outputs

    def _split(self, maps: Tensor, confidence: Tensor | None = None, verdict: Tensor | None = None) -> StackMaps:
        heat, depth = maps[:, :NUM_JOINTS], maps[:, NUM_JOINTS : 2 * NUM_JOINTS]
        mask = F.pixel_shuffle(maps[:, 2 * NUM_JOINTS :], self.config.mask_cells)
        if mask.shape[-1] != CROP_GRID:  # fed pictures of another size than its own
            mask = F.interpolate(mask, size=(CROP_GRID, CROP_GRID), mode="bilinear", align_corners=False)
        beta = self.beta.clamp(*BETA_RANGE)[:, None, None]
        return StackMaps(beta * heat, depth, mask[:, 0], confidence, verdict)
