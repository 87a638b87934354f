"""The window while training runs, without a window and with a clock that the test moves."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from semihand.adapt import learning_window as module
from semihand.adapt.learning_window import LearningWindow, learning_picture, learning_window
from semihand.progress import Progress
from semihand.tracker import window as window_module


@pytest.fixture
def screen(monkeypatch):
    state = SimpleNamespace(shown=[], visible=1.0, closed=0, now=0.0)
    fakes = {
        "namedWindow": lambda *_: None,
        "resizeWindow": lambda *_: None,
        "imshow": lambda _, picture: state.shown.append(picture),
        "waitKey": lambda _: -1,
        "getWindowProperty": lambda *_: state.visible,
        "currentUIFramework": lambda: "QT",
        "destroyAllWindows": lambda: setattr(state, "closed", state.closed + 1),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(window_module.cv2, name, fake)
    monkeypatch.setattr(module, "display_available", lambda: True)
    return state


def test_it_draws_a_few_times_a_second_and_at_every_new_stage(screen):
    window = LearningWindow(lambda: screen.now)
    assert len(screen.shown) == 1  # at once: nobody looks at a frozen picture
    for step in range(100):
        screen.now += 0.05
        window("reading hands", (step + 1) / 200)
    window("adapting", 0.001)
    assert 20 <= len(screen.shown) <= 30
    assert (screen.shown[-1] != screen.shown[-2]).any()


def test_closing_it_says_that_the_work_goes_on(screen, caplog):
    caplog.set_level(logging.INFO)
    window = LearningWindow(lambda: screen.now)
    screen.visible = 0.0
    window("adapting", 0.5)
    count = len(screen.shown)
    window("looking again", 0.1)
    assert "The work goes on here; Ctrl-C stops it." in caplog.text
    assert len(screen.shown) == count and screen.closed == 1


def test_all_progress_within_is_shown_and_the_window_goes_away(screen):
    with learning_window("auto"):
        list(Progress(range(3), desc="adapting"))
    assert len(screen.shown) >= 2 and screen.closed == 1
    with learning_window("none"):
        list(Progress(range(3), desc="adapting"))
    assert screen.closed == 1


def test_an_error_takes_the_window_down_too(screen):
    with pytest.raises(ZeroDivisionError), learning_window("window"):
        1 / 0
    assert screen.closed == 1


def test_the_bar_is_as_long_as_the_share():
    green = [
        (learning_picture("Learning", share, 30.0)[110] == (112, 214, 88)).all(axis=1).sum()
        for share in (0.0, 0.5, 1.0)
    ]
    assert green == [0, 288, 576]
    assert (learning_picture("Learning", 0.5, 30) != learning_picture("Learning", 0.5, 300)).any()
    assert np.array_equal(
        learning_picture("Learning", None, None)[104:140], learning_picture("Else", None, None)[104:140]
    )


def test_what_takes_long_without_steps_has_a_name_and_no_bar(screen):
    window = LearningWindow(lambda: screen.now)
    window("looking again", 0.01)
    early = screen.shown[-1]
    assert np.array_equal(early, learning_picture("Looking at every hand again", 0.01, None))  # nobody knows yet
    for stage, words in (("preparing", "Getting ready to learn"), ("judging", "Is it better? Judging the result")):
        window(stage, None)
        assert np.array_equal(screen.shown[-1], learning_picture(words, None, None))
