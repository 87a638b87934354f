"""`semihand ablate` on a toy: a micro network, rendered pictures as the labelled half and as the target."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.adapt.profiles import PAPER, ROBUST
from semihand.adapt.state import Finetuning
from semihand.cli import app
from semihand.datasets.sequence import read_sequence
from semihand.errors import SemihandError
from semihand.evaluate.ablate import run as ablate
from semihand.evaluate.ablate.plan import Run, plan
from semihand.evaluate.ablate.results import COLUMNS, Results
from semihand.evaluate.ablate.rows import CONTROLS, ROWS, TAUGHT, row_config
from semihand.evaluate.ablate.run import AblateOptions, Ablation, Outcome, run_ablation
from semihand.evaluate.ablate.settings import Setting
from semihand.evaluate.ablate.target import cut_target
from semihand.models.checkpoint import describe, load_checkpoint, save_checkpoint
from semihand.models.network import Hourglass, NetworkConfig
from semihand.synth.cache import render_cache
from semihand.synth.scene import SceneConfig
from semihand.synth.sequences import export_synthetic

MICRO = NetworkConfig(
    "micro", input_size=128, stem="stride4", widths=(32, 32, 32), stacks=1, bottleneck_min=16, crop_factor=1.4
)
PLAIN = dict(second_hand=0, held_object=0, occluder=0, empty=0, upright=1.0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Folder with a checkpoint, a cache of 24 pictures and a labelled sequence of 12."""
    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    save_checkpoint(folder / "micro.safetensors", Hourglass(MICRO).state_dict(), describe(MICRO, {}))
    render_cache(folder / "pictures", 24, 1, SceneConfig(size=64, **PLAIN), workers=1, progress=False)
    export_synthetic(folder / "target", 12, 2, SceneConfig(size=128, **PLAIN))
    return folder


class NoHands:
    """Stands for the landmark model that finds no hand."""

    def __call__(self, image):
        return []

    def near(self, image, uv_image, known=None):
        return known


@pytest.fixture
def values(toy, tmp_path):
    return {
        "data": toy / "target", "pictures": toy / "pictures", "results": tmp_path / "results.csv", "model": str(toy / "micro.safetensors"),
        "rows": ("baseline", "vc", "oracle"), "seeds": 2, "iterations": 1, "steps": 1, "batch": 4, "device": "cpu",
    }  # fmt: skip


@pytest.fixture
def options(values, monkeypatch):
    monkeypatch.setattr(ablate, "cut_target", lambda *args, **more: cut_target(*args, observer=NoHands(), **more))
    return lambda **changes: AblateOptions(**values | changes)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_and_seed_runs_once_and_is_measured_on_both_parts(options):
    outcome = run_ablation(options(check_order=True))
    rows = rows_of(options().results)
    assert [(row["row"], row["seed"]) for row in rows] == [
        ("baseline", "0"), ("vc", "0"), ("oracle", "0"), ("vc", "1"), ("oracle", "1")
    ]  # fmt: skip
    for row in rows:
        assert 5 < float(row["adapted_epe_mm"]) < 300 and 5 < float(row["other_epe_mm"]) < 300
        assert 0 <= float(row["adapted_auc_20_50"]) <= 1 and 0 <= float(row["other_mask_iou"]) <= 1
        curve = np.array(row["other_curve"].split(), float)
        assert len(curve) == 51 and (np.diff(curve) >= 0).all()
        assert row["data"] == "target" and row["setting"] == ""
    assert len({row["adapted_epe_mm"] for row in rows}) == len(rows)  # every run gave another network
    lines = outcome.text.splitlines()
    assert outcome.finished and "±" in outcome.text and lines[2].startswith("baseline")
    assert lines[0].startswith("target, poses adapted to: 8 frames") and "other poses: 4 frames" in outcome.text
    assert "baseline > cc: not measured: cc" in outcome.text


