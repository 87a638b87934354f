"""`semihand track`: the loop from a source to files and a window."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from ..errors import SemihandError
from ..progress import Progress
from .camera import CameraConfig, Source, Webcam
from .draw import Look
from .files import Pictures, VideoFile
from .follow import Follower, Stamp, stamp
from .options import TrackOptions
from .output import CsvWriter, JsonlWriter, NpzWriter, Writer, camera_record, header
from .pipeline import Tracker, TrackerConfig
from .playback import playback
from .scene import Scene
from .smooth import SmoothConfig
from .stills import StillsFolder
from .summary import Summary
from .types import Frame, HandBox, HandPose
from .video import VideoSink
from .viewer import WindowConfig, open_viewer

logger = logging.getLogger(__name__)


def track(options: TrackOptions) -> Summary:
    """Track until the source ends, the user stops, or `max_frames` is reached; all files are closed then.

    Raises SemihandError with one sentence on whatever a user can cause; what was written until then stays readable.
    """
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_on_signal())
        running = stamp(options.model) if options.follow else None
        source, *trackers = _open_all(options, stack)
        run = _Run(options, source, trackers, stack, stopped)
        if options.follow:
            run.follow(running, stack)
        progress = stack.enter_context(_progress(source, options.max_frames))
        run.summary.begin()

        def rewound() -> None:
            run.reset()
            progress.restart()

        for frame in playback(source, run.viewer, rewound):
            wanted = run.step(frame)
            progress.update()
            if not wanted or stopped() or run.summary.frames == options.max_frames:
                break
        run.summary.notes += source.notes()
    return run.summary


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether Ctrl-C (or SIGTERM) came. The first one asks, the second one interrupts."""
    asked = threading.Event()

    def ask(signum, _frame) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield asked.is_set
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress(source: Source, max_frames: int | None):
    """How far it is; a camera has no end to progress to."""
    counts = [count for count in (source.count, max_frames) if count is not None]
    total = min(counts, default=None)
    return Progress(desc="tracking", total=total, unit="frames", disable=source.live)


def _open_all(options: TrackOptions, stack: ExitStack) -> tuple[Source | Tracker, ...]:
    """Source and trackers, the compared model's last. Camera, network and detector open side by side, because each takes its time."""
    with ThreadPoolExecutor(2) as pool:
        model = pool.submit(_open_model, options)
        detectors = pool.submit(_open_detectors, options.threads)
        source = stack.enter_context(open_source(options))
        logger.info(
            "Tracking %s with model %s on %s.", source.name, model.result().info.name, model.result().provider
        )
        models = [model.result()]
        if options.compare:
            models.append(_open_model(replace(options, model=options.compare)))
        return source, *(_build_tracker(options, model, *detectors.result()) for model in models)


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

    model = open_model(options.model, device=options.device, threads=options.threads)
    size = model.info.input_size
    model.run(np.zeros((options.hands, size, size, 3), np.uint8))  # the first run of a batch size is slow
    model.run(np.zeros((1, size, size, 3), np.uint8))
    return model


def _open_newer(options: TrackOptions, path: Path):
    from ..models.verify import check_runs

    model = _open_model(replace(options, model=str(path)))
    check_runs(model)
    return model


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
        trackers: list[Tracker],
        stack: ExitStack,
        stopped: Callable[[], bool],
    ) -> None:
        """Opens everything that is written to, so that what cannot be written is told before the work.

        trackers: the one whose hands are written, and the one it is compared with, if any.
        """
        self.summary = Summary(source.name)
        self._options, self._source, self._tracker, self._compared = options, source, trackers[0], trackers[1:]
        self._look = Look.of(options.show)
        self.viewer = open_viewer(options.viewer, _window_config(options, source, self._look), stopped)
        stack.callback(self.viewer.close)
        self._stills = _opened(stack, options.save_images, StillsFolder)
        self._video = _opened(
            stack, options.save_video, lambda path: VideoSink(path, source.fps, source.live)
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
            self.reset()
        poses = self._tracker.step(frame)
        ms = dict(self._tracker.ms)
        hands = [poses, *(tracker.step(frame) for tracker in self._compared)]
        self._measure_fps()
        self._write(frame, poses, ms)
        written = perf_counter()
        go_on = self._show(frame, hands, ms["total"])
        shown = (perf_counter() - written) * 1e3 - self.viewer.waited_ms
        self.summary.add(poses, ms | {"show": shown})
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

    def reset(self) -> None:
        """Forget all hands: the next frame has nothing to do with the last one."""
        for tracker in (self._tracker, *self._compared):
            tracker.reset()

    def _show(self, frame: Frame, hands: list[list[HandPose]], total_ms: float) -> bool:
        """Into window, video and pictures, the hands of all models. False when the user wants to stop."""
        names = [tracker.model.info.name for tracker in (self._tracker, *self._compared)]
        fps = 0.0 if self._source.independent else self._fps
        scene = Scene(frame.image, hands, names, fps, self._source.latency_ms(frame) or total_ms)
        if self._video:
            self._video.write(scene.picture(look=self._look), frame.time)
        if self._stills:
            self._stills.write(frame, scene.picture(look=self._look))
        return self.viewer.show(frame, scene)

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


def _window_config(options: TrackOptions, source: Source, look: Look) -> WindowConfig:
    return WindowConfig(
        mirror=options.mirror,
        look=look,
        paced=not (source.live or source.independent or options.fast),
        one_by_one=source.independent and not options.fast,
        rewinds=not source.live and not options.writes,
    )


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
