"""The landmark encoder against the released ONNX file, its freezing, and the network round it."""

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from semihand.errors import SemihandError
from semihand.models.checkpoint import describe
from semihand.models.encoder import CHANNELS, LANDMARK_FILE, LandmarkEncoder, landmark_weights
from semihand.models.export import export_network, noise_crops
from semihand.models.model_file import OUTPUT_NAMES, VERDICT_NAMES, WEIGHTS, open_model
from semihand.models.network import BASE, Hourglass, NetworkConfig

NAMES = ("landmarks", "presence", "handedness")


@pytest.fixture(scope="module")
def released():
    """The encoder with the released weights, and the linear answers on its pooled features."""
    state, answers = landmark_weights()
    encoder = LandmarkEncoder().eval()
    encoder.load_state_dict(state)
    return encoder, answers


@pytest.fixture(scope="module")
def base(released):
    torch.manual_seed(0)
    network = Hourglass(BASE)
    network.stem.load_state_dict(released[0].state_dict())
    return network.eval()


@torch.no_grad()
def test_its_answers_are_those_of_the_released_file(released):
    encoder, answers = released
    picture = np.random.default_rng(0).random((1, 224, 224, 3), dtype=np.float32)
    session = onnxruntime.InferenceSession(str(LANDMARK_FILE), providers=["CPUExecutionProvider"])
    expected = session.run(list(NAMES), {"image": picture})
    pooled = encoder(torch.from_numpy(picture).permute(0, 3, 1, 2)).stride32.mean((2, 3))
    for name, wanted in zip(NAMES, expected):
        weight, bias = answers[name]
        found = pooled @ weight.T + bias
        assert_allclose((found if name == "landmarks" else found.sigmoid()).numpy(), wanted, atol=1e-3, rtol=0)
    assert np.ptp(expected[0]) > 10


def test_features_lie_at_five_strides(released):
    features = released[0](torch.rand(2, 3, 96, 96))
    assert [tuple(one.shape) for one in features] == [
        (2, channels, 96 // stride, 96 // stride) for channels, stride in zip(CHANNELS, (2, 4, 8, 16, 32))
    ]


def test_another_model_is_refused(tmp_path):
    with pytest.raises(SemihandError, match="not MediaPipe's hand landmark model"):
        landmark_weights(WEIGHTS / "palm_detection.onnx")
    with pytest.raises(SemihandError, match="no readable ONNX"):
        landmark_weights(tmp_path / "none.onnx")


@pytest.mark.parametrize("first", [None, 0, 16])
def test_only_thawed_layers_get_gradients(first):
    network = Hourglass(BASE)
    network.stem.thaw(first)
    network(torch.randn(2, 3, 64, 64))[0].heat.square().mean().backward()
    got = [number for number, layer in enumerate(network.stem.layers) if layer.conv.weight.grad is not None]
    assert got == ([] if first is None else list(range(first, 47)))
    assert network.stacks[0].hourglass.skips[0].weight.grad is not None
    assert_close(network.stem.layers[0].conv.weight.requires_grad, first == 0)


def test_the_network_says_whether_and_which(base):
    x = torch.randn(3, 3, 128, 128)
    maps = base(x)[-1]
    assert maps.heat.shape == (3, 21, 32, 32) and maps.mask_logits.shape == (3, 64, 64)
    assert maps.verdict.shape == (3, 2)
    with torch.no_grad():
        before, base.verdict.bias[0] = base.verdict.bias[0].clone(), 5.0
        moved = base(x)[-1]
        base.verdict.bias[0] = before
    assert (moved.verdict[:, 0] > maps.verdict[:, 0]).all()
    assert_close(moved.heat, maps.heat)


def test_the_exported_file_has_both_verdicts(base, tmp_path):
    crops = noise_crops(128, count=2)
    report = export_network(base, describe(BASE, {}), tmp_path / "base.onnx", crops)
    assert set(report.differences) == {*OUTPUT_NAMES, *VERDICT_NAMES}
    model = open_model(report.path, "cpu")
    answer = model.run(crops)
    assert answer.presence.shape == answer.right.shape == (2,)
    assert ((0 <= answer.presence) & (answer.presence <= 1)).all()


def test_the_encoder_wants_three_widths_and_one_stack():
    with pytest.raises(SemihandError, match="three widths and one stack"):
        NetworkConfig("odd", 128, "landmark", (64, 96), stacks=1)
    with pytest.raises(SemihandError, match="three widths and one stack"):
        NetworkConfig("odd", 128, "landmark", (64, 96, 128), stacks=2)
