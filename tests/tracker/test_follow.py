"""`semihand track --follow`: real model files that change while a tracker runs."""

import json
import logging
import os
import threading
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models.registry import PROVENANCE_KEYS, install, remove, rollback, use
from semihand.tracker import follow
from semihand.tracker import open as opening
from semihand.tracker import run as run_module
from semihand.tracker.follow import Follower, stamp
from semihand.tracker.run import TrackOptions, track
from semihand.tracker.types import Frame

PROVENANCE = dict.fromkeys(PROVENANCE_KEYS)
WAIT = 30.0


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Personal models of the test's own, looked at a hundred times a second."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(follow, "INTERVAL", 0.01)


@pytest.fixture
def put(toy_model, tmp_path):
    """put(confidence, name="anna", **more): install a toy model."""

    def do(confidence, name="anna", **more):
        return install(toy_model(tmp_path / "new.onnx", confidence, **more), name, PROVENANCE)

    return do


def wait_for(condition):
    """The first true answer of `condition`."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.005)
    raise AssertionError("it did not happen")


class Opener:
    """Opens nothing: remembers the paths, answers with their texts, and fails on "bad"."""

    def __init__(self):
        self.opened, self.gate = [], threading.Event()
        self.gate.set()

    def __call__(self, path):
        assert threading.current_thread() is not threading.main_thread()
        self.gate.wait(WAIT)
        text = path.read_text()
        self.opened.append(text)
        if text == "bad":
            raise SemihandError(f"{path} is no readable ONNX model.")
        return text


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("one")
    return path


@pytest.fixture
def watched(file):
    """Opener and Follower of `file`, closed afterwards."""
    opener = Opener()
    follower = Follower(str(file), stamp(str(file)), opener)
    yield opener, follower
    opener.gate.set()
    follower.close()


def test_unchanged_file_is_not_opened_again(watched):
    opener, follower = watched
    time.sleep(0.1)
    assert follower.take() is None and opener.opened == []


def test_new_file_of_the_same_size_and_time_is_noticed(watched, file, tmp_path):
    other = tmp_path / "other"
    other.write_text("two")
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, file)
    assert wait_for(watched[1].take) == "two"
    assert watched[1].take() is None


def test_opening_does_not_hold_up_the_tracker(watched, file):
    opener, follower = watched
    opener.gate.clear()
    file.write_text("three")
    start = time.perf_counter()
    for _ in range(1000):
        assert follower.take() is None
    assert time.perf_counter() - start < 1.0
    opener.gate.set()
    assert wait_for(follower.take) == "three"


def test_bad_file_is_told_once_and_left_until_it_changes(watched, file, caplog):
    opener, follower = watched
    file.write_text("bad")
    wait_for(lambda: "no readable ONNX model. The running model stays." in caplog.text)
    time.sleep(0.1)
    assert opener.opened == ["bad"] and len(caplog.records) == 1
    assert follower.take() is None
    file.write_text("better")
    assert wait_for(follower.take) == "better"


def test_file_that_goes_away_and_comes_back(watched, file, caplog):
    file.unlink()
    wait_for(lambda: "does not exist" in caplog.text)
    time.sleep(0.05)
    assert len(caplog.records) == 1
    file.write_text("back")
    assert wait_for(watched[1].take) == "back"


def test_closing_ends_the_thread(file):
    before = threading.active_count()
    follower = Follower(str(file), stamp(str(file)), Opener())
    follower.close()
    assert threading.active_count() == before


class Film:
    """A source whose frames come until the test has seen what it waits for; `at` runs a step before a frame."""

    name, fps, live, count, independent = "film", 100.0, False, None, False
    camera = trouble = ""

    def __init__(self, image, steps):
        """steps: pairs of an action and a condition; the next action comes when the condition holds."""
        self._image, self._steps = image, steps

    def frames(self):
        index, end = 0, time.monotonic() + WAIT * (len(self._steps) + 1)
        for action, condition in [*self._steps, (lambda: None, lambda: True)]:
            action()
            seen = 0
            while seen < 4:  # frames after the condition came true
                assert time.monotonic() < end, "it did not happen"
                seen = seen + 1 if condition() else 0
                yield Frame(self._image, index / self.fps, index)
                index += 1
                time.sleep(0.002)

    def latency_ms(self, _):
        return None

    def notes(self):
        return []

    def close(self):
        """Nothing is open."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nothing is open."""


@pytest.fixture
def film(world, plant, monkeypatch, tmp_path):
    """film(steps, **options): track a film of one planted hand with --follow; returns summary and lines."""
    plant("a", 0.0, 0.1)
    monkeypatch.setattr(opening, "_open_detectors", lambda _: (world, world))

    def run(steps, **options):
        source = Film(world.image, steps)
        monkeypatch.setattr(run_module, "open_source", lambda _: source)
        out = {"jsonl": str(tmp_path / "o.jsonl"), "npz": str(tmp_path / "o.npz")}
        summary = track(TrackOptions(follow=True, hands=1, device="cpu", viewer="none", **out, **options))
        return summary, [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]

    return run


