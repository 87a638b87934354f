"""`semihand peers`: turns, times, what each contestant says, and RTMPose with planted models."""

import json
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.datasets.sequence import SequenceWriter, read_sequence
from semihand.errors import SemihandError
from semihand.evaluate.labels import predict as predicting
from semihand.evaluate.labels.predict import Prediction
from semihand.evaluate.peers import mediapipe as peers
from semihand.evaluate.peers import rtmlib as peers_rtmlib
from semihand.evaluate.peers import table as peer_table
from semihand.evaluate.peers.table import Contestant, PeerOptions, compare

LABEL = np.stack([np.linspace(60, 140, 21), np.linspace(40, 120, 21)], axis=1)
#: Sharpest answer of a planted RTMPose for joint j, in half pixels of its 256 x 256 input.
PEAKS = 256 + 8 * np.arange(21)


@pytest.fixture
def folder(tmp_path):
    picture = np.full((160, 320, 3), 90, np.uint8)
    with SequenceWriter(tmp_path / "flat") as writer:
        for index in range(4):
            writer.add(picture, handedness="left", **({} if index == 2 else {"uv": LABEL}))
    return tmp_path / "flat"


def hand(uv=LABEL, **changes):
    return peers.PeerHand(uv, None, "left", 0.9, None)._replace(**changes)


@pytest.fixture
def mediapipe(monkeypatch):
    """MediaPipe with our labels as its answer, and another hand far away."""
    seen = []

    class Peer:
        def __init__(self, task, pad):
            seen.append((task, pad))

        def detect(self, image):
            return [hand(LABEL + 150), hand(LABEL, z=np.zeros(21))]

        def __enter__(self):
            return self

        def __exit__(self, *_):
            seen.append("closed")

    monkeypatch.setattr(peers, "MediaPipePeer", Peer)
    return seen


def test_contestants_take_turns_at_being_first(folder):
    turns, shapes = [], []

    def contestant(name):
        def look(frame, image):
            turns.append(name)
            shapes.append(image.shape)
            return Prediction(LABEL) if name == "a" else None

        return Contestant(name, look, (), "own detector")

    predictions, times = compare(read_sequence(folder), [contestant(name) for name in "abc"])
    assert "".join(turns) == "abc" + "bca" + "abc"  # the third frame has no label
    assert set(shapes) == {(160, 320, 3)}
    assert [p is None for p in predictions["a"]] == [False, False, True, False] and predictions["b"] == [None] * 4
    assert all(len(each) == 3 and min(each) > 0 for each in times.values())


