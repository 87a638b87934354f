"""One hand followed from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..models.joints import ROOT
from .crop import CropConfig, ahead, crop_box
from .estimate import Hand, score
from .identity import HandednessVote
from .smooth import PoseSmoother, SmoothConfig
from .types import HandBox, HandPose


@dataclass
class Track:
    """What is known of one hand between two frames.

    uv_image (21, 2): its joints at `time` (seconds), from the landmark model for a new hand, else the last pose's.
    velocity (2,): pixels a second. roll: its last crop's, None before the first. misses: frames in a row whose
    crop showed no clear hand. doubts: failed checks by the landmark model in a row. unchecked: frames since the last.
    trust: frames for which the landmark model's word stands against the network's doubts.
    """

    vote: HandednessVote
    uv_image: np.ndarray
    time: float
    id: int = 0
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    roll: float | None = None
    misses: int = 0
    doubts: int = 0
    unchecked: int = 0
    trust: int = 0
    smoother: PoseSmoother | None = None
    side: str | None = None
    box: HandBox | None = None

    @property
    def followed(self) -> bool:
        """Whether it has been in a frame before."""
        return self.side is not None

    def expected(self, time: float, config: CropConfig) -> np.ndarray:
        """Where its joints (21, 2) will be at `time`."""
        return ahead(self.uv_image, self.velocity, time - self.time, config)

    def aim(self, time: float, factor: float, config: CropConfig) -> HandBox:
        """The box of the next crop; sets `box` and `roll`. The vote must be settled."""
        box = crop_box(self.expected(time, config), factor, self.roll, config)
        self.roll = box.roll
        self.box = replace(box, handedness=self.vote.label)
        return self.box

    def place(self, uv_image: np.ndarray, time: float) -> None:
        """Found anew at uv_image (21, 2) by the detector: what was known of place and motion is void."""
        self.uv_image, self.time = uv_image, time
        self.velocity, self.roll, self.smoother = np.zeros(2), None, None
        self.misses = self.doubts = 0

    def follow(self, hand: Hand, K: np.ndarray, time: float, smooth: SmoothConfig | None) -> HandPose:
        """Take the network's answer at `time` as this hand's pose; smooth None leaves it as it is."""
        label = self.vote.label
        if self.smoother is None or label != self.side:
            self.smoother = PoseSmoother(smooth) if smooth else None
        self.side = label
        uv, xyz = hand.uv_image, hand.xyz_cam
        if self.smoother:
            uv, xyz = self.smoother(uv, xyz, K, time)
        dt = time - self.time
        if dt > 0:
            self.velocity = (uv.mean(axis=0) - self.uv_image.mean(axis=0)) / dt
        self.uv_image, self.time = uv, time
        return self._pose(hand, uv, xyz)

    def _pose(self, hand: Hand, uv: np.ndarray, xyz: np.ndarray) -> HandPose:
        sure = score(hand.estimate)
        return HandPose(
            id=self.id,
            handedness=self.side,
            score=sure,
            uv_image=uv,
            xyz_cam=xyz,
            depth_rel=(xyz - xyz[ROOT]) @ hand.crop.rotation[2],
            confidence=hand.estimate.confidence,
            mask_crop=hand.estimate.mask,
            image_to_crop=hand.crop.image_to_crop,
            box=replace(self.box, score=sure),
        )
