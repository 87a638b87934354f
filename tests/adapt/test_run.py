"""`semihand adapt` from a folder of pictures to an installed model, on a toy; the gate's word decides."""

import csv
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.adapt import run
from semihand.adapt.gate.decide import Decision
from semihand.adapt.report.files import read_run
from semihand.adapt.report.training import LOSSES
from semihand.adapt.run import AdaptOptions, adapt
from semihand.adapt.state import Finetuning
from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models.calibration import AVERAGE_BONES, Person, save_person
from semihand.models.checkpoint import describe, save_checkpoint
from semihand.models.export import export
from semihand.models.joints import PRIOR_BONE_LENGTHS
from semihand.models.model_file import open_model, resolve_model
from semihand.models.network import Hourglass
from semihand.models.registry import find
from semihand.record import session
from semihand.record.recording import recording_folder
from semihand.synth.scene import SceneConfig
from semihand.synth.sequences import export_synthetic


class NoHands:
    """Stands for the landmark model that finds no hand."""

    def __call__(self, image):
        return []

    def near(self, image, uv_image, known=None):
        return known


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("target") / "hands"
    export_synthetic(
        folder, 48, 5, SceneConfig(size=64, second_hand=0, held_object=0, occluder=0, empty=0, upright=1.0)
    )
    return folder


