"""Rendered pictures against geometry: labels, mask, visibility, repeatability."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.models.joints import MIDDLE_MCP, TIPS, WRIST
from semihand.synth.canvas import WRIST_END_MM
from semihand.synth.materials import draw_look
from semihand.synth.scene import SceneConfig, SceneRenderer, draw_view
from semihand.synth.sensor import SensorConfig

#: As a webcam sees them; before its owner's own eyes a hand hides more of itself.
CLEAN = SceneConfig(
    size=96, own_eyes=0, second_hand=0, held_object=0, occluder=0, empty=0, sensor=SensorConfig(strength=0)
)
CROWDED = replace(CLEAN, second_hand=0.9, held_object=0.7, occluder=0.5)
COUNT = 40
#: One seed for most tests, for its backgrounds take seconds to paint.
SEED = 11


@pytest.fixture(scope="module")
def clean():
    """Pictures of one bare hand each."""
    renderer = SceneRenderer(CLEAN, SEED)
    return [renderer.render(index) for index in range(COUNT)]


def geometry(config, index):
    """What picture `index` shows, from the same draws: joints (21, 3) mm and the meshes, None where it was redrawn."""
    joints, meshes, _ = SceneRenderer(config, SEED)._draw_meshes(np.random.default_rng([SEED, index, 0]))
    nearest = min(mesh.vertices[:, 2].min() for mesh in meshes)
    return (joints, meshes) if nearest >= 80 else None


def drawn(config, indices):
    """(sample, joints, meshes) of the pictures that were accepted at the first draw."""
    renderer = SceneRenderer(config, SEED)
    for index in indices:
        known = geometry(config, index)
        if known:
            yield renderer.render(index), *known


def equal(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)


def test_same_number_same_picture_in_another_renderer_and_order():
    config = replace(CROWDED, size=64, empty=0.2, sensor=SensorConfig())
    first, second = SceneRenderer(config, SEED), SceneRenderer(config, SEED)
    forward = {index: first.render(index) for index in (0, 1, 2, 300, 301)}
    for index in (301, 2, 0, 300, 1):
        assert equal(forward[index], second.render(index))


def test_other_number_or_seed_other_picture():
    config = replace(CLEAN, size=64)
    one, two = (SceneRenderer(config, SEED).render(index) for index in (0, 1))
    other = SceneRenderer(config, seed=2).render(0)
    for sample in (two, other):
        assert np.abs(one.uv - sample.uv).max() > 1 and (one.image != sample.image).mean() > 0.5


def test_shapes_and_types(clean):
    sample = clean[0]
    kinds = {"image": (96, 96, 3), "mask": (48, 48), "uv": (21, 2), "xyz": (21, 3), "K": (4,), "visible": (21,)}
    for name, shape in kinds.items():
        assert getattr(sample, name).shape == shape
    assert sample.image.dtype == sample.mask.dtype == np.uint8
    assert sample.uv.dtype == sample.xyz.dtype == sample.K.dtype == np.float32
    assert sample.visible.dtype == bool and sample.present


def test_uv_is_the_projection_of_xyz(clean):
    for sample in clean:
        fx, fy, cx, cy = sample.K.astype(float)
        xyz = sample.xyz.astype(float)
        assert_allclose(sample.uv, xyz[:, :2] / xyz[:, 2:] * [fx, fy] + [cx, cy], atol=2e-3)


def test_joints_box_is_centred_and_of_the_configured_size(clean):
    for sample in clean:
        low, high = sample.uv.min(0), sample.uv.max(0)
        assert_allclose((low + high) / 2, (96 - 1) / 2, atol=1e-3)
        assert_allclose((high - low).max(), 96 / CLEAN.crop_factor, rtol=1e-4)


def test_optical_axis_passes_through_the_middle(clean):
    for sample in clean:
        fx, fy, cx, cy = sample.K
        assert fx == fy
        assert_allclose([cx, cy], (96 - 1) / 2, atol=0.05)


def test_hands_are_hand_sized_and_at_webcam_distances(clean):
    z = np.array([sample.xyz[:, 2].mean() for sample in clean])
    assert z.min() > 0.2 and z.max() < 1.3 and z.std() > 0.1
    for sample in clean:
        palm = np.linalg.norm(sample.xyz[MIDDLE_MCP] - sample.xyz[WRIST])
        assert 0.035 < palm < 0.12  # children's to large men's


def test_masks_have_soft_edges_from_0_to_255(clean):
    for sample in clean:
        mask = sample.mask
        soft = ((mask > 0) & (mask < 255)).mean()
        assert mask.max() == 255 and mask.min() == 0
        assert 0.01 < soft < 0.3
        assert 0.03 < (mask > 127).mean() < 0.6


def dilated(sample, pixels):
    kernel = np.ones((2 * pixels + 1,) * 2, np.uint8)
    mask = cv2.resize(sample.mask, sample.image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.dilate((mask > 100).astype(np.uint8), kernel) > 0


def test_joints_lie_inside_the_mask(clean):
    inside = []
    for sample in clean:
        at = np.round(sample.uv).astype(int)
        inside.append(dilated(sample, 2)[at[:, 1], at[:, 0]])
    inside = np.array(inside)
    assert inside.mean() > 0.98
    assert inside[:, list(TIPS)].mean() > 0.97
    assert inside[:, WRIST].mean() > 0.85


def test_mask_ends_at_the_wrist():
    checked = 0
    for sample, joints, _ in drawn(replace(CLEAN, size=128), range(30)):
        axis = joints[MIDDLE_MCP] - joints[WRIST]
        tilt = abs(axis[2]) / np.linalg.norm(axis)
        if tilt > 0.2:
            continue
        checked += 1
        uv = sample.uv.astype(float)
        along = uv[MIDDLE_MCP] - uv[WRIST]
        millimetres = np.linalg.norm(axis[:2]) / np.linalg.norm(along)
        v, u = np.nonzero(sample.mask > 127)
        side = (np.stack([u, v], -1) * 2 + 0.5 - uv[WRIST]) @ along / np.linalg.norm(along) * millimetres
        assert WRIST_END_MM - 20 < side.min() < WRIST_END_MM + 15
    assert checked >= 8


def silhouette(mesh, keep, K, size, fine=8):
    """(size, size) coverage of the triangles of `keep`, drawn independently at `fine` times the resolution."""
    scale = np.array([K[0], K[1]], float)
    points = mesh.vertices[:, :2] / mesh.vertices[:, 2:] * scale + K[2:].astype(float)
    picture = np.zeros((size * fine, size * fine), np.uint8)
    corners = (((points + 0.5) * fine - 0.5) * 16).round().astype(np.int32)
    for triangle in mesh.triangles[keep]:
        cv2.fillConvexPoly(picture, corners[triangle], 255, cv2.LINE_8, 4)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def test_mask_is_where_the_labels_say_to_a_tenth_of_a_pixel():
    offsets = []
    for sample, _, (mesh,) in drawn(replace(CLEAN, size=128), range(8)):
        hand = mesh.rest[mesh.triangles][..., 1].min(1) >= WRIST_END_MM
        mine = silhouette(mesh, hand, sample.K, 128)
        mask = cv2.resize(sample.mask, (128, 128), interpolation=cv2.INTER_LINEAR)
        away = cv2.GaussianBlur(mine, (0, 0), 4) > 5
        forearm = silhouette(mesh, ~hand, sample.K, 128)
        away &= cv2.dilate(forearm, np.ones((13, 13), np.uint8)) == 0
        v, u = np.nonzero(away)
        for picture in (mine, mask):
            weight = picture[v, u].astype(float)
            offsets.append([(u * weight).sum() / weight.sum(), (v * weight).sum() / weight.sum()])
    offsets = np.array(offsets).reshape(-1, 2, 2)
    assert len(offsets) >= 5
    assert_allclose(offsets[:, 0], offsets[:, 1], atol=0.2)
    assert_allclose((offsets[:, 0] - offsets[:, 1]).mean(0), 0, atol=0.05)


def first_hit(origin_ray, meshes):
    """Depth at which a ray from the camera first meets a triangle (Moeller and Trumbore), inf where it meets none."""
    nearest = np.inf
    for mesh in meshes:
        a, b, c = (mesh.vertices[mesh.triangles[:, k]].astype(float) for k in range(3))
        p = np.cross(origin_ray, c - a)
        determinant = ((b - a) * p).sum(1)
        usable = np.abs(determinant) > 1e-9
        inverse = 1 / np.where(usable, determinant, 1)
        u = -(a * p).sum(1) * inverse
        q = np.cross(-a, b - a)
        v = q @ origin_ray * inverse
        depth = ((c - a) * q).sum(1) * inverse
        hit = usable & (u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0)
        nearest = min(nearest, depth[hit].min(initial=np.inf))
    return nearest


def test_visible_joints_lie_just_below_the_first_surface_seen():
    agree, visible, depths = [], [], []
    for sample, joints, meshes in drawn(CROWDED, range(12)):
        for joint, seen in zip(joints.astype(float), sample.visible):
            depth = joint[2] - first_hit(joint / joint[2], meshes)
            depths.append(depth)
            agree.append(seen == (depth < 20) or abs(depth - 20) < 4)
            visible.append(seen)
    assert np.mean(agree) > 0.93  # the rest: silhouettes, where half a pixel decides
    assert 0.2 < np.mean(visible) < 0.9
    assert np.mean(np.array(depths) > -1.0) > 0.97  # joints are under the skin, not before it


def test_unoccluded_hands_show_most_joints(clean):
    assert np.mean([sample.visible for sample in clean]) > 0.6


def test_own_eyes_often_see_the_thumbs_side():
    rng = np.random.default_rng(0)
    views = np.array([draw_view(rng, 1.0, own_eyes=1.0) for _ in range(400)])
    assert np.allclose(np.linalg.det(views), 1)
    toward = -views[:, 2, 0]  # how far the thumb's side faces the camera
    assert 0.25 < (toward > 0.5).mean() < 0.6
    assert (toward < -0.5).mean() < 0.15
    assert (views[:, 2, 1] < 0.8).all()  # never along the arm


def test_an_occluder_covers_what_it_hides():
    config = replace(CLEAN, size=64, occluder=1.0)
    bare, covered = (SceneRenderer(c, SEED) for c in (replace(CLEAN, size=64), config))
    hidden = [(covered.render(i).mask > 0).mean() / (bare.render(i).mask > 0).mean() for i in range(12)]
    assert np.mean(hidden) < 0.95


def test_empty_pictures_show_no_hand():
    renderer = SceneRenderer(replace(CLEAN, size=64, empty=1.0), SEED)
    for index in range(5):
        sample = renderer.render(index)
        assert not sample.present and not sample.visible.any() and not sample.mask.any()
    some = SceneRenderer(replace(CLEAN, size=32, empty=0.5), SEED)
    assert 0.2 < np.mean([some.render(index).present for index in range(40)]) < 0.8


def test_turning_the_hand_about_the_optical_axis_turns_picture_and_labels():
    renderer = SceneRenderer(CLEAN, SEED)
    joints, meshes, _ = renderer._draw_meshes(np.random.default_rng([SEED, 0, 0]))
    quarter = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # counter-clockwise in the picture
    samples = []
    for turn in (np.eye(3), quarter):
        turned = [replace(mesh, vertices=mesh.vertices @ turn.T) for mesh in meshes]
        focal, center = renderer._aim(joints @ turn.T)
        rng = np.random.default_rng(1)
        mask = renderer._draw_pixels(rng, turned, focal, center, draw_look(rng, 0))[2]
        samples.append(renderer._label(np.zeros((96, 96, 3), np.uint8), mask, joints @ turn.T, focal, center, True))
    before, after = samples
    assert_allclose(after.uv, np.stack([before.uv[:, 1], 95 - before.uv[:, 0]], -1), atol=2e-3)
    assert_allclose(after.xyz[:, 2], before.xyz[:, 2], atol=1e-7)
    difference = np.abs(after.mask.astype(int) - np.rot90(before.mask))
    assert (difference > 60).mean() < 0.002 and difference.mean() < 0.3


def test_views_are_rotations_and_webcam_views_are_mostly_upright():
    rng = np.random.default_rng(0)
    views = np.array([draw_view(rng, 1.0) for _ in range(300)])
    assert_allclose(views @ views.transpose(0, 2, 1), np.broadcast_to(np.eye(3), views.shape), atol=1e-9)
    assert_allclose(np.linalg.det(views), 1.0, atol=1e-9)
    assert (views[:, 1, 1] < 0).mean() > 0.8  # fingers point up in the picture
    palm_to_camera = (views[:, 2, 2] < 0).mean()
    assert 0.4 < palm_to_camera < 0.8
    anywhere = np.array([draw_view(rng, 0.0) for _ in range(300)])
    assert anywhere[:, 2, 1].max() <= 0.8
    assert 0.35 < (anywhere[:, 1, 1] < 0).mean() < 0.65


@pytest.mark.parametrize("values, words", [
    ({"size": 30}, "size 30"), ({"size": 66}, "size 66"), ({"crop_factor": 0.5}, "Crop factor 0.5"),
])  # fmt: skip
def test_impossible_settings_are_refused(values, words):
    with pytest.raises(SemihandError, match=words):
        SceneConfig(**values)


def test_a_hand_that_never_fits_is_an_error_not_a_hang():
    with pytest.raises(SemihandError, match="found no hand in front of the camera"):
        SceneRenderer(replace(CLEAN, distance_m=(0.02, 0.03)), SEED).render(0)


def test_given_pictures_are_used_as_backgrounds():
    red = np.full((100, 100, 3), (255, 0, 0), np.uint8)
    config = replace(CLEAN, size=32, empty=1.0)
    renderer = SceneRenderer(config, SEED, [red])
    corner = np.array([renderer.render(i).image.astype(int).mean((0, 1)) for i in range(30)])
    flat = [np.ptp(np.sort(c)) > 100 and np.sort(c)[1] < 45 for c in corner]
    assert 0.3 < np.mean(flat) < 0.9
