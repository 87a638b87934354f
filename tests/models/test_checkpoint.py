import random

import numpy as np
import pytest
import safetensors.torch
import torch

from semihand.errors import SemihandError
from semihand.models.checkpoint import (
    TrainingState,
    atomic_file,
    describe,
    load_checkpoint,
    load_training_state,
    provenance,
    restore_rng,
    rng_state,
    save_checkpoint,
    save_training_state,
)
from semihand.models.network import Hourglass, NetworkConfig

TINY = NetworkConfig("tiny", widths=(16, 16), bottleneck_min=8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Hourglass(TINY)
    network(torch.randn(2, 3, 64, 64))  # so that the running statistics are no defaults
    return network


@pytest.fixture
def file(network, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, network.state_dict(), describe(TINY, provenance("semihand pretrain", 3, 640, loss=0.5)))
    return path


def test_round_trip_is_exact(network, file):
    loaded = load_checkpoint(file)
    for name, tensor in loaded.build().state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    assert loaded.config == TINY
    assert not loaded.build().training
    story = loaded.info.provenance
    assert (story["command"], story["seed"], story["samples_seen"], story["loss"]) == ("semihand pretrain", 3, 640, 0.5)
    assert story["versions"]["torch"] == torch.__version__
    assert loaded.info.bone_lengths[9] == 1.0
    assert loaded.info.licence


def test_half_precision_rounds_to_half(network, file, tmp_path):
    half = tmp_path / "half.safetensors"
    save_checkpoint(half, network.state_dict(), describe(TINY, {}), "fp16")
    assert half.stat().st_size < 0.65 * file.stat().st_size
    weights = load_checkpoint(half).weights
    for name, tensor in network.state_dict().items():
        expected = tensor.half().float() if tensor.is_floating_point() else tensor
        assert torch.equal(weights[name], expected), name


def test_weights_that_are_not_finite_are_refused(network, tmp_path):
    with torch.no_grad():
        network.beta[3] = float("nan")
    with pytest.raises(SemihandError, match="beta are not finite"):
        save_checkpoint(tmp_path / "bad.safetensors", network.state_dict(), describe(TINY, {}))
    assert not list(tmp_path.iterdir())


def test_missing_file(tmp_path):
    with pytest.raises(SemihandError, match="does not exist"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("length", [0, 5, 2000])
def test_truncated_file(file, length):
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(SemihandError, match="truncated"):
        load_checkpoint(file)


def test_file_of_another_program(file):
    safetensors.torch.save_file({"weight": torch.zeros(2)}, file)
    with pytest.raises(SemihandError, match="another program"):
        load_checkpoint(file)


@pytest.mark.parametrize("odd", ["unknown", "missing", "shape"])
def test_tensors_that_do_not_fit(network, tmp_path, odd):
    weights = dict(network.state_dict())
    if odd == "unknown":
        weights["extra.weight"] = torch.zeros(1)
    elif odd == "missing":
        del weights["beta"]
    else:
        weights["beta"] = torch.zeros(3)
    path = tmp_path / "odd.safetensors"
    save_checkpoint(path, weights, describe(TINY, {}))
    with pytest.raises(SemihandError, match="extra.weight" if odd == "unknown" else "beta"):
        load_checkpoint(path)


def edit_description(path, old, new):
    content = path.read_bytes()
    assert content.count(old) == 1 and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def test_unknown_entry_in_the_description(file):
    edit_description(file, rb"\"licence\"", rb"\"license\"")
    with pytest.raises(SemihandError, match="licence.*license"):
        load_checkpoint(file)


def test_unknown_entry_in_the_configuration(file):
    edit_description(file, rb"\"stacks\"", rb"\"stucks\"")
    with pytest.raises(SemihandError, match="stucks"):
        load_checkpoint(file)


def test_other_joint_order(file):
    edit_description(file, b"mediapipe21", b"openpose-21")
    with pytest.raises(SemihandError, match="joint order 'openpose-21'"):
        load_checkpoint(file)


def test_failed_write_leaves_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SemihandError, match="No space left on device"):
        save_checkpoint(file, {"w": torch.zeros(1)}, describe(TINY, {}))
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_atomic_file_makes_its_folder_and_cleans_up(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    with pytest.raises(KeyError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert target.read_text() == "whole"
    assert len(list(target.parent.iterdir())) == 1


def trained_steps(network, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        noise = torch.randn(2, 3, 64, 64) + random.random() + np.random.rand()
        network(noise)[-1].heat.square().mean().backward()
        optimizer.step()


def test_resumed_training_equals_the_uninterrupted_one(tmp_path):
    torch.manual_seed(1)
    network = Hourglass(TINY)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    trained_steps(network, optimizer, 2)
    state = TrainingState(TINY, 2, 4, network.state_dict(), network.state_dict(), optimizer.state_dict(), rng_state(),
                          {"generator": np.random.default_rng(0).bit_generator.state})  # fmt: skip
    save_training_state(tmp_path / "state.pt", state)
    trained_steps(network, optimizer, 2)

    loaded = load_training_state(tmp_path / "state.pt")
    resumed = Hourglass(loaded.config)
    resumed.load_state_dict(loaded.network)
    again = torch.optim.AdamW(resumed.parameters(), lr=1e-3)
    again.load_state_dict(loaded.optimizer)
    restore_rng(loaded.rng)
    trained_steps(resumed, again, 2)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert (loaded.step, loaded.samples_seen) == (2, 4)
    assert loaded.extra == state.extra


def test_bad_training_states(tmp_path):
    with pytest.raises(SemihandError, match="no training to resume"):
        load_training_state(tmp_path / "none.pt")
    torch.save({"step": 1}, tmp_path / "other.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:-200])
    with pytest.raises(SemihandError, match="no readable training state"):
        load_training_state(tmp_path / "cut.pt")
    with pytest.raises(SemihandError, match="no training state of semihand"):
        load_training_state(tmp_path / "other.pt")
