"""`semihand ablate` on a toy: a micro network, rendered pictures as the labelled half and as the target."""

import csv

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from semihand.adapt.ablation import ROWS, row_config
from semihand.adapt.profiles import PAPER, ROBUST
from semihand.errors import SemihandError
from semihand.evaluate import ablate
from semihand.evaluate.ablate import AblateOptions, run_ablation, table
from semihand.evaluate.synthetic import export_synthetic
from semihand.evaluate.target import open_target
from semihand.models.checkpoint import describe, load_checkpoint, save_checkpoint
from semihand.models.network import Hourglass, NetworkConfig
from semihand.synth.cache import render_cache
from semihand.synth.scene import SceneConfig

MICRO = NetworkConfig("micro", input_size=128, stem="stride4", widths=(32, 32, 32), stacks=1, bottleneck_min=16, crop_factor=1.4)
PLAIN = SceneConfig(size=64, second_hand=0, held_object=0, occluder=0, empty=0, upright=1.0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Folder with a checkpoint, a cache of 24 pictures and a labelled sequence of 12."""
    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    save_checkpoint(folder / "micro.safetensors", Hourglass(MICRO).state_dict(), describe(MICRO, {}))
    render_cache(folder / "pictures", 24, 1, PLAIN, workers=1, progress=False)
    export_synthetic(folder / "target", 12, 2, SceneConfig(size=128, second_hand=0, held_object=0, occluder=0, empty=0, upright=1.0))
    return folder


class NoHands:
    """Stands for the landmark model that finds no hand."""

    def __call__(self, image):
        return []


@pytest.fixture
def options(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(ablate, "open_target", lambda folder, checkpoint, crop: open_target(folder, checkpoint, crop, NoHands()))
    return lambda **changes: AblateOptions(**{
        "data": toy / "target", "pictures": toy / "pictures", "results": tmp_path / "results.csv", "model": str(toy / "micro.safetensors"),
        "rows": ("baseline", "vc", "oracle"), "seeds": 2, "iterations": 1, "steps": 1, "batch": 4, "device": "cpu",
    } | changes)  # fmt: skip


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_and_seed_runs_once_and_is_measured_on_both_parts(options):
    text = run_ablation(options())
    rows = rows_of(options().results)
    assert [(row["row"], row["seed"]) for row in rows] == [
        ("baseline", "0"), ("vc", "0"), ("oracle", "0"), ("vc", "1"), ("oracle", "1")
    ]  # fmt: skip
    for row in rows:
        assert 5 < float(row["adapted_epe_mm"]) < 300 and 5 < float(row["other_epe_mm"]) < 300
    assert len({row["adapted_epe_mm"] for row in rows}) == len(rows)  # every run gave another network
    assert "±" in text and text.splitlines()[1].startswith("baseline")


def test_rows_found_in_the_results_are_not_run_again(options, monkeypatch):
    run_ablation(options(rows=("baseline",), seeds=1))
    before = options().results.read_text()

    def fail(*_):
        raise AssertionError("a finished row ran again")

    monkeypatch.setattr(ablate, "_adapt", fail)
    run_ablation(options(rows=("baseline",), seeds=1))
    assert options().results.read_text() == before


def test_a_killed_ablation_leaves_whole_rows(options, tmp_path):
    run_ablation(options(rows=("baseline",), seeds=1))
    with open(options().results, "a") as file:
        file.write("vc,0,1.0")  # a line that a kill cut off
    run_ablation(options(rows=("baseline", "vc"), seeds=1))
    finished = [row for row in rows_of(options().results) if row["adapted_epe_mm"]]
    assert [row["row"] for row in finished] == ["baseline", "vc"]


def test_rows_switch_the_terms_that_they_name():
    vc, cc, both, labels = (row_config(row) for row in ("vc", "cc", "vc+cc", "pseudo-labels"))
    assert (vc.view_weight, vc.circles_weight, vc.pseudo_weight) == (0.1, 0, 0)
    assert (cc.view_weight, cc.circles_weight, cc.pseudo_weight) == (0, 0.1, 0)
    assert (both.view_weight, both.circles_weight, both.pseudo_weight) == (0.1, 0.1, 0)
    assert (labels.view_weight, labels.circles_weight, labels.pseudo_weight) == (0, 0, 1)
    assert row_config("paper") == PAPER and row_config("robust") == ROBUST
    assert not row_config("control").uses_unlabelled and row_config("bn").uses_unlabelled
    assert row_config("oracle").teacher_weight == 1 and row_config("oracle").view_weight == 0
    assert row_config("baseline") is None
    with pytest.raises(SemihandError, match="'nonsense' is unknown"):
        row_config("nonsense")


def test_the_oracle_sees_the_true_pose(toy):
    target = open_target(toy / "target", load_checkpoint(toy / "micro.safetensors"), "label", NoHands())
    labels = target.labels()
    poses = type("P", (), {"uv": labels.uv, "depth": labels.depth, "mask": np.zeros((12, 64, 64), np.float32)})
    metrics = target.measure_poses(poses).metrics
    assert_allclose(metrics["epe_mm"], 0, atol=0.05)
    assert_allclose(metrics["nme"], 0, atol=1e-3)


def test_table_counts_the_way_from_control_to_oracle(tmp_path):
    file = tmp_path / "r.csv"
    columns = ["row", "seed", "seconds"] + [f"{p}_{m}" for p in ("adapted", "other") for m in ("epe_mm", "pa_mm", "nme")]
    lines = [("robust-control", 0, 20.0), ("oracle", 0, 10.0), ("vc", 0, 14.0), ("vc", 1, 16.0)]
    with open(file, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        for row, seed, epe in lines:
            writer.writerow([row, seed, 1, epe, 1, 1, epe, 1, 1])
    line = next(line for line in table(file).splitlines() if line.startswith("vc "))
    assert "15 ± 1.4" in line and line.count("50%") == 2


def test_unknown_rows_and_shares_are_refused(options):
    with pytest.raises(SemihandError, match="Rows magic are unknown"):
        options(rows=("magic",))
    with pytest.raises(SemihandError, match="0 < share"):
        options(share=0.0)


def test_all_rows_are_explained():
    assert all(ROWS.values()) and set(ROWS) >= {"baseline", "bn", "vc", "cc", "vc+cc", "pseudo-labels", "paper", "robust", "oracle"}
