"""The Python door: what `import semihand` gives, the lines of README and package text, and the examples, all run."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

import semihand
from semihand.errors import SemihandError
from semihand.kinematics.hand import Motion
from semihand.tracker import open as opening
from semihand.tracker.types import Frame, HandBox, HandPose

ROOT = Path(semihand.__file__).parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
ARGUMENTS = {"dexterous_hand": ("finger_right.yml", "urdf")}


# ---- a camera and networks that cost nothing


class Film:
    """A source of pictures: a hand pinches, opens, and is away at the end."""

    name, camera, fps, count, live, independent = "film", "", 30.0, 30, False, False

    def frames(self):
        for index in range(30):
            yield Frame(np.full((480, 640, 3), 90, np.uint8), index / 10, index)

    def close(self):
        """Nothing is open."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nothing is open."""


def hand(index):
    """Frames 0 to 9 pinch with all fingers stretched, 10 to 19 a wide gap with bent fingers, then nothing."""
    from semihand.synth.hand import forward_kinematics, load_hand
    from semihand.synth.pose import Hand, draw_gesture

    if index >= 20:
        return []
    asset, rng = load_hand(), np.random.default_rng(0)
    angles = draw_gesture(rng, Hand(asset, 0), "ok" if index < 10 else "ell")
    xyz = forward_kinematics(asset.joints[0], asset.axes[0], angles, np.zeros(2))[0] @ np.diag([1.0, -1.0, -1.0])
    xyz = xyz + (0.005 * index, 0.0, 0.5)
    uv = xyz[:, :2] / xyz[:, 2:] * 544 + (319.5, 239.5)
    box = HandBox(uv.mean(axis=0), 200.0)
    return [
        HandPose(1, "right", 0.9, uv, xyz, xyz[:, 2] - xyz[9, 2], np.ones(21), np.zeros((64, 64)), np.eye(3) / 5, box)
    ]


@pytest.fixture
def planted(monkeypatch):
    """HandTracker sees the film's hands; open_source opens the film, whatever is asked for. Returns what was asked."""
    asked = []

    def init(self, model=None, **options):
        asked.append((model, options))
        self.model, self._motion = object(), Motion()

    monkeypatch.setattr(opening.HandTracker, "__init__", init)
    monkeypatch.setattr(opening.HandTracker, "step", lambda self, frame: hand(frame.index))
    monkeypatch.setattr(opening, "open_source", lambda source=0, **_: asked.append(source) or Film())
    return asked


# ---- the lines that people paste


def python_blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_the_package_text_runs(planted, capsys):
    lines = semihand.__doc__.strip().splitlines()[2:]
    exec("\n".join(lines), {})
    told = capsys.readouterr().out.splitlines()
    assert len(lines) <= 6 and len(told) == 20
    assert re.fullmatch(r"right \[.*\] m, pinch 1\.00, \[.*\] degrees", told[0])


def test_the_readmes_python_runs(planted, capsys):
    blocks = python_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    if not blocks:
        pytest.skip("README.md has no Python lines")
    for block in blocks:
        exec(block, {})
    assert "right" in capsys.readouterr().out


# ---- what it keeps from leaving the machine


@pytest.mark.parametrize("module", ["semihand.tracker.open", "semihand.models.model_file", "semihand.doctor"])
def test_onnx_runtime_may_not_report_usage(module):
    """Its native code would send it past every Python socket; it reads this variable once, when it is loaded."""
    code = f"""
import builtins, os
before, real = [], builtins.__import__
def watched(name, *rest, **more):
    if name.partition(".")[0] == "onnxruntime" and not before:
        before.append(os.environ.get("ORT_DISABLE_TELEMETRY"))
    return real(name, *rest, **more)
builtins.__import__ = watched
import {module}, onnxruntime
print(before)
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "['1']"


@pytest.mark.skipif(not shutil.which("strace"), reason="strace sees the sockets of native code")
def test_no_socket_to_a_network_in_the_whole_process(toy_model, tmp_path):
    """Model, detectors and a picture, down to the system calls."""
    trace, model = tmp_path / "trace", toy_model(tmp_path / "toy.onnx")
    code = f"""
import numpy as np, semihand
with semihand.HandTracker({str(model)!r}, device="cpu") as tracker:
    tracker(np.zeros((240, 320, 3), np.uint8))
