"""Whether ONNX Runtime can use an NVIDIA GPU here, and the libraries that it needs for that."""

from __future__ import annotations

import ctypes
import sys

import onnxruntime as ort

from ..errors import SemihandError

CUDA_HELP = "`semihand doctor` says what is missing; --device cpu works everywhere."


def cuda_driver_present() -> bool:
    """True where NVIDIA's driver is installed and knows at least one GPU."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def preload_cuda() -> None:
    """Load the CUDA libraries that PyTorch brings, so that ONNX Runtime's CUDA provider finds them.

    Raises SemihandError where this ONNX Runtime has no CUDA provider or the machine no NVIDIA GPU.
    """
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise SemihandError(
            "CUDA does not run: the installed onnxruntime has no CUDA provider. "
            "Uninstall onnxruntime and install onnxruntime-gpu, or use --device cpu."
        )
    if not cuda_driver_present():
        raise SemihandError(f"CUDA does not run: no NVIDIA driver or GPU was found. {CUDA_HELP}")
    ort.preload_dlls()
