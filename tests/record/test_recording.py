"""Recordings on disk: what is written comes back, and kills, full disks and damage cost no more than they must."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.record import recording as store
from semihand.record import writer as recording_writer
from semihand.record.contact_sheet import contact_sheet
from semihand.record.recording import (
    RecordingHeader,
    delete_recording,
    list_recordings,
    read_recording,
    recording_folder,
    recording_hash,
)
from semihand.record.writer import RecordingWriter

K = np.array([[500.0, 0, 63.5], [0, 510.0, 47.5], [0, 0, 1]])
PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8), (0, 0), 2)
UV = np.random.default_rng(1).uniform(20, 90, (21, 2))


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Recordings of a test stay in its own folder."""
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def header(name="mine", **changes):
    values = dict(name=name, created="2026-01-02T03:04:05+00:00", source="camera 0", width=640, height=480, fps=30.0,
                  K_assumed=True, detector={"hand_landmark": "ab"})  # fmt: skip
    return RecordingHeader(**(values | changes))


def marks(shift=0.0):
    return SimpleNamespace(
        uv_image=UV + shift, depth=np.arange(21.0), presence=0.97, handedness="right", handedness_score=0.93
    )


def add(writer, index, segment=0, prompt="open"):
    return writer.add(PICTURE, index / 30, segment, prompt, K, "right", marks(index), 12.5)


def write(folder, count, **more):
    with RecordingWriter(folder, header(folder.name)) as writer:
        for index in range(count):
            add(writer, index, **more)
    return folder


def test_round_trip(data):
    folder = write(recording_folder("mine"), 3, segment=4, prompt="fist")
    recording = read_recording("mine")
    assert recording.folder == folder == data / "recordings" / "mine"
    assert (recording.name, recording.source, recording.width, recording.K_assumed) == ("mine", "camera 0", 640, True)
    assert recording.detector == {"hand_landmark": "ab"} and recording.dropped == 0
    frame = recording.frames[2]
    assert (frame.segment, frame.prompt, frame.handedness) == (4, "fist", "right")
    assert_allclose(frame.time, 2 / 30, atol=1e-6)
    assert_allclose(frame.K, K)
    assert_allclose(frame.uv_image, UV + 2, atol=1e-3)
    assert_allclose(frame.depth, np.arange(21.0))
    assert_allclose((frame.presence, frame.handedness_score, frame.sharpness), (0.97, 0.93, 12.5))
    assert frame.read().shape == PICTURE.shape
    assert np.abs(frame.read().astype(int) - PICTURE).mean() < 3


def test_an_existing_recording_is_refused_and_kept():
    folder = write(recording_folder("mine"), 2)
    with pytest.raises(SemihandError, match="exists already.*--resume"):
        RecordingWriter(folder, header())
    assert len(read_recording(folder).frames) == 2


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(SemihandError, match="exists already"):
        RecordingWriter(tmp_path, header())
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_what_a_killed_start_leaves_is_no_obstacle(tmp_path):
    (tmp_path / "mine" / "images").mkdir(parents=True)
    (tmp_path / "mine" / "recording.json.part").write_text("{")
    assert len(read_recording(write(tmp_path / "mine", 1)).frames) == 1


def test_continuing_goes_on_behind_the_last_frame():
    folder = write(recording_folder("mine"), 3, segment=1)
    with RecordingWriter(folder, header(), resume=True) as writer:
        assert (writer.kept, writer.next_segment) == (3, 2)
        assert_allclose(writer.last_time, 2 / 30, atol=1e-6)
        add(writer, 9, segment=writer.next_segment)
    frames = read_recording(folder).frames
    assert [frame.image.name for frame in frames] == [f"{index:06d}.jpg" for index in range(4)]
    assert [frame.segment for frame in frames] == [1, 1, 1, 2]


def test_continuing_takes_out_what_a_kill_left_half_done():
    folder = write(recording_folder("mine"), 3)
    with open(folder / store.LINES, "a") as file:
        file.write('{"image":"000003.jpg","t":0.1')
    (folder / "images" / "000003.jpg").write_bytes(b"no line for it")
    (folder / "images" / "000004.jpg.part").write_bytes(b"half")
    with RecordingWriter(folder, header(), resume=True) as writer:
        add(writer, 3)
    recording = read_recording(folder)
    assert len(recording.frames) == 4 and recording.dropped == 0
    assert len(list((folder / "images").iterdir())) == 4


