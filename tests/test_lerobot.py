"""The LeRobot teleoperator of examples/: clutch, limits, stale input, and a camera that ends."""

import importlib.util
import sys
from pathlib import Path
from queue import Queue
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

FILE = Path(__file__).resolve().parents[1] / "examples" / "lerobot_teleoperator_semihand" / "__init__.py"
END = object()


class Teleoperator:
    """As much of LeRobot's class as the example builds on."""

    def __init__(self, config):
        self.id = config.id


class Config:
    id = None

    @classmethod
    def register_subclass(cls, name):
        return lambda config: config


class Tracker:
    """Tracks what the test puts into `frames`; a frame is done once the example has taken it."""

    frames: Queue

    def __init__(self, **options):
        self.options, self.closed = options, False

    def track(self, source):
        while (hands := self.frames.get()) is not END:
            if isinstance(hands, Exception):
                raise hands
            yield None, hands
            self.frames.task_done()

    def close(self):
        self.closed = True


@pytest.fixture
def clock():
    return SimpleNamespace(now=100.0)


@pytest.fixture
def arm(monkeypatch, clock):
    """The connected teleoperator; `arm.see(hands)` lets it see a frame."""
    fake = ModuleType("lerobot.teleoperators")
    fake.Teleoperator, fake.TeleoperatorConfig = Teleoperator, Config
    monkeypatch.setitem(sys.modules, "lerobot", ModuleType("lerobot"))
    monkeypatch.setitem(sys.modules, "lerobot.teleoperators", fake)
    spec = importlib.util.spec_from_file_location("lerobot_teleoperator_semihand", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    Tracker.frames = Queue()
    monkeypatch.setattr(module, "HandTracker", Tracker)
    monkeypatch.setattr(module, "open_source", lambda camera: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(module, "monotonic", lambda: clock.now)
    arm = module.Semihand(module.SemihandConfig())
    with pytest.raises(ConnectionError, match="Connect first"):
        arm.get_action()
    arm.connect()
    arm.see = lambda *hands: (Tracker.frames.put(list(hands)), Tracker.frames.join())
    yield arm
    Tracker.frames.put(END)
    arm.disconnect()
    assert arm._tracker.closed and not arm.is_connected


def hand(x=0.0, y=0.0, z=0.5, stretched=True, pinch=0.6, number=1):
    return SimpleNamespace(id=number, palm_position=np.array([x, y, z]), extended=[True] * 4 + [stretched], pinch=pinch)


def moved(action):
    return [float(action[name]) for name in ("delta_x", "delta_y", "delta_z")]


def test_the_arm_follows_in_the_robots_axes_and_within_limits(arm):
    arm.see(hand())
    assert moved(arm.get_action()) == [0, 0, 0]
    arm.see(hand(x=0.01, y=-0.005, z=0.48))  # to the user's left, up, away from the user
    assert_allclose(moved(arm.get_action()), [1.0, 0.5, 0.25], atol=1e-6)
    assert moved(arm.get_action()) == [0, 0, 0]  # nothing new was seen
    arm.see(hand(x=0.5, y=0.5, z=0.4))
    assert moved(arm.get_action()) == [1, 1, -1]


def test_without_the_clutch_nothing_moves_and_no_jump_follows(arm):
    arm.see(hand())
    arm.get_action()
    arm.see(hand(x=0.1, stretched=False))
    assert moved(arm.get_action()) == [0, 0, 0]
    arm.see(hand(x=0.2))
    assert moved(arm.get_action()) == [0, 0, 0]
    arm.see(hand(x=0.21))
    assert_allclose(moved(arm.get_action()), [0, 0.5, 0], atol=1e-6)


def test_a_lost_hand_stops_the_arm_and_another_one_moves_nothing_at_once(arm, clock):
    assert arm.get_action() == {"delta_x": 0, "delta_y": 0, "delta_z": 0, "gripper": 1}  # none was seen yet
    arm.see(hand(pinch=0.9))
    assert arm.get_action()["gripper"] == 0
    clock.now += 0.3
    assert arm.get_action() == {"delta_x": 0, "delta_y": 0, "delta_z": 0, "gripper": 1}
    arm.see(hand(x=0.3))
    assert moved(arm.get_action()) == [0, 0, 0]
    arm.see(hand(x=0.35, number=2))
    assert moved(arm.get_action()) == [0, 0, 0]


@pytest.mark.parametrize("pinch, gripper", [(0.9, 0), (0.6, 1), (0.1, 2)])
def test_the_gripper_has_two_thresholds(arm, pinch, gripper):
    arm.see(hand(pinch=pinch))
    assert arm.get_action()["gripper"] == gripper


@pytest.mark.parametrize("end, told", [(END, "The camera has ended"), (OSError("unplugged"), "unplugged")])
def test_a_camera_that_ends_is_told_to_whoever_drives(arm, end, told):
    Tracker.frames.put(end)
    arm._thread.join(20)
    with pytest.raises(ConnectionError, match=told):
        arm.get_action()
