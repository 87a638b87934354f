"""`semihand demo` with an oracle for the tracker: the scores, the files, the errors; and with the released model."""

import json
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.evaluate import demo
from semihand.evaluate.demo import JOINTS, VIDEO, DemoOptions, Score, run_demo
from semihand.models.joints import UNIT_BONE_METRES
from semihand.models.lifting import unit_length
from semihand.models.metrics import hand_size
from semihand.models.model_file import available_models
from semihand.synth.clip import Clip, ClipConfig
from semihand.tracker.types import HandBox, HandPose

SMALL = ClipConfig(frames=4, hands=2, width=160, height=120)


def pose(number, truth, uv_shift=0.0, scale=1.0, handedness=None):
    """A tracked hand that knows the truth."""
    uv, xyz = truth.uv + uv_shift, truth.xyz * scale
    depth = xyz[:, 2] - xyz[9, 2]
    grid = np.diag([0.4, 0.4, 1.0])
    box = HandBox(uv.mean(axis=0), 50.0)
    sure = np.full(21, 0.9)
    return HandPose(number, handedness or truth.handedness, 0.9, uv, xyz, depth, sure, np.ones((64, 64)), grid, box)


class Oracle:
    """Tracks the clip it was made for, with planted errors."""

    def __init__(self, config=SMALL, **errors):
        self.model = SimpleNamespace(info=SimpleNamespace(name="oracle"), sha256="0" * 64, provider="cpu")
        self.config, self.errors, self.clip = SimpleNamespace(smooth=None), errors, Clip(config)
        self.ms = {"detect": 0.0, "crop": 0.5, "total": 2.0}

    def step(self, frame):
        return [pose(i + 1, hand, **self.errors) for i, hand in enumerate(self.clip.frame(frame.index).hands)]


@pytest.fixture(scope="module")
def hands():
    return Clip(SMALL).frame(0).hands


def test_a_perfect_tracker_scores_perfectly(tmp_path):
    text = run_demo(DemoOptions(SMALL, tmp_path / "new" / "out"), Oracle())
    assert "hands found       8 of 8 (100.0 %), 0 where none is" in text
    assert "handedness right  8 of 8" in text
    assert "0.0 pixels, 0.0 % of the hand's box" in text
    assert "500 frames a second" in text
    assert str(tmp_path / "new" / "out" / VIDEO) in text


def test_files_are_complete(tmp_path):
    run_demo(DemoOptions(SMALL, tmp_path), Oracle())
    first, *lines = [json.loads(line) for line in (tmp_path / JOINTS).read_text().splitlines()]
    assert first["format"] == "semihand-track" and first["camera"]["assumed"] is False
    assert_allclose(first["camera"]["K"][0], 80 / np.tan(np.pi / 6), atol=1e-3)
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    truth = Clip(SMALL).frame(2).hands[1]
    assert_allclose(lines[2]["hands"][1]["uv"], truth.uv, atol=0.0051)
    assert_allclose(lines[2]["hands"][1]["xyz_m"], truth.xyz, atol=0.000051)
    video = cv2.VideoCapture(str(tmp_path / VIDEO))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4 and video.get(cv2.CAP_PROP_FPS) == 30
    plain, drawn = Clip(SMALL).frame(0).image, video.read()[1]
    assert np.abs(plain.astype(int) - drawn).mean() > 2


def test_errors_by_hand(hands):
    """3 pixels right and 4 down are 5; a hand whose unit bone is taken as 40 mm is right once its size is known."""
    score, truth = Score(), hands[0]
    unit = unit_length(truth.xyz)
    score.add([pose(1, truth, uv_shift=np.array([3.0, 4.0]), scale=UNIT_BONE_METRES / unit)], [truth])
    results = score.results()
    assert_allclose(results["error_px"], 5.0)
    assert_allclose(results["nme"], 5.0 / hand_size(truth.uv[None])[0])
    assert_allclose(results["epe_known_mm"], 0.0, atol=1e-9)
    reach = 1e3 * np.linalg.norm(truth.xyz - truth.xyz[9], axis=-1).mean()
    assert_allclose(results["epe_mm"], abs(1 - UNIT_BONE_METRES / unit) * reach)


def test_missed_extra_and_wrongly_handed_hands_count(hands):
    score, (right, left) = Score(), hands
    score.add([], hands)
    score.add([pose(1, left, handedness="right"), pose(2, right, uv_shift=500.0)], hands)
    counts = score.results()
    assert (counts["hands"], counts["found"], counts["extra"], counts["handedness_right"]) == (4, 1, 1, 0)


def test_nobody_found_is_a_result(tmp_path):
    text = run_demo(DemoOptions(SMALL, tmp_path), Oracle(uv_shift=1000.0))
    assert "hands found       0 of 8 (0.0 %), 8 where none is" in text
    assert "3D error" not in text


def test_each_hand_gets_its_nearest_pose(hands):
    right, left = hands
    poses = [pose(1, left), pose(2, right, uv_shift=2.0), pose(3, right)]
    assert [(one.id, hand.handedness) for one, hand in demo.matched(poses, hands)] == [(3, "right"), (1, "left")]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SemihandError, match="taken cannot be made: .* --out"):
        run_demo(DemoOptions(SMALL, tmp_path / "taken"), Oracle())


def test_a_missing_model_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(SemihandError, match="No model is called 'nobody'"):
        run_demo(DemoOptions(SMALL, tmp_path / "out", model="nobody"))
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path, monkeypatch):
    def opened(model, *, device, hands, focal):
        assert (model, device, hands) == ("some", "cpu", 1)
        assert_allclose(focal, 320 / np.tan(np.pi / 6))
        return Oracle(ClipConfig())

    monkeypatch.setattr(demo, "HandTracker", opened)
    arguments = ["demo", "--frames", "2", "--out", str(tmp_path), "--model", "some", "--device", "cpu"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "2 frames with 1 hand, model oracle on cpu" in result.output
    assert CliRunner().invoke(app, ["demo", "--hands", "3"]).exit_code == 2


def test_no_torch():
    code = "import sys, semihand.evaluate.demo, semihand.evaluate.bench.run; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif("lite" not in available_models(), reason="the released model lite is not there")
def test_the_released_model(tmp_path):
    tracker = demo.HandTracker("lite", device="cpu", hands=1, focal=320 / np.tan(np.pi / 6))
    score = Score()
    for frame in Clip(ClipConfig(frames=15)):
        score.add(tracker.step(demo.Frame(frame.image, frame.time, frame.index)), frame.hands)
    results = score.results()
    assert results["found"] == results["handedness_right"] == 15 and results["extra"] == 0
    assert results["nme"] < 0.08 and results["epe_known_mm"] < 25
