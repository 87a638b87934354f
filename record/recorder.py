"""One recording while it is made: each picture is looked at, judged, and kept or left out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path
from time import monotonic

import numpy as np
import onnxruntime

from ..errors import SemihandError
from ..models.joints import MIDDLE_MCP, WRIST
from ..tracker.camera import Source
from ..tracker.crop import crop_box, joint_distance
from ..tracker.detect import WEIGHTS, LandmarkResult
from ..tracker.estimate import Estimator
from ..tracker.find import Detector
from ..tracker.lens import lenses_of
from ..tracker.observe import Landmarker
from ..tracker.palm import upright_roll
from ..tracker.types import Frame
from .coverage import Coverage, pose_features
from .follow import HandFollower, Sighting, shifted
from .guide import Guide
from .quality import Quality
from .recording import HEADER, RecordingHeader, read_header
from .takes import Segments, cut_out
from .view import TextView, ViewState, WindowView
from .writer import SYNC_EVERY, RecordingWriter, refuse_existing

logger = logging.getLogger(__name__)

#: Seconds between the last frame of a recording and the first that continues it.
RESUME_GAP = 1.0


@dataclass(frozen=True)
class RecorderConfig:
    """hand: "left", "right" or None for the first one seen; focal: pixels where known; frames: aim for a long file;
    resume: go on with the recording; segment: seconds of a file's; summary_every: seconds between two summaries."""

    hand: str | None = None
    focal: float | None = None
    frames: int = 900
    resume: bool = False
    segment: float = 10.0
    summary_every: float = 5.0


@dataclass(frozen=True)
class Tools:
    """What a recording is made with. estimator: the tracker's network, None to do without; view: what users see."""

    detector: Detector
    landmarker: Landmarker
    estimator: Estimator | None = None
    view: TextView | WindowView = field(default_factory=TextView)


