"""Draws meshes into one picture: visibility, shadows and shading, in buffers that are kept from picture to picture.

Everything is in millimetres in the camera's frame and in raster pixels, whose centres lie at integer + 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import raster, shade
from .hand import HandAsset

MM = 1000.0
#: Raster pixels per pixel of the picture.
SUPERSAMPLE = 1.5
SHADOW_CELLS = 160
#: Rest height in mm above which a point counts as hand and not as arm.
WRIST_END_MM = -5.0


@dataclass
class Mesh:
    """Vertices (V, 3) in camera mm, triangles (T, 3), and what the shader needs to know of them.

    rest (V, 3): the vertices' places at rest in mm; surface (V, 3): place along the finger, back or palm, finger;
    part: a number of `shade`, as MAIN_HAND.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    rest: np.ndarray
    surface: np.ndarray
    part: int


@dataclass
class Geometry:
    """All meshes of one picture as one: as in `Mesh`, with vertex normals (V, 3) and each triangle's part (T,)."""

    vertices: np.ndarray
    triangles: np.ndarray
    parts: np.ndarray
    rest: np.ndarray
    surface: np.ndarray
    normals: np.ndarray

    def puff_sleeve(self, sleeve_end: float, cloth_mm: float, vertices: int) -> None:
        """Lift the sleeve off the arm, in place: of the first `vertices` those with a rest y below `sleeve_end`."""
        cloth = (self.rest[:, 1] < sleeve_end) & (np.arange(len(self.rest)) < vertices)
        self.vertices[cloth] += self.normals[cloth] * np.float32(cloth_mm)


def join(meshes: list[Mesh]) -> Geometry:
    """One geometry of several meshes, in their order."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    vertices = np.concatenate([mesh.vertices for mesh in meshes]).astype(np.float32)
    triangles = np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts)]).astype(np.int32)
    parts = np.concatenate([np.full(len(mesh.triangles), mesh.part, np.int32) for mesh in meshes])
    rest = np.concatenate([mesh.rest for mesh in meshes]).astype(np.float32)
    surface = np.concatenate([mesh.surface for mesh in meshes])
    return Geometry(vertices, triangles, parts, rest, surface, raster.vertex_normals(vertices, triangles))


def hand_surface(asset: HandAsset) -> np.ndarray:
    """(V, 3) float32: place along the finger, back or palm, which finger; as the shader reads them."""
    return np.stack([asset.finger_coordinate, asset.dorsal, asset.finger_id], -1).astype(np.float32)


@lru_cache(maxsize=1)
def _noise_volume(cells: int = 64):
    rng, total = np.random.default_rng(5), np.zeros((cells,) * 3, np.float32)
    for coarse, weight in ((4, 1.0), (8, 0.7), (16, 0.5), (32, 0.35)):
        grid = rng.normal(0, 1, (coarse,) * 3)
        for axis in range(3):
            place = np.arange(cells) * coarse / cells
            low = place.astype(int)
            share = (place - low).reshape([-1 if a == axis else 1 for a in range(3)])
            grid = np.take(grid, low, axis) * (1 - share) + np.take(grid, (low + 1) % coarse, axis) * share
        total += weight * grid.astype(np.float32)
    return total / total.std()


class Canvas:
    """Buffers of one size, each (height, width) raster pixels and overwritten by every `draw`.

    inverse_depth, triangle_id, weights as `raster.rasterise` fills them; rgb, coverage, mask as `shade.shade` does.
    """

    def __init__(self, height: int, width: int):
        self.inverse_depth = np.zeros((height, width), np.float32)
        self.triangle_id = np.zeros((height, width), np.int32)
        self.weights = np.zeros((height, width, 2), np.float32)
        self.rgb = np.zeros((height, width, 3), np.float32)
        self.coverage = np.zeros((height, width), np.float32)
        self.mask = np.zeros((height, width), np.float32)
        self._nearest = np.zeros((SHADOW_CELLS, SHADOW_CELLS), np.float32)

    def draw(self, solid: Geometry, focal: float, center, look: shade.Look, light: shade.Light, offset) -> None:
        """focal and center (2,) in raster pixels; the light's shadow map fits `solid`; offset (6,) into the noise."""
        attributes = np.concatenate([solid.normals, solid.rest, solid.surface], 1).astype(np.float32)
        points = (solid.vertices[:, :2] / solid.vertices[:, 2:] * focal + center).astype(np.float32)
        depth = np.ascontiguousarray(solid.vertices[:, 2])
        raster.rasterise(points, depth, solid.triangles, self.inverse_depth, self.triangle_id, self.weights)
        on_map = solid.vertices @ np.array(light.shadow_axes).T
        cells = ((on_map[:, :2] - np.array(light.shadow_origin)) * light.shadow_scale).astype(np.float32)
        raster.shadow_map(cells, on_map[:, 2].astype(np.float32), solid.triangles, self._nearest)
        shade.shade(
            self.inverse_depth, self.triangle_id, self.weights, depth, solid.triangles, solid.parts, attributes,
            focal, center[0], center[1], WRIST_END_MM, look, light, self._nearest, _noise_volume(), offset,
            self.rgb, self.coverage, self.mask,
        )  # fmt: skip
