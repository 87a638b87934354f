"""Released and personal model files (ONNX) for the live path. No torch here: ONNX Runtime and numpy only."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ..data_folder import data_dir, find_data_dir
from ..errors import SemihandError
from ..jsonfile import parse_json
from .cuda import CUDA_HELP, cuda_driver_present, preload_cuda
from .joints import BONES, JOINT_ORDER, NUM_JOINTS

log = logging.getLogger(__name__)

#: Key of the description inside ONNX and checkpoint files, and the version of its layout.
METADATA_KEY = "semihand"
SCHEMA = 1
INPUT_NAME = "crop"
OUTPUT_NAMES = ("uv", "depth", "mask", "confidence")
#: Of networks that say whether their crop shows a hand, and which.
VERDICT_NAMES = ("presence", "right")
#: Of one crop, in the order of OUTPUT_NAMES and VERDICT_NAMES.
OUTPUT_SHAPES = ((NUM_JOINTS, 2), (NUM_JOINTS,), (64, 64), (NUM_JOINTS,), (), ())
WEIGHTS = Path(__file__).parent / "weights"
#: Files in the weights folder that find hands and are no model of semihand's.
DETECTOR_FILES = frozenset({"palm_detection", "hand_landmark"})
#: In a personal model's folder: the number of the version in use. In the folder of all: the default model's name.
CURRENT, DEFAULT_FILE, RELEASED_DEFAULT = "current", "default.txt", "base"

#: Larger files are no models for hands, and would only fill the memory.
_MAX_BYTES = 1 << 30

#: What ONNX Runtime raises on a file that it cannot read or run.
ORT_ERRORS = tuple(
    getattr(ort_errors, name)
    for name in (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoModel",
        "NotImplemented",
        "RuntimeException",
        "EPFail",
    )
)


@dataclass(frozen=True)
class ModelInfo:
    """What a model or checkpoint file says about itself.

    bone_lengths: 20, ordered as joints.BONES, in units of the middle proximal phalanx.
    config: the network's configuration as plain values. provenance: command, seed, date, versions, samples seen.
    """

    name: str
    input_size: int
    crop_factor: float
    config: dict[str, Any]
    bone_lengths: tuple[float, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    joint_order: str = JOINT_ORDER
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        object.__setattr__(self, "bone_lengths", tuple(float(length) for length in self.bone_lengths))

    def to_json(self) -> str:
        """The description as it stands in files."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str | Path) -> ModelInfo:
        """Inverse of `to_json`. Raises SemihandError, naming `source`, where the description does not fit."""
        try:
            values = parse_json(text)
        except ValueError as error:
            raise SemihandError(f"{source} has a broken description ({error}); get the file anew.") from error
        if not isinstance(values, dict) or values.get("schema") != SCHEMA:
            found = values.get("schema") if isinstance(values, dict) else None
            raise SemihandError(
                f"{source} has layout version {found}, this semihand reads {SCHEMA}; update semihand or the file."
            )
        known = {f.name for f in fields(cls)}
        if set(values) != known:
            odd = sorted(set(values) ^ known)
            raise SemihandError(f"{source} has unknown or missing entries {odd}; export it anew.")
        try:
            return cls(**values)._checked(source)
        except (TypeError, ValueError, OverflowError) as error:
            raise SemihandError(f"{source} has a broken description ({error}); export it anew.") from error

    def _checked(self, source: str | Path) -> ModelInfo:
        """Sizes are checked before memory is taken for them. Raises ValueError too."""
        if not isinstance(self.input_size, int) or not 16 <= self.input_size <= 1024:
            raise ValueError(f"input_size is {self.input_size!r}")
        if not 0.5 <= float(self.crop_factor) <= 10 or not all(0 < length < 100 for length in self.bone_lengths):
            raise ValueError("the crop's factor or a bone's length is no sensible number")
        if not isinstance(self.name, str) or not isinstance(self.config, dict) or not isinstance(self.provenance, dict):
            raise ValueError("name, config or provenance is of another kind")
        if self.joint_order != JOINT_ORDER:
            raise SemihandError(
                f"{source} has joint order {self.joint_order!r}, semihand uses {JOINT_ORDER!r}; "
                "use a model that was trained with it."
            )
        if len(self.bone_lengths) != len(BONES):
            raise SemihandError(
                f"{source} has {len(self.bone_lengths)} bone lengths instead of {len(BONES)}; export it anew."
            )
        return self


