"""Looks, lights and the shader."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.synth import shade
from semihand.synth.materials import SKIN_TONES, draw_light, draw_look, draw_skin_tone
from semihand.synth.objects import unit_sphere
from semihand.synth.raster import rasterise, vertex_normals

SIZE, FOCAL = 48, 120.0
NO_NOISE = np.zeros((64, 64, 64), np.float32)


def plain_look(**changes):
    """A look without bumps, spots, clothes and jewels."""
    plain = dict(bump=0.0, specular=0.0, sleeve_end=-1e9, mottle=0.0, redness=0.0, crease=0.0, vein=0.0)
    worn = dict(band=(1e9, 1e9, 0.0, 0.0, 0.0, 0.0), ring=(0.0, 0.0, -9.0), glove=(0.0,) * 4 + (-9.0,))
    grey = ((0.5, 0.5, 0.5, 0.0, 0.0, 20.0),) * shade.MAX_OBJECTS
    tattoo = (0.0, 0.0, 0.0, 9.0, 1.0)
    return draw_look(np.random.default_rng(0), 0)._replace(
        **{**plain, **worn, "objects": grey, "tattoo": tattoo, **changes}
    )


def one_lamp(direction, strength=0.7, ambient=0.0):
    dark = (0.0, 0.0, 0.0)
    return shade.Light(
        directions=(tuple(float(v) for v in direction), (0.0, 0.0, -1.0), (0.0, 0.0, -1.0)),
        colors=((0.8, 0.8, 0.8), dark, dark),
        ambient=((float(ambient),) * 3, dark, dark, dark),
        shadow_axes=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        shadow_origin=(-500.0, -500.0),
        shadow_scale=0.1,
        shadow_strength=float(strength),
    )


def render(vertices, triangles, part, look, light, rest=None, nearest=1e9):
    """Linear picture (SIZE, SIZE, 3), coverage and mask of one mesh in front of the camera."""
    vertices, count = vertices.astype(np.float32), len(vertices)
    attributes = np.zeros((count, shade.NUM_ATTRIBUTES), np.float32)
    attributes[:, shade.NORMAL] = vertex_normals(vertices, triangles)
    attributes[:, shade.REST] = vertices if rest is None else rest
    attributes[:, shade.ALONG] = attributes[:, shade.FINGER] = -1
    inverse_depth, triangle_id = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.int32)
    weights, rgb = np.zeros((SIZE, SIZE, 2), np.float32), np.zeros((SIZE, SIZE, 3), np.float32)
    coverage, mask = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.float32)
    points, z = vertices[:, :2] / vertices[:, 2:] * FOCAL + SIZE / 2, np.ascontiguousarray(vertices[:, 2])
    rasterise(points.astype(np.float32), z, triangles, inverse_depth, triangle_id, weights)
    shade.shade(
        inverse_depth, triangle_id, weights, z, triangles, np.full(len(triangles), part, np.int32), attributes,
        FOCAL, SIZE / 2, SIZE / 2, -5.0, look, light, np.full((100, 100), nearest, np.float32), NO_NOISE,
        np.full(6, 1500.0), rgb, coverage, mask,
    )  # fmt: skip
    return rgb, coverage, mask


def ball():
    vertices, triangles = unit_sphere(16, 24)
    return vertices * 50 + [0, 0, 400], triangles


def test_ball_is_bright_on_the_side_of_the_lamp():
    rgb, coverage, mask = render(*ball(), shade.FIRST_OBJECT, plain_look(), one_lamp([-0.8, 0.0, -0.6]))
    x = np.arange(SIZE) - SIZE / 2
    left, right = rgb[:, x < -3].sum(), rgb[:, x > 3].sum()
    assert left > 3 * right
    assert_allclose(rgb[: SIZE // 2].sum(), rgb[SIZE // 2 :].sum(), rtol=0.02)
    assert_array_equal(rgb[coverage == 0], 0.0)
    assert mask.sum() == 0
    assert_allclose(coverage.sum(), np.pi * (FOCAL * 50 / 400) ** 2, rtol=0.05)


def test_shadow_takes_its_share_of_the_first_lamp_only():
    lamp, look = one_lamp([-0.6, 0.0, -0.8], strength=0.7), plain_look(wrap=0.3)
    lit = render(*ball(), shade.FIRST_OBJECT, look, lamp)[0]
    shadowed = render(*ball(), shade.FIRST_OBJECT, look, lamp, nearest=0.0)[0]
    assert lit.max() > 0.2
    assert_allclose(shadowed, 0.3 * lit, atol=1e-5)
    room = one_lamp([-0.6, 0.0, -0.8], strength=0.7, ambient=0.4)
    brighter = render(*ball(), shade.FIRST_OBJECT, look, room)[0]
    darker = render(*ball(), shade.FIRST_OBJECT, look, room, nearest=0.0)[0]
    assert_allclose(brighter - darker, 0.7 * lit, atol=1e-5)


def wall():
    """A wall across the picture whose rest y runs from 43 mm at the top to -43 mm at the bottom."""
    vertices = np.array([[-90, -90, 300], [90, -90, 300], [90, 90, 300], [-90, 90, 300.0]])
    rest = np.array([[-43, 43, 0], [43, 43, 0], [43, -43, 0], [-43, -43, 0]], np.float32)
    return vertices, np.int32([[0, 2, 1], [0, 3, 2]]), rest


def rest_y(rows=np.arange(SIZE)):
    return -(rows + 0.5 - SIZE / 2) / FOCAL * 300 * 43 / 90


def test_mask_ends_at_the_wrist_and_belongs_to_the_main_hand():
    vertices, triangles, rest = wall()
    light = one_lamp([0.0, 0.0, -1.0])
    mask = render(vertices, triangles, shade.MAIN_HAND, plain_look(), light, rest)[2]
    assert_array_equal(mask, np.repeat(rest_y()[:, None] >= -5, SIZE, 1))
    for other in (shade.OTHER_HAND, shade.FIRST_OBJECT):
        _, coverage, mask = render(vertices, triangles, other, plain_look(), light, rest)
        assert coverage.all() and not mask.any()


def test_sleeve_covers_the_arm_below_its_end():
    vertices, triangles, rest = wall()
    look = plain_look(sleeve_end=-20.0, sleeve=(0.0, 0.9, 0.0, 0.0), skin=(0.8, 0.4, 0.3), palm=(0.8, 0.4, 0.3))
    rgb, _, mask = render(vertices, triangles, shade.MAIN_HAND, look, one_lamp([0.0, 0.0, -1.0]), rest)
    cloth = rest_y() < -20
    assert cloth.sum() > 3
    assert (rgb[cloth, :, 1] > 5 * rgb[cloth, :, 0]).all()
    assert (rgb[~cloth, :, 0] > 1.5 * rgb[~cloth, :, 1]).all()


def test_encode_is_exposure_then_gamma_on_covered_pixels():
    rgb = np.full((1, 2, 3), 0.25, np.float32)
    shade.encode(rgb, np.float32([[1.0, 0.0]]), 0.5, 1 / 2.0)
    assert_allclose(rgb[0], [[255 * np.sqrt(0.125)] * 3, [0.25] * 3], rtol=1e-5)
    rgb = np.full((1, 1, 3), 9.0, np.float32)
    shade.encode(rgb, np.float32([[1.0]]), 1.0, 1 / 2.2)
    assert_allclose(rgb, 255.0, rtol=1e-6)


def test_brightness_ignores_what_is_not_covered():
    rgb, coverage = np.zeros((12, 12, 3), np.float32), np.zeros((12, 12), np.float32)
    assert shade.brightness(rgb, coverage) == 1.0
    rgb[:], coverage[:, :6] = 5.0, 1.0
    rgb[:, :6] = [0.1, 0.3, 0.2]
    assert shade.brightness(rgb, coverage) == pytest.approx(0.3)


def test_skin_tones_cover_the_human_range():
    rng = np.random.default_rng(0)
    srgb = np.array([draw_skin_tone(rng) for _ in range(400)]) ** (1 / 2.2)
    assert (srgb.min() > 0) and (srgb.max() <= 1)
    red = srgb[:, 0]
    assert np.quantile(red, 0.03) < SKIN_TONES[-2, 0] + 0.1 and np.quantile(red, 0.97) > SKIN_TONES[1, 0] - 0.05
    assert (srgb[:, 0] > srgb[:, 2]).mean() > 0.95


def numbers(look):
    return np.concatenate([np.ravel(value) for value in look])


def test_looks_are_finite_colours_of_one_seed():
    first = [draw_look(np.random.default_rng(seed), seed % 3) for seed in range(60)]
    again = draw_look(np.random.default_rng(7), 7 % 3)
    assert again == first[7] and again != first[8]
    for look in first:
        assert np.isfinite(numbers(look)).all()
        for color in (look.skin, look.palm, look.nail[:3], look.sleeve[:3], look.glove[:3]):
            assert 0.0 <= min(color) and max(color) <= 1.0 + 0.1
    bare = np.mean([look.sleeve_end < -1e6 for look in first])
    assert 0.25 < bare < 0.75
    assert max(look.sleeve_end for look in first) < -5.0  # no sleeve hides a part of the mask


def test_lights_are_unit_vectors_and_the_shadow_map_holds_the_scene():
    rng = np.random.default_rng(3)
    for _ in range(20):
        vertices = rng.normal(size=(300, 3)) * [60, 90, 40] + [0, 0, 500]
        light, cells = draw_light(rng, vertices, 160), 160
        used = np.array([color != (0.0, 0.0, 0.0) for color in light.colors])
        assert used[0]
        assert_allclose(np.linalg.norm(np.array(light.directions)[used], axis=1), 1.0, atol=1e-9)
        axes = np.array(light.shadow_axes)
        assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
        assert_allclose(axes[2], -np.array(light.directions[0]), atol=1e-9)
        on_map = (vertices @ axes[:2].T - light.shadow_origin) * light.shadow_scale
        assert on_map.min() >= 0 and on_map.max() <= cells
