"""The pre-training loop: it learns, resumes exactly, runs in two processes, and refuses what can't work."""

import csv
import os
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close
from typer.testing import CliRunner

from semihand import cli
from semihand.adapt import pretrain
from semihand.adapt.augment import AugmentConfig
from semihand.adapt.batches import fetch, relative_depth, sample_rows
from semihand.adapt.ema import Ema
from semihand.adapt.pretrain import PretrainConfig, Pretraining, parameter_groups
from semihand.adapt.validate import score
from semihand.errors import SemihandError
from semihand.models.checkpoint import load_checkpoint, load_training_state
from semihand.models.network import PAPER, Hourglass
from semihand.synth.cache import Cache, open_cache, open_caches

CPU = torch.device("cpu")
STILL = AugmentConfig(
    crop_factor=(1.9, 1.9), turn=0.0, any_turn=0.0, shift=0.0, gain=0.0, brightness=0.0, contrast=(1.0, 1.0),
    grey=0.0, erase=0.0,
)  # fmt: skip
#: Small steps for the tests of everything but learning.
QUICK = PretrainConfig(samples=16, batch=4, bf16=False, warmup_steps=2, train_size=32, validate_every_s=1e9)


@pytest.fixture
def few(pictures):
    """The first 12 pictures."""
    return first(pictures, 12)


def first(cache, count):
    fields = ("image", "mask", "uv", "xyz", "K", "visible", "present")
    return Cache(**{name: getattr(cache, name)[:count] for name in fields}, config=cache.config, provenance={"seed": 11})


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# --- pieces ---------------------------------------------------------------------------------------------------------


def test_budget_and_rate_by_hand():
    config = PretrainConfig(samples=1000, rate=0.01, warmup_steps=10)
    assert config.progress(250, 1e9) == 0.25 and config.progress(2000, 0) == 1.0
    assert config.learning_rate(0, 0.0) == pytest.approx(0.01 * 1.005 / 10)
    assert config.learning_rate(9, 0.0) == pytest.approx(0.01 * 1.005)
    assert config.learning_rate(500, 0.5) == pytest.approx(0.01 * 0.505)
    assert config.learning_rate(999, 1.0) == pytest.approx(0.01 * 0.005)
    steps = replace(config, schedule="steps")
    assert [steps.learning_rate(99, p) for p in (0.59, 0.61, 0.89, 0.91)] == pytest.approx([1e-2, 1e-3, 1e-3, 1e-4])
    assert PretrainConfig(minutes=2.0).progress(10**9, 30.0) == 0.25


@pytest.mark.parametrize("values, words", [
    ({}, "either --samples or --minutes"), ({"samples": 9, "minutes": 1.0}, "not both"),
    ({"samples": 9, "schedule": "linear"}, "'linear'"), ({"samples": 9, "batch": 1}, "Batch 1"),
])  # fmt: skip
def test_impossible_configurations_are_refused(values, words):
    with pytest.raises(SemihandError, match=words):
        PretrainConfig(**values)


def test_relative_depth_by_hand():
    xyz = np.zeros((1, 21, 3), np.float32)
    xyz[0, :, 2] = 0.5
    xyz[0, 10] = [0.0, 0.03, 0.54]  # 5 cm from the root at (0, 0, 0.5)
    xyz[0, 4, 2] = 0.475
    depth = relative_depth(xyz)
    assert_allclose(depth[0, [9, 10, 4, 0]], [0.0, 0.8, -0.5, 0.0], atol=1e-6)


def test_every_epoch_shows_every_picture_once_to_one_of_the_processes():
    shares = []
    for rank in range(2):
        batches = sample_rows(40, 5, rank, 2, np.random.default_rng(3))
        shares.append([next(batches) for _ in range(8)])
    for epoch in (slice(0, 4), slice(4, 8)):
        seen = np.concatenate(shares[0][epoch] + shares[1][epoch])
        assert_array_equal(np.sort(seen), np.arange(40))
    assert all((np.diff(rows) > 0).all() for rows in shares[0])
    assert (np.concatenate(shares[0][:4]) != np.concatenate(shares[0][4:])).any()