@pytest.fixture
def options(target, picture_folder, micro, tmp_path, monkeypatch):
    """Options of a run on a micro network in a data folder of its own; `decision` is what the gate will say."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(run, "LandmarkObserver", NoHands)
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "micro.safetensors", Hourglass(micro).state_dict(), describe(micro, {}))
    export(tmp_path / "micro.safetensors", tmp_path / "micro.onnx")

    def make(decision=None, **changes):
        if decision is not None:
            monkeypatch.setattr(run, "decide", lambda before, after: Decision(decision, "as planted", 0.1, {"a": 1.0}))
        given = {
            "source": str(target), "name": "toy", "model": str(tmp_path / "micro.onnx"), "crop": "label", "device": "cpu",
            "pictures": picture_folder, "iterations": 2, "steps": 2,
        }  # fmt: skip
        return AdaptOptions(**given | changes)

    return make


def test_an_accepted_model_is_installed_with_its_origin(options):
    done = adapt(options(decision=True))
    assert done.decision.accepted and (done.folder / "report.html").exists()
    model = find("my-toy")
    assert model.version == 1 and model.checkpoint.is_file()
    assert open_model("my-toy", "cpu").info.name == "my-toy"
    told = json.loads((done.folder / "run.json").read_text())
    assert told["frames_train"] + told["frames_held_out"] <= 48 and told["frames_held_out"] >= 8
    assert told["parent"]["sha256"] and told["config"]["iterations"] == 2 and told["seconds"] > 0
    assert "toy" in done.text or "Accepted" in done.text


def test_a_measured_hand_is_the_template(options, monkeypatch):
    bones = np.linspace(0.8, 1.3, 20) * AVERAGE_BONES
    runs, real = [], run.Finetuning
    monkeypatch.setattr(run, "Finetuning", lambda *given: runs.append(real(*given)) or runs[-1])
    with pytest.raises(SemihandError, match="There is no profile 'ann'"):
        adapt(options(decision=False, user="ann"))
    save_person(Person("ann", bones, "bank card"))
    adapt(options(decision=False, user="ann"))
    adapt(options(decision=False))
    (measured, plain) = (one.labels.bone_lengths for one in runs)
    assert_allclose(measured / measured[0], bones / bones[0], rtol=1e-3)
    assert_allclose(np.linalg.norm(measured), np.linalg.norm(PRIOR_BONE_LENGTHS))
    assert_allclose(plain, PRIOR_BONE_LENGTHS)


def test_a_refused_model_is_kept_aside_and_nothing_changes(options):
    done = adapt(options(decision=False))
    assert (done.folder / "model.onnx").exists()
    with pytest.raises(SemihandError, match="No model is called 'my-toy'"):
        resolve_model("my-toy")


def test_no_install_only_says_so(options):
    assert adapt(options(decision=True, install=False)).decision.accepted
    with pytest.raises(SemihandError):
        resolve_model("my-toy")


def test_the_real_gate_judges_and_its_numbers_are_kept(options):
    done = adapt(options(install=False))
    indicators = json.loads((done.folder / "indicators.json").read_text())
    assert indicators["before"].keys() == indicators["after"].keys()
    assert indicators["decision"]["accepted"] is done.decision.accepted and indicators["decision"]["reason"]
    with np.load(done.folder / "labels.npz") as labels:
        assert labels["uv_label"].shape[0] == 3  # the start and two iterations
    with np.load(done.folder / "heldout.npz") as held:
        assert np.abs(held["uv_before"] - held["uv_after"]).max() > 0


def test_the_report_reads_what_a_run_writes(options):
    """Every column and file that the report knows comes from a real run, none is planted."""
    done = adapt(options(decision=True))
    run = read_run(done.folder)
    assert run.notes == ()
    known = {
        "t",
        "seconds",
        "rate",
        "pass_rate",
        "view_term",
        "registration_term",
        "confidence_median",
        "spread",
        "synthetic_epe_mm",
    }
    assert known | set(LOSSES) == set(run.iterations) and {"step", "t", *LOSSES} == set(run.train)
    assert all(np.isfinite(values).all() for values in run.iterations.values())
    assert len(run.iterations["t"]) == 2 and len(run.train["step"]) == 4
    error = run.iterations["synthetic_epe_mm"]
    assert (error > 1).all() and error[-1] == pytest.approx(run.indicator("after")["synthetic_epe_mm"], abs=0.01)
    page = (done.folder / "report.html").read_text()
    assert "Does it forget? 3D error on synthetic hands" in page and "Against own labels" in page


def test_ctrl_c_keeps_the_last_iteration_and_resume_goes_on(options, monkeypatch):
    stepped = Finetuning.descend

    def interrupted(self, losses):
        if self.iteration == 2:
            raise KeyboardInterrupt
        stepped(self, losses)

    monkeypatch.setattr(Finetuning, "descend", interrupted)
    with pytest.raises(SemihandError, match="Stopped after iteration 1 of 2.*--resume"):
        adapt(options(decision=True))
    folder = options().folder
    assert (folder / "state.pt").exists() and (folder / "report.html").exists()
    monkeypatch.setattr(Finetuning, "descend", stepped)
    adapt(options(decision=True, resume=True))
    lines = (folder / "iterations.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["t", "1", "2"]
    assert find("my-toy").version == 1


def test_a_loss_that_is_no_number_leaves_everything_as_it_was(options, monkeypatch):
    adapt(options(decision=True))
    before = find("my-toy").path.read_bytes()
    stepped = Finetuning.descend

    def broken(self, losses):
        stepped(self, {name: loss * float("nan") for name, loss in losses.items()})

    monkeypatch.setattr(Finetuning, "descend", broken)
    with pytest.raises(SemihandError, match="loss became nan"):
        adapt(options(decision=True))
    assert find("my-toy").version == 1 and find("my-toy").path.read_bytes() == before


@pytest.mark.slow
def test_two_processes_of_torchrun_install_one_model(options, tmp_path):
    given = options()
    arguments = ["--from", given.source, "--name", "toy", "--model", given.model, "--crop", "label", "--device", "cpu",
                 "--pictures", given.pictures, "--iterations", 2, "--steps", 2, "--teacher", "none"]  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "semihand",
        "adapt",
    ]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("crops to learn from") == 1
    assert given.folder == tmp_path / "data" / "adaptations" / "my-toy" and (given.folder / "report.html").exists()
    with open(given.folder / "train.csv", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]  # one process writes


def test_the_command_passes_a_data_set_on_and_torchrun_has_no_camera(monkeypatch):
    given = []
    monkeypatch.setattr(run, "adapt", lambda options: given.append(options))
    done = CliRunner().invoke(
        app, ["adapt", "--from", "rhd", "--split", "train", "--limit", "700", "--teacher", "none"]
    )
    assert (done.exit_code, done.output) == (0, "")  # all processes but the first have nothing to tell
    assert (given[0].source, given[0].split, given[0].limit, given[0].teacher) == ("rhd", "train", 700, "none")
    assert given[0].made_name == "my-rhd"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert CliRunner().invoke(app, ["adapt", "--record"]).exit_code == 2


def test_a_split_of_what_is_no_data_set_is_one_sentence(options, tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(SemihandError, match="is no data set, so it has no split train"):
        adapt(options(source=str(tmp_path / "pictures"), split="train"))


def test_too_few_hands_are_one_sentence(options, tmp_path):
    folder = tmp_path / "few"
    export_synthetic(folder, 5, 6, SceneConfig(size=64, empty=0))
    with pytest.raises(SemihandError, match="Only 5 frames show a hand, at least 40"):
        adapt(options(source=str(folder)))


def test_what_is_no_source_is_one_sentence(options, tmp_path):
    with pytest.raises(SemihandError, match="nowhere"):
        adapt(options(source="nowhere"))


@pytest.mark.skipif(os.environ.get("DISPLAY") is not None, reason="there is a display")
def test_check_without_a_display_is_refused_before_any_work(options):
    with pytest.raises(SemihandError, match="no display"):
        adapt(options(check=True))


def test_a_full_disk_keeps_the_model_in_use(options, monkeypatch):
    adapt(options(decision=True))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("semihand.models.registry.copy_synced", full)
    with pytest.raises(SemihandError, match="No space left"):
        adapt(options(decision=True))
    assert find("my-toy").version == 1 and open_model("my-toy", "cpu")


@pytest.mark.parametrize("source, name, made", [
    ("mine", None, "my-mine"), ("clip (1).mp4", None, "my-clip--1"), ("mine", "x", "my-x"), ("mine", "my-x", "my-x"),
    ("(.mp4", None, "my-hand"),
])  # fmt: skip
def test_the_personal_models_name(source, name, made):
    assert AdaptOptions(source, name).made_name == made


def test_a_name_means_the_same_with_record_and_from(monkeypatch):
    given = []
    monkeypatch.setattr(run, "adapt", lambda options: given.append(options))
    monkeypatch.setattr(session, "record", lambda options: SimpleNamespace(name=options.made_name()))
    for arguments in (["--record", "--name", "x"], ["--from", "mine", "--name", "x"]):
        assert CliRunner().invoke(app, ["adapt", *arguments]).exit_code == 0
    assert [options.made_name for options in given] == ["my-x", "my-x"] and given[0].source == "x"


def test_the_source_needs_no_option(monkeypatch):
    given = []
    monkeypatch.setattr(run, "adapt", lambda options: given.append(options))
    assert CliRunner().invoke(app, ["adapt", "mine", "--minutes", "5"]).exit_code == 0
    assert (given[0].source, given[0].minutes) == ("mine", 5)
    for wrong in ([], ["mine", "--from", "other"], ["mine", "--record"], ["mine", "other"]):
        assert CliRunner().invoke(app, ["adapt", *wrong]).exit_code == 2
    assert len(given) == 1


class TestFilms:
    """Videos become recordings, each its own."""

    @pytest.fixture
    def recorded(self, monkeypatch, tmp_path):
        """What was asked to be recorded; the recordings are empty folders."""
        monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
        asked = []

        def record(options):
            asked.append(options)
            folder = recording_folder(options.made_name())
            folder.mkdir(parents=True)
            return SimpleNamespace(folder=folder)

        monkeypatch.setattr(run, "record", record)
        return asked

    def test_any_file_name_is_taken_and_the_model_compared_with_is_the_one_given(self, recorded, tmp_path):
        film = tmp_path / "clip (1).mp4"
        film.write_bytes(b"film")
        folder = run._recorded(film, str(film), "paper")
        assert folder.name.startswith("clip--1-") and folder.is_dir()
        assert (recorded[0].video, recorded[0].model) == (str(film), "paper")

    def test_two_films_of_one_name_are_two_recordings_and_the_same_film_is_one(self, recorded, tmp_path):
        films = [tmp_path / place / "clip.mp4" for place in "ab"]
        for film in films:
            film.parent.mkdir()
            film.write_bytes(film.parent.name.encode())
        folders = [run._recorded(film, str(film), "lite") for film in (*films, films[0])]
        assert folders[0] == folders[2] != folders[1] and len(recorded) == 2

    def test_a_folder_of_pictures_that_has_grown_is_another_recording(self, recorded, tmp_path):
        pictures = tmp_path / "hands"
        pictures.mkdir()
        folders = []
        for number in range(2):
            (pictures / f"{number}.png").write_bytes(b"picture")
            folders.append(run._recorded(pictures, str(pictures), "lite"))
        assert folders[0] != folders[1] and recorded[1].images == str(pictures)
