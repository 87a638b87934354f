"""Model files small enough to write in a test, and what the tests of training share. No torch before it is asked for."""

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


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than ten seconds on an idle core")


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory):
    """A finished cache of 40 pictures of 64 px, one hand each, a few of them empty."""
    from semihand.synth.cache import render_cache
    from semihand.synth.scene import SceneConfig

    folder = tmp_path_factory.mktemp("pictures") / "cache"
    config = SceneConfig(size=64, second_hand=0, held_object=0, occluder=0, upright=1.0, empty=0.1)
    render_cache(folder, 40, 11, config, workers=1, progress=False)
    return folder


@pytest.fixture(scope="session")
def pictures(picture_folder):
    from semihand.synth.cache import open_cache

    return open_cache(picture_folder)


@pytest.fixture
def micro():
    """Configuration of a network of 60 000 weights; fed 64 px pictures a step on 16 of them takes a few hundredths of a
    second."""
    from semihand.models.network import NetworkConfig

    return NetworkConfig(
        "micro", input_size=128, stem="stride4", widths=(32, 32, 32), stacks=1, bottleneck_min=16, crop_factor=1.9
    )


@pytest.fixture
def one_thread():
    """Sums in one order, so that runs can be compared bit by bit."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
