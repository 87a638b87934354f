"""`semihand eval --video`: how steady models are on a video without labels, several side by side on the same frames."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import provenance
from ...errors import SemihandError
from ...paths import shown
from ...progress import Progress
from ...signals import stop_on_signal
from ...tracker.files import VideoFile
from ...tracker.open import HandTracker
from . import files
from .figures import FIGURES, text_table
from .measures import (
    Hands,
    Jitter,
    absences,
    bone_cv,
    finger_lengths_mm,
    jitter,
    percentiles,
    speed,
    switches,
)  # fmt: skip
from .overlay import OverlayVideo
from .page import ModelRun, video_page
from .views import CHANGES, KINDS, LandmarkReader
from .watch import Watched, watch

log = logging.getLogger(__name__)

SCHEMA = 1
#: At most so many frames are looked at a second time; one of so many where nobody knows how long the video is.
SAMPLES, USUAL_STEP = 40, 10
#: Times between frames that differ by more than this share: a variable frame rate.
_STEADY = 0.1
_NO_HAND = "no hand was found in any frame"
_NOT_SAMPLED = "no sampled frame shows a hand that was found"


@dataclass(frozen=True)
class VideoEvalOptions:
    """What to measure. models: names or files, none for the default model. out: folder, None for NAME-eval where the
    command runs. hands: to follow at most; focal: the camera's focal length in pixels where known."""

    video: Path
    models: tuple[str, ...]
    out: Path | None
    device: str
    hands: int = 1
    focal: float | None = None
    max_frames: int | None = None
    as_json: bool = False
    overlay: bool = True

    def __post_init__(self) -> None:
        """Raises SemihandError on numbers without sense."""
        for name, least in (("hands", 1), ("max_frames", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise SemihandError(f"--{name.replace('_', '-')} {value} is too small: give {least} or more.")
        if self.focal is not None and not self.focal > 0:
            raise SemihandError(f"{self.focal} is no focal length: give pixels above 0, or none where it is unknown.")
        if len(set(self.models)) < len(self.models):
            raise SemihandError(f"A model is named twice: {', '.join(self.models)}. Name every model once.")


def run_video_eval(options: VideoEvalOptions) -> str:
    """Measure, write the report's folder, and return a table, or what measures.json holds.

    A report that stands there already is replaced at the end; where the folder holds other files of these names, nothing
    is done. Raises SemihandError on whatever a user can cause; an earlier report then stays as it was.
    """
    if options.video.is_dir():
        raise SemihandError(f"{options.video} is a folder, not a video. Labelled pictures are measured with --data.")
    folder = options.out or Path(f"{options.video.stem}-eval")
    files.check_folder(folder, options.video)
    with ExitStack() as stack:
        source = stack.enter_context(VideoFile(options.video))
        watched = _open(options)
        temporary = stack.enter_context(files.fresh_report(folder))
        times, notes, size = _watch(options, source, watched, temporary)
        document = _document(options, source, watched, times, notes, size)
        _write(temporary, document, watched, times)
    if not options.as_json:
        return _text(document, folder)
    log.info("Report: %s", folder / files.PAGE)
    return files.to_json(document)


def _open(options: VideoEvalOptions) -> list[Watched]:
    trackers = [
        HandTracker(model, device=options.device, hands=options.hands, focal=options.focal)
        for model in options.models or (None,)
    ]
    names = [tracker.model.info.name for tracker in trackers]
    # Files by different paths may carry one name.
    told = [name if names.count(name) == 1 else f"{name} ({names[:i].count(name) + 1})" for i, name in enumerate(names)]
    return [Watched(name, tracker) for name, tracker in zip(told, trackers)]


def _watch(options: VideoEvalOptions, source: VideoFile, watched: list[Watched], folder: Path):
    reader = LandmarkReader(hands=max(2, options.hands))
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_on_signal())
        bar = stack.enter_context(Progress(desc="comparing", total=_count(options, source), unit="frames"))
        video = None
        if options.overlay:
            video = OverlayVideo(folder / files.OVERLAY, [one.name for one in watched], source.fps)
            stack.callback(video.close)
        return watch(source, watched, reader, _step(options, source), options.max_frames, video, stopped, bar.update)


def _document(options, source: VideoFile, watched: Sequence[Watched], times, notes, size) -> dict:
    """Everything but the frames, as plain JSON."""
    return {
        "schema": SCHEMA, "kind": files.KIND, **provenance.record(),
        "video": _video_record(options.video, source, times, size),
        "tracker": {"hands": options.hands, "focal_px": options.focal, "smoothing": "as in semihand track"},
        "samples": {"frames": len(times[:: _step(options, source)]), "one_of": _step(options, source),
                    "changed_crops": len(CHANGES)},
        "notes": notes,
        "models": [_model_record(one, times, options.hands) for one in watched],
    }  # fmt: skip


def _count(options: VideoEvalOptions, source: VideoFile) -> int | None:
    """Frames to come, None where nobody knows."""
    return min((count for count in (source.count, options.max_frames) if count is not None), default=None)


def _step(options: VideoEvalOptions, source: VideoFile) -> int:
    """Frames from one sampled frame to the next."""
    count = _count(options, source)
    return -(-count // SAMPLES) if count else USUAL_STEP


def _video_record(path: Path, source: VideoFile, times: Sequence[float], size: tuple[int, int]) -> dict:
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 1 / source.fps
    varies = bool(len(steps)) and bool((np.abs(steps - usual) > _STEADY * usual).any())
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)
    return {
        "name": shown(path.name), "sha256": sha256, "width": size[0], "height": size[1], "frames": len(times),
        "frames_of_file": source.count, "fps": round(source.fps, 3), "variable_rate": varies,
        "seconds": round(float(times[-1] - times[0] + usual), 4),
    }  # fmt: skip


def _sha256(file) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _model_record(one: Watched, times: Sequence[float], wanted: int) -> dict:
    model, hands = one.tracker.model, one.hands(times)
    figures, absent = _figures(one, hands, wanted)
    stages, fps = speed(one.ms, hands.found)
    figures["fps"] = fps
    return {
        "name": one.name, "sha256": model.sha256, "input_size": model.info.input_size, "provider": model.provider,
        "figures": {figure: figures.get(figure) for figure in _all_names()},
        "absent": {name: why for name, why in absent.items() if figures.get(name) is None},
        "ms": stages, "sampled_hands": len(one.samples),
    }  # fmt: skip


def _all_names() -> list[str]:
    return [name for figure in FIGURES for name in (figure.name, figure.tail) if name]


def _figures(one: Watched, hands: Hands, wanted: int) -> tuple[dict[str, float], dict[str, str]]:
    """Figures by name, and for those that may be missing the reason for which they would be."""
    ids, sides = switches(hands)
    figures: dict[str, float] = {
        **absences(hands.found, hands.times), "landmark_missed": one.landmark_missed,
        "ids": len(set(hands.id.tolist())), "id_switches": ids, "handedness_switches": sides,
    }  # fmt: skip
    absent = dict.fromkeys(_all_names(), _NO_HAND if not len(hands) else _NOT_SAMPLED)
    shaking = jitter(hands)
    for name, values in (("jitter_mm", shaking.mm), ("jitter_size", shaking.size), ("acceleration_m_s2", shaking.m_s2)):
        figures |= percentiles(values, name)
        absent[name] = "no hand was found in three frames in a row" if len(hands) else _NO_HAND
    try:
        figures["bone_cv"] = bone_cv(hands, wanted)
    except ValueError as error:
        absent["bone_cv"] = str(error)
    figures |= _sampled(one.samples)
    if any(np.isfinite(sample["view"]) for sample in one.samples):
        absent["landmark_distance"] = "the landmark model sees none of the hands that were found"
    for name, values in (("joints_on_mask", hands.on_mask), ("confidence", hands.score)):
        figures |= {name: float(values.mean())} if len(hands) else {}
    return figures, absent


def _sampled(samples: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of the second opinions: medians and 95th percentiles, and the mean of each kind of change."""
    figures = percentiles(np.array([sample["view"] for sample in samples]), "view_consistency")
    figures |= percentiles(np.array([sample["landmark"] for sample in samples]), "landmark_distance")
    for kind in KINDS:
        values = np.array([sample[kind] for sample in samples])
        figures |= {f"view_{kind}": float(np.nanmean(values))} if np.isfinite(values).any() else {}
    return figures


def _write(folder: Path, document: dict, watched: Sequence[Watched], times: Sequence[float]) -> None:
    runs, tables = [], {}
    for one, record in zip(watched, document["models"], strict=True):
        hands = one.hands(times)
        shaking = jitter(hands)
        runs.append(_model_run(one, record, hands, shaking))
        tables[one.name] = hands, _columns(one, hands, shaking), one.ms
    files.write_measures(folder / files.MEASURES, document)
    files.write_frames(folder / files.FRAMES, times, tables)
    (folder / files.PAGE).write_text(
        video_page(document, np.asarray(times), runs), encoding="utf-8", errors="backslashreplace"
    )


def _columns(one: Watched, hands: Hands, shaking: Jitter) -> dict[str, np.ndarray]:
    """Values of every row for frames.csv, NaN where there is none."""
    columns = {name: shaking.per_row(values, len(hands)) for name, values in
               (("jitter_mm", shaking.mm), ("jitter_size", shaking.size))}  # fmt: skip
    for name, key in (("view_consistency", "view"), ("landmark_distance", "landmark")):
        columns[name] = np.full(len(hands), np.nan)
        for sample in one.samples:
            columns[name][sample["row"]] = sample[key]
    return columns


def _model_run(one: Watched, record: dict, hands: Hands, shaking: Jitter) -> ModelRun:
    looked = [sample for sample in one.samples if np.isfinite(sample["view"])]
    views = np.full(len(hands), np.nan)
    views[[sample["row"] for sample in looked]] = [sample["view"] for sample in looked]
    views = by_frame(hands, views)
    return ModelRun(
        name=one.name, figures=record["figures"], absent=record["absent"], ms=record["ms"], found=hands.found,
        jitter_mm=by_frame(hands, shaking.per_row(shaking.mm, len(hands))), score=by_frame(hands, hands.score),
        fingers=by_frame(hands, finger_lengths_mm(hands.xyz)), views=views, jitter_values=shaking.mm.ravel(),
        worst=one.worst,
    )  # fmt: skip


def by_frame(hands: Hands, values: np.ndarray) -> np.ndarray:
    """Means (T, ...) over the hands of every frame of values (N, ...), NaN where there is none."""
    series = np.full((len(hands.times), *values.shape[1:]), np.nan)
    known = np.isfinite(values).reshape(len(values), int(np.prod(values.shape[1:]))).all(axis=1)
    total, count = np.zeros_like(series), np.bincount(hands.frame[known], minlength=len(series))
    np.add.at(total, hands.frame[known], values[known])
    series[count > 0] = (total.T / np.maximum(count, 1)).T[count > 0]
    return series


def _text(document: dict, folder: Path) -> str:
    models, video = document["models"], document["video"]
    varying = ", variable frame rate" if video["variable_rate"] else ""
    head = f"{video['name']}: {video['frames']} frames, {video['seconds']:.1f} s{varying}"
    reasons = [f"{model['name']}: {why}." for model in models for why in dict.fromkeys(model["absent"].values())]
    return "\n".join([
        head, text_table([model["name"] for model in models], [model["figures"] for model in models]),
        *document["notes"], *reasons, f"Report: {folder / files.PAGE}",
    ])  # fmt: skip
