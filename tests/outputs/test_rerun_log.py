"""The .rrd file of `convert --to rrd`: what is logged of each frame, by a Rerun that writes down what it is told."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.models.joints import BONES
from semihand.outputs.rerun_log import RrdWriter
from semihand.tracker.types import Frame

CAMERA = {"width": 640, "height": 480}


@pytest.fixture
def told(monkeypatch):
    """What the stream was told: (time or path, value)."""
    calls = []
    stream = SimpleNamespace(
        save=lambda path: calls.append(("save", path)),
        set_time=lambda name, **at: calls.append((name, at)),
        log=lambda path, value, **_: calls.append((path, value)),
        flush=lambda: calls.append(("flush", None)),
        disconnect=lambda: calls.append(("disconnect", None)),
    )
    fake = SimpleNamespace(
        RecordingStream=lambda name: stream,
        ViewCoordinates=SimpleNamespace(RIGHT_HAND_Y_DOWN="y down"),
        Clear=lambda recursive: "clear",
        LineStrips3D=lambda strips, **_: strips,
        LineStrips2D=lambda strips, **_: strips,
        Scalars=lambda value: value,
    )
    monkeypatch.setitem(sys.modules, "rerun", fake)
    return calls


def test_hands_are_logged_at_their_time_and_gone_ones_cleared(told, right, tmp_path):
    writer = RrdWriter(str(tmp_path / "t.rrd"))
    writer.begin({})
    image = np.zeros((480, 640, 3), np.uint8)
    writer.write(Frame(image, 0.1, 3), [right], {}, CAMERA)
    writer.write(Frame(image, 0.2, 4), [], {}, CAMERA)
    writer.close()
    writer.close()
    names = [name for name, _ in told]
    assert told[0] == ("save", str(tmp_path / "t.rrd")) and told[1] == ("hands", "y down")
    assert told[2:5] == [("frame", {"sequence": 3}), ("time", {"duration": 0.1}), ("hands", "clear")]
    shown = dict(told[5:10])
    assert_allclose(shown["hands/1_right"], right.xyz_cam[np.array(BONES)])
    assert_allclose(shown["picture/hands/1_right"], right.uv_image[np.array(BONES)])
    assert (shown["pinch/right"], shown["grab/right"]) == (right.pinch, right.grab)
    assert names[10:] == ["frame", "time", "hands", "picture/hands", "flush", "disconnect"]


def test_what_cannot_be_written_is_told_before_the_work(told, monkeypatch, tmp_path):
    with pytest.raises(SemihandError, match="cannot be written: No such file"):
        RrdWriter(str(tmp_path / "none" / "t.rrd"))
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(SemihandError, match=r"pip install 'semihand\[rerun\]'"):
        RrdWriter(str(tmp_path / "t.rrd"))
