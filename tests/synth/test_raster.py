"""The rasteriser, the shadow map and the vertex normals against brute force."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.synth.hand import load_hand
from semihand.synth.objects import draw_object, superquadric, unit_sphere
from semihand.synth.raster import rasterise, shadow_map, vertex_normals

SIZE = 40
CENTRES = np.stack(np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5), -1)  # (v, u, [x, y])


def draw(points, z, triangles, size=SIZE):
    """Inverse depth, triangle and weights of a picture; the buffers are dirty before."""
    buffers = np.full((size, size), 7.0, np.float32), np.full((size, size), 3, np.int32)
    weights = np.zeros((size, size, 2), np.float32)
    rasterise(np.float32(points), np.float32(z), np.int32(triangles), *buffers, weights)
    return *buffers, weights


def edge_distances(corners):
    """(SIZE, SIZE, 3): signed distances of the pixel centres to the three edges, positive inside."""
    turn = np.sign(np.cross(np.append(corners[1] - corners[0], 0), np.append(corners[2] - corners[0], 0))[2])
    distances = []
    for start, end in zip(corners, np.roll(corners, -1, 0)):
        along = (end - start) / np.linalg.norm(end - start)
        distances.append(turn * (along[0] * (CENTRES[..., 1] - start[1]) - along[1] * (CENTRES[..., 0] - start[0])))
    return np.stack(distances, -1)


def projected(corners, focal=30.0):
    """Corners (N, 3) in front of a camera -> raster points (N, 2)."""
    return corners[:, :2] / corners[:, 2:] * focal + SIZE / 2


def plane_depth(corners, focal=30.0):
    """(SIZE, SIZE): depth at which the rays of the pixel centres meet the plane through three corners."""
    rays = np.concatenate([(CENTRES - SIZE / 2) / focal, np.ones((SIZE, SIZE, 1))], -1)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    return normal @ corners[0] / (rays @ normal), rays


@pytest.mark.parametrize("seed", range(6))
def test_triangle_covers_the_pixel_centres_inside_it_at_the_depth_of_its_plane(seed):
    rng = np.random.default_rng(seed)
    corners = np.array([0, 0, 1.6]) + rng.uniform(-1, 1, (3, 3)) * [1.2, 1.2, 0.6]
    inverse_depth, triangle_id, weights = draw(projected(corners), corners[:, 2], [[0, 1, 2]])
    distance = edge_distances(projected(corners)).min(-1)
    assert_array_equal(triangle_id[distance > 1e-3], 0)
    assert_array_equal(triangle_id[distance < -1e-3], -1)
    assert_array_equal(inverse_depth[triangle_id < 0], 0.0)
    inside = triangle_id == 0
    assert inside.sum() > 15
    depth, rays = plane_depth(corners)
    assert_allclose(1 / inverse_depth[inside], depth[inside], rtol=1e-4)
    w1, w2 = weights[inside, 0], weights[inside, 1]
    shares = np.stack([1 - w1 - w2, w1, w2], -1) * depth[inside][:, None] / corners[:, 2]
    assert_allclose(shares @ corners, rays[inside] * depth[inside][:, None], atol=1e-3)


def test_nearer_triangle_wins_pixel_by_pixel_in_any_order():
    left_near = np.array([[-1.0, -0.9, 0.8], [1.0, -0.8, 2.4], [0.1, 1.1, 1.6]])
    right_near = np.array([[-1.0, -0.8, 2.4], [1.0, -0.9, 0.8], [-0.1, 1.1, 1.6]])
    points, z = (projected(np.concatenate([left_near, right_near])), np.append(left_near[:, 2], right_near[:, 2]))
    inverse_depth, triangle_id, _ = draw(points, z, [[0, 1, 2], [3, 4, 5]])
    inside = np.stack([edge_distances(points[:3]).min(-1), edge_distances(points[3:]).min(-1)]) > 1e-3
    depth = np.stack([plane_depth(left_near)[0], plane_depth(right_near)[0]])
    clear = inside.all(0) & (abs(depth[0] - depth[1]) > 1e-3)
    assert set(triangle_id[clear]) == {0, 1}
    assert_array_equal(triangle_id[clear], depth.argmin(0)[clear])
    swapped = draw(points, z, [[3, 4, 5], [0, 1, 2]])
    assert_array_equal(swapped[0], inverse_depth)
    assert_array_equal(1 - swapped[1][clear], triangle_id[clear])


def test_off_screen_parts_are_cut_and_slivers_skipped():
    points = np.array([[-30.0, -20.0], [70.0, 5.0], [10.0, 90.0], [5.0, 5.0], [20.0, 20.0], [35.0, 35.0]])
    inverse_depth, triangle_id, _ = draw(points, np.full(6, 2.0), [[0, 1, 2], [3, 4, 5]])
    distance = edge_distances(points[:3]).min(-1)
    assert_array_equal(triangle_id[distance > 1e-3], 0)
    assert_array_equal(triangle_id[distance < -1e-3], -1)
    assert_allclose(inverse_depth[triangle_id == 0], 0.5, rtol=1e-5)


def test_closed_mesh_has_no_holes():
    vertices, triangles = unit_sphere(30, 40)
    vertices = vertices.astype(np.float32) + np.float32([0.013, -0.007, 3.0])
    size = 240
    covered = draw(vertices[:, :2] / vertices[:, 2:] * 300 + size / 2, vertices[:, 2], triangles, size)[1] >= 0
    x, y = np.meshgrid(np.arange(size) + 0.5 - size / 2, np.arange(size) + 0.5 - size / 2)
    middle = np.hypot(x - 1.3, y + 0.7) < 0.97 * 300 / np.sqrt(8)  # a sphere of radius 1 at distance 3
    assert middle.sum() > 30000
    assert covered[middle].all()


def test_shadow_map_holds_the_depth_nearest_to_the_light():
    floor = np.array([[-100.0, -100.0], [200.0, -100.0], [-100.0, 200.0]])
    leaf = np.array([[5.0, 5.0], [30.0, 8.0], [12.0, 33.0]])
    nearest = np.zeros((SIZE, SIZE), np.float32)
    depth = np.append(np.full(3, 90.0), [40.0, 60.0, 50.0]).astype(np.float32)
    shadow_map(np.float32(np.concatenate([floor, leaf])), depth, np.int32([[0, 1, 2], [3, 4, 5]]), nearest)
    distance = edge_distances(leaf)
    plane = np.linalg.solve(np.column_stack([leaf, np.ones(3)]), depth[3:])
    inside = distance.min(-1) > 1e-3
    assert_allclose(nearest[inside], (CENTRES @ plane[:2] + plane[2])[inside], rtol=1e-4)
    on_floor = (distance.min(-1) < -3) & (CENTRES.sum(-1) < 90)
    assert_allclose(nearest[on_floor], 90.0, rtol=1e-4)


def test_shadow_map_is_far_where_nothing_stands():
    nearest = np.zeros((SIZE, SIZE), np.float32)
    shadow_map(np.float32([[1, 1], [9, 1], [1, 9]]), np.float32([3, 3, 3]), np.int32([[0, 1, 2]]), nearest)
    assert nearest[4, 4] == 3.0
    assert (nearest[20:] == 1e9).all()


def test_normals_of_a_sphere_point_away_from_its_centre():
    vertices, triangles = unit_sphere(24, 36)
    normals = vertex_normals(vertices.astype(np.float32), triangles)
    assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    assert np.degrees(np.arccos((normals * vertices).sum(1).clip(-1, 1))).max() < 5.0


def test_normals_of_the_hand_point_out_of_its_back_and_its_palm():
    hand = load_hand()
    normals = vertex_normals(hand.rest, hand.triangles)
    assert normals[hand.dorsal > 0.8, 2].mean() < -0.6  # z comes out of the palm
    assert normals[hand.dorsal < -0.8, 2].mean() > 0.6


def signed_volume(vertices, triangles):
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return (np.cross(a, b) * c).sum() / 6


def test_ball_and_box_have_their_size_and_face_outward():
    half = np.array([10.0, 20.0, 35.0])
    for squareness, share in ((0.0, (0.85, 1.0)), (0.9, (1.5, 6 / np.pi))):
        vertices, triangles = superquadric(half, squareness)
        assert_allclose(np.abs(vertices).max(0), half, rtol=1e-6)
        ellipsoid = 4 / 3 * np.pi * half.prod()
        assert share[0] < signed_volume(vertices, triangles) / ellipsoid < share[1]


def test_drawn_objects_are_things_a_hand_can_hold():
    rng = np.random.default_rng(0)
    for _ in range(30):
        vertices, triangles = draw_object(rng)
        assert signed_volume(vertices, triangles) > 0
        assert (np.abs(vertices).max(0) >= 2.9).all() and np.abs(vertices).max() <= 120
