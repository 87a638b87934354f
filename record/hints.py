"""What a guided recording waits for, in words that help: never an error, and calm enough to be read."""

from __future__ import annotations

from collections import Counter, deque

from .coverage import Coverage
from .guide import Guide

#: What to do where frames are left out for this reason (keys of `quality.REASONS`).
_ADVICE = {
    "no hand": "show your hand",
    "other hand": "your other hand, please",
    "several hands": "one hand alone",
    "cut off": "bring the whole hand into the picture",
    "doubtful": "hold it clearly, in more light",
    "side unsure": "turn the palm or the back to the camera",
    "blurred": "a little more slowly",
}
#: What a prompt's bar waits for where frames repeat others.
_GO_ON = {
    "turn": "turn it further",
    "near and far": "come closer, then go away",
    "other light": "change the light, then move your hand",
    "pinch": "on to the next finger",
    "your own": "show another pose",
}
_GOOD, _MOVE = "good, go on", "move it on"
#: So many of the last frames say what the user does.
_MEMORY = 20


class Hints:
    """Feed it every frame's fate; `words` then says what to do."""

    def __init__(self) -> None:
        self._fates: deque[str] = deque(maxlen=_MEMORY)

    def note(self, reason: str) -> None:
        """reason: why the frame was left out, a key of `quality.REASONS`; empty where it was kept."""
        # A frame more than needed is a good one; another answer of the network is what is to be learned.
        self._fates.append("" if reason in ("not needed", "disagreement") else reason)

    def words(self, guide: Guide, coverage: Coverage) -> str:
        """One short line; empty where nothing is known yet."""
        if not self._fates or guide.done:
            return ""
        fate, _ = Counter(self._fates).most_common(1)[0]
        if fate == "duplicate":
            return self._further(guide.prompt.name, coverage)
        return _ADVICE.get(fate, _GOOD)

    def _further(self, prompt: str, coverage: Coverage) -> str:
        missing = coverage.missing()
        if prompt == "near and far":
            near, far = ("distance near" in missing), ("distance far" in missing)
            return "come closer" if near else "go further away" if far else _GO_ON[prompt]
        return _GO_ON.get(prompt, _MOVE)
