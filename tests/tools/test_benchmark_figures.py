"""tools/benchmarks.py: figures between markers, their origin, and what happens without inputs."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError

TOOLS = Path(__file__).resolve().parents[2] / "tools"
ORIGIN = {
    "date": "2026-05-04T10:00:00+00:00", "commit": "0123456789ab", "hardware": {"cpu": "Some CPU", "cores": 2},
    "versions": {"python": "3.11.2", "onnxruntime": "1.31.0"},
}  # fmt: skip
SET = {"name": "one", "predicted_by": "lite", "frames": 50, "unlabelled": 0, "missed": 2, "nme": 0.0659, "epe_mm": 18.966,
       "absent": {}}  # fmt: skip
PAGE = "# Title\n\n<!-- figures:accuracy-real -->\nold text\n<!-- /figures:accuracy-real -->\n\nend\n"


@pytest.fixture(scope="module", autouse=True)
def tools_on_the_path():
    sys.path.insert(0, str(TOOLS))
    yield
    sys.path.remove(str(TOOLS))


@pytest.fixture
def parts():
    names = ("benchmarks", "figures.pages", "figures.store", "figures.tables", "figures.definitions")
    benchmarks, *modules = map(importlib.import_module, names)
    return type("Parts", (), {"benchmarks": benchmarks} | {m.__name__.split(".")[1]: m for m in modules})


@pytest.fixture
def project(tmp_path, parts):
    """A folder with two pages and one measured figure."""
    (tmp_path / "BENCHMARKS.md").write_text(PAGE)
    (tmp_path / "README.md").write_text("nothing here\n")
    store_accuracy(parts, tmp_path)
    return tmp_path


def store_accuracy(parts, root, nme=0.0659, **changes):
    report = {"schema": 2, "model": "lite", "curves": [1], "sets": [SET | {"nme": nme}]}
    results = {"label": report, "detector": report}
    record = parts.store.new_record("accuracy-real", ["semihand eval"], results, 12.34, ("lite.onnx",), ORIGIN)
    return parts.store.write(root / "benchmarks", record | changes)


def test_the_block_holds_table_and_origin(parts, project):
    assert parts.benchmarks.main(["--render-only"], project) == 0
    text = (project / "BENCHMARKS.md").read_text()
    assert "old text" not in text and text.startswith("# Title\n") and text.endswith("\nend\n")
    assert "| set | frames | crop | missed | nme | epe_mm |" in text
    assert "| one | 50 | label | 2 | .0659 | 18.97 |" in text
    assert "Measured 2026-05-04 at commit 0123456789ab on 2 cores of Some CPU" in text and "12 seconds" in text
    assert "```\nsemihand eval\n```" in text and "older" not in text


def test_rendering_twice_is_rendering_once(parts, project):
    parts.benchmarks.main(["--render-only"], project)
    once = (project / "BENCHMARKS.md").read_text()
    parts.benchmarks.main(["--render-only"], project)
    assert (project / "BENCHMARKS.md").read_text() == once


def test_an_edited_number_is_put_right_and_other_text_stays(parts, project):
    parts.benchmarks.main(["--render-only"], project)
    page = project / "BENCHMARKS.md"
    right = page.read_text()
    page.write_text(right.replace(".0659", ".0001").replace("end", "18.97 by hand"))
    parts.benchmarks.main(["--render-only"], project)
    assert page.read_text() == right.replace("end", "18.97 by hand")


def test_a_figure_never_measured_keeps_its_text(parts, project):
    page = project / "README.md"
    page.write_text("<!-- figures:tracking -->\n| by hand | 5.07 |\n<!-- /figures:tracking -->\n")
    before = page.read_text()
    assert parts.benchmarks.main(["--render-only"], project) == 0
    assert page.read_text() == before


@pytest.mark.parametrize(
    "text, message",
    [
        ("<!-- figures:speeed -->\n<!-- /figures:speeed -->\n", "README.md: no figure is called 'speeed'"),
        ("\n<!-- figures:fingertips -->\n", "without its other half"),
        ("<!-- /figures:fingertips -->\n", "without its other half"),
        ("<!-- figures:fingertips -->\n<!-- figures:peers -->\n<!-- /figures:peers -->\n", "without its other half"),
        ("<!-- figures:fingertips -->\n<!-- /figures:peers -->\n", "without its other half"),
        ("text <!-- figures:fingertips -->\n<!-- /figures:fingertips -->\n", "a line of its own"),
    ],
)
def test_wrong_markers_are_errors_and_no_page_is_written(parts, project, text, message, caplog):
    (project / "README.md").write_text(text)
    assert parts.benchmarks.main(["--render-only"], project) == 1
    assert parts.pages.re.search(message, caplog.text)
    assert "old text" in (project / "BENCHMARKS.md").read_text()


def test_other_weights_are_marked(parts, project, caplog):
    store_accuracy(parts, project, weights={"lite.onnx": "0" * 64})
    parts.benchmarks.main(["--render-only"], project)
    assert "**accuracy-real is older than the weights: `lite.onnx`" in (project / "BENCHMARKS.md").read_text()


@pytest.mark.parametrize("key", ["date", "commit", "commands", "hardware", "versions", "weights", "seconds", "results"])
def test_no_figure_without_its_origin(parts, project, key, caplog):
    path = project / "benchmarks/accuracy-real.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in record.items() if name != key}))
    assert parts.benchmarks.main(["--render-only"], project) == 1
    assert f"lacks {key}" in caplog.text
    with pytest.raises(SemihandError, match=f"lacks {key}"):
        store_accuracy(parts, project, **{key: None})


def test_stored_figures_have_no_folders_of_this_machine_and_no_ballast(parts):
    stored = json.loads((TOOLS.parent / "benchmarks" / "accuracy-real.json").read_text())
    assert set(parts.store.PROVENANCE) <= stored.keys()
    assert "curves" not in str(stored) and "joints" not in stored["results"]["label"]["sets"][0]
    assert parts.store.plain({"a": ["see /home/me/x/clip.avi, or C:\\data\\b.mp4", "1/2 of a/b"]}) == {
        "a": ["see clip.avi, or b.mp4", "1/2 of a/b"]
    }


def test_every_stored_figure_of_the_project_can_be_shown(parts):
    root = TOOLS.parent
    found = parts.pages.blocks(root / "benchmarks")
    for page in parts.benchmarks.PAGES:
        text = (root / page).read_text(encoding="utf-8")
        assert parts.pages.render(text, found, page) == text, f"{page}: run tools/benchmarks.py --render-only"


def test_missing_inputs_keep_the_old_figure(parts, project, caplog):
    before = (project / "benchmarks/accuracy-real.json").read_text()
    arguments = ["--only", "accuracy-real", "peers", "--shared", str(project / "none")]
    assert parts.benchmarks.main(arguments, project) == 0
    assert "accuracy-real: skipped, it needs --shared" in caplog.text
    assert "peers: skipped, it needs --shared and --mediapipe-task" in caplog.text
    assert (project / "benchmarks/accuracy-real.json").read_text() == before


def test_a_failing_command_keeps_the_old_figure(parts, project, caplog):
    (project / "real").mkdir()  # without the sets in it
    before = (project / "benchmarks/accuracy-real.json").read_text()
    assert parts.benchmarks.main(["--only", "accuracy-real", "--shared", str(project)], project) == 1
    assert "ended with code 1" in caplog.text and "old figures stay" in caplog.text
    assert (project / "benchmarks/accuracy-real.json").read_text() == before


def test_a_figure_is_measured_by_its_commands(parts, monkeypatch):
    ran = {"sets": [SET | {"ms": {"p50": 3.0}}], "outputs": {"lite": ["2D"]}}
    monkeypatch.setattr(parts.benchmarks, "run", lambda *_: ran)
    record = parts.benchmarks.measure("peers", parts.definitions.FIGURES["peers"], {}, ORIGIN)
    assert record["commands"][0].startswith("semihand peers --data real/ge-real-a")
    assert "| one | lite | 2 of 50 | .0659 | 18.97 | 3.0 |" in parts.pages.block("peers", record)


def note_origin(parts, table, command):
    """As `ablate` notes two starts beside its results."""
    start = {**ORIGIN, "command": command, "recipe": {"model": parts.store.checksum("lite.safetensors")[:16]}}
    starts = [start, start | {"date": "2026-06-01T00:00:00"}]
    table.with_suffix(".provenance.json").write_text(json.dumps({"starts": starts}))


def test_the_table_of_a_long_command_is_taken_in(parts, project):
    lines = ["row,seed,seconds,adapted_epe_mm,other_epe_mm,other_nme", "baseline,0,1,20,24,.0900",
             "robust-control,0,30,18,22,.0800", "robust-control,1,30,18,20,.0700", "vc,0,60,15,18,.0650",
             "oracle,0,60,10,11,.0400"]  # fmt: skip
    table = project / "ge.csv"
    table.write_text("\n".join(lines) + "\n")
    assert parts.benchmarks.main(["--take", f"ablation-ge={table}"], project) == 1  # no origin yet
    note_origin(parts, table, "semihand ablate --data /home/me/ge-real-a")
    assert parts.benchmarks.main(["--take", f"ablation-ge={table}"], project) == 0
    record = parts.store.read(project / "benchmarks", "ablation-ge")
    assert record["commands"] == ["semihand ablate --data ge-real-a"]
    assert_allclose(record["seconds"], 1 + 30 + 30 + 60 + 60)
    rows = parts.tables.ablation(record["results"])
    assert rows[0] == "| poses adapted to | seeds | epe_mm | against baseline | closed |"
    assert "| other poses | seeds | epe_mm | nme | against baseline | closed |" in rows
    # Mean 21, standard deviation sqrt(2); from 21 to 11 the row vc at 18 has gone 30 %, from 18 to 10 at 15 it is 38 %.
    assert "| `robust-control` | 2 | 21.00 ± 1.41 | .0750 ± .0071 | -12 % | 0 % |" in rows
    assert "| `vc` | 1 | 15.00 | -25 % | 38 % |" in rows and "| `vc` | 1 | 18.00 | .0650 | -25 % | 30 % |" in rows


def test_the_origin_that_ablate_noted_will_do(parts, project):
    columns = "row,seed,seconds,adapted_epe_mm,setting,data,adapted_curve,note"
    lines = ["baseline,0,1,20,,far,0.1 0.2,", "vc,0,5,16,,far,0.1 0.2,", "vc,0,5,18,unlabelled=10%,far,0.1 0.2,",
             "cc,0,5,,,far,,the loss is no number"]  # fmt: skip
    table = project / "far.csv"
    table.write_text("\n".join([columns, *lines]) + "\n")
    note_origin(parts, table, "semihand ablate --data /home/me/far")
    assert parts.benchmarks.main(["--take", f"ablation-studio={table}"], project) == 0
    record = parts.store.read(project / "benchmarks", "ablation-studio")
    assert record["date"].startswith("2026-06-01") and record["commands"] == ["semihand ablate --data far"]
    assert parts.store.other_weights(record) == [] and "adapted_curve" not in record["results"]["rows"][0]
    assert parts.store.other_weights(record | {"weights": {"lite.safetensors": "00ff"}}) == ["lite.safetensors"]
    assert parts.tables.ablation(record["results"])[2:] == [
        "| `baseline` | 1 | 20.00 | | |", "| `vc` | 1 | 16.00 | -20 % | |", "| `vc [unlabelled=10%]` | 1 | 18.00 | -10 % | |",
        "| `cc` | 0 | | | |", "", "- `cc`, seed 0: the loss is no number",
    ]  # fmt: skip


def test_two_tables_are_taken_in_for_two_steps(parts, project):
    for name, epe in (("label", 15), ("detector", 17)):
        (project / f"{name}.csv").write_text(f"row,seed,seconds,adapted_epe_mm\nbaseline,0,1,20\nrobust,0,4,{epe}\n")
        note_origin(parts, project / f"{name}.csv", name)
    files = f"{project / 'label.csv'},{project / 'detector.csv'}"
    assert parts.benchmarks.main(["--take", f"adaptation-ge={files}"], project) == 0
    record = parts.store.read(project / "benchmarks", "adaptation-ge")
    assert record["commands"] == ["label", "detector"] and record["seconds"] == 10
    assert "| `robust` | 15.00 (-25 %) | | | 17.00 (-15 %) | | |" in parts.tables.adaptation(record["results"])


def test_take_refuses_what_is_no_table(parts, project, caplog):
    assert parts.benchmarks.main(["--take", "tracking=x.csv"], project) == 1
    assert "ablation-studio (rows)" in caplog.text and "adaptation-ge (label, detector)" in caplog.text
    (project / "bad.csv").write_text("a,b\n1,2\n")
    assert parts.benchmarks.main(["--take", f"ablation-ge={project / 'bad.csv'}"], project) == 1
    assert "its first line lacks row or seed" in caplog.text


def test_the_readme_table_waits_for_all_its_figures(parts, project):
    assert parts.pages.blocks(project / "benchmarks")["summary"] is None
    run = {"hands": 1, "ms": {"followed": {"p50": 5.07}, "peer": {"p50": 10.27}}}
    line = {"row": "robust+detector", "adapted_epe_mm": 12.24, "adapted_pa_mm": 7.9, "adapted_nme": 0.0376,
            "other_epe_mm": 15.28, "other_nme": 0.054}  # fmt: skip
    theirs = {"predicted_by": "mediapipe", "epe_mm": 16.07, "pa_mm": 9.91, "missed": 1}
    figures = {
        "accuracy-real": {crop: {"sets": [SET | {"pa_mm": 11.35}]} for crop in ("label", "detector")},
        "peers": {"detector": {"sets": [SET, SET | theirs]}},
        "adaptation-ge": {"label": [line]}, "tracking": {"bench": {"runs": [run, run]}},
        "ablation-ge": {"rows": [line | {"row": "baseline", "other_epe_mm": 21.63, "other_nme": 0.0848}, line]},
    }  # fmt: skip
    rows = parts.tables.summary(figures)
    assert "| 3D error, root and scale known (`epe_mm`) | 18.97 | 12.24 | 16.07 |" in rows
    assert any(row.endswith("| 21.63, .0848 | 15.28, .0540 | |") for row in rows)
    assert any(row.endswith("| 2 | | 1 |") for row in rows)
    assert any(row.endswith("| 5.1 / 5.1 ms | the same | 10.3 / 10.3 ms |") for row in rows)


def test_the_speed_tables(parts):
    speed = importlib.import_module("figures.speed_tables")
    times = {"p50": 3.754, "p95": 4.0, "p99": 5.0, "runs": 9, "mean": 3.8}
    report = {
        "model": {"input_size": 96, "provider": "cpu", "threads": 1}, "network": [{"batch": 2, **times}],
        "runs": [{"hands": 1, "ms": {"estimate": times, "peer": times}, "peer": {"ratio": 2.02}}],
        "offline": [{"hands": 1, "frames": 100, "frames_per_s": 151.2, "peer_frames_per_s": 80.0}],
        "fresh": {"first_result_s": [0.61], "peak_mb": 216.0},
    }  # fmt: skip
    lines = speed.tracking({"bench": report})
    assert "| 1 | estimate (network) | 3.75 | 4.00 | 5.00 |" in lines
    assert "| 1 | MediaPipe (2.0 times our total) | 3.75 | 4.00 | 5.00 |" in lines
    assert "- a video from disk, 1 wanted: 151 frames/s (MediaPipe 80)" in lines
    runs = [{"size": 128, "processes": 2, "pictures_per_s": 108.4, "per_process": 54.2}]
    assert "| 128x128 | 2 | 108 | 54 |" in speed.rendering({"bench": {"runs": runs}})


def test_definitions_name_their_inputs(parts):
    figures, inputs = parts.definitions.FIGURES, parts.definitions.INPUTS
    assert {
        "accuracy-real", "peers", "fingertips", "synthetic", "realism", "tracking", "rendering", "ablation-ge",
        "ablation-studio", "adaptation-ge",
    } <= figures.keys()  # fmt: skip
    for figure in figures.values():
        assert set(figure.needs()) <= inputs.keys()
        for step in figure.steps.values():
            assert step.command.startswith("semihand ") and "{" not in parts.benchmarks.shown(step.command)
    assert figures["peers"].needs() == ["real", "task"]


def test_changes_against_the_released_model(parts):
    def lines(epe):
        return [{"row": "baseline", "seed": 0.0, "adapted_epe_mm": 20.0, "adapted_pa_mm": 12.0, "adapted_nme": 0.05},
                {"row": "robust", "seed": 0.0, "adapted_epe_mm": epe, "adapted_pa_mm": 9.0, "adapted_nme": 0.04}]  # fmt: skip

    rows = parts.tables.adaptation({"label": lines(15.0), "detector": lines(22.0)})
    assert rows[0] == "| row | label crops: epe_mm | pa_mm | nme | detector crops: epe_mm | pa_mm | nme |"
    assert rows[2] == "| `baseline` | 20.00 | 12.00 | .0500 | 20.00 | 12.00 | .0500 |"
    assert rows[3] == "| `robust` | 15.00 (-25 %) | 9.00 | .0400 (-20 %) | 22.00 (+10 %) | 9.00 | .0400 (-20 %) |"
