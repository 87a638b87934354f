"""`semihand eval`: tables, JSON, CSV, pictures and the page, with models that always answer the crop's middle."""

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.datasets.sequence import SequenceFrame, SequenceWriter, read_sequence
from semihand.errors import SemihandError
from semihand.evaluate.labels import command
from semihand.evaluate.labels.overlay import by_error, draw
from semihand.evaluate.labels.predict import Prediction
from semihand.evaluate.labels.run import METRICS, FrameResult, Result, evaluate_predictions
from semihand.evaluate.labels.tables import table, to_json, write_csv
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS, TIPS
from semihand.models.lifting import project

K = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])


def flat_hand():
    hand = np.zeros((21, 3))
    for bone, (parent, child) in enumerate(BONES):
        x = (child - 1) // 4 * 0.4 - 0.8
        hand[child] = hand[parent] + 0.04 * PRIOR_BONE_LENGTHS[bone] * np.array([x, -1, 0]) / np.hypot(x, 1)
    return hand + [0, 0.05, 0.5]


class MiddleModel:
    """Every joint in the crop's middle or `off` grid pixels beside it, at the root's depth."""

    sha256, provider = "0" * 64, "cpu"

    def __init__(self, name="middle", off=0.0):
        self.info = SimpleNamespace(name=name, crop_factor=1.6, input_size=64)
        self._off = off

    def run(self, crops):
        count = len(crops)
        return (
            np.full((count, 21, 2), 31.5 + self._off, np.float32),
            np.zeros((count, 21), np.float32),
            np.zeros((count, 64, 64), np.float32),
            np.full((count, 21), 0.5, np.float32),
        )


@pytest.fixture
def folders(tmp_path, monkeypatch):
    models = {None: MiddleModel(), "beside": MiddleModel("beside", 3.0), "x/beside.onnx": MiddleModel("beside", np.nan)}
    monkeypatch.setattr(command, "open_model", lambda name, device: models[name])
    picture = np.full((240, 320, 3), 90, np.uint8)
    with SequenceWriter(tmp_path / "solid") as writer:
        for shift, gesture in ((0, "flat"), (0.01, "flat"), (0.02, "also flat")):
            writer.add(picture, K=K, handedness="right", xyz=flat_hand() + [shift, 0, 0], gesture=gesture)
    with SequenceWriter(tmp_path / "flat") as writer:
        for _ in range(2):
            writer.add(picture, handedness="left", uv=np.linspace([100, 50], [180, 130], 21))
        writer.add(picture)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


