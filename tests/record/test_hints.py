"""The words that say what the recording waits for."""

import numpy as np

from semihand.record.coverage import Coverage, PoseFeatures
from semihand.record.guide import PROMPTS, Guide
from semihand.record.hints import Hints
from semihand.record.quality import REASONS


def words(*reasons, prompt="open", coverage=None) -> str:
    guide = Guide()
    guide.index = [one.name for one in PROMPTS].index(prompt)
    hints = Hints()
    for reason in reasons:
        hints.note(reason)
    return hints.words(guide, coverage or Coverage())


def test_what_most_of_the_last_frames_say():
    assert words() == ""
    assert words("", "not needed", "", "blurred") == "good, go on"
    assert words("", "", "blurred", "blurred", "blurred") == "a little more slowly"
    assert words(*["cut off"] * 30, *[""] * 15) == "good, go on"


def test_a_frame_like_others_asks_for_what_the_prompt_wants():
    assert words("duplicate", prompt="turn") == "turn it further"
    assert words("duplicate", prompt="fist") == "move it on"


def test_distance_that_is_missing():
    covered = Coverage(enough=1)
    assert words("duplicate", prompt="near and far", coverage=covered) == "come closer"
    covered.add(PoseFeatures(np.zeros(5), 0, 0, 0, distance=0.3))
    assert words("duplicate", prompt="near and far", coverage=covered) == "go further away"
    covered.add(PoseFeatures(np.zeros(5), 0, 0, 0, distance=0.9))
    assert words("duplicate", prompt="near and far", coverage=covered) == "come closer, then go away"


def test_no_reason_reads_as_an_error():
    for reason in REASONS:
        said = words(reason)
        assert said and not any(word in said for word in ("error", "fail", "bad", "wrong", "doubt", "reject", "not "))


def test_nothing_to_say_when_done():
    guide, hints = Guide(), Hints()
    guide.index = len(PROMPTS)
    hints.note("")
    assert hints.words(guide, Coverage()) == ""
