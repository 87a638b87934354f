"""Fine-tuning without labels: Algorithm 1 step by step, what takes part in it, and how it stops and goes on."""

import csv
import math
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch.testing import assert_close

from semihand.adapt import halves
from semihand.adapt.finetune import finetune
from semihand.adapt.frames.crops import WIDE_GRID
from semihand.adapt.labels.pseudo import LabelConfig
from semihand.adapt.labels.readings import ReadingConfig
from semihand.adapt.labels.teacher import TeacherLabels
from semihand.adapt.profiles import PAPER, PROFILES, ROBUST, FinetuneConfig, named_profile
from semihand.adapt.state import Finetuning
from semihand.adapt.views import ViewConfig, predict
from semihand.errors import SemihandError
from semihand.models.checkpoint import Checkpoint, describe, load_checkpoint, load_training_state
from semihand.models.joints import PRIOR_BONE_LENGTHS
from semihand.models.network import Hourglass, NetworkConfig
from semihand.models.registration import register
from semihand.synth.cache import Cache
from semihand.synth.feed import FixedPictures
from semihand.synth.scene import SceneConfig, SceneRenderer
from semihand.train.batches import relative_depth
from semihand.train.process import Process

WEIGHTS = Path(halves.__file__).parents[1] / "models" / "weights" / "lite.safetensors"
LITTLE = NetworkConfig(
    "little", input_size=96, stem="stride4", widths=(16, 16), stacks=1, bottleneck_min=16, crop_factor=1.9
)
#: Two steps an iteration on the six crops of the tests.
QUICK = FinetuneConfig(
    "test", iterations=3, batch=3, late_from=3, circles_weight=0.0,
    labels=LabelConfig(gate="quantile", share=0.5), views=ViewConfig(turn=30.0),
)  # fmt: skip
CONTROL = replace(QUICK, pseudo_weight=0.0, view_weight=0.0, through_norm=False)


@pytest.fixture(scope="module")
def checkpoint():
    """A network that says something else of every joint, though nothing true."""
    torch.manual_seed(1)
    network = Hourglass(LITTLE)
    torch.nn.init.normal_(network.stacks[0].head.weight, std=0.3)
    return Checkpoint(describe(LITTLE, {}), {name: tensor.clone() for name, tensor in network.state_dict().items()})


@pytest.fixture(scope="module")
def noise():
    """Labelled pictures of nothing."""
    rng = np.random.default_rng(2)
    arrays = {
        "image": rng.integers(0, 255, (12, 64, 64, 3), dtype=np.uint8), "mask": np.full((12, 32, 32), 90, np.uint8),
        "uv": rng.uniform(16, 47, (12, 21, 2)).astype(np.float32), "K": np.zeros((12, 4), np.float32),
        "xyz": (rng.normal(0, 0.03, (12, 21, 3)) + [0, 0, 0.5]).astype(np.float32), "visible": np.ones((12, 21), bool),
        "present": np.ones(12, bool),
    }  # fmt: skip
    return FixedPictures(Cache(**arrays, config={"crop_factor": 1.9}, provenance={}))


@pytest.fixture
def crops(crop_set):
    return crop_set(6)


@pytest.fixture
def tuning(checkpoint, crops, noise):
    """tuning(config, **more): a fine-tuning of the little network on the CPU."""

    def build(config=QUICK, crops=crops, **more):
        return Finetuning(checkpoint, crops, noise, config, "cpu", **more)

    return build


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def parameters(network):
    return {name: tensor.detach().clone() for name, tensor in network.named_parameters()}


def statistics(network):
    return {name: tensor.clone() for name, tensor in network.named_buffers() if "running" in name}


