"""Hand Tracking Streamer text over UDP (usual port 9000), as robot tool chains read it: two lines a hand and frame.

Unity's axes, left-handed, metres, of the user before the camera: x right, y up, z forward, the camera at the origin.
The wrist's own axes: z along the fingers, y out of the back of the hand; the 21 landmarks are told in them, from the
wrist. A hand that is not seen sends nothing, as in the original; receivers stop on their own clock.
"""

from __future__ import annotations

import numpy as np

from ..kinematics.hand import Hand
from ..kinematics.quaternion import from_matrix, to_matrix
from .axes import UNITY, UNITY_WRIST
from .lost import Moment


def hts_lines(moment: Moment) -> list[bytes]:
    """One datagram a hand, of two lines."""
    return [_lines(one.hand).encode() for one in moment.by_side().values() if one]


def _lines(hand: Hand) -> str:
    palm = to_matrix(hand.palm_rotation)
    wrist = [*(UNITY @ hand.xyz_cam[0]), *from_matrix(UNITY @ palm @ UNITY_WRIST.T)]
    landmarks = (hand.xyz_cam - hand.xyz_cam[0]) @ palm @ UNITY_WRIST.T
    side = hand.handedness.capitalize()
    return f"{side} wrist:, {_text(wrist)}\n{side} landmarks:, {_text(landmarks)}\n"


def _text(values) -> str:
    return ", ".join(f"{value:.5f}" for value in np.ravel(values) + 0.0)
