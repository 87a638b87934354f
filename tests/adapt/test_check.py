"""The check by hand, driven with planted clicks; and the window, without a window."""

import json
from dataclasses import fields
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.adapt.check import window as check_window
from semihand.adapt.check.session import (
    CHECK_JOINTS,
    Answer,
    Question,
    Session,
    chosen_rows,
    hand_sizes,
    measure,
    paired_interval,
    run_check,
)  # fmt: skip
from semihand.adapt.check.window import BAR, SIDE, ClickWindow, check_by_clicking, draw_question, to_grid, to_window
from semihand.errors import SemihandError
from semihand.models.joints import INDEX_TIP, LITTLE_TIP, MIDDLE_MCP, THUMB_TIP, WRIST

FRAMES = 12
JOINTS = list(CHECK_JOINTS)


class Plan:
    """Clicks the true joints (F, 21, 2) of the picture it is shown, whose first pixel holds the frame's number."""

    def __init__(self, uv_true, answers=()):
        self.uv_true, self.answers, self.asked = uv_true, list(answers), []

    def ask(self, question: Question) -> Answer:
        frame = int(question.image[0, 0, 0])
        self.asked.append((frame, question.joint))
        kind = self.answers.pop(0) if self.answers else "click"
        return Answer(kind, tuple(self.uv_true[frame, question.joint]) if kind == "click" else None)


@pytest.fixture
def planted(tmp_path):
    """A run whose hands are 40 pixels wide, 4 pixels wrong before and 2 after; returns (folder, true joints)."""
    rng = np.random.default_rng(1)
    true = rng.uniform(12, 52, (FRAMES, 21, 2))
    true[:, 1], true[:, 2] = (12, 30), (52, 30)
    image = np.zeros((FRAMES, 32, 32, 3), np.uint8)
    image[:, 0, 0, 0] = np.arange(FRAMES)
    np.savez(tmp_path / "heldout.npz", image=image, uv_before=true + (4, 0), uv_after=true + (0, -2), marks_uv=true,
             cost_before=np.zeros(FRAMES), cost_after=np.zeros(FRAMES))  # fmt: skip
    (tmp_path / "indicators.json").write_text(json.dumps({"before": {"jitter": 1.0}, "decision": {"accepted": True}}))
    return tmp_path, true


def session(frames=3):
    return Session(np.zeros((frames, 8, 8, 3), np.uint8))


def click(u, v):
    return Answer("click", (u, v))


def test_whole_check(planted):
    folder, true = planted
    plan = Plan(true)
    result = run_check(folder, plan, count=FRAMES)
    assert_allclose((result.nme_before, result.nme_after), (4 / 40, 2 / 40))
    assert_allclose(result.interval, (-0.05, -0.05), err_msg="every joint improves alike")
    assert (result.frames, result.clicks) == (FRAMES, 5 * FRAMES)
    assert list(result.by_joint) == ["wrist", "thumb_tip", "index_tip", "middle_mcp", "little_tip"]
    assert_allclose([(row["before"], row["after"]) for row in result.by_joint.values()], [(0.1, 0.05)] * 5)
    stored = json.loads((folder / "indicators.json").read_text())
    assert stored["before"] == {"jitter": 1.0} and stored["decision"] == {"accepted": True}
    assert stored["check"]["nme_after"] == result.nme_after
    assert stored["check"]["interval"] == pytest.approx([-0.05, -0.05])
    assert stored["check"]["joints"] == list(result.by_joint)
    row, name, u, v = stored["check"]["answers"][0]
    assert_allclose((u, v), true[row, WRIST], atol=0.006)
    assert name == "wrist"
    assert len(list(folder.iterdir())) == 2, "no temporary file stays"


def test_each_frame_is_asked_joint_by_joint(planted):
    folder, true = planted
    plan = Plan(true)
    run_check(folder, plan, count=4, seed=2)
    frames = [frame for frame, _ in plan.asked[::5]]
    assert sorted(frames) == [0, 4, 7, 11], "spread over the held-out frames"
    assert [joint for _, joint in plan.asked] == 4 * [THUMB_TIP, INDEX_TIP, LITTLE_TIP, MIDDLE_MCP, WRIST]


