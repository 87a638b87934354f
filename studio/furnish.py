"""Puts a room of plain data into Mitsuba shapes: walls, desk, boxes, balls, a person behind the hand, lamps."""

from __future__ import annotations

import numpy as np

from .body import tube_triangles
from .room import Room, paint
from .takes import Person

CEILING, FLOOR, FRONT = -1.2, 1.1, -0.6
PATTERNS = ("checks", "stripes", "poster", "plaster", "wood")


def bitmap(mi, values: np.ndarray) -> dict:
    """A texture of linear values (H, W) or (H, W, 3)."""
    values = values if values.ndim == 3 else values[..., None]
    return {"type": "bitmap", "bitmap": mi.Bitmap(np.ascontiguousarray(values)), "raw": True}


def mesh(mi, name: str, vertices, triangles, material, normals=None, uv=None):
    """A Mitsuba mesh of vertices (V, 3), triangles (T, 3) and optional normals (V, 3) and texture coordinates (V, 2)."""
    properties = mi.Properties()
    properties["mesh_bsdf"] = material
    shape = mi.Mesh(
        name, vertex_count=len(vertices), face_count=len(triangles), props=properties,
        has_vertex_normals=normals is not None, has_vertex_texcoords=uv is not None,
    )  # fmt: skip
    parameters = mi.traverse(shape)
    arrays = {"vertex_positions": vertices, "vertex_normals": normals, "vertex_texcoords": uv}
    for key, values in arrays.items():
        if values is not None:
            parameters[key] = np.ravel(values).astype(np.float32)
    parameters["faces"] = np.ravel(triangles).astype(np.uint32)
    parameters.update()
    return shape


def furnish(mi, room: Room, person: Person) -> tuple[dict, object]:
    """Shapes of the room by name, and the material of the person's sleeves."""
    rng = np.random.default_rng(room.seed)
    shapes = _walls(mi, room, rng)
    shapes.update(_things(mi, room, rng))
    cloth = mi.load_dict(_cloth(mi, person))
    shapes.update(_person(mi, rng, person, cloth))
    for number, lamp in enumerate(room.lamps):
        up = [0, 0, 1] if abs(lamp.target[1] - lamp.center[1]) > 0.9 else [0, 1, 0]
        shapes[f"lamp{number}"] = mi.load_dict({
            "type": "rectangle", "to_world": _panel(mi, lamp.center, lamp.target, lamp.half, up),
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": list(lamp.radiance)}},
        })  # fmt: skip
    return shapes, cloth


def _panel(mi, center, target, half, up):
    """Where a rectangle of half sizes (2,) stands that looks from center to target."""
    return mi.ScalarTransform4f().look_at(list(center), list(target), up).scale([*half, 1])


def _diffuse(mi, image: np.ndarray) -> dict:
    return {"type": "diffuse", "reflectance": bitmap(mi, image)}


def _walls(mi, room: Room, rng: np.random.Generator) -> dict:
    wide, middle = room.half, (room.back + FRONT) / 2
    deep, high = (room.back - FRONT) / 2, (FLOOR - CEILING) / 2
    level = (CEILING + FLOOR) / 2
    facing = {
        "wall": ((0, level, room.back), (0, level, 0), (wide, high), room.wall),
        "left": ((-wide, level, middle), (0, level, middle), (deep, high), room.side),
        "right": ((wide, level, middle), (0, level, middle), (deep, high), room.side),
        "floor": ((0, FLOOR, middle), (0, 0, middle), (wide, deep), "wood"),
        "ceiling": ((0, CEILING, middle), (0, 0, middle), (wide, deep), "plaster"),
        "behind": ((0, level, FRONT), (0, level, 0), (wide, high), "plaster"),
    }
    shapes = {}
    for name, (center, target, half, pattern) in facing.items():
        up = [0, 0, 1] if name in ("floor", "ceiling") else [0, -1, 0]
        where, look = _panel(mi, center, target, half, up), _diffuse(mi, paint(pattern, rng))
        shapes[name] = mi.load_dict({"type": "rectangle", "to_world": where, "bsdf": look})
    return shapes


def _things(mi, room: Room, rng: np.random.Generator) -> dict:
    """Boxes and balls on the way to the far wall, and a desk below."""
    shapes, T = {}, mi.ScalarTransform4f
    for number in range(room.boxes):
        place = [rng.uniform(-0.8, 0.8) * room.half, rng.uniform(-0.6, 0.9), rng.uniform(1.1, 0.97 * room.back)]
        size = rng.uniform(0.05, 0.22, 3)
        look = _diffuse(mi, paint(PATTERNS[int(rng.integers(5))], rng))
        if number % 3 == 2:
            shape = {"type": "sphere", "to_world": T().translate(place).scale(float(size[0])), "bsdf": look}
        else:
            turned = T().translate(place).rotate([0, 1, 0], float(rng.uniform(0, 90))).scale(size.tolist())
            shape = {"type": "cube", "to_world": turned, "bsdf": look}
        shapes[f"thing{number}"] = mi.load_dict(shape)
    desk = T().translate([0, 0.42, 0.55]).scale([0.8, 0.02, 0.28])
    shapes["desk"] = mi.load_dict({"type": "cube", "to_world": desk, "bsdf": _diffuse(mi, paint("wood", rng))})
    return shapes


def _cloth(mi, person: Person) -> dict:
    weave = paint("stripes", np.random.default_rng(person.texture_seed))
    weave = np.array(person.cloth) * (0.6 + 0.8 * weave / weave.mean())
    return _diffuse(mi, np.clip(weave, 0.01, 0.9).astype(np.float32))


def _person(mi, rng: np.random.Generator, person: Person, cloth) -> dict:
    """Who sits there, roughly: shoulders, neck, head and hair."""
    aside = float(rng.uniform(-0.12, 0.12))
    tone = mi.load_dict(
        {"type": "principled", "base_color": {"type": "rgb", "value": list(person.tone)}, "roughness": 0.5}
    )
    hair = mi.load_dict({"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.06, 0.04, 0.03]}})
    parts = {
        "torso": ([aside, 0.45, 0.95], [0.24, 0.36, 0.13], cloth),
        "head": ([aside, -0.06, 0.93], [0.08, 0.115, 0.095], tone),
        "hair": ([aside, -0.10, 0.955], [0.087, 0.095, 0.10], hair),
        "neck": ([aside, 0.08, 0.96], [0.05, 0.09, 0.05], tone),
    }
    return {name: _ellipsoid(mi, *part) for name, part in parts.items()}


def _ellipsoid(mi, center: list, half: list, material, rows: int = 14, columns: int = 24):
    """A ball of triangles stretched to half axes."""
    theta, phi = np.meshgrid(
        np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns, endpoint=False), indexing="ij"
    )
    ball = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).reshape(-1, 3)
    normals = ball / np.array(half)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return mesh(mi, "ball", ball * half + center, tube_triangles(rows, columns), material, normals)
