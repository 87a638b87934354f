import dataclasses
import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from semihand.errors import SemihandError
from semihand.models import model_file
from semihand.models.joints import PRIOR_BONE_LENGTHS
from semihand.models.model_file import (
    METADATA_KEY,
    OUTPUT_NAMES,
    OUTPUT_SHAPES,
    ModelInfo,
    available_models,
    cuda_driver_present,
    default_threads,
    open_model,
    resolve_model,
)
from semihand.tracker import detect

INFO = ModelInfo("toy", 64, 2.0, {"name": "toy"}, PRIOR_BONE_LENGTHS, {"seed": 1}, "CC0-1.0")


def write_model(path, description=INFO.to_json(), outputs=OUTPUT_NAMES):
    """A model file that answers every crop with the brightness of its first pixel, at every place."""
    nodes = [
        helper.make_node("Cast", ["crop"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["float", "zero3", "one3", "axes"], ["corner"]),
        helper.make_node("Reshape", ["corner", "flat"], ["value"]),
    ]
    constants = [
        helper.make_tensor("zero3", TensorProto.INT64, [3], [0, 0, 0]),
        helper.make_tensor("one3", TensorProto.INT64, [3], [1, 1, 1]),
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("flat", TensorProto.INT64, [2], [-1, 1]),
    ]
    values = []
    for name, shape in zip(outputs, OUTPUT_SHAPES):
        width = int(np.prod(shape))
        constants += [
            helper.make_tensor(f"{name}_width", TensorProto.FLOAT, [1, width], np.ones(width)),
            helper.make_tensor(f"{name}_shape", TensorProto.INT64, [len(shape) + 1], [-1, *shape]),
        ]
        nodes += [
            helper.make_node("MatMul", ["value", f"{name}_width"], [f"{name}_flat"]),
            helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [name]),
        ]
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
    crop = helper.make_tensor_value_info("crop", TensorProto.UINT8, ["batch", 64, 64, 3])
    graph = helper.make_graph(nodes, "toy", [crop], values, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if description is not None:
        helper.set_model_props(model, {METADATA_KEY: description})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def toy(tmp_path):
    return write_model(tmp_path / "toy.onnx")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Released and personal models in folders of the test's own."""
    monkeypatch.setattr(model_file, "WEIGHTS", tmp_path / "released")
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "mine"))
    return tmp_path / "released", tmp_path / "mine" / "models"


def test_run(toy):
    model = open_model(toy, "cpu", threads=1)
    crops = np.zeros((2, 64, 64, 3), np.uint8)
    crops[1, 0, 0, 0] = 200
    answers = model.run(crops)
    assert answers.presence is None and answers.right is None
    for answer, shape in zip(answers[:4], OUTPUT_SHAPES):
        assert answer.shape == (2, *shape) and answer.dtype == np.float32
        assert (answer[0] == 0).all() and (answer[1] == 200).all()
    assert model.info == INFO
    assert (model.provider, model.path, len(model.sha256)) == ("cpu", toy, 64)


def test_no_crops_give_no_answers(toy):
    answers = open_model(toy, "cpu").run(np.zeros((0, 64, 64, 3), np.uint8))
    assert [answer.shape for answer in answers[:4]] == [(0, *shape) for shape in OUTPUT_SHAPES[:4]]


@pytest.mark.parametrize(
    "crops", [np.zeros((64, 64, 3), np.uint8), np.zeros((1, 3, 64, 64), np.uint8), np.zeros((1, 64, 64, 3), np.float32)]
)
def test_crops_of_another_shape(toy, crops):
    with pytest.raises(ValueError, match=r"not \(B, 64, 64, 3\) uint8"):
        open_model(toy, "cpu").run(crops)


def test_personal_model_hides_the_released_one(folders):
    released, mine = folders
    write_model(released / "lite.onnx")
    write_model(released / "palm_detection.onnx")
    assert resolve_model("lite") == released / "lite.onnx"
    write_model(mine / "lite.onnx")
    write_model(mine / "anna.onnx")
    assert resolve_model("lite") == mine / "lite.onnx"
    assert set(available_models()) == {"lite", "anna"}


