"""The pre-training loop: it learns, resumes exactly, keeps its last good state, and refuses what can't work."""

import csv
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from semihand.errors import SemihandError
from semihand.models.checkpoint import load_checkpoint, load_training_state
from semihand.models.encoder import landmark_weights
from semihand.models.network import BASE, PAPER, Hourglass
from semihand.pretrain import run as pretrain
from semihand.pretrain.run import PretrainConfig, Pretraining, parameter_groups
from semihand.synth.cache import Cache
from semihand.train.augment import AugmentConfig
from semihand.train.validate import score

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
    return Cache(
        **{name: getattr(cache, name)[:count] for name in fields}, config=cache.config, provenance={"seed": 11}
    )


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_budget_and_rate_by_hand():
    config = PretrainConfig(samples=1000, rate=0.01, warmup_steps=10)
    assert config.progress(250, 1e9) == 0.25 and config.progress(2000, 0) == 1.0
    assert config.rate_factor(0, 0.0) == pytest.approx(1.005 / 10)
    assert config.rate_factor(9, 0.0) == pytest.approx(1.005)
    assert config.rate_factor(500, 0.5) == pytest.approx(0.505)
    assert config.rate_factor(999, 1.0) == pytest.approx(0.005)
    steps, stable = replace(config, schedule="steps"), replace(config, schedule="stable", decay=0.2)
    assert [steps.rate_factor(99, p) for p in (0.59, 0.61, 0.89, 0.91)] == pytest.approx([1, 0.1, 0.1, 0.01])
    assert [stable.rate_factor(99, p) for p in (0, 0.8, 0.9, 1.0)] == pytest.approx([1, 1, 0.5, 0.01])
    assert PretrainConfig(minutes=2.0).progress(10**9, 30.0) == 0.25


@pytest.mark.parametrize("values, words", [
    ({}, "either --samples or --minutes"), ({"samples": 9, "minutes": 1.0}, "not both"),
    ({"samples": 9, "schedule": "linear"}, "'linear'"), ({"samples": 9, "people": 1.0}, "people 1.0"), ({"samples": 9, "batch": 1}, "Batch 1"),
])  # fmt: skip
def test_impossible_configurations_are_refused(values, words):
    with pytest.raises(SemihandError, match=words):
        PretrainConfig(**values)


