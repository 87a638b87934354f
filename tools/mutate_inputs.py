"""Give damaged files to every reader of semihand: flipped bits, cut-off ends, swapped types.

    python tools/mutate_inputs.py --count 500

Each file is read in a process of its own. A reader may answer, or refuse in a sentence; everything else is a fault.
Prints one line a reader (read, refused, faults, slowest second, most memory); exits with 1 where there was a fault.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from semihand.datasets.arrays_pickle import load_arrays
from semihand.datasets.sequence import SequenceWriter, read_sequence
from semihand.errors import SemihandError
from semihand.models.checkpoint import TrainingState, load_checkpoint, load_training_state, save_training_state
from semihand.models.model_file import WEIGHTS, available_models
from semihand.models.network import NetworkConfig
from semihand.models.record import read_record
from semihand.models.verify import check_weights, try_model
from semihand.record.recording import RecordingHeader, list_recordings, read_recording
from semihand.record.writer import RecordingWriter
from semihand.tracker.detect import LandmarkResult
from semihand.tracker.files import Pictures, VideoFile

LIMIT_SECONDS, LIMIT_BYTES = 30, 1 << 30
PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8), (160, 120))
ODD = (None, True, -1, 0, 1e308, 10**400, "text", "../../x", [], {}, [[]], float("nan"), float("-inf"), [1, "a", None])


@dataclass
class Reader:
    """files: what to damage, whole files; one of them is damaged at a time. read: is given the folder."""

    files: tuple[str, ...]
    make: Callable[[Path], None]
    read: Callable[[Path], None]
    counts: dict[str, int] = field(default_factory=lambda: {"read": 0, "refused": 0, "fault": 0})
    slowest: float = 0.0
    memory: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="damaged files in all")
    parser.add_argument("--only", help="this reader alone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    cv2.setNumThreads(1)  # children are forked: nobody may hold a lock then
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="semihand-") as temporary:
        os.environ["SEMIHAND_DATA"] = temporary
        readers = {name: reader for name, reader in all_readers().items() if options.only in (None, name)}
        for number in range(options.count):
            name, reader = list(readers.items())[number % len(readers)]
            try_one(Path(temporary) / str(number), name, reader, rng)
    for name, reader in readers.items():
        told = "  ".join(f"{what} {count:3}" for what, count in reader.counts.items())
        print(f"{name:14} {told}  slowest {reader.slowest:5.2f} s  memory {reader.memory / 1e6:4.0f} MB")
    faults = sum(reader.counts["fault"] for reader in readers.values())
    print(f"{options.count} files, {faults} faults")
    sys.exit(bool(faults))


def try_one(folder: Path, name: str, reader: Reader, rng: random.Random) -> None:
    """Make the reader's files, damage one, and read them in a forked process."""
    folder.mkdir()
    os.environ["SEMIHAND_DATA"] = str(folder)
    reader.make(folder)
    file = folder / rng.choice(reader.files)
    damage = rng.choice(damages(file))
    file.write_bytes(damage(file.read_bytes(), rng))
    begun, (answer, child) = time.monotonic(), os.pipe()
    pid = os.fork()
    if not pid:
        os.close(answer)
        in_child(reader.read, folder, child)
    os.close(child)
    with os.fdopen(answer) as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    reader.slowest = max(reader.slowest, time.monotonic() - begun)
    reader.memory = max(reader.memory, usage.ru_maxrss * 1024)
    what = "fault" if usage.ru_maxrss * 1024 > LIMIT_BYTES else said.partition("\n")[0] or "fault"
    reader.counts[what] += 1
    if what == "fault":
        status = os.waitstatus_to_exitcode(status)
        print(f"-- {name}, {file.name}, {damage.__name__}: status {status}\n{said[-1500:]}", file=sys.stderr)