def test_json_has_the_metrics_by_name_and_says_why_others_are_absent(folders):
    done = run("--data", folders / "solid", "--data", folders / "flat", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["models"] == [{"name": "middle", "sha256": "0" * 64, "provider": "cpu", "crop_factor": 1.6}]
    assert report["crop"] == "label" and report["schema"] == 2 and "hardware" in report
    solid, flat = report["sets"]
    assert (solid["name"], solid["frames"], solid["missed"], solid["unlabelled"]) == ("solid", 3, 0, 0)
    assert (flat["name"], flat["frames"], flat["missed"], flat["unlabelled"]) == ("flat", 2, 0, 1)
    # 21 joints evenly on a square's diagonal: 10, 9 ... 0 ... 10 steps of sqrt(2) / 20 sides to its middle.
    assert_allclose(flat["nme"], np.sqrt(2) / 20 * 110 / 21, rtol=1e-3)
    assert "epe_mm" not in flat and "3D" in flat["absent"]["epe_mm"]
    hand = flat_hand()
    assert_allclose(solid["epe_mm"], 1000 * np.linalg.norm(hand - hand[9], axis=1).mean(), rtol=0.02)
    assert 0 <= solid["auc_20_50"] <= 1
    assert "no video" in solid["absent"]["lag_frames"]


def test_json_holds_curves_and_tables(folders):
    solid, flat = json.loads(run("--data", folders / "solid", "--data", folders / "flat", "--json").stdout)["sets"]
    # The curve at 50 mm counts the same joints as the table of joints: 21 of each of three equal hands.
    distances = 1000 * np.linalg.norm(flat_hand() - flat_hand()[9], axis=1)
    assert_allclose(solid["curves"]["pck_3d"]["share"][50], (distances < 50).mean(), atol=0.05)
    assert (solid["curves"]["pck_2d"]["thresholds"][-1], solid["curves"]["pck_3d"]["thresholds"][-1]) == (0.5, 100)
    assert "pck_3d" not in flat["curves"]
    assert [row["labels"] for row in solid["joints"]] == [3] * 21 and solid["joints"][9]["epe_mm"] == 0
    assert_allclose(solid["epe20_mm"], solid["epe_mm"] * 21 / 20 - solid["joints"][0]["epe_mm"] / 20, rtol=1e-5)
    assert [(row["gesture"], row["frames"]) for row in solid["gestures"]] == [("flat", 2), ("also flat", 1)]
    assert sum(row["hands"] for row in solid["bins"]["yaw"]) == 3 and flat["bins"]["yaw"] == []
    # Every confidence is the same: it says nothing, and that is said.
    assert solid["calibration"]["joints"] == 63 and "equal" in solid["calibration"]["absent"]["rank_correlation"]


def test_models_stand_side_by_side_on_every_set(folders):
    arguments = ("--data", folders / "solid", "--data", folders / "flat", "--model", "beside")
    lines = run(*arguments, "--details").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["solid", "beside"], ["flat", "beside"]]
    assert any("worst joints by epe_mm" in line for line in lines) and any(
        "also flat: 1 frames" in line for line in lines
    )
    with pytest.raises(SemihandError, match="named twice"):
        raise run(*arguments, "--model", "beside").exception
    results = {"a": [result_with(), result_with(name="other")], "b": [result_with(), result_with(name="other")]}
    rows = [line.split()[:2] for line in table(results).splitlines()[1:]]
    assert rows == [["set", "a"], ["set", "b"], ["other", "a"], ["other", "b"]]


def test_a_model_that_answers_nan_is_named(folders):
    with pytest.raises(SemihandError, match="beside answered .*000000.jpg with joints that are no numbers"):
        raise run("--data", folders / "solid", "--model", "x/beside.onnx").exception


def test_sets_of_the_same_name_get_numbers(folders):
    done = run("--data", folders / "flat", "--data", folders / "flat", "--json")
    assert [row["name"] for row in json.loads(done.stdout)["sets"]] == ["flat", "flat (2)"]


def test_fingertips_alone_are_measured_by_their_own_alignment(folders):
    """Without joint 9 there is no `epe_mm`; a hand of another size at another place has no error of the tips."""
    xyz = np.full((21, 3), np.nan)
    xyz[list(TIPS)] = flat_hand()[list(TIPS)]
    uv = project(xyz[list(TIPS)], K)
    box = [*uv.min(0), *np.ptp(uv, axis=0)]
    with SequenceWriter(folders / "tips") as writer:
        writer.add(np.full((240, 320, 3), 90, np.uint8), K=K, handedness="right", xyz=xyz, box=box)
    sequence = read_sequence(folders / "tips")
    result = evaluate_predictions(sequence, [Prediction(project(flat_hand(), K), 1.3 * flat_hand())])
    assert_allclose(result.metrics["tips_mm"], 0, atol=1e-3)  # the file has four digits of a millimetre
    assert "joint 9" in result.absent["epe_mm"] and "tips_mm" in result.absent["auc_20_50"]
    assert set(result.metrics) | set(result.absent) == set(METRICS)
    row = json.loads(run("--data", folders / "tips", "--json").stdout)["sets"][0]
    # All predicted tips coincide, so each error is the tip's distance from the centre of the five.
    centred = flat_hand()[list(TIPS)] - flat_hand()[list(TIPS)].mean(0)
    assert_allclose(row["tips_mm"], 1000 * np.linalg.norm(centred, axis=1).mean(), rtol=1e-4)
    lines = run("--data", folders / "tips").stdout.splitlines()
    assert "tips_mm" in lines[0] and "epe_mm" not in lines[0]


