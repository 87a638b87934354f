"""Sampler of hand poses: gestures, transitions between them, contacts of the thumb, grips and random poses.

Tables are in degrees with the signs of `hand`, but measured as anatomists do: a finger's 0 is straight on in the palm's
plane (its deviation: as at rest), a thumb's 0 is the rest pose. The sampler returns radians relative to the rest pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .contact import penetration, reach, settle
from .hand import HandPoseAngles, forward_kinematics, rest_flexion

#: Anatomical limits in degrees, (5, 4) thumb first and (2,) wrist; no sampled pose leaves them.
LOW = np.array([[-35, -55, -36, -42]] + [[-25, -26, -16, -20]] * 4, np.float64)
HIGH = np.array([[45, 48, 60, 80]] + [[98, 26, 118, 90]] * 4, np.float64)
WRIST_LOW, WRIST_HIGH = np.array([-60.0, -30.0]), np.array([65.0, 20.0])

#: Deviation in degrees that lays the four fingers, which are spread at rest, side by side.
CLOSING = np.array([14.0, -2.0, -9.0, -20.0])
#: Deviation in degrees by which fully bent fingers lean together in a fist.
FIST_LEAN = np.array([5.0, 0.0, 2.0, 5.0])

#: Finger states in degrees: MCP low, high, PIP low, high.
FINGER_STATES = {
    "straight": (-12, 28, -9, 14),
    "curled": (45, 96, 80, 116),
    "clenched": (66, 97, 92, 117),
    "half": (15, 62, 25, 85),
    "hook": (-2, 37, 70, 112),
    "table": (50, 98, 0, 25),
    "grip": (35, 75, 45, 90),
    "any": (-8, 98, -9, 114),
}
#: Thumb states in degrees: low and high of the four angles.
THUMB_STATES = {
    "out": ((-32, -50, -30, -36), (5, 10, 5, 12)),
    "across": ((10, -10, -10, -15), (40, 35, 45, 55)),
    "beside": ((0, -52, -25, -25), (35, -15, 20, 30)),
    "opposed": ((5, 0, -22, -18), (40, 45, 35, 50)),
    "any": ((-28, -50, -30, -36), (42, 40, 50, 68)),
}


@dataclass(frozen=True)
class Gesture:
    """A frequent hand shape: states of index to little finger, of the thumb (one is drawn), and how often.

    spread: range of the multiple of -CLOSING (-1 fingers side by side, 0 as at rest, 1 widely spread).
    touch: where the thumb's pad may rest, as (finger, phalanx, low share, high share, low and high direction degrees);
    the finger moves too if `meet`.
    """

    weight: float
    fingers: tuple[str, str, str, str]
    thumb: tuple[str, ...] = ("any",)
    spread: tuple[float, float] = (-1.2, 0.5)
    touch: tuple[tuple[int, int, float, float, float, float], ...] = ()
    meet: bool = False


def _fingers(index, middle=None, ring=None, little=None):
    return (index, middle or index, ring or middle or index, little or ring or middle or index)


_PADS = tuple((finger, 2, 0.55, 0.95, -25.0, 25.0) for finger in (1, 2, 3, 4))
_TUCKED = ((1, 1, 0.3, 1.0, 130.0, 190.0), (2, 1, 0.2, 1.0, 150.0, 200.0), (2, 2, 0.0, 0.5, 150.0, 200.0))

GESTURES = {
    "open": Gesture(8, _fingers("straight"), ("out", "beside", "any")),
    "spread": Gesture(6, _fingers("straight"), ("out", "any"), spread=(0.2, 1.1)),
    "fist": Gesture(6, _fingers("clenched"), ("across",), touch=_TUCKED),
    "fist_loose": Gesture(3, _fingers("curled"), ("across", "beside", "any")),
    "point": Gesture(4, _fingers("straight", "clenched"), ("across",), touch=_TUCKED[1:]),
    "point_beside": Gesture(4, _fingers("straight", "clenched"), ("beside", "out")),
    "point_loose": Gesture(4, _fingers("straight", "half"), ("beside", "out", "any")),
    "fist_beside": Gesture(3, _fingers("clenched"), ("beside",)),
    "point_open": Gesture(3, _fingers("straight", "curled"), ("beside", "out", "any")),
    "peace": Gesture(
        6, _fingers("straight", "straight", "clenched"), ("across",), (-1.0, 1.1), ((3, 1, 0.0, 0.9, 130, 200),)
    ),
    "peace_open": Gesture(2, _fingers("straight", "straight", "curled"), ("across", "any"), (-1.0, 1.1)),
    "three": Gesture(3, _fingers("straight", "straight", "straight", "curled"), ("across", "any"), (-1.0, 1.0)),
    "three_little": Gesture(1.5, _fingers("curled", "straight"), ("across", "any"), (-1.0, 1.0)),
    "thumb_two": Gesture(2, _fingers("straight", "straight", "curled"), ("out",), (-1.0, 1.0)),
    "four": Gesture(4, _fingers("straight"), ("across",), (-1.1, 1.0)),
    "thumb_up": Gesture(5, _fingers("clenched"), ("out",)),
    "rock": Gesture(3, _fingers("straight", "curled", "curled", "straight"), ("across", "out"), (-0.5, 1.0)),
    "call": Gesture(3, _fingers("clenched", "clenched", "clenched", "straight"), ("out",), (-0.5, 1.0)),
    "little": Gesture(2.5, _fingers("curled", "curled", "curled", "straight"), ("across", "any"), (-0.5, 1.0)),
    "ell": Gesture(6, _fingers("straight", "clenched"), ("out",)),
    "ell_loose": Gesture(3, _fingers("straight", "curled"), ("out", "any")),
    "cee": Gesture(3, _fingers("half", "curled"), ("out", "opposed")),
    "relaxed": Gesture(9, _fingers("half"), ("any", "beside")),
    "claw": Gesture(3, _fingers("hook"), ("any", "out"), (-0.6, 1.0)),
    "table": Gesture(3, _fingers("table"), ("any", "across", "beside")),
    "grip": Gesture(4, _fingers("grip"), ("opposed",), (-1.0, 0.3)),
    "ball": Gesture(3, _fingers("half"), ("opposed",), (0.2, 1.1)),
    "key": Gesture(2, _fingers("grip", "clenched"), ("beside",), touch=((1, 1, 0.3, 1.0, 60, 110),)),
    "pinch": Gesture(7, _fingers("half", "any"), ("opposed",), touch=_PADS[:1], meet=True),
    "ok": Gesture(4, _fingers("half", "straight"), ("opposed",), (-0.8, 1.0), _PADS[:1], True),
    "tips": Gesture(6, _fingers("half", "half"), ("opposed",), (-0.6, 0.6), _PADS[1:], True),
    "tips_open": Gesture(3, _fingers("straight"), ("opposed",), (-0.8, 0.8), _PADS[1:], True),
    "pen": Gesture(2, _fingers("grip"), ("opposed",), (-1.1, -0.4), _PADS[:2], True),
    "purse": Gesture(2, _fingers("half"), ("opposed",), (-1.2, -0.6), _PADS[1:2], True),
    "thumb_inside": Gesture(
        1, _fingers("curled"), ("across",), touch=((3, 0, 0.2, 1.0, -20, 40), (4, 0, 0.0, 0.8, -20, 60))
    ),
}
_NAMES = tuple(GESTURES)
_WEIGHTS = np.cumsum([g.weight for g in GESTURES.values()]) / sum(g.weight for g in GESTURES.values())


@dataclass(frozen=True)
class PoseConfig:
    """What is sampled. Shares of the kinds of pose (the rest are gestures), and how far flesh may overlap.

    overlap: accepted overlap over the unit bone's length (a tenth is 4.5 mm of a grown-up); fingers are moved apart, and
    drawn again up to `tries` times. wrist: standard deviations in degrees of flexion and deviation.
    """

    transition: float = 0.22
    independent: float = 0.12
    mixed: float = 0.08
    crossed: float = 0.008
    overlap: float = 0.10
    tries: int = 6
    wrist: tuple[float, float] = (20.0, 9.0)

    def __post_init__(self):
        shares = (self.transition, self.independent, self.mixed, self.crossed)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"The shares of the kinds of pose must lie in 0..1 together, not {shares}")


def sample_pose(rng, asset, shape, config=PoseConfig()):
    """Draw one pose for body shape `shape`: HandPoseAngles in radians, inside LOW and HIGH."""
    hand = Hand(asset, shape)
    draw = _draw_kind(rng, config)
    best, least = None, np.inf
    for _ in range(config.tries):
        angles = draw(rng, hand)
        overlap = hand.settle(angles, config.overlap)
        if overlap < least:
            best, least = angles, overlap
        if least <= config.overlap * 1.05:
            break
    wrist = np.clip(rng.normal(0.0, config.wrist), WRIST_LOW, WRIST_HIGH)
    return HandPoseAngles(best, np.deg2rad(wrist))


class Hand:
    """Rest joints, axes and thickness of one body shape, as the contact functions want them."""

    def __init__(self, asset, shape):
        self.joints = asset.joints[shape].astype(np.float64)
        self.axes = asset.axes[shape].astype(np.float64)
        self.radius = asset.bone_radius[shape].astype(np.float64)
        self.unit = float(np.linalg.norm(self.joints[10] - self.joints[9]))
        self.rest = rest_flexion(self.joints)
        self.low, self.high = np.deg2rad(LOW) - self.rest, np.deg2rad(HIGH) - self.rest

    def limit(self, degrees):
        """Table degrees (5, 4) to radians relative to the rest pose, inside the limits."""
        return np.clip(np.deg2rad(degrees) - self.rest, self.low, self.high)

    def overlap(self, angles):
        """Deepest overlap of angles (5, 4) in unit bones."""
        posed, _ = forward_kinematics(self.joints, self.axes, angles, np.zeros(2))
        return penetration(posed, self.radius) / self.unit

    def settle(self, angles, allowed):
        """Move the fingers apart in place where they overlap by more than `allowed`; returns the overlap left."""
        overlap = self.overlap(angles)
        if overlap <= allowed:
            return overlap
        settle(self.joints, self.axes, self.radius, angles, self.low, self.high, 0.9 * allowed * self.unit)
        return self.overlap(angles)

    def touch(self, angles, where, move_finger):
        """Bring the thumb's pad to a point of a finger in place; see `contact.reach`."""
        reach(self.joints, self.axes, self.radius, angles, self.low, self.high, where, move_finger)


