"""The virtual camera, the crop and the picture of the crop."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.camera import GRID, crop_camera, default_intrinsics, warp_crop
from semihand.models.lifting import project, relative_depth

K = np.array([[600.0, 0, 310], [0, 610, 250], [0, 0, 1]])
RNG = np.random.default_rng(7)


def random_hand(center=(0.1, -0.08, 0.5)):
    return np.asarray(center) + RNG.uniform(-0.08, 0.08, (21, 3))


def drawn_dots(uv, shape):
    """A dark picture with a smooth bright dot of 8 px at every uv (N, 2)."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    distance = (u - uv[:, 0, None, None]) ** 2 + (v - uv[:, 1, None, None]) ** 2
    return np.repeat((255 * np.exp(-distance / 128).max(0)).astype(np.uint8)[..., None], 3, axis=2)


def dot_center(picture, near, radius):
    """Brightness centroid [u, v] of the pixels within `radius` of `near`."""
    v, u = np.mgrid[: picture.shape[0], : picture.shape[1]]
    weight = picture[..., 0].astype(float) * ((u - near[0]) ** 2 + (v - near[1]) ** 2 < radius**2)
    return np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()


def test_default_intrinsics_are_85_percent_of_the_longer_side_about_the_middle():
    assert_allclose(default_intrinsics(640, 480), [[544, 0, 319.5], [0, 544, 239.5], [0, 0, 1]])
    assert_allclose(default_intrinsics(480, 640, fx=500)[0], [500, 0, 239.5])
    with pytest.raises(ValueError, match="focal length"):
        default_intrinsics(640, 480, fx=-1)


