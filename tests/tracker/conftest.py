"""A world with planted hands, and a detector, a landmark model and two kinds of network that see them.

Every pixel of the world's picture holds its own coordinates, so that the fake network finds out from a crop alone
where that crop lies, mirrored and turned as it may be, and answers with the planted joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from semihand.models.camera import crop_camera, default_intrinsics
from semihand.models.joints import BONES, NUM_JOINTS, PRIOR_BONE_LENGTHS, UNIT_BONE_METRES
from semihand.models.lifting import project, relative_depth
from semihand.models.model_file import OUTPUT_NAMES, VERDICT_NAMES
from semihand.tracker import open as opening
from semihand.tracker.palm import box_from_landmarks
from semihand.tracker.types import Frame

SIZE, FPS = (640, 480), 30.0
#: Three places, as wrist and the MCPs of index and little finger, that turn one way round in an unmirrored crop.
_CORNERS = np.zeros((21, 2))
_CORNERS[5], _CORNERS[17] = (100.0, 0.0), (0.0, 100.0)


def open_hand(x: float, y: float, z: float, side: str = "right") -> np.ndarray:
    """Joints (21, 3) in metres of an open hand, palm to the camera, wrist at (x, y, z)."""
    directions = np.deg2rad([60, 15, 0, -15, -30]) if side == "right" else np.deg2rad([-60, -15, 0, 15, 30])
    joints = np.zeros((NUM_JOINTS, 3))
    for (parent, child), length in zip(BONES, PRIOR_BONE_LENGTHS):
        angle = directions[(child - 1) // 4]
        step = np.array([np.sin(angle), -np.cos(angle), 0.15 * ((child - 1) % 4)])
        joints[child] = joints[parent] + length * UNIT_BONE_METRES * step / np.linalg.norm(step)
    return joints + (x, y, z)


@dataclass
class Planted:
    """One hand of the world. sure: the network's confidence; presence, and vote for its side with its probability: the
    landmark model's, or those of a network that has verdicts."""

    xyz: np.ndarray
    side: str = "right"
    sure: float = 0.9
    presence: float = 0.99
    vote: tuple[str, float] | None = None
    shown: bool = True

    @property
    def right(self) -> float:
        """Probability of a right hand by its vote."""
        side, sure = self.vote or (self.side, 0.98)
        return sure if side == "right" else 1 - sure

    @property
    def uv(self) -> np.ndarray:
        return project(self.xyz, default_intrinsics(*SIZE))

    @property
    def xyz_virtual(self) -> np.ndarray:
        """In the frame of a camera that looks at the hand's middle, as the crop's does to a pixel or so."""
        center = (self.uv.min(axis=0) + self.uv.max(axis=0)) / 2
        return crop_camera(default_intrinsics(*SIZE), center, 100.0).xyz_to_virtual(self.xyz)


