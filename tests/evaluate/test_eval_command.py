"""`semihand eval`: table, JSON, CSV and pictures, with a model that always answers the crop's middle."""

import csv
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.evaluate import command
from semihand.evaluate.overlay import by_error, draw
from semihand.evaluate.predict import Prediction
from semihand.evaluate.report import table, to_json, write_csv
from semihand.evaluate.run import FrameResult, Result
from semihand.datasets.sequence import SequenceFrame, SequenceWriter
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS

K = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])


def flat_hand():
    hand = np.zeros((21, 3))
    for bone, (parent, child) in enumerate(BONES):
        x = (child - 1) // 4 * 0.4 - 0.8
        hand[child] = hand[parent] + 0.04 * PRIOR_BONE_LENGTHS[bone] * np.array([x, -1, 0]) / np.hypot(x, 1)
    return hand + [0, 0.05, 0.5]


class MiddleModel:
    """Every joint in the crop's middle, at the root's depth."""

    info = SimpleNamespace(name="middle", crop_factor=1.6, input_size=64)
    sha256, provider = "0" * 64, "cpu"

    def run(self, crops):
        count = len(crops)
        return (
            np.full((count, 21, 2), 31.5, np.float32),
            np.zeros((count, 21), np.float32),
            np.zeros((count, 64, 64), np.float32),
            np.full((count, 21), 0.5, np.float32),
        )


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "open_model", lambda name, device: MiddleModel())
    picture = np.full((240, 320, 3), 90, np.uint8)
    with SequenceWriter(tmp_path / "solid") as writer:
        for shift in (0, 0.01, 0.02):
            writer.add(picture, K=K, handedness="right", xyz=flat_hand() + [shift, 0, 0])
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
    assert (report["model"], report["crop"], report["crop_factor"]) == ("middle", "label", 1.6)
    solid, flat = report["sets"]
    assert (solid["name"], solid["frames"], solid["missed"], solid["unlabelled"]) == ("solid", 3, 0, 0)
    assert (flat["name"], flat["frames"], flat["missed"], flat["unlabelled"]) == ("flat", 2, 0, 1)
    # 21 joints evenly on a square's diagonal: 10, 9 ... 0 ... 10 steps of sqrt(2) / 20 sides to its middle.
    assert_allclose(flat["nme"], np.sqrt(2) / 20 * 110 / 21, rtol=1e-3)
    assert "epe_mm" not in flat and "3D" in flat["absent"]["epe_mm"]
    hand = flat_hand()
    assert_allclose(solid["epe_mm"], 1000 * np.linalg.norm(hand - hand[9], axis=1).mean(), rtol=0.02)
    assert 0 <= solid["auc_20_50"] <= 1


def test_the_table_has_a_row_for_every_set_and_a_dash_for_absent_metrics(folders):
    lines = run("--data", folders / "solid", "--data", folders / "flat").stdout.splitlines()
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
    assert (
        rows[0]["image"] == "images/000000.jpg" and float(rows[0]["epe_mm"]) > 20 and rows[4]["epe_mm"] == ""
    )


def test_overlays_show_true_and_predicted_joints_and_a_sheet(folders):
    done = run("--data", folders / "solid", "--overlay", folders / "out")
    assert done.exit_code == 0
    folder = folders / "out" / "middle" / "solid"
    assert sorted(file.name for file in folder.iterdir()) == [
        "000000.jpg",
        "000001.jpg",
        "000002.jpg",
        "sheet.png",
    ]
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
    predicted = draw(
        np.zeros((100, 100, 3), np.uint8), np.eye(2, 3), SequenceFrame(None), Prediction(uv * 0 + 50)
    )
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


def test_wrong_use_is_a_sentence(folders):
    assert run("--data", folders / "solid", "--crop", "box").exit_code == 2
    assert isinstance(run("--data", folders / "none").exception, SemihandError)
    with pytest.raises(SemihandError, match="Could not write"):
        write_csv(folders / "no" / "such.csv", {})


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

    monkeypatch.setattr("semihand.evaluate.peers.MediaPipePeer", Peer)
    sets = json.loads(run("--data", folders / "flat", "--json", "--peer", "some.task").stdout)["sets"]
    assert [row["predicted_by"] for row in sets] == ["middle", "mediapipe"]
    assert sets[1]["nme"] < 1e-9 and sets[1]["handedness"] == 1
