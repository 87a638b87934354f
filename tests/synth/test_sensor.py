"""Camera defects."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.synth.sensor import SensorConfig, degrade

NEVER = dict(motion_blur=0, defocus=0, low_resolution=0, desaturate=0, noise=0, jpeg=0, overexpose=0)


def picture(size=48):
    v, u = np.mgrid[:size, :size] / size
    smooth = np.stack([40 + 150 * u, 200 - 120 * v, 90 + 60 * np.sin(9 * u * v)], -1)
    return (smooth + 20 * ((40 * u).astype(int) % 2)[..., None]).astype(np.float32)


def blob(size=96):
    v, u = np.mgrid[:size, :size] - (size - 1) / 2
    return np.repeat(200 * np.exp(-(u**2 + v**2) / 60)[..., None], 3, 2).astype(np.float32)


def centroid(image):
    weight = image.astype(float).sum(-1)
    v, u = np.mgrid[: len(image), : len(image)]
    return np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()


def test_a_perfect_camera_only_rounds():
    for seed in range(10):
        out = degrade(np.random.default_rng(seed), picture(), SensorConfig(strength=0.0))
        assert out.dtype == np.uint8
        assert_allclose(out, picture(), atol=1.0)


def test_same_seed_same_picture():
    first, again = (degrade(np.random.default_rng(5), picture(), SensorConfig()) for _ in range(2))
    assert_array_equal(first, again)
    assert (first != degrade(np.random.default_rng(6), picture(), SensorConfig())).any()


def test_input_is_left_alone():
    image = picture()
    for seed in range(20):
        degrade(np.random.default_rng(seed), image, SensorConfig())
    assert_array_equal(image, picture())


def only(defect):
    """This defect for certain, and no other change of exposure or colour."""
    return SensorConfig(**{**NEVER, defect: 1e9}, strength=1e-9)


@pytest.mark.parametrize("defect", list(NEVER))
def test_each_defect_changes_the_picture(defect):
    changes = []
    for seed in range(8):
        out = degrade(np.random.default_rng(seed), picture(), only(defect))
        assert out.shape == (48, 48, 3) and out.dtype == np.uint8
        changes.append(np.abs(out - picture()).mean())
    assert np.median(changes) > 0.7  # rounding alone makes 0.5


def test_exposure_and_colour_vary_without_any_defect():
    out = [degrade(np.random.default_rng(seed), picture(), SensorConfig(**NEVER)) for seed in range(20)]
    level = np.array([image.mean((0, 1)) for image in out])
    assert level.std(0).min() > 5 and (level[:, 0] / level[:, 2]).std() > 0.02


@pytest.mark.parametrize("defect", ["defocus", "low_resolution", "motion_blur"])
def test_blurs_smear_but_do_not_move_the_hand(defect):
    for seed in range(40):
        out = degrade(np.random.default_rng(seed), blob(), only(defect)).astype(float) + 0.5
        assert_allclose(centroid(np.maximum(out - 3, 0)), (96 - 1) / 2, atol=0.12)
        assert out.max() < blob().max() + 1
        assert_allclose(out.sum(), blob().sum(), rtol=0.15)