def scores(lines):
    """Score of every frame's only hand; it tells which model answered."""
    return [line["hands"][0]["score"] for line in lines[1:]]


def always():
    return True


def changed_log(caplog, count):
    return lambda: caplog.text.count("took over") >= count


def test_installed_used_and_rolled_back_without_dropping_the_hand(film, put, caplog, tmp_path):
    caplog.set_level(logging.INFO)
    first = put(0.6)
    use("anna")
    steps = [
        (lambda: None, always),
        (lambda: put(0.7, size=96, crop_factor=1.4), changed_log(caplog, 1)),
        (lambda: rollback("anna"), changed_log(caplog, 2)),
        (lambda: (put(0.8, "bob", size=32), use("bob")), changed_log(caplog, 3)),
    ]
    summary, lines = film(steps)
    seen = [score for score, last in zip(scores(lines), [None, *scores(lines)]) if score != last]
    assert seen == [0.6, 0.7, 0.6, 0.8]
    assert {line["hands"][0]["id"] for line in lines[1:]} == {1}
    told = [line for line in lines[1:] if "model" in line]
    assert [line["hands"][0]["score"] for line in told] == [0.7, 0.6, 0.8]
    assert lines[0]["model"]["sha256"] == first.record["sha256"] == told[1]["model"]["sha256"]
    assert sum("took over at frame" in note for note in summary.notes) == 3
    with np.load(tmp_path / "o.npz") as data:
        later = json.loads(str(data["header"]))["later_models"]
    assert [model["after"] for model in later] == [line["frame"] for line in told]


def test_the_box_follows_the_new_crop_factor(film, put, caplog):
    caplog.set_level(logging.INFO)
    put(0.6, crop_factor=2.0)
    change = (lambda: put(0.7, size=96, crop_factor=1.5), changed_log(caplog, 1))
    settled = [(lambda: None, always)] * 4  # frames until the box comes from the toy's answers, not from the detector
    _, lines = film([*settled, change], model="anna", smooth=False)
    new = scores(lines).index(0.7) + 1
    before, after = (np.array(lines[i]["hands"][0]["box"][2:]) for i in (new - 1, new))
    # The toy's hand fills 1 / crop_factor of every crop, so a crop of the right size leaves it as large as it was.
    np.testing.assert_allclose(after, before, rtol=0.1)


def test_broken_and_removed_models_leave_the_running_one(film, put, caplog):
    model = put(0.6)
    steps = [
        (lambda: model.path.write_bytes(b"broken"), lambda: "ONNX model" in caplog.text),
        (lambda: remove("anna"), lambda: "No model is called 'anna'" in caplog.text),
    ]
    summary, lines = film(steps, model="anna")
    assert set(scores(lines)) == {0.6}
    assert [record.levelname for record in caplog.records].count("WARNING") == 2
    assert not any("took over" in note for note in summary.notes)


def test_model_that_answers_nonsense_is_not_taken_over(film, toy_model, tmp_path, caplog):
    path = toy_model(tmp_path / "mine.onnx", 0.6)
    change = (lambda: toy_model(path, float("nan")), lambda: "not finite" in caplog.text)
    _, lines = film([(lambda: None, always), change], model=str(path))
    assert set(scores(lines)) == {0.6}


def test_without_follow_the_model_stays(film, put, monkeypatch, world, tmp_path):
    put(0.6)
    monkeypatch.setattr(opening, "_open_detectors", lambda _: (world, world))
    source = Film(world.image, [(lambda: put(0.7), always), (lambda: time.sleep(0.1), always)])
    monkeypatch.setattr(run_module, "open_source", lambda _: source)
    path = tmp_path / "o.jsonl"
    track(TrackOptions(model="anna", hands=1, device="cpu", viewer="none", jsonl=str(path)))
    assert set(scores([json.loads(line) for line in path.read_text().splitlines()])) == {0.6}


def test_command(world, plant, put, monkeypatch, tmp_path):
    plant("a", 0.0, 0.1)
    put(0.6)
    use("anna")
    monkeypatch.setattr(opening, "_open_detectors", lambda _: (world, world))
    monkeypatch.setattr(run_module, "open_source", lambda _: Film(world.image, []))
    path = tmp_path / "o.jsonl"
    result = CliRunner().invoke(app, ["track", "--follow", "--viewer", "none", "--device", "cpu", "--jsonl", str(path)])
    assert result.exit_code == 0, result.output
    assert set(scores([json.loads(line) for line in path.read_text().splitlines()])) == {0.6}
