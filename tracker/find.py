"""Finding hands and checking tracked ones: when to run the palm and landmark models, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np

from .crop import CropConfig, joint_distance, share_inside
from .identity import HandednessVote, IdentityConfig, Ids, Relation, relation
from .palm import box_from_landmarks
from .track import Track
from .types import Frame, HandBox


class Detector(Protocol):
    """Finds hands in a picture (see `detect.HandDetector`)."""

    def detect(self, image_bgr: np.ndarray, max_hands: int = 2) -> list[HandBox]: ...


class Landmarker(Protocol):
    """Says whether a box holds a hand, where its joints are and which hand it is (see `detect.HandLandmarker`)."""

    def __call__(self, image_bgr: np.ndarray, box: HandBox): ...


@dataclass(frozen=True)
class FindConfig:
    """When to look for hands, and what to make of the landmark model.

    look_every: frames between two looks for further hands while some are tracked (with none, every frame).
    min_presence: of the landmark model, for a hand. sure_presence: at which its word counts, for `trust` frames, more
    than the network's doubts. gone_presence: below it twice in a row a tracked hand is lost. vote_every: frames
    before a new hand is checked again, and so many more each time, up to check_every. min_inside: share of a hand's
    box that must lie in the picture. same_place, same_size: a detected box belongs to a tracked hand when the centres
    are this near (in sides) and the sides differ by less than this factor.
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

    def __post_init__(self) -> None:
        if self.look_every < 1 or self.vote_every < 1:
            raise ValueError(f"look_every and vote_every must be at least 1, not {self}.")


class Finder:
    """Runs the two models where needed. Works on the tracker's own list of tracks; `ms` is what the frame cost."""

    def __init__(
        self,
        detector: Detector,
        landmarker: Landmarker,
        hands: int,
        config: FindConfig,
        crop: CropConfig,
        identity: IdentityConfig,
    ) -> None:
        self.config, self.ms = config, 0.0
        self._detector, self._landmarker = detector, landmarker
        self._hands, self._crop, self._identity = hands, crop, identity
        self.reset()

    def reset(self) -> None:
        """The next frame is looked at as the first one."""
        self._since_look = self.config.look_every

    def inside(self, uv_image: np.ndarray, frame: Frame) -> bool:
        """Whether enough of a hand's box lies in the picture."""
        height, width = frame.image.shape[:2]
        return share_inside(uv_image, width, height) >= self.config.min_inside

    def due(self, tracks: list[Track], ids: Ids, time: float) -> bool:
        """Whether to look: always without a hand, and after a loss; else now and then while hands are missing."""
        self._since_look += 1
        if len(tracks) >= self._hands:
            return False
        return not tracks or self._since_look >= self.config.look_every or ids.waiting(time)

    def look(self, frame: Frame, tracks: list[Track], ids: Ids) -> None:
        """Run the detector: add new hands to `tracks`, and put back in place those that lost their outline."""
        start = perf_counter()
        self._since_look = 0
        boxes = self._detector.detect(frame.image, self._hands)
        owners = [self._owner(box, tracks, frame.time) for box in boxes]
        confirmed = {id(track) for track in owners if track}
        for box, owner in zip(boxes, owners):
            if owner is None or owner.misses:
                marks = self._landmarker(frame.image, box)
                if marks.presence >= self.config.min_presence and self.inside(marks.uv_image, frame):
                    self._admit(frame, marks, tracks, ids, confirmed)
        self.ms += (perf_counter() - start) * 1e3

    def check(self, frame: Frame, tracks: list[Track]) -> Track | None:
        """Ask the landmark model about the hand that needs it most. Returns a hand that it does not see."""
        for track in tracks:
            track.unchecked += 1
        due = [track for track in tracks if track.misses or track.unchecked >= self._interval(track)]
        if not due:
            return None
        start = perf_counter()
        track = max(due, key=lambda one: (one.misses, one.unchecked))
        track.unchecked = 0
        marks = self._marks(frame, track)
        seen = marks.presence >= self.config.min_presence
        others = [other.expected(frame.time, self._crop) for other in tracks if other is not track]
        if seen and all(relation(uv, marks.uv_image, self._identity) is not Relation.SAME for uv in others):
            self._confirm(frame, track, marks)
        track.doubts = track.doubts + 1 if marks.presence < self.config.gone_presence else 0
        self.ms += (perf_counter() - start) * 1e3
        return None if seen else track

    def _interval(self, track: Track) -> int:
        if track.doubts:
            return self.config.vote_every
        if track.vote.certain:
            return self.config.check_every
        return min(self.config.vote_every * track.vote.count, self.config.check_every)

    def _marks(self, frame: Frame, track: Track):
        return self._landmarker(frame.image, box_from_landmarks(track.expected(frame.time, self._crop)))

    def _confirm(self, frame: Frame, track: Track, marks) -> None:
        """The landmark model sees this hand: count its vote; take its joints' place where they are elsewhere."""
        track.vote.add(marks.handedness, marks.handedness_score)
        expected = track.expected(frame.time, self._crop)
        if joint_distance(expected, marks.uv_image) > self._identity.same_distance:
            track.place(marks.uv_image, frame.time)
        if marks.presence >= self.config.sure_presence:
            track.trust = self.config.trust

    def _owner(self, box: HandBox, tracks: list[Track], time: float) -> Track | None:
        """The tracked hand to which a detected box plainly belongs (saves a run of the landmark model)."""
        for track in tracks:
            own = box_from_landmarks(track.expected(time, self._crop))
            apart = np.hypot(*(own.center - box.center)) / min(own.side, box.side)
            grown = max(own.side, box.side) / min(own.side, box.side)
            if apart < self.config.same_place and grown < self.config.same_size:
                return track
        return None

    def _admit(self, frame: Frame, marks, tracks: list[Track], ids: Ids, confirmed: set[int]) -> None:
        """A hand was found at `marks`: it is a tracked one, one that lost its outline, a lost one, or new."""
        uv = marks.uv_image
        relations = [relation(track.expected(frame.time, self._crop), uv, self._identity) for track in tracks]
        if Relation.SAME in relations:
            self._confirm(frame, tracks[relations.index(Relation.SAME)], marks)
            return
        for track, related in zip(tracks, relations):
            if related is Relation.NEAR and id(track) not in confirmed and self._displaced(frame, track, uv):
                track.place(uv, frame.time)
                self._confirm(frame, track, marks)
                return
        if len(tracks) < self._hands:
            tracks.append(self._new(frame, marks, ids))

    def _displaced(self, frame: Frame, track: Track, uv: np.ndarray) -> bool:
        """Whether a tracked hand is really the one found at uv: where it is held to be there is that one, or none.

        A fist before an open hand is a hand of its own.
        """
        own = self._marks(frame, track)
        if own.presence < self.config.min_presence:
            return True
        return relation(own.uv_image, uv, self._identity) is Relation.SAME

    def _new(self, frame: Frame, marks, ids: Ids) -> Track:
        lost = ids.recall(marks.uv_image, marks.handedness, frame.time)
        vote = lost.vote if lost else HandednessVote(self._identity)
        track = Track(vote, marks.uv_image, frame.time, lost.id if lost else 0)
        self._confirm(frame, track, marks)
        return track
