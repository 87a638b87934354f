"""The window's keys, without a window; and which viewer opens where."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from semihand.errors import SemihandError
from semihand.tracker import viewer
from semihand.tracker.types import Frame
from semihand.tracker.viewer import NoViewer, RerunViewer, Window, open_viewer

PICTURE = np.full((40, 60, 3), 77, np.uint8)
FRAME = Frame(PICTURE, 0.5, 15)


@pytest.fixture
def screen(monkeypatch):
    """A fake screen: `keys` are pressed one a wait, `shown` counts pictures, `visible` is the window's state."""
    state = SimpleNamespace(keys=[], shown=0, visible=1.0, waits=0)

    def wait(_):
        state.waits += 1
        return ord(state.keys.pop(0)) if state.keys else -1

    def show(_title, picture):
        state.shown += 1

    for name, fake in {
        "namedWindow": lambda *_: None,
        "resizeWindow": lambda *_: None,
        "imshow": show,
        "waitKey": wait,
        "getWindowProperty": lambda *_: state.visible,
        "destroyAllWindows": lambda: None,
    }.items():
        monkeypatch.setattr(viewer.cv2, name, fake)
    return state


def test_nothing_pressed_goes_on(screen):
    window = Window()
    assert window.show(FRAME, [], PICTURE)
    assert screen.shown == 1


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_quit(screen, key):
    screen.keys = [key]
    assert not Window().show(FRAME, [], PICTURE)


def test_keys_and_closing_work_while_no_picture_comes(screen):
    window = Window()
    screen.visible = 0.0
    assert window.idle(), "before the first picture nothing is visible"
    screen.visible = 1.0
    assert window.show(FRAME, [], PICTURE) and window.idle()
    screen.keys = ["q"]
    assert not window.idle()
    screen.visible = 0.0
    assert not window.idle()


def test_closing_the_window_quits(screen):
    screen.visible = 0.0
    assert not Window().show(FRAME, [], PICTURE)


def test_mirror_toggles(screen):
    window = Window(mirror=False)
    for expected in (True, False):
        screen.keys = ["m"]
        assert window.show(FRAME, [], PICTURE)
        assert window.mirror is expected


def test_snapshot(screen, tmp_path):
    screen.keys = ["s"]
    assert Window(folder=tmp_path).show(FRAME, [], PICTURE)
    (path,) = tmp_path.glob("semihand-*.png")
    assert (cv2.imread(str(path)) == PICTURE).all()


def test_snapshot_that_cannot_be_written_does_not_end_the_run(screen, tmp_path, caplog):
    screen.keys = ["s"]
    assert Window(folder=tmp_path / "none").show(FRAME, [], PICTURE)
    assert "could not be written: No such file" in caplog.text


def test_pause_waits_for_space_and_takes_snapshots(screen, tmp_path):
    screen.keys = [" ", "x", "s", "x", " "]
    assert Window(folder=tmp_path).show(FRAME, [], PICTURE)
    assert screen.waits == 5
    assert len(list(tmp_path.glob("*.png"))) == 1


def test_pause_ends_with_quit_close_and_ctrl_c(screen):
    screen.keys = [" ", "q"]
    assert not Window().show(FRAME, [], PICTURE)
    screen.keys = [" "]
    assert not Window(stopped=lambda: True).show(FRAME, [], PICTURE)
    screen.keys, screen.visible = [" "], 0.0
    assert not Window().show(FRAME, [], PICTURE)


def test_no_display(monkeypatch, caplog):
    monkeypatch.setattr(viewer, "display_trouble", lambda: "DISPLAY is not set.")
    assert isinstance(open_viewer("auto"), NoViewer)
    with pytest.raises(SemihandError, match="DISPLAY is not set.*--viewer none"):
        open_viewer("window")
    assert not open_viewer("none").wants_picture
    assert open_viewer("none").show(FRAME, [], None)


def test_display(monkeypatch, screen):
    monkeypatch.setattr(viewer, "display_trouble", lambda: None)
    assert isinstance(open_viewer("auto"), Window)
    assert open_viewer("window", mirror=True).mirror
    with pytest.raises(ValueError, match="Unknown viewer 'hologram'"):
        open_viewer("hologram")


def test_opencv_without_windows(monkeypatch):
    def fail(*_):
        raise cv2.error("not implemented")

    monkeypatch.setattr(viewer.cv2, "namedWindow", fail)
    monkeypatch.setattr(viewer, "display_trouble", lambda: None)
    with pytest.raises(SemihandError, match="without windows"):
        open_viewer("window")


def test_rerun_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(SemihandError, match=r"pip install 'semihand\[rerun\]'"):
        open_viewer("rerun")


def test_rerun_is_started_without_usage_reports(monkeypatch):
    calls, seen = [], {}

    class Anything:
        def __getattr__(self, name):
            return lambda *args, **kwargs: calls.append(name) or self

    fake = SimpleNamespace(
        init=lambda *_: None,
        spawn=lambda **_: seen.update(ci=viewer.os.environ.get("CI")),
        ViewCoordinates=SimpleNamespace(RIGHT_HAND_Y_DOWN=1),
        log=lambda path, *_, **__: calls.append(path),
        set_time=lambda *_, **__: None,
        Image=lambda *_, **__: Anything(),
        Clear=lambda **_: None,
        LineStrips3D=lambda strips, **_: seen.update(shape=strips.shape),
        LineStrips2D=lambda strips, **_: None,
        disconnect=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "rerun", fake)
    monkeypatch.delenv("CI", raising=False)
    opened = open_viewer("rerun")
    assert seen["ci"] == "1" and "CI" not in viewer.os.environ
    pose = SimpleNamespace(id=2, handedness="left", xyz_cam=np.zeros((21, 3)), uv_image=np.zeros((21, 2)))
    assert opened.show(FRAME, [pose], None)
    assert seen["shape"] == (20, 2, 3)
    assert "hands/2_left" in calls
    opened.close()
    assert isinstance(opened, RerunViewer)
