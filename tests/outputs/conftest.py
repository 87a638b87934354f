"""Hands of a known pose, moments made of them, and free ports."""

import socket

import numpy as np
import pytest

from semihand.kinematics.hand import Motion
from semihand.kinematics.skeleton import MIRROR
from semihand.outputs.lost import Roster
from semihand.synth.hand import forward_kinematics, load_hand
from semihand.synth.pose import Hand as PosedHand
from semihand.synth.pose import draw_gesture
from semihand.tracker.types import Frame, HandBox, HandPose

IMAGE = np.zeros((480, 640, 3), np.uint8)
SIZE = (640, 480)


def joints(gesture="relaxed", side="right", seed=0, place=(0.05, 0.02, 0.5)):
    """An upright hand (21, 3) in metres, palm toward the camera, wrist at `place`."""
    asset, rng = load_hand(), np.random.default_rng(seed)
    angles = draw_gesture(rng, PosedHand(asset, 0), gesture)
    xyz = forward_kinematics(asset.joints[0], asset.axes[0], angles, np.zeros(2))[0] @ np.diag([1.0, -1.0, -1.0])
    return (xyz * (MIRROR if side == "left" else 1)) + place


def pose(xyz, hand_id=1, side="right"):
    uv = xyz[:, :2] / xyz[:, 2:] * 544 + (319.5, 239.5)
    return HandPose(hand_id, side, 0.9, uv, xyz, xyz[:, 2] - xyz[9, 2], np.ones(21), np.zeros((64, 64)), np.eye(3),
                    HandBox(np.zeros(2), 1.0))  # fmt: skip


@pytest.fixture
def made():
    """made(xyz, side="right", hand_id=1): the tracked hand with these joints (21, 3)."""
    return lambda xyz, side="right", hand_id=1: Motion()([pose(xyz, hand_id, side)], 0.0)[0]


@pytest.fixture
def right():
    return Motion()([pose(joints())], 0.0)[0]


@pytest.fixture
def left():
    return Motion()([pose(joints("pinch", "left", 1, (-0.1, 0.0, 0.4)), 2, "left")], 0.0)[0]


@pytest.fixture
def moment():
    """moment(hand, ..., time=0.0): a frame in which these hands are tracked."""
    return lambda *hands, time=0.0: Roster()(Frame(IMAGE, time, round(30 * time)), hands, SIZE, {})


@pytest.fixture
def port():
    """port(kind): a port of this machine that nobody uses now."""

    def free(kind=socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return free


@pytest.fixture
def receiver():
    """receiver() opens a UDP socket; its `port` and `get()` the next datagram."""
    opened = []

    class Receiver:
        def __init__(self):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", 0))
            self.socket.settimeout(20)
            self.port = self.socket.getsockname()[1]
            opened.append(self.socket)

        def get(self):
            return self.socket.recv(65536)

    yield Receiver
    for one in opened:
        one.close()