def test_how_it_came_about_is_beside_the_results(options):
    run_ablation(options(rows=("baseline",), seeds=1))
    start = json.loads(options().results.with_name("results.provenance.json").read_text())["starts"][0]
    assert {"command", "date", "versions", "commit", "hardware"} <= start.keys()
    assert start["data"]["name"] == "target" and start["data"]["frames"] == {"adapted": 8, "other": 4, "missed": 0}
    assert len(start["recipe"]["model"]) == 16 and start["recipe"]["steps"] == 1


def test_runs_of_another_recipe_do_not_mix(options):
    run_ablation(options(rows=("baseline",), seeds=1))
    with pytest.raises(SemihandError, match="steps was 1, now 2. Give another --results"):
        run_ablation(options(rows=("vc",), seeds=1, steps=2))
    with pytest.raises(SemihandError, match="limit was None, now 4"):
        run_ablation(options(rows=("vc",), seeds=1, limit=4))


def test_the_data_set_is_read_as_it_is_asked_for(options, monkeypatch):
    asked, read = [], ablate.open_dataset
    monkeypatch.setattr(
        ablate, "open_dataset", lambda *given, **more: asked.append((given[1:], more)) or read(given[0])
    )
    run_ablation(
        options(
            rows=("baseline",), seeds=1, format="stb", split="sk-train", reader={"wrist": "palm"}, test_split="sk-test"
        )
    )
    assert asked == [(("stb", "sk-train"), {"wrist": "palm"}), (("stb", "sk-test"), {"wrist": "palm"})]
    with pytest.raises(SemihandError, match="reader was {'wrist': 'palm'}, now None"):
        run_ablation(options(rows=("vc",), seeds=1, split="sk-train", test_split="sk-test"))


def test_rows_found_in_the_results_are_not_run_again(options, monkeypatch):
    run_ablation(options(rows=("baseline",), seeds=1))
    before = options().results.read_text()

    def fail(*_):
        raise AssertionError("a finished row ran again")

    monkeypatch.setattr(Ablation, "_measured", fail)
    run_ablation(options(rows=("baseline",), seeds=1))
    assert options().results.read_text() == before


def test_a_killed_process_loses_the_run_it_was_in_and_no_other(options, values, tmp_path):
    given = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    (tmp_path / "options.json").write_text(json.dumps(given | {"rows": ["baseline", "vc", "cc"], "seeds": 1}))
    child = subprocess.Popen([sys.executable, Path(__file__).with_name("ablate_child.py"), tmp_path / "options.json"])
    end = time.monotonic() + 120
    while not (tmp_path / "waiting").exists() and child.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    found = options().results.read_text()
    assert [row["row"] for row in rows_of(options().results)] == ["baseline", "vc"]
    run_ablation(options(rows=("baseline", "vc", "cc"), seeds=1))
    assert options().results.read_text().startswith(found)
    assert [row["row"] for row in rows_of(options().results)] == ["baseline", "vc", "cc"]
    assert len(Results(options().results).starts()) == 2


def test_progress_says_how_long_it_will_take(options, caplog):
    ablation = Ablation(options(seeds=1))
    todo = [Run(row, 0, Setting()) for row in ("baseline", "vc", "cc", "vc")]
    with caplog.at_level("INFO"):
        ablation.results.prepare("target")
        ablation.results.append({"row": "baseline", "seed": 0, "seconds": 9})
        ablation._say(0, todo, {"other_epe_mm": 12.5})
        ablation.results.append({"row": "vc", "seed": 0, "seconds": 100})
        ablation._say(0, todo, {"other_epe_mm": 12.5})
        ablation.results.append({"row": "cc", "seed": 0, "seconds": 400})
        ablation._say(1, todo, {})
    said = [record.message for record in caplog.records if " done: " in record.message]
    assert said[0] == "1 of 4 done: baseline, seed 0: other_epe_mm 12.5; how long a training takes is not known yet."
    assert said[1].endswith("other_epe_mm 12.5; about 5 minutes left.")
    assert said[2] == "2 of 4 done: vc, seed 0: no result; about 8 minutes left."


