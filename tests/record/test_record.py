"""Recording from end to end: planted hands, a rendered video, a real one, and everything that can go wrong."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models.camera import default_intrinsics
from semihand.record import session as record_module
from semihand.record.follow import HandFollower
from semihand.record.guide import Guide, GuideConfig, Prompt
from semihand.record.recorder import Recorder, RecorderConfig, Tools
from semihand.record.recording import list_recordings, read_recording, recording_folder
from semihand.record.session import RecordOptions, record
from semihand.record.takes import CUT_LIMIT
from semihand.record.view import TextView
from semihand.tracker.camera import Source
from semihand.tracker.detect import LandmarkResult
from semihand.tracker.palm import box_from_landmarks
from semihand.tracker.types import Frame

REAL = Path(os.environ.get("SEMIHAND_SHARED", Path(__file__).resolve().parents[2] / "../shared")) / "real"
NOISE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8), (0, 0), 1.2)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


# -- planted hands


class Planted:
    """Hands of a picture, found by a fake detector and landmark model; `hands` is set for every picture."""

    def __init__(self):
        self.hands: list[LandmarkResult] = []
        self.looks = 0

    def detect(self, image, max_hands=2):
        self.looks += 1
        return [box_from_landmarks(hand.uv_image) for hand in self.hands][:max_hands]

    def __call__(self, image, box):
        def far(hand):
            return np.hypot(*(box_from_landmarks(hand.uv_image).center - box.center))

        near = [hand for hand in self.hands if far(hand) < box.side / 2]
        return min(near, key=far) if near else marks(presence=0.01)


def marks(x=320, y=240, side="right", presence=0.99, score=0.97, phase=0.0, size=100.0):
    """A hand of about `size` pixels at (x, y) whose fingers curl with `phase`."""
    angles = np.repeat(np.deg2rad([60, 15, 0, -15, -30]), 4) * (1 if side == "right" else -1)
    reach = np.tile([0.45, 0.65, 0.8, 1.0], 5) * (0.8 + 0.2 * np.sin(phase + np.repeat(np.arange(5), 4)))
    tips = np.stack([np.sin(angles) * reach, -np.cos(angles) * reach], axis=-1)
    uv = np.vstack([[0.0, 0.0], tips]) * size + (x, y)
    world = np.column_stack([(uv - (x, y)) / size * 0.18, np.zeros(21)])
    return LandmarkResult(uv, np.zeros(21), presence, side, score, world)


class Stream(Source):
    """Pictures of planted hands: `script(time)` gives the hands, an error to raise, or a picture of another size."""

    def __init__(self, planted, script, count=None, live=False, fps=30.0):
        self.name, self.fps, self.live, self.camera = "camera 3" if live else "/films/a film.mp4", fps, live, ""
        self.count = None if live else count
        self._planted, self._script, self._count = planted, script, count or 100000

    def frames(self):
        for index in range(self._count):
            hands = self._script(index / self.fps)
            if isinstance(hands, Exception):
                raise hands
            image = NOISE
            if isinstance(hands, tuple):
                image, hands = hands
            self._planted.hands = hands
            yield Frame(np.roll(image, 3 * index, axis=1), index / self.fps, index)

    def close(self):
        pass


@pytest.fixture
def run(monkeypatch):
    """run(script, count, live=False, guide=None, view=None, **options): record planted hands."""

    def go(script, count=None, live=False, guide=None, view=None, **options):
        planted = Planted()
        source = Stream(planted, script, count, live)
        monkeypatch.setattr(record_module, "open_source", lambda _: source)
        tools = Tools(planted, planted, None, view or TextView())
        monkeypatch.setattr(record_module, "open_tools", lambda *_: tools)
        if guide:
            monkeypatch.setattr("semihand.record.recorder.Guide", lambda: guide)
        return record(RecordOptions(**({"name": "mine", "min_frames": 5} | options)))

    return go


def moving(seconds):
    """One hand that never stands still."""
    return [marks(phase=5 * seconds)]


def test_a_film_is_recorded(run):
    recording = run(moving, 60)
    assert recording.name == "mine" and recording.source == "a film.mp4"
    assert len(recording.frames) >= 50 and recording.summary["kept"] == len(recording.frames)
    frame = recording.frames[-1]
    assert_allclose(frame.time, 59 / 30, atol=1e-5)
    assert frame.prompt == "" and frame.handedness == "right"
    # The cut-out shows the hand where its joints say, and its intrinsics see it in the same direction.
    true, K = marks(phase=5 * frame.time).uv_image, default_intrinsics(640, 480)
    directions = (true - K[:2, 2]) / K[0, 0]
    assert_allclose((frame.uv_image - frame.K[:2, 2]) / frame.K[0, 0], directions, atol=1e-4)
    width = frame.read().shape[1]
    assert 2.5 * 100 < width < 4 * 130


def test_film_segments(run):
    """Cut where the hand is lost for long, and evenly in long films; a short loss cuts nothing."""

    def script(t):
        return [] if 2 <= t < 2.4 or 4 <= t < 4.8 else moving(t)

    frames = run(script, 180).frames
    assert {frame.segment for frame in frames if frame.time < 4} == {0}
    assert {frame.segment for frame in frames if frame.time > 4.7} == {1}
    frames = run(moving, 750, name="long", frames=150).frames
    times, segments = (np.array([getattr(frame, name) for frame in frames]) for name in ("time", "segment"))
    assert set(segments) == {0, 1}  # 25 s: two of 12.5 s, no stump
    assert_allclose(times[segments == 1].min(), 12.5, atol=0.2)


def test_a_long_film_is_thinned(run):
    recording = run(moving, 240, frames=60)
    assert 50 <= len(recording.frames) <= 62
    assert_allclose(np.diff([frame.time for frame in recording.frames]), 4 / 30, atol=0.07)
    assert recording.summary["rejected"]["not needed"] > 150


def test_a_long_recording_of_a_still_hand_is_mostly_duplicates(run):
    with pytest.raises(SemihandError, match="Move the hand, and show more poses.*continue with --resume --name mine"):
        run(lambda t: (np.full_like(NOISE, 90), [marks()]), 60)
    assert len(read_recording("mine").frames) < 5  # what there is stays


def test_no_hand(run, data):
    with pytest.raises(SemihandError, match="No hand was seen in 40 pictures; nothing was recorded"):
        run(lambda t: [], 40)
    assert not (data / "recordings").exists()


def test_two_people(run):
    """A second right hand stops the recording as long as it is there; the user's left hand does not."""

    def script(t):
        others = [marks(120, 400, "right", size=60)] if 1 <= t < 3 else [marks(120, 400, "left", size=60)]
        return moving(t) + others

    recording = run(script, 150)
    times = np.array([frame.time for frame in recording.frames])
    assert not ((times > 1.6) & (times < 3)).any()
    assert (times < 1).sum() > 20 and (times > 3.6).sum() > 20
    assert recording.summary["rejected"]["several hands"] > 40


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_wanted_hand_is_recorded(run, side):
    recording = run(
        lambda t: [marks(200, 300, "right", phase=5 * t), marks(450, 300, "left", phase=5 * t)], 40, hand=side
    )
    assert {frame.handedness for frame in recording.frames} == {side}
    assert len(recording.frames) > 25


