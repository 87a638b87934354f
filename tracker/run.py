"""`semihand track`: the loop from a source to files and a window."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import perf_counter

from ..errors import SemihandError
from ..outputs.files import CsvWriter, JsonlWriter, NpzWriter
from ..outputs.live import LiveWriter
from ..outputs.record import camera_record, hand_record, header
from ..outputs.writer import Writer
from ..progress import Progress
from ..signals import stop_on_signal
from . import open as opening
from .camera import Source
from .draw import Look
from .files import Pictures, VideoFile
from .follow import Follower, Stamp, stamp
from .options import TrackOptions
from .playback import playback
from .scene import Scene
from .stills import StillsFolder
from .summary import Summary
from .types import Frame, HandPose
from .video import VideoSink
from .viewer import WindowConfig, open_viewer

logger = logging.getLogger(__name__)

#: Rate of the overlay of a video that has none of its own.
_UNEVEN_FPS = 60.0


def track(options: TrackOptions) -> Summary:
    """Track until the source ends, the user stops, or `max_frames` is reached; all files are closed then.

    Raises SemihandError with one sentence on whatever a user can cause; what was written until then stays readable.
    """
    with ExitStack() as stack:
        running = stamp(options.model) if options.follow else None
        source, trackers = _open_all(options, stack)
        stopped = stack.enter_context(stop_on_signal())
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
        run.summary.notes += [*source.notes(), *run.estimates()]
    for writer in run.writers:  # closed by now: what they tell is all there is
        run.summary.notes += writer.notes()
    run.summary.files += options.files
    logger.debug("%s", run.summary.stages_text())
    return run.summary


def _progress(source: Source, max_frames: int | None):
    """How far it is; a camera has no end to progress to."""
    counts = [count for count in (source.count, max_frames) if count is not None]
    total = min(counts, default=None)
    return Progress(desc="tracking", total=total, unit="frames", disable=source.live)


def _open_all(options: TrackOptions, stack: ExitStack) -> tuple[Source, list[opening.HandTracker]]:
    """Source and trackers, the compared model's last. Camera and networks open side by side, because each takes its time."""

    def open_tracker(model: str | None) -> opening.HandTracker:
        return opening.HandTracker(
            model, device=options.device, hands=options.hands, threads=options.threads, focal=options.focal,
            calibration=options.calibration, user=options.user, smooth=options.smooth,
        )  # fmt: skip

    names = [options.model, *([options.compare] if options.compare else [])]
    with ThreadPoolExecutor(len(names)) as pool:
        opened = [pool.submit(open_tracker, name) for name in names]
        source = stack.enter_context(open_source(options))
        trackers = [one.result() for one in opened]
    for tracker in trackers:
        stack.callback(tracker.close)
        tracker.look_through(source.camera)
    model = trackers[0].model
    logger.info("Tracking %s with model %s on %s.", source.name, model.info.name, model.provider)
    return source, trackers


def open_source(options: TrackOptions) -> Source:
    """The source that the options name. Raises SemihandError when it does not open."""
    if options.video is not None:
        return VideoFile(options.video)
    if options.images is not None:
        return Pictures(options.images, options.fps)
    return opening.open_camera(options.camera, width=options.width, height=options.height, fps=options.fps)


def _open_newer(options: TrackOptions, path: Path):
    return opening.open_warm_model(str(path), options.device, options.hands, options.threads)


class _Run:
    """One run's files, window and figures."""

    def __init__(
        self,
        options: TrackOptions,
        source: Source,
        trackers: list[opening.HandTracker],
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
        source.stop_when = lambda: stopped() or not self.viewer.idle()
        self._video = _opened(stack, options.save_video, lambda path: _video_sink(path, source))
        kinds = ((JsonlWriter, options.jsonl), (CsvWriter, options.csv), (NpzWriter, options.npz))
        self.writers: list[Writer] = [_opened(stack, path, kind) for kind, path in kinds if path is not None]
        if options.live.any():
            self.writers.append(_opened(stack, options.live, LiveWriter))
        self._follower: Follower | None = None
        self._last_step = perf_counter()
        self._fps = 0.0
        self._assumed_lens = False

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
        if self.writers:
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
            for writer in self.writers:
                writer.change_model(self._model_record())
        note = f"Model {model.path} took over at frame {frame.index}."
        logger.info("%s", note)
        self.summary.notes.append(note)

    def _write(self, frame: Frame, poses: list[HandPose], ms: dict[str, float]) -> None:
        start = perf_counter()
        hands = self._tracker.motion(poses, frame.time)
        ms["motion"] = (perf_counter() - start) * 1e3
        height, width = frame.image.shape[:2]
        lens = self._tracker.lens(frame.image)
        self._assumed_lens = lens.assumed
        camera = camera_record(width, height, lens)
        for writer in self.writers:
            if self.summary.frames == 0:
                writer.begin(self._header(camera))
            writer.write(frame, hands, ms, camera)

    def estimates(self) -> list[str]:
        """That distances are estimates, where camera or hand is assumed and anybody reads distances."""
        assumed = ["the lens"] if self._assumed_lens else []
        assumed += ["the hand's size"] if self._tracker.person is None else []
        if not assumed or not self.writers:
            return []
        are = "are" if len(assumed) > 1 else "is"
        return [f"Distances are estimates: {' and '.join(assumed)} {are} assumed (see semihand calibrate)."]

    def reset(self) -> None:
        """Forget all hands: the next frame has nothing to do with the last one."""
        for tracker in (self._tracker, *self._compared):
            tracker.reset()

    def _show(self, frame: Frame, hands: list[list[HandPose]], total_ms: float) -> bool:
        """Into window, video and pictures, the hands of all models. False when the user wants to stop."""
        names = [tracker.model.info.name for tracker in (self._tracker, *self._compared)]
        fps = 0.0 if self._source.independent else self._fps
        latency = self._source.latency_ms(frame) or total_ms
        scene = Scene(frame.image, hands, names, fps, latency, self._source.trouble)
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
            hand=hand_record(self._tracker.person),
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


def _video_sink(path: str, source: Source) -> VideoSink:
    """A video in which every picture stands at its own time; a pause of a camera is cut out, a file's is kept."""
    fps = source.fps if source.even else max(source.fps, _UNEVEN_FPS)
    return VideoSink(path, fps, by_time=not source.independent, longest_gap=1.0 if source.live else 10.0)


def _opened(stack: ExitStack, path, open_it: Callable):
    """What `open_it` makes of path (or options), closed with the stack; None without a path."""
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
