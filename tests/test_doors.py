"""The program's doors: what a newcomer types first."""

import cv2
import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from semihand import __version__
from semihand.cli import app
from semihand.commands.doors import GUIDE
from semihand.tracker import run as run_module
from semihand.tracker.summary import Summary

RUNNER = CliRunner()


@pytest.fixture
def tracked(monkeypatch, tmp_path):
    """The options of every run, which tracks nothing; in a folder with a picture, a film's name and a folder."""
    seen = []
    monkeypatch.setattr(run_module, "track", lambda options: seen.append(options) or Summary("nothing"))
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("one.jpg", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "photos").mkdir()
    (tmp_path / "film").write_bytes(b"a file without an ending")
    return seen


@pytest.mark.parametrize("before", [[], ["track"]])
@pytest.mark.parametrize(
    "word, source",
    [("in.mp4", "video"), ("film", "video"), ("one.jpg", "images"), ("photos", "images"), ("IN.MOV", "video"), ("2", "camera")],
)  # fmt: skip
def test_a_source_needs_no_option(tracked, before, word, source):
    assert RUNNER.invoke(app, [*before, word, "--hands", "1"]).exit_code == 0
    (options,) = tracked
    assert str(getattr(options, source)) == word and options.hands == 1
    assert [name for name in ("camera", "video", "images") if getattr(options, name) is not None] == [source]


def test_the_source_may_stand_anywhere(tracked):
    assert RUNNER.invoke(app, ["track", "--hands", "1", "in.mp4", "--mirror"]).exit_code == 0
    assert RUNNER.invoke(app, ["track", "--jsonl", "2", "2"]).exit_code == 0
    assert tracked[0].video == "in.mp4" and tracked[0].hands == 1 and tracked[0].mirror
    assert tracked[1].camera == 2 and tracked[1].jsonl == "2"


@pytest.mark.parametrize("arguments", [["nonsense"], ["track", "nonsense"], ["track", "a.mp4", "--video", "b.mp4"], ["track", "a.mp4", "b.mp4"]])  # fmt: skip
def test_what_is_no_source_is_wrong_usage(tracked, arguments):
    assert RUNNER.invoke(app, arguments).exit_code == 2
    assert tracked == []


def test_bare_and_version():
    bare = RUNNER.invoke(app, [])
    assert bare.exit_code == 0 and "Usage:" in bare.stdout and "track" in bare.stdout
    version = RUNNER.invoke(app, ["--version"])
    assert version.exit_code == 0 and version.stdout == f"semihand {__version__}\n"


def test_the_help_tells_every_command_once_the_live_ones_first():
    named = [name for commands in GUIDE.values() for name in commands]
    assert sorted(named) == sorted(get_command(app).commands)
    shown = RUNNER.invoke(app, ["--help"]).stdout
    places = [shown.index(f"\n  {name} ") for name in named]
    assert places == sorted(places) and named[:2] == ["track", "adapt"]
    assert "..." not in shown.partition("\n")[2] and max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("group", ["models", "recordings"])
def test_a_bare_group_lists(group, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path))
    bare, listed = RUNNER.invoke(app, [group]), RUNNER.invoke(app, [group, "list"])
    assert bare.exit_code == 0 and bare.stdout == listed.stdout != ""


def test_a_number_out_of_range_says_the_range():
    refused = RUNNER.invoke(app, ["track", "--hands", "9"])
    assert refused.exit_code == 2 and "9 is not between 1 and 8." in refused.stderr
    assert "<=x" not in RUNNER.invoke(app, ["track", "--help"]).stdout
