"""Deferred shading of the visible pixels: skin with palm, knuckles, creases, veins and nails; clothing; objects.

Works in linear light. Lengths are millimetres. The look of one picture is a `Look`, the light a `Light`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

_KERNEL = dict(cache=True, fastmath=True, nogil=True)
_INLINE = dict(inline="always", **_KERNEL)

#: Columns of the vertex attributes handed to `shade`.
NORMAL, REST, ALONG, DORSAL, FINGER = slice(0, 3), slice(3, 6), 6, 7, 8
NUM_ATTRIBUTES = 9
MAIN_HAND, OTHER_HAND, FIRST_OBJECT = 0, 1, 2
MAX_OBJECTS = 2
#: Eight directions, every other one twice as long, in which ambient occlusion is looked for.
_COMPASS = np.array([[(2 - q % 2) * np.cos(q * np.pi / 4), (2 - q % 2) * np.sin(q * np.pi / 4)] for q in range(8)])


class Look(NamedTuple):
    """Materials of one picture; colours are linear RGB in [0, 1].

    Tuples, not arrays: an array inside a tuple would be reference-counted at every access in the compiled loop.
    """

    skin: tuple  # 3: back of the hand
    palm: tuple  # 3: palm side
    redness: float  # knuckles and finger tips
    mottle: float  # strength of blotches
    crease: float  # strength of lines at joints and in the palm
    palm_lines: tuple  # 4 x (a, b, c, strength): y = a + b x + c x^2 in mm
    vein: float  # strength of veins on the back
    bump: float  # roughness of the surface normal
    specular: float
    gloss: float  # Blinn-Phong exponent
    wrap: float  # light that wraps round the edge, a cheap subsurface scattering
    nail: tuple  # 4: RGB, extra specular
    sleeve_end: float  # y in mm on the arm, below it is cloth; -1e9 for bare arms
    sleeve: tuple  # 4: RGB, pattern strength
    band: tuple  # 6: bracelet or watch: from y, to y, RGB, specular
    ring: tuple  # 3: along from, along to, finger (-9: none)
    glove: tuple  # 5: RGB, pattern strength, finger length covered (-9: none, 9: whole)
    tattoo: tuple  # 5: RGB, threshold on the noise (9: none), scale
    objects: tuple  # MAX_OBJECTS x (RGB, pattern strength, specular, gloss)


class Light(NamedTuple):
    """Three directional lights, the first of which casts shadows, and first-order ambient light."""

    directions: tuple  # 3 x (x, y, z): unit, towards the light
    colors: tuple  # 3 x RGB
    ambient: tuple  # 4 x RGB: constant, x, y, z
    shadow_axes: tuple  # 3 x 3 rows: map x, map y, along the light
    shadow_origin: tuple  # 2: mm
    shadow_scale: float  # cells per mm
    shadow_strength: float


@njit(**_INLINE)
def _noise_at(noise, x, y, z):
    n = noise.shape[0] - 1
    return noise[int(x) & n, int(y) & n, int(z) & n]


@njit(**_KERNEL)
def _skin(color, rest, along, dorsal, coarse, fine, noise, offset, look):
    """Write the bare skin's albedo into color (3,); returns (specular, gloss)."""
    specular, gloss = look.specular, look.gloss
    palmness = min(1.0, max(0.0, 0.5 - 0.9 * dorsal))
    mottle = 1.0 + look.mottle * (coarse + 0.6 * fine)
    for c in range(3):
        color[c] = (look.skin[c] * (1.0 - palmness) + look.palm[c] * palmness) * mottle
    red = look.redness * (0.25 * coarse + 0.25)
    dark = 1.0
    if along > -0.5:
        from_joint = abs(along - np.floor(along + 0.5))
        if dorsal > 0.2:
            knuckle = np.exp(-((from_joint / 0.18) ** 2))
            red += 0.7 * look.redness * knuckle * dorsal
            dark *= 1.0 - 0.25 * look.crease * knuckle * (0.5 + 0.5 * np.sin(from_joint * 90.0)) * dorsal
        if along > 2.6:
            red += 0.6 * look.redness
        if dorsal < 0.1 and along > 0.15 and from_joint < 0.1:
            dark *= 1.0 - 0.5 * look.crease * np.exp(-((from_joint / 0.035) ** 2))
        if dorsal < 0.1 and 0.3 < along < 0.6:
            dark *= 1.0 - 0.5 * look.crease * np.exp(-(((along - 0.45) / 0.04) ** 2))
        if 2.5 < along < 3.0 and dorsal > 0.72:
            for c in range(3):
                color[c] = 0.4 * color[c] + 0.6 * look.nail[c]
            specular, gloss, red = 2.5 * specular + look.nail[3], 60.0, 0.0
    elif dorsal < 0.0:
        for q in range(4):
            a, b, c2 = look.palm_lines[q][0], look.palm_lines[q][1], look.palm_lines[q][2]
            slope = b + 2.0 * c2 * rest[0]
            away = (rest[1] - (a + b * rest[0] + c2 * rest[0] * rest[0])) / np.sqrt(1.0 + slope * slope)
            if abs(away) < 3.0:
                dark *= 1.0 - look.crease * look.palm_lines[q][3] * np.exp(-((away / 1.1) ** 2))
    if look.vein > 0.0 and dorsal > 0.3 and along < 0.3:
        ridge = _noise_at(noise, 0.9 * rest[0] + offset[2], 0.25 * rest[1] + offset[0], offset[1])
        vein = look.vein * np.exp(-((ridge / 0.25) ** 2)) * dorsal
        color[0] *= 1.0 - 0.5 * vein
        color[1] *= 1.0 - 0.2 * vein
    if dorsal < 0.0 and -8.0 < rest[1] < 2.0:
        dark *= 1.0 - 0.15 * look.crease * np.exp(-(((rest[1] + 3.0) / 1.5) ** 2))
    color[0] *= dark
    color[1] *= dark * (1.0 - red)
    color[2] *= dark * (1.0 - red)
    return specular, gloss


