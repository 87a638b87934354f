"""The tracker: one call a frame, from a picture to the hands in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..models.camera import default_intrinsics
from .crop import CropConfig
from .estimate import Estimator, Hand, Network, Presence, PresenceConfig, presence
from .find import Detector, FindConfig, Finder, Landmarker
from .identity import IdentityConfig, Ids, LostHand, Relation, relation, settle_sides
from .smooth import SmoothConfig
from .track import Track
from .types import Frame, HandPose

#: What `Tracker.ms` holds: capture is the frame's own, total is of the whole step (all stages but capture).
STAGES = ("capture", "detect", "crop", "estimate", "lift", "smooth", "total")


@dataclass(frozen=True)
class TrackerConfig:
    """How hands are found, followed and kept.

    hands: at most so many. patience: so many frames in a row may show no clear hand before it is lost.
    smooth None: no smoothing.
    """

    hands: int = 2
    patience: int = 3
    find: FindConfig = FindConfig()
    presence: PresenceConfig = PresenceConfig()
    crop: CropConfig = CropConfig()
    identity: IdentityConfig = IdentityConfig()
    smooth: SmoothConfig | None = SmoothConfig()

    def __post_init__(self) -> None:
        if self.hands < 1 or self.patience < 0:
            raise ValueError(
                f"A tracker needs hands >= 1 and patience >= 0, not {self.hands} and {self.patience}."
            )


class Tracker:
    """Follows hands through frames. `ms` holds what each of STAGES took in the last step, in milliseconds."""

    def __init__(
        self,
        model: Network,
        detector: Detector,
        landmarker: Landmarker,
        config: TrackerConfig = TrackerConfig(),
        focal: float | None = None,
    ) -> None:
        """focal: the camera's focal length in pixels where known, else 0.85 of the picture's longer side."""
        self.config, self.focal = config, focal
        self.ms = dict.fromkeys(STAGES, 0.0)
        self.use(model)
        self._finder = Finder(detector, landmarker, config.hands, config.find, config.crop, config.identity)
        self._intrinsics: tuple[tuple[int, int], np.ndarray] | None = None
        self.reset()

    def use(self, model: Network) -> None:
        """Let this network answer from the next frame on. Hands stay followed; its input may have another size."""
        self.model = model
        self._estimator = Estimator(model)
        self._factor = float(model.info.crop_factor)

    def reset(self) -> None:
        """Forget all hands: the next frame has nothing to do with the last one. Ids start at 1 again."""
        self._tracks: list[Track] = []
        self._ids = Ids(self.config.identity)
        self._finder.reset()

    def intrinsics(self, image: np.ndarray) -> np.ndarray:
        """K (3, 3) that is used for a picture (H, W, 3)."""
        height, width = image.shape[:2]
        if self._intrinsics is None or self._intrinsics[0] != (width, height):
            self._intrinsics = (width, height), default_intrinsics(width, height, self.focal)
        return self._intrinsics[1]

    def step(self, frame: Frame) -> list[HandPose]:
        """The hands in the next frame, oldest id first. Frames come in the order of their times."""
        start = perf_counter()
        self.ms = dict.fromkeys(STAGES, 0.0) | {"capture": frame.capture_ms}
        self._finder.ms = 0.0
        looked = self._find(frame)
        tracked = len(self._tracks)
        settle_sides([track.vote for track in self._tracks])
        poses = self._follow(frame, self._tracks)
        if not looked and len(self._tracks) < tracked:
            poses += self._look_again(frame)
        self.ms["detect"] = self._finder.ms
        self.ms["total"] = (perf_counter() - start) * 1e3
        return sorted(poses, key=lambda pose: pose.id)

    def _find(self, frame: Frame) -> bool:
        """Before the network runs: drop hands that left, look for new ones or check one. True after a look."""
        for track in list(self._tracks):
            if not self._finder.inside(track.expected(frame.time, self.config.crop), frame):
                self._lose(track)
        if not self._finder.due(self._tracks, self._ids, frame.time):
            unseen = self._finder.check(frame, self._tracks)
            if unseen is None:
                return False
            if unseen.doubts >= 2:
                self._lose(unseen)
        self._finder.look(frame, self._tracks, self._ids)
        return True

    def _lose(self, track: Track) -> None:
        self._tracks.remove(track)
        if track.id:
            self._ids.forget(LostHand(track.id, track.time, track.uv_image, track.vote))

    def _look_again(self, frame: Frame) -> list[HandPose]:
        """A hand was lost in this very frame: find it, or another, before the frame is over."""
        kept = len(self._tracks)
        self._finder.look(frame, self._tracks, self._ids)
        settle_sides([track.vote for track in self._tracks], fixed=kept)
        return self._follow(frame, self._tracks[kept:])

    def _follow(self, frame: Frame, tracks: Sequence[Track]) -> list[HandPose]:
        """One batch through the network: the poses of those tracks that still show a hand; the others are lost."""
        config, K = self.config, self.intrinsics(frame.image)
        boxes = [track.aim(frame.time, self._factor, config.crop) for track in tracks]
        hands = self._estimator(frame.image, boxes, K)
        start = perf_counter()
        seen = self._without_doubles([pair for pair in zip(tracks, hands) if self._still_there(*pair)])
        kept = {id(track) for track, _ in seen}
        for track in [track for track in tracks if id(track) not in kept]:
            self._lose(track)
        poses = [self._take(track, hand, K, frame.time) for track, hand in seen]
        for stage, ms in self._estimator.ms.items():
            self.ms[stage] += ms
        self.ms["smooth"] += (perf_counter() - start) * 1e3
        return poses

    def _still_there(self, track: Track, hand: Hand) -> bool:
        shown = presence(hand.estimate, track.followed, self.config.presence)
        if shown is Presence.DOUBTFUL and track.trust:
            shown = Presence.PRESENT
        track.trust = max(track.trust - 1, 0)
        track.misses = 0 if shown is Presence.PRESENT else track.misses + 1
        if not track.followed:
            return shown is Presence.PRESENT
        return shown is not Presence.ABSENT and track.misses <= self.config.patience

    def _without_doubles(self, seen: list[tuple[Track, Hand]]) -> list[tuple[Track, Hand]]:
        """Of two tracks on one hand only the older."""
        kept: list[tuple[Track, Hand]] = []
        for track, hand in sorted(seen, key=lambda pair: pair[0].id or np.inf):
            uv, identity = hand.uv_image, self.config.identity
            if all(relation(uv, other.uv_image, identity) is not Relation.SAME for _, other in kept):
                kept.append((track, hand))
        return kept

    def _take(self, track: Track, hand: Hand, K: np.ndarray, time: float) -> HandPose:
        track.id = track.id or self._ids.new()
        return track.follow(hand, K, time, self.config.smooth)
