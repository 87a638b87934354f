"""One hand followed from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import hypot

import numpy as np

from ..models.camera import Lens
from ..models.joints import ROOT
from .crop import CropConfig, ahead, crop_box, moving_factor
from .estimate import Hand, score
from .identity import HandednessVote
from .observe import Observation
from .smooth import PoseSmoother, SmoothConfig
from .types import Frame, HandBox, HandPose


@dataclass(eq=False)
class Track:
    """What is known of one hand between two frames. Only the tracker changes it.

    uv_image (21, 2): its joints at `time` (seconds), as they were seen for a new hand, else the last pose's.
    velocity (2,): pixels a second. box: the last pose's crop, None before the first and where it was found anew.
    misses: frames in a row whose crop showed no clear hand. Of the observer: index of the frame of its last `check`,
    `doubts` in a row, and the frame up to which its word stands against the network's doubts (`trust`).
    """

    vote: HandednessVote
    uv_image: np.ndarray
    time: float
    id: int = 0
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    misses: int = 0
    check: int = 0
    doubts: int = 0
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
        """The box of the next crop. The vote must be settled."""
        uv = self.expected(time, config)
        dt = min(max(time - self.time, 0.0), config.max_lead)
        moved = hypot(*self.velocity) * dt / max(float(np.ptp(uv, axis=0).max()), 1.0)
        last_roll = self.box.roll if self.box else None
        box = crop_box(uv, moving_factor(factor, moved, config), last_roll, config)
        return replace(box, handedness=self.vote.label)

    def seen(self, observation: Observation, moved: bool, frame: Frame, trust: int) -> None:
        """The observer sees this hand; moved: elsewhere than it was held to be. trust: frames."""
        self.vote.add(observation.handedness, observation.handedness_score)
        self.check, self.doubts, self.trust = frame.index, 0, frame.index + trust
        if moved:
            self.uv_image, self.time = observation.uv_image, frame.time
            self.velocity, self.box, self.smoother, self.misses = np.zeros(2), None, None, 0

    def unseen(self, frame: Frame, doubted: bool) -> None:
        """The observer does not see it."""
        self.check, self.doubts = frame.index, self.doubts + 1 if doubted else 0

    def follow(self, hand: Hand, lens: Lens, time: float, smooth: SmoothConfig | None) -> HandPose:
        """Take the network's answer at `time` as this hand's pose; smooth None leaves it as it is."""
        label = hand.box.handedness
        if self.smoother is None or label != self.side:
            self.smoother = PoseSmoother(smooth) if smooth else None
        self.side, self.box = label, hand.box
        if hand.estimate.right is not None:
            self.vote.add_frame(label, hand.estimate.right)
        uv, xyz = hand.uv_image, hand.xyz_cam
        if self.smoother:
            uv, xyz = self.smoother(uv, xyz, lens, time)
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
