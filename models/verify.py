"""Whether files can be used as a model and as its weights. No torch here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..jsonfile import parse_json
from .model_file import METADATA_KEY, ORT_ERRORS, OUTPUT_SHAPES, Model, open_model

#: Bytes of a header of weights at most: as safetensors itself has it.
_MAX_HEADER = 100_000_000


def try_model(file: str | Path) -> Model:
    """Open a model file and run one crop of noise; returns it. Raises SemihandError where it cannot be used."""
    model = open_model(Path(file).absolute(), "cpu", threads=1)
    check_runs(model)
    return model


def check_runs(model: Model, batch: int = 1) -> None:
    """Run crops of noise. Raises SemihandError where the answers are missing, misshapen or no finite numbers."""
    size = model.info.input_size
    crop = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    try:
        outputs = model.run(crop)
    except ORT_ERRORS as error:
        raise SemihandError(f"{model.path} does not run ({str(error).splitlines()[0]}); export it anew.") from error
    answers = [output for output in outputs if output is not None]
    shapes = tuple(output.shape[1:] for output in answers)
    if shapes != OUTPUT_SHAPES[: len(shapes)]:
        raise SemihandError(
            f"{model.path} answers with shapes {shapes}, not {OUTPUT_SHAPES[: len(shapes)]}; export it anew."
        )
    if not all(np.isfinite(output).all() for output in answers):
        raise SemihandError(f"{model.path} answers with numbers that are not finite; its training went wrong.")


def check_weights(file: Path) -> None:
    """Raise SemihandError unless `file` is a whole .safetensors file of semihand's (read without the package)."""
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            size = file.stat().st_size
            header = parse_json(opened.read(length)) if 0 < length <= min(size - 8, _MAX_HEADER) else {}
    except OSError as error:
        raise SemihandError(f"The weights {file} could not be read: {error.strerror}.") from error
    except ValueError:  # no JSON, no UTF-8
        header = {}
    metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise SemihandError(f"{file} holds no weights of semihand's, or is cut off; save them anew.")
    try:
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise SemihandError(f"{file} has a broken header ({error}); save the weights anew.") from error
    if size != 8 + length + end:
        raise SemihandError(f"{file} has {size} bytes instead of {8 + length + end}; save the weights anew.")
