"""What a user gets after the verdict: pictures of the change, and the model in use."""

import json

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from semihand.adapt import next_steps as module
from semihand.adapt.before_after import STRIP, VIDEO, most_changed, write_before_after
from semihand.adapt.next_steps import next_steps as steps
from semihand.errors import SemihandError


def next_steps(*arguments, **named):
    return "\n".join(steps(*arguments, **named))


@pytest.fixture
def folder(tmp_path):
    """A finished run with 30 held-out hands, of which some changed, on grey pictures."""
    rng = np.random.default_rng(0)
    before = rng.uniform(16, 48, (30, 21, 2))
    after = before.copy()
    after[[7, 21]] += 5
    np.savez(tmp_path / "heldout.npz", image=np.full((30, 96, 96, 3), 128, np.uint8), uv_before=before, uv_after=after)
    values = {"before": {"synthetic_nme": 0.05, "jitter": 0.02}, "after": {"synthetic_nme": 0.06, "jitter": 0.01}}
    (tmp_path / "indicators.json").write_text(json.dumps(values | {"decision": {"accepted": True}}))
    (tmp_path / "run.json").write_text("{}")
    return tmp_path


@pytest.fixture
def used(monkeypatch):
    names = []
    monkeypatch.setattr(module, "use", names.append)
    return names


def test_strip_and_video_show_before_and_after(folder):
    strip, video = write_before_after(folder)
    assert (strip, video) == (folder / STRIP, folder / VIDEO)
    picture = cv2.imread(str(strip))
    assert picture.shape == (540, 1440, 3)
    before, after = picture[30:270].astype(int), picture[300:]
    assert np.abs(before - after).mean() > 3
    assert picture[:30, :600].max() > 200 and picture[270:300, :100].max() > 200  # what each row is
    capture = cv2.VideoCapture(str(video))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 30
    frames = [capture.read()[1].astype(int) for _ in range(30)]
    apart = [np.abs(frame[30:, :384] - frame[30:, 388:772]).mean() for frame in frames]
    assert min(apart[7], apart[21]) > 3 * np.median(apart)  # where nothing changed both sides are the same


def test_the_strip_takes_what_changed_most_of_every_stretch():
    before = np.zeros((30, 21, 2))
    after = before.copy()
    after[[7, 21]] = 5, 3
    assert_array_equal(most_changed(before, after, 3), [7, 10, 21][:1] + [10, 21])
    assert len(most_changed(before[:2], after[:2], 6)) == 2


def test_the_model_is_used_where_that_is_wanted(folder, used):
    text = next_steps(folder, "my-mine", True, wanted=True)
    assert used == ["my-mine"] and text.endswith("Next: semihand track")
    assert str(folder / STRIP) in text and str(folder / VIDEO) in text
    questions = []
    assert "is the default now" in next_steps(folder, "my-mine", True, ask=lambda words: not questions.append(words))
    assert used == ["my-mine"] * 2 and questions == ["Use my-mine from now on?"]


def test_the_pictures_are_named_before_the_question(folder, used):
    told, asked_after = [], []
    for line in steps(folder, "my-mine", True, ask=lambda _: asked_after.extend(told)):
        told.append(line)
    assert asked_after == [f"Look: {folder / STRIP}", f"      {folder / VIDEO}"]


def test_nothing_is_used_without_a_yes(folder, used):
    assert next_steps(folder, "my-mine", True, ask=lambda _: False).endswith(
        "semihand track --model my-mine --compare base"
    )
    assert next_steps(folder, "my-mine", True).endswith("--compare base")
    refused = next_steps(folder, "my-mine", False, wanted=True, ask=lambda _: True)
    assert refused.splitlines()[-1].startswith("Next: semihand adapt --record ")
    hurried = next_steps(folder, "my-mine", False, again="my film.mp4")
    assert hurried.splitlines()[-1].startswith("Next: semihand adapt 'my film.mp4' ")
    assert used == []


def test_a_run_without_held_out_hands(tmp_path):
    with pytest.raises(SemihandError, match="no held-out hands to show"):
        write_before_after(tmp_path)
