"""Rooms of the second world: walls, furniture, a person behind the hand, lamps; as plain data for the renderer.

World and camera frame are the same: x right, y down, z forward, metres, camera at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

PICTURE = 160


@dataclass(frozen=True)
class Lamp:
    """A rectangle of light: center and target (3,) metres, half sizes (2,), radiance linear RGB."""

    center: tuple[float, float, float]
    target: tuple[float, float, float]
    half: tuple[float, float]
    radiance: tuple[float, float, float]


@dataclass(frozen=True)
class Webcam:
    """focal: pixels of a picture of 240 (the whole frame is twice as wide). aperture: lens radius in metres; focus:
    distance in metres. gain: shot noise in units of full scale at white. balance: RGB error. exposure: mean grey."""

    focal: float
    aperture: float
    focus: float
    gain: float
    balance: tuple[float, float, float]
    exposure: float
    vignette: float
    sharpen: float
    jpeg: int
    saturation: float


@dataclass(frozen=True)
class Room:
    """back: distance of the far wall; half: half width; wall, desk: texture names; lamps; camera."""

    back: float
    half: float
    wall: str
    side: str
    lamps: tuple[Lamp, ...]
    camera: Webcam
    boxes: int
    seed: int


ROOMS = (
    Room(
        2.2, 1.5, "shelf", "plaster",
        (Lamp((-1.3, -0.4, 0.05), (0.1, 0.0, 0.6), (0.4, 0.45), (13.0, 15.5, 20.0)),
         Lamp((0.9, -1.0, 1.6), (0.0, 0.2, 0.8), (0.08, 0.08), (26.0, 17.0, 9.0))),
        Webcam(430, 0.0012, 0.55, 0.010, (0.94, 1.0, 1.10), 0.40, 0.25, 0.6, 60, 1.15), 7, 1,
    ),
    Room(
        1.7, 1.2, "poster", "wood",
        (Lamp((0.55, -0.55, 0.25), (0.0, 0.05, 0.55), (0.05, 0.05), (230.0, 150.0, 75.0)),
         Lamp((0.0, 0.32, 0.05), (0.0, 0.0, 0.6), (0.22, 0.12), (1.1, 1.5, 2.4))),
        Webcam(470, 0.0018, 0.75, 0.022, (1.18, 1.0, 0.72), 0.32, 0.45, 0.2, 45, 0.9), 6, 2,
    ),
    Room(
        3.4, 2.2, "plaster", "stripes",
        (Lamp((0.25, -1.15, 0.2), (0.2, 1.0, 0.4), (0.5, 0.25), (11.0, 12.6, 10.4)),
         Lamp((-0.6, -1.15, 2.4), (-0.6, 1.0, 2.401), (0.6, 0.25), (8.0, 9.2, 7.6))),
        Webcam(410, 0.0008, 0.5, 0.014, (1.0, 1.06, 0.92), 0.50, 0.15, 0.7, 50, 1.0), 9, 3,
    ),
    Room(
        2.6, 1.4, "tiles", "plaster",
        (Lamp((-0.75, -0.2, 1.15), (0.0, 0.0, 0.5), (0.12, 0.3), (8.0, 16.0, 42.0)),
         Lamp((0.8, -0.45, 0.3), (0.0, 0.0, 0.5), (0.15, 0.15), (34.0, 21.0, 13.0))),
        Webcam(450, 0.0022, 0.48, 0.016, (1.04, 0.94, 1.06), 0.44, 0.35, 0.5, 40, 1.3), 8, 4,
    ),
)  # fmt: skip


def paint(name: str, rng: np.random.Generator) -> np.ndarray:
    """A texture (PICTURE, PICTURE, 3) of linear reflectance."""
    base, other = rng.uniform(0.12, 0.75, 3), rng.uniform(0.05, 0.7, 3)
    y, x = np.mgrid[:PICTURE, :PICTURE] / PICTURE
    if name == "shelf":
        image = _shelf(rng)
    elif name == "poster":
        image = _poster(rng, base)
    else:
        pattern = {
            "stripes": (np.sin(2 * np.pi * 9 * x) > 0.2), "tiles": ((x * 8 % 1 < 0.06) | (y * 8 % 1 < 0.06)),
            "wood": 0.5 + 0.5 * np.sin(2 * np.pi * (7 * x + 0.7 * np.sin(6 * y) + 0.3 * np.sin(31 * x))),
            "plaster": 0.25 * np.ones_like(x), "checks": (x * 6 % 1 > 0.5) ^ (y * 6 % 1 > 0.5),
        }[name]  # fmt: skip
        image = base + (other - base) * np.asarray(pattern, float)[..., None]
    cloud = cv2.resize(rng.normal(1, 0.12, (12, 12)), (PICTURE, PICTURE), interpolation=cv2.INTER_CUBIC)
    return np.clip(image * cloud[..., None] * rng.normal(1, 0.05, (PICTURE, PICTURE, 1)), 0.02, 0.9).astype(np.float32)


def _shelf(rng: np.random.Generator) -> np.ndarray:
    image = np.full((PICTURE, PICTURE, 3), 0.12)
    for top in range(4, PICTURE, 40):
        left = 0
        while left < PICTURE:
            width, height = int(rng.integers(3, 11)), int(rng.integers(20, 36))
            image[top + 36 - height : top + 36, left : left + width] = rng.random(3) ** 1.5 * 0.8
            left += width + int(rng.random() < 0.1) * 8
    return image


def _poster(rng: np.random.Generator, base: np.ndarray) -> np.ndarray:
    image = np.ones((PICTURE, PICTURE, 3)) * base
    for _ in range(30):
        center, size = rng.integers(0, PICTURE, 2), int(rng.integers(4, 28))
        color = (rng.random(3) ** 1.5 * 0.85).tolist()
        if rng.random() < 0.5:
            cv2.circle(image, center.tolist(), size, color, -1)
        else:
            cv2.rectangle(image, center.tolist(), (center + rng.integers(4, 50, 2)).tolist(), color, -1)
    return image
