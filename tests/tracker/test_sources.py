"""Webcam, video file and pictures as sources of frames, and every bad input in one sentence."""

import logging
import struct
import time

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.tracker import camera as camera_module
from semihand.tracker.camera import CameraConfig, Webcam, find_cameras, to_bgr8
from semihand.tracker.files import Pictures, VideoFile, natural_key

PICTURE = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)


def write_video(path, count=20, size=(64, 48), codec="mp4v", fps=25.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
    for index in range(count):
        writer.write(np.full((size[1], size[0], 3), 10 * index % 250, np.uint8))
    writer.release()
    return path


# ---- video files


def test_video_frames_times_and_rate(tmp_path):
    source = VideoFile(write_video(tmp_path / "a.mp4"))
    frames = list(source.frames())
    assert (source.fps, source.count, source.live, source.independent) == (25.0, 20, False, False)
    assert [frame.index for frame in frames] == list(range(20))
    assert_allclose([frame.time for frame in frames], np.arange(20) / 25, atol=1e-6)
    assert_allclose(
        [frame.image.mean() for frame in frames], [10 * index % 250 for index in range(20)], atol=4
    )
    assert all(frame.capture_ms > 0 for frame in frames)
    source.close()
    source.close()


def test_turned_video_is_turned_upright(tmp_path):
    """Phones store pictures as the sensor sees them, and how to turn them in the track header's matrix."""
    path = tmp_path / "phone.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48))
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 255
    for _ in range(3):
        writer.write(picture)
    writer.release()
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 4 + 4 + 20 + 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 48 << 16, 0, 1 << 30)
    path.write_bytes(data)
    frame = next(VideoFile(path).frames())
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[0].mean() > 200 > 50 > frame.image[-1].mean()


class FakeVideo:
    """A capture with the time stamps that a test wants."""

    def __init__(self, stamps, fps=30.0, count=None):
        self.stamps, self.index, self.fps = stamps, -1, fps
        self.total = len(stamps) if count is None else count

    def read(self):
        self.index += 1
        return (True, PICTURE) if self.index < len(self.stamps) else (False, None)

    def get(self, prop):
        stamp = self.stamps[max(self.index, 0)] if self.index < len(self.stamps) else 0
        return {
            cv2.CAP_PROP_FPS: self.fps,
            cv2.CAP_PROP_FRAME_COUNT: self.total,
            cv2.CAP_PROP_POS_MSEC: stamp,
        }[prop]


def faked(tmp_path, monkeypatch, *args, **kwargs):
    path = tmp_path / "fake.mp4"
    path.write_bytes(b"x")
    monkeypatch.setattr("semihand.tracker.files._open_video", lambda _: FakeVideo(*args, **kwargs))
    return VideoFile(path)


def test_variable_frame_rate_keeps_the_true_times(tmp_path, monkeypatch):
    source = faked(tmp_path, monkeypatch, [0, 10, 50, 120, 433], fps=11.5)
    assert_allclose([frame.time for frame in source.frames()], [0, 0.01, 0.05, 0.12, 0.433])


def test_a_file_without_time_stamps_counts(tmp_path, monkeypatch):
    source = faked(tmp_path, monkeypatch, [0, 0, 0, 0], fps=10.0)
    assert_allclose([frame.time for frame in source.frames()], [0, 0.1, 0.2, 0.3])


def test_a_senseless_rate_is_thirty(tmp_path, monkeypatch):
    assert faked(tmp_path, monkeypatch, [0, 33], fps=90000.0, count=-5e18).fps == 30.0
    source = faked(tmp_path, monkeypatch, [0, 33], fps=0.0, count=-5e18)
    assert (source.fps, source.count) == (30.0, None)
    assert len(list(source.frames())) == 2


def test_an_overestimated_count_of_a_whole_file_is_no_error(tmp_path, monkeypatch):
    # 4 frames over a second, of which the file claims 30
    source = faked(tmp_path, monkeypatch, [0, 300, 600, 960], fps=30.0, count=30)
    assert len(list(source.frames())) == 4


@pytest.mark.parametrize("content", [b"this is no video\n" * 100, bytes(5000), b"\xff\xd8\xff" + bytes(50)])
def test_not_a_video(tmp_path, content):
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(SemihandError, match=r"notes\.mp4.*(not a video|could be decoded)"):
        list(VideoFile(path).frames())


