"""`semihand cameras` with cameras that deliver what real ones do: fewer sizes than asked, nothing, or not at all."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.models.calibration import save_lens
from semihand.models.camera import Lens, default_intrinsics
from semihand.tracker import find_camera, list_cameras
from semihand.tracker.list_cameras import Mode, cameras_text, modes


class FakeCamera:
    """Delivers the nearest of its sizes; `shows` a grey level, or None for no picture. fps by size."""

    def __init__(self, sizes, shows=77):
        self.sizes, self.shows, self.size, self.asked, self.released = sizes, shows, next(iter(sizes)), [0, 0], False

    def set(self, prop, value):
        if prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT):
            self.asked[prop == cv2.CAP_PROP_FRAME_HEIGHT] = value
            self.size = min(self.sizes, key=lambda size: abs(size[0] - self.asked[0]) + abs(size[1] - self.asked[1]))

    def get(self, prop):
        if prop == cv2.CAP_PROP_FPS:
            return self.sizes[self.size]
        return float(self.size[prop == cv2.CAP_PROP_FRAME_HEIGHT])

    def read(self):
        shown = self.shows is not None
        return shown, np.full((*self.size[::-1], 3), self.shows, np.uint8) if shown else None

    def release(self):
        self.released = True


@pytest.fixture
def cameras(monkeypatch, tmp_path):
    """cameras({number: FakeCamera}, {number: name}) plugs them in."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))

    def plug(present, names=None):
        monkeypatch.setattr(list_cameras, "find_cameras", lambda: sorted(present))
        monkeypatch.setattr(list_cameras, "camera_names", lambda: names or {})
        monkeypatch.setattr(list_cameras, "open_number", present.get)
        return present

    return plug


def test_sizes_and_rates_are_those_that_it_delivers():
    camera = FakeCamera({(640, 480): 30.0, (1280, 720): 10.0})
    assert modes(camera) == [Mode(640, 480, 30.0), Mode(1280, 720, 10.0)]
    assert modes(FakeCamera({(0, 0): 30.0})) == []
    assert modes(FakeCamera({(640, 480): float("nan")})) == [Mode(640, 480, 0.0)]


def test_each_camera_has_a_line_and_is_closed_again(cameras):
    plugged = cameras(
        {0: FakeCamera({(640, 480): 30.0}), 2: FakeCamera({(1280, 720): 0.0})}, {0: "Desk Cam", 1: "Desk Cam"}
    )
    save_lens("Desk Cam", 640, 480, Lens(default_intrinsics(640, 480)), {})
    head, first, second = cameras_text().splitlines()
    assert first.split() == ["0", "Desk", "Cam", "640x480@30", "640x480"]
    assert second.split() == ["2", "camera", "2", "1280x720", "no"]
    assert all(camera.released for camera in plugged.values()) and "calibrated" in head


def test_pictures_are_written_and_a_silent_camera_is_told(cameras, tmp_path):
    cameras({0: FakeCamera({(640, 480): 30.0, (1280, 720): 30.0}), 1: FakeCamera({(640, 480): 30.0}, None)})
    text = cameras_text(tmp_path / "seen" / "now")
    picture = cv2.imread(str(tmp_path / "seen" / "now" / "camera-0.png"))
    assert picture.shape == (720, 1280, 3)
    assert_allclose(picture, 77)
    assert "camera-0.png" in text and "delivers no picture" in text.splitlines()[2]


def test_busy_and_no_cameras_are_told(cameras):
    cameras({}, {0: "Desk Cam"})
    assert cameras_text() == "0 (Desk Cam) does not open: another program may use it."
    cameras({})
    result = CliRunner().invoke(app, ["cameras"])
    assert result.exit_code == 0 and result.stdout == "No camera was found: plug one in, or allow access to it.\n"


def test_here_it_does_not_crash(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path))
    monkeypatch.setattr(find_camera, "_MAX_PROBED", 1)
    assert cameras_text()
