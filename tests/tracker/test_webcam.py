"""Cameras as they are: slow, busy, silent, frozen, dark, infrared, at half the rate, unplugged and back."""

import logging
import re
import threading
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from semihand.errors import SemihandError
from semihand.tracker import camera as camera_module
from semihand.tracker import find_camera
from semihand.tracker.camera import CameraConfig, Webcam
from semihand.tracker.find_camera import camera_names, find_cameras

RNG = np.random.default_rng(0)
ROOM = RNG.integers(0, 255, (48, 64, 3), np.uint8)


class Clock:
    """Time that passes only when the camera or its waiting says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        threading.Event().wait(0.001)  # let the other thread look


class FakeCamera:
    """What cv2.VideoCapture gives. A behaviour by number stands in `present`:

    picture: from the running number to a picture, or None where it fails. period: seconds of the clock a picture.
    """

    present: dict = {}
    opened: list = []
    clock: Clock

    def __init__(self, index, backend=0, params=()):
        self.index, self.settings = index, {cv2.CAP_PROP_FOURCC: 0}
        behaviour = self.present.get(index)
        self.behaviour = behaviour() if callable(behaviour) else behaviour
        self.count, self.released, self.taken = 0, False, 0
        FakeCamera.opened.append(self)

    def isOpened(self):
        return self.behaviour is not None

    def set(self, prop, value):
        self.settings[prop] = self.behaviour.get("claims", value) if prop == cv2.CAP_PROP_FPS else value
        return True

    def get(self, prop):
        return self.settings.get(prop, 0)

    def grab(self):
        if self.released:
            return False
        self.clock.sleep(self.behaviour.get("period", 1 / 30))
        self.count += 1
        return self._picture() is not None

    def retrieve(self):
        return True, self._picture()

    def _picture(self):
        return self.behaviour.get("picture", changing)(self.count)

    def release(self):
        self.released = True


def changing(number):
    return np.roll(ROOM, number, axis=1)


@pytest.fixture
def cameras(monkeypatch):
    FakeCamera.present, FakeCamera.opened, FakeCamera.clock = {0: {}}, [], Clock()
    monkeypatch.setattr(find_camera.cv2, "VideoCapture", FakeCamera)
    monkeypatch.setattr(camera_module, "monotonic", FakeCamera.clock)
    monkeypatch.setattr(camera_module, "sleep", FakeCamera.clock.sleep)
    monkeypatch.setattr(camera_module, "_SLICE", 0.002)
    return FakeCamera


@contextmanager
def filming(*arguments):
    with Webcam(CameraConfig(*arguments)) as source:
        yield source, source.frames()


def wait_for(frames, condition, seconds=20.0):
    """Take frames until the condition holds; seconds of the camera's clock at most."""
    end = FakeCamera.clock.now + seconds
    for frame in frames:
        if condition():
            return frame
        assert FakeCamera.clock.now < end, "it did not happen in time"
    raise AssertionError("the camera ended")


# ---- opening


def test_it_is_asked_for_what_was_wanted_and_what_came_is_told(cameras, caplog):
    with caplog.at_level(logging.INFO), filming(0, 320, 240, 15) as (source, frames):
        next(frames)
    settings = cameras.opened[0].settings
    assert settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    wanted = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
    assert [settings[prop] for prop in wanted] == [320, 240, 15]
    assert "asked for 320x240 at 15 fps, delivers 64x48 at 15 fps (MJPG)" in caplog.text
    assert cameras.opened[0].released and source.live
    assert source.camera == (camera_names().get(0) or "camera 0")  # its lens is kept under that name


def test_only_the_newest_picture_is_given_and_time_goes_forward(cameras):
    with filming(0) as (source, frames):
        times = [next(frames).time]
        while source._captured < 30:
            threading.Event().wait(0.001)
        frame = next(frames)
        times.append(frame.time)
        assert frame.index == 1
        assert any("pictures skipped for newer ones" in note for note in source.notes())
        times += [next(frames).time for _ in range(5)]
    assert times[1] - times[0] > 0.5 and (np.diff(times) > 0).all()