def test_only_the_first_hand_is_recorded_and_the_other_one_told(run):
    with pytest.raises(SemihandError, match="Only the right hand was recorded; for the other one use --hand left"):
        run(lambda t: [marks(side="right" if t < 0.2 else "left", phase=5 * t)], 60, min_frames=20)


def test_another_resolution_midway(run, caplog):
    large = cv2.resize(NOISE, (1280, 960))

    def script(t):
        return moving(t) if t < 1 else (large, [marks(640, 480, phase=5 * t, size=200)])

    recording = run(script, 60)
    assert "from 640x480 to 1280x960" in caplog.text and "640x480" in recording.summary["notes"][0]
    early, late = recording.frames[0], recording.frames[-1]
    assert (early.segment, late.segment) == (0, 1)
    assert_allclose(early.K[0, 0], 0.85 * 640)
    scale = late.read().shape[1] / 720 if late.read().shape[1] == CUT_LIMIT else 1.0
    assert_allclose(late.K[0, 0], 0.85 * 1280 * scale, rtol=0.1)


def test_a_source_that_breaks_off_ends_the_recording_normally(run, caplog):
    recording = run(
        lambda t: moving(t) if t < 1 else SemihandError("Camera 3 stopped delivering."), live=False, count=90
    )
    assert len(recording.frames) >= 25
    assert "Camera 3 stopped delivering" in caplog.text
    with pytest.raises(SemihandError, match="Camera 3 stopped"):
        run(lambda t: SemihandError("Camera 3 stopped delivering."), count=9, name="nothing")


