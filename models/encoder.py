"""MediaPipe's landmark encoder as an hourglass's way down: 47 convolutions that have seen many real hands.

An EfficientNet-like chain of inverted residual blocks with folded norms, ReLU6 and TensorFlow's SAME padding. Its
weights are those of the released `hand_landmark.onnx` (Google, Apache-2.0); `landmark_weights` reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

from ..errors import SemihandError
from .model_file import WEIGHTS

LANDMARK_FILE = WEIGHTS / "hand_landmark.onnx"
#: Inverted residual blocks: inner and output channels, kernel, stride. The first one has no expansion.
BLOCKS = (
    (24, 16, 3, 1), (64, 24, 3, 2), (144, 24, 3, 1), (144, 40, 5, 2), (240, 40, 5, 1), (240, 80, 3, 2), (480, 80, 3, 1),
    (480, 80, 3, 1), (480, 112, 5, 1), (672, 112, 5, 1), (672, 112, 5, 1), (672, 192, 5, 2), (1152, 192, 5, 1),
    (1152, 192, 5, 1), (1152, 192, 5, 1),
)  # fmt: skip
STEM_CHANNELS = 24
#: Channels at strides 2, 4, 8, 16 and 32; the last ones are those that are pooled.
CHANNELS = (16, 24, 40, 112, 1152)


class Layer(nn.Module):
    """A convolution with TensorFlow's SAME padding, and ReLU6 where asked for."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, relu: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h / stride, w / stride); h and w are even where the stride is 2."""
        spare = self.conv.kernel_size[0] - 2
        if self.conv.stride[0] == 2:  # one pixel more at the end than at the start
            x = F.pad(x, (spare // 2, spare - spare // 2) * 2)
        x = self._depthwise(x) if self.conv.groups > 1 else self.conv(x)
        return F.relu6(x) if self.relu else x

    def _depthwise(self, x: Tensor) -> Tensor:
        """In float32 under autocast: on CPUs a depthwise convolution's backward pass in bfloat16 is far slower."""
        if x.device.type != "cpu":
            return self.conv(x)
        with torch.autocast("cpu", enabled=False):
            return self.conv(x.float())


class Features(NamedTuple):
    """Maps at strides 2 (B, 16, S/2, S/2), 4 (B, 24, ..), 8 (B, 40, ..), 16 (B, 112, ..) and 32 (B, 1152, ..)."""

    stride2: Tensor
    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    stride32: Tensor


class LandmarkEncoder(nn.Module):
    """Picture to features at five strides. `layers` are the convolutions in their order."""

    def __init__(self) -> None:
        super().__init__()
        layers, width = [Layer(3, STEM_CHANNELS, 3, 2)], STEM_CHANNELS
        for inner, outputs, kernel, stride in BLOCKS:
            layers += [Layer(width, inner)] if inner != width else []
            layers += [Layer(inner, inner, kernel, stride, inner), Layer(inner, outputs, relu=False)]
            width = outputs
        layers += [Layer(width, CHANNELS[-1]), Layer(CHANNELS[-1], CHANNELS[-1], 3, 1, CHANNELS[-1])]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Features:
        """x (B, 3, S, S) RGB in 0..1, S a multiple of 32."""
        found, number = [], 0

        def layer(x: Tensor) -> Tensor:
            nonlocal number
            number += 1
            return self.layers[number - 1](x)

        x, width = layer(x), STEM_CHANNELS
        for inner, outputs, _, stride in BLOCKS:
            if stride == 2:
                found.append(x)  # the last map of a stride
            entered = x
            x = layer(layer(layer(x) if inner != width else x))
            x = x + entered if stride == 1 and outputs == width else x
            width = outputs
        stride2, stride4, stride8, stride16 = found
        return Features(stride2, stride4, stride8, stride16, layer(layer(x)))

    def thaw(self, first: int | None) -> None:
        """Train the layers from number `first` on; the others stay as they are and cost no backward pass. None: train none."""
        for number, one in enumerate(self.layers):
            one.requires_grad_(first is not None and number >= first)


def landmark_weights(path: str | Path = LANDMARK_FILE) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    """The encoder's state_dict, and its linear answers on the pooled last features: weight (outputs, 1152) and bias of
    "landmarks" (63), "presence" (1) and "handedness" (1), logits.

    Raises SemihandError where the file is not that network.
    """
    try:
        graph = onnx.load(str(path)).graph
    except (OSError, onnx.onnx_cpp2py_export.checker.ValidationError, ValueError) as error:
        raise SemihandError(f"{path} is no readable ONNX file ({error}); get it anew.") from error
    values = {one.name: numpy_helper.to_array(one).astype(np.float32) for one in graph.initializer}
    values |= {
        node.output[0]: values[node.input[0]]
        for node in graph.node
        if node.op_type == "Cast" and node.input[0] in values
    }
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    state = {}
    for number, node in enumerate(convolutions):
        for name, value in zip(("weight", "bias"), node.input[1:]):
            state[f"layers.{number}.conv.{name}"] = torch.from_numpy(values[value].copy())
    expected = {name: tensor.shape for name, tensor in LandmarkEncoder().state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != expected:
        raise SemihandError(f"{path} is not MediaPipe's hand landmark model (other layers); get it anew.")
    answers = {}
    for node in graph.node:
        if node.op_type == "Gemm":
            name = next((word for word in ("handflag", "handedness", "world") if word in node.output[0]), "landmarks")
            answers[name] = tuple(torch.from_numpy(values[one].copy()) for one in node.input[1:3])
    return state, {
        "landmarks": (answers["landmarks"][0].T, answers["landmarks"][1]),
        "presence": (answers["handflag"][0].T, answers["handflag"][1]),
        "handedness": (answers["handedness"][0].T, answers["handedness"][1]),
    }