def _draw_kind(rng, config):
    """A function (rng, hand) -> angles (5, 4) in radians, of a kind drawn by the shares; it keeps its gesture."""
    shares = (config.transition, config.independent, config.mixed, config.crossed)
    kind = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
    if kind == 0:
        return _transition(rng)
    if kind < 4:
        return (None, _independent, _mixed, _crossed)[kind]
    name = _draw_name(rng)
    return lambda rng, hand: draw_gesture(rng, hand, name)


def _draw_name(rng):
    return _NAMES[int(np.searchsorted(_WEIGHTS, rng.random()))]


def _transition(rng):
    """Somewhere on the straight way between two gestures."""
    names, share = (_draw_name(rng), _draw_name(rng)), rng.random()

    def draw(rng, hand):
        first, second = (draw_gesture(rng, hand, name) for name in names)
        return first + share * (second - first)

    return draw


def draw_gesture(rng, hand, name):
    """Angles (5, 4) in radians of one gesture of GESTURES."""
    gesture = GESTURES[name]
    angles = np.zeros((5, 4))
    angles[0] = _thumb(rng, gesture.thumb[rng.integers(len(gesture.thumb))])
    common, alike = rng.random(4), rng.uniform(0.4, 0.97)
    for k, state in enumerate(gesture.fingers):
        angles[1 + k] = _finger(rng, state, common, alike)
    _spread(rng, angles, rng.uniform(*gesture.spread))
    angles = hand.limit(angles)
    if gesture.touch:
        finger, part, low, high, left, right = gesture.touch[rng.integers(len(gesture.touch))]
        where = np.array([finger, part, rng.uniform(low, high), np.deg2rad(rng.uniform(left, right))])
        hand.touch(angles, where, gesture.meet)
    return angles


