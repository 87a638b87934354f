"""`semihand doctor`: what works on this machine, one line each, with the next step otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import __version__
from .errors import LIVE_PACKAGES, SemihandError

#: All that bring a module cv2; two of them overwrite each other.
OPENCV_PACKAGES = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
_IMPORT = "import sys; from semihand.errors import package_trouble; sys.exit(package_trouble(sys.argv[1]))"


@dataclass(frozen=True)
class Finding:
    """One line: ok True, False, or None where an optional part is not there."""

    what: str
    ok: bool | None
    says: str

    def __str__(self) -> str:
        sign = {True: "ok", False: "NO", None: "--"}[self.ok]
        return f"{sign:3} {self.what:10} {self.says}"


def examine() -> Iterator[Finding]:
    """All findings, by trying and not by believing. Opens no camera and loads no torch."""
    yield Finding(
        "semihand", True, f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    )
    troubles = {name: _import_trouble(name) for name in LIVE_PACKAGES}
    yield _packages(troubles)
    yield from _opencv(troubles["cv2"])
    checks = (
        ("onnx", _onnxruntime, ("numpy", "onnxruntime")),
        ("model", _models, ("numpy", "onnxruntime")),
        ("detector", _detector, ("numpy", "onnxruntime", "cv2")),
        ("camera", _cameras, ()),
        ("window", _display, ("numpy", "cv2")),
        ("data", _data_folder, ()),
    )
    for what, check, needed in checks:
        if not any(troubles[name] for name in needed):
            yield from _told(what, check)
    yield _extra("rendering", ("numba",), "synth", "demo, bench and synth")
    yield _extra("training", ("torch", "onnx", "safetensors"), "train", "pretrain, adapt and export")
    yield _extra("rerun", ("rerun-sdk",), "rerun", "track --viewer rerun")
    yield _extra("mediapipe", ("mediapipe",), "peers", "comparisons; it reports usage to Google while it runs")


def _told(what: str, check: Callable[[], Finding | Iterator[Finding]]) -> Iterator[Finding]:
    """A check's findings; an error that stops it is one."""
    try:
        found = check()
        yield from [found] if isinstance(found, Finding) else found
    except SemihandError as error:
        yield Finding(what, False, str(error))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _import_trouble(name: str) -> str | None:
    """Why a package cannot be imported. In another process: a package of another CPU ends the one that loads it."""
    root = Path(__file__).parents[1]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, name],
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | {"PYTHONPATH": path},
    )
    if done.returncode < 0 or done.returncode > 1:
        return f"{LIVE_PACKAGES[name]} ends the process that loads it; it may be built for another CPU"
    return " ".join(done.stderr.split()) if done.returncode else None


def _packages(troubles: dict[str, str | None]) -> Finding:
    wrong = [trouble for trouble in troubles.values() if trouble]
    if wrong:
        return Finding("packages", False, " ".join(wrong))
    found = {name: _version(name) for name in ("numpy", "tqdm")}
    return Finding("packages", True, ", ".join(f"{name} {number}" for name, number in found.items()))


def _opencv(trouble: str | None) -> Iterator[Finding]:
    installed = [name for name in OPENCV_PACKAGES if _version(name)]
    told = ", ".join(f"{name} {_version(name)}" for name in installed)
    if len(installed) > 1:
        yield Finding(
            "opencv",
            False,
            f"{told} overwrite each other. Run: pip uninstall {' '.join(installed)}, then install one of them",
        )
    elif not trouble:
        yield Finding("opencv", True, told or "a cv2 that pip does not know")


def _onnxruntime() -> Iterator[Finding]:
    from .models import model_file

    ort = model_file.ort
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in ort.get_available_providers())
    text = f"{ort.__version__}, built for {providers}; threads of a model: {model_file.default_threads()}"
    if len(installed) > 1:
        yield Finding(
            "onnx",
            False,
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other. "
            "Run: pip uninstall onnxruntime onnxruntime-gpu, then install one",
        )
    else:
        yield Finding("onnx", True, text)
    yield _cuda()


