import hashlib
import json

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models import export as exporting
from semihand.models.checkpoint import describe, save_checkpoint
from semihand.models.export import LiveModel, export, export_network, noise_crops, read_crops
from semihand.models.model_file import METADATA_KEY, open_model
from semihand.models.network import Hourglass, NetworkConfig

TINY = NetworkConfig("tiny", widths=(16, 16), bottleneck_min=8)


@pytest.fixture(scope="module")
def network():
    """A network whose norms and heads are no defaults, so that joints leave the centre."""
    torch.manual_seed(0)
    network = Hourglass(TINY)
    for _ in range(3):
        network(torch.randn(4, 3, 64, 64))
    for head in [stack.head for stack in network.stacks] + [network.confidence]:
        nn.init.normal_(head.weight, std=0.2)
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, network.state_dict(), describe(TINY, {"seed": 7, "samples_seen": 5}))
    return path


@pytest.fixture(scope="module")
def report(checkpoint):
    return export(checkpoint, checkpoint.parent / "tiny.onnx")


@pytest.fixture(scope="module")
def model(report):
    return open_model(report.path, "cpu")


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(1)
    for i in range(3):
        picture = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (96, 72))
        cv2.imwrite(str(tmp_path / f"photo{i}.png"), picture)
    return tmp_path


def test_file_equals_torch_on_other_pictures(network, model):
    crops = noise_crops(64, count=3, seed=5)
    with torch.no_grad():
        expected = LiveModel(network)(torch.from_numpy(crops))
    for found, wanted, tolerance in zip(model.run(crops), expected, (0.02, 1e-3, 1e-3, 1e-3)):
        assert found.dtype == np.float32
        assert_allclose(found, wanted, atol=tolerance, rtol=0)
    assert np.ptp(expected[0].numpy()) > 4


def test_answers_are_those_of_the_contract(model):
    uv, depth, mask, confidence = model.run(noise_crops(64, count=2))[:4]
    assert (uv.shape, depth.shape, mask.shape, confidence.shape) == ((2, 21, 2), (2, 21), (2, 64, 64), (2, 21))
    assert_array_equal(depth[:, 9], 0)
    for probability in (mask, confidence):
        assert 0 <= probability.min() < probability.max() <= 1


def test_one_crop_equals_its_row_of_two(model):
    crops = noise_crops(64, count=2)
    both = model.run(crops)[:4]
    for i in range(2):
        for row, alone in zip(both, model.run(crops[i : i + 1])):
            assert_allclose(alone[0], row[i], atol=1e-5, rtol=0)


def test_report(report):
    assert set(report.differences) == {"uv", "depth", "mask", "confidence"}
    assert report.differences["uv"] < 0.02
    assert report.megabytes == pytest.approx(report.path.stat().st_size / 1e6)


def test_description_round_trip(checkpoint, model):
    info = model.info
    assert (info.name, info.input_size, info.crop_factor) == ("tiny", 64, 2.0)
    assert NetworkConfig.from_dict(info.config) == TINY
    assert info.provenance["seed"] == 7
    assert info.provenance["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert model.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()


def test_graph_is_plain(report):
    graph = onnx.load(report.path).graph
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {"Identity", "If", "Loop", "Shape"}
    assert {opset.version for opset in onnx.load(report.path).opset_import} == {17}
    # Only the norms before a block's first convolution stay; they have no convolution before them to fold into.
    norms = sum(node.op_type == "BatchNormalization" for node in graph.node)
    assert norms == sum(isinstance(module, type(Hourglass(TINY).stem[-1])) for module in Hourglass(TINY).modules())


def test_difference_above_the_bound_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(exporting.FLOAT_BOUNDS, "mask", -1.0)
    with pytest.raises(SemihandError, match="differs from Torch: mask"):
        export(checkpoint, tmp_path / "bad.onnx")
    assert not list(tmp_path.iterdir())


def test_not_a_number_is_refused(network, tmp_path):
    crops = noise_crops(64)
    broken = Hourglass(TINY).eval()
    broken.load_state_dict(network.state_dict())
    broken.stacks[1].head.bias.data[0] = float("nan")
    with pytest.raises(SemihandError, match="differs from Torch"):
        export_network(broken, describe(TINY, {}), tmp_path / "nan.onnx", crops)


def test_int8_is_close_and_smaller_in_weights(checkpoint, report, photos):
    small = export(checkpoint, photos / "int8.onnx", photos, int8=True)
    assert small.differences["uv"] < 0.25
    kinds = [node.op_type for node in onnx.load(small.path).graph.node]
    assert "QuantizeLinear" in kinds
    assert open_model(small.path, "cpu").info.provenance["precision"] == "int8"


def test_int8_needs_pictures(checkpoint, tmp_path):
    with pytest.raises(SemihandError, match="--check-images"):
        export(checkpoint, tmp_path / "int8.onnx", int8=True)


def test_check_pictures(photos, tmp_path_factory):
    crops = read_crops(photos, 64)
    assert crops.shape == (3, 64, 64, 3) and crops.dtype == np.uint8
    with pytest.raises(SemihandError, match="has no pictures"):
        read_crops(tmp_path_factory.mktemp("empty"), 64)
    (photos / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(SemihandError, match="broken.jpg could not be read"):
        read_crops(photos, 64)


def test_check_pictures_are_rgb(tmp_path):
    red = np.zeros((80, 100, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(tmp_path / "red.png"), red)
    assert_array_equal(read_crops(tmp_path, 64)[0, 0, 0], [255, 0, 0])


def test_wrong_suffix(network, tmp_path):
    with pytest.raises(SemihandError, match="does not end in .onnx"):
        export_network(network, describe(TINY, {}), tmp_path / "model.bin", noise_crops(64))


def test_command(checkpoint, tmp_path):
    result = CliRunner().invoke(app, ["export", str(checkpoint), "--out", str(tmp_path / "lite.onnx")])
    assert result.exit_code == 0, result.output
    assert "lite.onnx" in result.output
    description = {entry.key: entry.value for entry in onnx.load(tmp_path / "lite.onnx").metadata_props}
    assert json.loads(description[METADATA_KEY])["joint_order"] == "mediapipe21"
