"""LeRobot's arm follows your hand: pip install -e examples/lerobot_teleoperator_semihand, then --teleop.type=semihand.

Actions are those of LeRobot's gamepad: delta_x forward, delta_y left, delta_z up, each in [-1, 1], and the gripper. You face
the camera. Only a stretched little finger moves the arm (the clutch); a hand not seen for STALE seconds stops it.
"""

from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic

import numpy as np
from lerobot.teleoperators import Teleoperator, TeleoperatorConfig

from semihand import HandTracker, open_source

STALE = 0.2
CLOSE, STAY, OPEN = 0, 1, 2  # the gripper's, as LeRobot's gamepad has them
PINCHED, APART = 0.8, 0.4
ROBOT = np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]])  # from the camera's axes to the robot's


@TeleoperatorConfig.register_subclass("semihand")
@dataclass(kw_only=True)
class SemihandConfig(TeleoperatorConfig):
    """camera: as `semihand track --camera`. user: a profile of `semihand calibrate`. step_m: a move of the palm, in metres
    between two actions, that is a whole step; larger ones are cut."""

    camera: str = "0"
    user: str | None = None
    step_m: float = 0.02


class Semihand(Teleoperator):
    config_class, name = SemihandConfig, "semihand"
    action_features = {
        "dtype": "float32", "shape": (4,), "names": {"delta_x": 0, "delta_y": 1, "delta_z": 2, "gripper": 3},
    }  # fmt: skip
    feedback_features: dict = {}
    is_calibrated = True

    def __init__(self, config):
        super().__init__(config)
        self.config, self._thread, self._stop, self._trouble = config, None, Event(), None

    @property
    def is_connected(self):
        return self._thread is not None

    def connect(self, calibrate=True):
        self._tracker, self._source = HandTracker(hands=1, user=self.config.user), open_source(self.config.camera)
        self._source.stop_when = self._stop.is_set
        self._newest, self._anchor, self._trouble = (None, float("-inf")), None, None
        self._stop.clear()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def get_action(self):
        if not self.is_connected or self._trouble:
            raise ConnectionError(self._trouble or "Connect first.")
        hand, seen = self._newest
        fresh = monotonic() - seen < STALE
        at = ROBOT @ hand.palm_position if fresh and hand.extended[4] else None
        # Another hand, or one that comes back, moves nothing: the arm goes on from where it is.
        last, self._anchor = self._anchor, None if at is None else (hand.id, at)
        follows = at is not None and last is not None and last[0] == hand.id
        move = np.clip((at - last[1]) / self.config.step_m, -1, 1) if follows else np.zeros(3)
        gripper = STAY if not fresh else CLOSE if hand.pinch > PINCHED else OPEN if hand.pinch < APART else STAY
        return {**dict(zip(("delta_x", "delta_y", "delta_z"), move.astype(np.float32))), "gripper": gripper}

    def disconnect(self):
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._source.close()
            self._tracker.close()

    def calibrate(self):
        """Nothing to do: see semihand calibrate."""

    configure = calibrate

    def send_feedback(self, feedback):
        """A hand feels nothing."""

    def _watch(self):
        try:
            for _, hands in self._tracker.track(self._source):
                if hands:
                    self._newest = hands[0], monotonic()
                if self._stop.is_set():
                    return
            self._trouble = self._trouble or "The camera has ended."
        except Exception as error:  # told by `get_action`, in the thread that drives the robot
            self._trouble = str(error)
