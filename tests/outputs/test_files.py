"""JSONL, CSV, NPZ and video: their contents, and that they stay readable when writing fails."""

import csv
import errno
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.kinematics.hand import Hand, Motion
from semihand.models.camera import Lens, default_intrinsics
from semihand.models.joints import JOINT_NAMES
from semihand.outputs import files
from semihand.outputs.files import CSV_COLUMNS, CsvWriter, JsonlWriter, NpzWriter
from semihand.outputs.record import camera_record, header
from semihand.tracker import video
from semihand.tracker.types import Frame, HandBox, HandPose
from semihand.tracker.video import VideoSink

IMAGE = np.zeros((240, 320, 3), np.uint8)
K = default_intrinsics(320, 240)
CAMERA = camera_record(320, 240, Lens(K, assumed=True))
HEADER = header("clip.mp4", {"name": "lite", "sha256": "ab" * 32, "device": "cpu"}, CAMERA, None)
MS = {"capture": 1.234567, "detect": 0.0, "estimate": 4.5, "total": 5.04321}


def pose(seed: int, hand_id: int = 1, side: str = "right") -> Hand:
    rng = np.random.default_rng(seed)
    uv, xyz = rng.uniform(20, 200, (21, 2)), rng.uniform(0.2, 0.6, (21, 3))
    (hand,) = Motion()([HandPose(
        hand_id, side, 0.876543, uv, xyz, xyz[:, 2] - xyz[9, 2], rng.uniform(0, 1, 21).astype(np.float32),
        np.zeros((64, 64)), np.eye(3), HandBox(np.array([100.0, 100.0]), 80.0),
    )], 0.0)  # fmt: skip
    return hand


STORY = [[], [pose(0)], [pose(1), pose(2, 2, "left")]]


def write_story(writer):
    writer.begin(HEADER)
    for index, poses in enumerate(STORY):
        writer.write(Frame(IMAGE, index / 30, index), poses, MS, CAMERA)
    writer.close()
    writer.close()


def test_jsonl_header_and_lines(tmp_path):
    path = tmp_path / "out.jsonl"
    write_story(JsonlWriter(str(path)))
    first, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["schema"] == 2
    assert first["model"] == {"name": "lite", "sha256": "ab" * 32, "device": "cpu"}
    assert first["source"] == "clip.mp4"
    assert first["camera"] == {"width": 320, "height": 240, "K": [272.0, 272.0, 159.5, 119.5], "assumed": True}
    assert "unmirrored" in first["mirror"]
    assert {"uv", "depth_mm", "xyz_m", "box", "t", "ms"} <= set(first["units"])
    assert first["joint_order"] == "mediapipe21" and first["joints"][9] == "middle_mcp"
    assert [line["frame"] for line in lines] == [0, 1, 2]
    assert [line["t"] for line in lines] == [0.0, 0.0333, 0.0667]
    assert [len(line["hands"]) for line in lines] == [0, 1, 2]
    assert lines[0]["ms"] == {"capture": 1.23, "detect": 0.0, "estimate": 4.5, "total": 5.04}
    hand, truth = lines[2]["hands"][1], STORY[2][1]
    assert set(hand) == {"id", "handedness", "score", "uv", "depth_mm", "xyz_m", "confidence", "box",
                         "palm", "bones", "angles_deg", "pinch", "grab", "extended"}  # fmt: skip
    assert len(first["bones"]) == 15 and [len(names) for names in first["angles"]] == [4] * 5
    assert (hand["id"], hand["handedness"], hand["score"]) == (2, "left", 0.877)
    assert_allclose(hand["uv"], truth.uv_image, atol=0.0051)
    assert_allclose(hand["depth_mm"], truth.depth_rel * 1e3, atol=0.051)
    assert_allclose(hand["xyz_m"], truth.xyz_cam, atol=0.000051)
    assert_allclose(hand["confidence"], truth.confidence, atol=0.00051)
    low, extent = truth.uv_image.min(axis=0), np.ptp(truth.uv_image, axis=0)
    assert_allclose(hand["box"], [*low, *extent], atol=0.051)
    assert all(len(repr(value)) < 12 for value in hand["confidence"])


def test_jsonl_is_on_disk_line_by_line(tmp_path):
    path = tmp_path / "out.jsonl"
    writer = JsonlWriter(str(path))
    writer.begin(HEADER)
    for index in range(3):
        writer.write(Frame(IMAGE, 0.0, index), STORY[1], MS, CAMERA)
        lines = path.read_bytes().splitlines(keepends=True)
        assert len(lines) == index + 2 and lines[-1].endswith(b"\n")
    writer.close()


