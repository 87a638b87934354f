"""The window's keys, without a window; and which viewer opens where."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.tracker import viewer
from semihand.tracker import window as window_module
from semihand.tracker.camera import Source
from semihand.tracker.playback import playback
from semihand.tracker.scene import Scene
from semihand.tracker.types import Frame
from semihand.tracker.viewer import NoViewer, RerunViewer, Window, WindowConfig, open_viewer

IMAGE = np.full((120, 160, 3), 77, np.uint8)
IMAGE[:, :20] = 200  # tells left from right


class Clock:
    """Seconds that pass only where somebody waits."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def screen(monkeypatch):
    """A fake screen: `keys` are pressed one a wait (None: nothing), `shown` are the pictures, `visible` the window's
    state, `rect` its place and size; waiting lets the clock run, pressing a key at once does not."""
    state = SimpleNamespace(keys=[], shown=[], visible=1.0, waits=0, rect=(0, 0, 160, 120), clock=Clock())

    def wait(ms):
        state.waits += 1
        key = state.keys.pop(0) if state.keys else None
        state.clock.now += ms / 1e3 if key is None else 0
        return -1 if key is None else ord(key)

    for name, fake in {
        "namedWindow": lambda *_: None,
        "resizeWindow": lambda *_: None,
        "imshow": lambda _, picture: state.shown.append(picture),
        "waitKey": wait,
        "getWindowProperty": lambda *_: state.visible,
        "getWindowImageRect": lambda _: state.rect,
        "currentUIFramework": lambda: "WIN32",
        "destroyAllWindows": lambda: None,
    }.items():
        monkeypatch.setattr(window_module.cv2, name, fake)
    return state


@pytest.fixture
def opened(screen, tmp_path):
    """opened(**config): the window, with snapshots in tmp_path and without its first words."""

    def make(stopped=lambda: False, **config) -> Window:
        window = Window(WindowConfig(**config), tmp_path, stopped, screen.clock)
        screen.clock.now += 10
        return window

    return make


def frame(index=0) -> Frame:
    return Frame(IMAGE, index / 10, index)


def scene(models=1, index=0) -> Scene:
    return Scene(IMAGE, [[]] * models, ["one", "two"][:models])


def show(window, index=0, models=1) -> bool:
    return window.show(frame(index), scene(models))


def left_is_bright(picture) -> bool:
    return picture[60, 10, 0] > 150 and picture[60, 150, 0] < 150


def test_nothing_pressed_goes_on(screen, opened):
    assert show(opened())
    assert len(screen.shown) == 1 and (screen.shown[0] == IMAGE).all()


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_quit(screen, opened, key):
    screen.keys = [key]
    assert not show(opened())


def test_keys_and_closing_work_while_no_picture_comes(screen, opened):
    window = opened()
    assert window.idle(), "before the first picture nothing is there to close"
    assert window.show(frame(), scene()) and window.idle()
    screen.keys = ["q"]
    assert not window.idle()


def test_closing_the_window_quits(screen, opened):
    screen.visible = 0.0
    assert not show(opened())


def test_the_first_words_name_the_key_for_the_keys(screen, tmp_path):
    window = Window(WindowConfig(), tmp_path, clock=screen.clock)
    show(window)
    screen.clock.now += 10
    show(window)
    assert (screen.shown[0][90:] != IMAGE[90:]).any() and (screen.shown[1] == IMAGE).all()


def test_mirror_toggles(screen, opened):
    window = opened()
    screen.keys = ["m"]
    show(window)
    assert [left_is_bright(picture) for picture in screen.shown] == [True, False]
    screen.keys = ["m"]
    show(window)
    assert left_is_bright(screen.shown[-1])
    assert not left_is_bright(show(opened(mirror=True)) and screen.shown[-1])


def test_snapshot_without_help_and_words(screen, opened, tmp_path):
    screen.keys = ["h"]
    window = opened()
    show(window)
    screen.keys = ["s"]
    assert show(window)
    (path,) = tmp_path.glob("semihand-*.png")
    assert (cv2.imread(str(path)) == IMAGE).all() and (screen.shown[-1] != IMAGE).any()


def test_snapshot_that_cannot_be_written_does_not_end_the_run(screen, tmp_path, caplog):
    screen.keys = ["s"]
    assert show(Window(folder=tmp_path / "none", clock=screen.clock))
    assert "could not be written: No such file" in caplog.text


def test_pause_takes_other_keys_and_ends_with_space(screen, opened, tmp_path):
    screen.keys = [" ", "m", "x", "s", None, "1", " ", "q"]
    assert show(opened())
    assert screen.keys == ["q"] and len(list(tmp_path.glob("*.png"))) == 1
    assert not left_is_bright(screen.shown[-1])  # m worked, and ended nothing


def test_one_picture_further(screen, opened):
    window = opened(paced=True)
    screen.keys = ["n", None, None, "n"]
    assert show(window, 0) and screen.keys == []
    screen.keys = [None, None, None, "n"]  # still paused: no other wait than for the key
    assert show(window, 1) and screen.keys == []
    screen.keys = [" "]
    assert show(window, 2)


def test_pause_ends_with_quit_close_and_ctrl_c(screen, opened):
    screen.keys = [" ", "q"]
    assert not show(opened())
    screen.keys = [" "]
    assert not show(opened(stopped=lambda: True))
    screen.keys, screen.visible = [" "], 0.0
    assert not show(opened())


def test_a_film_runs_at_its_own_speed(screen, opened):
    window = opened(paced=True)
    times = []
    for index in range(5):
        screen.clock.now += 0.04  # tracking: faster than the film's 0.1 s
        show(window, index)
        times.append(screen.clock.now)
    assert_allclose(np.diff(times), 0.1, atol=0.003)
    fast = opened()
    before = screen.clock.now
    for index in range(5):
        show(fast, index)
    assert screen.clock.now - before < 0.01


