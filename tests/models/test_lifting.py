"""Lifting 2.5D joints to 3D."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models import lifting
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS, ROOT
from semihand.models.lifting import (
    bone_lengths,
    lift,
    pixels_per_unit,
    project,
    relative_depth,
    root_depth,
    unit_length,
)

K_CROP = np.array([[110.0, 0, 31.5], [0, 110, 31.5], [0, 0, 1]])
RNG = np.random.default_rng(3)


def random_hands(count, scale=0.042, depth=0.5):
    """Hands (count, 21, 3) metres with the prior's bone lengths, fingers bent at random, turned at random."""
    hands = np.zeros((count, 21, 3))
    for bone, (parent, child) in enumerate(BONES):
        spread = (child - 1) // 4 * 0.25 - 0.5
        direction = np.array([spread, -1.0, 0]) + 0.6 * RNG.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        hands[:, child] = hands[:, parent] + PRIOR_BONE_LENGTHS[bone] * direction
    turn, _ = np.linalg.qr(RNG.normal(size=(count, 3, 3)))
    hands = scale * (hands - hands[:, [ROOT]]) @ turn
    return hands + np.array([0.01, -0.02, depth])


def well_posed(hands):
    """Hands whose unit bone stands well across the view, so that the single-bone root is the farther one."""
    bone = hands[:, 10] - hands[:, 9]
    return hands[np.abs(bone[:, 2]) < 0.7 * np.linalg.norm(bone, axis=-1)]


@pytest.mark.parametrize("method", ["summed", "single"])
def test_lifting_the_projection_gives_the_hand_back(method):
    hands = well_posed(random_hands(200))
    assert len(hands) > 80
    scale = unit_length(hands)
    uv, depth = project(hands, K_CROP), relative_depth(hands, scale)
    lifted = lift(uv, depth, K_CROP, bone_lengths(hands) / scale[:, None], scale, method=method)
    assert_allclose(lifted, hands, atol=1e-6)


def test_known_root_depth_needs_no_bones():
    hands = random_hands(20)
    uv, depth = project(hands, K_CROP), relative_depth(hands, 0.042)
    assert_allclose(lift(uv, depth, K_CROP, scale=0.042, root_depth=hands[:, ROOT, 2]), hands, atol=1e-9)


def test_single_bone_by_hand():
    """A unit bone of 40 mm across the view spans 20 px at f = 100: z = 100 * 40 / 20 = 200 mm, 5 units."""
    uv, depth = np.full((21, 2), 31.5), np.zeros(21)
    uv[10] += [12, 16]
    K = np.array([[100.0, 0, 31.5], [0, 100, 31.5], [0, 0, 1]])
    assert_allclose(root_depth(uv, depth, K, method="single"), 0.2)
    xyz = lift(uv, depth, K, method="single")
    assert_allclose(xyz[10], [0.024, 0.032, 0.2], atol=1e-12)
    assert_allclose(xyz[ROOT], [0, 0, 0.2], atol=1e-12)


def test_single_bone_with_depth_by_hand():
    """x_hat of joint 10 is .1, d is .6: (z + .6)^2 .01 + .36 = 1, so z = 8 - .6 = 7.4 units."""
    uv, depth = np.full((21, 2), 31.5), np.zeros(21)
    uv[10, 0] += 11
    depth[10] = 0.6
    assert_allclose(root_depth(uv, depth, K_CROP, scale=1.0, method="single"), 7.4)
    assert_allclose(lift(uv, depth, K_CROP, scale=1.0, method="single")[10], [0.8, 0, 8.0], atol=1e-12)


def test_negative_discriminant_counts_as_zero():
    """A bone of depth -5 and length 1: z = -b / 2a = 5 units (joint 10 then stands at depth 0)."""
    uv, depth = np.full((21, 2), 31.5), np.zeros(21)
    uv[10, 0] += 11
    depth[10] = -5.0
    assert_allclose(root_depth(uv, depth, K_CROP, scale=1.0, method="single"), 5.0)


@pytest.mark.parametrize("pixels, limit", [(60, 4.0), (0.5, 50.0)])
def test_root_depth_is_clamped(pixels, limit):
    uv, depth = np.full((21, 2), 31.5), np.zeros(21)
    uv[10, 0] += pixels
    assert_allclose(root_depth(uv, depth, K_CROP, scale=0.05, method="single"), 0.05 * limit)


def test_hands_without_extent_are_refused_or_take_the_fallback():
    hands = random_hands(2)
    uv, depth = project(hands, K_CROP), relative_depth(hands, 0.042)
    uv[1] = 31.5
    with pytest.raises(ValueError, match="1 of 2 hands"):
        lift(uv, depth, K_CROP)
    lifted = lift(uv, depth, K_CROP, scale=0.042, fallback_depth=0.6)
    assert_allclose(lifted[1, ROOT], [0, 0, 0.6], atol=1e-12)
    assert_allclose(lifted[0], hands[0], atol=1e-6)
    with pytest.raises(ValueError, match="without extent"):
        pixels_per_unit(uv, depth)


def test_bad_values_are_refused():
    uv, depth = project(random_hands(1)[0], K_CROP), np.zeros(21)
    with pytest.raises(ValueError, match="not finite"):
        lift(uv, np.full(21, np.nan), K_CROP)
    with pytest.raises(ValueError, match="not finite"):
        pixels_per_unit(np.full((21, 2), np.inf), depth)
    with pytest.raises(ValueError, match="Unknown lifting method 'both'"):
        lift(uv, depth, K_CROP, method="both")
    with pytest.raises(ValueError, match="in front of the camera"):
        project(-random_hands(1), K_CROP)


def test_batches_of_any_shape_equal_single_hands():
    hands = random_hands(6).reshape(2, 3, 21, 3)
    cameras = np.stack([K_CROP, K_CROP * [[1.2], [1.2], [1]]])[:, None]
    scale = np.array([[0.04], [0.05]])
    uv, depth = project(hands, cameras), relative_depth(hands, scale)
    lifted = lift(uv, depth, cameras, scale=scale)
    assert lifted.shape == (2, 3, 21, 3)
    assert_allclose(lifted[1, 2], lift(uv[1, 2], depth[1, 2], cameras[1, 0], scale=0.05), atol=1e-12)


def test_summed_is_far_less_noisy_than_single():
    hands = random_hands(400)
    uv = project(hands, K_CROP) + RNG.normal(size=(400, 21, 2))
    depth = relative_depth(hands, 0.042) + 0.15 * RNG.normal(size=(400, 21))
    error = {
        method: np.median(np.abs(root_depth(uv, depth, K_CROP, scale=0.042, method=method) / hands[:, ROOT, 2] - 1))
        for method in lifting.METHODS
    }
    assert error["summed"] < 0.08 and error["summed"] < 0.6 * error["single"]


def test_weak_perspective_scale_is_within_the_measured_bounds():
    """True scale at the root: f * scale / Z pixels per unit; measured elsewhere as a ratio of 1.01 +- .06."""
    hands = random_hands(300)
    depth = relative_depth(hands, 0.042)
    ratio = pixels_per_unit(project(hands, K_CROP), depth) / (110 * 0.042 / hands[:, ROOT, 2])
    assert abs(ratio.mean() - 1) < 0.04 and ratio.std() < 0.08
