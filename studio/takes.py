"""Takes: a person makes a gesture in front of a camera; smooth trajectories sampled ten times a second.

Every take is drawn from (seed, split, number) alone. Gestures of the train and the test split differ, except for
counting; persons and rooms are the same in both, as when one user's recordings are split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FPS = 10.0
TAKE_FRAMES = 25
SPLITS = ("train", "test")

#: Base flexion, middle and last flexion of a finger that is fully bent.
_BENT = np.array([1.35, 0.0, 1.65, 0.95])
#: Deviation of the four fingers when spread beyond the rest pose, index first; positive toward the thumb.
_SPREAD = np.array([0.12, 0.02, -0.06, -0.15])
#: The thumb's angles by name: (base flexion, abduction, middle flexion, last flexion).
_THUMBS = {
    "out": (-0.25, 0.05, -0.05, -0.1), "rest": (0.0, 0.0, 0.1, 0.1), "up": (-0.35, -0.15, -0.1, -0.15),
    "across": (0.35, 0.1, 0.55, 0.75), "fist": (0.25, 0.15, 0.5, 0.6), "pinch": (0.12, 0.2, 0.35, 0.45),
}  # fmt: skip
_PINCHED = (0.75, 0.95, 0.5)
#: name: (thumb; bend of index, middle, ring, little in 0..1, or angles (base, middle, last); spread in -1..1, 0 at rest).
POSES = {
    "open": ("out", (0.0, 0.0, 0.0, 0.0), 1.0),
    "flat": ("rest", (0.0, 0.0, 0.0, 0.0), -0.8),
    "relaxed": ("rest", (0.18, 0.25, 0.3, 0.35), 0.2),
    "fist": ("fist", (0.97, 1.0, 1.0, 0.97), -0.6),
    "one": ("across", (0.02, 0.95, 1.0, 0.95), 0.0),
    "two": ("across", (0.02, 0.02, 0.95, 0.95), 0.7),
    "three": ("across", (0.0, 0.0, 0.03, 0.9), 0.7),
    "four": ("across", (0.0, 0.0, 0.0, 0.02), 0.8),
    "five": ("out", (0.0, 0.0, 0.0, 0.0), 1.0),
    "pinch_index": ("pinch", (_PINCHED, 0.3, 0.25, 0.2), 0.2),
    "pinch_middle": ("pinch", (0.1, _PINCHED, 0.3, 0.25), 0.2),
    "pinch_all": ("pinch", (_PINCHED, _PINCHED, _PINCHED, _PINCHED), 0.0),
    "grab": ("out", (0.45, 0.45, 0.45, 0.45), 0.6),
    "thumb_up": ("up", (0.95, 1.0, 1.0, 0.95), -0.6),
    "ok": ("pinch", (_PINCHED, 0.12, 0.06, 0.02), 0.8),
    "shaka": ("up", (0.95, 1.0, 0.95, 0.05), 0.4),
    "horns": ("across", (0.02, 0.95, 0.95, 0.05), 0.5),
    "gun": ("up", (0.03, 0.08, 0.95, 0.95), 0.0),
    "hook": ("rest", ((0.05, 1.4, 0.8),) * 4, -0.3),
    "claw": ("out", ((0.25, 0.9, 0.5),) * 4, 0.9),
    "ring_down": ("rest", (0.03, 0.08, 0.75, 0.2), 0.4),
}
#: gesture: (poses in order, how far the hand turns about the arm in radians, how far it waves).
GESTURES = {
    "counting": (("fist", "one", "two", "three", "four", "five"), 0.15, 0.0),
    "fist": (("open", "fist"), 0.3, 0.0),
    "pinch": (("relaxed", "pinch_index", "relaxed", "pinch_middle"), 0.3, 0.0),
    "point": (("one", "relaxed", "gun"), 0.5, 0.15),
    "turn": (("open", "flat"), 1.5, 0.0),
    "grab": (("open", "grab", "pinch_all"), 0.4, 0.0),
    "thumb_up": (("thumb_up", "fist"), 0.6, 0.1),
    "random": (tuple(POSES), 0.6, 0.15),
    "ok": (("relaxed", "ok", "open"), 0.5, 0.0),
    "wave": (("open", "flat"), 0.3, 0.5),
    "horns": (("horns", "shaka", "ring_down"), 0.5, 0.1),
    "claw": (("claw", "hook", "open"), 0.5, 0.0),
}
SPLIT_GESTURES = {
    "train": ("counting", "fist", "pinch", "point", "turn", "grab", "thumb_up"),
    "test": ("counting", "random", "ok", "wave", "horns", "claw"),
}


@dataclass(frozen=True)
class Person:
    """scale (3,) of the hand across, along and through the palm; tone: linear RGB of the skin; sleeve: end in metres
    below the wrist (NaN bare) and linear RGB; texture_seed of skin and clothes."""

    scale: tuple[float, float, float]
    tone: tuple[float, float, float]
    sleeve_end: float
    cloth: tuple[float, float, float]
    texture_seed: int


PERSONS = (
    Person((0.90, 0.90, 0.92), (0.62, 0.36, 0.25), 0.055, (0.05, 0.09, 0.22), 11),
    Person((0.83, 0.85, 0.84), (0.34, 0.17, 0.10), float("nan"), (0.35, 0.05, 0.06), 12),
    Person((0.96, 0.93, 0.99), (0.72, 0.47, 0.37), 0.10, (0.42, 0.40, 0.33), 13),
)
NUM_ROOMS = 4


@dataclass(frozen=True)
class TakeFrame:
    """One moment: fingers (5, 4), wrist (2,) radians; rotation (3, 3) hand frame -> camera; position (3,) of the
    middle MCP in the camera frame, metres. Right hand; a left one is its mirror image at the plane x = 0."""

    fingers: np.ndarray
    wrist: np.ndarray
    rotation: np.ndarray
    position: np.ndarray


@dataclass(frozen=True)
class Take:
    """A take: who, where, which hand, which gesture, and its frames in time order."""

    split: str
    number: int
    person: int
    room: int
    gesture: str
    handedness: str
    frames: tuple[TakeFrame, ...]


def draw_take(seed: int, split: str, number: int, count: int = TAKE_FRAMES) -> Take:
    """Take `number` of a split with `count` frames; the same arguments give the same take."""
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    gestures = SPLIT_GESTURES[split]
    gesture = gestures[number % len(gestures)]
    person, room = (number + number // 12) % len(PERSONS), number % NUM_ROOMS
    handedness = "left" if (number // 2 + number // 7) % 2 else "right"
    poses, turn, wave = GESTURES[gesture]
    times = np.arange(count) / FPS
    fingers = _finger_angles(rng, poses, times)
    wrist = np.stack([_drift(rng, times, 0.16), _drift(rng, times, 0.12)], 1) + rng.normal(0, [0.18, 0.1])
    rotation = _rotations(rng, times, turn, wave)
    position = _positions(rng, times)
    frames = tuple(TakeFrame(*row) for row in zip(fingers, wrist, rotation, position))
    return Take(split, number, person, room, gesture, handedness, frames)


def pose_angles(name: str) -> np.ndarray:
    """Finger angles (5, 4) of a named pose."""
    thumb, bends, spread = POSES[name]
    angles = np.zeros((5, 4))
    angles[0] = _THUMBS[thumb]
    for finger, bend in enumerate(bends):
        if np.ndim(bend):
            angles[1 + finger, [0, 2, 3]] = bend
        else:
            angles[1 + finger] = bend * _BENT
        angles[1 + finger, 1] = spread * _SPREAD[finger]
    return angles


def _finger_angles(rng: np.random.Generator, poses: tuple[str, ...], times: np.ndarray) -> np.ndarray:
    """Angles (N, 5, 4): held poses joined by smooth moves, each finger a little early or late, never quite still."""
    order = list(poses) if len(poses) < 10 else list(rng.permutation(poses))
    holds, moves = rng.uniform(0.15, 0.5, 64), rng.uniform(0.3, 0.7, 64)
    keys = [
        pose_angles(order[i % len(order)]) * rng.uniform(0.85, 1.1) + rng.normal(0, 0.05, (5, 4)) for i in range(65)
    ]
    starts = np.cumsum(holds + moves) - moves - rng.uniform(0, 0.5)
    lag = rng.normal(0, 0.06, 5)
    angles = np.repeat(keys[0][None], len(times), 0)
    for move in range(64):
        share = _smooth((times[:, None] + lag - starts[move]) / moves[move])
        angles += share[..., None] * (keys[move + 1] - keys[move])
    noise = np.stack([_drift(rng, times, 0.04) for _ in range(20)], 1).reshape(-1, 5, 4)
    return angles + noise


def _smooth(t: np.ndarray) -> np.ndarray:
    """Minimum-jerk step from 0 to 1."""
    t = np.clip(t, 0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


def _drift(rng: np.random.Generator, times: np.ndarray, size: float) -> np.ndarray:
    """Slow random motion (N,) of standard deviation `size` about 0."""
    frequency, phase = rng.uniform(0.05, 0.7, 4), rng.uniform(0, 2 * np.pi, 4)
    return size * np.sqrt(0.5) * np.sin(2 * np.pi * frequency * times[:, None] + phase).sum(1)


def turn_matrix(axis: int, angle: float) -> np.ndarray:
    """Rotation (3, 3) about a coordinate axis."""
    c, s = np.cos(angle), np.sin(angle)
    out = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def _rotations(rng: np.random.Generator, times: np.ndarray, turn: float, wave: float) -> np.ndarray:
    """Hand frame -> camera (N, 3, 3): a raised hand, palm or back to the camera, that turns about its arm and waves."""
    side = 0.0 if rng.random() < 0.65 else np.pi
    yaw, pitch, roll = rng.normal(0, 0.35), rng.normal(0.1, 0.35), rng.normal(0, 0.3)
    speed, phase = rng.uniform(0.1, 0.25), rng.uniform(0, 2 * np.pi)
    yaws = side + yaw + turn * np.sin(2 * np.pi * speed * times + phase) + _drift(rng, times, 0.1)
    pitches = pitch + _drift(rng, times, 0.15)
    rolls = roll + wave * np.sin(2 * np.pi * rng.uniform(0.6, 1.1) * times) + _drift(rng, times, 0.08)
    facing = np.diag([1.0, -1.0, -1.0])
    return np.stack(
        [turn_matrix(2, r) @ turn_matrix(0, p) @ turn_matrix(1, y) @ facing for y, p, r in zip(yaws, pitches, rolls)]
    )


def _positions(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Position (N, 3) of the middle MCP in the camera frame, metres."""
    start = np.array([rng.uniform(-0.12, 0.12), rng.uniform(-0.08, 0.1), rng.uniform(0.42, 0.6)])
    moves = np.stack([_drift(rng, times, size) for size in (0.012, 0.012, 0.02)], 1)
    return start + moves