def test_jsonl_names_pictures_and_tells_of_another_camera(tmp_path):
    path = tmp_path / "out.jsonl"
    writer = JsonlWriter(str(path))
    other = camera_record(640, 480, Lens(default_intrinsics(640, 480), assumed=True))
    writer.begin(HEADER)
    for index, camera in enumerate((CAMERA, other, other, CAMERA)):
        writer.write(Frame(IMAGE, 0.0, index, name=f"{index}.png"), [], MS, camera)
    writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()][1:]
    assert [line.get("camera") for line in lines] == [None, other, None, CAMERA]
    assert [line["image"] for line in lines] == ["0.png", "1.png", "2.png", "3.png"]


def test_csv_is_tidy(tmp_path):
    path = tmp_path / "out.csv"
    write_story(CsvWriter(str(path)))
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 3 * 21
    assert [row["name"] for row in rows[:21]] == list(JOINT_NAMES)
    row, truth = rows[2 * 21 + 7], STORY[2][1]
    assert (row["frame"], row["id"], row["handedness"], row["joint"]) == ("2", "2", "left", "7")
    assert_allclose([float(row["u"]), float(row["v"])], truth.uv_image[7], atol=0.0051)
    assert_allclose([float(row[key]) for key in ("x_m", "y_m", "z_m")], truth.xyz_cam[7], atol=0.000051)
    assert_allclose(float(row["depth_mm"]), truth.depth_rel[7] * 1e3, atol=0.051)


def test_npz_round_trip(tmp_path):
    path = tmp_path / "out.npz"
    write_story(NpzWriter(str(path)))
    with np.load(path) as data:
        assert data["frame"].tolist() == [1, 2, 2] and data["id"].tolist() == [1, 1, 2]
        assert data["handedness"].tolist() == ["right", "right", "left"]
        assert_allclose(data["frames"], [0, 1, 2])
        assert_allclose(data["times"], [0, 1 / 30, 2 / 30])
        everyone = [hand for poses in STORY for hand in poses]
        assert_allclose(data["uv"], [hand.uv_image for hand in everyone], rtol=1e-6)
        assert_allclose(data["xyz_m"], [hand.xyz_cam for hand in everyone], rtol=1e-6)
        assert_allclose(data["depth_mm"], [hand.depth_rel * 1e3 for hand in everyone], rtol=1e-5, atol=1e-4)
        assert_allclose(data["confidence"], [hand.confidence for hand in everyone], rtol=1e-6)
        assert_allclose(data["score"], 0.876543, rtol=1e-6)
        assert json.loads(str(data["header"])) == HEADER
    assert list(tmp_path.iterdir()) == [path]


def test_npz_of_a_run_without_hands(tmp_path):
    path = tmp_path / "out.npz"
    writer = NpzWriter(str(path))
    writer.begin(HEADER)
    writer.write(Frame(IMAGE, 0.0, 0), [], MS, CAMERA)
    writer.close()
    with np.load(path) as data:
        assert data["uv"].shape == (0, 21, 2) and data["xyz_m"].shape == (0, 21, 3) and len(data["frames"]) == 1


def test_npz_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.npz"
    path.write_bytes(b"old")
    writer = NpzWriter(str(path))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.np, "savez_compressed", full)
    with pytest.raises(SemihandError, match=r"out\.npz was not written: No space left"):
        writer.close()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [JsonlWriter, CsvWriter, NpzWriter, lambda path: VideoSink(path, 30.0)])
def test_a_folder_that_is_not_there(tmp_path, kind):
    with pytest.raises(SemihandError, match="the folder .* does not exist"):
        kind(str(tmp_path / "none" / "out.avi"))


