"""Recorded tracks: read back, converted, played at their own speed, and one sentence for what is no track."""

import csv
import json
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models.camera import Lens, default_intrinsics
from semihand.outputs.bvh import euler_zxy
from semihand.outputs.files import JsonlWriter
from semihand.outputs.record import camera_record, header
from semihand.outputs.replay import Pace, Track, feed
from semihand.outputs.writer import Writer
from semihand.tracker.types import Frame

RUNNER = CliRunner()
CAMERA = camera_record(640, 480, Lens(default_intrinsics(640, 480), assumed=True))
IMAGE = np.zeros((480, 640, 3), np.uint8)


@pytest.fixture
def track(right, left, tmp_path):
    """A file of four frames: one hand, both, none, both."""
    path = tmp_path / "track.jsonl"
    writer = JsonlWriter(str(path))
    writer.begin(header("clip.mp4", {"name": "lite"}, CAMERA, None))
    for index, hands in enumerate(([right], [right, left], [], [right, left])):
        writer.write(Frame(IMAGE, index / 10, index), hands, {"total": 5.0}, CAMERA)
    writer.close()
    return path


class Kept(Writer):
    def __init__(self):
        self.frames, self.header, self.models = [], None, []

    def begin(self, first_line):
        self.header = first_line

    def write(self, frame, hands, ms, camera):
        self.frames.append((frame, hands, ms, camera))

    def change_model(self, model):
        self.models.append((len(self.frames), model))

    def close(self):
        """Nothing is open."""


def read(path):
    kept = Kept()
    with Track(path) as source:
        feed(source, kept)
    return kept


def test_a_track_comes_back_as_it_was_written(track, right, left):
    kept = read(track)
    assert kept.header["source"] == "clip.mp4" and [len(hands) for _, hands, _, _ in kept.frames] == [1, 2, 0, 2]
    frame, hands, ms, camera = kept.frames[1]
    assert (frame.index, frame.time, ms, camera) == (1, 0.1, {"total": 5.0}, CAMERA)
    for one, before in zip(hands, (right, left)):
        assert (one.id, one.handedness) == (before.id, before.handedness)
        assert_allclose(one.xyz_cam, before.xyz_cam, atol=1e-4)
        assert_allclose(one.depth_rel, before.depth_rel, atol=1e-4)
        assert_allclose(one.bone_local, before.bone_local, atol=0.02)


def test_an_older_schema_gets_its_rotations_from_its_joints(track, right):
    lines = [json.loads(line) for line in track.read_text().splitlines()]
    old = ("id", "handedness", "score", "uv", "depth_mm", "xyz_m", "confidence", "box")
    lines[0]["schema"] = 1
    for line in lines[1:]:
        line["hands"] = [{name: hand[name] for name in old} for hand in line["hands"]]
    lines[2]["model"] = {"name": "my-mine"}
    track.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kept = read(track)
    assert_allclose(kept.frames[0][1][0].angles, right.angles, atol=1)
    assert kept.header["schema"] == 2 and kept.models == [(1, {"name": "my-mine"})]


def test_a_last_line_that_is_cut_off_is_left_out(track):
    track.write_text(track.read_text()[:-100])
    assert len(read(track).frames) == 3


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "is no track"),
        (b"frame,t,id\n", "is no track"),
        (b"\xff\xfe\x00", "is no track"),
        (b'{"schema": 1}\n', "is no track"),
        (b'{"schema": 9, "format": "semihand-track", "camera": {}}\n', "has schema 9, this semihand reads up to 2"),
    ],
)
def test_what_is_no_track(tmp_path, content, words):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(SemihandError, match=words):
        Track(path)
    with pytest.raises(SemihandError, match="cannot be read: No such file"):
        Track(tmp_path / "none.jsonl")


@pytest.mark.parametrize("damage", [lambda r: r["hands"][0].pop("uv"), lambda r: r["hands"][0]["xyz_m"].pop(),
                                    lambda r: r["hands"][0].update(handedness="up"), lambda r: r.update(t=None)])  # fmt: skip
def test_a_damaged_line_is_named(track, damage):
    lines = track.read_text().splitlines()
    record = json.loads(lines[2])
    damage(record)
    track.write_text("\n".join([*lines[:2], json.dumps(record), *lines[3:], ""]))
    kept = Kept()
    with Track(track) as source, pytest.raises(SemihandError, match=r"Line 3 of .* is no frame of a track"):
        feed(source, kept)
    assert len(kept.frames) == 1


# ---- convert