class Output(NamedTuple):
    """A network's answer for B crops, float32.

    uv (B, 21, 2) on the 64 grid; depth (B, 21) relative to the root in units of the middle proximal phalanx; mask
    (B, 64, 64), confidence (B, 21), presence (B,) and right (B,) in [0, 1]: that the crop shows a hand, and that it is
    a right hand (or a mirrored left one). The last two are None for networks that do not say.
    """

    uv: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    confidence: np.ndarray
    presence: np.ndarray | None = None
    right: np.ndarray | None = None


class Model:
    """An opened model file. Attributes: info (ModelInfo), provider ("cpu" | "cuda"), sha256, path."""

    def __init__(self, session: ort.InferenceSession, info: ModelInfo, provider: str, sha256: str, path: Path):
        self.info = info
        self.provider = provider
        self.sha256 = sha256
        self.path = path
        self._session = session

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `run` answers with."""
        return tuple(output.name for output in self._session.get_outputs())

    def run(self, crops: np.ndarray) -> Output:
        """Estimate the hands in crops (B, S, S, 3) uint8 RGB of right (or mirrored left) hands, S = input_size.

        Raises ValueError on another shape.
        """
        size = self.info.input_size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8:
            raise ValueError(f"crops are {crops.shape} {crops.dtype}, not (B, {size}, {size}, 3) uint8")
        if not len(crops):
            return Output(*(np.zeros((0, *shape), np.float32) for _, shape in zip(self.outputs, OUTPUT_SHAPES)))
        return Output(*self._session.run(self.outputs, {INPUT_NAME: np.ascontiguousarray(crops)}))


def personal_models_dir() -> Path:
    """Folder of the user's own models: NAME/NUMBER/NAME.onnx (see `models.registry`), or NAME.onnx put by hand."""
    return data_dir() / "models"


def available_models() -> dict[str, Path]:
    """Names and files of all models; a personal model hides a released one of the same name."""
    mine = _personal_files() if find_data_dir() else []
    files = [*sorted(WEIGHTS.glob("*.onnx")), *mine]
    return {file.stem: file for file in files if file.stem not in DETECTOR_FILES and file.name[0] != "."}


def _personal_files() -> list[Path]:
    mine = personal_models_dir()
    try:
        pointed = [file for file in map(current_file, sorted(mine.glob(f"*/{CURRENT}"))) if file.is_file()]
        return [*sorted(mine.glob("*.onnx")), *pointed]
    except PermissionError as error:
        log.warning("%s may not be read; your own models are left out.", error.filename or mine)
        return []


def current_file(pointer: Path) -> Path:
    """The model file that a personal model's pointer NAME/current names; it may be gone by now."""
    name = pointer.parent.name
    try:
        version = pointer.read_text(errors="replace").strip()
    except FileNotFoundError:  # removed since it was listed
        version = ""
    # A number, and nothing that leads out of the folder.
    return pointer.parent / (version if version.isdigit() else "") / f"{name}.onnx"


def default_model() -> str:
    """The model that is used where none is named: what `semihand models use` chose, else the released lite."""
    folder = find_data_dir()
    try:
        return (folder / "models" / DEFAULT_FILE).read_text(errors="replace").strip() if folder else RELEASED_DEFAULT
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return RELEASED_DEFAULT


