"""Draws what a hand looks like and how it is lit."""

from __future__ import annotations

import numpy as np

from .shade import MAX_OBJECTS, Light, Look

#: Skin colours (sRGB) from very light to very dark; a draw interpolates between neighbours.
SKIN_TONES = (
    np.array(
        [
            [246, 214, 196], [234, 188, 160], [224, 172, 140], [205, 150, 118], [190, 128, 96],
            [165, 105, 75], [135, 85, 60], [105, 65, 45], [80, 52, 40], [58, 40, 34],
        ],
        np.float64,
    )
    / 255.0
)  # fmt: skip

NONE = -1e9


def _floats(values):
    """Nested tuples of Python floats from an array."""
    return tuple(_floats(v) if np.ndim(v) else float(v) for v in values)


def draw_skin_tone(rng):
    """(3,) linear RGB; half of the draws come from the lighter half, half from the whole range."""
    last = len(SKIN_TONES) - 1.001
    place = rng.uniform(0, last) if rng.random() < 0.55 else rng.uniform(0, 4)
    low = int(place)
    tone = SKIN_TONES[low] + (place - low) * (SKIN_TONES[low + 1] - SKIN_TONES[low])
    return np.clip(tone + rng.normal(0, 0.02, 3), 0.03, 1.0) ** 2.2


def draw_cloth_color(rng):
    """(3,) linear RGB: half colourful, half grey."""
    return rng.random(3) ** 2 if rng.random() < 0.5 else np.full(3, rng.random() ** 2)


def _palm_lines(rng):
    u = rng.uniform
    return np.array(
        [
            [u(43, 53), u(-0.25, -0.05), u(-0.004, 0.002), u(0.15, 0.5)],
            [u(29, 42), u(0.0, 0.3), u(-0.006, 0.0), u(0.15, 0.5)],
            [u(5, 21), u(0.8, 1.6), u(-0.01, 0.01), u(0.1, 0.4)],
            [u(13, 37), u(-1, 1), 0.0, u(0, 0.2)],
        ]
    )


def _sleeve(rng):
    end = NONE
    if rng.random() < 0.5:
        end = rng.uniform(-140, -6) if rng.random() < 0.7 else rng.uniform(-30, -6)
    return end, np.append(draw_cloth_color(rng), rng.random())


def _band(rng):
    if rng.random() > 0.1:
        return np.array([1e9, 1e9, 0, 0, 0, 0.0])
    top = rng.uniform(-50, -12)
    return np.concatenate([[top - rng.uniform(3, 25), top], rng.random(3) ** 2, [0.6 * rng.random()]])


def _ring(rng):
    if rng.random() > 0.12:
        return np.array([0.0, 0.0, -9.0])
    start = rng.uniform(0.45, 0.6)
    return np.array([start, start + rng.uniform(0.06, 0.16), rng.integers(1, 5)])


def _glove(rng):
    covered = -9.0 if rng.random() > 0.025 else rng.choice([9.0, 9.0, 1.2])
    return np.concatenate([draw_cloth_color(rng), [rng.random(), covered]])


def _tattoo(rng):
    threshold = 9.0 if rng.random() > 0.01 else rng.uniform(0.6, 1.6)
    return np.concatenate([rng.uniform(0, 0.5, 3), [threshold, rng.uniform(0.3, 1.0)]])


def draw_look(rng, num_objects: int) -> Look:
    """Materials of one picture with `num_objects` held or occluding objects."""
    skin = draw_skin_tone(rng)
    darkness = 1.0 - skin.max()
    palm = np.clip(
        skin * rng.uniform(1.0, 1.25) + np.array([0.05, 0.02, 0.015]) * rng.uniform(0, 1.5) * (1 + 2 * darkness), 0, 1
    )
    nail = np.clip(skin * [1.1, 1.0, 1.0] + 0.06, 0, 1) if rng.random() < 0.88 else rng.random(3) ** 2
    sleeve_end, sleeve = _sleeve(rng)
    objects = np.zeros((MAX_OBJECTS, 6))
    for m in range(num_objects):
        objects[m, :3] = draw_cloth_color(rng)
        objects[m, 3:] = rng.random(), rng.uniform(0, 0.5) ** 2, rng.uniform(8, 60)
    return Look(
        skin=_floats(skin),
        palm=_floats(palm),
        redness=rng.uniform(0.02, 0.28),
        mottle=rng.uniform(0.005, 0.09),
        crease=rng.uniform(0.2, 1.0),
        palm_lines=_floats(_palm_lines(rng)),
        vein=float(rng.uniform(0, 0.35) * (rng.random() < 0.6)),
        bump=rng.uniform(0, 0.09),
        specular=rng.uniform(0, 0.16),
        gloss=rng.uniform(8, 40),
        wrap=rng.uniform(0.05, 0.5),
        nail=_floats(np.append(nail, rng.uniform(0, 0.25))),
        sleeve_end=float(sleeve_end),
        sleeve=_floats(sleeve),
        band=_floats(_band(rng)),
        ring=_floats(_ring(rng)),
        glove=_floats(_glove(rng)),
        tattoo=_floats(_tattoo(rng)),
        objects=_floats(objects),
    )


def _unit(vector):
    return vector / np.linalg.norm(vector)


def draw_light(rng, vertices, shadow_cells: int) -> Light:
    """One to three lamps, mostly above and behind the camera, and ambient light; vertices (V, 3) mm fit the shadow map."""
    count = rng.integers(1, 4)
    directions, colors = np.zeros((3, 3)), np.zeros((3, 3))
    for q in range(count):
        directions[q] = _unit(rng.normal(size=3) * [1.0, 0.9, 0.7] + [0.0, -0.6, -0.6])
        warmth = rng.uniform(-0.18, 0.18)
        colors[q] = rng.uniform(0.15, 1.1) * (1.0 if q == 0 else 0.5) * np.array([1 + warmth, 1.0, 1 - warmth])
    level, warmth = rng.uniform(0.18, 0.65), rng.uniform(-0.12, 0.12)
    ambient = np.zeros((4, 3))
    ambient[0] = level * np.array([1 + warmth, 1.0, 1 - warmth])
    ambient[1:] = rng.normal(0, 0.12, (3, 3)) * level
    ambient[2] -= 0.15 * level
    along = -directions[0]
    across = _unit(np.cross(along, [0.3, 0.9, 0.2]))
    axes = np.stack([across, np.cross(along, across), along])
    on_map = vertices @ axes[:2].T
    origin = on_map.min(0) - 6.0
    scale = (shadow_cells - 2) / ((on_map.max(0) - origin).max() + 6.0)
    return Light(
        directions=_floats(directions),
        colors=_floats(colors),
        ambient=_floats(ambient),
        shadow_axes=_floats(axes),
        shadow_origin=_floats(origin),
        shadow_scale=float(scale),
        shadow_strength=rng.uniform(0.4, 0.95),
    )
