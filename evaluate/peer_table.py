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

from ..datasets.open import open_dataset
from ..datasets.sequence import Sequence, SequenceFrame
from ..errors import SemihandError
from ..models.model_file import open_model
from ..progress import Progress
from . import machine
from .bench_report import machine_lines
from .predict import PROTOCOLS, HandFinder, Prediction, label_box, label_square, lift_weak, matching, predict
from .report import table
from .run import Result, evaluate_predictions

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
    models: tuple[str, ...] = ("lite",)
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
    report = {"schema": SCHEMA, "kind": "peers", **machine.record(), "crop": options.crop, "sets": []}
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
    for name in dict.fromkeys(options.models):
        yield _ours(name, options.crop)
    if options.task is not None:
        from .peers import MediaPipePeer

        peer = stack.enter_context(MediaPipePeer(options.task, pad=PADDING))
        yield Contestant("mediapipe", _looking(peer.detect), ("2D", "depth", "metric 3D", "handedness"), "own detector")
    if options.rtm_pose is not None:
        yield _rtmpose(options, stack)


def _ours(name: str, crop: str) -> Contestant:
    model, finder = open_model(name, "cpu", threads=1), None
    if crop == "detector":
        from ..tracker.detect import HandDetector, HandLandmarker

        finder = HandFinder(HandDetector(threads=1), HandLandmarker(threads=1))

    def look(frame: SequenceFrame, image: np.ndarray) -> Prediction | None:
        held = _Held(**vars(frame), picture=image)
        return predict(Sequence(frame.image.name, frame.image.parent, (held,)), model, crop, finder)[0]

    outputs = OUTPUTS if finder else tuple(output for output in OUTPUTS if output != "handedness")
    return Contestant(Path(name).stem, look, outputs, "our detector" if finder else "label")


def _rtmpose(options: PeerOptions, stack: ExitStack) -> Contestant:
    from .peers_rtmlib import RtmPosePeer

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


@dataclass(frozen=True)
class _Held(SequenceFrame):
    """A frame whose picture is in memory already: reading files is no part of anybody's time."""

    picture: np.ndarray | None = None

    def read(self) -> np.ndarray:
        return self.picture


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
    names, sets = list(report["outputs"]), report["sets"]
    width = max(map(len, [*names, "predicted by"])) + 2
    lines = [*machine_lines(report), f"crops: {report['crop']}; one thread each, in turn on the same pictures", ""]
    lines += [table(results), "", f"{'predicted by':{width}}{'crops':14}{'set':24}{'ms p50':>8}{'p95':>8}"]
    for row in sets:
        ms = row["ms"]
        start = f"{row['predicted_by']:{width}}{row['crops']:14}{row['name']:24}"
        lines.append(f"{start}{ms['p50']:8.2f}{ms['p95']:8.2f}")
    lines += ["", f"{'predicted by':{width}}" + "".join(f"{output:>12}" for output in OUTPUTS)]
    for name in names:
        cells = ("yes" if output in report["outputs"][name] else "-" for output in OUTPUTS)
        lines.append(f"{name:{width}}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)
