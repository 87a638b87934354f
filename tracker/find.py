"""Finding hands and checking tracked ones: when to run the palm model and the observer, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from math import radians
from time import perf_counter
from typing import Protocol

import numpy as np

from .crop import CropConfig, joint_distance, share_inside
from .identity import IdentityConfig, Relation, relation
from .observe import Observation, Observer
from .palm import ALL_VIEWS, OTHER_VIEWS, PLAIN, View, box_from_landmarks
from .track import Track
from .types import Frame, HandBox


class Detector(Protocol):
    """Finds hands in a picture (see `detect.HandDetector`)."""

    def detect(self, image_bgr: np.ndarray, max_hands: int = 2, views: Sequence[View] = ...) -> list[HandBox]: ...


@dataclass(frozen=True)
class FindConfig:
    """When to look for hands, and what to make of what the observer says.

    look_every: frames between two looks for further hands while some are tracked (with none, every frame).
    min_presence: for a hand. sure_presence: at which the word of an observer that is asked now and then counts, for
    `trust` frames, more than the network's doubts. gone_presence: below it twice in a row a tracked hand is lost.
    vote_every: frames before a new hand is checked again, and so many more each time, up to check_every. min_inside:
    share of a hand's box that must lie in the picture. same_place, same_size: a detected box belongs to a tracked hand
    when the centres are this near (in sides) and the sides differ by less than this factor. around: crops in which a
    hand that was just lost may be, as (times its last crop's side, degrees turned).
    """

    look_every: int = 5
    min_presence: float = 0.5
    sure_presence: float = 0.95
    trust: int = 10
    gone_presence: float = 0.15
    vote_every: int = 5
    check_every: int = 30
    min_inside: float = 0.25
    same_place: float = 0.25
    same_size: float = 2.0
    around: tuple[tuple[float, float], ...] = ((1.5, 0.0), (1.2, 40.0), (1.2, -40.0))

    def __post_init__(self) -> None:
        if self.look_every < 1 or self.vote_every < 1:
            raise ValueError(f"look_every and vote_every must be at least 1, not {self}.")


class Kind(Enum):
    """What was found out about a hand. UNSEEN: not where it is held to be; GONE: so for the second time."""

    NEW = 0
    SEEN = 1
    MOVED = 2
    UNSEEN = 3
    GONE = 4


@dataclass(frozen=True)
class Verdict:
    """What was found out about a tracked hand, or about a new one (`track` None)."""

    kind: Kind
    observation: Observation
    track: Track | None = None


class Finder:
    """Runs the palm model and the observer where needed, and says what follows; changes no track.

    `ms` is what they cost since `find` was called; `observer` may be changed between two frames. While hands are
    followed and others are wanted, the palm model looks beside the network and is heard at the next frame, so that it
    delays none.
    """

    def __init__(
        self,
        detector: Detector,
        observer: Observer,
        hands: int,
        config: FindConfig,
        crop: CropConfig,
        identity: IdentityConfig,
    ) -> None:
        self.config, self.observer, self.ms = config, observer, 0.0
        self._detector = detector
        self._beside = ThreadPoolExecutor(1, "palm model")
        self._hands, self._crop, self._identity = hands, crop, identity
        self.reset()

    def reset(self) -> None:
        """The next frame is looked at as the first one, from all sides."""
        self._since_look = self.config.look_every
        self._looks = 0
        self._pending: Future[list[HandBox]] | None = None

    def inside(self, uv_image: np.ndarray, frame: Frame) -> bool:
        """Whether enough of a hand's box lies in the picture."""
        height, width = frame.image.shape[:2]
        return share_inside(uv_image, width, height) >= self.config.min_inside

    def find(self, frame: Frame, K: np.ndarray, tracks: Sequence[Track], waiting: bool) -> list[Verdict]:
        """Before the network runs: look for hands where it is time to, else check a tracked one.

        waiting: a hand was lost a short while ago.
        """
        self.ms = 0.0
        self._since_look += 1
        with self._timed():
            pending, self._pending = self._pending, None
            urgent = not tracks or waiting or any(track.misses for track in tracks)
            if self._due(tracks, waiting):
                if urgent or not self.observer.every_frame:
                    return self._look(frame, K, tracks)
                self._since_look = 0
                self._pending = self._beside.submit(
                    self._detector.detect, frame.image, self._hands, self._views(tracks)
                )
            if pending and not urgent:
                return self._judge(frame, K, tracks, pending.result())
            checked = self._check(frame, K, tracks)
            if checked is None or checked.kind in (Kind.SEEN, Kind.MOVED):
                return [checked] if checked else []
            left = [track for track in tracks if checked.kind is Kind.UNSEEN or track is not checked.track]
            return [checked, *self._look(frame, K, left)]

    def find_again(self, frame: Frame, K: np.ndarray, tracks: Sequence[Track]) -> list[Verdict]:
        """A hand was lost in this very frame: it, or another, may be elsewhere. Nothing after a look in this frame."""
        with self._timed():
            return self._look(frame, K, tracks) if self._since_look else []

    def find_near(
        self, frame: Frame, K: np.ndarray, tracks: Sequence[Track], boxes: Sequence[HandBox]
    ) -> list[Verdict]:
        """Hands that were just lost and that the palm model does not see: round the boxes of their last crops."""
        if not (boxes and self.observer.every_frame):
            return []
        with self._timed():
            ways = [
                replace(box, side=box.side * scale, roll=box.roll + radians(turn))
                for box in boxes
                for scale, turn in self.config.around
            ]
            observations = sorted(self.observer(frame.image, ways, K), key=lambda one: -one.presence)
            return self._verdicts(frame, K, observations, tracks, [])

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = perf_counter()
        yield
        self.ms += (perf_counter() - start) * 1e3

    def _due(self, tracks: Sequence[Track], waiting: bool) -> bool:
        if self.observer.every_frame and any(track.misses for track in tracks):
            return True
        if len(tracks) >= self._hands:
            return False
        return not tracks or waiting or self._since_look >= self.config.look_every

    def _views(self, tracks: Sequence[Track]) -> Sequence[View]:
        """All views of a first picture; then, while no hand is there, each of the others in its turn."""
        self._looks += 1
        if self._looks == 1:
            return ALL_VIEWS
        return (PLAIN,) if tracks else (PLAIN, OTHER_VIEWS[self._looks % len(OTHER_VIEWS)])

    def _look(self, frame: Frame, K: np.ndarray, tracks: Sequence[Track]) -> list[Verdict]:
        """Run the palm model; what it finds beside the tracked hands, and of those with misses, is looked at."""
        self._since_look = 0
        return self._judge(frame, K, tracks, self._detector.detect(frame.image, self._hands, self._views(tracks)))

    def _judge(self, frame: Frame, K: np.ndarray, tracks: Sequence[Track], boxes: Sequence[HandBox]) -> list[Verdict]:
        """What follows from the palm model's boxes, which may be those of the frame before."""
        owners = [self._owner(box, tracks, frame.time) for box in boxes]
        unclear = [box for box, owner in zip(boxes, owners) if owner is None or owner.misses]
        observations = self.observer(frame.image, unclear, K)
        return self._verdicts(frame, K, observations, tracks, [owner for owner in owners if owner])

    def _owner(self, box: HandBox, tracks: Sequence[Track], time: float) -> Track | None:
        """The tracked hand to which a detected box plainly belongs (saves a look at it)."""
        for track in tracks:
            own = box_from_landmarks(track.expected(time, self._crop))
            apart = np.hypot(*(own.center - box.center)) / min(own.side, box.side)
            grown = max(own.side, box.side) / min(own.side, box.side)
            if apart < self.config.same_place and grown < self.config.same_size:
                return track
        return None

    def _verdicts(
        self,
        frame: Frame,
        K: np.ndarray,
        observations: Sequence[Observation],
        tracks: Sequence[Track],
        owners: Sequence[Track],
    ) -> list[Verdict]:
        """owners: tracked hands that have a detected box of their own."""
        verdicts: list[Verdict] = []
        places = [(track, track.expected(frame.time, self._crop)) for track in tracks]
        for observation in observations:
            if observation.presence < self.config.min_presence or not self.inside(observation.uv_image, frame):
                continue
            verdict = self._verdict(frame, K, observation, places, owners)
            if verdict is not None:
                verdicts.append(verdict)
                places = [(track, uv) for track, uv in places if track is None or track is not verdict.track]
                places.append((verdict.track, observation.uv_image))
        return verdicts

    def _verdict(self, frame: Frame, K: np.ndarray, observation: Observation, places, owners) -> Verdict | None:
        """A hand was seen: it is a tracked one, one that lost its outline, or new; None if it was seen before."""
        relations = [relation(uv, observation.uv_image, self._identity) for _, uv in places]
        if Relation.SAME in relations:
            track, uv = places[relations.index(Relation.SAME)]
            return self._seen(track, uv, observation) if track else None
        for (track, uv), related in zip(places, relations):
            if track and related is Relation.NEAR and track not in owners:
                if self._displaced(frame, K, uv, observation):
                    return Verdict(Kind.MOVED, observation, track)
        return Verdict(Kind.NEW, observation) if len(places) < self._hands else None

    def _seen(self, track: Track, expected: np.ndarray, observation: Observation) -> Verdict:
        moved = joint_distance(expected, observation.uv_image) > self._identity.same_distance
        return Verdict(Kind.MOVED if moved else Kind.SEEN, observation, track)

    def _displaced(self, frame: Frame, K: np.ndarray, expected: np.ndarray, observation: Observation) -> bool:
        """Whether a tracked hand is really the one that was seen: where it is held to be there is that one, or none.

        A fist before an open hand is a hand of its own.
        """
        (own,) = self.observer(frame.image, [box_from_landmarks(expected)], K)
        if own.presence < self.config.min_presence:
            return True
        return relation(own.uv_image, observation.uv_image, self._identity) is Relation.SAME

    def _check(self, frame: Frame, K: np.ndarray, tracks: Sequence[Track]) -> Verdict | None:
        """Ask an observer that does not see every frame about the hand that needs it most."""
        if self.observer.every_frame:
            return None
        due = [one for one in tracks if one.misses or frame.index - one.check >= self._interval(one)]
        if not due:
            return None
        track = max(due, key=lambda one: (one.misses, -one.check))
        expected = track.expected(frame.time, self._crop)
        (observation,) = self.observer(frame.image, [box_from_landmarks(expected)], K)
        others = [other.expected(frame.time, self._crop) for other in tracks if other is not track]
        own = all(relation(uv, observation.uv_image, self._identity) is not Relation.SAME for uv in others)
        if own and observation.presence >= self.config.min_presence:
            return self._seen(track, expected, observation)
        gone = track.doubts and observation.presence < self.config.gone_presence
        return Verdict(Kind.GONE if gone else Kind.UNSEEN, observation, track)

    def _interval(self, track: Track) -> int:
        if track.doubts:
            return self.config.vote_every
        if track.vote.certain:
            return self.config.check_every
        return min(self.config.vote_every * track.vote.count, self.config.check_every)