"""
    command = ["strace", "-f", "-e", "trace=socket,connect,sendto", "-o", str(trace), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    assert "AF_INET" not in trace.read_text()


# ---- the door itself


def test_public_names_are_there_and_come_late():
    assert set(semihand.__all__) <= set(dir(semihand))
    for name in semihand.__all__:
        assert getattr(semihand, name).__name__.lower().replace("_", "") == name.lower().replace("_", "")
    with pytest.raises(AttributeError, match="has no attribute 'tracker_of_hands'"):
        semihand.tracker_of_hands
    code = "import sys, semihand; print([n for n in ('numpy', 'cv2', 'onnxruntime') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (ROOT / "py.typed").is_file()


@pytest.fixture
def tracker(toy_model, tmp_path):
    """A real one with a tiny model and the released detectors."""
    with semihand.HandTracker(toy_model(tmp_path / "toy.onnx"), device="cpu", threads=1, hands=1) as one:
        yield one


def test_a_picture_without_a_hand_and_what_is_no_picture(tracker):
    assert tracker(np.zeros((240, 320, 3), np.uint8)) == []
    assert tracker(np.zeros((240, 320), np.uint8), 1.0) == []
    with pytest.raises(ValueError, match="Expected a grey or colour picture"):
        tracker(np.zeros(5, np.uint8))


def test_a_closed_tracker_says_so(tracker):
    tracker.close()
    tracker.close()
    with pytest.raises(ValueError, match="closed"):
        tracker(np.zeros((240, 320, 3), np.uint8))


def test_models_by_name_and_file():
    with pytest.raises(SemihandError, match="No model is called 'nobody'"):
        semihand.HandTracker("nobody")
    with pytest.raises(SemihandError, match="none.onnx does not exist"):
        semihand.HandTracker(Path("none.onnx"))


def test_sources(tmp_path):
    picture = np.full((48, 64, 3), 200, np.uint8)
    cv2.imwrite(str(tmp_path / "1.png"), picture)
    for where in (tmp_path, tmp_path / "1.png", str(tmp_path)):
        with semihand.open_source(where) as source:
            (frame,) = source.frames()
            assert_allclose(frame.image, picture)
            assert source.independent
    with semihand.open_source(tmp_path, fps=30) as source:
        assert not source.independent
    with pytest.raises(SemihandError, match="The video .* does not exist"):
        semihand.open_source(tmp_path / "none.mp4")


def test_cameras_by_number(monkeypatch):
    monkeypatch.setattr(opening, "Webcam", lambda config: config)
    assert semihand.open_source().index == 0
    asked = semihand.open_source("2", width=1280, height=720)
    assert (asked.index, asked.width, asked.height, asked.fps) == (2, 1280, 720, 30.0)


def test_cameras_by_name_path_and_address(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(opening, "Webcam", lambda config: config)
    monkeypatch.setattr(opening, "camera_names", lambda: {2: "Logitech C920"})
    for wanted in (None, "logitech", "/dev/v4l/by-id/x", "rtsp://10.0.0.7/live"):
        assert semihand.open_source(wanted, fps=15).index == wanted
    (tmp_path / "logitech").mkdir()
    with pytest.raises(SemihandError):
        semihand.open_source("logitech")  # a folder of that name, without pictures
    with pytest.raises(SemihandError, match="does not exist"):
        semihand.open_source("sony")


def test_pictures_that_stand_for_themselves_are_tracked_each_by_itself(planted):
    resets = []

    class Alone(Film):
        independent = True

    tracker = semihand.HandTracker()
    tracker.reset = lambda: resets.append(True)
    frames = list(tracker.track(Alone()))
    assert len(frames) == len(resets) == 30 and [len(hands) for _, hands in frames] == [1] * 20 + [0] * 10


def test_results_have_names_draw_and_become_plain(planted):
    (_, hands), *_ = semihand.HandTracker().track(Film())
    (one,) = hands
    assert isinstance(one, semihand.Hand) and one.handedness == "right" and one.pinch == 1.0
    assert one.to_dict()["pinch"]["strength"] == 1.0
    picture = np.full((480, 640, 3), 90, np.uint8)
    assert (semihand.draw(picture, hands) != picture).any()


# ---- examples


class Robot:
    """What dex-retargeting builds: two joints that follow the vector from wrist to index tip."""

    optimizer = SimpleNamespace(target_link_human_indices=np.array([[0], [8]]))
    joint_names = ("across", "along")

    def build(self):
        return self

    def retarget(self, vectors):
        return vectors[0, [0, 2]]


@pytest.fixture
def desktop(monkeypatch):
    """pynput, IPython and pactl as far as the examples use them. Returns what was done to them."""
    done = []
    mouse = ModuleType("pynput.mouse")
    mouse.Button = SimpleNamespace(left="left")

    class Controller:
        def press(self, button):
            done.append("press")

        def release(self, button):
            done.append("release")

    mouse.Controller = Controller
    shown = ModuleType("IPython.display")
    shown.Image = lambda data, format: len(data)
    shown.display = lambda image, display_id: SimpleNamespace(update=done.append)
    dex = ModuleType("dex_retargeting.retargeting_config")
    dex.RetargetingConfig = SimpleNamespace(set_default_urdf_dir=done.append, load_from_file=lambda _: Robot())
    for name, module in (("pynput", ModuleType("pynput")), ("pynput.mouse", mouse),
                         ("IPython", ModuleType("IPython")), ("IPython.display", shown),
                         ("dex_retargeting", ModuleType("dex_retargeting")), (dex.__name__, dex)):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: done.append(command))
    return done


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run_and_are_short(planted, desktop, capsys, path):
    assert len(path.read_text().splitlines()) < 40
    runpy.run_path(str(path))["main"](*ARGUMENTS.get(path.stem, ()))
    told = capsys.readouterr().out.splitlines()
    if path.stem == "pinch_to_click":
        assert desktop == ["press", "release"]
    elif path.stem == "volume_by_distance":
        assert desktop == [["pactl", "set-sink-volume", "@DEFAULT_SINK@", "84%"]]
    elif path.stem == "robot_gripper":
        assert told[0].startswith("move [0.005, 0.0, 0.0] m, gripper 0.0") and len(told) == 9
    elif path.stem == "dexterous_hand":
        assert desktop == ["urdf"] and len(told) == 20
        bent, stretched = (float(line.split()[-1]) for line in (told[0], told[15]))
        assert 0 < bent < stretched < 0.2  # metres from the wrist, along the palm
    elif path.stem == "jupyter_cell":
        assert len(desktop) == 30 and min(desktop) > 1000
    else:
        pytest.fail(f"{path} has no test")
