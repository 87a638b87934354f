"""The one rule for lost hands that all live outputs share: hold, then say that it is lost.

A hand that is not in a frame stays, as it was last seen, for HOLD seconds ("held"). After that it is "lost", and every
message of the next TELL seconds says so, because a datagram may get lost too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..kinematics.hand import Hand
from ..tracker.types import Frame

HOLD, TELL = 0.25, 1.0
SIDES = ("left", "right")


@dataclass(frozen=True)
class Seen:
    """A hand and how it is known: "tracked" in this frame, or "held" from an earlier one."""

    hand: Hand
    state: str = "tracked"


@dataclass(frozen=True)
class Moment:
    """What a live output is told of one frame: hands by id, lost hands, the picture's size (width, height) in pixels."""

    frame: Frame
    seen: tuple[Seen, ...]
    lost: tuple[Hand, ...]
    size: tuple[int, int]
    ms: dict[str, float] = field(default_factory=dict)

    def by_side(self) -> dict[str, Seen | None]:
        """For outputs that know one left and one right hand: the tracked one, the oldest first; None where there is none."""
        order = sorted(self.seen, key=lambda one: (one.state != "tracked", one.hand.id))
        return {side: next((one for one in order if one.hand.handedness == side), None) for side in SIDES}

    def lost_sides(self) -> list[str]:
        """Sides on which a hand was lost and none is seen."""
        there = self.by_side()
        return [side for side in SIDES if there[side] is None and any(h.handedness == side for h in self.lost)]


class Roster:
    """Remembers when each hand was last seen, by the frames' own times."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, Hand]] = {}

    def __call__(self, frame: Frame, hands: Sequence[Hand], size: tuple[int, int], ms: dict[str, float]) -> Moment:
        """The next frame's moment."""
        now = frame.time
        if any(time > now for time, _ in self._last.values()):  # a source that starts anew: other hands
            self._last = {}
        self._last |= {hand.id: (now, hand) for hand in hands}
        self._last = {i: entry for i, entry in self._last.items() if now - entry[0] <= HOLD + TELL}
        present = {hand.id for hand in hands}
        seen, lost = [], []
        for i, (time, hand) in sorted(self._last.items()):
            if i in present:
                seen.append(Seen(hand))
            elif now - time <= HOLD:
                seen.append(Seen(hand, "held"))
            else:
                lost.append(hand)
        return Moment(frame, tuple(seen), tuple(lost), size, ms)

    def end(self, last: Moment) -> Moment:
        """The last message of a run: every hand is lost."""
        hands = tuple(one.hand for one in last.seen) + last.lost
        return Moment(last.frame, (), hands, last.size, last.ms)
