"""Video file and pictures as sources of frames, and every bad input in one sentence."""

import logging
import os
import struct
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.paths import plain_name
from semihand.picture_file import write_picture
from semihand.tracker import files as files_module
from semihand.tracker.camera import to_bgr8
from semihand.tracker.files import Pictures, VideoFile, natural_key
from semihand.tracker.video import VideoSink

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
    assert_allclose([frame.image.mean() for frame in frames], [10 * index % 250 for index in range(20)], atol=4)
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

    def release(self):
        """Nothing is open."""

    def get(self, prop):
        stamp = self.stamps[max(self.index, 0)] if self.index < len(self.stamps) else 0
        return {cv2.CAP_PROP_FPS: self.fps, cv2.CAP_PROP_FRAME_COUNT: self.total, cv2.CAP_PROP_POS_MSEC: stamp}[prop]


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


# ---- names and kinds as people have them

ODD = b"l\xfcn"


@pytest.fixture
def odd(tmp_path):
    """odd(ending): a path whose name is no UTF-8."""
    if sys.platform in ("win32", "darwin"):
        pytest.skip("names are always Unicode on this system")
    return lambda ending: Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + ODD + ending.encode()))


@pytest.mark.parametrize("ending", [".mp4", ".avi", ".mkv"])
def test_names_that_are_no_utf8_are_read_and_written(odd, tmp_path, ending):
    sink = VideoSink(str(odd(ending)), 25.0)
    for index in range(5):
        sink.write(np.full((48, 64, 3), 40 * index, np.uint8), index / 25)
    sink.close()
    assert odd(ending).stat().st_size > 0
    source = VideoFile(odd(ending))
    assert len(list(source.frames())) == 5
    assert source.name.endswith(r"l\xfcn" + ending)
    write_picture(odd(".png"), PICTURE)
    pictures = Pictures(odd(".png"))
    assert [frame.name for frame in pictures.frames()] == [r"l\xfcn.png"]
    (tmp_path / "no.mp4").write_bytes(b"text")
    os.replace(tmp_path / "no.mp4", odd(".mov"))
    with pytest.raises(SemihandError, match=r"l\\xfcn\.mov is not a video"):
        VideoFile(odd(".mov"))


def test_a_name_that_opencv_could_not_take_goes_by_a_link_that_is_gone_afterwards(odd, tmp_path):
    odd(".mp4").touch()
    with plain_name(odd(".mp4")) as name:
        assert name.isascii() and name.endswith(".mp4") and os.path.samefile(name, odd(".mp4"))
    assert not os.path.lexists(name)
    with plain_name(tmp_path / "grün.mp4") as name:
        assert name == str(tmp_path / "grün.mp4")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission there")
