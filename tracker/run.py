"""`semihand track`: the loop from a source to files and a window."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from ..errors import SemihandError
from .camera import CameraConfig, Source, Webcam
from .draw import draw
from .files import Pictures, VideoFile
from .output import CsvWriter, JsonlWriter, NpzWriter, Writer, camera_record, header
from .pipeline import Tracker, TrackerConfig
from .smooth import SmoothConfig
from .summary import Summary
from .types import Frame, HandBox, HandPose
from .video import CODECS, VideoSink
from .viewer import VIEWERS, open_viewer

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cuda", "cpu")


@dataclass(frozen=True)
class TrackOptions:
    """What to track, with what, and where to. At most one of camera, video and images; none of them is camera 0.

    width, height pixels and fps are asked of a camera; with images, fps says that they are frames at that rate.
    focal: the camera's focal length in pixels where known.
    """

    camera: int | None = None
    video: str | None = None
    images: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    model: str = "lite"
    device: str = "auto"
    threads: int | None = None
    hands: int = 2
    focal: float | None = None
    smooth: bool = True
    save_video: str | None = None
    jsonl: str | None = None
    csv: str | None = None
    npz: str | None = None
    viewer: str = "auto"
    mirror: bool = False
    max_frames: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError on options that contradict each other."""
        given = [name for name in ("camera", "video", "images") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"--{' and --'.join(given)} exclude each other: name one source.")
        if given not in ([], ["camera"]) and (self.width or self.height):
            raise ValueError(
                f"--width and --height are asked of a camera; they mean nothing with --{given[0]}."
            )
        if self.video is not None and self.fps:
            raise ValueError("--fps means nothing with --video: a video file has its own rate.")
        if self.device not in DEVICES:
            raise ValueError(f"--device {self.device} is unknown. Known: {', '.join(DEVICES)}.")
        if self.viewer not in VIEWERS:
            raise ValueError(f"--viewer {self.viewer} is unknown. Known: {', '.join(VIEWERS)}.")
        self._check_outputs()

    def _check_outputs(self) -> None:
        if self.save_video and Path(self.save_video).suffix.lower() not in CODECS:
            raise ValueError(f"--save-video {self.save_video}: known endings are {', '.join(CODECS)}.")
        used = {Path(path).resolve(): f"the input {path}" for path in (self.video, self.images) if path}
        for option in ("save_video", "jsonl", "csv", "npz"):
            path = getattr(self, option)
            if path is None or path == "-":
                continue
            if Path(path).resolve() in used:
                raise ValueError(
                    f"--{option.replace('_', '-')} {path} would overwrite {used[Path(path).resolve()]}."
                )
            used[Path(path).resolve()] = f"--{option.replace('_', '-')}"


def track(options: TrackOptions) -> Summary:
    """Track until the source ends, the user stops, or `max_frames` is reached; all files are closed then.

    Raises SemihandError with one sentence on whatever a user can cause; what was written until then stays readable.
    """
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_on_signal())
        source, tracker = _open_all(options, stack)
        run = _Run(options, source, tracker, stack, stopped)
        progress = stack.enter_context(_progress(source, options.max_frames))
        run.summary.begin()
        for frame in source.frames():
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
    from ..models.model_file import open_model

    model = open_model(options.model, device=options.device, threads=options.threads)
    size = model.info.input_size
    model.run(np.zeros((options.hands, size, size, 3), np.uint8))  # the first run of a batch size is slow
    model.run(np.zeros((1, size, size, 3), np.uint8))
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
        tracker: Tracker,
        stack: ExitStack,
        stopped: Callable[[], bool],
    ) -> None:
        """Opens everything that is written to, so that what cannot be written is told before the work."""
        self.summary = Summary(source.name)
        self._options, self._source, self._tracker = options, source, tracker
        self._viewer = open_viewer(options.viewer, options.mirror, stopped)
        stack.callback(self._viewer.close)
        self._video = _opened(
            stack, options.save_video, lambda path: VideoSink(path, source.fps, source.live)
        )
        kinds = ((JsonlWriter, options.jsonl), (CsvWriter, options.csv), (NpzWriter, options.npz))
        self._writers: list[Writer] = [_opened(stack, path, kind) for kind, path in kinds if path is not None]
        self._last_step = perf_counter()
        self._fps = 0.0

    def step(self, frame: Frame) -> bool:
        """Track one frame and hand the result on. False when the user wants to stop."""
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
        if self._video:
            self._video.write(plain, frame.time)
        return self._viewer.show(frame, poses, shown)

    def _header(self, camera: dict) -> dict:
        model, smooth = self._tracker.model, self._tracker.config.smooth
        return header(
            source=self._source.name,
            model={"name": model.info.name, "sha256": model.sha256, "device": model.provider},
            camera=camera,
            smoothing=asdict(smooth) if smooth else None,
        )

    def _measure_fps(self) -> None:
        now = perf_counter()
        rate = 1 / max(now - self._last_step, 1e-6)
        self._fps = 0.9 * self._fps + 0.1 * rate if self._fps else rate
        self._last_step = now


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