def test_questions_carry_no_prediction():
    """What is shown while clicking: the crop, the question and the user's own clicks, nothing of a model."""
    assert [f.name for f in fields(Question)] == ["frame", "frames", "image", "joint", "name", "clicked"]
    with pytest.raises(TypeError):
        Session(np.zeros((1, 8, 8, 3)), uv_before=np.zeros((1, 21, 2)))


def test_the_models_do_not_change_what_is_asked(planted):
    folder, true = planted
    plans = []
    for swap in (False, True):
        with np.load(folder / "heldout.npz") as file:
            arrays = dict(file)
        if swap:
            arrays |= {
                "uv_before": arrays["uv_after"],
                "uv_after": arrays["uv_before"],
                "cost_after": np.arange(FRAMES),
            }
            np.savez(folder / "heldout.npz", **arrays)
        plans.append(Plan(true))
        result = run_check(folder, plans[-1], count=6)
    assert plans[0].asked == plans[1].asked
    assert (result.nme_before, result.nme_after) == pytest.approx((0.05, 0.1)), "and a worse model is called worse"


def test_quitting_keeps_what_was_clicked(planted):
    folder, true = planted
    result = run_check(folder, Plan(true, ["click"] * 7 + ["quit"]), count=FRAMES)
    assert (result.frames, result.clicks, result.interval) == (2, 7, None)


def test_nothing_clicked(planted):
    folder, true = planted
    before = (folder / "indicators.json").read_text()
    for answers in (["quit"], ["skip_frame"] * FRAMES, ["skip_joint"] * 5 * FRAMES):
        with pytest.raises(SemihandError, match="No joint was clicked"):
            run_check(folder, Plan(true, answers), count=FRAMES)
    assert (folder / "indicators.json").read_text() == before


def test_run_without_indicators(planted):
    folder, true = planted
    (folder / "indicators.json").unlink()
    run_check(folder, Plan(true), count=1)
    assert list(json.loads((folder / "indicators.json").read_text())) == ["check"]


def test_broken_indicators_are_not_overwritten(planted):
    folder, true = planted
    (folder / "indicators.json").write_text('{"before": ')
    plan = Plan(true)
    with pytest.raises(SemihandError, match="indicators.json can't be read"):
        run_check(folder, plan)
    assert plan.asked == [], "said before the user has clicked"
    assert (folder / "indicators.json").read_text() == '{"before": '


def test_no_held_out_frames(planted):
    folder, true = planted
    with np.load(folder / "heldout.npz") as file:
        empty = {name: array[:0] for name, array in file.items()}
    np.savez(folder / "heldout.npz", **empty)
    with pytest.raises(SemihandError, match="holds no frame"):
        run_check(folder, Plan(true))
    (folder / "heldout.npz").unlink()
    with pytest.raises(SemihandError, match="no held-out frames to check"):
        run_check(folder, Plan(true))


