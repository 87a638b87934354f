"""`semihand peers`: our models and other hand trackers on the same pictures, in turn, with the same metrics.

Every picture is read once and shown to each contestant before the next one, and a different one begins each time: all
meet the same machine. One thread each, on the CPU.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from ... import provenance, text
from ...datasets.labels import label_box, label_square
from ...datasets.open import open_dataset
from ...datasets.sequence import Sequence, SequenceFrame
from ...errors import SemihandError
from ...models.model_file import open_model
from ...progress import Progress
from ..bench.report import machine_lines
from ..labels.predict import PROTOCOLS, HandFinder, Prediction, lift_weak, matching, predict_frames
from ..labels.run import Result, evaluate_predictions
from ..labels.tables import table

SCHEMA = 1
PERCENTILES = (50, 95)
#: MediaPipe's pictures get this border, because it misses hands that fill the picture.
PADDING = 0.25
#: So many pictures of a set are looked at before the times count: caches and clocks are cold.
_WARM_UP = 5
#: What a contestant may say of a hand, as the table's columns.
OUTPUTS = ("2D", "depth", "metric 3D", "mask", "confidence", "handedness")


@dataclass(frozen=True)
class PeerOptions:
    """data: labelled folders. models: ours, by name or file. task: MediaPipe's hand_landmarker.task. rtm_pose, rtm_det:
    ONNX files of rtmlib's hand models. crop: "label" or "detector"; MediaPipe always finds its hands itself."""

    data: tuple[Path, ...]
    models: tuple[str, ...] = ("base",)
    task: Path | None = None
    rtm_pose: Path | None = None
    rtm_det: Path | None = None
    crop: str = "detector"

    def __post_init__(self) -> None:
        if self.crop not in PROTOCOLS:
            raise SemihandError(f"Unknown crop protocol {self.crop!r}; choose {' or '.join(PROTOCOLS)}.")
        if self.rtm_pose is not None and self.crop == "detector" and self.rtm_det is None:
            raise SemihandError(
                "RTMPose finds no hands itself: add --rtm-det FILE, or give it the labelled boxes with --crop label."
            )


@dataclass(frozen=True)
class Contestant:
    """look(frame, image (H, W, 3) uint8 BGR): the labelled hand as this one sees it, or None. crops: who finds it."""

    name: str
    look: Callable[[SequenceFrame, np.ndarray], Prediction | None]
    outputs: tuple[str, ...]
    crops: str


def peer_table(options: PeerOptions, as_json: bool = False) -> str:
    """Compare; returns a table for people or JSON. Raises SemihandError on bad input."""
    report, results = run_peers(options)
    return json.dumps(report, indent=2, allow_nan=False) if as_json else to_text(report, results)


def run_peers(options: PeerOptions) -> tuple[dict, dict[str, list[Result]]]:
    """The report that `semihand peers --json` prints, and {contestant: a result of every set}."""
    sequences = [open_dataset(folder) for folder in options.data]
    report = {"schema": SCHEMA, "kind": "peers", **provenance.record(), "crop": options.crop, "sets": []}
    results: dict[str, list[Result]] = {}
    with ExitStack() as stack:
        stack.enter_context(_one_thread_of_opencv())
        contestants = list(_contestants(options, stack))
        for sequence in sequences:
            predictions, times = compare(sequence, contestants)
            for contestant in contestants:
                result = evaluate_predictions(sequence, predictions[contestant.name])
                results.setdefault(contestant.name, []).append(result)
                report["sets"].append(_row(result, contestant, times[contestant.name]))
    report["outputs"] = {each.name: list(each.outputs) for each in contestants}
    return report, results


def compare(
    sequence: Sequence, contestants: list[Contestant]
) -> tuple[dict[str, list[Prediction | None]], dict[str, list[float]]]:
    """Each contestant's prediction for every frame (None where it found no hand there or nothing is labelled), and
    its milliseconds for each labelled frame. Reading the picture from disk is not counted."""
    predictions = {each.name: [] for each in contestants}
    times: dict[str, list[float]] = {each.name: [] for each in contestants}
    for number, frame in enumerate(Progress(sequence.frames, desc=sequence.name, unit="frames")):
        if label_square(frame) is None:
            for found in predictions.values():
                found.append(None)
            continue
        image, first = frame.read(), number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            start = perf_counter()
            prediction = contestant.look(frame, image)
            times[contestant.name].append((perf_counter() - start) * 1e3)
            predictions[contestant.name].append(prediction)
    return predictions, times