def test_times_leave_the_first_pictures_out():
    result = SimpleNamespace(name="one", frames=12, missed=0, metrics={"nme": 0.1}, absent={})
    contestant = Contestant("a", None, (), "label")
    row = peer_table._row(result, contestant, [900.0] * 5 + [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert row["ms"] == {"p50": 4.0, "p95": 6.7, "runs": 7}


def test_the_command_prints_errors_times_and_outputs(folder, toy_model, mediapipe, tmp_path):
    model = toy_model(tmp_path / "toy.onnx")
    arguments = ["peers", "--data", str(folder), "--model", str(model), "--task", "some.task", "--crop", "label"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    ours, theirs = report["sets"]
    assert (ours["predicted_by"], ours["crops"], ours["frames"], ours["missed"]) == ("toy", "label", 3, 0)
    assert (theirs["predicted_by"], theirs["crops"]) == ("mediapipe", "own detector")
    assert_allclose(theirs["nme"], 0, atol=1e-9)  # the hand far away is not the labelled one
    assert ours["nme"] > 0.01 and ours["ms"]["p50"] > 0 and ours["ms"]["runs"] == 2
    assert report["outputs"]["mediapipe"] == ["2D", "depth", "metric 3D", "handedness"]
    assert "handedness" not in report["outputs"]["toy"] and "mask" in report["outputs"]["toy"]
    assert {"hardware", "versions", "commit", "date"} <= report.keys()
    assert str(mediapipe[0][0]) == "some.task" and mediapipe[-1] == "closed"
    text = CliRunner().invoke(app, arguments).stdout
    assert (
        "ms p50" in text
        and "metric 3D" in text
        and "in turn on the same pictures" in text
        and "nan" not in text.lower()
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "Name whom to compare with"),
        (["--rtm-det", "det.onnx"], "--rtm-det goes with"),
        (["--rtm-pose", "a.onnx", "--rtm-det", "b.onnx", "--crop", "label"], "--rtm-det goes with"),
    ],
)
def test_wrong_usage_is_exit_code_two(folder, arguments, message):
    done = CliRunner().invoke(app, ["peers", "--data", str(folder), *arguments])
    assert done.exit_code == 2 and message in " ".join(done.output.replace("│", " ").split())


def test_rtmpose_without_a_detector_needs_the_labels_boxes(folder, tmp_path):
    with pytest.raises(SemihandError, match="add --rtm-det FILE, or give it the labelled boxes"):
        PeerOptions((folder,), rtm_pose=tmp_path / "pose.onnx")


def constant_model(path, size, **outputs):
    """An ONNX file that takes a picture (1, 3, size, size) and always answers `outputs`; size None is left open."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    shape = [1, 3, size or "height", size or "width"]
    constants = [
        helper.make_tensor("start", TensorProto.INT64, [4], [0] * 4), helper.make_tensor("end", TensorProto.INT64, [4], [1] * 4),
        helper.make_tensor("three", TensorProto.INT64, [3], [1] * 3), helper.make_tensor("nothing", TensorProto.FLOAT, [1], [0.0]),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["input", "start", "end"], ["corner"]), helper.make_node("Mul", ["corner", "nothing"], ["zero"]),
        helper.make_node("Reshape", ["zero", "three"], ["zeros"]),
    ]  # fmt: skip
    for name, values in outputs.items():
        constants.append(helper.make_tensor(f"{name}_value", TensorProto.FLOAT, values.shape, values.ravel().tolist()))
        nodes.append(helper.make_node("Add", ["zeros", f"{name}_value"], [name]))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, v.shape) for name, v in outputs.items()]
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "planted", [picture], values, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def pose_file(tmp_path):
    simcc = np.zeros((1, 21, 512), np.float32)
    simcc[0, np.arange(21), PEAKS] = 0.75
    return constant_model(tmp_path / "pose.onnx", 256, simcc_x=simcc, simcc_y=simcc)


@pytest.fixture
def detector_file(tmp_path):
    boxes = np.array([[[20, 30, 120, 130, 0.9], [0, 0, 50, 50, 0.1]]], np.float32)
    return constant_model(tmp_path / "det.onnx", None, dets=boxes)


class Recorder:
    """Stands for rtmlib's classes: notes how it was made and called."""

    made = []

    def __init__(self, file, **options):
        print(f"load {file}")  # as rtmlib does
        self.options, self.session, self.boxes = options, None, None
        self.made.append(self)

    def __call__(self, image, bboxes=None):
        if bboxes is None:
            return np.zeros((0, 4))
        self.boxes = bboxes
        return np.tile(LABEL, (len(bboxes), 1, 1)), np.full((len(bboxes), 21), 1.5)


@pytest.fixture
def recorded(monkeypatch):
    Recorder.made = []
    monkeypatch.setitem(sys.modules, "rtmlib", types.SimpleNamespace(RTMPose=Recorder, RTMDet=Recorder))
    return Recorder.made


def test_rtmlib_gets_files_sizes_and_sessions_of_one_thread(recorded, pose_file, detector_file, capsys):
    peer = peers_rtmlib.RtmPosePeer(pose_file, detector_file)
    pose, detector = recorded
    assert pose.options == {"backend": "onnxruntime", "device": "cpu", "model_input_size": (256, 256)}
    assert detector.options["model_input_size"] == (320, 320)  # left open in the file
    assert pose.session.get_session_options().intra_op_num_threads == 1
    assert capsys.readouterr().out == ""  # its lines belong beside the report, not in it
    (found,) = peer.estimate(np.zeros((160, 320, 3), np.uint8), [[0, 0, 9, 9]])
    assert_allclose(found.uv_image, LABEL)
    assert found.z is None and found.handedness is None and found.score == 1.0  # a score above 1 is cut
    # rtmlib takes the whole picture where its detector finds nothing; we call that a miss.
    pose.boxes = None
    assert peer.detect(np.zeros((160, 320, 3), np.uint8)) == [] and pose.boxes is None


def test_rtmpose_on_labelled_boxes(recorded, pose_file, folder):
    report, _ = peer_table.run_peers(PeerOptions((folder,), models=(), rtm_pose=pose_file, crop="label"))
    (row,) = report["sets"]
    assert (row["predicted_by"], row["crops"], row["missed"]) == ("rtmpose", "label", 0)
    assert_allclose(row["nme"], 0, atol=1e-9)
    assert "epe_mm" not in row and row["absent"]["epe_mm"]
    assert_allclose(recorded[0].boxes, [[60, 40, 140, 120]])
    assert report["outputs"] == {"rtmpose": ["2D", "confidence"]}


def test_rtmlib_itself_reads_the_planted_models(pose_file, detector_file, capsys):
    pytest.importorskip("rtmlib", reason="the rtmlib package is not installed")
    peer = peers_rtmlib.RtmPosePeer(pose_file, detector_file)
    (found,) = peer.detect(np.zeros((160, 320, 3), np.uint8))
    # The box of side 100 round (70, 80) grows by a quarter; joint j lies 4 j of 256 input pixels from its middle.
    offsets = 4 * np.arange(21) / 256 * 125
    assert_allclose(found.uv_image, np.stack([70 + offsets, 80 + offsets], axis=1), atol=1e-3)
    assert_allclose(found.confidence, 0.75, atol=1e-6)
    assert capsys.readouterr().out == ""


def test_nothing_is_ever_downloaded(recorded, pose_file, tmp_path):
    """rtmlib would fetch what is no file."""
    for arguments in (
        ("https://models.org/pose.onnx",),
        (tmp_path / "none.onnx",),
        (pose_file, "https://models.org/det.zip"),
    ):
        with pytest.raises(SemihandError, match="There is no model file"):
            peers_rtmlib.RtmPosePeer(*arguments)
    assert len(recorded) == 1  # the pose model of the last try


def test_other_models_are_refused(recorded, tmp_path, detector_file):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(SemihandError, match="no readable ONNX model"):
        peers_rtmlib.RtmPosePeer(tmp_path / "bad.onnx")
    with pytest.raises(SemihandError, match="no RTMPose model of a hand's 21 joints"):
        peers_rtmlib.RtmPosePeer(detector_file)


def test_missing_rtmlib_is_said(monkeypatch, pose_file):
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(SemihandError, match=r"rtmlib package is not installed .* pip install semihand\[peers\]"):
        peers_rtmlib.RtmPosePeer(pose_file)


def test_two_models_of_one_file_name_are_two_contestants(folder, toy_model, mediapipe, tmp_path):
    files = []
    for run in ("monday", "tuesday"):
        (tmp_path / run).mkdir()
        files.append(str(toy_model(tmp_path / run / "model.onnx")))
    options = PeerOptions((folder,), tuple(files), task="some.task", crop="label")
    report, _ = peer_table.run_peers(options)
    assert [row["predicted_by"] for row in report["sets"]] == [*files, "mediapipe"]
    assert all(row["frames"] == 3 for row in report["sets"])


def test_no_picture_hash_and_no_progress_bar_count_as_our_time(folder, toy_model, tmp_path, monkeypatch):
    import semihand.tracker.detect as detect

    toy, asked = toy_model(tmp_path / "toy.onnx"), []
    monkeypatch.setattr(
        detect, "HandDetector", lambda threads: SimpleNamespace(detect=lambda image, most, views: [None])
    )
    seen = SimpleNamespace(uv_image=LABEL, handedness="left", handedness_score=0.9, presence=1.0)
    monkeypatch.setattr(detect, "HandLandmarker", lambda threads: lambda image, box: asked.append(1) or seen)
    ours = peer_table._ours(str(toy), "toy", "detector")
    monkeypatch.setattr(predicting, "Progress", None)
    monkeypatch.setattr(predicting, "hashlib", None)
    frame = read_sequence(folder).frames[0]
    for _ in range(2):
        assert ours.look(frame, frame.read()).uv_image.shape == (21, 2)
    assert len(asked) == 2, "nothing is remembered from the picture before"