def test_ctrl_c_ends_with_the_table_so_far(options, monkeypatch):
    measured = Ablation._measured

    def interrupted(self, run):
        if run.row == "vc":
            raise KeyboardInterrupt
        return measured(self, run)

    monkeypatch.setattr(Ablation, "_measured", interrupted)
    outcome = run_ablation(options(seeds=1))
    assert not outcome.finished and "\nbaseline" in outcome.text and "\nvc" not in outcome.text
    assert [row["row"] for row in rows_of(options().results)] == ["baseline"]


def test_a_training_that_goes_wrong_is_noted_and_the_others_go_on(options, monkeypatch):
    refuse = Finetuning.refuse_collapse

    def collapse(self, poses):
        if self.config.view_weight:
            raise SemihandError("The network is collapsing.")
        refuse(self, poses)

    monkeypatch.setattr(Finetuning, "refuse_collapse", collapse)
    outcome = run_ablation(options(rows=("baseline", "vc", "oracle"), seeds=1))
    rows = rows_of(options().results)
    assert [row["row"] for row in rows] == ["baseline", "vc", "oracle"]
    assert rows[1]["note"] == "The network is collapsing." and rows[1]["other_epe_mm"] == "" and rows[2]["other_epe_mm"]
    assert "went wrong:\nvc, seed 0: The network is collapsing." in outcome.text


def test_an_older_file_goes_on_with_the_new_columns(options):
    old = "row,seed,seconds,adapted_epe_mm,adapted_pa_mm,adapted_nme,other_epe_mm,other_pa_mm,other_nme\r\n"
    options().results.write_text(old + "baseline,0,2.7,17.5,9.5,0.05,21.5,14.5,0.08\r\nvc,0,1", newline="")
    run_ablation(options(rows=("baseline", "vc"), seeds=1))
    rows = rows_of(options().results)
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["row"], row["data"]) for row in rows] == [("baseline", "target"), ("vc", "target")]
    assert rows[0]["other_epe_mm"] == "21.5" and rows[0]["other_auc_20_50"] == "" and rows[1]["other_auc_20_50"]


def test_settings_are_runs_of_their_own_in_the_same_file(options):
    run_ablation(options(rows=("baseline", "vc"), seeds=1))
    outcome = run_ablation(options(rows=("baseline", "vc"), seeds=1, changes=(("rate", 0.01),)))
    rows = rows_of(options().results)
    assert [(row["row"], row["setting"]) for row in rows] == [("baseline", ""), ("vc", ""), ("vc", "rate=0.01")]
    assert rows[1]["other_epe_mm"] != rows[2]["other_epe_mm"]
    line = next(line for line in outcome.text.splitlines() if line.startswith("vc [rate=0.01]"))
    assert line.count("%") == 1  # against the baseline, which has no settings


def test_figures_share_their_runs_and_are_drawn(options):
    outcome = run_ablation(options(rows=("robust",), seeds=1, figures=("share", "sets", "auc", "bars")))
    rows = rows_of(options().results)
    ran = [(row["row"], row["setting"]) for row in rows]
    assert len(set(ran)) == len(ran)
    for setting in ("", "unlabelled=5%", "unlabelled=50%", "adapt=test", "adapt=both"):
        assert ("robust", setting) in ran
    assert {row for row, _ in ran} == {
        "baseline",
        "robust",
        "weak-masks",
        "weak-2d",
        "oracle",
        "vc+cc",
        "pseudo-labels",
        "paper",
    }
    assert not any(row["note"] for row in rows)
    for name in ("share-target", "sets-target", "auc-target", "bars"):
        assert (options().results.with_name(f"results-{name}.png")).read_bytes().startswith(b"\x89PNG")
    assert outcome.text.count("Figure ") == 4


