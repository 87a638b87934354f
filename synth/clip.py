"""A short animated clip with known truth: one or two hands of one person move and gesture before a webcam.

Every frame is a function of the seed and its number alone, so a clip has no end of its own and can start anywhere.
Lengths are metres in what this module hands out, millimetres where it draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ..models.camera import default_intrinsics
from . import background, materials, shade
from .canvas import MM, SHADOW_CELLS, SUPERSAMPLE, WRIST_END_MM, Canvas, Geometry, Mesh, hand_surface, join
from .hand import load_hand
from .motion import Mover

#: What each random generator of a clip is for, beside its seed.
_BODY, _LOOK, _LIGHT, _ROOM, _NOISE, _MOTION = range(6)
_GAMMA = 1 / 2.2


@dataclass(frozen=True)
class ClipConfig:
    """What to render. hands: 1 (a right one) or 2; view_degrees: the camera's view from left to right;

    noise: standard deviation of the sensor's, in grey levels.
    """

    frames: int = 150
    hands: int = 1
    width: int = 640
    height: int = 480
    fps: float = 30.0
    view_degrees: float = 60.0
    seed: int = 18
    noise: float = 2.0

    def __post_init__(self):
        if self.frames < 1 or self.hands not in (1, 2) or self.fps <= 0 or not 20 <= self.view_degrees <= 120:
            raise ValueError(f"A clip needs frames, 1 or 2 hands, a rate, and a view of 20 to 120 degrees, not {self}.")
        if min(self.width, self.height) < 64 or self.noise < 0:
            raise ValueError(f"A clip needs pictures of at least 64 x 64 and noise of at least 0, not {self}.")


@dataclass(frozen=True)
class HandTruth:
    """One hand of a frame. handedness: "left" | "right", the person's real hand.

    uv (21, 2) pixels, centres at integers; xyz (21, 3) metres in the camera's frame, x right, y down, z forward;
    mask (H, W) uint8, 255 where the hand is seen, soft edges.
    """

    handedness: str
    uv: np.ndarray
    xyz: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class ClipFrame:
    """image (H, W, 3) uint8 BGR at `time` seconds, and its hands: the right one first."""

    image: np.ndarray
    time: float
    index: int
    hands: tuple[HandTruth, ...]


class Clip:
    """Renders a clip's frames; iterate it, or ask for any one with `frame`.

    K (3, 3): the camera's intrinsics; movers: where each hand is at any time, the right one first.
    """

    def __init__(self, config: ClipConfig = ClipConfig()):
        self.config = config
        focal = 0.5 * config.width / np.tan(np.deg2rad(config.view_degrees) / 2)
        self.K = default_intrinsics(config.width, config.height, focal)
        self._asset = load_hand()
        shape = int(self._rng(_BODY).integers(len(self._asset.vertices)))
        self._rest, self._surface = self._asset.rest * MM, hand_surface(self._asset)
        half = 0.5 * np.array([config.width, config.height]) / focal
        self.movers = [
            Mover(self._asset, shape, half, (config.seed, _MOTION), number, config.hands > 1)
            for number in range(config.hands)
        ]
        self._look = _bare_look(self._rng(_LOOK))
        room = self._rng(_ROOM)
        self._offset, self._cloth_mm = room.uniform(1000, 2000, 6), room.uniform(2.0, 6.0)
        self._noise = self._rng(_NOISE).standard_normal((config.height + 64, config.width + 64, 3), np.float32)

    def __len__(self) -> int:
        return self.config.frames

    def __iter__(self) -> Iterator[ClipFrame]:
        return (self.frame(index) for index in range(len(self)))

    def frame(self, index: int) -> ClipFrame:
        """Frame number `index`, which may lie beyond the clip's end."""
        time = index / self.config.fps
        joints, canvas, solid, region = self._draw(time)
        shade.encode(canvas.rgb, canvas.coverage, self._exposure, _GAMMA)
        masks = [_shrunk(seen, region) for seen in self._seen(canvas, solid)]
        hands = tuple(self._truth(number, xyz, masks[number], region) for number, xyz in enumerate(joints))
        return ClipFrame(self._compose(canvas, region, index), time, index, hands)

    def _rng(self, *purpose: int):
        return np.random.default_rng([self.config.seed, *purpose])

    def _draw(self, time: float):
        """Joints (21, 3) mm of each hand, the drawn canvas, what was drawn, and which part of the picture it covers."""
        joints, meshes = [], []
        for number, mover in enumerate(self.movers):
            points, vertices = mover.at(time)
            triangles = self._asset.triangles[:, ::-1] if mover.left else self._asset.triangles
            joints.append(points)
            meshes.append(Mesh(vertices, np.ascontiguousarray(triangles), self._rest, self._surface, number))
        solid = join(meshes)
        solid.puff_sleeve(self._look.sleeve_end, self._cloth_mm, len(solid.rest))
        region = self._region(solid.vertices)
        left, top, right, bottom = region
        canvas = Canvas(int((bottom - top) * SUPERSAMPLE), int((right - left) * SUPERSAMPLE))
        center = (self.K[:2, 2] + 0.5 - (left, top)) * SUPERSAMPLE
        light = materials.draw_light(self._rng(_LIGHT), solid.vertices, SHADOW_CELLS)  # the same lamps in every frame
        canvas.draw(solid, self.K[0, 0] * SUPERSAMPLE, center, self._look, light, self._offset)
        return joints, canvas, solid, region

    def _region(self, vertices):
        """[left, top, right, bottom] of the pixels that hands and arms cover, even, so that raster pixels fit."""
        size = np.array([self.config.width, self.config.height]) // 2 * 2
        at = vertices[:, :2] / vertices[:, 2:] * self.K[0, 0] + self.K[:2, 2]
        low = np.clip(np.floor(at.min(0) / 2) * 2 - 2, 0, size - 2)
        high = np.clip(np.ceil(at.max(0) / 2) * 2 + 4, low + 2, size)
        return (*low.astype(int).tolist(), *high.astype(int).tolist())

    def _seen(self, canvas: Canvas, solid: Geometry):
        """(H, W) float32, 0 or 1, of each hand: raster pixels that show its skin, without arm and sleeve."""
        end, height = max(WRIST_END_MM, self._look.sleeve_end), solid.rest[solid.triangles, 1]
        part = np.append(np.where(height.max(1) >= end, solid.parts, -1), -1)  # triangle -1: nothing
        shown = part[canvas.triangle_id]
        # Triangles across the wrist's line: only the share of them on the hand's side.
        across = np.append((height.min(1) < end) & (height.max(1) >= end), False)
        cut = np.nonzero(across[canvas.triangle_id])
        corner, weight = height[canvas.triangle_id[cut]], canvas.weights[cut]
        at = corner[:, 0] + (weight * (corner[:, 1:] - corner[:, :1])).sum(1)
        shown[cut] = np.where(at >= end, shown[cut], -1)
        return [(shown == number).astype(np.float32) for number in range(self.config.hands)]

    @cached_property
    def _exposure(self) -> float:
        """The camera's gain, set at the first frame and kept."""
        _, canvas, _, _ = self._draw(0.0)
        bright = shade.brightness(canvas.rgb, canvas.coverage)
        return 0.2 + 0.7 / max(0.25, bright) * (0.35 + 0.65 * max(self._look.skin) ** 0.5)

    @cached_property
    def _background(self):
        """(H, W, 3) float32 RGB in 0..255, out of focus a little."""
        room = background.paint(self._rng(_ROOM, 1)).astype(np.float32)
        room = cv2.resize(room, (self.config.width, self.config.height), interpolation=cv2.INTER_CUBIC)
        return cv2.GaussianBlur(room, (0, 0), 2.0)

    def _compose(self, canvas: Canvas, region, index: int):
        """The lit hands before the room, with the sensor's noise: (H, W, 3) uint8 BGR."""
        left, top, right, bottom = region
        image = self._background.copy()
        part = image[top:bottom, left:right]
        part *= 1.0 - _shrunk(canvas.coverage, region)[..., None]
        part += _shrunk(canvas.rgb, region)
        image = cv2.GaussianBlur(image, (0, 0), 0.5)
        y, x = self._rng(_NOISE, index).integers(64, size=2)
        image += self.config.noise * self._noise[y : y + image.shape[0], x : x + image.shape[1]]
        return cv2.cvtColor(np.clip(image + 0.5, 0, 255).astype(np.uint8), cv2.COLOR_RGB2BGR)

    def _truth(self, number: int, joints_mm, seen, region) -> HandTruth:
        left, top, right, bottom = region
        mask = np.zeros((self.config.height, self.config.width), np.uint8)
        mask[top:bottom, left:right] = (255 * seen + 0.5).astype(np.uint8)
        uv = joints_mm[:, :2] / joints_mm[:, 2:] * self.K[0, 0] + self.K[:2, 2]
        side = "left" if self.movers[number].left else "right"
        return HandTruth(side, uv, joints_mm / MM, mask)


def _bare_look(rng) -> shade.Look:
    """A drawn look without gloves and tattoos, which would hide what the clip is to show."""
    look = materials.draw_look(rng, 0)
    return look._replace(glove=(*look.glove[:4], -9.0), tattoo=(*look.tattoo[:3], 9.0, look.tattoo[4]))


def _shrunk(raster, region):
    """Raster pixels (h, w, ...) averaged into the picture's pixels of a region."""
    left, top, right, bottom = region
    return cv2.resize(raster, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