def test_convert_to_csv_and_npz(track, tmp_path, right):
    done = RUNNER.invoke(app, ["convert", str(track), "--to", "csv"])
    assert done.exit_code == 0, done.output
    assert "4 frames" in done.stderr
    with (tmp_path / "track.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 21 and float(rows[8]["x_m"]) == pytest.approx(right.xyz_cam[8, 0], abs=1e-4)
    assert RUNNER.invoke(app, ["convert", str(track), "--to", "npz", "--out", str(tmp_path / "o.npz")]).exit_code == 0
    with np.load(tmp_path / "o.npz") as data:
        assert data["xyz_m"].shape == (5, 21, 3) and len(data["frames"]) == 4


def test_convert_to_bvh_poses_the_same_joints(track, tmp_path, right, left):
    done = RUNNER.invoke(app, ["convert", str(track), "--to", "bvh"])
    assert done.exit_code == 0, done.output
    for hand in (right, left):
        skeleton, frames, step = read_bvh(tmp_path / f"track-{hand.handedness}.bvh")
        assert len(frames) == 4 and step == pytest.approx(0.1)
        expected = hand.xyz_cam @ np.diag([1.0, -1.0, -1.0]) * 100
        ends = play_bvh(skeleton, frames[1])
        assert_allclose(ends["hand"], expected[0], atol=0.02)
        for name, joint in (
            ("index_proximal", 5),
            ("index_distal", 7),
            ("thumb_proximal", 2),
            ("little_distal end", 20),
        ):
            assert_allclose(ends[name], expected[joint], atol=0.05, err_msg=name)
        assert_allclose(frames[2], frames[1])  # not seen: as it was


def read_bvh(path):
    """A small reader of its own: joints as (name, parent, offset) in the order of the channels, frames, seconds."""
    head, motion = path.read_text().split("MOTION\n")
    skeleton, stack, name = [], [], ""
    for line in map(str.strip, head.splitlines()):
        if line.startswith(("ROOT", "JOINT")):
            name = line.split()[1].removeprefix("left_").removeprefix("right_")
        elif line == "End Site":
            name = stack[-1] + " end"
        elif line == "{":
            skeleton.append([name, stack[-1] if stack else None, None])
            stack.append(name)
        elif line == "}":
            stack.pop()
        elif line.startswith("OFFSET"):
            skeleton[-1][2] = np.array(line.split()[1:], float)
    assert not stack
    count, step, *rows = motion.splitlines()
    assert len(rows) == int(count.split()[1])
    return skeleton, np.array([row.split() for row in rows], float), float(step.split(":")[1])


def play_bvh(skeleton, row):
    places, turns, row = {}, {}, list(row)
    for name, parent, offset in skeleton:
        if parent is None:
            places[name], row = np.array(row[:3]), row[3:]
            base = np.eye(3)
        else:
            base = turns[parent]
            places[name] = places[parent] + base @ offset
        if not name.endswith(" end"):
            z, x, y = np.deg2rad(row[:3])
            row = row[3:]
            turns[name] = base @ about(2, z) @ about(0, x) @ about(1, y)
    assert not row
    return places


def about(axis, angle):
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = np.eye(3)
    R[i, i] = R[j, j] = np.cos(angle)
    R[j, i], R[i, j] = np.sin(angle), -np.sin(angle)
    return R


def test_euler_angles():
    R = about(2, 0.3) @ about(0, -0.7) @ about(1, 1.2)
    assert_allclose(np.deg2rad(euler_zxy(R)), (0.3, -0.7, 1.2), atol=1e-12)


def test_convert_refuses(track, tmp_path):
    assert RUNNER.invoke(app, ["convert", str(track), "--to", "fbx"]).exit_code == 2
    assert RUNNER.invoke(app, ["convert", str(track), "--to", "csv", "--out", str(track)]).exit_code == 2
    gone = RUNNER.invoke(app, ["convert", str(track), "--to", "bvh", "--out", str(tmp_path / "none" / "o.bvh")])
    assert isinstance(gone.exception, SemihandError) and "does not exist" in str(gone.exception)


# ---- play


def test_play_sends_what_was_tracked(track, receiver):
    there = receiver()
    done = RUNNER.invoke(app, ["play", str(track), "--udp", str(there.port)])
    assert done.exit_code == 0, done.output
    sent = int(re.search(r"udp: (\d+) frames sent", done.stderr)[1])
    last = [json.loads(there.get()) for _ in range(sent)][-1]
    assert last["lost"] == [1, 2]


def test_the_pace_is_the_tracks_own():
    now, waits = [100.0], []

    def wait(seconds):
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(lambda: now[0], wait)
    for time in (3.0, 3.1, 3.3):
        pace(time)
    now[0] += 0.5  # the receiver's side was slow: late frames follow at once
    pace(3.4)
    pace(60.0)  # the camera stood still: nobody waits for a minute
    assert_allclose(waits, [0.1, 0.2, 1 / 30])


def test_play_needs_somewhere_to_send_to(track):
    assert RUNNER.invoke(app, ["play", str(track)]).exit_code == 2
    assert RUNNER.invoke(app, ["play", str(track), "--udp", "nowhere"]).exit_code == 2
