"""The gate's study: targets whose truth fits their pictures, spoiled recordings, and a tiny study from end to end."""

import csv
import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from semihand.adapt.frames.crops import MARGIN
from semihand.adapt.gate.decide import Decision
from semihand.adapt.views import Poses
from semihand.errors import SemihandError
from semihand.evaluate.gate_study.runs import StudyOptions, stretched
from semihand.evaluate.gate_study.study import Row, run_study, study_plot, summary, write_study
from semihand.evaluate.gate_study.targets import absent, blurred, frozen, rendered_crops, rendered_target
from semihand.models.checkpoint import describe, save_checkpoint
from semihand.models.lifting import project, unit_length
from semihand.models.network import Hourglass, NetworkConfig
from semihand.synth.cache import open_cache, render_cache
from semihand.synth.scene import SceneConfig

MICRO = NetworkConfig(
    "micro", input_size=96, stem="stride4", widths=(16, 16), stacks=1, bottleneck_min=8, crop_factor=1.4
)
INFO = describe(MICRO, {"seed": 0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache of 48 small pictures, some of them empty."""
    folder = tmp_path_factory.mktemp("study") / "cache"
    render_cache(
        folder,
        48,
        3,
        SceneConfig(size=64, second_hand=0, held_object=0, occluder=0, empty=0.15),
        workers=1,
        progress=False,
    )
    return folder


@pytest.fixture(scope="module")
def target(folder):
    cache = open_cache(folder)
    return rendered_target("toy", cache, np.flatnonzero(cache.present)[:30], INFO)


def perfect(target, shift=0.0):
    xyz = target.xyz
    depth = (xyz[..., 2] - xyz[:, 9:10, 2]) / unit_length(xyz)[:, None]
    nothing = np.zeros((len(xyz), 64, 64), np.float32)
    return Poses(np.float32(target.uv + shift), np.float32(depth), nothing, np.ones((len(xyz), 21), np.float32))


def test_rendered_truth_fits_its_own_camera_and_picture(target, folder):
    assert_allclose(project(target.xyz, target.crops.K_crop), target.uv, atol=0.02)
    cache = open_cache(folder)
    row = np.flatnonzero(cache.present)[0]
    marked = cache.image.copy()
    marked[row] = 0
    u, v = np.round(cache.uv[row, 9]).astype(int)
    marked[row, v - 1 : v + 2, u - 1 : u + 2] = 255
    shown = (
        rendered_crops(type(cache)(**{**vars(cache), "image": marked}), np.array([row]), INFO)
        .image[0, ..., 0]
        .astype(float)
    )
    at = np.arange(len(shown))
    found = np.array([(shown.sum(0) * at).sum(), (shown.sum(1) * at).sum()]) / shown.sum()
    assert_allclose((found + 0.5) * 64 / 96 - 0.5 - MARGIN, target.uv[0, 9], atol=0.8)


def test_errors_are_zero_for_the_truth_and_exact_for_a_shift(target):
    right = target.errors(perfect(target))
    assert right["nme"].max() < 1e-6 and right["epe_mm"].max() < 1e-3
    assert_allclose(target.errors(perfect(target, shift=3.0))["nme"], 3 * np.sqrt(2) * 1.4 / 64, rtol=1e-5)


def test_missing_labels_are_left_out(target):
    some = type(target)(**{**vars(target), "uv": target.uv.copy(), "xyz": np.full_like(target.xyz, np.nan)})
    some.uv[:, 5:] = np.nan
    found = some.errors(perfect(target, shift=3.0))
    assert np.isfinite(found["nme"]).all() and np.isnan(found["epe_mm"]).all()


def test_spoiled_recordings(target):
    crops = target.crops
    empty = np.full((2, *crops.image.shape[1:]), 7, np.uint8)
    assert (absent(crops, empty).image == 7).all()
    assert (absent(crops, empty, 0.5).image == 7).all((1, 2, 3)).sum() == len(crops) // 2
    assert (
        np.abs(np.diff(blurred(crops).image.astype(float), axis=2)).max()
        < np.abs(np.diff(crops.image.astype(float), axis=2)).max() / 3
    )
    still = frozen(crops)
    assert np.abs(still.image.astype(float) - still.image[0]).max() < 40
    assert_array_equal(still.segment, crops.segment)


def test_stretched_networks_lie_on_the_line():
    torch.manual_seed(0)
    source, network = Hourglass(MICRO), Hourglass(MICRO)
    for stretch, wanted in ((0.0, source), (1.0, network)):
        for mine, theirs in zip(
            stretched(source, network, stretch).state_dict().values(), wanted.state_dict().values()
        ):
            if mine.dtype.is_floating_point:
                assert_allclose(mine, theirs, atol=1e-6)
    weight = "stem.0.weight" if "stem.0.weight" in source.state_dict() else next(iter(source.state_dict()))
    a, b, c = (net.state_dict()[weight] for net in (source, network, stretched(source, network, 2.0)))
    assert_allclose(c, 2 * b - a, atol=1e-5)


@pytest.fixture
def options(folder, tmp_path):
    torch.manual_seed(3)
    save_checkpoint(tmp_path / "micro.safetensors", Hourglass(MICRO).state_dict(), INFO)
    return StudyOptions(
        (), tmp_path / "micro.safetensors", folder, tmp_path / "study", rendered=1, cases=("views only", "absent"), iterations=1,
        steps=1, batch=4, stretches=(1.0,), truths=8, device="cpu",
    )  # fmt: skip


def test_a_study_writes_its_tables_and_goes_on_where_it_was(options):
    rows = run_study(options)
    assert [(row.case, row.harmful) for row in rows] == [("views only", False), ("absent", True)]
    assert not any(row.decision.accepted for row in rows)
    with open(options.out / "study.csv") as file:
        table = list(csv.DictReader(file))
    assert [row["case"] for row in table] == ["views only", "absent"] and float(table[0]["true_nme"]) == pytest.approx(
        rows[0].change["nme"], abs=1e-4
    )
    assert set(json.loads((options.out / "correlations.json").read_text())) >= {"correlation", "gate"}
    assert (options.out / "scatter.svg").read_text().startswith("<svg")
    stamps = {file: file.stat().st_mtime_ns for file in options.out.glob("*/*.npz")}
    again = run_study(options)
    assert {file: file.stat().st_mtime_ns for file in options.out.glob("*/*.npz")} == stamps
    assert [row.change for row in again] == [row.change for row in rows]


def test_other_settings_do_not_mix(options):
    from dataclasses import replace

    run_study(replace(options, cases=("views only",)))
    with pytest.raises(SemihandError, match="other settings"):
        run_study(replace(options, cases=("views only",), steps=2))


def test_unknown_cases_are_refused(options):
    from dataclasses import replace

    with pytest.raises(SemihandError, match="luck"):
        replace(options, cases=("luck",))


def planted(change, score, accepted, harmful=False):
    decision = Decision(accepted, "Planted.", score, {})
    return Row(
        "toy", "robust", 0, 1.0, harmful, {"nme": change}, {"view_consistency": score / 2}, decision, decision, ""
    )


def test_the_summary_counts_what_the_gate_did():
    rows = [
        planted(-0.2, 0.3, True),
        planted(-0.1, 0.1, False),
        planted(0.3, -0.2, False, True),
        planted(0.05, 0.05, True),
    ]
    told = summary(rows)
    assert told["correlation"]["all"]["score"] == 1.0 and told["correlation"]["all"]["view_consistency"] == 1.0
    assert told["gate"] == {
        "candidates": 4, "accepted": 2, "better": 2, "better_accepted": 1, "worse": 2, "worse_accepted": 1,
        "harmful": 1, "harmful_accepted": 0, "worst_accepted": 0.05,
    }  # fmt: skip
    drawn = study_plot(rows)
    assert "(4 points)" in drawn and all(
        f">{kind}</text>" in drawn for kind in ("accepted", "refused", "refused, harmful")
    )


def test_a_network_that_answers_no_numbers_is_a_row_of_the_study(tmp_path):
    """The gate leaves out what is no number, after all trainings: study.csv is written all the same."""
    broken = planted(float("nan"), 0.0, False, True)
    write_study([planted(-0.2, 0.3, True), broken], tmp_path)
    with open(tmp_path / "study.csv") as file:
        row = list(csv.DictReader(file))[1]
    assert (row["spread_kept"], row["true_nme"], row["accepted"]) == ("nan", "nan", "False")
    assert (tmp_path / "correlations.json").exists() and (tmp_path / "scatter.svg").exists()