def test_slow_tracking_is_not_followed_by_a_rush(screen, opened):
    window = opened(paced=True)
    times = []
    for index, tracking in enumerate((0.01, 0.5, 0.01, 0.01)):
        screen.clock.now += tracking
        show(window, index)
        times.append(screen.clock.now)
    assert_allclose(np.diff(times), (0.5, 0.1, 0.1), atol=0.003)


def test_a_pause_moves_the_rest_of_the_film_back(screen, opened):
    window = opened(paced=True)
    show(window, 0)
    screen.keys = [" ", *[None] * 100, " "]  # 3 s
    show(window, 1)
    paused = screen.clock.now
    show(window, 2)
    show(window, 3)
    assert_allclose(screen.clock.now - paused, 0.1, atol=0.005)


def test_waiting_does_not_count_as_showing(screen, opened):
    window = opened(paced=True)
    show(window, 0)
    show(window, 1)
    assert_allclose(window.waited_ms, 100, atol=3)


def test_pictures_wait_one_by_one(screen, opened):
    window = opened(one_by_one=True)
    screen.keys = [None] * 50 + ["n"]
    assert show(window, 0) and screen.keys == []
    screen.keys = [None] * 50 + ["m", " "]
    assert show(window, 1) and screen.keys == []
    screen.keys = [None, "q"]
    assert not show(window, 2)


def test_back_to_the_start_only_where_that_can_be(screen, opened):
    window = opened(rewinds=True, paced=True)
    screen.keys = ["r"]
    assert show(window) and window.rewind
    window = opened()
    screen.keys = ["r"]
    assert show(window) and not window.rewind
    assert (screen.shown[-1] != IMAGE).any()  # says why


def test_playback_begins_again_with_everything_forgotten():
    class Three(Source):
        def frames(self):
            yield from map(frame, range(3))

        def close(self):
            pass

    viewer, resets, seen = NoViewer(), [], []
    for one in playback(Three(), viewer, lambda: resets.append(len(seen))):
        seen.append(one.index)
        viewer.rewind = len(seen) == 2
    assert seen == [0, 1, 0, 1, 2] and resets == [2]


def test_help_lies_over_the_picture_until_it_is_pressed_again(screen, opened):
    window = opened()
    screen.keys = ["h"]
    show(window)
    show(window)
    assert (screen.shown[-1] != IMAGE).mean() > 0.3
    screen.keys = ["h"]
    show(window)
    show(window)
    assert (screen.shown[-1] == IMAGE).all()


def test_two_models_and_one(screen, opened):
    window = opened()
    screen.keys = ["c"]
    show(window, models=2)
    wide, narrow = screen.shown
    assert wide.shape[1] > 2 * IMAGE.shape[1] and narrow.shape == IMAGE.shape
    screen.keys = ["c"]
    show(window)  # of one model: says how to get two
    assert (screen.shown[-1] != IMAGE).any()


def test_the_window_takes_the_size_of_another_shape_and_no_others(screen, opened, monkeypatch):
    sizes = []
    monkeypatch.setattr(window_module.cv2, "resizeWindow", lambda _, *size: sizes.append(size))
    window = opened()
    for shape in ((960, 540, 3), (960, 540, 3), (480, 640, 3), (2160, 3840, 3)):
        assert window.show(frame(), Scene(np.zeros(shape, np.uint8), [[]]))
    assert sizes == [(450, 800), (640, 480), (1280, 720)]


@pytest.mark.parametrize("size", [(320, 120), (160, 240), (161, 120), (0, 0)])
def test_resizing_keeps_the_pictures_shape(screen, opened, size):
    screen.rect = (0, 0, *size)
    show(opened())
    (picture,) = screen.shown
    if min(size) and max(size) > 161:
        assert_allclose(picture.shape[1] / picture.shape[0], size[0] / size[1], rtol=0.02)
    inside = (picture != 24).any(axis=2)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert (picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == IMAGE).all()


def test_no_display(monkeypatch, caplog):
    monkeypatch.setattr(viewer, "display_trouble", lambda: "DISPLAY is not set.")
    assert isinstance(open_viewer("auto"), NoViewer)
    with pytest.raises(SemihandError, match="DISPLAY is not set.*--viewer none"):
        open_viewer("window")
    assert show(open_viewer("none"))


def test_display(monkeypatch, screen):
    monkeypatch.setattr(viewer, "display_trouble", lambda: None)
    assert isinstance(open_viewer("auto"), Window)
    assert isinstance(open_viewer("window"), Window)
    with pytest.raises(ValueError, match="Unknown viewer 'hologram'"):
        open_viewer("hologram")


def test_opencv_without_windows(monkeypatch):
    def fail(*_):
        raise cv2.error("not implemented")

    monkeypatch.setattr(window_module.cv2, "namedWindow", fail)
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
    assert opened.show(frame(), Scene(IMAGE, [[pose]]))
    assert seen["shape"] == (20, 2, 3)
    assert "hands/2_left" in calls
    opened.close()
    assert isinstance(opened, RerunViewer)


def test_what_is_wrong_with_the_camera_stands_over_the_picture():
    plain, told = (Scene(IMAGE, [[], []], ("a", "b"), trouble=words) for words in ("", "Too dark"))
    for compare in (False, True):
        one, other = plain.picture(compare=compare), told.picture(compare=compare)
        middle = one.shape[0] // 2
        assert (one[middle] != other[middle]).any() and (one[:8] == other[:8]).all()
        assert told.picture(compare=compare) is other