def test_missing_empty_and_folder_in_place_of_a_video(tmp_path):
    with pytest.raises(SemihandError, match="does not exist"):
        VideoFile(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(SemihandError, match="0 bytes"):
        VideoFile(tmp_path / "empty.mp4")
    with pytest.raises(SemihandError, match=f"--images {tmp_path}"):
        VideoFile(tmp_path)


def test_cut_off_without_index(tmp_path):
    path = write_video(tmp_path / "cut.mp4")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(SemihandError, match="cut off, or damaged"):
        VideoFile(path)


def test_cut_off_with_index_gives_its_frames_and_says_so(tmp_path):
    path = write_video(tmp_path / "cut.avi", count=40, codec="MJPG")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = []
    with pytest.raises(SemihandError, match=r"ends after (\d+) of its 40 frames: it is cut off") as caught:
        for frame in VideoFile(path).frames():
            frames.append(frame)
    assert f"after {len(frames)} of" in str(caught.value)
    assert 5 <= len(frames) < 30


# ---- pictures


def test_pictures_of_every_kind_become_bgr(tmp_path):
    grey = PICTURE[..., 0]
    cv2.imwrite(str(tmp_path / "p1.png"), PICTURE)
    cv2.imwrite(str(tmp_path / "p2.png"), grey)
    cv2.imwrite(str(tmp_path / "p3.png"), np.dstack([PICTURE, grey]))
    cv2.imwrite(str(tmp_path / "p4.png"), PICTURE.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "p5.tiff"), grey.astype(np.uint16) * 257)
    images = [frame.image for frame in Pictures(tmp_path).frames()]
    expected = [PICTURE, np.dstack([grey] * 3), PICTURE, PICTURE, np.dstack([grey] * 3)]
    for got, want in zip(images, expected):
        assert got.dtype == np.uint8
        assert_allclose(got, want, atol=1)


def test_natural_order_names_and_times(tmp_path):
    for name in ("img10.png", "img2.png", "IMG1.PNG", "notes.txt"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), PICTURE)
        (tmp_path / f"{name}.png").rename(tmp_path / name)
    source = Pictures(tmp_path, fps=10.0)
    frames = list(source.frames())
    assert [frame.name for frame in frames] == ["IMG1.PNG", "img2.png", "img10.png"]
    assert_allclose([frame.time for frame in frames], [0, 0.1, 0.2])
    assert not source.independent and Pictures(tmp_path).independent
    assert natural_key(tmp_path / "a2b") < natural_key(tmp_path / "a10")


def test_one_picture_and_a_tiny_and_a_huge_one(tmp_path):
    for size in ((1, 1, 3), (4320, 7680, 3)):
        path = tmp_path / "one.jpg"
        cv2.imwrite(str(path), np.full(size, 127, np.uint8))
        (frame,) = Pictures(path).frames()
        assert frame.image.shape == size


def test_exif_orientation_is_respected(tmp_path):
    path = tmp_path / "phone.jpg"
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 255
    cv2.imwrite(str(path), picture)
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, 6, 0) + bytes(4)  # 6: turn clockwise
    segment = b"Exif\0\0" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:])
    (frame,) = Pictures(path).frames()
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[0].mean() > 200


def test_an_unreadable_picture_is_named_and_counted(tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "a.png"), PICTURE)
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.png").touch()
    cv2.imwrite(str(tmp_path / "d.png"), PICTURE)
    source = Pictures(tmp_path)
    with caplog.at_level(logging.WARNING):
        frames = list(source.frames())
    assert [frame.index for frame in frames] == [0, 3]
    assert "b.png cannot be read" in caplog.text and "c.png cannot be read" in caplog.text
    assert source.notes() == ["2 of 4 pictures could not be read"]


def test_folders_without_a_readable_picture(tmp_path):
    with pytest.raises(SemihandError, match="No picture in"):
        Pictures(tmp_path)
    with pytest.raises(SemihandError, match="does not exist"):
        Pictures(tmp_path / "none")
    inner = tmp_path / "images"
    inner.mkdir()
    cv2.imwrite(str(inner / "a.png"), PICTURE)
    with pytest.raises(SemihandError, match=f"some in {inner}"):
        Pictures(tmp_path)
    (inner / "a.png").write_bytes(b"no picture")
    with pytest.raises(SemihandError, match="None of the 1 pictures"):
        list(Pictures(inner).frames())


