"""The recording's window, without a window; options, cut-outs and segments."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.models.camera import default_intrinsics
from semihand.models.lifting import project
from semihand.record import view as record_view
from semihand.record.coverage import Coverage
from semihand.record.guide import PROMPTS, Guide, GuideConfig, Prompt
from semihand.record.session import RecordOptions
from semihand.record.takes import CUT_LIMIT, Segments, cut_out
from semihand.record.view import TextView, ViewState, WindowView, open_view, record_picture
from semihand.tracker import window as window_module


def guide():
    return Guide((Prompt("open", "Open it.", 10, 1.0), Prompt("fist", "Close it.", 10, 1.0)), GuideConfig(ready=0.2))


@pytest.fixture
def screen(monkeypatch):
    state = SimpleNamespace(keys=[], shown=[], visible=1.0)
    fakes = {
        "namedWindow": lambda *_: None,
        "resizeWindow": lambda *_: None,
        "imshow": lambda _, picture: state.shown.append(picture),
        "waitKey": lambda _: ord(state.keys.pop(0)) if state.keys else -1,
        "getWindowProperty": lambda *_: state.visible,
        "currentUIFramework": lambda: "QT",
        "destroyAllWindows": lambda: None,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(window_module.cv2, name, fake)
    return state


def state(size=(640, 480), **changes):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, : size[0] // 2] = 255
    values = dict(image=image, uv_image=None, reason="", kept=3, time=0.0, coverage=Coverage(), guide=guide())
    return ViewState(**(values | changes))


@pytest.mark.parametrize(
    "key, command",
    [
        ("n", "next"),
        (" ", "pause"),
        ("r", "redo"),
        ("h", None),
        ("m", None),
        ("q", "stop"),
        ("\x1b", "stop"),
        ("x", None),
    ],
)
def test_keys(screen, key, command):
    view = WindowView()
    assert view.show(state()) is None
    screen.keys = [key]
    assert view.show(state()) == command
    assert len(screen.shown) == 2
    screen.visible = 0.0
    assert view.show(state()) == "stop"
    view.close()


def test_the_window_is_a_mirror_with_the_hand_in_place():
    plain = record_picture(state())
    assert plain[112 + 240, 600].min() == 255 and plain[112 + 240, 40].max() == 0
    hand = np.random.default_rng(0).uniform((100, 160), (220, 330), (21, 2))
    drawn = record_picture(state(uv_image=hand))
    where = np.argwhere((drawn != plain).any(axis=2))[:, ::-1]
    low, high = hand.min(axis=0), hand.max(axis=0)
    assert_allclose(where.min(axis=0), (639 - high[0], 112 + low[1]), atol=6)
    assert_allclose(where.max(axis=0), (639 - low[0], 112 + high[1]), atol=6)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (544, 960), (160, 120)])
def test_nothing_lies_over_the_picture(size):
    shown = record_picture(state(size=size), "turn it further")
    image = state(size=size).image[:, ::-1]
    scale = max(640 / size[0], 1)
    height = round(size[1] * scale)
    unit = max(shown.shape[1] / 640, height / 780)
    head = round(112 * unit)
    assert shown.shape[0] == head + height + round(60 * unit)
    assert (shown[head : head + height, [0, -1]] == image[0, [0, -1]]).all()
    assert len(np.unique(shown[head : head + height, : shown.shape[1] // 3])) == 1


def test_progress_and_coverage_are_shown():
    leading = guide()
    leading.kept = 5
    full = Coverage(enough=0)
    assert (record_picture(state(guide=leading)) != record_picture(state())).any()
    assert (record_picture(state(coverage=full)) != record_picture(state())).any()
    assert (record_picture(state(), "come closer") != record_picture(state(), "go further away")).any()


def test_a_film_is_shown_as_it_is_under_a_low_bar():
    film = record_picture(state(size=(160, 120), guide=None, reason="blurred"))
    assert film.shape == (40 + 480 + 60, 640, 3)
    assert film[200, 100].min() == 255 and film[200, 500].max() == 0  # not mirrored: nobody looks at themselves
    paused = record_picture(state(size=(160, 120), guide=None, paused=True))
    assert (paused[:40] != film[:40]).any()


def test_every_prompt_has_two_poses_and_a_left_hand_sees_a_left_one():
    for prompt in PROMPTS:
        first, second = (record_view._pose(prompt.name, number, None) for number in (0, 1))
        assert first.shape == second.shape == (128, 128, 4) and (first != second).any()
        assert 0.03 < (first[..., 3] > 128).mean() < 0.6
        assert (record_view._pose(prompt.name, 0, "left") == first[:, ::-1]).all()
    shown = [record_picture(state(guide=Guide(), time=time))[:112] for time in (0.1, 1.0)]
    assert (shown[0] != shown[1]).any()


def test_the_view_says_what_the_bar_waits_for(screen):
    view = WindowView()
    for reason in ["duplicate"] * 12:
        view.show(state(guide=Guide(), reason=reason))
    moved = screen.shown[-1]
    for reason in ["cut off"] * 20:
        view.show(state(guide=Guide(), reason=reason))
    assert (moved[80:112] != screen.shown[-1][80:112]).any()
    paused = record_picture(state(paused=True))
    assert paused[112 + 240, 600].max() == 127


def test_which_view_opens(monkeypatch, screen):
    monkeypatch.setattr(record_view, "display_available", lambda: False)
    assert isinstance(open_view("auto"), TextView) and isinstance(open_view("none"), TextView)
    with pytest.raises(SemihandError, match="--viewer none"):
        open_view("window")
    monkeypatch.setattr(record_view, "display_available", lambda: True)
    assert isinstance(open_view("auto"), WindowView) and isinstance(open_view("none"), TextView)
    with pytest.raises(ValueError, match="hologram"):
        open_view("hologram")


def test_options_that_contradict():
    wrong = (
        dict(video="a", camera=0), dict(viewer="rerun"), dict(hand="both"), dict(resume=True), dict(frames=0),
        dict(video="a", width=640),
    )  # fmt: skip
    for options in wrong:
        with pytest.raises(ValueError):
            RecordOptions(**options)
    assert RecordOptions(video="films/My hand (1).mp4").made_name() == "My-hand-1"
    assert RecordOptions(images="photos/").made_name() == "photos"


def test_cut_out_geometry():
    image = np.arange(480 * 640 * 3, dtype=np.uint32).reshape(480, 640, 3).astype(np.uint8)
    K = default_intrinsics(640, 480)
    uv = np.random.default_rng(0).uniform((300, 200), (350, 240), (21, 2))
    part = cut_out(image, uv, K)
    size = 3 * (uv.max(axis=0) - uv.min(axis=0)).max()
    assert part.scale == 1 and np.abs(np.array(part.image.shape[:2]) - size).max() <= 3
    x, y = part.offset.astype(int)
    assert (part.image == image[y : y + part.image.shape[0], x : x + part.image.shape[1]]).all()
    point = np.array([[0.1, -0.05, 0.6]])
    assert_allclose(project(point, part.K), project(point, K) - part.offset, atol=1e-9)
    edge = cut_out(image, uv + (280, 230), K)  # clipped at the picture's corner
    assert (edge.offset + edge.image.shape[1::-1] == (640, 480)).all()


def test_large_cut_outs_are_scaled_down_with_their_camera():
    K = default_intrinsics(1920, 1080)
    image = np.zeros((1080, 1920, 3), np.uint8)
    image[530:534, 1000:1004] = 255
    uv = np.array([[800.0, 300.0], [1100.0, 700.0]])
    part = cut_out(image, uv, K)
    assert max(part.image.shape[:2]) == CUT_LIMIT and part.scale < 1
    bright = np.argwhere(part.image[..., 0] > 100)[:, ::-1].mean(axis=0)
    assert_allclose(bright, (np.array([1001.5, 531.5]) - part.offset + 0.5) * part.scale - 0.5, atol=0.5)
    point = np.array([[0.03, -0.02, 0.5]])
    expected = (project(point, K) - part.offset + 0.5) * part.scale - 0.5
    assert_allclose(project(point, part.K), expected, atol=1e-9)


def test_segments():
    segments = Segments(first=3, longest=2.0, lost_after=0.5)
    assert [segments.at(t, True) for t in (0.0, 0.5, 1.0, 1.5, 1.9)] == [3] * 5
    assert segments.at(2.0, True) == 4
    assert [segments.at(2.0 + t, t in (0.0, 0.5)) for t in (0.0, 0.1, 0.5)] == [4, 4, 4]
    assert segments.at(3.2, True) == 5
    assert segments.cut() == 6 and segments.cut() == 6
    assert segments.at(3.3, True) == 6


def test_no_prompt_is_cut_off_in_a_portrait_picture(monkeypatch):
    written = []
    monkeypatch.setattr(record_view, "write", lambda _, text, *rest: written.append(text))
    for index, prompt in enumerate(PROMPTS):
        leading = Guide(PROMPTS)
        leading.index = index
        written.clear()
        record_picture(state(size=(544, 960), guide=leading))
        assert prompt.text in " ".join(written)
