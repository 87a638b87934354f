"""What the second world's pictures are made of: textures, rooms and the webcam's defects."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.studio.camera import develop
from semihand.studio.hand import load_hand
from semihand.studio.room import ROOMS, paint
from semihand.studio.skin import TEXELS, paint_skin, texel_places, waves
from semihand.studio.takes import NUM_ROOMS, PERSONS

CAMERA = replace(ROOMS[0].camera, gain=0.0, balance=(1.0, 1.0, 1.0), sharpen=0.0, vignette=0.0, jpeg=95, saturation=1.0)


def shoot(linear, camera=CAMERA, seed=0):
    middle = np.array([linear.shape[0] // 2] * 2)
    return develop(np.random.default_rng(seed), np.random.default_rng(1), linear, camera, middle, 2 * linear.shape[0])


def test_every_texel_knows_its_place_on_the_hand():
    place, normal = texel_places()
    hand = load_hand()
    texel = (hand.uv * [TEXELS, -TEXELS] + [0, TEXELS]).astype(int).clip(0, TEXELS - 1)
    apart = np.linalg.norm(place[texel[:, 1], texel[:, 0]] - hand.vertices * 1000, axis=1)
    assert np.median(apart) < 1.0 and np.quantile(apart, 0.95) < 4.0
    assert_allclose(np.linalg.norm(normal, axis=-1).mean(), 1, atol=0.05)


@pytest.mark.parametrize("person", PERSONS, ids=lambda p: str(p.texture_seed))
def test_skin_is_a_plausible_reflectance_of_the_persons_tone(person):
    skin = paint_skin(person)
    assert skin.albedo.shape == (TEXELS, TEXELS, 3) and 0 < skin.albedo.min() and skin.albedo.max() < 1
    assert_allclose(skin.albedo.mean((0, 1)), person.tone, rtol=0.25)
    assert 0.1 < skin.roughness.min() and skin.roughness.max() < 0.95


def test_waves_have_unit_variance_and_their_wavelength():
    points = np.random.default_rng(0).uniform(0, 200, (20000, 3)).astype(np.float32)
    near = waves(points + np.float32([0.2, 0, 0]), np.random.default_rng(5), 20.0, 40)
    field = waves(points, np.random.default_rng(5), 20.0, 40)
    assert_allclose(field.std(), 1, atol=0.1)
    assert np.corrcoef(field, near)[0, 1] > 0.99
    far = waves(points + np.float32([20.0, 7, 3]), np.random.default_rng(5), 20.0, 40)
    assert abs(np.corrcoef(field, far)[0, 1]) < 0.6


@pytest.mark.parametrize("name", ["shelf", "poster", "stripes", "tiles", "wood", "plaster", "checks"])
def test_wall_pictures_are_reflectances(name):
    image = paint(name, np.random.default_rng(3))
    assert image.min() >= 0.02 and image.max() <= 0.9
    assert_array_equal(image, paint(name, np.random.default_rng(3)))


def test_there_are_as_many_rooms_as_takes_draw_from():
    assert len(ROOMS) == NUM_ROOMS


def test_exposure_does_not_depend_on_how_bright_the_room_is():
    linear = np.random.default_rng(0).uniform(0.2, 0.6, (64, 64, 3))
    assert_allclose(shoot(linear).astype(int), shoot(linear * 50).astype(int), atol=2)


def test_red_light_comes_out_red_in_the_last_channel():
    picture = shoot(np.ones((64, 64, 3)) * [0.8, 0.2, 0.1])
    blue, green, red = picture.reshape(-1, 3).mean(0)
    assert red > green + 40 > blue + 40


def test_colour_cast_vignetting_and_noise_do_what_they_say():
    flat = np.full((64, 64, 3), 0.4)
    cast = shoot(flat, replace(CAMERA, balance=(1.3, 1.0, 0.7))).reshape(-1, 3).mean(0)
    assert cast[2] > cast[1] > cast[0]
    dark = shoot(flat, replace(CAMERA, vignette=0.5)).mean(-1)
    assert_allclose(dark[[0, 0, -1], [0, -1, 0]], dark[-1, -1], atol=2)
    assert dark[-1, -1] < 0.9 * dark[32, 32]
    clean, noisy = (shoot(flat, replace(CAMERA, gain=gain)).std((0, 1)).max() for gain in (0.0, 0.1))
    assert clean < 0.7 and noisy > 2


def test_one_firefly_of_the_path_tracer_does_not_darken_the_picture():
    linear = np.full((64, 64, 3), 0.4)
    spot = linear.copy()
    spot[30, 30] = 5000.0
    assert_allclose(np.median(shoot(spot)), np.median(shoot(linear)), atol=4)