def test_a_camera_that_takes_long_to_open_is_told_meanwhile(cameras, monkeypatch, caplog):
    told = threading.Event()
    monkeypatch.setattr(find_camera, "SLOW_AFTER", 0.0)
    monkeypatch.setattr(
        find_camera.logger, "warning", lambda text, *values: (caplog.records.append(text % values), told.set())
    )

    def slowly():
        assert told.wait(20), "nothing was said while the camera opened"
        return {}

    cameras.present = {0: slowly}
    Webcam(CameraConfig(0)).close()
    assert "Camera 0 is still being opened" in caplog.records[0] and "Ctrl-C" in caplog.records[0]


def test_no_such_camera_names_those_there_are(cameras, monkeypatch):
    cameras.present = {0: {}, 2: {}}
    monkeypatch.setattr(find_camera.sys, "platform", "win32")
    assert find_cameras() == [0, 2]
    with pytest.raises(SemihandError, match=r"Camera 1 did not open\. Cameras found: 0, 2\. Try --camera 0"):
        Webcam(CameraConfig(1))
    cameras.present = {}
    with pytest.raises(SemihandError, match="Camera 0 did not open. No camera was found.*--video FILE"):
        Webcam(CameraConfig())


def test_without_a_number_the_first_camera_that_opens_is_taken(cameras, monkeypatch):
    cameras.present = {1: {}}
    monkeypatch.setattr(find_camera.sys, "platform", "win32")
    with filming() as (source, frames):
        assert source.name == "camera 1" and next(frames).index == 0


@pytest.fixture
def named(cameras, monkeypatch, tmp_path):
    """named({0: "Laptop", ...}) says what Linux calls the cameras from now on."""
    monkeypatch.setattr(find_camera.sys, "platform", "linux")
    monkeypatch.setattr(find_camera, "_NAMES", tmp_path / "names")
    monkeypatch.setattr(find_camera, "_DEVICES", tmp_path)

    def call(names):
        for path in (tmp_path / "names").glob("*/name"):
            path.unlink()
        for number, name in names.items():
            (tmp_path / "names" / f"video{number}").mkdir(parents=True, exist_ok=True)
            (tmp_path / "names" / f"video{number}" / "name").write_text(f"{name}\n")
            (tmp_path / f"video{number}").touch()

    return call


def test_a_camera_by_name_and_by_path(cameras, named, tmp_path):
    named({0: "Infrared", 2: "Logitech C920"})
    cameras.present = {0: {}, 2: {}}
    assert camera_names() == {0: "Infrared", 2: "Logitech C920"}
    (tmp_path / "by-id").symlink_to(tmp_path / "video2")
    for wanted in ("logitech", str(tmp_path / "by-id")):
        with filming(wanted) as (source, _):
            assert source.name == "camera 2"
    with pytest.raises(SemihandError, match=r"no camera sony.*0 \(Infrared\), 2 \(Logitech C920\)"):
        Webcam(CameraConfig("sony"))


def test_a_camera_in_the_network(cameras):
    address = "rtsp://me:secret@10.0.0.7/live"
    with pytest.raises(SemihandError, match="rtsp://10.0.0.7/live did not answer") as caught:
        Webcam(CameraConfig(address))
    assert "secret" not in str(caught.value)
    cameras.present = {address: {}}
    with filming(address) as (source, frames):
        assert next(frames).image.shape == (48, 64, 3)
        assert source.name == "rtsp://10.0.0.7/live"


@pytest.mark.parametrize(
    "values", [{"index": -1}, {"index": ""}, {"width": 0}, {"fps": 0.0}, {"fps": float("inf")}, {"fps": float("nan")}]
)
def test_refuses_senseless_camera_configurations(values):
    with pytest.raises(ValueError, match="A camera needs"):
        CameraConfig(**values)


# ---- silence