def test_discarded_frames_are_gone_and_their_names_not_used_again():
    folder = recording_folder("mine")
    with RecordingWriter(folder, header()) as writer:
        for index, segment in enumerate((0, 0, 1, 2, 2)):
            add(writer, index, segment)
        writer.discard_from(1)
        assert writer.kept == 2
        assert len(list((folder / "images").iterdir())) == 2
        add(writer, 5, 3)
    recording = read_recording(folder)
    assert [frame.segment for frame in recording.frames] == [0, 0, 3] and recording.dropped == 0
    assert recording.frames[-1].image.name == "000005.jpg"
    with RecordingWriter(folder, header(), resume=True) as writer:
        assert writer.next_segment == 4 and writer.kept == 3


@pytest.mark.parametrize("end", [b'{"image":"0000', b"\x00\x00\x00", b'{"image"'])
def test_a_broken_last_line_is_left_out(end, caplog):
    caplog.set_level("INFO")
    folder = write(recording_folder("mine"), 2)
    with open(folder / store.LINES, "ab") as file:
        file.write(end)
    recording = read_recording(folder)
    assert len(recording.frames) == 2 and recording.dropped == 0
    assert "last line is not complete" in caplog.text


def test_frames_without_a_readable_picture_are_dropped_and_counted(caplog):
    folder = write(recording_folder("mine"), 5)
    images = folder / "images"
    (images / "000001.jpg").unlink()
    (images / "000002.jpg").write_bytes((images / "000002.jpg").read_bytes()[:400])
    (images / "000003.jpg").write_bytes(b"")
    recording = read_recording(folder)
    assert [frame.image.name for frame in recording.frames] == ["000000.jpg", "000004.jpg"]
    assert recording.dropped == 3
    assert "3 frames that cannot be read are left out" in caplog.text


@pytest.mark.parametrize("damage", [{"K": [1, 2, 3]}, {"handedness": "both"}, {"marks": {}}, {"t": "soon"}])
def test_a_broken_line_in_the_middle_costs_one_frame(damage):
    folder = write(recording_folder("mine"), 3)
    lines = (folder / store.LINES).read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | damage)
    (folder / store.LINES).write_text("\n".join(lines) + "\n")
    recording = read_recording(folder)
    assert len(recording.frames) == 2 and recording.dropped == 1


def test_reading_a_picture_that_went_away():
    frame = read_recording(write(recording_folder("mine"), 1)).frames[0]
    frame.image.unlink()
    with pytest.raises(SemihandError, match="cannot be read"):
        frame.read()


@pytest.mark.parametrize(
    "text, says",
    [("{", "is broken"), ("[]", "is broken"), ('{"schema": 1}', "is broken"), ('{"schema": 9}', "version 9")],
)
def test_broken_headers(text, says):
    folder = write(recording_folder("mine"), 1)
    (folder / store.HEADER).write_text(text)
    with pytest.raises(SemihandError, match=says):
        read_recording(folder)


def test_hash_changes_with_pictures_and_lines():
    first = recording_hash(read_recording(write(recording_folder("a"), 3)))
    assert first == recording_hash(read_recording(write(recording_folder("b"), 3)))
    assert first != recording_hash(read_recording(write(recording_folder("c"), 2)))
    picture = recording_folder("b") / "images" / "000001.jpg"
    picture.write_bytes(cv2.imencode(".jpg", 255 - PICTURE)[1].tobytes())
    assert first != recording_hash(read_recording("b"))


def test_list_and_delete(data):
    assert list_recordings() == []
    for name in ("b", "a"):
        write(recording_folder(name), 1)
    (data / "recordings" / "stray").mkdir()
    assert [path.name for path in list_recordings()] == ["a", "b"]
    delete_recording("a")
    assert [path.name for path in list_recordings()] == ["b"]
    with pytest.raises(SemihandError, match="a is neither a file, nor a folder, nor a recording. Recordings: b"):
        delete_recording("a")
    with pytest.raises(SemihandError, match="a is neither a file"):
        read_recording("a")


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc", "a/b", ".hidden", "x.", "a\\b"])
def test_names_that_are_no_names(name, data):
    (data / "recordings").mkdir(parents=True)
    (data / "recording.json").write_text("{}")
    with pytest.raises(SemihandError):
        delete_recording(name)
    assert data.exists()


def test_contact_sheet(tmp_path):
    recording = read_recording(write(recording_folder("mine"), 25))
    contact_sheet(recording, tmp_path / "sheet.png", count=12, size=80, columns=5)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (3 * 80, 5 * 80, 3)
    assert sheet[:, :80].std() > 10 and sheet[170:230, 170:].max() == 0
    with pytest.raises(SemihandError, match="unknown kind of picture"):
        contact_sheet(recording, tmp_path / "sheet.xyz")
    with pytest.raises(SemihandError, match="cannot be written"):
        contact_sheet(recording, tmp_path / "none" / "sheet.png")


# -- full disks