def test_only_kernels_decay(micro):
    network = Hourglass(micro)
    decayed, plain = parameter_groups(network, PretrainConfig(samples=9, weight_decay=0.01))
    assert decayed["weight_decay"] == 0.01 and plain["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(plain["params"]) == len(list(network.parameters()))
    assert all(p.ndim == 4 for p in decayed["params"])
    assert any(p is network.beta for p in plain["params"])


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
    assert resumed._bar().initial == 40.0  # or the time left would be far too short
    assert resumed.run() == scores
    assert (resumed.step, resumed.samples) == (5, 20) == (straight.step, straight.samples)
    for mine, theirs in zip(
        (resumed.network.state_dict(), resumed.ema.network.state_dict()),
        (straight.network.state_dict(), straight.ema.network.state_dict()),
    ):
        assert_close(mine, theirs, atol=0, rtol=0)
    assert [row["samples"] for row in rows_of(tmp_path / "cut" / "validation.csv")] == [
        "4",
        "8",
        "12",
        "16",
        "20",
        "20",
    ]


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

    def broken(predictions, target, config):
        loss, parts = real(predictions, target, config)
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


def test_without_a_gpu_all_pictures_must_be_rendered_before(few, micro, tmp_path):
    half = replace(few, done=((np.array([True]), 6), (np.array([False]), 6)))
    with pytest.raises(SemihandError, match="Without a GPU all pictures must be rendered before"):
        Pretraining(tmp_path, micro, QUICK, half, few, "cpu")


@pytest.mark.parametrize("faster", [True, False])
def test_the_faster_precision_is_taken_and_nothing_is_changed_by_measuring(few, micro, tmp_path, monkeypatch, faster):
    seconds = iter([0, 9, 0, 9, 0, 1, 0, 2] if faster else [0, 9, 0, 9, 0, 2, 0, 1])  # bf16, fp32, and again
    monkeypatch.setattr(pretrain.time, "perf_counter", lambda: next(seconds))
    run = Pretraining(tmp_path, micro, replace(QUICK, bf16=None), few, few, "cpu")
    assert run.bf16 is faster and next(seconds, None) is None
    plain = Pretraining(tmp_path, micro, QUICK, few, few, "cpu")
    for name, value in plain.network.state_dict().items():
        assert_close(run.network.state_dict()[name], value)
    assert all(parameter.grad is None for parameter in run.network.parameters())


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


class People:
    """A pool of two people's crops that remembers what was drawn."""

    provenance, held = {"data": "people"}, ()

    def __init__(self):
        self.drawn = []

    def draw(self, count, rng):
        value = int(rng.integers(200))
        self.drawn.append(value)
        return {
            "image": torch.full((count, 98, 98, 3), value, dtype=torch.uint8), "uv": torch.full((count, 21, 2), 48.0),
            "depth": torch.zeros(count, 21), "weight": torch.ones(count, 21), "mask": torch.zeros(count, 112, 112, dtype=torch.uint8),
            "known": torch.zeros(count, 112, 112, dtype=torch.uint8), "present": torch.ones(count, dtype=torch.bool),
        }  # fmt: skip


def test_half_of_a_batch_are_people_and_some_places_are_empty(few, micro, tmp_path):
    people = People()
    config = replace(QUICK, augment=STILL, empty=0.999)
    run = Pretraining(
        tmp_path, micro, config, few, few, "cpu", pool=people, backgrounds=[np.zeros((80, 80, 3), np.uint8)]
    )
    image, target = run.mixture.draw(np.array([0, 1]), run.step)
    assert len(image) == 4 and not target.present.any() and (target.known == 1).all() and (target.mask == 0).all()
    run = Pretraining(tmp_path, micro, replace(config, empty=0.0), few, few, "cpu", pool=people)
    image, target = run.mixture.draw(np.array([0, 1]), run.step)
    assert_close(image[2:], torch.full_like(image[2:], people.drawn[-1]))
    assert (target.known[:2] > 0).any() and (target.known[2:] == 0).all()
    run.run()
    assert run.samples == 16 and load_checkpoint(tmp_path / "micro.safetensors").info.provenance["people"] == {
        "data": "people"
    }


def test_a_resumed_run_draws_the_same_people(few, micro, tmp_path):
    config, straight, cut = replace(QUICK, samples=20, validate_every_s=0.0), People(), People()
    Pretraining(tmp_path / "straight", micro, config, few, few, "cpu", pool=straight).run()
    with pytest.raises(KeyboardInterrupt):
        Interrupted(tmp_path / "cut", micro, config, few, few, "cpu", pool=People()).run()
    resumed = Pretraining(tmp_path / "cut", micro, config, few, few, "cpu", pool=cut)
    resumed.resume()
    resumed.run()
    assert cut.drawn == straight.drawn[2:] and len(straight.drawn) == 5


def test_a_longer_budget_goes_on_before_the_way_down(few, micro, tmp_path):
    config = replace(QUICK, samples=32, schedule="stable", decay=0.5)
    Pretraining(tmp_path, micro, config, few, few, "cpu").run()
    assert load_training_state(tmp_path / "stable.pt").samples_seen == 16
    longer = Pretraining(tmp_path, micro, replace(config, samples=80), few, few, "cpu")
    longer.resume()
    assert longer.samples == 16
    same = Pretraining(tmp_path, micro, config, few, few, "cpu")
    same.resume()
    assert same.samples == 32


def test_base_starts_from_the_released_encoder_and_trains_its_late_layers(few, tmp_path):
    config = PretrainConfig(samples=9, batch=4, thaw=40, encoder_rate=1e-5)
    run = Pretraining(tmp_path, BASE, config, few, few, "cpu")
    released, answers = landmark_weights()
    assert_close(dict(run.network.stem.state_dict()), released, atol=0, rtol=0)
    assert_close(run.network.verdict.weight[0], answers["presence"][0][0], atol=0, rtol=0)
    (_, _, encoder) = run.optimizer.param_groups
    assert encoder["rate"] == 1e-5 and len(encoder["params"]) == 2 * 7
    assert len(Pretraining(tmp_path, BASE, replace(config, thaw=None), few, few, "cpu").optimizer.param_groups) == 2
