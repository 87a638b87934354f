"""Signals end the program, whatever it is doing just then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent signals there")

BEGIN = """
import sys, time
from semihand import signals
signals.PATIENCE = 0.2
signals.end_on_signals()
"""
#: As numba's compiler and ONNX Runtime's import do.
SWALLOWS = """
while True:
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        pass
"""
#: As OpenCV does while it opens a camera: Python gets no turn.
IN_C = """
import ctypes
libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(128)
libc.pthread_mutex_lock(mutex)
while True:
    try:
        print("ready", flush=True)
        libc.pthread_mutex_lock(mutex)
    except KeyboardInterrupt:
        pass
"""
CLOSES = """
with signals.stop_on_signal() as stopped:
    print("ready", flush=True)
    while not stopped():
        time.sleep(0.01)
    time.sleep(1.0)
print("closed", flush=True)
"""
INTERRUPTED = """
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    print("closed", flush=True)
"""


def ended(code, *numbers):
    """What a process printed after "ready", and how it ended, when it was sent these signals."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    try:
        assert process.stdout.readline() == "ready\n"
        for number in numbers:
            process.send_signal(number)
        printed, errors = process.communicate(timeout=50)
    finally:
        process.kill()
    return printed, errors, process.returncode


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("code", [SWALLOWS, IN_C], ids=["swallowed", "in C"])
def test_what_does_not_notice_is_ended_all_the_same(code, number):
    printed, errors, status = ended(code, number)
    assert status == 128 + number
    assert errors == "semihand: ended in the middle of something; what was complete before is kept.\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_whoever_is_asked_may_close_his_files(number):
    printed, errors, status = ended(CLOSES, number)
    assert (printed, errors, status) == ("closed\n", "", 0)


@pytest.mark.parametrize("number", SIGNALS)
def test_other_commands_are_interrupted_and_close_theirs(number):
    printed, errors, _ = ended(INTERRUPTED, number)
    assert printed == "closed\n" and "KeyboardInterrupt" in errors


def test_a_hangup_that_is_ignored_stays_so():
    """As under nohup."""
    ignored = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code = f"{ignored}signals.end_on_signals()\nprint('ready', flush=True)\nsys.stdin.read()\nprint('lived')"
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert process.communicate(timeout=50)[0] == "lived\n"
    finally:
        process.kill()


def test_ctrl_c_leaves_no_traceback(tmp_path):
    slow = tmp_path / "packages" / "cv2"
    slow.mkdir(parents=True)
    (slow / "__init__.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    path = os.pathsep.join([str(slow.parent), str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "semihand", "track", "--images", "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=50)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in errors