def _row(result: Result, contestant: Contestant, times: list[float]) -> dict:
    counted = times[min(_WARM_UP, len(times) // 2) :]
    ms = {f"p{p}": round(float(np.percentile(counted, p)), 2) for p in PERCENTILES}
    return {
        "name": result.name, "predicted_by": contestant.name, "crops": contestant.crops, "frames": result.frames,
        "missed": result.missed, **result.metrics, "ms": ms | {"runs": len(counted)}, "absent": result.absent,
    }  # fmt: skip


def _contestants(options: PeerOptions, stack: ExitStack) -> Iterator[Contestant]:
    models = list(dict.fromkeys(options.models))
    stems = [Path(model).stem for model in models]
    for model, stem in zip(models, stems, strict=True):
        # Every run's file is called model.onnx: those of one name go by their paths.
        yield _ours(model, stem if stems.count(stem) == 1 else model, options.crop)
    if options.task is not None:
        from .mediapipe import MediaPipePeer

        peer = stack.enter_context(MediaPipePeer(options.task, pad=PADDING))
        yield Contestant("mediapipe", _looking(peer.detect), ("2D", "depth", "metric 3D", "handedness"), "own detector")
    if options.rtm_pose is not None:
        yield _rtmpose(options, stack)


def _ours(file: str, name: str, crop: str) -> Contestant:
    model, finder = open_model(file, "cpu", threads=1), None
    if crop == "detector":
        from ...tracker.detect import HandDetector, HandLandmarker

        finder = HandFinder(HandDetector(threads=1), HandLandmarker(threads=1))

    def look(frame: SequenceFrame, image: np.ndarray) -> Prediction | None:
        return predict_frames([frame], [image], model, crop, finder and finder.look)[0]

    outputs = OUTPUTS if finder else tuple(output for output in OUTPUTS if output != "handedness")
    return Contestant(name, look, outputs, "our detector" if finder else "label")


def _rtmpose(options: PeerOptions, stack: ExitStack) -> Contestant:
    from .rtmlib import RtmPosePeer

    detector = options.rtm_det if options.crop == "detector" else None
    peer = stack.enter_context(RtmPosePeer(options.rtm_pose, detector))
    if detector is not None:
        return Contestant("rtmpose", _looking(peer.detect), ("2D", "confidence"), "own detector")

    def look(frame: SequenceFrame, image: np.ndarray) -> Prediction:
        x, y, width, height = label_box(frame)
        (hand,) = peer.estimate(image, np.array([[x, y, x + width, y + height]]))
        return _prediction(frame, hand)

    return Contestant("rtmpose", look, ("2D", "confidence"), "label")


def _looking(detect: Callable) -> Callable[[SequenceFrame, np.ndarray], Prediction | None]:
    """A peer that finds its hands itself: of those the labelled one."""
    return lambda frame, image: matching(frame, [_prediction(frame, hand) for hand in detect(image)])


def _prediction(frame: SequenceFrame, hand) -> Prediction:
    xyz = None if hand.z is None else lift_weak(frame, hand.uv_image, hand.z)
    return Prediction(hand.uv_image, xyz, hand.handedness, hand.score, hand.confidence)


@contextlib.contextmanager
def _one_thread_of_opencv() -> Iterator[None]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def to_text(report: dict, results: dict[str, list[Result]]) -> str:
    """Accuracy and misses, milliseconds a picture, and what each contestant says of a hand."""
    times = [
        [row["predicted_by"], row["crops"], row["name"], *(f"{row['ms'][f'p{p}']:.2f}" for p in PERCENTILES)]
        for row in report["sets"]
    ]
    says = [[name, *("yes" if each in told else "-" for each in OUTPUTS)] for name, told in report["outputs"].items()]
    return "\n".join([
        *machine_lines(report), f"crops: {report['crop']}; one thread each, in turn on the same pictures", "",
        table(results), "", text.table(["predicted by", "crops", "set", "ms p50", "p95"], times, left=3), "",
        text.table(["predicted by", *OUTPUTS], says),
    ])  # fmt: skip
