"""Model files small enough to write in a test, that run in ONNX Runtime as any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS
from semihand.models.model_file import METADATA_KEY, OUTPUT_NAMES, OUTPUT_SHAPES, ModelInfo


def hand_on_grid(fill: float) -> np.ndarray:
    """Joints (21, 2) of an open right hand, palm to the camera, whose longer side takes `fill` of the 64-grid."""
    directions = np.deg2rad([60, 15, 0, -15, -30])
    uv = np.zeros((21, 2))
    for (parent, child), length in zip(BONES, PRIOR_BONE_LENGTHS):
        angle = directions[(child - 1) // 4]
        uv[child] = uv[parent] + length * np.array([np.sin(angle), -np.cos(angle)])
    low, high = uv.min(axis=0), uv.max(axis=0)
    return (uv - (low + high) / 2) * (64 * fill / (high - low).max()) + 31.5


def answers(fill: float, confidence: float) -> list[np.ndarray]:
    """What such a model says to every crop, ordered as OUTPUT_NAMES."""
    mask = np.zeros((64, 64))
    mask[8:56, 8:56] = 1
    return [hand_on_grid(fill), np.zeros(21), mask, np.full(21, confidence)]


@pytest.fixture(scope="session")
def toy_model():
    """toy_model(path, confidence=0.9, size=64, crop_factor=2.0, name="toy") writes a model that sees the same hand
    in every crop, as sure of it as `confidence` says, and returns the path."""
    onnx = pytest.importorskip("onnx")

    def write(path, confidence=0.9, size=64, crop_factor=2.0, name="toy") -> Path:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        info = ModelInfo(name, size, crop_factor, {}, PRIOR_BONE_LENGTHS, {"seed": 1}, "CC0-1.0")
        model = _model(onnx, answers(1 / crop_factor, confidence), size)
        onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
        onnx.save(model, path)
        return path

    return write


def _model(onnx, outputs, size):
    helper, TensorProto = onnx.helper, onnx.TensorProto
    constants = [
        helper.make_tensor("start", TensorProto.INT64, [3], [0, 0, 0]),
        helper.make_tensor("end", TensorProto.INT64, [3], [1, 1, 1]),
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0]),
    ]
    nodes = [
        helper.make_node("Slice", ["crop", "start", "end", "axes"], ["corner"]),
        helper.make_node("Cast", ["corner"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float", "nothing"], ["zero"]),
        helper.make_node("Reshape", ["zero", "column"], ["zeros"]),
    ]
    values = []
    for name, shape, output in zip(OUTPUT_NAMES, OUTPUT_SHAPES, outputs):
        constants += [
            helper.make_tensor(f"{name}_row", TensorProto.FLOAT, [1, output.size], output.ravel()),
            helper.make_tensor(f"{name}_shape", TensorProto.INT64, [len(shape) + 1], [-1, *shape]),
        ]
        nodes += [
            helper.make_node("Add", ["zeros", f"{name}_row"], [f"{name}_rows"]),
            helper.make_node("Reshape", [f"{name}_rows", f"{name}_shape"], [name]),
        ]
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
    crop = helper.make_tensor_value_info("crop", TensorProto.UINT8, ["batch", size, size, 3])
    graph = helper.make_graph(nodes, "toy", [crop], values, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="session")
def toy_weights():
    """toy_weights(path, value=0.0): a .safetensors file that says it is semihand's; returns the path."""

    def write(path, value=0.0) -> Path:
        header = {"__metadata__": {METADATA_KEY: "{}"}, "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
        text = json.dumps(header).encode()
        Path(path).write_bytes(len(text).to_bytes(8, "little") + text + np.full(4, value, np.float32).tobytes())
        return Path(path)

    return write