def test_a_published_data_set_is_measured_where_it_was_unpacked(folders):
    """Dexter+Object, two recordings of two pictures: fingertips only, the recording as the gesture."""
    from semihand.datasets.open import known_splits

    tips_mm = np.array([[10.0, 20, 400], [-30, 20, 410], [-40, -10, 420], [0, 0, 32001], [25, -35, 430]])
    line = "; ".join(", ".join(f"{value:g}" for value in tip) for tip in tips_mm) + ";"
    for recording in known_splits("dexter-object")[1:]:
        part = folders / "dexter" / "data" / recording
        for name in ("color", "depth", "annotations"):
            (part / name).mkdir(parents=True)
        for i in (0, 1):
            for kind in ("color", "depth"):
                cv2.imwrite(str(part / kind / f"image_{i}_{kind}.png"), np.full((480, 640, 3), 90, np.uint8))
        (part / "annotations" / f"{recording}3D.txt").write_text(f"{line}\n{line}\n")
    whole = json.loads(run("--data", folders / "dexter", "--json").stdout)["sets"][0]
    assert whole["frames"] == 12 and [row["frames"] for row in whole["gestures"]] == [2] * 6
    (row,) = json.loads(run("--data", folders / "dexter", "--split", "Grasp1", "--json").stdout)["sets"]
    assert (row["frames"], row["gestures"][0]["gesture"]) == (2, "Grasp1")
    assert [joint["labels"] for joint in row["joints"]] == [2] * 4  # the ring finger's tip has no depth
    # The model puts all joints on one point: what is left is each tip's distance from the centre of the four.
    shown = tips_mm[[0, 1, 2, 4]]
    assert_allclose(row["tips_mm"], np.linalg.norm(shown - shown.mean(0), axis=1).mean(), rtol=1e-2)
    assert "joint 9" in row["absent"]["epe_mm"] and row["curves"]["pck_tips"]["share"][-1] == 1


def test_a_video_with_labels_has_a_lag(folders):
    """A hand that goes to and fro, predicted three frames late."""
    with SequenceWriter(folders / "film", fps=30.0) as writer:
        for t in range(40):
            xyz = flat_hand() + [0.05 * np.sin(t / 4), 0, 0]
            writer.add(np.zeros((24, 32, 3), np.uint8), K=K, handedness="right", xyz=xyz)
    sequence = read_sequence(folders / "film")
    before = [sequence.frames[max(t - 3, 0)].xyz for t in range(40)]
    late = [Prediction(project(xyz, K), xyz) for xyz in before]
    result = evaluate_predictions(sequence, late)
    assert_allclose(result.metrics["lag_frames"], 3, atol=0.25)
    # Second differences of a sine: about amplitude / 16 sin, median amplitude / 16 / sqrt(2).
    assert_allclose(result.metrics["jitter_label_mm"], 50 / 16 / np.sqrt(2), rtol=0.15)
    assert result.fps == 30 and result.metrics["bone_cv"] < 1e-6


def test_the_table_has_a_row_for_every_set_and_a_dash_for_absent_metrics(folders):
    *lines, note = run("--data", folders / "solid", "--data", folders / "flat").stdout.splitlines()
    assert note.startswith("Finding the hand was not tested")  # crops are cut round the labels
    assert lines[0].split()[:5] == ["set", "predicted", "by", "frames", "missed"]
    assert lines[1].split()[:4] == ["solid", "middle", "3", "0"] and lines[2].split()[:4] == [
        "flat",
        "middle",
        "2",
        "0",
    ]
    assert len(lines) == 3 and len(set(map(len, lines))) == 1
    assert lines[2].split()[lines[0].split().index("epe_mm") - 1] == "-"


