"""From a checkpoint to the ONNX file of the live path, checked against Torch before it replaces anything."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ..errors import SemihandError
from .checkpoint import atomic_file, load_checkpoint
from .decode import decode
from .model_file import INPUT_NAME, METADATA_KEY, OUTPUT_NAMES, VERDICT_NAMES, Model, ModelInfo, open_model
from .network import Hourglass, normalise

log = logging.getLogger(__name__)

OPSET = 17
#: Largest allowed difference between Torch and ONNX Runtime: 64-grid pixels, bone units, probabilities.
FLOAT_BOUNDS = {"uv": 0.02, "depth": 1e-3, "mask": 1e-3, "confidence": 1e-3, "presence": 1e-3, "right": 1e-3}
#: The same for the mean difference of an 8-bit model, whose single values may be rounded farther.
INT8_BOUNDS = {"uv": 0.25, "depth": 0.02, "mask": 0.02, "confidence": 0.02, "presence": 0.05, "right": 0.05}

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_MOST_PICTURES = 64


@dataclass(frozen=True)
class ExportReport:
    """What was written. differences: per output, the largest (8-bit: mean) difference from Torch."""

    path: Path
    differences: dict[str, float]
    megabytes: float


class LiveModel(nn.Module):
    """Normalisation, network and decode in one graph, as the live path runs it."""

    def __init__(self, network: Hourglass) -> None:
        super().__init__()
        self.network = network

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` answers with."""
        return OUTPUT_NAMES + (VERDICT_NAMES if self.network.config.verdict else ())

    def forward(self, crop: Tensor) -> tuple[Tensor, ...]:
        """crop (B, S, S, 3) uint8 RGB to the values of `model_file.Output`, without those that the network does not say."""
        prediction = decode(self.network(normalise(crop.permute(0, 3, 1, 2)))[-1])
        assert prediction.confidence is not None  # the last stack has it
        answers = (prediction.uv, prediction.depth, prediction.mask_logits.sigmoid(), prediction.confidence.sigmoid())
        return answers if prediction.verdict is None else (*answers, *prediction.verdict.sigmoid().unbind(1))


def export(
    checkpoint: str | Path, out: str | Path, check_images: str | Path | None = None, int8: bool = False
) -> ExportReport:
    """Export a checkpoint file to `out` (.onnx) after comparing both on pictures of hands, or on noise.

    int8: 8-bit weights and activations, about 1.5 times as fast on CPUs with VNNI; needs check_images to
    measure their ranges. Raises SemihandError where the files are bad or the difference is too large.
    """
    loaded = load_checkpoint(checkpoint)
    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    info = replace(loaded.info, provenance={**loaded.info.provenance, "checkpoint_sha256": digest})
    if int8 and check_images is None:
        raise SemihandError("An 8-bit export needs pictures of hands to measure ranges on; give --check-images DIR.")
    size = info.input_size
    crops = noise_crops(size) if check_images is None else read_crops(check_images, size)
    return export_network(loaded.build(), info, out, crops, int8)


def export_network(
    network: Hourglass, info: ModelInfo, out: str | Path, crops: np.ndarray, int8: bool = False
) -> ExportReport:
    """Export a network in eval mode on the CPU, compared on crops (B, S, S, 3) uint8 RGB."""
    out = Path(out)
    if out.suffix != ".onnx":
        raise SemihandError(f"{out} does not end in .onnx; name the model file like lite.onnx.")
    live = LiveModel(network).eval()
    with atomic_file(out) as candidate:
        _trace(live, candidate, info.input_size)
        if int8:
            _quantise(candidate, crops)
            info = replace(info, provenance={**info.provenance, "precision": "int8"})
        _describe(candidate, info)
        differences = _compare(live, open_model(candidate, "cpu"), crops, int8)
    return ExportReport(out, differences, out.stat().st_size / 1e6)


def _trace(live: LiveModel, path: Path, size: int) -> None:
    """Torch's tracing exporter: it folds every norm that follows a convolution and needs no extra package."""
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        torch.onnx.export(
            live,
            (example,),
            path,
            input_names=[INPUT_NAME],
            output_names=list(live.outputs),
            opset_version=OPSET,
            dynamic_axes={name: {0: "batch"} for name in (INPUT_NAME, *live.outputs)},
            dynamo=False,
        )
    model = onnx.load(path)
    _drop_identities(model.graph)
    onnx.save(model, path)