@njit(**_KERNEL)
def _hand_surface(color, rest, along, dorsal, finger, coarse, fine, noise, offset, look):
    """Albedo of a hand's point with everything worn on it; returns (specular, gloss)."""
    if rest[1] < look.sleeve_end:
        pattern = 1.0 + 0.35 * fine * look.sleeve[3] + 0.25 * coarse
        for c in range(3):
            color[c] = look.sleeve[c] * pattern
        return 0.1 * look.specular, look.gloss
    if look.band[0] < rest[1] < look.band[1]:
        for c in range(3):
            color[c] = look.band[2 + c]
        return look.band[5], 40.0
    if look.ring[2] == finger and look.ring[0] < along < look.ring[1]:
        color[0], color[1], color[2] = 0.6, 0.5, 0.3
        return 0.8, 40.0
    if along < look.glove[4]:
        pattern = 1.0 + look.glove[3] * (0.3 * fine + 0.2 * coarse)
        for c in range(3):
            color[c] = look.glove[c] * pattern
        return 0.3 * look.specular, look.gloss
    specular, gloss = _skin(color, rest, along, dorsal, coarse, fine, noise, offset, look)
    if look.tattoo[3] < 5.0:
        s = look.tattoo[4]
        if _noise_at(noise, s * rest[0] + offset[1], s * rest[1] + offset[2], s * rest[2] + offset[0]) > look.tattoo[3]:
            for c in range(3):
                color[c] = 0.25 * color[c] + 0.75 * look.tattoo[c] * color[c]
    return specular, gloss


@njit(**_INLINE)
def _occlusion(inverse_depth, x, y, depth):
    """Screen-space ambient occlusion: the share of the surroundings that stands 3-45 mm nearer."""
    height, width = inverse_depth.shape
    radius = 4 + height // 40
    blockers = 0.0
    for q in range(8):
        ox, oy = int(x + radius * _COMPASS[q, 0]), int(y + radius * _COMPASS[q, 1])
        if 0 <= ox < width and 0 <= oy < height and inverse_depth[oy, ox] > 0.0:
            nearer = depth - 1.0 / inverse_depth[oy, ox]
            if 3.0 < nearer < 45.0:
                blockers += 1.0
    return 1.0 - 0.085 * blockers


@njit(**_INLINE)
def _lit(px, py, pz, light, nearest):
    """1 where the first light arrives, down to 1 - shadow_strength in its shadow (3 x 3 percentage-closer filter)."""
    axes, origin, scale = light.shadow_axes, light.shadow_origin, light.shadow_scale
    u = (px * axes[0][0] + py * axes[0][1] + pz * axes[0][2] - origin[0]) * scale
    v = (px * axes[1][0] + py * axes[1][1] + pz * axes[1][2] - origin[1]) * scale
    d = px * axes[2][0] + py * axes[2][1] + pz * axes[2][2]
    size, blocked = nearest.shape[0], 0.0
    for oy in range(-1, 2):
        for ox in range(-1, 2):
            ix, iy = int(u) + ox, int(v) + oy
            if 0 <= ix < size and 0 <= iy < size and nearest[iy, ix] < d - 5.0:
                blocked += 1.0 / 9.0
    return 1.0 - light.shadow_strength * blocked


@njit(**_INLINE)
def _illuminate(color, normal, px, py, pz, specular, gloss, sheen, occlusion, visible, look, light, out):
    """Sum ambient, diffuse (wrapped, redder at the edge) and Blinn-Phong light into out (3,)."""
    inv = 1.0 / np.sqrt(px * px + py * py + pz * pz)
    vx, vy, vz = -px * inv, -py * inv, -pz * inv
    nx, ny, nz = normal[0], normal[1], normal[2]
    facing = max(0.0, nx * vx + ny * vy + nz * vz)
    rim = 0.06 * (1.0 - facing) ** 3
    for c in range(3):
        ambient = light.ambient[0][c] + light.ambient[1][c] * nx + light.ambient[2][c] * ny + light.ambient[3][c] * nz
        out[c] = color[c] * max(0.0, ambient) * occlusion + rim * light.ambient[0][c]
    for q in range(3):
        lx, ly, lz = light.directions[q][0], light.directions[q][1], light.directions[q][2]
        cosine = nx * lx + ny * ly + nz * lz
        shadow = visible if q == 0 else 1.0
        for c in range(3):
            wrap = look.wrap * (1.0 if c == 0 else 0.45)
            out[c] += color[c] * light.colors[q][c] * max(0.0, (cosine + wrap) / (1.0 + wrap)) * shadow * occlusion
        if cosine > 0.0 and specular > 0.0:
            hx, hy, hz = lx + vx, ly + vy, lz + vz
            half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-9)
            if half > 0.6:
                highlight = specular * shadow * sheen * half**gloss
                for c in range(3):
                    out[c] += light.colors[q][c] * highlight