def test_on_axis_crop_is_the_square_edge_to_edge():
    K_square = default_intrinsics(640, 480)
    crop = crop_camera(K_square, (319.5, 239.5), 128)
    corners = np.array([[319.5 - 64, 239.5 - 64], [319.5 + 64, 239.5 + 64]])
    assert_allclose(crop.uv_to_crop(corners), [[-0.5, -0.5], [63.5, 63.5]], atol=1e-9)
    assert_allclose(crop.K_crop, [[272, 0, 31.5], [0, 272, 31.5], [0, 0, 1]])
    assert_allclose(crop.rotation, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("mirrored", [False, True])
def test_off_axis_crop_keeps_the_area_and_centre_of_the_square(mirrored):
    center, side, step = np.array([580.0, 60.0]), 150.0, 1e-3
    crop = crop_camera(K, center, side, roll=0.7, mirrored=mirrored)
    assert_allclose(crop.uv_to_crop(center), [31.5, 31.5], atol=1e-9)
    around = center + step * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    right, left, down, up = crop.uv_to_crop(around) / (2 * step)
    jacobian = np.stack([right - left, down - up])
    assert_allclose(np.linalg.det(jacobian), (GRID / side) ** 2 * (-1 if mirrored else 1), rtol=1e-6)


def test_roll_turns_the_crop_upright():
    center = np.array([310.0, 250.0])
    up_along_roll = center + 20 * np.array([np.sin(0.5), -np.cos(0.5)])  # clockwise from up
    uv = crop_camera(default_intrinsics(621, 501), center, 100, roll=0.5).uv_to_crop(up_along_roll)
    assert_allclose(uv[0], 31.5, atol=1e-9)
    assert_allclose(uv[1], 31.5 - 20 * 0.64, atol=1e-9)


@pytest.mark.parametrize("mirrored", [False, True])
def test_crop_and_uncrop_are_round_trips(mirrored):
    crop = crop_camera(K, (500, 90), 170, roll=-1.2, mirrored=mirrored)
    uv = RNG.uniform(0, 400, (5, 21, 2))
    assert_allclose(crop.uv_to_image(crop.uv_to_crop(uv)), uv, atol=1e-6)
    xyz = RNG.normal(size=(5, 21, 3))
    assert_allclose(crop.xyz_to_camera(crop.xyz_to_virtual(xyz)), xyz, atol=1e-12)
    assert_allclose(np.linalg.det(crop.rotation), 1)


@pytest.mark.parametrize("mirrored", [False, True])
def test_projecting_in_the_virtual_camera_equals_warping_the_projection(mirrored):
    hand = random_hand()
    crop = crop_camera(K, project(hand, K).mean(0), 180, roll=0.4, mirrored=mirrored)
    assert_allclose(project(crop.xyz_to_virtual(hand), crop.K_crop), crop.uv_to_crop(project(hand, K)), atol=1e-8)


def test_turning_the_crop_turns_uv_about_its_centre_and_keeps_depth_exactly():
    hand = random_hand(center=(0.25, 0.1, 0.5))
    upright = crop_camera(K, project(hand, K)[9], 180)
    turned = crop_camera(K, project(hand, K)[9], 180, roll=2.0)
    before, after = upright.xyz_to_virtual(hand), turned.xyz_to_virtual(hand)
    assert_allclose(relative_depth(after, 0.04), relative_depth(before, 0.04), atol=1e-12)
    c, s = np.cos(-2.0), np.sin(-2.0)
    uv = project(before, upright.K_crop) - 31.5
    assert_allclose(project(after, turned.K_crop) - 31.5, uv @ np.array([[c, -s], [s, c]]).T, atol=1e-9)


def test_a_mirrored_hand_in_a_mirrored_picture_has_the_labels_of_the_mirrored_crop():
    width, hand = 640, random_hand()
    center, other_center = np.array([420.0, 180.0]), np.array([width - 1 - 420.0, 180.0])
    left = crop_camera(K, center, 180, roll=0.3, mirrored=True)
    other_K = K.copy()
    other_K[0, 2] = width - 1 - K[0, 2]
    right = crop_camera(other_K, other_center, 180, roll=-0.3)
    other_hand = hand * [-1, 1, 1]
    assert_allclose(left.xyz_to_virtual(hand), right.xyz_to_virtual(other_hand), atol=1e-12)
    uv = project(hand, K)
    assert_allclose(left.uv_to_crop(uv), right.uv_to_crop(np.stack([width - 1 - uv[:, 0], uv[:, 1]], -1)), atol=1e-9)


def test_points_behind_the_virtual_camera_stay_finite_and_on_their_side():
    crop = crop_camera(K, (600, 250), 4000)
    uv = crop.uv_to_image(np.array([[63.0, 31.5]]))
    assert np.isfinite(uv).all() and uv[0, 0] > 640


@pytest.mark.parametrize("bad", [dict(side=0), dict(side=np.nan), dict(center=(np.inf, 0)), dict(roll=np.nan)])
def test_impossible_crops_are_refused(bad):
    with pytest.raises(ValueError, match="No crop"):
        crop_camera(K, **{"center": (100, 100), "side": 50, **bad})


@pytest.mark.parametrize("side", [90, 150, 300, 700, 1300])
@pytest.mark.parametrize("size, margin", [(64, 0), (128, 0), (80, 8)])
def test_the_picture_of_the_crop_shows_dots_where_uv_to_crop_says(side, size, margin):
    center = np.array([700.0, 500.0])
    dots = center + 0.25 * side * np.array([[-1, -1], [1, -0.5], [0.2, 1]])
    camera = default_intrinsics(1400, 1000)
    crop = crop_camera(camera, center, side, roll=0.3, mirrored=True)
    picture = warp_crop(drawn_dots(dots, (1000, 1400)), crop, size, margin)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    expected = (crop.uv_to_crop(dots) + 0.5 + margin) * size / (GRID + 2 * margin) - 0.5
    for uv in expected:
        assert_allclose(dot_center(picture, uv, size / 10), uv, atol=0.12)


def test_shrinking_averages_instead_of_picking_pixels():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_camera(default_intrinsics(800, 800), (399.5, 399.5), 300)
    assert warp_crop(stripes, crop, 64)[4:-4, 4:-4].std() < 8  # picked pixels have about 127


@pytest.mark.parametrize("side", [100, 600])
def test_borders(side):
    picture = np.full((200, 300, 3), 40, np.uint8)
    crop = crop_camera(default_intrinsics(300, 200), (0, 100), side)
    grey, replicated = (warp_crop(picture, crop, 64, border=border) for border in ("grey", "replicate"))
    assert (replicated == 40).all()
    assert (grey[:, :20] == 128).all() and (grey[28:36, 36:44] == 40).all()


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 700, 3), (4320, 7680, 3)])
def test_extreme_pictures_give_a_crop(shape):
    picture = np.full(shape, 90, np.uint8)
    crop = crop_camera(default_intrinsics(shape[1], shape[0]), (shape[1] / 2, shape[0] / 2), max(shape))
    assert (warp_crop(picture, crop, 128) == 90).all()


def test_an_aligned_crop_is_the_picture_itself():
    picture = RNG.integers(0, 255, (200, 200, 3), dtype=np.uint8)
    crop = crop_camera(default_intrinsics(200, 200), (99.5, 99.5), 64)
    assert_allclose(warp_crop(picture, crop, 64), picture[68:132, 68:132])