def _finger(rng, state, common=0.5, alike=0.0):
    """MCP, 0, PIP, DIP in degrees; the last joint follows the middle one, as its tendon does.

    common (4,) in 0..1 is what the fingers of one hand share, and `alike` how much they share it.
    """
    mcp_low, mcp_high, pip_low, pip_high = FINGER_STATES[state]
    u = alike * common + (1.0 - alike) * rng.random(4)
    pip = pip_low + (pip_high - pip_low) * u[1]
    dip = pip * (0.35 + 0.45 * u[2]) - 13.0 + 23.0 * u[3]
    return mcp_low + (mcp_high - mcp_low) * u[0], 0.0, pip, dip


def _thumb(rng, state):
    low, high = THUMB_STATES[state]
    return rng.uniform(low, high)


def _spread(rng, angles, spread):
    """Set the fingers' deviations (degrees, in place): free when straight, leaning together when bent."""
    bent = np.clip(angles[1:, 0] / 70.0, 0.0, 1.0)
    free = -spread * CLOSING + rng.normal(0.0, 3.5, 4)
    angles[1:, 1] = free * (1.0 - bent) + FIST_LEAN * bent


def _independent(rng, hand):
    """Every finger by itself: any angle, or any state; neighbours pull a little on each other."""
    names = tuple(FINGER_STATES)
    angles = np.zeros((5, 4))
    angles[0] = _thumb(rng, "any")
    free = rng.random() < 0.5
    for k in range(4):
        angles[1 + k] = _finger(rng, "any" if free else names[rng.integers(len(names))])
    pull = 0.2 * (angles[1:4] - angles[2:5])
    angles[1:4] -= pull
    angles[2:5] += pull
    _spread(rng, angles, rng.uniform(-1.1, 0.8))
    return hand.limit(angles)


def _mixed(rng, hand):
    """All fingers alike, with a little of their own."""
    names = tuple(FINGER_STATES)
    angles = np.zeros((5, 4))
    angles[0] = _thumb(rng, "any")
    angles[1:] = _finger(rng, names[rng.integers(len(names))]) + rng.normal(0.0, 9.0, (4, 4))
    _spread(rng, angles, rng.uniform(-1.1, 0.8))
    return hand.limit(angles)


def _crossed(rng, hand):
    """The middle finger laid over the index finger."""
    angles = np.zeros((5, 4))
    angles[0] = _thumb(rng, "across")
    angles[1:] = [_finger(rng, state) for state in ("straight", "straight", "curled", "curled")]
    _spread(rng, angles, -0.5)
    angles[1] = (rng.uniform(30, 40), 15.0, 20.0, 12.0)
    angles[2] = (rng.uniform(4, 16), -18.0, rng.uniform(30, 45), rng.uniform(12, 22))
    return hand.limit(angles)
