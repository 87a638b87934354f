"""How a hand moves and gestures before a camera: poses on a way, and smooth moves between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import MM
from .hand import HandAsset, HandPoseAngles, axis_rotation, pose_hand
from .pose import WRIST_HIGH, WRIST_LOW, Hand, draw_gesture

_KEY, _SWAY = range(2)
_X, _Y, _Z = np.eye(3)
#: Hand frame (x to the thumb, y to the fingers, z out of the palm) -> camera: fingers up, palm to the camera.
_PALM_VIEW = np.diag([1.0, -1.0, -1.0])
#: Palm joints, which stand still in the hand frame; their middle is what moves along the path.
_PALM = [0, 5, 9, 13, 17]
_OVERLAP = 0.1
#: Seconds that a hand rests at a key pose.
_REST = 0.12
#: Shares of a move by which the thumb may go before the fingers (or after, negative), so that they pass by each other.
_LEADS = (0.0, 0.25, -0.25)


@dataclass(frozen=True)
class Key:
    """A pose on the way of a right hand.

    place: of the palm's middle, share of half the picture's width and height (right, down), and metres away;
    turn: roll, pitch, yaw in degrees (yaw 180: the back of the hand); seconds: of the way to this pose.
    """

    gesture: str
    place: tuple[float, float, float]
    turn: tuple[float, float, float]
    seconds: float = 0.45


STORY = (
    Key("spread", (0.0, 0.20, 0.50), (0, 0, 0)),
    Key("fist", (-0.08, 0.15, 0.50), (-6, -8, 10)),
    Key("point", (0.12, 0.28, 0.47), (14, -12, 15)),
    Key("peace", (-0.15, 0.22, 0.48), (-16, 5, -12), 0.5),
    Key("pinch", (0.05, 0.20, 0.44), (-8, -15, -25), 0.5),
    Key("open", (-0.02, 0.30, 0.37), (6, -14, 8), 0.5),
    Key("spread", (0.05, 0.28, 0.50), (4, 0, 168), 0.8),
    Key("relaxed", (0.12, 0.42, 0.72), (-10, 8, 70), 0.6),
    Key("ok", (0.0, 0.25, 0.52), (-4, -5, 8), 0.6),
)
#: With two hands each keeps to its own half, and the second one is so many poses ahead in the story.
ASIDE, AHEAD = 0.44, 3


def minimum_jerk(share):
    """The way covered, 0 to 1, after a share of the time, as an arm moves (Flash and Hogan 1985)."""
    t = np.clip(share, 0.0, 1.0)
    return t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


class Mover:
    """Where one hand is at any time. number: 0 the right one, 1 the left one, which is a right one mirrored."""

    def __init__(self, asset: HandAsset, shape: int, half_view, seed: tuple, number: int = 0, paired: bool = False):
        """half_view (2,): half the picture's width and height at one metre; paired: keep to one half of the picture."""
        self.left = number == 1
        self._asset, self._shape, self._number, self._seed = asset, shape, number, seed
        self._hand = Hand(asset, shape)
        self._half, self._aside = np.asarray(half_view), ASIDE if paired else 0.0
        self._first = AHEAD * number
        self._ends = np.cumsum([self._story(k + 1).seconds + _REST for k in range(len(STORY))])
        self._keys: dict[int, tuple] = {}
        self._leads: dict[int, float] = {}
        sway = self._rng(_SWAY)
        self._rates, self._phases = sway.uniform(2.0, 6.0, 6), sway.uniform(0, 2 * np.pi, 6)

    def at(self, time: float):
        """Joints (21, 3) and vertices (V, 3) in camera mm."""
        fingers, wrist, place, turn = self._state(time)
        joints, vertices = pose_hand(self._asset, self._shape, HandPoseAngles(fingers, wrist))
        roll, pitch, yaw = np.deg2rad(turn)
        view = axis_rotation(_Z, roll) @ axis_rotation(_X, pitch) @ axis_rotation(_Y, yaw) @ _PALM_VIEW
        middle = joints[_PALM].mean(0)
        share = place[:2] - (self._aside, 0.0)
        where = np.append(share * self._half * place[2], place[2]) * MM
        mirror = np.array([-1.0 if self.left else 1.0, 1.0, 1.0])
        return tuple((MM * (points - middle) @ view.T + where) * mirror for points in (joints, vertices))

    def _state(self, time: float):
        """Fingers (5, 4) and wrist (2,) in radians, place (3,) and turn (3,) as in `Key`."""
        turns, within = divmod(time, self._ends[-1])
        step = int(np.searchsorted(self._ends, within, side="right"))
        number = int(turns) * len(STORY) + step
        since = within - (self._ends[step - 1] if step else 0.0)
        time_share, start, end = (since / self._story(number + 1).seconds, self._key(number), self._key(number + 1))
        share = minimum_jerk(time_share)
        wrist, place, turn = (a + share * (b - a) for a, b in zip(start[1:], end[1:]))
        fingers = _between(start[0], end[0], time_share, self._lead(number))
        sway = np.sin(self._rates * time + self._phases)
        return fingers, wrist, place + sway[:3] * (0.02, 0.02, 0.006), turn + 2.0 * sway[3:]

    def _story(self, number: int) -> Key:
        return STORY[(self._first + number) % len(STORY)]

    def _key(self, number: int):
        """Pose number `number` of the way: what `_state` returns, with this clip's own small differences."""
        if number not in self._keys:
            key, rng = self._story(number), self._rng(_KEY, number)
            fingers = draw_gesture(rng, self._hand, key.gesture)
            self._hand.settle(fingers, _OVERLAP)
            wrist = np.clip(rng.normal(0.0, (8.0, 3.0)), WRIST_LOW, WRIST_HIGH)
            place = np.array(key.place) * rng.uniform(0.94, 1.06, 3)
            self._keys[number] = fingers, np.deg2rad(wrist), place, np.array(key.turn) + rng.normal(0, 3.0, 3)
        return self._keys[number]

    def _lead(self, number: int) -> float:
        """Of _LEADS the one with which fingers and thumb overlap least on the way from pose `number` to the next."""
        if number not in self._leads:
            start, end = self._key(number)[0], self._key(number + 1)[0]
            shares = np.linspace(0.1, 0.9, 9)
            deepest = [max(self._hand.overlap(_between(start, end, t, lead)) for t in shares) for lead in _LEADS]
            self._leads[number] = _LEADS[int(np.argmin(deepest))]
        return self._leads[number]

    def _rng(self, *purpose: int):
        return np.random.default_rng([*self._seed, *purpose, self._number])


def _between(start, end, time_share: float, lead: float):
    """Fingers (5, 4) on the way from `start` to `end`, the thumb ahead of the others by `lead` of the time."""
    length = 1.0 - abs(lead)
    thumb = minimum_jerk((time_share - max(0.0, -lead)) / length)
    others = minimum_jerk((time_share - max(0.0, lead)) / length)
    return start + np.array([thumb, others, others, others, others])[:, None] * (end - start)
