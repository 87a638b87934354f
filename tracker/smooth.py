"""One-Euro filter (Casiez, Roussel and Vogel, CHI 2012) over all joints at once, and what it does to a hand.

Symbols: mincutoff, beta, dcutoff (the paper's), te the time between two samples, tau a time constant.

The delay is that of a first-order low-pass filter: a joint that moves at a steady speed v is shown late by
tau = 1 / (2 pi cutoff), cutoff = mincutoff + beta |dx|, and the filter's own |dx| is never below v. With the values
below (speeds in hand lengths a second) that is at most 80 ms for a hand at rest, 35 ms at 0.25, 13 ms at 1 and 5 ms
at 3 hand lengths a second; `delay` computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from ..models.camera import Lens
from ..models.joints import ROOT


@dataclass(frozen=True)
class OneEuroConfig:
    """mincutoff Hz: less jitter at rest, more delay. beta Hz per unit of speed: less delay in motion. dcutoff Hz."""

    mincutoff: float = 2.0
    beta: float = 10.0
    dcutoff: float = 1.0

    def __post_init__(self) -> None:
        if not (self.mincutoff > 0 and self.beta >= 0 and self.dcutoff > 0):
            raise ValueError(f"One-Euro needs mincutoff > 0, beta >= 0 and dcutoff > 0, not {self}.")


def delay(speed: float, config: OneEuroConfig = OneEuroConfig()) -> float:
    """Upper bound in seconds of the filter's delay for a steady motion of `speed` units a second."""
    return 1 / (2 * pi * (config.mincutoff + config.beta * abs(speed)))


class OneEuro:
    """Algorithm 1 of the paper on arrays of any shape; every number is a channel of its own."""

    def __init__(self, config: OneEuroConfig = OneEuroConfig()) -> None:
        self.config = config
        self._xhat: np.ndarray | None = None
        self._dxhat: np.ndarray | float = 0.0
        self._time = 0.0

    def __call__(self, x: np.ndarray, time: float, scale: float = 1.0) -> np.ndarray:
        """The filtered x. time: seconds. scale: length of one unit of speed in units of x (a hand's size in pixels).

        The first sample, and one that is not later than the last, passes unfiltered and starts afresh.
        """
        x = np.asarray(x, float)
        te = time - self._time
        self._time = time
        if self._xhat is None or te <= 0:
            self._xhat, self._dxhat = x, 0.0
            return x
        dx = (x - self._xhat) / te
        self._dxhat = self._dxhat + _alpha(self.config.dcutoff, te) * (dx - self._dxhat)
        cutoff = self.config.mincutoff + self.config.beta / scale * np.abs(self._dxhat)
        self._xhat = self._xhat + _alpha(cutoff, te) * (x - self._xhat)
        return self._xhat


def _alpha(cutoff, te: float):
    """Smoothing factor 1 / (1 + tau / te), tau = 1 / (2 pi cutoff)."""
    return 1 / (1 + 1 / (2 * pi * te * cutoff))


@dataclass(frozen=True)
class SmoothConfig:
    """joints: for uv_image and for xyz relative to the root, speeds in hand lengths a second; depth: for the root's."""

    joints: OneEuroConfig = OneEuroConfig()
    depth: OneEuroConfig = OneEuroConfig(mincutoff=1.0, beta=1.0)
    hand_metres: float = 0.1


class PoseSmoother:
    """Filters one hand: 2D joints, joints relative to the root, and the root's depth, which is by far the noisiest.

    The root is put back on the ray of its filtered pixel, so that 2D and 3D stay one hand.
    """

    def __init__(self, config: SmoothConfig = SmoothConfig()) -> None:
        self.config = config
        self._uv = OneEuro(config.joints)
        self._relative = OneEuro(config.joints)
        self._depth = OneEuro(config.depth)

    def __call__(
        self, uv_image: np.ndarray, xyz_cam: np.ndarray, lens: Lens, time: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Filtered uv_image (21, 2) and xyz_cam (21, 3) at `time` seconds; lens of the picture."""
        size = max(float(np.ptp(uv_image, axis=0).max()), 1.0)
        uv = self._uv(uv_image, time, size)
        root = xyz_cam[ROOT]
        relative = self._relative(xyz_cam - root, time, self.config.hand_metres)
        z = self._depth(root[2], time, self.config.hand_metres)
        (u, v), K = lens.straight(uv[ROOT]), lens.K
        moved = z * np.array([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], 1.0])
        return uv, relative + moved