def test_fetch_reads_joined_caches_as_one(picture_folder, pictures):
    both = open_caches([picture_folder, picture_folder])
    assert len(both) == 80
    rows = np.array([0, 7, 39, 40, 47, 79])
    joined, plain = fetch(both, rows, CPU), fetch(pictures, np.array([0, 7, 39]), CPU)
    for name, tensor in joined.items():
        assert_close(tensor, torch.cat([plain[name], plain[name]]), atol=0, rtol=0)
    assert open_caches([picture_folder]).image.shape == pictures.image.shape


def test_caches_of_other_sizes_do_not_join(picture_folder, monkeypatch):
    other = replace(open_cache(picture_folder), config={"size": 96, "crop_factor": 1.9})
    given = iter([open_cache(picture_folder), other])
    monkeypatch.setattr("semihand.synth.cache.open_cache", lambda folder: next(given))
    with pytest.raises(SemihandError, match="b holds pictures of another size"):
        open_caches(["a", "b"])


def test_ema_by_hand():
    network = torch.nn.BatchNorm1d(1)
    ema = Ema(network, decay=0.2)
    with torch.no_grad():
        network.weight.fill_(5.0)
        network.num_batches_tracked.fill_(3)
    ema.update(network)
    decay = 2 / 21  # of the short memory at the start
    assert ema.network.weight.item() == pytest.approx(decay * 1.0 + (1 - decay) * 5.0)
    assert ema.network.num_batches_tracked.item() == 3
    before = ema.network.weight.item()
    ema.steps = 1000
    ema.update(network)
    assert ema.network.weight.item() == pytest.approx(0.2 * before + 0.8 * 5.0)
    assert network.weight.item() == 5.0 and not ema.network.training