def test_one_that_opens_and_delivers_nothing_is_told_after_five_seconds(cameras):
    cameras.present = {0: {"picture": lambda number: None}}
    with filming(0) as (_, frames), pytest.raises(SemihandError, match="no picture within 5 s.*Another program"):
        begun = cameras.clock.now
        next(frames)
    assert cameras.clock.now - begun < 8


def test_waiting_ends_as_soon_as_nobody_wants_pictures_any_more(cameras):
    cameras.present = {0: {"picture": lambda number: None, "period": 1e-6}}
    with filming(0) as (source, frames):
        source.stop_when = lambda: True
        assert next(frames, None) is None


def test_unplugged_for_good(cameras, caplog):
    def until_three(number):
        if number > 3:
            FakeCamera.present = {}
            return None
        return changing(number)

    cameras.present = {0: {"picture": until_three}}
    with filming(0) as (_, frames), pytest.raises(SemihandError, match="stopped delivering pictures after 3 and"):
        for _ in frames:
            pass
    assert "Camera 0 has stopped delivering pictures. Plug it in again" in caplog.text


def test_back_under_another_number(cameras, named, caplog):
    named({0: "C920", 1: "Infrared"})

    def vanishes(number):
        if number == 5:
            named({3: "C920", 1: "Infrared"})
            FakeCamera.present = {3: {}, 1: {}}
        return changing(number) if number < 5 else None

    cameras.present = {0: {"picture": vanishes}, 1: {}}
    with caplog.at_level(logging.INFO), filming(0) as (_, frames):
        frame = wait_for(frames, lambda: cameras.opened[-1].index == 3 and cameras.opened[-1].count > 2)
    assert "Camera 0 is back." in caplog.text
    assert frame.index > 0
    assert all(camera.index != 1 for camera in cameras.opened), "another camera is not taken in its place"


def test_pictures_that_nobody_can_use_end_it_in_a_sentence(cameras):
    cameras.present = {0: {"picture": lambda number: np.zeros((48, 64, 2), np.uint8)}}
    with filming(0) as (_, frames), pytest.raises(SemihandError, match="cannot be used: Expected 1, 3 or 4 channels"):
        next(frames)


# ---- pictures


@pytest.mark.parametrize(
    "picture,says,short",
    [
        (
            lambda number: np.full((48, 64, 3), number % 3, np.uint8),
            "delivers black pictures.*privacy shutter",
            "Too dark",
        ),
        (
            lambda number: np.full((48, 64, 3), 127, np.uint8),
            "delivers pictures of one colour.*unplug it",
            "One colour",
        ),
        (
            lambda number: np.full((48, 64, 3), (0, 130, 0), np.uint8),
            "delivers pictures of one colour.*--width",
            "One colour",
        ),
        (
            lambda number: changing(number)[..., :1].repeat(3, axis=2),
            "delivers grey pictures, as infrared.*--camera",
            "Infrared",
        ),
        (lambda number: ROOM, "has delivered the same picture for 3 s.*cable", "stands still"),
    ],
)
def test_senseless_pictures_are_told_within_five_seconds_and_in_the_picture(cameras, caplog, picture, says, short):
    cameras.present = {0: {"picture": picture}}
    with filming(0) as (source, frames):
        begun = cameras.clock.now
        wait_for(frames, lambda: source.trouble)
        assert cameras.clock.now - begun < 5
        assert short in source.trouble
        cameras.opened[0].behaviour["picture"] = changing
        wait_for(frames, lambda: not source.trouble)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert re.search(f"Camera 0 {says}", told[0])


def test_half_the_promised_rate_is_told(cameras, caplog):
    cameras.present = {0: {"claims": 30.0, "period": 1 / 14}}
    with filming(0) as (source, frames):
        begun = cameras.clock.now
        wait_for(frames, lambda: source.trouble)
        assert cameras.clock.now - begun < 5
    assert "fewer pictures a second than it promised. More light" in caplog.text


def test_a_good_camera_says_nothing(cameras, caplog):
    with filming(0) as (source, frames):
        begun = cameras.clock.now
        wait_for(frames, lambda: cameras.clock.now - begun > 12)
        assert source.trouble == ""
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
