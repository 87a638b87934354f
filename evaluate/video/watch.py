"""Several trackers on the same decoded frames of a video, and what is kept of each."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from ...errors import SemihandError
from ...models.camera import warp_crop
from ...tracker.camera import Source
from ...tracker.estimate import Estimator, joints_on_mask
from ...tracker.pipeline import Tracker
from ...tracker.types import Frame, HandEstimate, HandPose
from .measures import Hands
from .overlay import OverlayVideo
from .page import WorstFrame
from .views import KINDS, LandmarkReader, Views, agreement, look

#: Sides in pixels of the pictures on the page, and how many of them a model gets.
_TILE, _WORST = 160, 8


@dataclass
class Watched:
    """What one tracker said. rows: (frame, pose, share on the mask) of every hand. samples: of the sampled hands
    {frame, row, KINDS..., view, landmark}. landmark_missed: sampled frames with a hand for the landmark model only.
    """

    name: str
    tracker: Tracker
    rows: list[tuple[int, HandPose, float]] = field(default_factory=list)
    ms: list[dict[str, float]] = field(default_factory=list)
    samples: list[dict[str, float]] = field(default_factory=list)
    landmark_missed: int = 0
    _worst: list[tuple[float, int, WorstFrame]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._estimator = Estimator(self.tracker.model)

    @property
    def worst(self) -> list[WorstFrame]:
        """The most inconsistent sampled frames, the worst first."""
        return [frame for _, _, frame in sorted(self._worst, reverse=True)]

    def step(self, frame: Frame, place: int) -> list[HandPose]:
        """Track a frame; place: its number among the frames of this run."""
        poses = self.tracker.step(frame)
        self.ms.append(dict(self.tracker.ms))
        self.rows += [(place, _light(pose), on_mask(pose)) for pose in poses]
        return poses

    def sample(self, frame: Frame, place: int, poses: Sequence[HandPose], readings: list[np.ndarray]) -> None:
        """Ask for second opinions about a frame that was just tracked."""
        if readings and not poses:
            self.landmark_missed += 1
        K = self.tracker.intrinsics(frame.image)
        for row, pose in enumerate(poses, len(self.rows) - len(poses)):
            views = look(self._estimator, frame.image, pose.box, K)
            apart, marks = agreement(pose.uv_image, readings)
            kinds = {kind: views.of(kind) for kind in KINDS}
            self.samples.append({"frame": place, "row": row, "view": views.mean, "landmark": apart} | kinds)
            if np.isfinite(views.mean):
                self._keep(frame, views, marks)

    def hands(self, times: Sequence[float]) -> Hands:
        """All rows as arrays; times: of all frames."""
        poses = [pose for _, pose, _ in self.rows]
        return Hands(
            np.asarray(times, float),
            np.array([place for place, _, _ in self.rows], int),
            np.array([pose.id for pose in poses], int),
            np.array([pose.handedness for pose in poses], "U5"),
            np.array([pose.score for pose in poses], float),
            np.array([pose.uv_image for pose in poses], float).reshape(-1, 21, 2),
            np.array([pose.xyz_cam for pose in poses], float).reshape(-1, 21, 3),
            np.array([share for _, _, share in self.rows], float),
        )

    def _keep(self, frame: Frame, views: Views, marks: np.ndarray | None) -> None:
        """Among the worst frames, if it is one."""
        if len(self._worst) == _WORST and views.mean <= self._worst[0][0]:
            return
        entry = (views.mean, -len(self.samples), _worst_frame(frame, views, marks))
        (heapq.heappush if len(self._worst) < _WORST else heapq.heapreplace)(self._worst, entry)


def watch(
    source: Source,
    watched: Sequence[Watched],
    reader: LandmarkReader,
    every: int,
    max_frames: int | None = None,
    video: OverlayVideo | None = None,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[], object] = lambda: None,
) -> tuple[list[float], list[str], tuple[int, int]]:
    """Run all trackers; returns the frames' times, notes on how the video ended, and the pictures' (width, height).

    every: so many frames from one sampled frame to the next. A video that breaks off counts up to there.
    Raises SemihandError where there is not one picture.
    """
    times: list[float] = []
    notes: list[str] = []
    size = 0, 0
    for frame in _until_it_breaks(source, notes):
        size = frame.image.shape[1], frame.image.shape[0]
        _see(frame, len(times), watched, reader if len(times) % every == 0 else None, video)
        times.append(frame.time)
        progress()
        if stopped():
            notes.append(f"Stopped by hand after {len(times)} frames.")
        if notes or len(times) == max_frames:
            break
    return times, notes + source.notes(), size


def _until_it_breaks(source: Source, notes: list[str]) -> Iterator[Frame]:
    """The source's frames; what ends them too early becomes a note, unless there was not one."""
    seen = 0
    try:
        for frame in source.frames():
            seen += 1
            yield frame
    except SemihandError as error:
        if not seen:
            raise
        notes.append(str(error))


def _see(frame: Frame, place: int, watched, reader: LandmarkReader | None, video: OverlayVideo | None) -> None:
    """One frame for all. They take turns at being first, so that none profits from what another left in the caches."""
    poses: list = [None] * len(watched)
    for turn in range(len(watched)):
        one = (place + turn) % len(watched)
        poses[one] = watched[one].step(frame, place)
    if reader is not None:
        readings = reader(frame.image)
        for one, found in zip(watched, poses):
            one.sample(frame, place, found, readings)
    if video is not None:
        video.write(frame, poses)


def on_mask(pose: HandPose) -> float:
    """Share of a pose's joints that lie on its mask or beside it."""
    homogeneous = np.column_stack([pose.uv_image, np.ones(len(pose.uv_image))]) @ pose.image_to_crop.T
    uv_crop = homogeneous[:, :2] / np.maximum(homogeneous[:, 2:], 1e-6)
    return joints_on_mask(HandEstimate(uv_crop, pose.depth_rel, pose.mask_crop, pose.confidence))


def _light(pose: HandPose) -> HandPose:
    """The pose without its mask, of which a long video would fill the memory."""
    return replace(pose, mask_crop=np.empty((0, 0)))


def _worst_frame(frame: Frame, views: Views, marks: np.ndarray | None) -> WorstFrame:
    crop = views.plain.crop
    picture = cv2.cvtColor(warp_crop(frame.image, crop, _TILE), cv2.COLOR_BGR2RGB)
    return WorstFrame(
        frame.index, frame.time, views.mean, picture, views.plain.estimate.uv_crop, crop.uv_to_crop(views.worst),
        views.plain.estimate.mask.copy(), None if marks is None else crop.uv_to_crop(marks),
    )  # fmt: skip
