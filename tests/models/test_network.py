import dataclasses
import json

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from semihand.errors import SemihandError
from semihand.models.decode import decode
from semihand.models.network import LITE, PAPER, Hourglass, NetworkConfig, normalise

TINY = NetworkConfig("tiny", widths=(16, 16, 32), bottleneck_min=8)


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    return Hourglass(dataclasses.replace(TINY, **changes)).eval()


def test_paper_network_has_the_specified_size_and_maps():
    network = Hourglass(PAPER).eval()
    parameters = sum(p.numel() for p in network.parameters())
    assert parameters == pytest.approx(6.58e6, rel=0.02)
    with torch.no_grad():
        first, last = network(torch.zeros(1, 3, 64, 64))
    assert last.heat.shape == last.depth.shape == last.confidence.shape == (1, 21, 64, 64)
    assert first.mask_logits.shape == last.mask_logits.shape == (1, 64, 64)
    assert first.confidence is None


@pytest.mark.parametrize("size", [96, 128])
def test_lite_network_maps_every_4_pixels_to_a_cell_and_the_mask_to_the_grid(size):
    with torch.no_grad():
        outputs = Hourglass(LITE).eval()(torch.zeros(2, 3, size, size))
    assert outputs[-1].heat.shape == (2, 21, size // 4, size // 4)
    assert outputs[-1].mask_logits.shape == (2, 64, 64)


def test_config_round_trip_through_json():
    config = dataclasses.replace(LITE, widths=(32, 48), norm="group")
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_key_is_refused():
    with pytest.raises(SemihandError, match="'colour'"):
        NetworkConfig.from_dict({**PAPER.to_dict(), "colour": 1})
    with pytest.raises(SemihandError, match="no name"):
        NetworkConfig.from_dict({"stacks": 2})


@pytest.mark.parametrize(
    "change",
    [{"stem": "stride4"}, {"input_size": 96}, {"widths": (64,)}, {"widths": (64, 65)}, {"widths": (16,) * 8},
     {"stacks": 0}, {"blocks_per_position": 0}, {"norm": "layer"}, {"beta_init": 0.5}, {"crop_factor": 0.5},
     {"bottleneck_min": 12}],
)  # fmt: skip
def test_impossible_config_is_refused(change):
    with pytest.raises(SemihandError, match="No such network"):
        dataclasses.replace(PAPER, **change)


def test_blocks_and_stacks_are_counted():
    def count(network, kind):
        return sum(isinstance(module, kind) for module in network.modules())

    one, two = tiny(), tiny(blocks_per_position=2)
    residual = type(one.stem[-1])
    stem = 3
    assert count(two, residual) - stem == 2 * (count(one, residual) - stem)
    assert len(tiny(stacks=3)(torch.zeros(1, 3, 64, 64))) == 3


def test_normalise():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert_close(normalise(pixels), torch.tensor([-2.0, -1.2, 2.0]))
    assert_close(normalise(torch.tensor([127.5])), torch.zeros(1))


def test_untrained_joints_stand_at_the_centre():
    with torch.no_grad():
        prediction = decode(tiny()(torch.randn(2, 3, 64, 64))[-1])
    assert (prediction.uv - 31.5).abs().max() < 2
    assert prediction.depth.abs().max() < 0.1
    assert_close(prediction.confidence.sigmoid(), torch.full((2, 21), 0.5), atol=0.02, rtol=0)


def test_second_stack_sees_the_first_stacks_maps():
    network = tiny()
    network(torch.randn(1, 3, 64, 64))[-1].heat.square().sum().backward()
    assert network.stacks[0].head.weight.grad.abs().max() > 0


def test_beta_is_kept_in_its_range():
    network = tiny()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        at_10 = network(x)[-1].heat
        network.beta.fill_(1e6)
        at_most = network(x)[-1].heat
        network.beta.fill_(-3.0)
        at_least = network(x)[-1].heat
    assert_close(at_most, at_10 * 5)
    assert_close(at_least, at_10 / 10)


def test_maps_are_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        maps = tiny()(torch.randn(1, 3, 64, 64))[-1]
    assert {value.dtype for value in maps if value is not None} == {torch.float32}


def test_mask_channels_become_neighbouring_pixels():
    network = Hourglass(dataclasses.replace(LITE, widths=(32, 32)))
    raw = torch.zeros(1, 46, 32, 32)
    raw[0, 42 + 2, 5, 7] = 1.0  # third mask channel: lower left quarter of the cell
    mask = network._split(raw, None).mask_logits
    assert mask.nonzero().tolist() == [[0, 2 * 5 + 1, 2 * 7]]


def mirror_weights(network):
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.flip(-1)


def test_mirrored_network_sees_the_mirrored_hand_in_the_mirror():
    network = tiny()
    for head in (network.stacks[-1].head, network.confidence):
        nn.init.normal_(head.weight, std=0.3)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        straight = decode(network(x)[-1])
        mirror_weights(network)
        mirrored = decode(network(x.flip(-1))[-1])
    assert straight.uv.std() > 1
    assert_close(mirrored.uv[..., 0], 63 - straight.uv[..., 0], atol=1e-3, rtol=0)
    assert_close(mirrored.uv[..., 1], straight.uv[..., 1], atol=1e-3, rtol=0)
    assert_close(mirrored.depth, straight.depth, atol=1e-4, rtol=0)
    assert_close(mirrored.mask_logits, straight.mask_logits.flip(-1), atol=1e-4, rtol=0)
    assert_close(mirrored.confidence, straight.confidence, atol=1e-4, rtol=0)


def test_group_norm_treats_every_picture_alone():
    x = torch.randn(2, 3, 64, 64)
    grouped, batched = tiny(norm="group").train(), tiny().train()
    with torch.no_grad():
        assert_close(grouped(x)[-1].heat[:1], grouped(x[:1])[-1].heat)
        assert not torch.allclose(batched(x)[-1].heat[:1], batched(x[:1])[-1].heat)
