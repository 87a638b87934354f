"""Progress without a terminal, with a clock that the test moves."""

import logging

import pytest

from semihand.progress import LINE_EVERY, Progress, announce, listening


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "semihand.progress")
    return caplog


def test_a_log_file_gets_a_line_every_ten_seconds(lines):
    clock = Clock()
    with Progress(desc="tracking", total=500, unit="frames", clock=clock) as progress:
        for _ in range(500):
            clock.now += 0.125
            progress.update()
    assert len(lines.messages) == int(62.5 / LINE_EVERY)
    assert lines.messages[0] == "tracking: 80 of 500 frames (16 %), about 52 s left"


def test_short_work_and_disabled_work_say_nothing(lines):
    clock = Clock()
    for more in ({}, {"disable": True}):
        for _ in Progress(range(50), unit="frames", clock=clock, **more):
            clock.now += 0.1 if not more else 100
    assert lines.messages == []


def test_resumed_and_endless_work(lines):
    clock = Clock()
    resumed = Progress(desc="adapting", total=1000, unit="step", initial=900, clock=clock)
    clock.now = 200
    resumed.update(50)
    endless = Progress(unit="frames", clock=clock)
    clock.now = 300
    endless.update(7)
    assert lines.messages == ["adapting: 950 of 1000 step (95 %), about 3 min left", "7 frames"]


def test_work_that_begins_again(lines):
    clock = Clock()
    progress = Progress(total=100, unit="frames", clock=clock)
    progress.update(90)
    clock.now = 100
    progress.restart()
    clock.now = 110
    progress.update(20)
    assert lines.messages == ["20 of 100 frames (20 %), about 40 s left"]


def test_iterating_and_listening():
    told = []
    with listening(lambda what, share: told.append((what, share))):
        assert list(Progress(iter("ab"), desc="reading", total=2)) == ["a", "b"]
        list(Progress(iter("c"), desc="endless"))
        list(Progress([1], disable=True))
    list(Progress([1], desc="after"))
    assert told == [("reading", 0.5), ("reading", 1.0), ("endless", None)]


def test_work_with_a_limit_ends_with_it(lines):
    clock, told = Clock(), []
    with listening(lambda what, share: told.append((what, share))):
        progress = Progress(desc="adapting", total=100, unit="steps", clock=clock, limit=40.0)
        clock.now = 10.0
        progress.update(5)
        clock.now = 50.0
        progress.update(5)
        announce("judging")
    assert lines.messages[0] == "adapting: 5 of 100 steps (5 %), about 30 s left"
    assert told == [("adapting", 0.25), ("adapting", 1.0), ("judging", None)]