class Recorder:
    """Feed it pictures with `step`. writer: None until the first frame is kept, so that nothing empty is left behind.

    guide: None for files; side: the hand that is recorded, None while that is open; notes: sentences for the summary.
    """

    def __init__(
        self, source: Source, folder: Path, tools: Tools, config: RecorderConfig = RecorderConfig(),
        guide: Guide | None = None, stopped: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """guide: by default that of PROMPTS for a camera; stopped: ends a pause without a key.

        Raises SemihandError where `folder` cannot be recorded to.
        """
        self.config, self.folder, self.side = config, folder, config.hand
        self.quality, self.coverage = Quality(), Coverage()
        self.guide = guide or (Guide() if source.live else None)
        self.notes: list[str] = []
        self.writer: RecordingWriter | None = None
        self._source, self._tools, self._stopped = source, tools, stopped
        self._paused_at: float | None = None
        self._follower = HandFollower(tools.detector, tools.landmarker, config.hand)
        self._lens = lenses_of(source.camera, config.focal)
        self._spacing = _spacing(source, config.frames)
        self._size: tuple[int, int] | None = None
        self._offset, self._last_kept, self._summarized = 0.0, -np.inf, monotonic()
        self._open_existing()
        first = self.writer.next_segment if self.writer else 0
        self._segments = Segments(first, None if self.guide else _even(config.segment, source))
        self._take_began = first

    @property
    def kept(self) -> int:
        """Frames in the recording, those of an earlier run included."""
        return self.writer.kept if self.writer else 0

    def step(self, frame: Frame) -> bool:
        """Look at one picture, keep it or not. False where the recording is over."""
        self._after_pause(frame.time)
        K = self._intrinsics(frame.image)
        if self._source.independent:
            self._follower.reset()
        sighting = self._follower.follow(frame.image, frame.time)
        self.side, seen = sighting.side, sighting.marks is not None
        if self.guide and self.guide.update(frame.time, seen):
            self._take_began = self._segments.cut()
        segment = self._segments.at(frame.time, seen)
        disagreement = partial(self._disagreement, frame.image, sighting, K) if self._tools.estimator else None
        verdict = self.quality.judge(frame.image, sighting, segment, self._wanted(frame.time), disagreement)
        reason = verdict if isinstance(verdict, str) else ""
        if not reason:
            self._keep(frame, sighting, segment, K, verdict.sharpness)
        self._housekeeping()
        return self._show(frame, sighting.marks, reason)

    def close(self) -> None:
        """Finish the files and take the window down; calling it twice does no harm."""
        self._tools.view.close()
        if self.writer:
            self.writer.summarize(self.summary())
            self.writer.close()

    def summary(self) -> dict:
        """What summary.json holds. `kept` counts all frames of the recording, the rest speaks of the last run."""
        return {
            "kept": self.kept,
            "seen": self.quality.seen,
            "rejected": dict(self.quality.counts),
            "sentence": self.quality.sentence(),
            "coverage": self.coverage.to_dict(),
            "missing": self.coverage.missing(),
            "short_prompts": self.guide.short if self.guide else [],
            "notes": self.notes + self._source.notes(),
        }

    def _open_existing(self) -> None:
        """Refuse a recording that exists before any work; go on with it where that is wanted."""
        if not self.config.resume:
            refuse_existing(self.folder)
            return
        if not (self.folder / HEADER).is_file():
            raise SemihandError(f"There is no recording {self.folder.name} to continue. Leave --resume out.")
        self.writer = RecordingWriter(self.folder, read_header(self.folder), resume=True)
        if self.writer.last_time is not None:
            self._offset = self.writer.last_time + RESUME_GAP

    def _intrinsics(self, image: np.ndarray) -> np.ndarray:
        """(3, 3) of this picture. Another size than before is another camera: a new take, which is told."""
        height, width = image.shape[:2]
        if self._size is not None and self._size != (width, height):
            was = f"{self._size[0]}x{self._size[1]}"
            self.notes.append(f"The pictures changed from {was} to {width}x{height}; a new segment began there.")
            logger.warning("%s", self.notes[-1])
            self._follower.reset()
            self._segments.cut()
        self._size = (width, height)
        return self._lens(image).K

    def _wanted(self, time: float) -> bool:
        """Whether one more frame is of use now."""
        if self.guide:
            return self.guide.wants(time)
        return time - self._last_kept >= self._spacing - 1e-6

    def _disagreement(self, image: np.ndarray, sighting: Sighting, K: np.ndarray) -> float:
        """How far the tracker's network and the landmark model are apart, in hand sizes."""
        uv, estimator = sighting.marks.uv_image, self._tools.estimator
        roll = upright_roll(uv[WRIST], uv[MIDDLE_MCP])
        box = crop_box(uv, estimator.model.info.crop_factor, roll)
        (hand,) = estimator(image, [replace(box, handedness=sighting.side)], K)
        return joint_distance(hand.uv_image, uv)

    def _keep(self, frame: Frame, sighting: Sighting, segment: int, K: np.ndarray, sharp: float) -> None:
        if self.writer is None:
            self.writer = RecordingWriter(self.folder, self._header(frame))
        marks = sighting.marks
        part = cut_out(frame.image, marks.uv_image, K)
        prompt = self.guide.prompt.name if self.guide else ""
        self.writer.add(
            part.image, frame.time + self._offset, segment, prompt, part.K, marks.handedness,
            shifted(marks, part.offset, part.scale), sharp,
        )  # fmt: skip
        self._last_kept = frame.time
        self.coverage.add(pose_features(marks.xyz_world, marks.uv_image, marks.handedness, K[0, 0]), segment)
        if self.guide:
            self.guide.keep()

    def _header(self, frame: Frame) -> RecordingHeader:
        height, width = frame.image.shape[:2]
        source = self._source.name if self._source.live else Path(self._source.name).name
        return RecordingHeader(
            name=self.folder.name,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            source=source,
            width=width,
            height=height,
            fps=float(self._source.fps),
            K_assumed=self._lens(frame.image).assumed,
            detector=detector_record(),
        )

    def _housekeeping(self) -> None:
        if not self.writer:
            return
        self.writer.sync(SYNC_EVERY)
        if monotonic() - self._summarized >= self.config.summary_every:
            self._summarized = monotonic()
            self.writer.summarize(self.summary())

    def _show(self, frame: Frame, marks: LandmarkResult | None, reason: str) -> bool:
        """Show the picture and do what the user wants. False where the recording is over."""
        uv = None if marks is None else marks.uv_image
        state = ViewState(frame.image, uv, reason, self.kept, frame.time, self.coverage, self.guide, self.side)
        command = self._tools.view.show(state)
        if command == "pause":
            command = self._pause(state)
        if command == "stop":
            return False
        if self.guide and command == "next":
            self.guide.next()
            self._take_began = self._segments.cut()
        elif self.guide and command == "redo":
            self._redo()
        return not (self.guide and self.guide.done)

    def _pause(self, state: ViewState) -> str | None:
        """Wait with this picture until another key is pressed; returns what it wants."""
        self._paused_at, state = state.time, replace(state, paused=True)
        while not self._stopped():
            command = self._tools.view.show(state)
            if command is not None:
                return None if command == "pause" else command
        return "stop"

    def _after_pause(self, time: float) -> None:
        if self._paused_at is None:
            return
        if self.guide:
            self.guide.shift(time - self._paused_at)
        self._paused_at = None

    def _redo(self) -> None:
        """Take back this prompt's frames and begin it again."""
        if self.writer:
            self.writer.discard_from(self._take_began)
        self.quality.forget_from(self._take_began)
        self.coverage.forget_from(self._take_began)
        self.guide.redo()
        self._take_began = self._segments.cut()


@cache
def detector_record() -> dict[str, str]:
    """The detector's files by hash, and what ran them."""
    hashes = {
        name: hashlib.sha256((WEIGHTS / f"{name}.onnx").read_bytes()).hexdigest()
        for name in ("palm_detection", "hand_landmark")
    }
    return {**hashes, "onnxruntime": onnxruntime.__version__}


def _spacing(source: Source, frames: int) -> float:
    """Seconds between two kept frames by which a long file gives about `frames` of them; 0 for short ones."""
    if source.live or source.count is None:
        return 0.0
    return source.count / source.fps / frames if source.count > frames else 0.0


def _even(seconds: float, source: Source) -> float:
    """About so many seconds, such that a file divides into segments of one length: no stump is left at its end."""
    length = (source.count or 0) / source.fps
    return length / max(round(length / seconds), 1) if length > seconds else seconds