def test_parts_to_adapt_to(options):
    ablation = Ablation(options())
    adapted, other = ablation.parts
    shown = {part: ablation._shown(Run("robust", 0, Setting(adapt_to=part))) for part in ("train", "test", "both")}
    assert_allclose(shown["test"].crops.image, other.crops.image)
    assert_allclose(shown["both"].crops.image, np.concatenate([adapted.crops.image, other.crops.image]))
    assert len(set(shown["both"].crops.segment)) == 12 and shown["both"].frames == adapted.frames + other.frames
    few, more = (ablation._shown(Run("robust", 0, Setting(unlabelled=share))) for share in (25, 50))
    assert (len(few), len(more)) == (2, 4) and set(map(id, few.frames)) <= set(map(id, more.frames))
    assert set(map(id, few.frames)) != set(map(id, ablation._shown(Run("robust", 1, Setting(unlabelled=25))).frames))


def test_a_test_set_measures_instead_of_the_rest(options, toy):
    ablation = Ablation(options(test=toy / "target", limit=5))
    adapted, other = ablation.parts
    assert (len(adapted), len(other)) == (5, 5) and ablation.name == "target"
    assert [frame.image.name for frame in adapted.frames] == [f"{i:06d}.jpg" for i in (0, 3, 6, 8, 11)]
    with pytest.raises(SemihandError, match="Leave out either the share or the test set"):
        options(test=toy / "target", share=0.5)


def test_rows_whose_labels_are_missing(options, monkeypatch, caplog):
    ablation = Ablation(options(rows=None, figures=("share",), seeds=1))
    adapted, other = ablation.parts
    bare = [
        type(adapted)(one.sequence, one.crops, tuple(_without_mask(frame) for frame in one.frames))
        for one in (adapted, other)
    ]
    ablation.parts = tuple(bare)
    left = ablation._possible(plan(ablation.options))
    assert "weak-masks" not in {run.row for run in left} and "weak-2d" in {run.row for run in left}
    assert "Row weak-masks is left out: 8 frames (000000.jpg first) have no mask" in caplog.text
    ablation.options = options(rows=("weak-masks",), seeds=1)
    with pytest.raises(SemihandError, match="Row weak-masks cannot learn: 8 frames"):
        ablation._possible(plan(ablation.options))


def _without_mask(frame):
    return type(frame)(frame.image, frame.K, frame.handedness, frame.box, frame.uv, frame.xyz)


def test_rows_switch_the_terms_that_they_name():
    vc, cc, both, labels = (row_config(row) for row in ("vc", "cc", "vc+cc", "pseudo-labels"))
    assert (vc.view_weight, vc.circles_weight, vc.pseudo_weight) == (0.1, 0, 0)
    assert (cc.view_weight, cc.circles_weight, cc.pseudo_weight) == (0, 0.1, 0)
    assert (both.view_weight, both.circles_weight, both.pseudo_weight) == (0.1, 0.1, 0)
    assert (labels.view_weight, labels.circles_weight, labels.pseudo_weight) == (0, 0, 1)
    assert row_config("paper") == PAPER and row_config("robust") == ROBUST
    assert not row_config("control").uses_unlabelled and row_config("bn").uses_unlabelled
    assert row_config("oracle").teacher_weight == 1 and row_config("oracle").view_weight == 0
    assert row_config("weak-2d").teacher_weight == 1 and not row_config("weak-2d").teacher_depth
    assert row_config("weak-masks").circles_weight > 0 and row_config("weak-masks").view_weight == ROBUST.view_weight
    assert row_config("baseline") is None
    with pytest.raises(SemihandError, match="'nonsense' is unknown"):
        row_config("nonsense")


def test_changes_leave_off_what_a_row_switches_off(options):
    settings = Setting((("rate", 0.5), ("view_weight", 3.0)))
    config = {row: options(steps=None).config(row, 2.0, settings) for row in ("vc", "cc", "robust", "control")}
    assert [config[row].view_weight for row in ("vc", "cc", "robust", "control")] == [3.0, 0.0, 3.0, 0.0]
    assert all(one.rate == 0.5 for one in config.values())
    assert (
        options(steps=7).config("robust", 2.0).steps == 7
        and options(steps=7).config("robust", 2.0, Setting((("steps", 5),))).steps == 5
    )