def _cuda() -> Finding:
    from .models.model_file import ORT_ERRORS, available_models, cuda_driver_present, open_model

    if not cuda_driver_present():
        return Finding("cuda", None, "no NVIDIA GPU or driver; everything runs on the CPU")
    models = available_models()
    if not models:
        return Finding("cuda", None, "a GPU is there; no model is installed to try it with")
    try:
        open_model(next(iter(models.values())), "cuda")
    except (SemihandError, *ORT_ERRORS) as error:
        return Finding(
            "cuda",
            False,
            f"{error} ONNX Runtime needs the CUDA and cuDNN libraries of its own major "
            'version; PyTorch\'s CUDA build brings them. Run: pip install "semihand[train]"',
        )
    return Finding("cuda", True, "a model ran on the GPU")


def _models() -> Iterator[Finding]:
    from .models.model_file import available_models, open_model
    from .models.verify import check_runs

    models = available_models()
    if not models:
        yield Finding("models", False, "none is installed. Reinstall semihand, or export one: semihand export --help")
    for name, path in models.items():
        try:
            model = open_model(path, "cpu")
            check_runs(model)
        except SemihandError as error:
            yield Finding("model", False, str(error))
        else:
            info = model.info
            yield Finding("model", True, f"{name}: crops of {info.input_size}x{info.input_size} pixels, {path}")


def _detector() -> Finding:
    import numpy as np

    from .models.model_file import DETECTOR_FILES, WEIGHTS
    from .tracker.detect import HandDetector

    missing = sorted(name for name in DETECTOR_FILES if not (WEIGHTS / f"{name}.onnx").is_file())
    if missing:
        return Finding("detector", False, f"{', '.join(missing)} missing in {WEIGHTS}. Reinstall semihand")
    HandDetector(threads=1).detect(np.zeros((64, 64, 3), np.uint8))
    return Finding("detector", True, "the palm model ran, the landmark model is there")


def _cameras() -> Finding:
    if not sys.platform.startswith("linux"):
        return Finding("camera", None, "not opened; try: semihand track --camera 0")
    devices = sorted(Path("/dev").glob("video*"))
    closed = [str(device) for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        return Finding(
            "camera",
            False,
            f"no permission for {', '.join(closed)}. Run: sudo usermod -aG video $USER, then log in anew",
        )
    if not devices:
        return Finding("camera", None, "none connected; --video FILE and --images DIR work without")
    names = {device: _text(Path("/sys/class/video4linux", device.name, "name")) for device in devices}
    told = (f"{device} ({name})" if name else str(device) for device, name in names.items())
    return Finding("camera", True, ", ".join(told))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # a system that gives cameras no names
        return ""


def _display() -> Finding:
    from .tracker.display import display_trouble

    trouble = display_trouble()
    if trouble is None:
        return Finding("window", True, "a window opened")
    if "DISPLAY is not set" in trouble:
        return Finding("window", None, "no display here; --save-video FILE and --viewer none work without")
    return Finding("window", False, f"{trouble} --viewer none works without")


def _data_folder() -> Finding:
    from .data_folder import data_dir

    try:
        folder = data_dir()
        _try_to_write(folder)
    except SemihandError as error:
        return Finding("data", False, str(error))
    except OSError as error:
        return Finding(
            "data", False, f"{folder} cannot be written to ({error.strerror}). Set SEMIHAND_DATA to a folder that can"
        )
    return Finding("data", True, f"your recordings and models: {folder}")


def _try_to_write(folder: Path) -> None:
    """Write a file into a folder, and leave nothing behind. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"semihand")
    finally:
        for path in missing:
            path.rmdir()


def _extra(what: str, packages: tuple[str, ...], extra: str, used_for: str) -> Finding:
    missing = [package for package in packages if _version(package) is None]
    if missing:
        return Finding(
            what, None, f'{", ".join(missing)} not installed (for {used_for}). Run: pip install "semihand[{extra}]"'
        )
    return Finding(what, True, ", ".join(f"{package} {_version(package)}" for package in packages))
