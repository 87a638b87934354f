"""`semihand bench`: how long every stage of the live path takes, beside another tracker on the same frames."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime

from ... import provenance
from ...errors import SemihandError
from ...models.model_file import default_threads, open_model
from ...progress import Progress
from ...tracker.draw import draw
from ...tracker.files import VideoFile
from ...tracker.open import HandTracker
from ...tracker.pipeline import Tracker
from ...tracker.types import Frame
from ...tracker.video import VideoSink
from .fresh import FreshRun, fresh_run
from .rates import network_times, offline_rate
from .report import PERCENTILES

log = logging.getLogger(__name__)

SCHEMA = 1
#: Of all frames; "followed": the whole step on frames without detector; "peer": the other tracker's whole call.
STAGES = ("capture", "detect", "crop", "estimate", "lift", "smooth", "draw", "followed", "total", "peer")
#: The first frames of a run are not counted: caches, clocks and threads are cold.
_WARM_UP = 5
_FRESH_RUNS, _FRESH_FRAMES, _NETWORK_RUNS = 3, 40, 200


@dataclass(frozen=True)
class BenchOptions:
    """What to measure. video: file, None for a rendered clip of as many hands as wanted. hands: the numbers to try.

    frames: at most so many a run; seconds: at most so long a run; peer: MediaPipe's task file; fresh_runs: new
    processes for start-up and memory; network_runs: of the network alone, for each batch size. The rest as in `track`.
    """

    video: Path | None = None
    hands: tuple[int, ...] = (1, 2)
    frames: int = 300
    seconds: float | None = None
    model: str = "base"
    device: str = "auto"
    threads: int | None = None
    peer: Path | None = None
    fresh_runs: int = _FRESH_RUNS
    network_runs: int = _NETWORK_RUNS


def run_bench(options: BenchOptions = BenchOptions()) -> dict:
    """Measure; returns what `semihand bench --json` prints. Raises SemihandError on bad input."""
    if options.video is None and max(options.hands) > 2:
        raise SemihandError(f"The rendered clip shows two hands at most, not {max(options.hands)}: name a --video.")
    report = {"schema": SCHEMA, "kind": "track", **provenance.record()}
    tracker = HandTracker(options.model, device=options.device, hands=1)  # a wrong name is told before the work
    report["model"] = _model_record(tracker, options)
    with tempfile.TemporaryDirectory() as folder:
        videos = {hands: options.video or _rendered(Path(folder), hands, options.frames) for hands in options.hands}
        report["network"] = _network(tracker.model, options)
        report["runs"] = [_run(videos[hands], hands, options) for hands in options.hands]
        report["offline"] = [_offline(videos[hands], hands, options) for hands in options.hands]
        report["fresh"] = _fresh(videos[options.hands[0]], options)
    return report


def _model_record(tracker: Tracker, options: BenchOptions) -> dict:
    model = tracker.model
    return {
        "name": model.info.name, "sha256": model.sha256, "input_size": model.info.input_size,
        "provider": model.provider, "threads": options.threads or default_threads(),
        "available_providers": onnxruntime.get_available_providers(),
    }  # fmt: skip


def _network(model, options: BenchOptions) -> list[dict]:
    """Times of the network alone, on the threads that the runs have."""
    times = network_times(open_model(model.path, options.device, options.threads), options.network_runs)
    return [{"batch": batch, **_statistics(ms)} for batch, ms in times.items()]


def _offline(video: Path, hands: int, options: BenchOptions) -> dict:
    """Frames a second of a whole video, as fast as they come: ours, and the peer's in a pass of its own."""
    tracker = HandTracker(options.model, device=options.device, hands=hands, threads=options.threads)
    rates = {"hands": hands, **offline_rate(video, tracker.step, options.frames, options.seconds)}
    with _peer(options.peer, hands) as peer:
        if peer is not None:
            theirs = offline_rate(video, lambda frame: _theirs(frame, tracker, peer), options.frames, options.seconds)
            rates["peer_frames_per_s"] = theirs["frames_per_s"]
    return rates


def _rendered(folder: Path, hands: int, frames: int) -> Path:
    """The demo's clip as a file that decodes fast."""
    from ...synth.clip import Clip, ClipConfig

    config, path = ClipConfig(frames=frames, hands=hands), folder / f"clip-{hands}.avi"
    log.info("Rendering a clip with %d hand%s.", hands, "s" * (hands > 1))
    sink = VideoSink(str(path), config.fps)
    for rendered in Progress(Clip(config), desc="rendering", unit="frames"):
        sink.write(rendered.image, rendered.time)
    sink.close()
    return path