def test_the_loop_knows_no_source_and_no_program_around_it():
    """What learns reaches neither readers and cameras nor what evaluates and reports."""
    rooms = ("adapt.run", "adapt.frames.sources", "datasets", "record", "tracker", "evaluate", "report", "commands")
    code = f"""
import sys, semihand.adapt.finetune
print(*(name for name in sys.modules if name.startswith({tuple("semihand." + room for room in rooms)!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


class TestAlgorithm:
    def test_labels_are_corrected_with_the_answers_of_each_iteration(self, tuning, crops):
        """Eq. (7) through the whole loop: p is the mean of the new answer and of the old registration."""
        run, seen = tuning(), []

        def observe(finetuning, confidence):
            assert finetuning is run and (confidence is None) == (not seen)
            answer = predict(run.network, crops)
            seen.append((answer.uv, answer.depth, run.labels.pose, run.labels.registered))

        finetune(run, observer=observe)
        assert len(seen) == 4 and run.step == 6
        assert_array_equal(seen[0][0], seen[0][2][0])  # the first labels are the source's answers
        for (_, _, _, registered), (uv, depth, pose, _) in zip(seen, seen[1:]):
            assert_allclose(pose[0], (uv + registered[0]) / 2, atol=1e-4)
            assert_allclose(pose[1], (depth + registered[1]) / 2, atol=1e-5)
        for _, _, pose, registered in seen:
            assert_allclose(registered[0], register(*pose, crops.K_crop)[0], atol=1e-3)
        assert np.abs(seen[0][0] - seen[-1][0]).max() > 0.05  # and the network did move

    def test_every_pass_sees_every_crop_once(self, tuning):
        run = tuning()
        assert run.steps == 2
        batches = list(run.batches(4))
        assert [len(batch) for batch in batches] == [3] * 4
        for part in (batches[:2], batches[2:]):
            assert sorted(np.concatenate(part)) == list(range(6))
        assert [list(batch) for batch in run.batches(2)] == [list(b) for b in batches[:2]]

    def test_processes_share_a_pass(self, tuning):
        runs = [tuning() for _ in range(2)]
        for rank, run in enumerate(runs):
            run.process = Process(rank, 2, torch.device("cpu"))
        rows = np.concatenate([np.concatenate(list(run.batches(run.steps))) for run in runs])
        assert runs[0].steps == 1 and sorted(rows) == list(range(6))

    def test_fewer_crops_than_a_batch(self, tuning):
        run = tuning(replace(QUICK, batch=64, iterations=1))
        assert run.steps == 1
        finetune(run)
        assert run.step == 1

    def test_rates_of_the_paper(self, tuning, monkeypatch):
        assert [PAPER.learning_rate(t) for t in (1, 4, 5, 10)] == [1e-4, 1e-4, 1e-5, 1e-5]
        run, rates = tuning(), []
        monkeypatch.setattr(run, "descend", lambda losses: rates.append(run.optimizer.param_groups[0]["lr"]))
        finetune(run)
        assert rates == [1e-4] * 4 + [1e-5] * 2

    def test_the_papers_constants_for_tighter_crops(self):
        """A factor of 1 instead of 2: everything is twice as large in pixels, four times in squares."""
        tight = PAPER.for_crop(1.0)
        assert (PAPER.loss.depth_weight, PAPER.labels.tau) == (50.0, 1.5)
        assert (tight.loss.depth_weight, tight.labels.depth_weight, tight.labels.tau) == (200.0, 200.0, 6.0)
        assert PAPER.for_crop(2.0) == PAPER

    def test_the_gate_is_frozen_within_an_iteration(self, tuning, monkeypatch):
        run, gates = tuning(), []
        labels_of = run.labels_of
        monkeypatch.setattr(run, "labels_of", lambda rows, gate: gates.append(gate) or labels_of(rows, gate))
        finetune(run)
        assert gates[0] is gates[1] and gates[2] is gates[3] and gates[0] is not gates[2]
        assert gates[0].sum() == 3

    def test_the_loss_is_the_weighted_sum(self, tuning, tmp_path):
        config = replace(QUICK, view_weight=0.25, pseudo_weight=0.5, loss=replace(QUICK.loss, pose_weight=2.0))
        finetune(tuning(config, folder=tmp_path))
        for row in rows_of(tmp_path / "train.csv"):
            parts = {name: float(row[name]) for name in ("supervised", "unsupervised", "view", "circles", "total")}
            assert min(parts["unsupervised"], parts["view"]) > 0 == parts["circles"]
            wanted = parts["supervised"] + 2.0 * (0.5 * parts["unsupervised"] + 0.25 * parts["view"])
            assert parts["total"] == pytest.approx(wanted, rel=1e-5)

    def test_the_result_is_the_averaged_network_where_there_is_one(self, tuning):
        assert tuning().network is not None and tuning().mean is None
        run = tuning(replace(QUICK, teacher_mean=0.9))
        source = parameters(run.trained)
        result = finetune(run)
        assert result is run.mean.network is not run.trained and run.mean.steps == run.step == 6
        name = "stem.0.weight"
        moved = (run.trained.state_dict()[name] - source[name]).abs().mean()
        behind = (result.state_dict()[name] - source[name]).abs().mean()
        assert 0 < behind < moved
        assert not torch.equal(
            statistics(result)["stem.1.running_mean"], statistics(run.trained)["stem.1.running_mean"]
        )


class TestWhoTakesPart:
    @pytest.fixture
    def others(self, crop_set):
        return crop_set(image=np.random.default_rng(5).integers(0, 90, (6, 168, 168, 3), dtype=np.uint8))

    def test_the_control_never_sees_the_crops(self, tuning, others):
        runs = finetune(tuning(CONTROL)), finetune(tuning(CONTROL, crops=others))
        assert_close(*map(weights, runs), atol=0, rtol=0)

    def test_batch_statistics_alone_move_with_the_crops(self, tuning, others):
        config = replace(CONTROL, through_norm=True)
        runs = [finetune(run) for run in (tuning(config), tuning(config, crops=others), tuning(CONTROL))]
        means = [statistics(run)["stem.1.running_mean"] for run in runs]
        assert (means[0] - means[1]).abs().max() > 1e-3 and (means[0] - means[2]).abs().max() > 1e-3

    def test_batch_statistics_alone_have_no_loss(self, tuning, tmp_path):
        finetune(tuning(replace(CONTROL, through_norm=True), folder=tmp_path))
        for row in rows_of(tmp_path / "train.csv"):
            assert float(row["supervised"]) > 0
            assert all(float(row[name] or 0) == 0 for name in ("unsupervised", "view", "circles", "teacher"))

    def test_another_teacher_pulls_where_it_has_weight(self, tuning, crops):
        """The first three crops are taught joints 6 px to the right; the others are not."""
        config = replace(CONTROL, teacher_weight=10.0, iterations=2, steps=12, rate=2e-3, late_from=9, through_norm=True,
                         views=ViewConfig(turn=1.0, scale=(1.0, 1.0), move=0.0))  # fmt: skip
        before = predict(tuning(config).network, crops)
        uv = before.uv + np.float32([6, 0])
        weight = np.ones((6, 21), np.float32)
        weight[3:] = 0

        def error(run):
            return np.linalg.norm(predict(run.network, crops).uv - uv, axis=-1).mean(1)

        def teacher(*labels):
            return TeacherLabels(*labels, PRIOR_BONE_LENGTHS)

        taught = tuning(config, teacher=teacher(uv, before.depth, weight))
        finetune(taught)
        control = tuning(config)
        finetune(control)
        assert error(taught)[:3].mean() < 0.9 * error(control)[:3].mean()
        nothing = tuning(config, teacher=teacher(uv + 99, before.depth, weight * 0))
        assert_close(weights(finetune(nothing)), weights(control.network), atol=0, rtol=0)

    def test_readings_stand_in_where_another_teacher_has_no_label(self, tuning, crops):
        config = replace(QUICK, readings=ReadingConfig(looks=3), teacher_weight=1.0, ungated_registered=False)
        before = predict(tuning(config).network, crops)

        def gate(taught):
            weight = np.float32(np.arange(6) < taught)[:, None] * np.ones((6, 21), np.float32)
            run = tuning(config, teacher=TeacherLabels(before.uv, before.depth, weight, PRIOR_BONE_LENGTHS))
            assert bool(run.config.pseudo_weight) == (taught < 6)  # nobody looks sixteen times for nothing
            run.labels.start(before)
            return run.labels.judge(run.network, "cpu").gate if taught < 6 else None

        assert_array_equal(gate(4) > 0, [False] * 4 + [True] * 2)
        assert (gate(0) > 0).all() and gate(6) is None

    def test_labels_in_use_are_those_of_both_teachers(self, tuning, crops):
        config, weight = (
            replace(QUICK, readings=ReadingConfig(looks=3), teacher_weight=1.0),
            np.zeros((6, 21), np.float32),
        )
        weight[:3, 5] = 0.2
        uv, depth = np.zeros((6, 21, 2), np.float32), np.zeros((6, 21), np.float32)
        run = tuning(config, teacher=TeacherLabels(uv, depth, weight, PRIOR_BONE_LENGTHS))
        assert run.in_use(np.array([0, 0, 0, 0.5, 0, 0.1])) == pytest.approx({"pass_rate": 0.6, "teacher_rate": 0.5})
        weight[:] = 1  # nobody is left to read
        run = tuning(config, teacher=TeacherLabels(uv, depth, weight, PRIOR_BONE_LENGTHS))
        assert run.in_use(np.full(6, 0.7)) == {"pass_rate": 1.0, "teacher_rate": 1.0}

    @pytest.mark.parametrize("name", sorted(PROFILES))
    def test_profiles_run(self, tuning, name, tmp_path):
        config = named_profile(name, iterations=1, batch=3)
        run = tuning(config, folder=tmp_path)
        finetune(run)
        (row,) = rows_of(tmp_path / "iterations.csv")
        wanted = ["supervised", "view"] + ["circles"] * bool(config.circles_weight)
        assert all(float(row[loss]) > 0 for loss in wanted)
        assert 0 <= float(row["pass_rate"]) <= 1 and float(row["spread"]) > 0.7
        assert all(torch.isfinite(tensor).all() for tensor in run.network.state_dict().values())


class TestLogs:
    def test_a_row_for_each_iteration_and_step(self, tuning, tmp_path):
        run, rates = tuning(folder=tmp_path), []
        finetune(run, observer=lambda _, confidence: rates.append(confidence))
        iterations, steps = rows_of(tmp_path / "iterations.csv"), rows_of(tmp_path / "train.csv")
        assert [row["t"] for row in iterations] == ["1", "2", "3"]
        assert [(row["step"], row["t"]) for row in steps] == [(str(1 + i), str(1 + i // 2)) for i in range(6)]
        for row, confidence in zip(iterations, rates[1:]):
            assert float(row["pass_rate"]) == pytest.approx(confidence.gate.mean())
            assert float(row["view_term"]) == pytest.approx(np.median(confidence.view_term), rel=1e-4)
            assert float(row["registration_term"]) == pytest.approx(np.median(confidence.bone_term), rel=1e-4)
            assert float(row["confidence_median"]) == pytest.approx(np.median(confidence.total), rel=1e-4)
        mean = np.mean([float(row["supervised"]) for row in steps[:2]])
        assert float(iterations[0]["supervised"]) == pytest.approx(mean, rel=1e-3)

    def test_a_loss_that_only_comes_later_is_logged(self, tuning, tmp_path, monkeypatch):
        """Nobody passes the gate in the first iteration, three do in the second."""
        config = replace(QUICK, ungated_registered=False, iterations=2)
        run = tuning(config, folder=tmp_path)
        gate = run.labels._gate
        monkeypatch.setattr(run.labels, "_gate", lambda cost: gate(cost) * (run.iteration > 1))
        finetune(run)
        rows = rows_of(tmp_path / "iterations.csv")
        assert float(rows[0]["unsupervised"] or 0) == 0 < float(rows[1]["unsupervised"])
        assert [float(row["pass_rate"]) for row in rows] == [0.0, 0.5]

    def test_what_validation_finds_becomes_columns(self, tuning, tmp_path):
        run, asked = tuning(folder=tmp_path), []

        def validate(network):
            assert network is run.network
            asked.append(run.step)
            return {"synthetic_epe_mm": 10.0 + len(asked)}

        finetune(run, validate=validate)
        assert asked == [2, 4, 6]
        assert [row["synthetic_epe_mm"] for row in rows_of(tmp_path / "iterations.csv")] == ["11.0", "12.0", "13.0"]

    def test_without_a_folder_nothing_is_written(self, tuning, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        finetune(tuning(replace(QUICK, iterations=1)))
        assert list(tmp_path.iterdir()) == []


class TestBudget:
    def test_iterations_get_fewer_where_the_budget_would_be_passed(self, tuning):
        config = replace(QUICK, steps=6)
        run = tuning(config)
        finetune(run, minutes=1e-9)
        assert (run.iteration, run.step) == (1, 4)
        free = tuning(config)
        finetune(free, minutes=60)
        assert (free.iteration, free.step) == (3, 18)

    def test_the_time_left_is_shared_out(self, tuning):
        run = tuning(replace(QUICK, iterations=5, steps=100))
        run.iteration, run.step, run.seconds, run.step_seconds = 2, 50, 100.0, 100.0
        assert run.affordable(5.0) == 33  # 2 s a step; 200 s are left for three iterations
        run.step_seconds = 80.0  # 1.6 s a step, and 10 s apart from the steps in each iteration
        assert run.affordable(5.0) == 35
        assert run.affordable(None) == 100 == run.affordable(1000)
        assert run.affordable(2.0) == 4 and run.affordable(1.0) == 0

    def test_a_small_budget_begins_with_few_steps_and_a_large_one_with_all(self, tuning):
        run = tuning(replace(QUICK, iterations=5, steps=100))
        assert [run.affordable(minutes) for minutes in (0.1, 1, 60)] == [4, 12, 100]


class TestTrouble:
    def test_a_loss_that_is_no_number_is_one_sentence_and_the_last_state_stays(self, tuning, tmp_path, monkeypatch):
        run = tuning(folder=tmp_path)
        real = halves.LabelledHalf.losses

        def broken(half, answers, circles):
            return {
                name: loss * (math.nan if run.step == 3 else 1) for name, loss in real(half, answers, circles).items()
            }

        monkeypatch.setattr(halves.LabelledHalf, "losses", broken)
        with pytest.raises(SemihandError, match="became nan at step 3.*learning rate"):
            finetune(run)
        state = load_training_state(tmp_path / "state.pt")
        assert (state.extra["iteration"], state.step) == (1, 2)
        assert all(torch.isfinite(tensor).all() for tensor in state.network.values())

    def test_weights_gone_wrong_in_the_last_step_are_found(self, tuning, tmp_path):
        run = tuning(replace(QUICK, iterations=1, steps=1), folder=tmp_path)
        step = run.descend

        def wrong(losses):
            step(losses)
            run.trained.stacks[0].head.weight.data.fill_(math.nan)

        run.descend = wrong
        with pytest.raises(SemihandError, match="After iteration 1"):
            finetune(run)
        assert load_training_state(tmp_path / "state.pt").extra["iteration"] == 0

    def test_joints_that_draw_together_stop_the_run(self, tuning, tmp_path):
        run = tuning(folder=tmp_path)
        step = run.descend

        def flatten(losses):
            step(losses)
            if run.iteration == 2:
                run.trained.stacks[0].head.weight.data.mul_(0.2)

        run.descend = flatten
        with pytest.raises(
            SemihandError, match=r"After iteration 2 the joints keep only \d+% of their spread.*collapsing"
        ):
            finetune(run)
        assert load_training_state(tmp_path / "state.pt").extra["iteration"] == 1

    @pytest.mark.parametrize("values, words", [
        ({"iterations": 0}, "iterations"), ({"batch": 1}, "at least 2"), ({"thaw": -1}, "thaw"), ({"circle_layout": "x"}, "'x'"),
    ])  # fmt: skip
    def test_impossible_configurations_are_refused(self, values, words):
        with pytest.raises(SemihandError, match=words):
            replace(QUICK, **values)
        with pytest.raises(SemihandError, match="'fast' is unknown: paper, robust"):
            named_profile("fast")


#: With random views already before the first iteration, and a template estimated from the first answers.
RESUMED = replace(QUICK, teacher_mean=0.9, labels=LabelConfig(gate="quantile", own_template=True), view_weight=0.5)
CHILD = """
import os, pickle, sys, time
from pathlib import Path
import torch
from semihand.adapt.finetune import finetune
from semihand.adapt.state import Finetuning

