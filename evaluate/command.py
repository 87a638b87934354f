"""What `semihand eval` does: sequences in, one printable report out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SemihandError
from ..models.model_file import Model, open_model
from .overlay import write_overlays
from .predict import PROTOCOLS, HandFinder, Prediction, predict, predict_with_peer
from .report import table, to_json, write_csv
from .run import Result, evaluate_predictions
from ..datasets.sequence import Sequence, read_sequence

logger = logging.getLogger(__name__)

PEER = "mediapipe"
#: The peer's pictures get this border, because it misses hands that fill the picture.
PEER_PADDING = 0.25
Source = Callable[[Sequence], "list[Prediction | None]"]


def run_eval(
    folders: list[Path],
    model_name: str | None,
    crop: str = "label",
    device: str = "auto",
    as_json: bool = False,
    overlay: Path | None = None,
    csv_file: Path | None = None,
    peer_task: Path | None = None,
) -> str:
    """Evaluate a model, and a peer where its task file is given, on sequence folders; returns table or JSON.

    overlay: folder for pictures. csv_file: every frame's errors. Raises SemihandError on bad input.
    """
    if crop not in PROTOCOLS:
        raise SemihandError(f"Unknown crop protocol {crop!r}; choose {' or '.join(PROTOCOLS)}.")
    sequences = [read_sequence(folder) for folder in folders]
    model = open_model(model_name, device)
    results = {model.info.name: _evaluate(sequences, model.info.name, _model_source(model, crop), overlay)}
    if peer_task is not None:
        with _peer_source(peer_task) as source:
            results[PEER] = _evaluate(sequences, PEER, source, overlay)
    if csv_file is not None:
        write_csv(csv_file, results)
    return to_json(results, _header(model, crop)) if as_json else table(results)


def _evaluate(sequences: list[Sequence], name: str, source: Source, overlay: Path | None) -> list[Result]:
    results = []
    for sequence in sequences:
        predictions = source(sequence)
        results.append(evaluate_predictions(sequence, predictions))
        if overlay is not None:
            sheet = write_overlays(overlay / name, sequence, results[-1], predictions)
            logger.info("Worst frames first: %s", sheet)
    return results


def _model_source(model: Model, crop: str) -> Source:
    finder = _finder() if crop == "detector" else None
    return lambda sequence: predict(sequence, model, crop, finder)


@contextmanager
def _peer_source(task_file: Path) -> Iterator[Source]:
    from .peers import MediaPipePeer

    with MediaPipePeer(task_file, pad=PEER_PADDING) as peer:
        yield lambda sequence: predict_with_peer(sequence, peer)


def _finder() -> HandFinder:
    from ..tracker.detect import HandDetector, HandLandmarker

    return HandFinder(HandDetector(), HandLandmarker())


def _header(model: Model, crop: str) -> dict:
    return {
        "model": model.info.name,
        "sha256": model.sha256,
        "provider": model.provider,
        "crop": crop,
        "crop_factor": model.info.crop_factor,
    }
