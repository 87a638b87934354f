"""A z-buffer rasteriser on the CPU: which triangle covers each pixel, and where inside it.

Pixel centres lie at integer + 0.5 in raster space. Depth is stored as 1/z, which is linear on the screen.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_KERNEL = dict(cache=True, fastmath=True, nogil=True)


@njit(**_KERNEL)
def _bounds(x0, x1, x2, limit):
    low = max(0, int(np.floor(min(x0, x1, x2) - 0.5)))
    high = min(limit - 1, int(np.ceil(max(x0, x1, x2) - 0.5)))
    return low, high


@njit(**_KERNEL)
def rasterise(points, z, triangles, inverse_depth, triangle_id, weights):
    """Fill the visibility buffers with the nearest triangle of every pixel.

    points (V, 2) raster pixels; z (V,) positive depth; triangles (T, 3).
    Out: inverse_depth (H, W), 0 where nothing is; triangle_id (H, W), -1 where nothing is;
    weights (H, W, 2): screen-space barycentric weights of corners 1 and 2.
    """
    height, width = inverse_depth.shape
    inverse_depth[:] = 0.0
    triangle_id[:] = -1
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = points[i, 0], points[i, 1]
        x1, y1 = points[j, 0], points[j, 1]
        x2, y2 = points[k, 0], points[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left, right = _bounds(x0, x1, x2, width)
        top, bottom = _bounds(y0, y1, y2, height)
        inv = 1.0 / area
        z0, z1, z2 = 1.0 / z[i], 1.0 / z[j], 1.0 / z[k]
        w1_dx, w2_dx = (y2 - y0) * inv, (y0 - y1) * inv
        w1_dy, w2_dy = (x0 - x2) * inv, (x1 - x0) * inv
        for y in range(top, bottom + 1):
            w1 = (left + 0.5 - x0) * w1_dx + (y + 0.5 - y0) * w1_dy
            w2 = (left + 0.5 - x0) * w2_dx + (y + 0.5 - y0) * w2_dy
            for x in range(left, right + 1):
                if w1 >= 0.0 and w2 >= 0.0 and w1 + w2 <= 1.0:
                    nearness = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
                    if nearness > inverse_depth[y, x]:
                        inverse_depth[y, x] = nearness
                        triangle_id[y, x] = t
                        weights[y, x, 0] = w1
                        weights[y, x, 1] = w2
                w1 += w1_dx
                w2 += w2_dx


@njit(**_KERNEL)
def shadow_map(points, depth, triangles, nearest):
    """Orthographic depth seen from the light. points (V, 2) in map cells; nearest (S, S) is overwritten."""
    size = nearest.shape[0]
    nearest[:] = 1e9
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = points[i, 0], points[i, 1]
        x1, y1 = points[j, 0], points[j, 1]
        x2, y2 = points[k, 0], points[k, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left, right = _bounds(x0, x1, x2, size)
        top, bottom = _bounds(y0, y1, y2, size)
        inv = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                w1 = ((x + 0.5 - x0) * (y2 - y0) - (x2 - x0) * (y + 0.5 - y0)) * inv
                w2 = ((x1 - x0) * (y + 0.5 - y0) - (x + 0.5 - x0) * (y1 - y0)) * inv
                if w1 >= -0.05 and w2 >= -0.05 and w1 + w2 <= 1.05:
                    d = depth[i] + w1 * (depth[j] - depth[i]) + w2 * (depth[k] - depth[i])
                    if d < nearest[y, x]:
                        nearest[y, x] = d


@njit(**_KERNEL)
def vertex_normals(vertices, triangles):
    """(V, 3) outward unit normals, weighted by triangle area; triangles wind counter-clockwise from outside."""
    normals = np.zeros_like(vertices)
    for t in range(triangles.shape[0]):
        a, b, c = vertices[triangles[t, 0]], vertices[triangles[t, 1]], vertices[triangles[t, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in range(3):
            v = triangles[t, corner]
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + 1e-12
        normals[v] /= length
    return normals