def test_csv_has_a_line_for_every_labelled_frame(folders):
    done = run("--data", folders / "solid", "--data", folders / "flat", "--csv", folders / "out.csv")
    assert done.exit_code == 0
    rows = list(csv.DictReader((folders / "out.csv").open()))
    assert [(row["set"], row["index"], row["found"]) for row in rows] == [
        ("solid", "0", "True"), ("solid", "1", "True"), ("solid", "2", "True"),
        ("flat", "0", "True"), ("flat", "1", "True"),
    ]  # fmt: skip
    assert rows[0]["image"] == "images/000000.jpg" and float(rows[0]["epe_mm"]) > 20 and rows[4]["epe_mm"] == ""


def test_overlays_show_true_and_predicted_joints_and_a_sheet(folders):
    done = run("--data", folders / "solid", "--overlay", folders / "out")
    assert done.exit_code == 0
    folder = folders / "out" / "middle" / "solid"
    assert sorted(file.name for file in folder.iterdir()) == ["000000.jpg", "000001.jpg", "000002.jpg", "sheet.png"]
    picture = cv2.imread(str(folder / "000000.jpg"))
    assert picture.shape == (480, 640, 3)
    assert (picture > 200).all(-1).sum() > 300  # white true joints on a grey picture
    assert cv2.imread(str(folder / "sheet.png")).shape == (200, 600, 3)


def test_drawing_puts_joints_where_they_are_and_leaves_out_unlabelled_ones():
    uv = np.full((21, 2), np.nan)
    uv[4] = [30, 20]
    canvas = draw(np.zeros((100, 100, 3), np.uint8), np.eye(2, 3) * 2, SequenceFrame(None, uv=uv), None)
    assert (canvas[40, 60] == 255).all()
    assert canvas[:30].sum() == 0 and canvas[:, :50].sum() == 0
    predicted = draw(np.zeros((100, 100, 3), np.uint8), np.eye(2, 3), SequenceFrame(None), Prediction(uv * 0 + 50))
    assert predicted.sum() > 0


def result_with(*rows, **fields):
    values = dict(name="set", frames=len(rows), unlabelled=0, missed=0, metrics={}, absent={}, per_frame=rows)
    return Result(**{**values, **fields})


def test_the_worst_frames_come_first():
    rows = [
        FrameResult(0, "a", True, nme=0.5, epe_mm=10.0),
        FrameResult(1, "b", True, nme=0.1, epe_mm=30.0),
        FrameResult(2, "c", False),
    ]
    assert [row.index for row in by_error(result_with(*rows))] == [2, 1, 0]


def test_a_set_where_nothing_was_found_has_a_row_without_numbers():
    nothing = result_with(FrameResult(0, "a", False), missed=1, absent={"nme": "no hand was found"})
    assert table({"model": [nothing]}).splitlines()[1].split() == ["set", "model", "1", "1"]
    assert json.loads(to_json({"model": [nothing]}, {}))["sets"][0]["absent"] == {"nme": "no hand was found"}
    with pytest.raises(ValueError):
        to_json({"model": [result_with(metrics={"nme": np.nan})]}, {})


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("--data", "a", "--video", "b.mp4"), ("--data", "a", "--crop", "box"), ("--data", "a", "--hands", "2"),
        ("--data", "a", "--out", "b", "--f", "500"), ("--video", "b.mp4", "--csv", "c.csv"),
        ("--video", "b.mp4", "--split", "test"), ("--video", "b.mp4", "--details"), ("--data", "a", "--option", "wrist"),
        ("--data", "a", "--json", "--details"), ("--data", "a", "--no-overlay"), ("--data", "a", "--max-frames", "0"),
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(arguments):
    assert run(*arguments).exit_code == 2


def test_what_cannot_be_evaluated_is_a_sentence(folders):
    (folders / "empty").mkdir()
    with SequenceWriter(folders / "bare") as writer:
        writer.add(np.zeros((24, 32, 3), np.uint8))
    solid = folders / "solid"
    for arguments, told in (
        (("--data", folders / "none"), "does not exist"), (("--data", folders / "empty"), "no data set"),
        (("--data", folders / "bare"), "bare has no labelled frame among 1"),
        (("--data", solid, "--split", "test"), "split 'test'"), (("--data", solid, "--format", "xyz"), "format 'xyz'"),
        (("--data", solid, "--option", "wrist=2"), "no option wrist"),
        (("--data", solid, "--report", folders / "no" / "page.html"), "there is no folder"),
    ):  # fmt: skip
        done = run(*arguments)
        assert isinstance(done.exception, SemihandError) and told in str(done.exception), (arguments, done.exception)
    with pytest.raises(SemihandError, match="Could not write"):
        write_csv(folders / "no" / "such.csv", {"model": []})


