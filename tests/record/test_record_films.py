"""Recording real and rendered films with the real detector, and killing it meanwhile."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from semihand.models.camera import default_intrinsics
from semihand.record.recording import read_recording
from semihand.record.session import RecordOptions, record
from semihand.synth.clip import Clip, ClipConfig

REAL = Path(os.environ.get("SEMIHAND_SHARED", Path(__file__).resolve().parents[2] / "../shared")) / "real"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMIHAND_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A rendered hand as a video file."""
    path = tmp_path_factory.mktemp("film") / "clip.avi"
    clip = Clip(ClipConfig(frames=40, fps=15.0))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (640, 480))
    for frame in clip:
        writer.write(frame.image)
    writer.release()
    return path, clip


def test_a_rendered_film(film):
    path, clip = film
    recording = record(RecordOptions(video=str(path), viewer="none", min_frames=10, threads=1))
    assert recording.name == "clip" and len(recording.frames) >= 20
    errors = []
    for frame in recording.frames:
        truth = clip.frame(round(frame.time * 15)).hands[0]
        ray = (truth.uv - clip.K[:2, 2]) / clip.K[0, 0]
        K = default_intrinsics(640, 480)
        # The recording assumes another focal length; in its camera the pixels are the same.
        uv = ray * clip.K[0, 0] + clip.K[:2, 2] - K[:2, 2] + frame.K[:2, 2]
        errors.append(np.linalg.norm(frame.uv_image - uv, axis=1).mean() / np.ptp(truth.uv, axis=0).max())
    assert np.median(errors) < 0.1
    assert {frame.handedness for frame in recording.frames} == {"right"}


def test_pictures_that_stand_for_themselves(film, tmp_path):
    _, clip = film
    for index in range(0, 40, 4):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), clip.frame(index).image)
    (tmp_path / "011.png").write_bytes(b"no picture")
    recording = record(RecordOptions(images=str(tmp_path), name="photos", min_frames=5, threads=1))
    assert len(recording.frames) >= 7
    assert recording.summary["notes"] == ["1 of 11 pictures could not be read"]


def test_a_real_film():
    path = REAL / "webcam-a.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    recording = record(RecordOptions(video=str(path), viewer="none", max_frames=60, min_frames=5, threads=1))
    assert {frame.handedness for frame in recording.frames} == {"right"}
    assert 10 <= len(recording.frames) <= 59
    frame = recording.frames[-1]
    picture = frame.read()
    assert (frame.uv_image > 0).all() and (frame.uv_image < picture.shape[1::-1]).all()


KILLED = """
from semihand.record.session import RecordOptions, record
print("go", flush=True)
record(RecordOptions(video={path!r}, name="killed", viewer="none", threads=1))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_kill_while_recording(film, data):
    path, _ = film
    with subprocess.Popen([sys.executable, "-c", KILLED.format(path=str(path))], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        images, end = data / "recordings" / "killed" / "images", time.monotonic() + 30
        while time.monotonic() < end and not (images.is_dir() and len(list(images.glob("*.jpg"))) > 5):
            time.sleep(0.02)
        process.kill()
    recording = read_recording("killed")
    assert len(recording.frames) >= 5 and recording.dropped == 0
    more = record(
        RecordOptions(
            video=str(path), name="killed", resume=True, viewer="none", threads=1, max_frames=10, min_frames=1
        )
    )
    assert len(more.frames) > len(recording.frames)