def _drop_identities(graph: onnx.GraphProto) -> None:
    """The exporter stores equal weights once and names the others by Identity nodes; use the one directly."""
    same = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    kept = [node for node in graph.node if node.op_type != "Identity"]
    for node in kept:
        for i, name in enumerate(node.input):
            while name in same:
                name = same[name]
            node.input[i] = name
    del graph.node[:]
    graph.node.extend(kept)


def _describe(path: Path, info: ModelInfo) -> None:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    model.producer_name = "semihand"
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _compare(live: LiveModel, model: Model, crops: np.ndarray, int8: bool) -> dict[str, float]:
    """Differences between Torch and the file per output. Raises SemihandError above the bounds."""
    with torch.no_grad():
        expected = [output.numpy() for output in live(torch.from_numpy(crops))]
    # One crop at a time, so that the free batch size is checked too.
    rows = [model.run(crop[None]) for crop in crops]
    found = [np.concatenate(outputs) for outputs in zip(*rows) if outputs[0] is not None]
    bounds, kind = (INT8_BOUNDS, "mean") if int8 else (FLOAT_BOUNDS, "largest")
    differences = {
        name: float((np.mean if int8 else np.max)(np.abs(e - f))) for name, e, f in zip(live.outputs, expected, found)
    }
    for name, difference in differences.items():
        log.debug("%-10s %s difference from Torch %.2g (bound %g)", name, kind, difference, bounds[name])
    bad = [name for name in live.outputs if not differences[name] <= bounds[name]]
    if bad:
        values = ", ".join(f"{name} {differences[name]:.3g} (bound {bounds[name]})" for name in bad)
        raise SemihandError(f"The exported model differs from Torch: {values}. Nothing was written; check the weights.")
    return differences


def _quantise(path: Path, crops: np.ndarray) -> None:
    """Replace the model by its 8-bit form (QDQ). The heads stay in float: a map's rounding would move joints."""
    from onnxruntime import quantization

    class Crops(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rows: Iterator[np.ndarray] = iter(crops)

        def get_next(self) -> dict[str, np.ndarray] | None:
            crop = next(self.rows, None)
            return None if crop is None else {INPUT_NAME: crop[None]}

    heads = [
        n.name
        for n in onnx.load(path).graph.node
        if n.op_type == "Conv" and ("/head/" in n.name or "/confidence/" in n.name)
    ]
    with _root_logger_silent():
        quantization.quantize_static(
            path,
            path,
            Crops(),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_exclude=heads,
            op_types_to_quantize=["Conv", "Add", "MaxPool", "Resize"],
            per_channel=True,
            # 7-bit weights: older CPUs add two products in 16 bits and would overflow with 8.
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


@contextmanager
def _root_logger_silent() -> Iterator[None]:
    """Hide what is logged without a logger's name: the quantiser reports every shared bias that way."""

    def reject(record: logging.LogRecord) -> bool:
        return False

    logging.getLogger().addFilter(reject)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(reject)


def noise_crops(size: int, count: int = 4, seed: int = 0) -> np.ndarray:
    """Seeded soft colour blotches with noise, (count, size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    smooth = np.stack([cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) for picture in coarse])
    return np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def read_crops(folder: str | Path, size: int) -> np.ndarray:
    """The middle squares of up to 64 pictures of a folder, spread over it, as (B, size, size, 3) uint8 RGB.

    Raises SemihandError where the folder has none or one cannot be read.
    """
    files = sorted(file for file in Path(folder).rglob("*") if file.suffix.lower() in _PICTURES)
    if not files:
        raise SemihandError(f"{folder} has no pictures ({', '.join(_PICTURES)}); give a folder that has some.")
    chosen = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, _MOST_PICTURES).astype(int))]
    return np.stack([_middle_square(file, size) for file in chosen])


def _middle_square(file: Path, size: int) -> np.ndarray:
    picture = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise SemihandError(f"{file} could not be read as a picture; remove it or give another folder.")
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = cv2.resize(picture[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(square[..., ::-1])