def in_child(read: Callable[[Path], None], folder: Path, answer: int) -> None:
    """Read, say how it went, and end."""
    signal.alarm(LIMIT_SECONDS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        read(folder)
        said = "read\n"
    except SemihandError as error:
        said = "refused\n" if "\n" not in str(error) else f"fault\nmore than a line: {error}"
    except BaseException:
        said = f"fault\n{traceback.format_exc()}"
    os.write(answer, said.encode(errors="replace"))
    os._exit(0)


# ---- damages


def damages(file: Path) -> list[Callable[[bytes, random.Random], bytes]]:
    """What can be done to a file; texts are damaged in their values most of the time."""
    return [flipped, cut, zeroed, inserted] + [swapped] * 4 * (file.suffix in (".json", ".jsonl"))


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    # Half of the time near the beginning, where sizes and kinds stand.
    end = min(len(data), 512) if rng.random() < 0.5 else len(data)
    for _ in range(rng.choice((1, 4, 64))):
        changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def zeroed(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes(min(rng.randrange(1, 4096), len(data) - at)) + data[at + 4096 :]


def inserted(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 200)) + data[at:]


def swapped(data: bytes, rng: random.Random) -> bytes:
    """One value of a JSON text, or of a line of it, is of another type, missing, or nested endlessly."""
    lines = data.decode().splitlines() if data.count(b"\n{") else [data.decode()]
    at = rng.randrange(len(lines))
    if rng.random() < 0.1:
        lines[at] = "[" * 200_000
    else:
        lines[at] = json.dumps(_with_another_value(json.loads(lines[at]), rng))
    return ("\n".join(lines) + "\n").encode()


def _with_another_value(value: object, rng: random.Random) -> object:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: entry for name, entry in value.items() if name != key}
        return {**value, key: _with_another_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], _with_another_value(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


# ---- readers


def all_readers() -> dict[str, Reader]:
    """Every kind of file that somebody else may have made."""
    readers = {}
    for ending, codec in ((".mp4", "mp4v"), (".avi", "MJPG"), (".mkv", "mp4v")):
        file = f"film{ending}"
        readers[f"video {ending}"] = Reader(
            (file,), lambda folder, f=file, c=codec: _film(folder / f, c), lambda folder, f=file: _all(VideoFile(folder / f))
        )  # fmt: skip
    for ending in (".png", ".jpg", ".webp", ".tif", ".bmp", ".jp2", ".ppm"):
        file = f"picture{ending}"
        readers[f"picture {ending}"] = Reader(
            (file,), lambda folder, f=file: cv2.imwrite(str(folder / f), PICTURE), lambda folder, f=file: _all(Pictures(folder / f))
        )  # fmt: skip
    if hasattr(cv2, "imwriteanimation"):
        readers["animation"] = Reader(("a.webp",), _animation, lambda folder: _all(VideoFile(folder / "a.webp")))
    readers |= {
        "model": Reader(("m.onnx",), _copied("lite.onnx", "m.onnx"), lambda folder: try_model(folder / "m.onnx")),
        "weights": Reader(("w.safetensors",), _copied("lite.safetensors", "w.safetensors"), _read_weights),
        "installed": Reader(
            ("models/x/current", "models/x/1/record.json", "models/default.txt"), _installed, _read_installed
        ),
        "recording": Reader(
            ("r/recording.json", "r/frames.jsonl", "r/summary.json", "r/images/000001.jpg"), _recording, _read_recording
        ),
        "sequence": Reader(("s/sequence.json",), _sequence, _read_sequence),
        "state": Reader(("state.pt",), _state, lambda folder: load_training_state(folder / "state.pt")),
        "labels": Reader(("labels.pickle",), _labels, lambda folder: load_arrays(folder / "labels.pickle")),
    }
    return readers


def _all(source) -> None:
    with source:
        for _ in source.frames():
            pass


def _film(path: Path, codec: str) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 30, (160, 120))
    for number in range(30):
        writer.write(np.roll(PICTURE, number, axis=1))
    writer.release()


def _animation(folder: Path) -> None:
    animation = cv2.Animation()
    animation.frames, animation.durations = [PICTURE, PICTURE // 2, PICTURE // 3], np.array([100, 200, 300])
    cv2.imwriteanimation(str(folder / "a.webp"), animation)


def _copied(name: str, target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / target).write_bytes((WEIGHTS / name).read_bytes()) and None


def _read_weights(folder: Path) -> None:
    check_weights(folder / "w.safetensors")
    load_checkpoint(folder / "w.safetensors")


def _installed(folder: Path) -> None:
    home = folder / "models" / "x" / "1"
    home.mkdir(parents=True)
    (home / "x.onnx").write_bytes((WEIGHTS / "lite.onnx").read_bytes())
    record = {"schema": 1, "name": "x", "version": 1, "previous": None, "indicators": {"before": {}, "after": {}}}
    (home / "record.json").write_text(json.dumps(record))
    (home.parent / "current").write_text("1\n")
    (folder / "models" / "default.txt").write_text("x\n")


def _read_installed(folder: Path) -> None:
    from semihand.models.model_file import default_model
    from semihand.models.registry import installed

    installed()
    read_record(available_models().get("x", folder / "models" / "x" / "1" / "x.onnx"))
    default_model()


def _recording(folder: Path) -> None:
    header = RecordingHeader("r", "2026-01-01T00:00:00+00:00", "camera 0", 640, 480, 30.0, True, {"a": "b"})
    marks = LandmarkResult(np.ones((21, 2)), np.zeros(21), 0.9, "left", 0.9, np.zeros((21, 3)))
    with RecordingWriter(folder / "r", header) as writer:
        for number in range(4):
            writer.add(PICTURE, number / 30, 0, "Open", np.diag([500.0, 500, 1]), "left", marks, 9.0)
        writer.summarize({"kept": 4})


def _read_recording(folder: Path) -> None:
    list_recordings()
    recording = read_recording(folder / "r")
    for frame in recording.frames:
        frame.read()
    header = RecordingHeader(**{name: getattr(recording, name) for name in RecordingHeader.__dataclass_fields__})
    with RecordingWriter(folder / "r", header, resume=True) as writer:
        writer.discard_from(0)


def _sequence(folder: Path) -> None:
    with SequenceWriter(folder / "s", "s", fps=30.0) as writer:
        for _ in range(3):
            xyz = np.random.default_rng(0).uniform(0.3, 0.6, (21, 3))
            writer.add(PICTURE, K=np.array([[500.0, 0, 80], [0, 500, 60], [0, 0, 1]]), handedness="left", xyz=xyz)


def _read_sequence(folder: Path) -> None:
    for frame in read_sequence(folder / "s").frames:
        frame.read()


def _state(folder: Path) -> None:
    tensors = {"w": torch.ones(8)}
    save_training_state(
        folder / "state.pt", TrainingState(NetworkConfig("lite"), 1, 2, tensors, tensors, {}, {"python": 1})
    )


def _labels(folder: Path) -> None:
    (folder / "labels.pickle").write_bytes(pickle.dumps({0: {"K": np.eye(3), "uv": np.zeros((42, 3))}}))


if __name__ == "__main__":
    main()