@pytest.mark.parametrize(
    "image,expected",
    [
        (np.array([[7]], np.uint8), 7),
        (np.full((2, 3, 1), 7, np.uint8), 7),
        (np.full((2, 3, 4), 7, np.uint8), 7),
        (np.full((2, 3, 3), 0x0700, np.uint16), 7),
        (np.full((2, 3), 0.5, np.float32), 128),
    ],
)
def test_to_bgr8(image, expected):
    converted = to_bgr8(image)
    assert converted.dtype == np.uint8 and converted.shape == (*image.shape[:2], 3)
    assert (converted == expected).all()


def test_to_bgr8_copies_nothing_without_need_and_refuses_nonsense():
    assert to_bgr8(PICTURE) is PICTURE
    for bad in (
        np.zeros((2, 2, 5), np.uint8),
        np.zeros((0, 3, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((2, 2), int),
    ):
        with pytest.raises(ValueError, match="Expected"):
            to_bgr8(bad)


# ---- webcam


class FakeCapture:
    """A camera: delivers pictures with its running number at `rate`, up to `limit`. Class-wide: which ones exist."""

    present = {0: {}}
    opened: list = []

    def __init__(self, index, backend=0):
        self.settings = {cv2.CAP_PROP_FOURCC: 0}
        self.behaviour = self.present.get(index)
        self.count, self.released = 0, False
        FakeCapture.opened.append(self)

    def isOpened(self):
        return self.behaviour is not None

    def set(self, prop, value):
        self.settings[prop] = value
        return True

    def get(self, prop):
        return self.settings.get(prop, 0)

    def grab(self):
        time.sleep(self.behaviour.get("period", 0.005))
        self.count += 1
        return self.count <= self.behaviour.get("limit", 10**9)

    def retrieve(self):
        return True, np.full((48, 64, 3), self.count % 256, np.uint8)

    def release(self):
        self.released = True


@pytest.fixture
def cameras(monkeypatch):
    FakeCapture.present, FakeCapture.opened = {0: {}}, []
    monkeypatch.setattr(camera_module.cv2, "VideoCapture", FakeCapture)
    monkeypatch.setattr(camera_module, "CAMERA_TIMEOUT", 0.3)
    return FakeCapture


def test_webcam_gives_the_newest_picture_with_its_time(cameras, caplog):
    with caplog.at_level(logging.INFO), Webcam(CameraConfig(0, 320, 240, 15)) as source:
        frames = source.frames()
        first = next(frames)
        time.sleep(0.1)
        second = next(frames)
        assert source.latency_ms(second) < 60
    assert (first.index, second.index) == (0, 1)
    assert second.image[0, 0, 0] - first.image[0, 0, 0] > 5
    assert 0.05 < second.time - first.time < 0.5
    assert any("pictures skipped for newer ones" in note for note in source.notes())
    assert "asked for 320x240 at 15 fps, delivers 64x48 at 15 fps (MJPG)" in caplog.text
    assert cameras.opened[0].released
    assert source.live


def test_webcam_is_asked_for_what_was_wanted(cameras):
    Webcam(CameraConfig(0, 320, 240, 15)).close()
    settings = cameras.opened[0].settings
    assert settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert [settings[p] for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)] == [
        320,
        240,
        15,
    ]


def test_no_such_camera_names_those_there_are(cameras, monkeypatch, tmp_path):
    cameras.present = {0: {}, 2: {}}
    monkeypatch.setattr(camera_module.sys, "platform", "win32")
    assert find_cameras() == [0, 2]
    with pytest.raises(SemihandError, match=r"Camera 1 did not open\. Cameras found: 0, 2\. Try --camera 0"):
        Webcam(CameraConfig(1))
    cameras.present = {}
    with pytest.raises(SemihandError, match="Camera 0 did not open. No camera was found.*--video FILE"):
        Webcam(CameraConfig(0))


def test_busy_camera(cameras):
    cameras.present = {0: {"limit": 0}}
    with (
        Webcam(CameraConfig(0)) as source,
        pytest.raises(SemihandError, match="no picture within.*Another program"),
    ):
        next(source.frames())


def test_unplugged_camera(cameras):
    cameras.present = {0: {"limit": 3}}
    taken = 0
    with (
        Webcam(CameraConfig(0)) as source,
        pytest.raises(SemihandError, match="stopped delivering pictures after 3"),
    ):
        for _ in source.frames():
            taken += 1
    assert 1 <= taken <= 3


@pytest.mark.parametrize("values", [{"index": -1}, {"width": 0}, {"fps": 0.0}])
def test_refuses_senseless_camera_configurations(values):
    with pytest.raises(ValueError, match="A camera needs"):
        CameraConfig(**values)
