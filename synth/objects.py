"""Simple solid meshes to hold in the hand or to put in front of it: boxes, rods, balls, cards."""

from __future__ import annotations

from functools import cache

import numpy as np


@cache
def unit_sphere(rings: int = 8, segments: int = 12):
    """Vertices (V, 3) and outward triangles (T, 3) of a sphere of radius 1 round the origin."""
    theta = np.linspace(0, np.pi, rings + 1)[:, None]
    phi = np.linspace(0, 2 * np.pi, segments, endpoint=False)[None]
    vertices = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1
    ).reshape(-1, 3)
    triangles = []
    for r in range(rings):
        for s in range(segments):
            a, b = r * segments + s, r * segments + (s + 1) % segments
            triangles += [[a, a + segments, b], [b, a + segments, b + segments]]
    return vertices, np.array(triangles, np.int32)


def superquadric(half_size, squareness: float):
    """A ball (squareness 0) that becomes a rounded box (towards 1) of the given half size (3,) in mm."""
    vertices, triangles = unit_sphere()
    power = 1.0 - 0.85 * squareness
    rounded = np.sign(vertices) * np.abs(vertices) ** power
    rounded /= np.abs(rounded).max(axis=0)
    return rounded * half_size, triangles


def draw_object(rng):
    """Vertices (V, 3) in mm round the origin and triangles (T, 3) of a random thing: pen, bottle, phone, ball, box."""
    kind = rng.choice(["pen", "bottle", "phone", "ball", "box"])
    if kind == "pen":
        half, squareness = [rng.uniform(3, 7), rng.uniform(3, 7), rng.uniform(50, 90)], rng.uniform(0.3, 0.9)
    elif kind == "bottle":
        radius = rng.uniform(18, 40)
        half, squareness = [radius, radius, rng.uniform(50, 120)], rng.uniform(0.3, 0.7)
    elif kind == "phone":
        half, squareness = [rng.uniform(3, 7), rng.uniform(30, 45), rng.uniform(60, 85)], 0.95
    elif kind == "ball":
        half, squareness = np.full(3, rng.uniform(12, 45)), 0.0
    else:
        half, squareness = rng.uniform(10, 55, 3), rng.uniform(0.6, 1.0)
    return superquadric(np.asarray(half), squareness)
