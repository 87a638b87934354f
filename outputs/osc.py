"""Generic OSC: one bundle a hand and frame, for TouchDesigner, Max, Pure Data, Ableton and the like.

/semihand/{left,right}/...
    state s             tracked, held or lost; a lost hand sends nothing else
    id i, score f
    joint/NAME fff      metres, camera frame (x right, y down, z forward)
    image/NAME ff       0..1 of the picture, right and down
    palm/position fff, palm/rotation ffff (x y z w), palm/velocity fff
    angle/FINGER/NAME f degrees
    pinch/strength f, pinch/distance f (metres), grab f
    extended/FINGER i   1 stretched, 0 bent
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from ..kinematics.skeleton import ANGLE_NAMES
from ..models.joints import FINGERS, JOINT_NAMES
from .extra import need
from .lost import Moment, Seen

_ROOT = "/semihand"
_MESSAGES = (
    [("id", "i"), ("score", "f")]
    + [(f"joint/{name}", "fff") for name in JOINT_NAMES]
    + [(f"image/{name}", "ff") for name in JOINT_NAMES]
    + [("palm/position", "fff"), ("palm/rotation", "ffff"), ("palm/velocity", "fff")]
    + [(f"angle/{finger}/{name}", "f") for finger, names in zip(FINGERS, ANGLE_NAMES) for name in names]
    + [("pinch/strength", "f"), ("pinch/distance", "f"), ("grab", "f")]
    + [(f"extended/{finger}", "i") for finger in FINGERS]
)


def osc_bundles(moment: Moment) -> list[bytes]:
    """A bundle for each side that shows or has lost a hand."""
    bundles = [
        _template(side, one.state).fill(_values(one, moment.size)) for side, one in moment.by_side().items() if one
    ]
    return bundles + [Bundle([(f"{_ROOT}/{side}/state", ("lost",), "")]).fill([]) for side in moment.lost_sides()]


def _values(one: Seen, size: tuple[int, int]) -> np.ndarray:
    """What _MESSAGES say, one after the other."""
    hand = one.hand
    return np.concatenate([
        [hand.id, hand.score], hand.xyz_cam.ravel(), ((hand.uv_image + 0.5) / size).ravel(),
        hand.palm_position, hand.palm_rotation, hand.palm_velocity, hand.angles.ravel(),
        [hand.pinch, hand.pinch_distance, hand.grab], hand.extended,
    ])  # fmt: skip


@lru_cache
def _template(side: str, state: str) -> Bundle:
    messages = [(f"{_ROOT}/{side}/{path}", (), types) for path, types in _MESSAGES]
    return Bundle([(f"{_ROOT}/{side}/state", (state,), ""), *messages])


def load() -> None:
    """Import python-osc. Raises SemihandError where it is missing."""
    need("pythonosc.osc_bundle_builder")
    need("pythonosc.osc_message_builder")


class Bundle:
    """An OSC bundle whose addresses and strings stay and whose numbers change; python-osc builds it once.

    Everything in OSC starts at a multiple of 4 bytes, and a number takes 4: new numbers are new words at their places.
    """

    def __init__(self, messages: Iterable[tuple[str, tuple[str, ...], str]]) -> None:
        """messages: address, strings, and the types of the numbers after them: "f" (32 bits) or "i"."""
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder

        builder = OscBundleBuilder(IMMEDIATELY)
        end = _WORDS_BEFORE
        places: list[int] = []
        whole: list[bool] = []
        for address, strings, types in messages:
            message = OscMessageBuilder(address)
            for string in strings:
                message.add_arg(string, "s")
            for kind in types:
                message.add_arg(0, kind)
            built = message.build()
            builder.add_content(built)
            end += 1 + built.size // 4  # its size stands before it
            places += range(end - len(types), end)
            whole += [kind == "i" for kind in types]
        self._words = np.frombuffer(builder.build().dgram, ">u4")
        self._places, self._whole = np.array(places, np.intp), np.array(whole, np.bool_)

    def fill(self, numbers) -> bytes:
        """The bundle with these numbers, in the order of the messages."""
        numbers = np.asarray(numbers, float)
        words = self._words.copy()
        words[self._places] = np.where(
            self._whole, numbers.astype(">i4").view(">u4"), numbers.astype(">f4").view(">u4")
        )
        return words.tobytes()


#: "#bundle" and the time.
_WORDS_BEFORE = 4