class Full:
    """Writes of picture files fail after so many, as on a full disk."""

    def __init__(self, monkeypatch, after):
        self.left = after
        real = Path.write_bytes

        def write_bytes(path, data):
            if path.name.endswith(".jpg.part"):
                self.left -= 1
                if self.left < 0:
                    real(path, data[: len(data) // 2])
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(path, data)

        monkeypatch.setattr(Path, "write_bytes", write_bytes)


def test_full_disk_at_a_picture(monkeypatch):
    folder = recording_folder("mine")
    Full(monkeypatch, after=3)
    with pytest.raises(SemihandError, match=r"No space left.*3 frames before are kept.*--resume"):
        with RecordingWriter(folder, header()) as writer:
            for index in range(9):
                add(writer, index)
    recording = read_recording(folder)
    assert len(recording.frames) == 3 and recording.dropped == 0
    assert not list(folder.rglob("*.part"))


def test_full_disk_at_a_line(monkeypatch):
    folder, real = recording_folder("mine"), os.write
    calls = []

    def half(handle, data):
        calls.append(1)
        if len(calls) > 3:  # the third frame's line goes in half, then nothing goes any more
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data[: len(data) // 2] if len(calls) == 3 else data)

    with RecordingWriter(folder, header()) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(recording_writer.os, "write", half)
            add(writer, 0), add(writer, 1)
            with pytest.raises(SemihandError, match="No space left"):
                add(writer, 2)
    assert (folder / store.LINES).read_bytes().endswith(b"\n")
    recording = read_recording(folder)
    assert len(recording.frames) == 2 and recording.dropped == 0
    assert len(list((folder / "images").iterdir())) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_device(tmp_path):
    with RecordingWriter(tmp_path / "mine", header()) as writer:
        os.close(writer._lines)
        writer._lines = os.open("/dev/full", os.O_RDWR)
        with pytest.raises(SemihandError, match="No space left.*0 frames"):
            add(writer, 0)
    assert list((tmp_path / "mine" / "images").iterdir()) == []


def test_full_disk_at_the_summary_and_the_start(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RecordingWriter(tmp_path / "mine", header()) as writer:
        monkeypatch.setattr(recording_writer, "write_atomically", fail)
        writer.summarize({"kept": 0})
    assert "could not be written: No space left" in caplog.text
    with pytest.raises(SemihandError, match="cannot be made: No space left.*SEMIHAND_DATA"):
        RecordingWriter(tmp_path / "other", header())


WRITE_FOREVER = """
import sys
sys.path.insert(0, {tests!r})
from test_recording import RecordingWriter, header, add
from semihand.errors import SemihandError
from pathlib import Path
try:
    with RecordingWriter(Path({folder!r}), header()) as writer:
        for index in range(100000):
            add(writer, index, index // 20)
            print(index, flush=True)
except SemihandError as error:
    print(error)
"""


def _script(folder):
    return WRITE_FOREVER.format(tests=str(Path(__file__).parent), folder=str(folder))


@pytest.mark.skipif(not shutil.which("unshare"), reason="no unshare command to mount a small disk with")
def test_a_disk_that_is_really_full(tmp_path):
    """A file system of 300 KB, in a mount namespace of its own."""
    disk, inside = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    mounted = f"mount -t tmpfs -o size=300k tmpfs {disk}"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mounted], capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    steps = f'{mounted} && "{sys.executable}" -c "$0"; cp -r {disk}/mine {inside}'
    run = subprocess.run(["unshare", "-rm", "sh", "-c", steps, _script(disk / "mine")], capture_output=True, text=True)
    last, sentence = run.stdout.splitlines()[-2:]
    assert "No space left" in sentence and "Traceback" not in run.stderr
    recording = read_recording(inside)
    assert len(recording.frames) == int(last) + 1 > 5 and recording.dropped == 0
    assert not list(inside.rglob("*.part"))


# -- kills


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_kill_at_random_moments(tmp_path):
    """Whenever the process dies, every frame that it reported is there, and it can be continued."""
    random = np.random.default_rng()
    for attempt in range(6):
        folder = tmp_path / f"mine-{attempt}"
        with subprocess.Popen([sys.executable, "-c", _script(folder)], stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()  # it writes now
            time.sleep(random.uniform(0.0, 0.3))
            process.send_signal(signal.SIGKILL)
            reported = [int(line) for line in process.stdout.read().splitlines() if line.strip()]
        recording = read_recording(folder)
        assert len(recording.frames) >= max(reported, default=0) + 1
        assert recording.dropped == 0
        assert_allclose([frame.time for frame in recording.frames], np.arange(len(recording.frames)) / 30, atol=1e-6)
        with RecordingWriter(folder, header(), resume=True) as writer:
            assert writer.kept == len(recording.frames)
            add(writer, 100000, writer.next_segment)
        again = read_recording(folder)
        assert len(again.frames) == len(recording.frames) + 1 and again.dropped == 0
        assert not list(folder.rglob("*.part"))