def test_a_full_disk_keeps_what_was_recorded(run, monkeypatch):
    real = Path.write_bytes
    calls = []

    def write(path, data):
        calls.append(path)
        if path.name.startswith("0000") and len(calls) > 20:
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(SemihandError, match=r"No space left.*frames before are kept"):
        run(moving, 60)
    recording = read_recording("mine")
    assert 15 <= len(recording.frames) <= 20 and recording.dropped == 0


def test_existing_recordings_are_refused_or_continued(run):
    first = run(moving, 30)
    with pytest.raises(SemihandError, match="exists already"):
        run(moving, 30)
    with pytest.raises(SemihandError, match="no recording other to continue"):
        run(moving, 30, name="other", resume=True)
    both = run(moving, 30, resume=True)
    assert len(both.frames) > 1.8 * len(first.frames)
    times = [frame.time for frame in both.frames]
    assert times == sorted(times)
    assert both.frames[-1].segment == first.frames[-1].segment + 1
    assert both.frames[len(first.frames)].time >= first.frames[-1].time + 1


def test_max_frames(run):
    assert run(moving, 300, max_frames=30).summary["seen"] == 30


# -- guided


PROMPTS = (Prompt("open", "Open it.", 10, 1.0), Prompt("fist", "Close it.", 10, 1.0))


def guide():
    return Guide(PROMPTS, GuideConfig(ready=0.2))


def test_guided_recording(run, caplog):
    caplog.set_level("INFO")
    recording = run(moving, live=True, guide=guide())
    prompts = [frame.prompt for frame in recording.frames]
    assert prompts == ["open"] * 10 + ["fist"] * 10
    assert [frame.segment for frame in recording.frames] == [0] * 10 + [1] * 10
    assert recording.source == "camera 3"
    assert "1/2 open: Open it." in caplog.text and "2/2 fist: Close it." in caplog.text
    assert recording.summary["short_prompts"] == []


class Keys(TextView):
    """Presses keys at given numbers of kept frames, once each."""

    def __init__(self, **keys):
        super().__init__()
        self._keys = {int(count[1:]): key for count, key in keys.items()}

    def show(self, state):
        super().show(state)
        return self._keys.pop(state.kept, None) if state.kept else None


def test_next_redo_stop(run):
    recording = run(moving, live=True, guide=guide(), view=Keys(_4="next", _8="redo", _9="stop"))
    # 4 of "open"; 4 of "fist" were taken back; then 5 new ones until stop.
    assert [frame.prompt for frame in recording.frames] == ["open"] * 4 + ["fist"] * 5
    assert recording.summary["short_prompts"] == ["open"]
    assert recording.summary["coverage"]["counts"]["distance"] and sum(
        recording.summary["coverage"]["counts"]["distance"]
    ) == len(recording.frames)
    assert len({frame.segment for frame in recording.frames}) == 2
    assert len(list((recording.folder / "images").iterdir())) == 9


def test_a_pause_keeps_the_prompts_time(run):
    class Pause(TextView):
        """Pauses for ten looks after the fourth frame, while the camera goes on for two seconds."""

        looks = 0

        def show(self, state):
            super().show(state)
            if state.paused:
                self.looks += 1
                assert state.kept == 4
                return "pause" if self.looks == 10 else None
            return "pause" if state.kept == 4 and not self.looks else None

    view, pictures = Pause(), []

    def script(seconds):
        pictures.append(seconds)
        return moving(seconds)

    recording = run(script, live=True, guide=guide(), view=view)
    assert view.looks == 10 and [frame.prompt for frame in recording.frames] == ["open"] * 10 + ["fist"] * 10
    assert recording.summary["short_prompts"] == []


