"""`semihand doctor`: what works on this machine, one line each, with the next step otherwise."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import __version__
from .errors import SemihandError


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
    """All findings, the ones that take longer last. Opens no camera and loads no torch."""
    yield Finding(
        "semihand",
        True,
        f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}",
    )
    yield _packages()
    yield from _onnxruntime()
    yield from _models()
    yield _detector()
    yield _cameras()
    yield _display()
    yield _data_folder()
    yield _extra("rendering", ("numba",), "synth", "demo, bench and synth")
    yield _extra("training", ("torch", "onnx", "safetensors"), "train", "pretrain, adapt and export")
    yield _extra("rerun", ("rerun-sdk",), "rerun", "track --viewer rerun")
    yield _extra(
        "mediapipe", ("mediapipe",), "peers", "comparisons; it reports usage to Google while it runs"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _packages() -> Finding:
    opencv = (
        _version("opencv-python") or _version("opencv-python-headless") or _version("opencv-contrib-python")
    )
    found = {"numpy": _version("numpy"), "opencv-python": opencv}
    missing = [name for name, number in found.items() if number is None]
    if missing:
        return Finding(
            "packages", False, f"missing: {', '.join(missing)}. Run: pip install {' '.join(missing)}"
        )
    return Finding("packages", True, ", ".join(f"{name} {number}" for name, number in found.items()))


def _onnxruntime() -> Iterator[Finding]:
    from .models import model_file

    ort = model_file.ort
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name)]
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in ort.get_available_providers())
    text = f"{ort.__version__}, built for {providers}; {model_file.default_threads()} threads a model"
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

    models = available_models()
    if not models:
        yield Finding(
            "models", False, "none is installed. Reinstall semihand, or export one: semihand export --help"
        )
    for name, path in models.items():
        try:
            info = open_model(path, "cpu").info
        except SemihandError as error:
            yield Finding("model", False, str(error))
        else:
            seen = info.provenance.get("samples_seen")
            yield Finding(
                "model", True, f"{name}: {info.input_size}x{info.input_size} in, {seen} samples seen, {path}"
            )


def _detector() -> Finding:
    from .models.model_file import DETECTOR_FILES, WEIGHTS

    missing = sorted(name for name in DETECTOR_FILES if not (WEIGHTS / f"{name}.onnx").is_file())
    if missing:
        return Finding("detector", False, f"{', '.join(missing)} missing in {WEIGHTS}. Reinstall semihand")
    return Finding("detector", True, "palm and landmark models are there")


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
    return Finding("camera", True, ", ".join(map(str, devices)))


def _display() -> Finding:
    headless = _version("opencv-python-headless") and not _version("opencv-python")
    if headless:
        return Finding(
            "window",
            False,
            "opencv-python-headless cannot open one. Install opencv-python, or use --viewer none",
        )
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return Finding("window", None, "no display here; --save-video FILE and --viewer none work without")
    return Finding("window", True, "a display is there")


def _data_folder() -> Finding:
    from .models.model_file import data_dir

    folder = data_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        return Finding(
            "data", False, f"{existing} cannot be written to. Set SEMIHAND_DATA to a folder that can"
        )
    return Finding("data", True, f"your recordings and models: {folder}")


def _extra(what: str, packages: tuple[str, ...], extra: str, used_for: str) -> Finding:
    missing = [package for package in packages if _version(package) is None]
    if missing:
        return Finding(
            what,
            None,
            f'{", ".join(missing)} not installed (for {used_for}). Run: pip install "semihand[{extra}]"',
        )
    return Finding(what, True, ", ".join(f"{package} {_version(package)}" for package in packages))