def _run(video: Path, hands: int, options: BenchOptions) -> dict:
    tracker = HandTracker(options.model, device=options.device, hands=hands, threads=options.threads)
    with ExitStack() as stack:
        source = stack.enter_context(VideoFile(video))
        peer = stack.enter_context(_peer(options.peer, hands))
        record = _Record(peer is not None)
        total = min(options.frames, source.count or options.frames)
        bar = Progress(desc=f"{hands} wanted", total=total, unit="frames")
        stack.enter_context(bar)
        end = perf_counter() + (options.seconds or np.inf)
        for frame in source.frames():
            # Taking turns at being first: both see the same machine, and the same caches.
            order = (_ours, _theirs) if frame.index % 2 else (_theirs, _ours)
            row = {}
            for measure in order:
                row |= measure(frame, tracker, peer)
            record.add(row)
            size = frame.image.shape[1::-1]
            bar.update()
            if frame.index + 1 >= options.frames or perf_counter() > end:
                break
    return {"hands": hands, "source": str(options.video or "synthetic clip"), "size": list(size), **record.summary()}


@contextmanager
def _peer(task_file: Path | None, hands: int) -> Iterator:
    """MediaPipe's HandLandmarker in VIDEO mode, or None without a task file."""
    if task_file is None:
        yield None
        return
    from ..peers.mediapipe import MediaPipePeer

    with MediaPipePeer(task_file, mode="video", max_hands=hands) as peer:
        yield peer


def _ours(frame: Frame, tracker: Tracker, peer) -> dict:
    poses = tracker.step(frame)
    ms = dict(tracker.ms)
    start = perf_counter()
    draw(frame.image, poses, fps=30.0, latency_ms=ms["total"])
    return ms | {"draw": (perf_counter() - start) * 1e3, "hands": len(poses)}


def _theirs(frame: Frame, tracker: Tracker, peer) -> dict:
    if peer is None:
        return {}
    start = perf_counter()
    hands = peer.detect(frame.image, round(frame.time * 1e3))
    return {"peer": (perf_counter() - start) * 1e3, "peer_hands": len(hands)}


class _Record:
    """The rows of one run, one a frame."""

    def __init__(self, with_peer: bool) -> None:
        self._rows: list[dict] = []
        self._with_peer = with_peer

    def add(self, row: dict) -> None:
        """A frame's milliseconds by stage, `hands`, and `peer` and `peer_hands` where there is one."""
        followed = {"followed": row["total"]} if row["hands"] and not row["detect"] else {}
        self._rows.append(row | followed)

    def summary(self) -> dict:
        """frames counted, hands_found {number of hands: frames}, stages, and `peer` with its own and `ratio`."""
        rows = self._rows[min(_WARM_UP, len(self._rows) // 10) :]
        stages = {stage: _statistics([row[stage] for row in rows if row.get(stage)]) for stage in STAGES}
        stages = {stage: values for stage, values in stages.items() if values}
        summary = {"frames": len(rows), "hands_found": _counts(rows, "hands"), "ms": stages}
        if self._with_peer:
            ratio = stages["peer"]["p50"] / stages["total"]["p50"]
            summary["peer"] = {"name": "mediapipe HandLandmarker, VIDEO mode", "ratio": round(ratio, 3),
                               "hands_found": _counts(rows, "peer_hands")}  # fmt: skip
        return summary


def _counts(rows: list[dict], name: str) -> dict[str, int]:
    return {str(number): count for number, count in sorted(Counter(row[name] for row in rows).items())}


def _statistics(values: list[float]) -> dict | None:
    """runs, mean and percentiles in ms; None without values."""
    if not values:
        return None
    percentiles = {f"p{p}": round(float(np.percentile(values, p)), 3) for p in PERCENTILES}
    return {"runs": len(values), "mean": round(float(np.mean(values)), 3), **percentiles}


def _fresh(video: Path, options: BenchOptions) -> dict | None:
    """Best start-up and highest memory of several new processes; None where none was wanted."""
    hands = max(options.hands)
    arguments = (video, _FRESH_FRAMES, options.model, options.device, hands, options.threads)
    runs: list[FreshRun] = [fresh_run(*arguments) for _ in range(options.fresh_runs)]
    if not runs:
        return None
    memory = [run.peak_mb for run in runs if run.peak_mb is not None]
    return {
        "hands": hands,
        "first_result_s": [round(run.first_result_s, 3) for run in runs],
        "peak_mb": round(max(memory), 1) if memory else None,
    }