def test_guide_times_are_shifted_by_a_pause():
    one = guide()
    one.update(0.0, True)
    one.update(1.0, True)
    left = one.seconds_left(1.0)
    one.shift(60.0)
    assert one.seconds_left(61.0) == left


def test_ctrl_c_ends_a_pause(run):
    class Interrupt(TextView):
        def show(self, state):
            if state.paused:
                os.kill(os.getpid(), signal.SIGINT)
            return "pause" if state.kept == 8 and not state.paused else None

    assert len(run(moving, 300, view=Interrupt()).frames) == 8


def test_ctrl_c_ends_normally(run):
    class Interrupt(TextView):
        def show(self, state):
            if state.kept == 8:
                os.kill(os.getpid(), signal.SIGINT)

    assert len(run(moving, 300, view=Interrupt()).frames) == 8


# -- following


def test_the_detector_runs_only_now_and_then():
    planted = Planted()
    planted.hands = [marks()]
    follower = HandFollower(planted, planted)
    seen = [follower.follow(NOISE, index / 30) for index in range(60)]
    assert all(sighting.marks is not None for sighting in seen)
    assert planted.looks <= 5
    assert seen[0].side is None and seen[-1].side == "right"
    planted.hands = []
    assert follower.follow(NOISE, 2.0).marks is None
    planted.hands = [marks(100, 150)]
    assert_allclose(follower.follow(NOISE, 2.03).marks.uv_image, marks(100, 150).uv_image)


def test_the_network_s_disagreement(monkeypatch):
    """An estimator that sees the joints elsewhere keeps the frame out."""
    planted = Planted()
    shift = [0.0]

    def estimator(image, boxes, K):
        assert boxes[0].handedness == "right"
        return [SimpleNamespace(uv_image=planted.hands[0].uv_image + shift[0])]

    estimator.model = SimpleNamespace(info=SimpleNamespace(crop_factor=1.9))
    recorder = Recorder(Stream(planted, moving, 90), recording_folder("mine"), Tools(planted, planted, estimator))
    for frame in Stream(planted, moving, 90).frames():
        shift[0] = 80.0 if frame.time > 2 else 4.0
        recorder.step(frame)
    recorder.close()
    times = [frame.time for frame in read_recording("mine").frames]
    assert max(times) <= 2 and recorder.quality.counts["disagreement"] > 20


def test_recorder_config_is_used():
    planted = Planted()
    recorder = Recorder(
        Stream(planted, moving, 9), recording_folder("mine"), Tools(planted, planted), RecorderConfig(focal=700.0)
    )
    for frame in Stream(planted, moving, 9).frames():
        recorder.step(frame)
    recorder.close()
    recording = read_recording("mine")
    assert not recording.K_assumed and recording.frames[0].K[0, 0] == 700.0
    assert set(recording.detector) == {"palm_detection", "hand_landmark", "onnxruntime"}


# -- command line


def test_commands(run, tmp_path):
    cli = CliRunner()
    assert "No recordings" in cli.invoke(app, ["recordings", "list"]).output
    run(moving, 30)
    listed = cli.invoke(app, ["recordings", "list"]).output
    assert "mine" in listed and "a film.mp4" in listed and str(tmp_path) in listed
    sheet = tmp_path / "sheet.png"
    shown = cli.invoke(app, ["recordings", "show", "mine", "--sheet", str(sheet)])
    assert shown.exit_code == 0 and cv2.imread(str(sheet)).shape[1] == 1600
    assert "of the right hand, in 1 segments" in shown.output and "frames kept" in shown.output
    (recording_folder("mine") / "recording.json").write_text(json.dumps({"schema": 7}))
    assert "version 7" in cli.invoke(app, ["recordings", "list"]).output
    assert "Deleted" in cli.invoke(app, ["recordings", "remove", "mine"]).output
    assert list_recordings() == []
    missing = cli.invoke(app, ["recordings", "show", "mine"])
    assert isinstance(missing.exception, SemihandError)
