"""Whether files can be used as a model and as its weights. No torch here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from .model_file import METADATA_KEY, ORT_ERRORS, OUTPUT_SHAPES, Model, open_model


def try_model(file: str | Path) -> Model:
    """Open a model file and run one crop of noise; returns it. Raises SemihandError where it cannot be used."""
    model = open_model(Path(file).absolute(), "cpu", threads=1)
    check_runs(model)
    return model


def check_runs(model: Model) -> None:
    """Run one crop of noise. Raises SemihandError where the answers are missing, misshapen or no finite numbers."""
    size = model.info.input_size
    crop = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    try:
        outputs = model.run(crop)
    except ORT_ERRORS as error:
        raise SemihandError(
            f"{model.path} does not run ({str(error).splitlines()[0]}); export it anew."
        ) from error
    answers = [output for output in outputs if output is not None]
    shapes = tuple(output.shape[1:] for output in answers)
    if shapes != OUTPUT_SHAPES[: len(shapes)]:
        raise SemihandError(f"{model.path} answers with shapes {shapes}, not {OUTPUT_SHAPES[: len(shapes)]}; export it anew.")
    if not all(np.isfinite(output).all() for output in answers):
        raise SemihandError(f"{model.path} answers with numbers that are not finite; its training went wrong.")


def check_weights(file: Path) -> None:
    """Raise SemihandError unless `file` is a whole .safetensors file of semihand's (read without the package)."""
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            size = file.stat().st_size
            header = json.loads(opened.read(length)) if 0 < length <= size - 8 else {}
    except OSError as error:
        raise SemihandError(f"The weights {file} could not be read: {error.strerror}.") from error
    except ValueError:  # no JSON, no UTF-8
        header = {}
    if not isinstance(header, dict) or METADATA_KEY not in header.pop("__metadata__", {}):
        raise SemihandError(f"{file} holds no weights of semihand's, or is cut off; save them anew.")
    end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if size != 8 + length + end:
        raise SemihandError(f"{file} has {size} bytes instead of {8 + length + end}; save the weights anew.")
