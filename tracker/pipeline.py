"""The tracker: one call a frame, from a picture to the hands in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..models.camera import Lens
from .crop import CropConfig
from .estimate import Estimator, Hand, Network, Presence, PresenceConfig, presence
from .find import Detector, FindConfig, Finder, Kind, Verdict
from .identity import HandednessVote, IdentityConfig, Ids, LostHand, Relation, relation, settle_sides
from .lens import Lenses
from .observe import Landmarker, Observation, observer_for
from .smooth import SmoothConfig
from .track import Track
from .types import Frame, HandBox, HandPose

#: A tracked hand and the network's answer for it.
Pair = tuple[Track, Hand]

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
            raise ValueError(f"A tracker needs hands >= 1 and patience >= 0, not {self.hands} and {self.patience}.")


class Tracker:
    """Follows hands through frames. `ms` holds what each of STAGES took in the last step, in milliseconds."""

    def __init__(
        self,
        model: Network,
        detector: Detector,
        landmarker: Landmarker,
        config: TrackerConfig = TrackerConfig(),
        focal: float | None = None,
        bones: np.ndarray | None = None,
    ) -> None:
        """landmarker: asked only where the model itself does not say what a crop shows.

        focal: the camera's focal length in pixels where known, else 0.85 of the picture's longer side. bones (20,): the
        user's bone lengths in metres where known, else those of an average hand.
        """
        self.config, self.bones, self.lens = config, bones, Lenses(focal)
        self.ms = dict.fromkeys(STAGES, 0.0)
        self._landmarker = landmarker
        observer = observer_for(model, landmarker)
        self._finder = Finder(detector, observer, config.hands, config.find, config.crop, config.identity)
        self.use(model)
        self.reset()

    def use(self, model: Network) -> None:
        """Let this network answer from the next frame on. Hands stay followed; its input may have another size."""
        self.model = model
        self._estimator = Estimator(model, self.bones)
        self._finder.observer = observer_for(model, self._landmarker)
        self._factor = float(model.info.crop_factor)

    def reset(self) -> None:
        """Forget all hands: the next frame has nothing to do with the last one. Ids start at 1 again."""
        self._tracks: list[Track] = []
        self._ids = Ids(self.config.identity)
        self._finder.reset()

    def intrinsics(self, image: np.ndarray) -> np.ndarray:
        """K (3, 3) that is used for a picture (H, W, 3)."""
        return self.lens(image).K

    def step(self, frame: Frame) -> list[HandPose]:
        """The hands in the next frame, oldest id first. Frames come in the order of their times."""
        start = perf_counter()
        self.ms = dict.fromkeys(STAGES, 0.0) | {"capture": frame.capture_ms}
        lens = self.lens(frame.image)
        self._find(frame, lens.K)
        tracked = list(self._tracks)
        kept = self._keep(frame, self._estimate(frame, lens, tracked))
        lost = [track for track in tracked if track not in self._tracks]
        if lost:
            kept = self._find_again(frame, lens, lost, kept)
        poses = [self._smooth(frame, lens, *pair) for pair in kept]
        self.ms["detect"] = self._finder.ms
        self.ms["total"] = (perf_counter() - start) * 1e3
        return sorted(poses, key=lambda pose: pose.id)

    def _find(self, frame: Frame, K: np.ndarray) -> None:
        """Before the network runs: drop hands that left the picture, look for new ones or check one."""
        for track in list(self._tracks):
            if not self._finder.inside(track.expected(frame.time, self.config.crop), frame):
                self._lose(track)
        self._apply(frame, self._finder.find(frame, K, self._tracks, self._ids.waiting(frame.time)))
        settle_sides([track.vote for track in self._tracks])

    def _find_again(self, frame: Frame, lens: Lens, lost: Sequence[Track], kept: list[Pair]) -> list[Pair]:
        """Hands were lost in this very frame: find them, or others, before it is over. Returns all pairs."""
        fixed = len(self._tracks)
        placed = self._apply(frame, self._finder.find_again(frame, lens.K, self._tracks))
        found = {track.id for track in self._tracks}
        missing = [track for track in lost if track.id and track.id not in found]
        boxes = [self._aim(frame, track) for track in missing]
        placed += self._apply(frame, self._finder.find_near(frame, lens.K, self._tracks, boxes))
        settle_sides([track.vote for track in self._tracks], fixed)
        kept = [pair for pair in kept if pair[0] not in placed]
        return kept + self._keep(frame, self._estimate(frame, lens, placed), kept)

    def _apply(self, frame: Frame, verdicts: Sequence[Verdict]) -> list[Track]:
        """Do what the finder's verdicts say. Returns the tracks that are new or elsewhere than before."""
        placed = []
        for verdict in verdicts:
            track, observation = verdict.track, verdict.observation
            if verdict.kind is Kind.GONE:
                self._lose(track)
            elif verdict.kind is Kind.UNSEEN:
                track.unseen(frame, observation.presence < self.config.find.gone_presence)
            else:
                track = track or self._begin(frame, observation)
                sure = observation.presence >= self.config.find.sure_presence
                track.seen(observation, verdict.kind is Kind.MOVED, frame, self.config.find.trust if sure else 0)
                placed += [track] if verdict.kind is not Kind.SEEN else []
        return placed

    def _begin(self, frame: Frame, observation: Observation) -> Track:
        """A hand that was not tracked: one that was lost a short while ago, or a new one."""
        lost = self._ids.recall(observation.uv_image, observation.handedness, frame.time)
        vote = lost.vote if lost else HandednessVote(self.config.identity)
        track = Track(vote, observation.uv_image, frame.time, lost.id if lost else 0)
        self._tracks.append(track)
        return track

    def _lose(self, track: Track) -> None:
        self._tracks.remove(track)
        if track.id:
            self._ids.forget(LostHand(track.id, track.time, track.uv_image, track.vote))

    def _aim(self, frame: Frame, track: Track) -> HandBox:
        return track.aim(frame.time, self._factor, self.config.crop)

    def _estimate(self, frame: Frame, lens: Lens, tracks: Sequence[Track]) -> list[Pair]:
        """One batch through the network."""
        hands = self._estimator(frame.image, [self._aim(frame, track) for track in tracks], lens.K, lens)
        for stage, ms in self._estimator.ms.items():
            self.ms[stage] += ms
        return list(zip(tracks, hands))

    def _keep(self, frame: Frame, pairs: Sequence[Pair], beside: Sequence[Pair] = ()) -> list[Pair]:
        """Those that still show a hand of their own, beside others that do; the other tracks are lost."""
        start = perf_counter()
        there = []
        for track, hand in pairs:
            shown = self._shown(frame, track, hand)
            track.misses = 0 if shown is Presence.PRESENT else track.misses + 1
            patience = self.config.patience if track.followed and shown is Presence.DOUBTFUL else 0
            if track.misses <= patience:
                there.append((track, hand))
        kept = self._without_doubles(there, beside)
        stay = {track for track, _ in kept}
        for track, _ in pairs:
            if track not in stay:
                self._lose(track)
        self.ms["smooth"] += (perf_counter() - start) * 1e3
        return kept

    def _shown(self, frame: Frame, track: Track, hand: Hand) -> Presence:
        """What a crop shows. An observer that was sure a short while ago outweighs doubts, not the network's word."""
        shown = presence(hand.estimate, track.followed, self.config.presence)
        trusted = hand.estimate.presence is None and frame.index < track.trust
        return Presence.PRESENT if shown is Presence.DOUBTFUL and trusted else shown

    def _without_doubles(self, there: Sequence[Pair], beside: Sequence[Pair]) -> list[Pair]:
        """Of two tracks on one hand only that which is of its side, as far as the network says, else the older."""
        kept: list[Pair] = []
        for track, hand in sorted(there, key=lambda pair: (_wrong_side(pair[1]), pair[0].id or np.inf)):
            uv, identity = hand.uv_image, self.config.identity
            others = [other.uv_image for _, other in (*beside, *kept)]
            if all(relation(uv, other, identity) is not Relation.SAME for other in others):
                kept.append((track, hand))
        return kept

    def _smooth(self, frame: Frame, lens: Lens, track: Track, hand: Hand) -> HandPose:
        start = perf_counter()
        track.id = track.id or self._ids.new()
        pose = track.follow(hand, lens, frame.time, self.config.smooth)
        self.ms["smooth"] += (perf_counter() - start) * 1e3
        return pose


def _wrong_side(hand: Hand) -> bool:
    return hand.estimate.right is not None and hand.estimate.right < 0.5