@njit(**_KERNEL)
def shade(
    inverse_depth, triangle_id, weights, z, triangles, parts, attributes,
    focal, cx, cy, wrist_end, look, light, nearest, noise, offset, rgb, coverage, mask,
):  # fmt: skip
    """Colour every covered pixel.

    Buffers as filled by `raster.rasterise`; parts (T,) names the part of each triangle; attributes (V, 9);
    wrist_end: rest y in mm below which the main hand is arm, not mask. noise (N, N, N) and offset (6,) in cells.
    Out: rgb (H, W, 3) linear, coverage (H, W) and mask (H, W) of the main hand's bare or gloved skin, 0 or 1.
    """
    height, width = inverse_depth.shape
    a, color, normal, rest = np.empty(9), np.empty(3), np.empty(3), np.empty(3)
    for y in range(height):
        for x in range(width):
            t = triangle_id[y, x]
            mask[y, x] = 0.0
            if t < 0:
                coverage[y, x] = 0.0
                rgb[y, x, 0], rgb[y, x, 1], rgb[y, x, 2] = 0.0, 0.0, 0.0
                continue
            coverage[y, x] = 1.0
            depth = 1.0 / inverse_depth[y, x]
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            w1, w2 = weights[y, x, 0], weights[y, x, 1]
            wi, wj, wk = (1.0 - w1 - w2) * depth / z[i], w1 * depth / z[j], w2 * depth / z[k]
            for q in range(9):
                a[q] = wi * attributes[i, q] + wj * attributes[j, q] + wk * attributes[k, q]
            rest[0], rest[1], rest[2] = a[3], a[4], a[5]
            px, py = (x + 0.5 - cx) / focal * depth, (y + 0.5 - cy) / focal * depth
            coarse = _noise_at(noise, 0.5 * rest[0] + offset[0], 0.5 * rest[1] + offset[1], 0.5 * rest[2] + offset[2])
            fx, fy, fz = 2.3 * rest[0] + offset[3], 2.3 * rest[1] + offset[4], 2.3 * rest[2] + offset[5]
            fine = _noise_at(noise, fx, fy, fz)
            part, roughness = parts[t], look.bump
            sheen = 1.0 + 0.6 * fine
            if part < FIRST_OBJECT:
                finger = attributes[i, 8]
                specular, gloss = _hand_surface(
                    color, rest, a[6], a[7], finger, coarse, fine, noise, offset, look)  # fmt: skip
                if part == MAIN_HAND and rest[1] >= wrist_end and rest[1] >= look.sleeve_end:
                    mask[y, x] = 1.0
            else:
                m = part - FIRST_OBJECT
                pattern = 1.0 + look.objects[m][3] * (0.4 * coarse + 0.2 * fine)
                for c in range(3):
                    color[c] = max(0.0, look.objects[m][c] * pattern)
                specular, gloss, roughness, sheen = look.objects[m][4], look.objects[m][5], 0.0, 1.0
            normal[0] = a[0] + roughness * (_noise_at(noise, fx + 1.0, fy, fz) - fine)
            normal[1] = a[1] + roughness * (_noise_at(noise, fx, fy + 1.0, fz) - fine)
            normal[2] = a[2] + roughness * (_noise_at(noise, fx, fy, fz + 1.0) - fine)
            inv = 1.0 / np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2 + 1e-9)
            normal[0], normal[1], normal[2] = normal[0] * inv, normal[1] * inv, normal[2] * inv
            visible = _lit(px, py, depth, light, nearest)
            occlusion = _occlusion(inverse_depth, x, y, depth)
            _illuminate(
                color, normal, px, py, depth, specular, gloss, sheen, occlusion, visible, look, light, rgb[y, x]
            )


def brightness(rgb, coverage) -> float:
    """80th percentile of the brightest channel over a sample of the covered pixels; 1 where nothing is covered."""
    covered = rgb[::3, ::3][coverage[::3, ::3] > 0]
    return float(np.percentile(covered.max(1), 80)) if len(covered) else 1.0


@njit(**_KERNEL)
def encode(rgb, coverage, exposure, inverse_gamma):
    """In place: linear light to gamma-encoded 0..255 on the covered pixels."""
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            if coverage[y, x] > 0.0:
                for c in range(3):
                    linear = min(1.0, max(0.0, rgb[y, x, c] * exposure))
                    rgb[y, x, c] = 255.0 * linear**inverse_gamma