class World:
    """Hands by name, the picture that tells positions, and the three models. `calls` counts their runs.

    verdicts: the network itself says whether it sees a hand, and which; `calls["network"]` counts its looks, too.
    """

    def __init__(self, verdicts: bool = False) -> None:
        self.verdicts = verdicts
        self.outputs = OUTPUT_NAMES + (VERDICT_NAMES if verdicts else ())
        self.hands: dict[str, Planted] = {}
        self.calls = {"detect": 0, "landmark": 0, "network": 0}
        self.extra_boxes: list = []
        self.blind = False
        self.views: list = []
        self.index = 0
        u, v = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
        full = np.full(u.shape, 255)
        self.image = np.dstack([full, np.rint(v / SIZE[1] * 255), np.rint(u / SIZE[0] * 255)]).astype(np.uint8)
        self.info = SimpleNamespace(
            name="planted", input_size=128, crop_factor=1.25 if verdicts else 1.6, bone_lengths=PRIOR_BONE_LENGTHS
        )
        self.sha256, self.provider = "0" * 64, "cpu"

    @property
    def shown(self) -> list[Planted]:
        return [hand for hand in self.hands.values() if hand.shown]

    def frame(self) -> Frame:
        """The next frame, 1/30 s after the last."""
        self.index += 1
        return Frame(self.image, (self.index - 1) / FPS, self.index - 1)

    # -- the detector
    def detect(self, image_bgr, max_hands=2, views=()):
        self.calls["detect"] += 1
        self.views.append(views)
        if self.blind:
            return []
        return [box_from_landmarks(hand.uv, score=0.9) for hand in self.shown][:max_hands] + self.extra_boxes

    # -- the landmark model
    def __call__(self, image_bgr, box):
        self.calls["landmark"] += 1
        near = [hand for hand in self.shown if np.hypot(*(hand.uv.mean(axis=0) - box.center)) < box.side / 2]
        if not near:
            return SimpleNamespace(uv_image=np.zeros((21, 2)), presence=0.01, handedness="left", handedness_score=0.5)
        hand = min(near, key=lambda one: np.hypot(*(one.uv.mean(axis=0) - box.center)))
        side, sure = hand.vote or (hand.side, 0.98)
        return SimpleNamespace(uv_image=hand.uv, presence=hand.presence, handedness=side, handedness_score=sure)

    # -- the network
    def run(self, crops):
        self.calls["network"] += 1
        answers = [self._see(crop)[: len(self.outputs)] for crop in crops]
        return tuple(np.stack(values).astype(np.float32) for values in zip(*answers))

    def _see(self, crop):
        to_grid = _grid_map(crop)
        best, best_uv, best_distance = None, None, 24.0
        for hand in self.shown:
            uv = to_grid(hand.uv)
            distance = np.hypot(*(uv.mean(axis=0) - 31.5))
            if distance < best_distance:
                best, best_uv, best_distance = hand, uv, distance
        if best is None:
            return np.full((21, 2), 31.5), np.zeros(21), np.zeros((64, 64)), np.full(21, 0.02), 0.01, 0.5
        mask = np.zeros((64, 64))
        low, high = np.clip([best_uv.min(axis=0), best_uv.max(axis=0) + 1], 0, 64).astype(int)
        mask[low[1] : high[1], low[0] : high[0]] = 1
        # The mirrored crop turns the hand's orientation over: a right hand must come unmirrored, a left one mirrored.
        straight = (_turn(best_uv) > 0) == (_turn(open_hand(0, 0, 1)[:, :2]) > 0)
        sure = best.sure if straight else 0.5 * best.sure
        return (
            np.clip(best_uv, 0, 63),
            relative_depth(best.xyz_virtual, UNIT_BONE_METRES),
            mask,
            np.full(21, sure),
            best.presence,
            best.right if _turn(to_grid(_CORNERS)) > 0 else 1 - best.right,
        )


def _turn(uv: np.ndarray) -> float:
    """Sign of the turn from the wrist's index side to its little finger's."""
    a, b = uv[5] - uv[0], uv[17] - uv[0]
    return a[0] * b[1] - a[1] * b[0]


def _grid_map(crop: np.ndarray):
    """Picture pixels -> 64-grid of a crop (S, S, 3) RGB of the world's picture, fitted to what the pixels say."""
    size = crop.shape[0]
    rows, columns = (axis.ravel() for axis in np.mgrid[4:size:12, 4:size:12])
    red, green = (crop[rows, columns, channel].astype(float) / 255 for channel in (0, 1))
    inside = (red > 0.01) & (red < 0.99) & (green > 0.01) & (green < 0.99)
    terms = _terms(red[inside], green[inside])
    grid = (np.stack([columns[inside], rows[inside]], axis=-1) + 0.5) * 64 / size - 0.5
    coefficients, *_ = np.linalg.lstsq(terms, grid, rcond=None)
    return lambda uv: _terms(*(uv / SIZE).T) @ coefficients


def _terms(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


@pytest.fixture
def world(request) -> World:
    """An empty world; its network has verdicts where the parameter is true, else it needs the landmark model."""
    return World(getattr(request, "param", False))


@pytest.fixture
def models(world, monkeypatch):
    """The world's hands instead of released models."""
    monkeypatch.setattr(opening, "open_networks", lambda *_: opening.Networks(world, world, world))
    return world


@pytest.fixture
def plant(world):
    """plant(name, x, y, z=0.5, side="right", **more): put a hand into the world, or move it there."""

    def put(name: str, x: float, y: float, z: float = 0.5, side: str = "right", **more) -> Planted:
        hand = Planted(open_hand(x, y, z, side), side, **more)
        world.hands[name] = hand
        return hand

    return put