def test_unknown_name_lists_the_names(folders):
    write_model(folders[0] / "lite.onnx")
    with pytest.raises(SemihandError, match="No model is called 'heavy'. Names: lite."):
        open_model("heavy")


def test_missing_file(tmp_path):
    with pytest.raises(SemihandError, match="gone.onnx does not exist"):
        open_model(tmp_path / "gone.onnx")


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_truncated_file(toy, keep):
    content = toy.read_bytes()
    toy.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    with pytest.raises(SemihandError, match="toy.onnx is (no readable ONNX model|an ONNX model of another kind)"):
        open_model(toy, "cpu")


def test_file_that_is_no_model(tmp_path):
    (tmp_path / "text.onnx").write_text("hello " * 100)
    with pytest.raises(SemihandError, match="no readable ONNX model"):
        open_model(tmp_path / "text.onnx", "cpu")


def test_model_of_another_kind(tmp_path):
    for path in (
        write_model(tmp_path / "a.onnx", description=None),
        write_model(tmp_path / "b.onnx", outputs=("uv", "depth", "mask", "score")),
    ):
        with pytest.raises(SemihandError, match="another kind"):
            open_model(path, "cpu")


def changed(**changes):
    return json.dumps({**dataclasses.asdict(INFO), **changes})


@pytest.mark.parametrize(
    "description, says",
    [
        (changed(joint_order="openpose"), "joint order 'openpose'"),
        (changed(schema=2), "layout version 2"),
        (changed(colour="red"), r"entries \['colour'\]"),
        (changed(bone_lengths=[1.0] * 5), "5 bone lengths"),
        ("[]", "layout version None"),
        ("{", "broken description"),
    ],
)
def test_descriptions_that_do_not_fit(tmp_path, description, says):
    with pytest.raises(SemihandError, match=says):
        open_model(write_model(tmp_path / "odd.onnx", description), "cpu")


def test_description_round_trip():
    assert ModelInfo.from_json(INFO.to_json(), "here") == INFO


def test_unknown_device(toy):
    with pytest.raises(SemihandError, match="'gpu' is not known"):
        open_model(toy, "gpu")


@pytest.mark.skipif(cuda_driver_present(), reason="this machine has an NVIDIA GPU")
def test_cuda_fails_loudly_and_auto_takes_the_cpu(toy):
    with pytest.raises(SemihandError, match="CUDA does not run"):
        open_model(toy, "cuda")
    assert open_model(toy, "auto").provider == "cpu"


@pytest.mark.skipif(not cuda_driver_present(), reason="this machine has no NVIDIA GPU")
def test_cuda_runs(toy):
    assert open_model(toy, "cuda").provider == "cuda"


def test_silent_fall_back_of_onnxruntime_is_noticed(toy, monkeypatch):
    monkeypatch.setattr(model_file, "preload_cuda", lambda: None)
    monkeypatch.setattr(model_file, "_open", lambda content, path, providers, threads: real_open(
        content, path, ["CPUExecutionProvider"], threads))  # fmt: skip
    with pytest.raises(SemihandError, match="took CPUExecutionProvider"):
        open_model(toy, "cuda")


real_open = model_file._open


def test_threads_are_few():
    assert 1 <= default_threads() <= 4
    assert model_file.session_options(3).intra_op_num_threads == 3
    assert model_file.session_options().get_session_config_entry("session.force_spinning_stop") == "1"


def test_threads_are_of_the_cores_that_the_process_may_use(monkeypatch):
    """Under taskset the machine's cores are not ours: the network and both detector models keep to what is."""
    monkeypatch.setattr(model_file.os, "sched_getaffinity", lambda process: {7}, raising=False)
    monkeypatch.setattr(model_file.os, "cpu_count", lambda: 64)
    assert (model_file.usable_cores(), default_threads()) == (1, 1)
    asked = []
    monkeypatch.setattr(detect, "usable_cores", lambda: asked.append(1) or 1)
    detect.open_session("palm_detection")
    assert asked == [1]


def test_importing_it_loads_no_torch():
    code = "import sys, semihand.models.model_file; print('torch' in sys.modules, 'onnx' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