def test_session_ends_after_the_last_joint():
    one = session(2)
    for i in range(10):
        assert (one.question.frame, one.question.joint) == (1 + i // 5, JOINTS[i % 5])
        one.react(click(i, 2 * i))
    assert one.question is None
    assert_array_equal(one.clicks[1, WRIST], [9, 18])
    assert np.isfinite(one.clicks).all(-1).sum() == 10


def test_skip_joint():
    one = session()
    one.react(Answer("skip_joint"))
    one.react(click(1, 2))
    assert np.isnan(one.clicks[0, THUMB_TIP]).all()
    assert_array_equal(one.clicks[0, INDEX_TIP], [1, 2])


def test_skip_frame_drops_its_clicks():
    one = session()
    one.react(click(1, 2))
    one.react(Answer("skip_frame"))
    assert (one.question.frame, one.question.joint) == (2, THUMB_TIP)
    assert np.isnan(one.clicks).all()


def test_undo_takes_back_a_click():
    one = session()
    one.react(click(1, 2))
    one.react(click(3, 4))
    one.react(Answer("undo"))
    assert one.question.joint == INDEX_TIP
    assert np.isnan(one.clicks[0, INDEX_TIP]).all()
    assert_array_equal(one.question.clicked[THUMB_TIP], [1, 2])
    one.react(click(5, 6))
    assert_array_equal(one.clicks[0, INDEX_TIP], [5, 6])


def test_undo_of_a_skipped_frame_brings_its_clicks_back():
    one = session()
    one.react(click(1, 2))
    one.react(Answer("skip_frame"))
    one.react(Answer("undo"))
    assert (one.question.frame, one.question.joint) == (1, INDEX_TIP)
    assert_array_equal(one.clicks[0, THUMB_TIP], [1, 2])


def test_undo_across_frames_and_at_the_start():
    one = session()
    one.react(Answer("undo"))
    assert one.question.joint == THUMB_TIP
    for i in range(6):
        one.react(click(i, i))
    for _ in range(6):
        one.react(Answer("undo"))
    assert (one.question.frame, one.question.joint) == (1, THUMB_TIP)
    assert np.isnan(one.clicks).all()


def test_a_question_cannot_change_the_clicks():
    one = session()
    one.question.clicked[:] = 7
    assert np.isnan(one.clicks).all()


def test_unknown_answer():
    with pytest.raises(ValueError, match="Unknown answer 'jump'"):
        session().react(Answer("jump"))


@pytest.mark.parametrize(("total", "count"), [(5, 20), (20, 20), (100, 20), (1, 3)])
def test_chosen_rows(total, count):
    rows = chosen_rows(total, count)
    assert len(rows) == len(set(rows)) == min(total, count)
    assert rows.min() == 0 and rows.max() == total - 1 or total == 1
    assert_array_equal(rows, chosen_rows(total, count))
    if total == 100:
        assert set(np.diff(np.sort(rows))) == {5, 6}
        assert (np.diff(rows) < 0).any(), "not in the order of time"


def test_joints_that_one_model_lacks_count_for_neither():
    clicks, uv = np.full((1, 21, 2), np.nan), np.zeros((1, 21, 2))
    clicks[0, [WRIST, THUMB_TIP]] = (3, 4)
    lacking = uv.copy()
    lacking[0, THUMB_TIP] = np.nan
    result = measure(clicks, uv, lacking, np.array([10.0]))
    assert (result.clicks, result.nme_before, result.nme_after) == (1, 0.5, 0.5)


def test_size_of_the_hand():
    before, after = np.zeros((2, 21, 2)), np.zeros((2, 21, 2))
    before[:, 1], after[:, 1] = (10, 4), (6, 20)
    marks = np.full((2, 21, 2), np.nan)
    marks[0] = 0
    marks[0, 3] = (30, 5)
    held_out = {"uv_before": before, "uv_after": after, "marks_uv": marks}
    assert_allclose(hand_sizes(held_out, np.array([0, 1])), [30, 15])
    del held_out["marks_uv"]
    assert_allclose(hand_sizes(held_out, np.array([1])), [15])


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """100 checks of a model that improves by .01, with noise shared by a frame's joints."""
    rng, covered = np.random.default_rng(5), 0
    for trial in range(100):
        before = 0.1 + rng.normal(0, 0.02, (20, 5))
        change = -0.01 + rng.normal(0, 0.015, (20, 1)) + rng.normal(0, 0.01, (20, 5))
        change[rng.random((20, 5)) < 0.2] = np.nan
        low, high = paired_interval(before, before + change, trial)
        covered += low <= -0.01 <= high
    assert 86 <= covered <= 99


def test_interval_needs_frames():
    few = np.zeros((10, 5))
    few[4:] = np.nan
    assert paired_interval(few, few) is None
    few[4] = 0
    assert paired_interval(few, few) == (0, 0)


def question(image=None, clicked=None):
    image = np.zeros((32, 32, 3), np.uint8) if image is None else image
    return Question(
        3, 20, image, WRIST, "middle of the WRIST", np.full((21, 2), np.nan) if clicked is None else clicked
    )


def test_window_and_grid():
    assert to_grid(0, BAR - 1) is None and to_grid(5, BAR + SIDE) is None and to_grid(SIDE, BAR) is None
    assert_allclose(to_grid(0, BAR), (-0.5 + 32 / SIDE, -0.5 + 32 / SIDE))
    assert_allclose(to_grid(SIDE - 1, BAR + SIDE - 1), (63.5 - 32 / SIDE, 63.5 - 32 / SIDE))
    uv = (20.25, 41.5)
    assert_allclose(to_grid(*to_window(uv)), uv)


def test_a_click_on_a_bright_pixel_is_that_pixel():
    """What the user sees at a place is what the crop shows there."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[40, 12] = 255
    shown = draw_question(question(image))[BAR : BAR + SIDE].mean(axis=2)
    y, x = (np.mean(axis) for axis in np.nonzero(shown > 200))
    assert_allclose(to_grid(x, y + BAR), (12, 40), atol=0.1)


def test_own_clicks_are_shown():
    clicked = np.full((21, 2), np.nan)
    clicked[4] = (32, 32)
    changed = np.argwhere((draw_question(question(clicked=clicked)) != draw_question(question())).any(axis=2))
    assert_allclose(changed.mean(axis=0), to_window((32, 32))[::-1], atol=1)


@pytest.fixture
def screen(monkeypatch):
    """A fake screen: `events` are keys or (x, y) clicks, one a wait; `visible` is the window's state."""
    state = SimpleNamespace(events=[], visible=1.0, mouse=None, closed=False)

    def wait(_):
        event = state.events.pop(0) if state.events else -1
        if isinstance(event, tuple):
            state.mouse(cv2.EVENT_MOUSEMOVE, 1, 1, 0, None)
            state.mouse(cv2.EVENT_LBUTTONDOWN, *event, 0, None)
            return -1
        return ord(event) if isinstance(event, str) else event

    fakes = {
        "namedWindow": lambda *_: None, "imshow": lambda *_: None, "waitKey": wait, "destroyAllWindows": lambda: setattr(state, "closed", True),
        "getWindowProperty": lambda *_: state.visible,
        "setMouseCallback": lambda _, callback: setattr(state, "mouse", callback),
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(check_window.cv2, name, fake)
    monkeypatch.setattr(check_window, "display_available", lambda: True)
    return state


def test_window_answers_a_click(screen):
    screen.events = [-1, (3, 10), (352, 408)]
    answer = ClickWindow().ask(question())
    assert answer.kind == "click", "the first click was on the bar"
    assert_allclose(answer.uv, (31.545, 31.545), atol=0.01)


@pytest.mark.parametrize(
    ("key", "kind"),
    [("n", "skip_joint"), ("f", "skip_frame"), ("u", "undo"), ("\x08", "undo"), ("q", "quit"), ("\x1b", "quit")],
)
def test_window_answers_keys(screen, key, kind):
    screen.events = ["x", key]
    assert ClickWindow().ask(question()) == Answer(kind)


def test_closing_the_window_finishes(screen):
    screen.visible = 0.0
    assert ClickWindow().ask(question()) == Answer("quit")


def test_a_click_belongs_to_its_own_question(screen):
    window = ClickWindow()
    screen.events = [(352, 408)]
    window.ask(question())
    screen.mouse(cv2.EVENT_LBUTTONDOWN, 100, 100, 0, None)
    screen.events = ["n"]
    assert window.ask(question()).kind == "skip_joint"


def test_check_through_the_window(screen, planted):
    """The whole way: questions drawn, clicks on pixels, errors measured to a pixel's rounding."""
    folder, true = planted
    order = chosen_rows(FRAMES, FRAMES)
    screen.events = [tuple(int(round(p)) for p in to_window(true[row, joint])) for row in order for joint in JOINTS]
    result = check_by_clicking(folder, FRAMES)
    assert_allclose((result.nme_before, result.nme_after), (0.1, 0.05), atol=0.002)
    assert result.clicks == 5 * FRAMES
    assert screen.closed


def test_no_display(monkeypatch):
    monkeypatch.setattr(check_window, "display_available", lambda: False)
    with pytest.raises(SemihandError, match="there is no display. Leave --check out"):
        ClickWindow()
