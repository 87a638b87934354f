"""Displays that are there, are not, or only seem to be."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from semihand.tracker import display
from semihand.tracker.display import display_trouble


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(display.sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    display._tried.cache_clear()
    yield
    display._tried.cache_clear()


def test_none_is_set(monkeypatch):
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert "DISPLAY is not set" in display_trouble()


@pytest.mark.skipif(sys.platform != "linux", reason="X11 is Linux's")
def test_one_that_is_dead_is_found_out_without_harm(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":7777")
    trouble = display_trouble()
    assert ":7777 cannot be opened" in trouble or "built without windows" in trouble


@pytest.mark.parametrize(
    "code,errors,says",
    [
        (0, "", None),
        (-6, "qt.qpa.xcb: could not connect to display :0", "display :0 cannot be opened"),
        (1, "cv2.error: The function is not implemented. Rebuild the library", "built without windows"),
    ],
)
def test_what_the_other_process_says(monkeypatch, code, errors, says):
    calls = []
    done = SimpleNamespace(returncode=code, stderr=errors)
    monkeypatch.setattr(display.subprocess, "run", lambda *args, **more: calls.append(args) or done)
    for trouble in (display_trouble(), display_trouble()):
        assert trouble is None if says is None else says in trouble
    assert len(calls) == 1, "a display is tried once"


def test_one_that_never_answers(monkeypatch):
    def hang(command, **more):
        raise subprocess.TimeoutExpired(command, more["timeout"])

    monkeypatch.setattr(display.subprocess, "run", hang)
    assert "does not answer" in display_trouble()
