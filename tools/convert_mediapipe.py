"""Convert MediaPipe's palm-detection and hand-landmark models from TFLite to ONNX.

    pip download mediapipe==0.10.21 --no-deps && unzip mediapipe-0.10.21-*.whl -d wheel
    python tools/convert_mediapipe.py wheel models/weights [--task hand_landmarker.task]

Needs tensorflow-cpu 2.21, tf2onnx 1.17, onnx and onnxruntime. Prints the largest difference between the
two runtimes and writes nothing that differs by more than BOUND. --task also packs the two TFLite files as the
bundle that MediaPipe's own HandLandmarker opens (evaluate/peers.py).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx

OPSET = 17
#: Largest allowed difference, relative to the largest value of each output.
BOUND = 1e-4
NOISE_PICTURES = 8


@dataclass(frozen=True)
class Source:
    """One model of the wheel: TFLite file, its SHA-256, its name in a task bundle, names for its outputs."""

    path: str
    sha256: str
    task_name: str
    outputs: tuple[str, ...]


MODELS = {
    "palm_detection": Source(
        "palm_detection/palm_detection_full.tflite",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        "hand_detector.tflite",
        ("boxes", "scores"),
    ),
    "hand_landmark": Source(
        "hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        "hand_landmarks_detector.tflite",
        ("landmarks", "presence", "handedness", "world_landmarks"),
    ),
}


def main() -> None:
    """Convert both models of the unpacked wheel named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="folder of the unpacked mediapipe 0.10.21 wheel")
    parser.add_argument("out", type=Path, help="folder for the ONNX files")
    parser.add_argument("--task", type=Path, help="also write this task bundle")
    args = parser.parse_args()
    files = {name: read(args.wheel, source) for name, source in MODELS.items()}
    for name, source in MODELS.items():
        model = convert(files[name], name, source)
        difference = max_difference(files[name], model)
        print(f"{name}: differs from TFLite by {difference:.1e} of an output's range (bound {BOUND:.0e})")
        if difference > BOUND:
            raise SystemExit(f"{name}: not written, {difference:.1e} is too much.")
        onnx.save(model, args.out / f"{name}.onnx")
    if args.task:
        with zipfile.ZipFile(args.task, "w", zipfile.ZIP_STORED) as bundle:
            for name, source in MODELS.items():
                bundle.writestr(source.task_name, files[name])


def read(wheel: Path, source: Source) -> bytes:
    """The TFLite file of an unpacked wheel; ends the program when it is missing or another version."""
    path = wheel / "mediapipe" / "modules" / source.path
    if not path.is_file():
        raise SystemExit(f"{path} is missing. Give the folder of the unpacked mediapipe 0.10.21 wheel.")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != source.sha256:
        raise SystemExit(f"{path} is not that of the mediapipe 0.10.21 wheel: its SHA-256 is {digest}.")
    return content


def convert(content: bytes, name: str, source: Source) -> onnx.ModelProto:
    """The ONNX model of a TFLite file: input "image", named outputs, weights in fp16, provenance inside."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        model, _ = tf2onnx.convert.from_tflite(file.name, opset=OPSET)
    rename(model.graph, [*model.graph.input, *model.graph.output], ("image", *source.outputs))
    store_as_half(model.graph)
    model.doc_string = ""
    provenance = {
        "name": name,
        "source": f"mediapipe 0.10.21, {source.path}",
        "sha256": source.sha256,
        "converter": f"tf2onnx {version('tf2onnx')}, opset {OPSET}",
        "licence": "Apache-2.0, Google LLC",
    }
    onnx.helper.set_model_props(model, {"semihand_detector": json.dumps(provenance)})
    onnx.checker.check_model(model)
    return model


def rename(graph: onnx.GraphProto, values: list[onnx.ValueInfoProto], names: tuple[str, ...]) -> None:
    """Give inputs and outputs (`values`, in order) speaking names, wherever they are used."""
    new_name = {value.name: name for value, name in zip(values, names, strict=True)}
    for value in values:
        value.name = new_name[value.name]
    for node in graph.node:
        node.input[:] = [new_name.get(name, name) for name in node.input]
        node.output[:] = [new_name.get(name, name) for name in node.output]


def store_as_half(graph: onnx.GraphProto) -> None:
    """Store each weight that is exact in fp16 as fp16 with a Cast; runtimes fold the Cast when they load.

    The TFLite files hold fp16 weights, so nothing is lost and the files halve.
    """
    casts = []
    for tensor in graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        half = value.astype(np.float16) if value.dtype == np.float32 else None
        if half is None or not np.array_equal(half.astype(np.float32), value):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_fp16"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def max_difference(content: bytes, model: onnx.ModelProto) -> float:
    """Largest |TFLite - ONNX Runtime| over noise pictures, each output relative to its largest value."""
    lite = tf.lite.Interpreter(model_content=content)
    lite.allocate_tensors()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(NOISE_PICTURES):
        image = rng.random(session.get_inputs()[0].shape, dtype=np.float32)
        lite.set_tensor(lite.get_input_details()[0]["index"], image)
        lite.invoke()
        for detail, ours in zip(lite.get_output_details(), session.run(None, {"image": image}), strict=True):
            theirs = lite.get_tensor(detail["index"])
            worst = max(worst, float(np.abs(theirs - ours).max() / np.abs(theirs).max()))
    return worst


if __name__ == "__main__":
    main()