def wait():
    print("now", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, when = Path(sys.argv[1]), sys.argv[2]
    run = Finetuning(*pickle.loads((folder / "parts.pkl").read_bytes()), "cpu", folder=folder)
    step, replace = run.descend, os.replace

    def descend(losses):
        if (when, run.step) in (("first iteration", 1), ("second iteration", 3)):
            wait()
        step(losses)

    def replaced(old, new):
        if when == "saving" and run.iteration == 2:
            wait()
        return replace(old, new)

    run.descend, os.replace = descend, replaced
    finetune(run)
"""


class TestResume:
    @pytest.fixture
    def straight(self, tuning):
        run = tuning(RESUMED)
        finetune(run)
        return run

    def assert_same(self, run, straight):
        assert (run.iteration, run.step) == (straight.iteration, straight.step) == (3, 6)
        assert_close(weights(run.network), weights(straight.network), atol=0, rtol=0)
        assert_close(weights(run.trained), weights(straight.trained), atol=0, rtol=0)
        for name, array in straight.labels.state().items():
            assert_array_equal(run.labels.state()[name], array)

    @pytest.mark.parametrize("killed_at", [0, 1, 2, 3, 5])
    def test_a_resumed_run_equals_the_uninterrupted_one(self, tuning, straight, tmp_path, killed_at):
        cut = tuning(RESUMED, folder=tmp_path)
        step = cut.descend

        def interrupted(losses):
            if cut.step == killed_at:
                raise KeyboardInterrupt
            step(losses)

        cut.descend = interrupted
        with pytest.raises(KeyboardInterrupt):
            finetune(cut)
        torch.manual_seed(99)
        run = tuning(RESUMED, folder=tmp_path)
        run.resume()
        assert (run.iteration, run.step) == (killed_at // 2, killed_at // 2 * 2)
        finetune(run)
        self.assert_same(run, straight)

    @pytest.mark.parametrize("when, finished", [("first iteration", 0), ("second iteration", 1), ("saving", 1)])
    def test_after_kill_9(self, checkpoint, crops, noise, tuning, straight, tmp_path, when, finished):
        (tmp_path / "parts.pkl").write_bytes(pickle.dumps((checkpoint, crops, noise, RESUMED)))
        (tmp_path / "child.py").write_text(CHILD)
        child = subprocess.Popen(
            [sys.executable, str(tmp_path / "child.py"), str(tmp_path), when], stdout=subprocess.PIPE
        )
        try:
            assert child.stdout.readline() == b"now\n"
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        run = tuning(RESUMED, folder=tmp_path)
        run.resume()
        assert run.iteration == finished
        finetune(run)
        self.assert_same(run, straight)

    def test_a_finished_run_has_nothing_left_to_do(self, tuning, tmp_path):
        first = tuning(RESUMED, folder=tmp_path)
        finetune(first)
        again = tuning(RESUMED, folder=tmp_path)
        again.resume()
        finetune(again)
        self.assert_same(again, first)
        assert len(rows_of(tmp_path / "train.csv")) == 6

    def test_the_observer_hears_of_the_start_where_no_iteration_was_finished(self, tuning, tmp_path):
        first = tuning(folder=tmp_path)
        first.descend = lambda losses: (_ for _ in ()).throw(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            finetune(first)
        run, heard = tuning(folder=tmp_path), []
        run.resume()
        finetune(run, observer=lambda _, confidence: heard.append(confidence is None))
        assert heard == [True, False, False, False]

    def test_every_process_resumes(self, tuning, tmp_path, monkeypatch):
        """Only the first writes, but all read."""
        finetune(tuning(folder=tmp_path))
        monkeypatch.setattr(Process, "join", classmethod(lambda cls, device: cls(1, 2, torch.device("cpu"))))
        second = tuning(folder=tmp_path)
        second.resume()
        assert second.folder is None and second.iteration == 3

    def test_processes_go_on_with_colours_of_their_own(self, tuning, tmp_path, monkeypatch):
        """The state holds the first process's generator, which the others must not take over."""
        finetune(tuning(folder=tmp_path))
        drawn = []
        for rank in range(2):
            monkeypatch.setattr(
                Process, "join", classmethod(lambda cls, device, rank=rank: cls(rank, 2, torch.device("cpu")))
            )
            tuning(folder=tmp_path).resume()
            drawn.append(torch.rand(3))
        assert not torch.equal(*drawn)

    @pytest.mark.parametrize("changes, words", [
        ({"config": replace(QUICK, rate=2e-4)}, "differs in rate"), ({"config": QUICK.with_teacher()}, "differs in teacher_weight"),
        ({"config": replace(QUICK, labels=LabelConfig(gate="quantile", share=0.4))}, "differs in labels"),
        ({"origin": "another recording"}, "differs in origin"),
    ])  # fmt: skip
    def test_another_recipe_or_recording_is_refused(self, tuning, tmp_path, changes, words):
        finetune(tuning(replace(QUICK, iterations=3), folder=tmp_path, origin="this recording"))
        given = {"config": QUICK, "origin": "this recording"}
        tuning(folder=tmp_path, **given).resume()
        with pytest.raises(SemihandError, match=f"another fine-tuning .*{words}.*without --resume"):
            tuning(folder=tmp_path, **given | changes).resume()

    def test_another_number_of_crops_or_network_is_refused(self, tuning, crops, noise, tmp_path):
        finetune(tuning(replace(QUICK, iterations=1), folder=tmp_path))
        config = replace(QUICK, iterations=1)
        with pytest.raises(SemihandError, match="differs in crops"):
            tuning(config, crops=crops.take(np.arange(5)), folder=tmp_path).resume()
        other = Hourglass(replace(LITTLE, widths=(32, 16)))
        described = Checkpoint(describe(other.config, {}), dict(other.state_dict()))
        with pytest.raises(SemihandError, match="differs in network"):
            Finetuning(described, crops, noise, config, "cpu", folder=tmp_path).resume()

    def test_without_a_state_there_is_nothing_to_resume(self, tuning, tmp_path):
        with pytest.raises(SemihandError, match="no training to resume"):
            tuning(folder=tmp_path).resume()


class TestLandmarkEncoder:
    """A network whose way down is MediaPipe's encoder: its early layers have seen more hands than a recording shows."""

    @pytest.fixture
    def encoded(self):
        config = NetworkConfig(
            "encoded", input_size=128, stem="landmark", widths=(16, 16, 16), stacks=1, bottleneck_min=16
        )
        torch.manual_seed(3)
        network = Hourglass(config)
        torch.nn.init.normal_(network.stacks[0].head.weight, std=0.3)
        return Checkpoint(describe(config, {}), {name: tensor.clone() for name, tensor in network.state_dict().items()})

    @pytest.mark.parametrize("thaw", [16, 47])
    def test_layers_before_the_first_thawed_one_stay_as_they_are(self, encoded, crop_set, noise, thaw):
        config = replace(QUICK, iterations=1, steps=2, thaw=thaw, teacher_mean=0.9)
        run = Finetuning(encoded, crop_set(3, size=224), noise, config, "cpu")
        finetune(run)
        for network in (run.trained, run.network):
            same = [torch.equal(one, encoded.weights[f"stem.{name}"]) for name, one in network.stem.named_parameters()]
            assert same == [True] * 2 * thaw + [False] * (len(same) - 2 * thaw)
            assert not torch.equal(network.stacks[0].head.weight, encoded.weights["stacks.0.head.weight"])
        learning = sum(len(group["params"]) for group in run.optimizer.param_groups)
        assert learning == len(list(run.trained.parameters())) - 2 * thaw - 2  # the verdict's stay too

    def test_the_paper_and_the_robust_profile_keep_the_early_layers(self):
        assert (PAPER.thaw, ROBUST.thaw) == (47, 47)


@pytest.fixture(scope="module")
def shifted_hands():
    """Rendered hands: pictures (N, 168, 168, 3), dark, bluish, noisy and soft, and true uv (N, 21, 2), depth."""
    scene = SceneConfig(size=112, crop_factor=1.4 * WIDE_GRID / 64, second_hand=0, held_object=0, occluder=0, empty=0)
    renderer, rng = SceneRenderer(replace(scene, upright=1.0), seed=5), np.random.default_rng(0)
    samples = [renderer.render(index) for index in range(16)]
    image = []
    for sample in samples:
        soft = cv2.resize(cv2.resize(sample.image, (70, 70), interpolation=cv2.INTER_AREA), (168, 168))
        image.append(np.clip(soft * [0.3, 0.4, 0.6] + 5 + rng.normal(0, 6, soft.shape), 0, 255).astype(np.uint8))
    depth = relative_depth(np.stack([sample.xyz for sample in samples]))
    return np.stack(image), np.stack([sample.uv for sample in samples]) - 24, depth


class TestShiftedDomain:
    """The released small network meets hands in another light and through another sensor; true joints only measure."""

    CONFIG = replace(
        ROBUST, iterations=4, steps=6, batch=6, rate=1e-4, late_rate=3e-5, late_from=4, teacher_mean=0.0,
        pseudo_weight=1.0, circles_weight=0.0,
    )  # fmt: skip

    def test_the_true_error_falls_below_the_sources_and_the_controls(self, crop_set, pictures, shifted_hands):
        image, uv, depth = shifted_hands
        crops, source = crop_set(image=image), load_checkpoint(WEIGHTS)

        def error(network):
            found = predict(network, crops)
            return np.linalg.norm(found.uv - uv, axis=-1).mean(), np.abs(found.depth - depth).mean()

        def adapted(config):
            return finetune(Finetuning(source, crops, FixedPictures(pictures), config, "cpu"))

        before = error(source.build())
        after = error(adapted(self.CONFIG))
        control = error(adapted(replace(self.CONFIG, pseudo_weight=0.0, view_weight=0.0, through_norm=False)))
        assert after[0] < 0.93 * before[0] and after[1] < before[1]
        assert after[0] < 0.97 * control[0]