def test_only_kernels_decay(micro):
    network = Hourglass(micro)
    decayed, plain = parameter_groups(network, 0.01)
    assert decayed["weight_decay"] == 0.01 and plain["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(plain["params"]) == len(list(network.parameters()))
    assert all(p.ndim == 4 for p in decayed["params"])
    assert any(p is network.beta for p in plain["params"])


# --- learning -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_overfits_thirty_two_pictures(pictures, micro, tmp_path):
    cache = first(pictures, 32)
    config = PretrainConfig(
        samples=16 * 300, batch=16, rate=6e-3, warmup_steps=10, ema=0.9, bf16=False, augment=STILL, train_size=64,
        validate_every_s=1e9,
    )  # fmt: skip
    run = Pretraining(tmp_path, micro, config, cache, cache, "cpu")
    before, _ = score(run.ema.network, cache, False, CPU, 64)
    after = run.run()
    assert before.nme > 0.2 and before.epe_mm > 35
    assert after.nme < 0.03 and after.epe_mm < 9 and after.mask_iou > 0.4
    sheet = cv2.imread(str(tmp_path / "predictions.png"))
    assert sheet.shape == (6 * 64, 10 * 64, 3)


# --- resume, logs, failures -----------------------------------------------------------------------------------------


class Interrupted(Pretraining):
    """Is killed before a step."""

    killed_at = 2

    def _train_step(self, *arguments):
        if self.step == self.killed_at:
            raise KeyboardInterrupt
        return super()._train_step(*arguments)


@pytest.mark.parametrize("schedule", ["cosine", "steps"])
def test_resumed_run_equals_the_uninterrupted_one(few, micro, tmp_path, schedule):
    config = replace(QUICK, samples=20, schedule=schedule, validate_every_s=0.0)
    straight = Pretraining(tmp_path / "straight", micro, config, few, few, "cpu")
    scores = straight.run()
    with pytest.raises(KeyboardInterrupt):
        Interrupted(tmp_path / "cut", micro, config, few, few, "cpu").run()
    assert load_training_state(tmp_path / "cut" / "state.pt").step == 2
    torch.manual_seed(99)
    resumed = Pretraining(tmp_path / "cut", micro, config, few, few, "cpu")
    resumed.resume()
    assert (resumed.step, resumed.samples) == (2, 8) and resumed.seconds > 0
    assert resumed.run() == scores
    assert (resumed.step, resumed.samples) == (5, 20) == (straight.step, straight.samples)
    for mine, theirs in zip(
        (resumed.network.state_dict(), resumed.ema.network.state_dict()),
        (straight.network.state_dict(), straight.ema.network.state_dict()),
    ):
        assert_close(mine, theirs, atol=0, rtol=0)
    assert [row["samples"] for row in rows_of(tmp_path / "cut" / "validation.csv")] == ["4", "8", "12", "16", "20", "20"]


def test_checkpoint_says_how_it_came_to_be(few, micro, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/semihand", "pretrain", "--samples", "16"])
    run = Pretraining(tmp_path, micro, replace(QUICK, seed=5), few, few, "cpu")
    scores = run.run()
    checkpoint = load_checkpoint(tmp_path / "micro.safetensors")
    told = checkpoint.info.provenance
    assert told["command"] == "semihand pretrain --samples 16"
    assert told["seed"] == 5 and told["samples_seen"] == 16 and told["init"] is None
    assert told["training"]["batch"] == 4 and told["pictures"] == {"seed": 11}
    assert told["validation"]["epe_mm"] == pytest.approx(scores.epe_mm)
    assert checkpoint.config == micro
    for name, weight in checkpoint.weights.items():
        assert_close(weight, run.ema.network.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_logs_hold_the_losses_and_the_scores(few, micro, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scores = Pretraining(tmp_path, micro, replace(QUICK, samples=4 * 50), few, few, "cpu").run()
    (train,), (validation,) = rows_of(tmp_path / "train.csv"), rows_of(tmp_path / "validation.csv")
    assert train["step"] == "50" and train["samples"] == "200"
    assert {"pose", "mask", "heatmap", "confidence"} < set(train)
    assert float(validation["epe_mm"]) == pytest.approx(scores.epe_mm, abs=1e-4)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (point,) = events.Scalars("validation/epe_mm")
    assert point.step == 200 and point.value == pytest.approx(scores.epe_mm, abs=1e-3)
    assert events.Scalars("train/pose")[0].value == pytest.approx(float(train["pose"]), rel=1e-4)


def test_nan_loss_is_one_sentence_and_the_last_state_stays(few, micro, tmp_path, monkeypatch):
    real = pretrain.supervised_loss

    def broken(predictions, log_q, target, config):
        loss, parts = real(predictions, log_q, target, config)
        return (loss * float("nan") if run.step == 3 else loss), parts

    monkeypatch.setattr(pretrain, "supervised_loss", broken)
    run = Pretraining(tmp_path, micro, replace(QUICK, samples=40, validate_every_s=0.0), few, few, "cpu")
    with pytest.raises(SemihandError, match="became nan at step 3.*Lower --rate"):
        run.run()
    state = load_training_state(tmp_path / "state.pt")
    assert state.step == 3 and state.samples_seen == 12
    assert all(torch.isfinite(tensor).all() for tensor in state.network.values())
    assert (tmp_path / "micro.safetensors").exists()


def test_weights_gone_wrong_between_two_steps_do_not_replace_the_last_state(few, micro, tmp_path):
    run = Pretraining(tmp_path, micro, QUICK, few, few, "cpu")
    run.run()
    good = (tmp_path / "state.pt").read_bytes()
    with torch.no_grad():
        run.ema.network.beta.fill_(float("nan"))
    with pytest.raises(SemihandError, match="not finite"):
        run._checkpoint()
    assert (tmp_path / "state.pt").read_bytes() == good


def test_fewer_pictures_than_a_batch_are_an_error_not_a_hang(few, micro, tmp_path):
    with pytest.raises(SemihandError, match="12 pictures make no batch of 32"):
        Pretraining(tmp_path, micro, replace(QUICK, batch=32), few, few, "cpu")


def test_size_that_the_poolings_do_not_divide_is_refused(few, micro, tmp_path):
    with pytest.raises(SemihandError, match="--train-size 40 is not a multiple of 16"):
        Pretraining(tmp_path, micro, replace(QUICK, train_size=40), few, few, "cpu")


def test_unknown_device_is_refused(few, micro, tmp_path):
    with pytest.raises(SemihandError, match="'gpu' is unknown"):
        Pretraining(tmp_path, micro, QUICK, few, few, "gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_cuda_fails_loudly_where_there_is_none(few, micro, tmp_path):
    with pytest.raises(SemihandError, match="no CUDA device"):
        Pretraining(tmp_path, micro, QUICK, few, few, "cuda")


def test_a_training_is_not_overwritten(few, micro, tmp_path):
    Pretraining(tmp_path, micro, QUICK, few, few, "cpu").run()
    with pytest.raises(SemihandError, match="holds a training.*--resume"):
        Pretraining(tmp_path, micro, QUICK, few, few, "cpu").run()


def test_folder_that_cannot_be_made_is_one_sentence(few, micro, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SemihandError, match="could not be made.*--out"):
        Pretraining(tmp_path / "file" / "run", micro, QUICK, few, few, "cpu").run()


def test_resume_without_a_state_or_with_another_network_is_refused(few, micro, tmp_path):
    run = Pretraining(tmp_path, micro, QUICK, few, few, "cpu")
    with pytest.raises(SemihandError, match="no training to resume"):
        run.resume()
    run.run()
    other = Pretraining(tmp_path, replace(micro, widths=(16, 16)), QUICK, few, few, "cpu")
    with pytest.raises(SemihandError, match="another shape"):
        other.resume()


def test_init_starts_from_the_weights_of_a_checkpoint(few, micro, tmp_path):
    Pretraining(tmp_path / "first", micro, QUICK, few, few, "cpu").run()
    file = tmp_path / "first" / "micro.safetensors"
    second = Pretraining(tmp_path / "second", micro, replace(QUICK, seed=3), few, few, "cpu", init=file)
    assert_close(dict(second.network.state_dict()), dict(load_checkpoint(file).weights), atol=0, rtol=0)
    assert second.step == 0
    with pytest.raises(SemihandError, match="'micro' of another shape than 'paper'"):
        Pretraining(tmp_path / "third", PAPER, QUICK, few, few, "cpu", init=file)


# --- two processes and the command line ------------------------------------------------------------------------------

SCRIPT = """
import sys
import torch
from dataclasses import replace
from semihand.adapt.pretrain import PretrainConfig, Pretraining
from semihand.models.network import NetworkConfig
from semihand.synth.cache import open_cache

torch.set_num_threads(1)
pictures, out = open_cache(sys.argv[1]), sys.argv[2]
micro = NetworkConfig("micro", input_size=128, stem="stride4", widths=(16, 16), stacks=1, bottleneck_min=16)
config = PretrainConfig(samples=48, batch=4, bf16=False, warmup_steps=2, train_size=32, validate_every_s=1e9)
run = Pretraining(out, micro, config, pictures, pictures, "cpu")
run.run()
timed = Pretraining(out + "/timed", micro, replace(config, samples=None, minutes=0.005), pictures, pictures, "cpu")
timed.run()
torch.save({"weights": dict(run.network.named_parameters()), "step": run.step, "samples": run.samples,
            "timed_steps": timed.step}, f"{out}/rank{run.process.rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(picture_folder, tmp_path):
    script, out = tmp_path / "train.py", tmp_path / "run"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               str(script), str(picture_folder), str(out)]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (torch.load(out / f"rank{rank}.pt") for rank in range(2))
    assert one["step"] == two["step"] == 6
    assert one["samples"] == two["samples"] == 48
    assert one["timed_steps"] == two["timed_steps"] >= 1
    assert_close(one["weights"], two["weights"], atol=0, rtol=0)
    state = load_training_state(out / "state.pt")
    assert state.samples_seen == 48
    assert len(rows_of(out / "validation.csv")) == 1  # one process writes


def test_command_without_a_budget_says_so_and_exits_1(picture_folder, tmp_path, monkeypatch, capsys):
    arguments = ["--out", tmp_path / "run", "--pictures", picture_folder, "--validation", picture_folder]
    monkeypatch.setattr(sys, "argv", ["semihand", "pretrain", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("semihand: Pre-training needs either --samples or --minutes") and "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_command_trains_and_writes_weights(picture_folder, tmp_path):
    arguments = ["pretrain", "--out", tmp_path / "run", "--pictures", picture_folder, "--validation", picture_folder,
                 "--samples", 4, "--batch", 2, "--train-size", 32, "--device", "cpu", "--fp32", "--seed", 7]  # fmt: skip
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    told = load_checkpoint(tmp_path / "run" / "lite.safetensors").info.provenance
    assert told["samples_seen"] == 4 and told["seed"] == 7 and told["training"]["train_size"] == 32
    again = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert isinstance(again.exception, SemihandError) and "--resume" in str(again.exception)


def test_command_without_pictures_says_how_to_render_them(tmp_path):
    arguments = ["pretrain", "--out", tmp_path / "run", "--pictures", tmp_path, "--validation", tmp_path, "--samples", 4]
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SemihandError) and "semihand synth cache" in str(result.exception)
