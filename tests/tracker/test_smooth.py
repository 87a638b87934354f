"""The One-Euro filter against a scalar one written from the paper, its properties, and a whole hand's smoother."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.models.camera import Lens, default_intrinsics
from semihand.models.joints import ROOT
from semihand.models.lifting import project
from semihand.tracker.smooth import OneEuro, OneEuroConfig, PoseSmoother, SmoothConfig, delay

K = default_intrinsics(640, 480)


class ScalarOneEuro:
    """Algorithm 1 of the paper, one number at a time."""

    def __init__(self, mincutoff, beta, dcutoff):
        self.mincutoff, self.beta, self.dcutoff = mincutoff, beta, dcutoff
        self.hatxprev = None
        self.hatdx = 0.0

    def filter(self, x, rate):
        if self.hatxprev is None:
            self.hatxprev = x
            return x
        dx = (x - self.hatxprev) * rate
        self.hatdx = self.lowpass(dx, self.hatdx, self.alpha(rate, self.dcutoff))
        cutoff = self.mincutoff + self.beta * abs(self.hatdx)
        self.hatxprev = self.lowpass(x, self.hatxprev, self.alpha(rate, cutoff))
        return self.hatxprev

    def alpha(self, rate, cutoff):
        tau = 1.0 / (2 * math.pi * cutoff)
        te = 1.0 / rate
        return 1.0 / (1.0 + tau / te)

    def lowpass(self, x, previous, alpha):
        return alpha * x + (1 - alpha) * previous


def test_equals_the_scalar_filter_at_uneven_times():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.005, 0.08, 60))
    signal = np.cumsum(rng.normal(size=(60, 21, 2)), axis=0)
    config = OneEuroConfig(mincutoff=1.3, beta=0.4, dcutoff=0.9)
    vectorised = OneEuro(config)
    got = np.stack([vectorised(x, t) for x, t in zip(signal, times)])
    for joint, axis in ((0, 0), (9, 1), (20, 0)):
        scalar = ScalarOneEuro(1.3, 0.4, 0.9)
        rates = [30.0] + list(1 / np.diff(times))
        expected = [scalar.filter(x, rate) for x, rate in zip(signal[:, joint, axis], rates)]
        assert_allclose(got[:, joint, axis], expected, rtol=1e-10)


def test_constant_in_constant_out():
    keep = OneEuro()
    x = np.random.default_rng(1).normal(size=(21, 3))
    for index in range(20):
        assert_allclose(keep(x, index / 30), x, rtol=0, atol=0)


def test_delay_of_a_ramp_is_what_the_docs_say():
    config = OneEuroConfig(mincutoff=1.5, beta=2.0, dcutoff=1.0)
    speed, te = 3.0, 1 / 200
    run = OneEuro(config)
    for index in range(4000):
        x = speed * index * te
        filtered = run(np.array(x), index * te)
    lag = (x - filtered) / speed
    # The filter's speed is measured from its own last output, so it settles at speed * (1 + lag / te).
    own_speed = speed * (1 + lag / te)
    assert_allclose(lag, 1 / (2 * math.pi * (config.mincutoff + config.beta * own_speed)), rtol=1e-6)
    assert lag < delay(speed, config)


def test_delay_without_speed_term_is_exact():
    config = OneEuroConfig(mincutoff=2.0, beta=0.0)
    run = OneEuro(config)
    for index in range(2000):
        filtered = run(np.array(index / 100), index / 100)
    assert_allclose(1999 / 100 - filtered, delay(0.0, config), rtol=1e-6)
    assert_allclose(delay(0.0, config), 0.0795775, rtol=1e-5)


def test_delays_that_the_docs_state():
    assert [round(1e3 * delay(speed)) for speed in (0, 0.25, 1, 3)] == [80, 35, 13, 5]


def test_scale_makes_parameters_independent_of_resolution():
    signal = np.cumsum(np.random.default_rng(2).normal(size=(40, 21, 2)), axis=0)
    small, large = OneEuro(), OneEuro()
    for index, x in enumerate(signal):
        assert_allclose(large(5 * x, index / 30, scale=500.0), 5 * small(x, index / 30, scale=100.0), rtol=1e-12)


def test_less_jitter_at_rest():
    noise = np.random.default_rng(3).normal(size=(300, 21, 2))
    run = OneEuro()
    out = np.stack([run(100 + x, index / 30, scale=100.0) for index, x in enumerate(noise)])
    assert out[100:].std() < 0.75 * noise[100:].std()


def test_a_time_that_does_not_advance_starts_afresh():
    run = OneEuro()
    run(np.zeros(3), 0.0)
    run(np.ones(3), 0.1)
    assert_allclose(run(np.full(3, 5.0), 0.1), 5.0)
    assert_allclose(run(np.full(3, 7.0), 0.0), 7.0)


@pytest.mark.parametrize("values", [{"mincutoff": 0}, {"beta": -1}, {"dcutoff": 0}])
def test_refuses_senseless_parameters(values):
    with pytest.raises(ValueError, match="One-Euro"):
        OneEuroConfig(**values)


def test_a_smoothed_hand_stays_on_its_pixels_and_keeps_its_input():
    rng = np.random.default_rng(4)
    hand = rng.normal(size=(21, 3)) * 0.04 + (0.05, -0.02, 0.5)
    smoother = PoseSmoother(SmoothConfig())
    depths = []
    for index in range(200):
        noisy = hand * (1 + 0.05 * rng.normal())  # along the rays: the depth is noisy, the pixels are not
        before = noisy.copy()
        uv, xyz = smoother(project(noisy, K), noisy, Lens(K), index / 30)
        assert_allclose(noisy, before, rtol=0, atol=0)
        assert_allclose(project(xyz, K)[ROOT], uv[ROOT], atol=1e-9)
        depths.append((noisy[ROOT, 2], xyz[ROOT, 2]))
    raw, smooth = np.std(depths[30:], axis=0)
    assert smooth < 0.6 * raw


def test_no_smoothing_of_a_resting_hand_moves_it():
    hand = np.random.default_rng(5).normal(size=(21, 3)) * 0.04 + (0, 0, 0.5)
    smoother = PoseSmoother()
    for index in range(5):
        uv, xyz = smoother(project(hand, K), hand, Lens(K), index / 30)
    assert_allclose(xyz, hand, atol=1e-12)
    assert_allclose(uv, project(hand, K), atol=1e-9)