def test_links_in_a_circle_and_into_nothing(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dead").symlink_to(tmp_path / "nothing")
    for name in ("loop", "dead"):
        for source in (VideoFile, Pictures):
            with pytest.raises(SemihandError, match=f"{name} is a link that leads nowhere"):
                source(tmp_path / name)


@pytest.mark.parametrize("address", ["rtsp://127.0.0.1:1/x", "http://me:secret@host/v?key=secret"])
def test_an_address_is_no_file(address):
    with pytest.raises(SemihandError, match="is an address, not a file. .*--camera") as caught:
        VideoFile(address)
    assert "secret" not in str(caught.value) and "://" in str(caught.value)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no devices as files on this system")
def test_devices_and_pictures_are_no_videos(tmp_path):
    with pytest.raises(SemihandError, match="is a device, not a video file.*--camera /dev/null"):
        VideoFile("/dev/null")
    write_picture(tmp_path / "a.png", PICTURE)
    with pytest.raises(SemihandError, match=r"a\.png is a picture, not a video. Use --images"):
        VideoFile(tmp_path / "a.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes as files on this system")
def test_a_pipe_is_read_as_it_comes(tmp_path):
    data = write_video(tmp_path / "a.avi", codec="MJPG").read_bytes()
    os.mkfifo(tmp_path / "pipe.avi")
    writer = threading.Thread(target=(tmp_path / "pipe.avi").write_bytes, args=(data,), daemon=True)
    writer.start()
    source = VideoFile(tmp_path / "pipe.avi")
    assert len(list(source.frames())) == 20 and source.even
    writer.join(10)


def test_what_a_folder_leaves_out_is_told_by_kind(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(files_module, "heic_readable", lambda: False)
    write_picture(tmp_path / "b.png", PICTURE)
    for name in ("a.heic", "c.heic", "notes.txt", ".hidden", "README"):
        (tmp_path / name).touch()
    (tmp_path / "x.png").mkdir()
    (tmp_path / "y.png").symlink_to(tmp_path / "none")
    source = Pictures(tmp_path)
    assert [frame.name for frame in source.frames()] == ["b.png"]
    told = "left out: 2 .heic (pip install pillow-heif), 1 .txt, 1 broken link, 1 file without an ending, 1 folder"
    assert source.notes() == [told] and told in caplog.text
    (tmp_path / "b.png").unlink()
    with pytest.raises(SemihandError, match=r"No picture in .*Left out: 2 \.heic \(pip install"):
        Pictures(tmp_path)
    with pytest.raises(SemihandError, match=r"a\.heic needs pillow-heif"):
        Pictures(tmp_path / "a.heic")


def test_patterns_and_several_names(tmp_path):
    for name in ("img2.png", "img10.png", "img1.png", "other.jpg"):
        write_picture(tmp_path / name, PICTURE)
    source = Pictures(str(tmp_path / "img*.png"))
    assert [frame.name for frame in source.frames()] == ["img1.png", "img2.png", "img10.png"]
    source = Pictures([tmp_path / "other.jpg", tmp_path / "img2.png"])
    assert [frame.name for frame in source.frames()] == ["other.jpg", "img2.png"]
    assert source.name == "2 pictures"
    with pytest.raises(SemihandError, match="Nothing matches .*none"):
        Pictures(str(tmp_path / "none*.png"))
    with pytest.raises(SemihandError, match=r"gone\.png does not exist"):
        Pictures([tmp_path / "img1.png", tmp_path / "gone.png"])
    (tmp_path / "set [1]").mkdir()
    write_picture(tmp_path / "set [1]" / "a.png", PICTURE)
    assert Pictures(str(tmp_path / "set [1]")).count == 1


@pytest.mark.parametrize("fps", [float("inf"), float("nan"), -1.0, 1e9])
def test_senseless_rates_of_pictures(tmp_path, fps):
    write_picture(tmp_path / "a.png", PICTURE)
    with pytest.raises(ValueError, match="cannot be filmed"):
        Pictures(tmp_path / "a.png", fps)


@pytest.mark.skipif(not hasattr(cv2, "imwriteanimation"), reason="this OpenCV writes no animations")
@pytest.mark.parametrize("ending", [".webp", ".gif"])
def test_an_animation_is_a_video_with_its_own_times_and_its_first_picture_is_a_picture(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    animation = cv2.Animation()
    animation.frames = [np.full((30, 40, 3), shade, np.uint8) for shade in (0, 80, 160, 240)]
    animation.durations = np.array([100, 200, 300, 400])
    cv2.imwriteanimation(str(path), animation)
    source = VideoFile(path)
    frames = list(source.frames())
    assert_allclose([frame.time for frame in frames], [0, 0.1, 0.3, 0.6])
    assert_allclose([frame.image.mean() for frame in frames], [0, 80, 160, 240], atol=6)
    assert not source.even
    assert next(Pictures(path).frames()).image.shape == (30, 40, 3)


def test_heic(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = np.zeros((30, 40, 3), np.uint8)
    picture[:, :20] = (10, 20, 250)
    pillow_heif.from_bytes("BGR", (40, 30), picture.tobytes()).save(tmp_path / "a.heic", quality=100)
    (tmp_path / "b.heic").write_bytes(b"no picture")
    source = Pictures(tmp_path)
    (frame,) = source.frames()
    assert_allclose(frame.image, picture, atol=12)
    assert source.unreadable == 1


def test_a_video_of_uneven_rate_is_seen_as_such(tmp_path, monkeypatch):
    assert VideoFile(write_video(tmp_path / "a.mp4")).even
    assert not faked(tmp_path, monkeypatch, [0, 10, 20, 500, 900, 4000], fps=4.0).even


def test_the_overlay_of_an_uneven_video_keeps_its_times(tmp_path):
    """A white picture at 0.5 s of frames at 0, 10, 20, 500, 1000 and 4000 ms stands there in the overlay too."""
    sink = VideoSink(str(tmp_path / "o.avi"), 60.0, by_time=True, longest_gap=10.0)
    for index, time in enumerate((0.0, 0.01, 0.02, 0.5, 1.0, 4.0)):
        sink.write(np.full((48, 64, 3), 255 if index == 3 else 0, np.uint8), time)
    sink.close()
    bright = [frame.time for frame in VideoFile(tmp_path / "o.avi").frames() if frame.image.mean() > 128]
    assert_allclose([bright[0], bright[-1]], [0.5, 1.0], atol=0.02)
    assert_allclose(VideoFile(tmp_path / "o.avi").count / 60, 4.0, atol=0.05)
