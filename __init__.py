"""semihand: real-time hand tracking that adapts to your hands (SemiHand, Yang, Chen and Yao, ICCV 2021).

from semihand import HandTracker, open_source

with HandTracker() as tracker, open_source(0) as source:
    for frame, hands in tracker.track(source):
        for hand in hands:
            print(f"{hand.handedness} {hand.palm_position} m, pinch {hand.pinch:.2f}, {hand.angles[1]} degrees")
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Not one byte leaves the machine: ONNX Runtime's official builds report usage over HTTPS unless this is set before they
# are loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from .errors import SemihandError as SemihandError
    from .kinematics.hand import Hand as Hand
    from .outputs.live import open_outputs as open_outputs
    from .tracker.draw import draw as draw
    from .tracker.open import HandTracker as HandTracker
    from .tracker.open import open_source as open_source

#: Public names and their modules, imported when first used: numpy, OpenCV and ONNX Runtime take their time.
_MODULES = {
    "Hand": "kinematics.hand",
    "HandTracker": "tracker.open",
    "SemihandError": "errors",
    "draw": "tracker.draw",
    "open_outputs": "outputs.live",
    "open_source": "tracker.open",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
