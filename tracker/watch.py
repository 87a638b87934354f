"""What is wrong with a camera's pictures: darkness, a closed shutter, a frozen or an infrared picture, half the rate."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

import numpy as np

logger = logging.getLogger(__name__)

#: Pixels apart that are looked at.
_STEP = 8
#: Grey levels below which a picture counts as dark, and spread below which it is of one colour.
_DARK, _PLAIN = 18.0, 2.0
#: Share of the promised rate below which a camera counts as slow, and over how many seconds it is measured.
_SLOW, _SLOW_SECONDS = 0.6, 3.0


@dataclass(frozen=True)
class Trouble:
    """One thing that can be wrong. after: seconds that it must last; short: for the picture; advice: for the terminal."""

    after: float
    short: str
    advice: str


TROUBLES = {
    "dark": Trouble(
        1.0, "Too dark: shutter closed?", "delivers black pictures. Open its privacy shutter, or switch on a light."
    ),
    "plain": Trouble(
        1.0,
        "One colour only: shutter closed?",
        "delivers pictures of one colour. Open its shutter, unplug it and plug it in again, or ask for another size "
        "with --width and --height.",
    ),
    "frozen": Trouble(
        3.0,
        "The picture stands still",
        "has delivered the same picture for 3 s. Check its cable, and close other programs that use it.",
    ),
    "grey": Trouble(
        2.0,
        "Infrared camera?",
        "delivers grey pictures, as infrared cameras do; hands are found worse in them. Try another --camera.",
    ),
    "slow": Trouble(
        0.0,
        "Camera is slow: more light helps",
        "delivers far fewer pictures a second than it promised. More light usually helps; so does a smaller --width.",
    ),
}


class PictureWatch:
    """Looks at every picture of one camera. `trouble`: a few words for the picture, empty while all is well."""

    def __init__(self, name: str, fps: float) -> None:
        """name: of the camera; fps: the rate that it promised."""
        self._name, self._fps = name, fps
        self._since: dict[str, float] = {}
        self._told: set[str] = set()
        self._times: deque[float] = deque()
        self._slow = False
        self._last: np.ndarray | None = None
        self.trouble = ""

    def look(self, image: np.ndarray, time: float) -> None:
        """One picture (H, W, 3) uint8 BGR of `time` seconds. What is wrong is told once in the log."""
        seen = self._seen(image[::_STEP, ::_STEP], time)
        self._since = {kind: self._since.get(kind, time) for kind in seen}
        lasting = [
            kind for kind, trouble in TROUBLES.items() if kind in seen and time - self._since[kind] >= trouble.after
        ]
        self.trouble = TROUBLES[lasting[0]].short if lasting else ""
        for kind in lasting[:1]:
            if kind not in self._told:
                self._told.add(kind)
                logger.warning("%s %s", self._name, TROUBLES[kind].advice)

    def interrupted(self) -> None:
        """The camera was away: what comes now is measured anew."""
        self._times.clear()
        self._slow = False
        self._since, self._last, self.trouble = {}, None, ""

    def _seen(self, sample: np.ndarray, time: float) -> set[str]:
        seen = set()
        if sample.max(axis=2).mean() < _DARK:
            seen.add("dark")
        elif sample.std(axis=(0, 1)).max() < _PLAIN:
            seen.add("plain")
        elif (np.ptp(sample, axis=2) == 0).all():
            seen.add("grey")
        if self._last is not None and np.array_equal(sample, self._last):
            seen.add("frozen")
        self._last = sample.copy()
        if self._is_slow(time):
            seen.add("slow")
        return seen

    def _is_slow(self, time: float) -> bool:
        self._times.append(time)
        if time - self._times[0] > _SLOW_SECONDS:
            while time - self._times[0] > _SLOW_SECONDS:
                self._times.popleft()
            self._slow = len(self._times) < _SLOW * self._fps * _SLOW_SECONDS
        return self._slow
