"""`semihand adapt --record`: from a camera, video or pictures to a recording of one hand."""

from __future__ import annotations

import logging
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..errors import SemihandError
from ..progress import Progress
from ..signals import stop_on_signal
from ..tracker.camera import Source
from ..tracker.options import TrackOptions, check_limits
from ..tracker.run import open_source
from .quality import Quality
from .recorder import Recorder, RecorderConfig, Tools
from .recording import Recording, read_recording, recording_folder
from .view import VIEWERS, open_view
from .writer import refuse_existing

logger = logging.getLogger(__name__)

#: Fewer kept frames than this teach a model nothing that holds elsewhere.
MIN_FRAMES = 40


@dataclass(frozen=True)
class RecordOptions:
    """What to record. At most one of camera, video and images; none of them is camera 0.

    name: of the recording, by default the file's, or the date. hand: "left", "right", or None for the first one seen.
    resume: go on with the recording of that name. width, height, fps: asked of a camera; with images, fps says that
    they are frames at that rate. focal: pixels, where known. model: compared with the landmark model; None for none.
    frames: aim for a long file, spread over it. min_frames: fewer are an error. max_frames: pictures looked at.
    """

    camera: int | str | None = None
    video: str | None = None
    images: str | None = None
    name: str | None = None
    hand: str | None = None
    viewer: str = "auto"
    resume: bool = False
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    focal: float | None = None
    model: str | None = "base"
    threads: int | None = None
    frames: int = 900
    min_frames: int = MIN_FRAMES
    max_frames: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError on numbers that are not sensible, and on options that contradict each other."""
        self.track_options()
        check_limits(self)
        if self.viewer not in VIEWERS:
            raise ValueError(f"--viewer {self.viewer} is unknown. Known: {', '.join(VIEWERS)}.")
        if self.hand not in (None, "left", "right"):
            raise ValueError(f"--hand {self.hand} is unknown. Known: left, right.")
        if self.frames < 1 or self.min_frames < 1:
            raise ValueError("A recording needs at least one frame.")
        if self.resume and not self.name:
            raise ValueError("--resume needs --name: which recording is to be continued?")

    def track_options(self) -> TrackOptions:
        """The same source for `tracker.run.open_source`."""
        return TrackOptions(
            camera=self.camera, video=self.video, images=self.images, width=self.width, height=self.height, fps=self.fps
        )  # fmt: skip

    def recorder_config(self) -> RecorderConfig:
        """What of this the recorder needs."""
        return RecorderConfig(hand=self.hand, focal=self.focal, frames=self.frames, resume=self.resume)

    def made_name(self) -> str:
        """The name given, else the file's, else the date."""
        path = self.video or self.images
        made = re.sub(r"[^\w.-]+", "-", Path(os.path.realpath(path)).stem).strip("-.") if path else ""
        return self.name or made or f"{datetime.now():%Y-%m-%d-%H%M%S}"


def record(options: RecordOptions) -> Recording:
    """Record until the source or the guide ends, or the user stops (key or Ctrl-C): all are normal ends.

    Raises SemihandError with one sentence where nothing or too little could be recorded; frames that were kept until
    then stay, and the recording can be continued.
    """
    folder = recording_folder(options.made_name())
    if not options.resume:
        refuse_existing(folder)
    with ExitStack() as stack:
        stopped = stack.enter_context(stop_on_signal())
        source = stack.enter_context(open_source(options.track_options()))
        tools = open_tools(options)
        recorder = Recorder(source, folder, tools, options.recorder_config(), stopped=stopped)
        stack.callback(recorder.close)
        progress = stack.enter_context(_progress(source, options.max_frames))
        trouble = _run(recorder, source, options.max_frames, stopped, progress)
    return _finished(recorder, options, folder, trouble)


def _run(recorder: Recorder, source: Source, max_frames: int | None, stopped, progress) -> SemihandError | None:
    """Feed the recorder. A source that breaks off ends the recording like any other end; its error is returned."""
    frames = source.frames()
    count = 0
    while True:
        try:
            frame = next(frames, None)
        except SemihandError as error:
            return error
        if frame is None:
            return None
        go_on = recorder.step(frame)
        progress.update()
        count += 1
        if not go_on or stopped() or count == max_frames:
            return None


def _finished(recorder: Recorder, options: RecordOptions, folder: Path, trouble: SemihandError | None) -> Recording:
    """The recording, if it is one; else the sentence that says what was missing."""
    quality = recorder.quality
    if not recorder.writer:
        raise trouble or SemihandError(_no_hand(quality, options))
    logger.info("%s: %s %s.", folder.name, quality.sentence(), recorder.coverage.sentence().capitalize())
    if trouble:
        logger.warning("%s", trouble)
    if recorder.kept < options.min_frames:
        raise SemihandError(
            f"{folder.name} holds {recorder.kept} frames, {options.min_frames} are needed: {quality.sentence()} "
            f"{_advice(quality, recorder.side)} They are kept: continue with --resume --name {folder.name}."
        )
    return read_recording(folder)


def _no_hand(quality: Quality, options: RecordOptions) -> str:
    if quality.counts["no hand"] == quality.seen:
        return (
            f"No hand was seen in {quality.seen} pictures; nothing was recorded. "
            "Hold one hand before the camera, whole and in good light, and record again."
        )
    return f"No frame could be used: {quality.sentence()} {_advice(quality, options.hand)} Nothing was recorded."


def _advice(quality: Quality, side: str | None) -> str:
    """What to do about the most frequent reason for leaving frames out."""
    other = {"left": "right", "right": "left"}.get(side or "", "left or right")
    advice = {
        "no hand": "Keep one hand whole in the picture, in good light.",
        "other hand": f"Only the {side} hand was recorded; for the other one use --hand {other}.",
        "several hands": "Only one person's hand should be in the picture.",
        "cut off": "Keep the whole hand in the picture.",
        "blurred": "Move more slowly, or use more light.",
        "duplicate": "Move the hand, and show more poses.",
    }
    reason = max(quality.counts, key=quality.counts.get, default="")
    return advice.get(reason, "Use more light, and show the whole hand.")


def open_tools(options: RecordOptions) -> Tools:
    """Detector, landmark model, the tracker's model and the view. Raises SemihandError where one does not open."""
    from ..models.model_file import open_model
    from ..tracker.detect import HandDetector, HandLandmarker
    from ..tracker.estimate import Estimator

    return Tools(
        detector=HandDetector(threads=options.threads),
        landmarker=HandLandmarker(threads=options.threads),
        estimator=Estimator(open_model(options.model, "cpu", options.threads)) if options.model else None,
        view=open_view(options.viewer),
    )


def _progress(source: Source, max_frames: int | None):
    """How far it is in a file; a camera has no end to progress to."""
    total = min((count for count in (source.count, max_frames) if count is not None), default=None)
    return Progress(desc="recording", total=total, unit="frames", disable=source.live)
