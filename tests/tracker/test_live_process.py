"""The live path as a process of its own: what it imports, that it runs without a network, and that Ctrl-C is clean."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx writes the tiny model that these processes run")

from semihand.models.joints import PRIOR_BONE_LENGTHS  # noqa: E402
from semihand.models.model_file import METADATA_KEY, OUTPUT_NAMES, ModelInfo  # noqa: E402

HERE = Path(__file__).resolve().parent
SHAPES = {"uv": (21, 2), "depth": (21,), "mask": (64, 64), "confidence": (21,)}
#: Makes every way to a network raise, before anything else is imported.
NO_NETWORK = """
import socket
def refuse(*args, **kwargs):
    raise RuntimeError("the live path touched the network")
socket.socket = socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
"""
MAIN = """
import sys
from semihand.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
#: Answers with the planted world of conftest.py, slowly.
PLANTED = f"""
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("planted", {str(HERE / "conftest.py")!r})
planted = importlib.util.module_from_spec(spec)
sys.modules["planted"] = planted
spec.loader.exec_module(planted)
from semihand.tracker import open as opening
world = planted.World()
world.hands["a"] = planted.Planted(planted.open_hand(0.0, 0.1, 0.5))
fast = world.run
world.run = lambda crops: time.sleep(0.03) or fast(crops)
opening.open_networks = lambda *_: opening.Networks(world, world, world)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model file that answers every crop with the middle of the grid."""
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["crop"], ["float"], to=types.FLOAT),
        helper.make_node("ReduceSum", ["float", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
    ]
    constants = [
        helper.make_tensor("axes", types.INT64, [3], [1, 2, 3]),
        helper.make_tensor("zero", types.FLOAT, [], [0.0]),
    ]
    for name, shape in SHAPES.items():
        values = np.full((1, *shape), 31.5 if name == "uv" else 0.5, np.float32)
        constants += [
            onnx.numpy_helper.from_array(values, f"{name}_value"),
            helper.make_tensor(f"{name}_axes", types.INT64, [len(shape)], list(range(1, len(shape) + 1))),
        ]
        nodes += [
            helper.make_node("Unsqueeze", ["nothing", f"{name}_axes"], [f"{name}_batch"]),
            helper.make_node("Add", [f"{name}_batch", f"{name}_value"], [name]),
        ]
    crop = helper.make_tensor_value_info("crop", types.UINT8, ["batch", 64, 64, 3])
    answers = [helper.make_tensor_value_info(name, types.FLOAT, ["batch", *SHAPES[name]]) for name in OUTPUT_NAMES]
    graph = helper.make_graph(nodes, "middle", [crop], answers, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {METADATA_KEY: ModelInfo("middle", 64, 1.6, {}, PRIOR_BONE_LENGTHS).to_json()})
    path = tmp_path_factory.mktemp("model") / "middle.onnx"
    onnx.save(made, path)
    return path


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Two pictures without a hand."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(2):
        picture = np.random.default_rng(index).integers(0, 255, (240, 320, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    return folder


def run_python(code, *arguments):
    command = [sys.executable, "-c", code, "track", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_runs_without_torch_numba_and_scipy(model, pictures, tmp_path):
    heavy = ("torch", "numba", "scipy", "onnx", "matplotlib", "pandas", "mediapipe", "rerun")
    code = MAIN + f"loaded = [name for name in {heavy} if name in sys.modules]\nassert not loaded, loaded"
    out = tmp_path / "out.jsonl"
    done = run_python(code, "--images", pictures, "--model", model, "--viewer", "none", "--jsonl", out)
    assert done.returncode == 0, done.stderr
    assert len(out.read_text().splitlines()) == 3
    assert "2 frames" in done.stderr


def test_runs_without_a_network(model, pictures, tmp_path):
    out = tmp_path / "out.jsonl"
    done = run_python(NO_NETWORK + MAIN, "--images", pictures, "--model", model, "--viewer", "none", "--jsonl", out)
    assert done.returncode == 0, done.stderr
    first, *lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert first["model"]["name"] == "middle" and len(lines) == 2


def test_help_loads_nothing_heavy():
    code = (
        MAIN
        + "loaded = [n for n in ('numpy', 'cv2', 'onnxruntime', 'torch') if n in sys.modules]\nassert not loaded, loaded"
    )
    done = run_python(code, "--help")
    assert done.returncode == 0, done.stderr
    assert "--save-video" in done.stdout


def test_an_error_is_one_sentence_and_exit_code_one(pictures):
    done = run_python("from semihand.cli import main\nmain()", "--images", pictures / "none")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("semihand: ") and "does not exist" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's; getrusage would count the parent at the fork")
def test_memory_stays_below_400_megabytes(model, pictures):
    code = MAIN + "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    done = run_python(code, "--images", pictures, "--model", model, "--viewer", "none")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) / 1024 < 400


@pytest.fixture
def film(world, tmp_path) -> Path:
    """A video of 150 frames with one hand: long enough to be stopped."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (640, 480))
    for _ in range(150):
        writer.write(world.image)
    writer.release()
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_closes_all_files(film, tmp_path, number):
    out = {name: tmp_path / f"out.{name}" for name in ("jsonl", "csv", "npz", "mp4")}
    arguments = ["--video", film, "--viewer", "none", "--jsonl", out["jsonl"], "--csv", out["csv"],
                 "--npz", out["npz"], "--save-video", out["mp4"]]  # fmt: skip
    command = [sys.executable, "-c", PLANTED + MAIN, "track", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for_lines(out["jsonl"], 10, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    lines = [json.loads(line) for line in out["jsonl"].read_text().splitlines()][1:]
    assert 9 <= len(lines) < 150
    assert f"{len(lines)} frames" in errors and "ms a frame" in errors
    with np.load(out["npz"]) as data:
        assert len(data["frames"]) == len(lines) and len(data["uv"]) == len(lines)
    assert len(out["csv"].read_text().splitlines()) == 1 + 21 * len(lines)
    capture = cv2.VideoCapture(str(out["mp4"]))
    shown = 0
    while capture.read()[0]:
        shown += 1
    assert shown == len(lines)


def _wait_for_lines(path, count, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.02)
    pytest.fail(f"no {count} lines: {process.communicate()[1] if process.poll() is not None else 'too slow'}")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_file_that_may_not_grow_keeps_complete_lines(film, tmp_path):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
    out = tmp_path / "out.jsonl"
    done = run_python(
        limit + PLANTED + "from semihand.cli import main\nmain()", "--video", film, "--viewer", "none", "--jsonl", out
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"semihand: Writing {out} failed: File too large.")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) > 5 and out.stat().st_size <= 20000
