"""`semihand track`: the loop from a source to files and a window."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from ..errors import SemihandError
from ..signals import stop_on_signal
from .camera import CameraConfig, Source, Webcam
from .banner import write_banner
from .draw import draw
from .files import Pictures, VideoFile
from .follow import Follower, Stamp, stamp
from .options import TrackOptions
from .output import CsvWriter, JsonlWriter, NpzWriter, Writer, camera_record, header
from .pipeline import Tracker, TrackerConfig
from .smooth import SmoothConfig
from .summary import Summary
from .types import Frame, HandBox, HandPose
from .video import VideoSink
from .viewer import open_viewer

logger = logging.getLogger(__name__)

#: Rate of the overlay of a video that has none of its own.
_UNEVEN_FPS = 60.0


def track(options: TrackOptions) -> Summary:
    """Track until the source ends, the user stops, or `max_frames` is reached; all files are closed then.

    Raises SemihandError with one sentence on whatever a user can cause; what was written until then stays readable.
    """
    with ExitStack() as stack:
        running = stamp(options.model) if options.follow else None
        source, tracker = _open_all(options, stack)
        stopped = stack.enter_context(stop_on_signal())
        run = _Run(options, source, tracker, stack, stopped)
        if options.follow:
            run.follow(running, stack)
        progress = stack.enter_context(_progress(source, options.max_frames))
        run.summary.begin()
        for frame in source.frames():
            wanted = run.step(frame)
            progress.update()
            if not wanted or stopped() or run.summary.frames == options.max_frames:
                break
        run.summary.notes += source.notes()
    return run.summary


def _progress(source: Source, max_frames: int | None):
    """A progress bar on a terminal; a camera has no end to progress to."""
    from tqdm import tqdm

    counts = [count for count in (source.count, max_frames) if count is not None]
    total = min(counts, default=None)
    return tqdm(total=total, unit=" frames", leave=False, disable=True if source.live else None)


def _open_all(options: TrackOptions, stack: ExitStack) -> tuple[Source, Tracker]:
    """Source and tracker. Camera, network and detector open side by side, because each takes its time."""
    with ThreadPoolExecutor(2) as pool:
        model = pool.submit(_open_model, options)
        detectors = pool.submit(_open_detectors, options.threads)
        source = stack.enter_context(open_source(options))
        logger.info(
            "Tracking %s with model %s on %s.", source.name, model.result().info.name, model.result().provider
        )
        return source, _build_tracker(options, model.result(), *detectors.result())


def open_source(options: TrackOptions) -> Source:
    """The source that the options name. Raises SemihandError when it does not open."""
    if options.video is not None:
        return VideoFile(options.video)
    if options.images is not None:
        return Pictures(options.images, options.fps)
    given = {"index": options.camera, "width": options.width, "height": options.height, "fps": options.fps}
    return Webcam(CameraConfig(**{name: value for name, value in given.items() if value is not None}))


def _open_model(options: TrackOptions):
    """A model that has been run, so that its first frame is as fast as the others."""
    from ..models.model_file import open_model
    from ..models.verify import check_runs

    model = open_model(options.model, device=options.device, threads=options.threads)
    for batch in (options.hands, 1):  # the first run of a batch size is slow
        check_runs(model, batch)
    return model


def _open_newer(options: TrackOptions, path: Path):
    return _open_model(replace(options, model=str(path)))


def _open_detectors(threads: int | None):
    from .detect import HandDetector, HandLandmarker

    detector, landmarker = HandDetector(threads=threads), HandLandmarker(threads=threads)
    picture = np.zeros((64, 64, 3), np.uint8)
    detector.detect(picture)
    landmarker(picture, HandBox(np.array([32.0, 32.0]), 64.0))
    return detector, landmarker


def _build_tracker(options: TrackOptions, model, detector, landmarker) -> Tracker:
    smooth = SmoothConfig() if options.smooth else None
    return Tracker(
        model, detector, landmarker, TrackerConfig(hands=options.hands, smooth=smooth), options.focal
    )


class _Run:
    """One run's files, window and figures."""

    def __init__(
        self,
        options: TrackOptions,
        source: Source,
        tracker: Tracker,
        stack: ExitStack,
        stopped: Callable[[], bool],
    ) -> None:
        """Opens everything that is written to, so that what cannot be written is told before the work."""
        self.summary = Summary(source.name)
        self._options, self._source, self._tracker = options, source, tracker
        self._viewer = open_viewer(options.viewer, options.mirror, stopped)
        stack.callback(self._viewer.close)
        source.stop_when = lambda: stopped() or not self._viewer.idle()
        self._video = _opened(
            stack, options.save_video, lambda path: _video_sink(path, source)
        )
        kinds = ((JsonlWriter, options.jsonl), (CsvWriter, options.csv), (NpzWriter, options.npz))
        self._writers: list[Writer] = [_opened(stack, path, kind) for kind, path in kinds if path is not None]
        self._follower: Follower | None = None
        self._last_step = perf_counter()
        self._fps = 0.0

    def follow(self, running: Stamp, stack: ExitStack) -> None:
        """Take over newer models from now on; `running` was the model's stamp before it was opened."""
        self._follower = Follower(self._options.model, running, partial(_open_newer, self._options))
        stack.callback(self._follower.close)

    def step(self, frame: Frame) -> bool:
        """Track one frame and hand the result on. False when the user wants to stop."""
        if self._follower:
            self._take_over(frame)
        if self._source.independent:
            self._tracker.reset()
        poses = self._tracker.step(frame)
        ms = dict(self._tracker.ms)
        self._measure_fps()
        self._write(frame, poses, ms)
        written = perf_counter()
        go_on = self._show(frame, poses, ms["total"])
        self.summary.add(poses, ms | {"show": (perf_counter() - written) * 1e3})
        return go_on

    def _take_over(self, frame: Frame) -> None:
        model = self._follower.take()
        if model is None:
            return
        self._tracker.use(model)
        if self.summary.frames:  # before the first frame the header tells it
            for writer in self._writers:
                writer.change_model(self._model_record())
        note = f"Model {model.path} took over at frame {frame.index}."
        logger.info("%s", note)
        self.summary.notes.append(note)

    def _write(self, frame: Frame, poses: list[HandPose], ms: dict[str, float]) -> None:
        if not self._writers:
            return
        height, width = frame.image.shape[:2]
        camera = camera_record(
            width, height, self._tracker.intrinsics(frame.image), self._options.focal is None
        )
        for writer in self._writers:
            if self.summary.frames == 0:
                writer.begin(self._header(camera))
            writer.write(frame, poses, ms, camera)

    def _show(self, frame: Frame, poses: list[HandPose], total_ms: float) -> bool:
        """Draw at most once for each of window and video: only the window may be mirrored."""
        latency = self._source.latency_ms(frame) or total_ms
        plain = shown = None
        if self._video or (self._viewer.wants_picture and not self._viewer.mirror):
            plain = shown = draw(frame.image, poses, False, self._fps, latency)
        if self._viewer.wants_picture and self._viewer.mirror:
            shown = draw(frame.image, poses, True, self._fps, latency)
        for picture in (plain, shown) if plain is not shown else (plain,):
            if picture is not None and self._source.trouble:
                write_banner(picture, self._source.trouble)
        if self._video:
            self._video.write(plain, frame.time)
        return self._viewer.show(frame, poses, shown)

    def _header(self, camera: dict) -> dict:
        smooth = self._tracker.config.smooth
        return header(
            source=self._source.name,
            model=self._model_record(),
            camera=camera,
            smoothing=asdict(smooth) if smooth else None,
        )

    def _model_record(self) -> dict:
        model = self._tracker.model
        return {"name": model.info.name, "sha256": model.sha256, "device": model.provider}

    def _measure_fps(self) -> None:
        now = perf_counter()
        rate = 1 / max(now - self._last_step, 1e-6)
        self._fps = 0.9 * self._fps + 0.1 * rate if self._fps else rate
        self._last_step = now


def _video_sink(path: str, source: Source) -> VideoSink:
    """A video in which every picture stands at its own time; a pause of a camera is cut out, a file's is kept."""
    fps = source.fps if source.even else max(source.fps, _UNEVEN_FPS)
    return VideoSink(path, fps, by_time=not source.independent, longest_gap=1.0 if source.live else 10.0)


def _opened(stack: ExitStack, path: str | None, open_it: Callable):
    """What `open_it` makes of path, closed with the stack; None without a path."""
    if path is None:
        return None
    opened = open_it(path)

    def close(_kind, error, _trace) -> None:
        try:
            opened.close()
        except SemihandError as second:
            if error is None:
                raise
            logger.error("%s", second)  # the run ends with the first error

    stack.push(close)
    return opened
