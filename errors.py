"""The exceptions that a user sees as a sentence instead of a traceback."""

from __future__ import annotations

import errno
import importlib
import sys

#: Packages that commands need, by the name by which they are imported, and what installs them.
LIVE_PACKAGES: dict[str, str] = {
    "numpy": "numpy",
    "cv2": "opencv-python",
    "onnxruntime": "onnxruntime",
    "tqdm": "tqdm",
    "PIL": "pillow",
}
#: What a half-removed package lacks.
_PROBES = {
    "numpy": "ndarray",
    "cv2": "VideoCapture",
    "onnxruntime": "InferenceSession",
    "tqdm": "tqdm",
    "PIL": "__version__",
}
#: Packages that tracking does not need, and the extras that bring them.
EXTRAS = dict.fromkeys(("torch", "onnx", "safetensors", "tensorboard", "scipy"), "train")
EXTRAS |= {"numba": "synth", "matplotlib": "report"}
_NEXT_STEPS = {
    errno.ENOSPC: "Make room on the disk.",
    errno.EDQUOT: "Make room on the disk.",
    errno.EACCES: "Check its permissions.",
    errno.EPERM: "Check its permissions.",
    errno.EROFS: "Choose a place where you may write.",
    errno.EMFILE: "Close other programs.",
    errno.ENOMEM: "Close other programs.",
}


class SemihandError(Exception):
    """What happened, the value, the next step, in one sentence. The command line prints it and exits with 1."""


def package_trouble(name: str) -> str | None:
    """Why a package of LIVE_PACKAGES cannot be imported and what to do, None where it can."""
    try:
        getattr(importlib.import_module(name), _PROBES[name])
    except Exception as error:  # whatever a broken package raises is what is to be told
        return _package_sentence(name, error)
    return None


def sentence_of(error: BaseException) -> str | None:
    """The sentence for an error that comes from the machine and not from a fault of semihand's, None for others."""
    if isinstance(error, SemihandError):
        return str(error)
    if isinstance(error, ImportError) or (isinstance(error, AttributeError) and "module '" in str(error)):
        return _import_sentence(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this. Close other programs, or ask for less."
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename is not None else ""
        return f"{file}{error.strerror}. {_NEXT_STEPS.get(error.errno or 0, 'Check the path.')}"
    return None


def _import_sentence(error: ImportError | AttributeError) -> str | None:
    root = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if root in EXTRAS:
        return f'This command needs {root}. Run: pip install "semihand[{EXTRAS[root]}]"'
    return next(filter(None, map(package_trouble, LIVE_PACKAGES)), None)


def _package_sentence(name: str, error: Exception) -> str:
    package, text = LIVE_PACKAGES[name], " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and error.name == name:
        return f"The package {package} is missing. Run: pip install {package}"
    cause = f"The package {package} cannot be loaded ({text})."
    if name == "cv2" and ".so" in text:
        return f"{cause} Install the system's library (Debian: apt install libgl1 libglib2.0-0), or {_headless()}"
    if name == "onnxruntime" and sys.platform == "win32":
        return f"{cause} Install the Microsoft Visual C++ Redistributable, then start again."
    return f"{cause} Run: pip install --force-reinstall {package}"


def _headless() -> str:
    return "run: pip uninstall opencv-python, then pip install opencv-python-headless"
