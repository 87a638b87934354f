"""The whole walk of a newcomer under a virtual display: record, adapt, use, and plain `track` runs the own model."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import pytest
import torch

from semihand.models.checkpoint import describe, save_checkpoint
from semihand.models.export import export
from semihand.models.network import Hourglass
from semihand.synth.clip import Clip, ClipConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb, a virtual display"),
]
#: The command line, with a gate that accepts, and a note of every window that shows something.
PROGRAM = """
import sys
import cv2
shown, show = set(), cv2.imshow
cv2.imshow = lambda title, picture: (shown.add(title), show(title, picture))[1]
from semihand.cli import main
if "adapt" in sys.argv:
    from semihand.adapt import run
    from semihand.adapt.gate.decide import Decision
    from dataclasses import replace
    from semihand.record import session
    record = session.record  # frames are judged by a network that knows hands, not by the one that is to learn
    session.record = lambda options, *more, **named: record(replace(options, model="lite"), *more, **named)
    run.decide = lambda before, after: Decision(True, "as planted", 0.1, {"a": 1.0})
try:
    main()
finally:
    print("windows:", *sorted(shown), sep="|", file=sys.stderr)
"""


@pytest.fixture
def display():
    """The name of a display that nobody sees."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x1024x24"], pass_fds=[write], stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as file:
        number = file.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(20)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "hand.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (640, 480))
    for frame in Clip(ClipConfig(frames=90, fps=15.0)):
        writer.write(frame.image)
    writer.release()
    return path


def test_record_adapt_use_track(display, film, micro, picture_folder, tmp_path):
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "micro.safetensors", Hourglass(micro).state_dict(), describe(micro, {}))
    export(tmp_path / "micro.safetensors", tmp_path / "micro.onnx")
    environment = os.environ | {"DISPLAY": display, "SEMIHAND_DATA": str(tmp_path / "data")}

    def semihand(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, arguments)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done

    adapted = semihand(
        "adapt", "--record", "--video", film, "--name", "walk", "--use", "--model", tmp_path / "micro.onnx",
        "--iterations", 1, "--steps", 2, "--pictures", picture_folder, "--device", "cpu", "--teacher", "none",
    )  # fmt: skip
    assert "windows:|semihand learns|semihand recording" in adapted.stderr
    assert "my-walk is the default now" in adapted.stdout and adapted.stdout.endswith("Next: semihand track\n")
    run = tmp_path / "data" / "adaptations" / "my-walk"
    assert (run / "before-after.jpg").stat().st_size > 5000 and (run / "before-after.mp4").stat().st_size > 5000
    tracked = semihand(film, "--max-frames", 20, "--jsonl", "out.jsonl")
    assert "windows:|semihand" in tracked.stderr
    header = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert header["model"]["name"] == "my-walk"