def resolve_model(name_or_path: str | Path | None) -> Path:
    """File of a model: a path as it is, else a personal, else a released model of that name; None is the default.

    Raises SemihandError where there is none.
    """
    if name_or_path is None:
        return _resolve_default()
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise SemihandError(f"Model file {path} does not exist. Give a file, or a name: {_names()}.")
    found = available_models().get(path.name)
    if found is None:
        raise SemihandError(f"No model is called {path.name!r}. Names: {_names()}. A path to a .onnx file works too.")
    return found


def _resolve_default() -> Path:
    name = default_model()
    found = available_models().get(name)
    if found is None:
        raise SemihandError(
            f"The default model {name!r} does not exist. Names: {_names()}. Choose one: semihand models use NAME."
        )
    return found


def _names() -> str:
    return ", ".join(sorted(available_models())) or "(none is installed)"


def usable_cores() -> int:
    """Cores that this process may use: under taskset or in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Threads for one session: all cores of this process but one, at least 1 and at most 4 (more gain nothing per crop).

    One core stays free for capture and drawing: where threads take every core, two of them now and then share one for
    a while, and a run lasts three times as long.
    """
    return max(1, min(4, usable_cores() - 1))


def session_options(threads: int | None = None) -> ort.SessionOptions:
    """Options of every live session: all graph optimisations, sequential, only errors in the log."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads wait awake inside a run (1 ms faster than asleep), not between frames (5 ms of CPU a frame).
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def open_model(name_or_path: str | Path | None, device: str = "auto", threads: int | None = None) -> Model:
    """Open a model by name or path (None: the default model) on `device` "auto" | "cpu" | "cuda".

    "auto" takes CUDA where it really runs and says what it took; "cuda" raises SemihandError where it does not.
    Raises SemihandError too on files that are missing, truncated, of another kind or joint order.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise SemihandError(f"Device {device!r} is not known. Use auto, cpu or cuda.")
    path = resolve_model(name_or_path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SemihandError(f"{path} is larger than a model can be ({_MAX_BYTES >> 20} MB). Give a model file.")
        content = path.read_bytes()
    except OSError as error:
        raise SemihandError(f"{path} could not be read: {error.strerror}. Check its permissions.") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if device == "cuda" or (device == "auto" and cuda_driver_present()):
        try:
            return _open_cuda(content, path, sha256, threads)
        except SemihandError as error:
            if device == "cuda":
                raise
            log.warning("%s Using the CPU.", error)
    session, info = _open(content, path, ["CPUExecutionProvider"], threads)
    log.debug("%s runs on the CPU.", info.name)
    return Model(session, info, "cpu", sha256, path)


def _open(
    content: bytes, path: Path, providers: list[str], threads: int | None
) -> tuple[ort.InferenceSession, ModelInfo]:
    try:
        session = ort.InferenceSession(content, session_options(threads), providers=providers)
    except ORT_ERRORS as error:
        raise SemihandError(
            f"{path} is no readable ONNX model ({_first_line(error)}); it may be truncated, get it anew."
        ) from error
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    names = tuple(output.name for output in session.get_outputs())
    if text is None or names not in (OUTPUT_NAMES, OUTPUT_NAMES + VERDICT_NAMES):
        raise SemihandError(f"{path} is an ONNX model of another kind. Models of semihand: {_names()}.")
    return session, ModelInfo.from_json(text, path)


def _open_cuda(content: bytes, path: Path, sha256: str, threads: int | None) -> Model:
    """Open on CUDA and prove it with one crop; ONNX Runtime itself would fall back to the CPU in silence."""
    preload_cuda()
    session, info = _open(content, path, ["CUDAExecutionProvider", "CPUExecutionProvider"], threads)
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise SemihandError(f"CUDA does not run: ONNX Runtime took {session.get_providers()[0]}. {CUDA_HELP}")
    model = Model(session, info, "cuda", sha256, path)
    try:
        model.run(np.zeros((1, info.input_size, info.input_size, 3), np.uint8))
    except ORT_ERRORS as error:
        raise SemihandError(f"CUDA does not run: {_first_line(error)}. {CUDA_HELP}") from error
    log.info("%s runs on CUDA.", info.name)
    return model


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