def test_the_oracle_sees_the_true_pose(toy):
    target = cut_target(read_sequence(toy / "target"), load_checkpoint(toy / "micro.safetensors"), "label", NoHands())
    labels = target.labels()
    poses = type("P", (), {"uv": labels.uv, "depth": labels.depth, "mask": np.zeros((12, 64, 64), np.float32)})
    metrics = target.measure_poses(poses).metrics
    assert_allclose(metrics["epe_mm"], 0, atol=0.05)
    assert_allclose(metrics["nme"], 0, atol=1e-3)


@pytest.mark.parametrize("changes, words", [
    ({"rows": ("magic",)}, "Rows magic are unknown"), ({"figures": ("pie",)}, "Figures pie are unknown. Known: table, bars"),
    ({"share": 0.0}, "0 < share"), ({"share": 1.5}, "0 < share"), ({"seeds": 0}, "a seed"), ({"limit": 1}, "two frames"),
])  # fmt: skip
def test_impossible_options_are_refused(options, changes, words):
    with pytest.raises(SemihandError, match=words):
        options(**changes)


def test_figures_that_vary_pictures_need_a_method(options):
    with pytest.raises(SemihandError, match="--figure share needs a --row"):
        plan(options(rows=("baseline", "control"), figures=("share",)))
    with pytest.raises(SemihandError, match="no test part"):
        run_ablation(options(rows=("robust",), figures=("sets",), share=1.0))


def test_all_rows_are_explained():
    assert all(ROWS.values()) and set(ROWS) >= {
        "baseline",
        "bn",
        "vc",
        "cc",
        "vc+cc",
        "pseudo-labels",
        "paper",
        "robust",
        "oracle",
    }
    assert (
        set(TAUGHT) <= set(ROWS)
        and CONTROLS["paper"] == "control"
        and CONTROLS["robust"] == CONTROLS["oracle"] == "robust-control"
    )


def test_the_command_passes_everything_on(toy, monkeypatch):
    given = []
    monkeypatch.setattr(ablate, "run_ablation", lambda options: given.append(options) or Outcome("the table", False))
    line = ["ablate", "--data", "d", "--pictures", "p", "--results", "r.csv", "--figure", "share", "--row", "vc", "--limit", "9",
            "--set", "rate=5e-4", "--set", "fixed_masks=true", "--check-order", "--test", "t", "--test-split", "x",
            "--format", "stb", "--option", "wrist=none"]  # fmt: skip
    result = CliRunner().invoke(app, line)
    assert (result.exit_code, result.output) == (130, "the table\n")
    assert given == [AblateOptions(
        Path("d"), Path("p"), Path("r.csv"), ("vc",), figures=("share",), limit=9, test=Path("t"), test_split="x",
        changes=(("fixed_masks", True), ("rate", 0.0005)), check_order=True, format="stb", reader={"wrist": "none"},
    )]  # fmt: skip


@pytest.mark.parametrize("line, words", [
    (["--data", "nowhere"], "nowhere does not exist"), (["--pictures", "nowhere"], "holds no rendered pictures"),
    (["--results", "."], "is a folder"), (["--split", "dev"], "Unknown split 'dev'"), (["--set", "rate"], "has no value"),
])  # fmt: skip
def test_bad_input_is_a_sentence(values, line, words):
    base = {
        "--data": values["data"],
        "--pictures": values["pictures"],
        "--results": values["results"],
        "--model": values["model"],
    }
    arguments = [str(part) for pair in base.items() for part in pair] + line
    result = CliRunner().invoke(app, ["ablate", *arguments])
    assert isinstance(result.exception, SemihandError) and words in str(result.exception)
    assert not values["results"].exists()
