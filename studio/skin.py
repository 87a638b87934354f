"""Skin of the second world: colour, roughness and height textures computed from where each texel lies on the hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..models.joints import FINGERS
from ..synth.raster import rasterise
from .hand import StudioHand, load_hand, vertex_normals
from .takes import Person

TEXELS = 512
_BACK_REDNESS = np.array([1.06, 0.82, 0.78])
_PALM = np.array([1.10, 0.98, 0.96])


@dataclass(frozen=True)
class SkinTextures:
    """Textures (TEXELS, TEXELS[, 3]) float32, row 0 at v = 1 (as renderers read pictures): albedo linear RGB,
    roughness, height in millimetres."""

    albedo: np.ndarray
    roughness: np.ndarray
    height: np.ndarray


def waves(points: np.ndarray, rng: np.random.Generator, wavelength: float, count: int = 10) -> np.ndarray:
    """Smooth random field (...) of unit variance at points (..., 3): a sum of plane waves, wavelength in their unit."""
    directions = rng.normal(size=(count, 3)) * (2 * np.pi / wavelength / np.sqrt(3))
    phases = rng.uniform(0, 2 * np.pi, count)
    field = np.zeros(points.shape[:-1], np.float32)
    for direction, phase in zip(directions.astype(np.float32), phases):
        field += np.cos(points @ direction + np.float32(phase))
    return field * np.float32(np.sqrt(2 / count))


@lru_cache(maxsize=2)
def texel_places(texels: int = TEXELS) -> tuple[np.ndarray, np.ndarray]:
    """Rest position in mm and rest normal (texels, texels, 3) of every texel; texels off the skin copy the nearest."""
    hand = load_hand()
    points = (hand.uv * [texels, -texels] + [0, texels]).astype(np.float32)
    near, triangle = np.zeros((texels, texels), np.float32), np.zeros((texels, texels), np.int32)
    weights = np.zeros((texels, texels, 2), np.float32)
    rasterise(points, np.ones(len(points), np.float32), hand.triangles, near, triangle, weights)
    share = np.concatenate([1 - weights.sum(-1, keepdims=True), weights], -1)
    return _spread(hand, near > 0, hand.triangles[np.maximum(triangle, 0)], share)


def _spread(hand: StudioHand, covered: np.ndarray, corners: np.ndarray, share: np.ndarray):
    """Positions and normals of the covered texels, copied outward to the others."""
    _, label = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(label.max() + 1, np.int64)
    nearest[label[covered]] = np.flatnonzero(covered)
    maps = []
    for values in (hand.vertices * 1000, vertex_normals(hand, hand.vertices)):
        found = np.einsum("hwk,hwkc->hwc", share, values[corners])
        maps.append(found.reshape(-1, 3)[nearest[label]].astype(np.float32))
    return maps[0], maps[1]


def _step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def paint_skin(person: Person) -> SkinTextures:
    """Textures of a person's hand and forearm."""
    place, normal = texel_places()
    rng = np.random.default_rng(person.texture_seed)
    palm = _step(-0.35, 0.45, normal[..., 2])[..., None]
    blotches, grain = waves(place, rng, 14.0), waves(place, rng, 2.2, 16)
    albedo = np.array(person.tone) * (1 + 0.07 * blotches + 0.04 * grain)[..., None]
    albedo *= 1 + palm * (_PALM * (1.25 if max(person.tone) < 0.45 else 1.08) - 1)
    knuckle, crease, nail = _finger_marks(place, normal)
    albedo *= 1 + 0.75 * knuckle[..., None] * (_BACK_REDNESS - 1)
    albedo *= 1 - 0.45 * crease[..., None]
    vein = np.exp(-((waves(place * [1, 0.35, 1], rng, 22.0) / 0.12) ** 2)) * (1 - palm[..., 0])
    albedo *= 1 - 0.10 * vein[..., None] * np.array([1.0, 0.55, 0.35])
    albedo = albedo * (1 - nail[..., None]) + nail[..., None] * (np.array(person.tone) * 0.75 + [0.2, 0.13, 0.12])
    roughness = np.clip(0.48 + 0.06 * blotches - 0.28 * nail + 0.1 * palm[..., 0], 0.15, 0.9)
    height = 0.10 * grain + 0.07 * waves(place, rng, 1.1, 16) - 0.5 * crease + 0.12 * vein
    height = height * (1 - nail) + 0.15 * knuckle * waves(place * [0.4, 1.6, 1], rng, 2.6, 12)
    return SkinTextures(
        np.clip(albedo, 0.01, 0.95).astype(np.float32), roughness.astype(np.float32), height.astype(np.float32)
    )


def _finger_marks(place: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much each texel is knuckle, flexion crease, nail (H, W), 0 to 1."""
    hand = load_hand()
    knuckle, crease, nail = (np.zeros(place.shape[:2], np.float32) for _ in range(3))
    for finger in range(len(FINGERS)):
        for part in range(1 if finger == 0 else 0, 3):
            joint = 1 + 4 * finger + part
            frame = hand.frames[3 * finger + part]
            back, along = normal @ frame[1], (place - hand.joints[joint] * 1000) @ -frame[2]
            away = np.linalg.norm(place - hand.joints[joint] * 1000, axis=-1)
            near = np.exp(-((away / (13.0 if part == 0 else 10.0)) ** 4))
            knuckle = np.maximum(knuckle, near * _step(0.1, 0.6, back))
            if part or finger == 0:
                crease = np.maximum(crease, near * np.exp(-((along / 0.7) ** 2)) * _step(0.0, 0.5, -back))
        nail = np.maximum(nail, _nail(place, normal, hand, finger))
    return knuckle, crease, nail


def _nail(place: np.ndarray, normal: np.ndarray, hand: StudioHand, finger: int) -> np.ndarray:
    right, back, _ = hand.frames[3 * finger + 2]
    last, tip = hand.joints[3 + 4 * finger] * 1000, hand.joints[4 + 4 * finger] * 1000
    length = np.linalg.norm(tip - last)
    offset = place - (last + 0.68 * (tip - last))
    along, across = offset @ ((tip - last) / length), offset @ right
    size = 0.30 * length
    inside = (np.abs(along) / size) ** 4 + (np.abs(across) / (0.72 * size)) ** 4
    return _step(1.15, 0.85, inside) * _step(0.25, 0.5, normal @ back) if length else inside * 0
