"""What `semihand eval` does with labelled pictures: data sets in, one printable report out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ... import provenance
from ...datasets.labels import joints_of_label, label_square
from ...datasets.open import open_dataset
from ...datasets.sequence import Sequence
from ...errors import SemihandError
from ...models.camera import crop_camera, default_intrinsics, warp_crop
from ...models.model_file import Model, open_model
from . import tables
from .overlay import by_error, write_overlays
from .page import Example, write_evaluation
from .predict import PROTOCOLS, HandFinder, Prediction, predict, predict_with_peer
from .run import FrameResult, Result, evaluate_predictions, labelled_frames

logger = logging.getLogger(__name__)

PEER = "mediapipe"
#: The peer's pictures get this border, because it misses hands that fill the picture.
PEER_PADDING = 0.25
#: Of each set and source: the worst frames as pictures of so many pixels that show so much more than the hand.
_EXAMPLES, _EXAMPLE_SIZE, _EXAMPLE_VIEW = 6, 160, 1.6
Source = Callable[[Sequence], "list[Prediction | None]"]


@dataclass(frozen=True)
class EvalOptions:
    """What to measure and what to write.

    data: folders, or files that a reader knows. models: names or .onnx files, none: the default model. format, split,
    reader: as `datasets.open.open_dataset` takes them. overlay: folder for pictures. csv: every frame's errors.
    report: an HTML page. peer: MediaPipe's task file. details: more lines for the terminal.
    """

    data: tuple[Path, ...]
    models: tuple[str, ...] = ()
    format: str = "auto"
    split: str | None = None
    reader: dict[str, str] = field(default_factory=dict)
    crop: str = "label"
    device: str = "auto"
    as_json: bool = False
    details: bool = False
    overlay: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    peer: Path | None = None

    def __post_init__(self) -> None:
        """Raises SemihandError on what cannot work, before hours are spent on it."""
        if self.crop not in PROTOCOLS:
            raise SemihandError(f"Unknown crop protocol {self.crop!r}; choose {' or '.join(PROTOCOLS)}.")
        for file in (self.csv, self.report):
            if file is not None and not file.absolute().parent.is_dir():
                raise SemihandError(
                    f"Could not write {file}: there is no folder {file.absolute().parent}. Make it first."
                )


def run_eval(options: EvalOptions) -> str:
    """Evaluate models, and a peer where its task file is given, on labelled data; returns tables or JSON.

    Raises SemihandError on bad input.
    """
    sequences = _opened(options)
    models = _open_models(options)
    finder = _finder() if options.crop == "detector" else None
    results, examples = {}, []
    for name, model in models.items():
        results[name] = _evaluate(sequences, name, _model_source(model, options.crop, finder), options, examples)
    if options.peer is not None:
        with _peer_source(options.peer) as source:
            results[PEER] = _evaluate(sequences, PEER, source, options, examples)
    return _written(results, _header(models, options), options, examples)


def _opened(options: EvalOptions) -> list[Sequence]:
    """The data sets, each with labels; one whose name another has gets a number."""
    sequences, seen = [], Counter()
    for path in options.data:
        sequence = open_dataset(path, options.format, options.split, **options.reader)
        labelled_frames(sequence)
        same = seen[sequence.name]
        seen[sequence.name] += 1
        sequences.append(replace(sequence, name=f"{sequence.name} ({same + 1})") if same else sequence)
    return sequences


def _written(results: dict, header: dict, options: EvalOptions, examples: list[Example]) -> str:
    """Write the files that were asked for; returns what the terminal shows."""
    if options.csv is not None:
        tables.write_csv(options.csv, results)
    if options.report is not None:
        logger.info("Report: %s", write_evaluation(options.report, tables.record(results, header), examples))
    if options.as_json:
        return tables.to_json(results, header)
    shown = [tables.table(results), *([tables.details(results)] if options.details else []), _NOTES[options.crop]]
    return "\n".join(filter(None, shown))


#: What a table says on its "missed", by the crops.
_NOTES = {
    "label": "Finding the hand was not tested: every crop was cut round its label. --crop detector tests it.",
    "detector": "missed: frames on which the detector found no hand; the errors are those of the others.",
}


def _open_models(options: EvalOptions) -> dict[str, Model]:
    """By name; a file whose model has the name of another goes by its path."""
    models: dict[str, Model] = {}
    for given in options.models or (None,):
        model = open_model(given, options.device)
        name = model.info.name if model.info.name not in models else str(given)
        if name in models:
            raise SemihandError(f"The model {given} is named twice. Name every model once.")
        models[name] = model
    return models


def _evaluate(sequences, name: str, source: Source, options: EvalOptions, examples: list[Example]) -> list[Result]:
    results = []
    for sequence in sequences:
        predictions = source(sequence)
        results.append(evaluate_predictions(sequence, predictions))
        if options.overlay is not None:
            sheet = write_overlays(options.overlay / name, sequence, results[-1], predictions)
            logger.info("Worst frames first: %s", sheet)
        if options.report is not None:
            worst = by_error(results[-1])[:_EXAMPLES]
            examples += [_example(sequence, name, row, predictions[row.index]) for row in worst]
    return results


def _example(sequence: Sequence, source: str, row: FrameResult, prediction: Prediction | None) -> Example:
    """A frame's surroundings of the labelled hand with both sets of joints on the crop's grid."""
    frame = sequence.frames[row.index]
    image = frame.read()
    center, side = label_square(frame)
    K = default_intrinsics(image.shape[1], image.shape[0]) if frame.K is None else frame.K
    crop = crop_camera(K, center, _EXAMPLE_VIEW * side)
    uv = np.full((21, 2), np.nan) if prediction is None else crop.uv_to_crop(prediction.uv_image)
    return Example(
        sequence.name, source, f"frame {row.index}: {_told(row)}", warp_crop(image, crop, _EXAMPLE_SIZE)[..., ::-1],
        crop.uv_to_crop(joints_of_label(frame)), uv,
    )  # fmt: skip


def _told(row: FrameResult) -> str:
    """A frame's error in words."""
    if not row.found:
        return "missed"
    return f"{row.epe_mm:.1f} mm" if row.epe_mm is not None else f"{100 * row.nme:.1f} % of the hand"


def _model_source(model: Model, crop: str, finder: HandFinder | None) -> Source:
    return lambda sequence: predict(sequence, model, crop, finder)


@contextmanager
def _peer_source(task_file: Path) -> Iterator[Source]:
    from ..peers.mediapipe import MediaPipePeer

    with MediaPipePeer(task_file, pad=PEER_PADDING) as peer:
        yield lambda sequence: predict_with_peer(sequence, peer)


def _finder() -> HandFinder:
    from ...tracker.detect import HandDetector, HandLandmarker

    return HandFinder(HandDetector(), HandLandmarker())


def _header(models: dict[str, Model], options: EvalOptions) -> dict:
    told = [
        {"name": name, "sha256": model.sha256, "provider": model.provider, "crop_factor": model.info.crop_factor}
        for name, model in models.items()
    ]
    sets = {"format": options.format, "split": options.split, "reader": options.reader}
    return {**provenance.record(), "crop": options.crop, **sets, "models": told}