@pytest.mark.parametrize("kind", [JsonlWriter, CsvWriter, lambda path: VideoSink(path, 30.0)])
def test_a_place_where_nobody_may_write(tmp_path, kind):
    (tmp_path / "out.avi").mkdir()
    with pytest.raises(SemihandError, match="cannot be written: Is a directory"):
        kind(str(tmp_path / "out.avi"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
def test_full_disk_in_one_sentence():
    writer = JsonlWriter("/dev/full")
    with pytest.raises(SemihandError, match="Writing /dev/full failed: No space left on device"):
        writer.begin(HEADER)
    with pytest.raises(SemihandError, match="Writing /dev/full failed"):
        CsvWriter("/dev/full")


class ShortFile:
    """A file on a disk that has room for `room` bytes."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.file.write(bytes(data)[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("kind,room", [(JsonlWriter, 12000), (CsvWriter, 6000)])
def test_lines_that_do_not_fit_are_taken_out_again(tmp_path, kind, room):
    path = tmp_path / "out"
    writer = kind(str(path))
    writer._file._file = ShortFile(writer._file._file, room)
    writer.begin(HEADER)
    with pytest.raises(SemihandError, match="No space left"):
        for index in range(20):
            writer.write(Frame(IMAGE, 0.0, index), STORY[2], MS, CAMERA)
    writer.close()
    text = path.read_text()
    assert text.endswith("\n")
    lines = text.splitlines()
    assert len(lines) > 1
    if kind is JsonlWriter:
        assert [json.loads(line) for line in lines][0]["schema"] == 2
    else:
        assert (len(lines) - 1) % 42 == 0 and all(line.count(",") == 13 for line in lines)


def test_standard_output(capfdbinary):
    writer = JsonlWriter("-")
    writer.begin(HEADER)
    writer.close()
    assert json.loads(capfdbinary.readouterr().out)["schema"] == 2
    assert not sys.stdout.closed


# ---- video


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, image = capture.read()
        if not ok:
            return frames
        frames.append(image)


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "out.mkv", "OUT.MOV"])
def test_video_plays(tmp_path, name):
    sink = VideoSink(str(tmp_path / name), 25.0)
    for index in range(10):
        sink.write(np.full((48, 64, 3), 20 * index, np.uint8), index / 25)
    sink.close()
    sink.close()
    frames = read_video(tmp_path / name)
    assert_allclose([frame.mean() for frame in frames], 20.0 * np.arange(10), atol=4)


def test_pictures_of_other_sizes_fit_into_the_first(tmp_path):
    sink = VideoSink(str(tmp_path / "out.avi"), 25.0)
    for shape in ((49, 65, 3), (100, 30, 3), (1, 1, 3)):
        sink.write(np.full(shape, 200, np.uint8), 0.0)
    sink.close()
    first, tall, dot = read_video(tmp_path / "out.avi")
    assert first.shape == (48, 64, 3)
    assert tall[24, 32].mean() > 190 and tall[24, 4].mean() < 10
    assert dot[24, 32].mean() > 190 and dot[24, 2].mean() < 10


def test_a_tiny_first_picture_still_makes_a_video(tmp_path):
    sink = VideoSink(str(tmp_path / "out.mp4"), 25.0)
    sink.write(np.full((1, 1, 3), 200, np.uint8), 0.0)
    sink.close()
    assert len(read_video(tmp_path / "out.mp4")) == 1


def test_a_huge_picture_is_scaled_down(tmp_path):
    sink = VideoSink(str(tmp_path / "out.avi"), 25.0)
    sink.write(np.full((2000, 7680, 3), 200, np.uint8), 0.0)
    sink.close()
    (frame,) = read_video(tmp_path / "out.avi")
    assert frame.shape == (1000, 3840, 3)


def test_a_live_video_keeps_time(tmp_path):
    """10 pictures a second in a video of 20 a second: each is shown twice; a pause is cut to a second."""
    sink = VideoSink(str(tmp_path / "out.avi"), 20.0, by_time=True)
    for index in range(10):
        sink.write(np.full((48, 64, 3), 20 * index, np.uint8), 5 + index / 10)
    sink.write(np.full((48, 64, 3), 250, np.uint8), 60.0)
    sink.close()
    shown = [round(float(frame.mean()) / 20) for frame in read_video(tmp_path / "out.avi")]
    assert shown[:18] == [index for index in range(9) for _ in range(2)]
    assert shown[18:] == [9] * 20 + [12]


def test_a_nearly_full_disk_ends_the_video_in_time(tmp_path, monkeypatch):
    free = iter([10**9, 10**9, 10**6])
    monkeypatch.setattr(video.shutil, "disk_usage", lambda _: type("Usage", (), {"free": next(free)}))
    sink = VideoSink(str(tmp_path / "out.mp4"), 25.0)
    with pytest.raises(SemihandError, match=r"full \(1\.0 MB left\): the video ends after 31 frames"):
        for index in range(100):
            sink.write(np.full((48, 64, 3), index, np.uint8), index / 25)
    sink.close()
    assert len(read_video(tmp_path / "out.mp4")) == 31


def test_unknown_kind_of_video(tmp_path):
    with pytest.raises(SemihandError, match=r"\.gif: no codec.*\.mp4"):
        VideoSink(str(tmp_path / "out.gif"), 25.0)


def test_an_existing_file_is_not_touched_before_the_first_picture(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"old")
    VideoSink(str(path), 25.0).close()
    assert path.read_bytes() == b"old"
    VideoSink(str(tmp_path / "new.mp4"), 25.0).close()
    assert not (tmp_path / "new.mp4").exists()