def test_a_video_goes_to_its_own_evaluation(monkeypatch):
    seen = []
    monkeypatch.setattr("semihand.evaluate.video.run.run_video_eval", lambda options: seen.append(options) or "done")
    done = run(
        "--video",
        "in.mp4",
        "--model",
        "a",
        "--model",
        "b",
        "--f",
        500,
        "--max-frames",
        9,
        "--out",
        "o",
        "--json",
        "--no-overlay",
    )
    assert (done.exit_code, done.stdout) == (0, "done\n")
    (options,) = seen
    assert (options.video, options.models, options.out) == (Path("in.mp4"), ("a", "b"), Path("o"))
    assert (options.hands, options.focal, options.max_frames, options.as_json) == (1, 500.0, 9, True)
    assert not options.overlay


@pytest.fixture
def page(folders, monkeypatch):
    """The page of two models on two sets."""
    models = {"middle": MiddleModel(), "beside": MiddleModel("beside", 3.0)}
    monkeypatch.setattr(command, "open_model", lambda name, device: models[name])
    file = folders / "page.html"
    done = run("--data", folders / "solid", "--data", folders / "flat", "--model", "middle", "--model", "beside",
               "--report", file)  # fmt: skip
    assert done.exit_code == 0, done.output
    return file


def test_the_page_shows_all_models_and_loads_nothing(page):
    html = page.read_text(encoding="utf-8")
    assert re.findall(r"http(?!-equiv)|<script|nan(?!o)", html) == []
    assert html.count("data:image/jpeg") == 2 * (3 + 2)  # worst frames: three and two of each model
    for told in ("middle (AUC ", "beside (AUC ", "3D error by joint", "3D error by gesture", "2D error by joint",
                 "also flat", "Worst frames of flat", "the sequence has no fps"):  # fmt: skip
        assert told in html, told
    plots = re.findall(r'<figure>(<svg class="plot".*?</svg>)<figcaption>.{20,}?</figcaption>', html)
    assert len(plots) == html.count('class="plot"') > 8  # each is told in a sentence
    for plot in plots:
        ElementTree.fromstring(plot)
    assert "finding the hand was not tested here" in html and "<b>not tested</b>finding the hand" in html


def test_the_page_opens_in_a_browser(page):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr", "--v=0")
    done = subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Where it comes from" in done.stdout
    assert "Refused to" not in done.stderr  # what the page's policy forbids


def test_a_set_without_hands_has_a_page(folders):
    sequence = read_sequence(folders / "solid")
    result = evaluate_predictions(sequence, [None] * 3)
    from semihand.evaluate.labels.page import evaluation_page
    from semihand.evaluate.labels.tables import record

    html = evaluation_page(record({"model": [replace(result, name="<none>")]}, {}))
    assert "no hand was found" in html and "&lt;none&gt;" in html and "<none>" not in html


def test_the_peer_adds_its_rows(folders, monkeypatch):
    hand = SimpleNamespace(
        uv_image=np.linspace([100, 50], [180, 130], 21), z=np.zeros(21), handedness="left", score=1.0
    )

    class Peer:
        def __init__(self, task_file, pad):
            assert (str(task_file), pad) == ("some.task", 0.25)

        def __enter__(self):
            return SimpleNamespace(detect=lambda image: [hand])

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("semihand.evaluate.peers.mediapipe.MediaPipePeer", Peer)
    sets = json.loads(run("--data", folders / "flat", "--json", "--peer", "some.task").stdout)["sets"]
    assert [row["predicted_by"] for row in sets] == ["middle", "mediapipe"]
    assert sets[1]["nme"] < 1e-9 and sets[1]["handedness"] == 1
