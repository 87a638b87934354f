"""`semihand bench`: what its JSON holds, who is measured when, and the figures by hand."""

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand import provenance
from semihand.cli import app
from semihand.errors import SemihandError
from semihand.evaluate.bench import fresh
from semihand.evaluate.bench import rates as bench_rates
from semihand.evaluate.bench import render as bench_render
from semihand.evaluate.bench import report as bench_report
from semihand.evaluate.bench import run as bench
from semihand.evaluate.bench.run import BenchOptions, run_bench
from semihand.tracker.video import VideoSink

FRAMES = 10


class Stub:
    """A tracker that finds one hand after a first look of 9 ms, and a peer that finds two; both note their turns."""

    def __init__(self):
        info = SimpleNamespace(name="stub", input_size=96)
        self.batches = []
        self.model = SimpleNamespace(
            info=info,
            sha256="0" * 64,
            provider="cpu",
            path="stub.onnx",
            run=lambda crops: self.batches.append(crops.shape),
        )
        self.turns, self.stamps, self.ms = [], [], {}

    def step(self, frame):
        self.turns.append("ours")
        look = 9.0 if frame.index == 0 else 0.0
        stages = {
            "capture": frame.capture_ms,
            "detect": look,
            "crop": 0.25,
            "estimate": 1.0,
            "lift": 0.5,
            "smooth": 0.25,
        }
        self.ms = stages | {"total": look + 2.0}
        return []

    def detect(self, image_bgr, timestamp_ms):
        self.turns.append("peer")
        self.stamps.append(timestamp_ms)
        return [None, None]


@pytest.fixture
def stub(monkeypatch):
    one = Stub()
    monkeypatch.setattr(bench, "HandTracker", lambda *_, **__: one)
    monkeypatch.setattr(bench, "open_model", lambda *_: one.model)
    monkeypatch.setattr(bench, "draw", lambda *_, **__: None)
    one.step = lambda frame, step=one.step: step(frame) or [None]
    return one


@pytest.fixture
def with_peer(stub, monkeypatch):
    @contextmanager
    def opened(task_file, hands):
        yield stub if task_file else None

    monkeypatch.setattr(bench, "_peer", opened)
    return Path("some.task")


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "grey.avi"
    sink = VideoSink(str(path), 30.0)
    for index in range(FRAMES + 2):
        sink.write(np.full((48, 64, 3), 10 * index, np.uint8), index / 30)
    sink.close()
    return path


def test_the_json(stub, video):
    report = run_bench(BenchOptions(video, (1, 2), FRAMES, fresh_runs=0))
    assert json.loads(bench_report.to_json(report)) == report
    assert {
        "schema",
        "kind",
        "command",
        "date",
        "commit",
        "hardware",
        "versions",
        "model",
        "network",
        "runs",
        "offline",
        "fresh",
    } == set(report)
    assert report["model"] == {"name": "stub", "sha256": "0" * 64, "input_size": 96, "provider": "cpu",
                               "threads": report["model"]["threads"],
                               "available_providers": onnxruntime.get_available_providers()}  # fmt: skip
    assert report["hardware"]["memory_gb"] is None or report["hardware"]["memory_gb"] > 0
    one, two = report["runs"]
    assert (one["hands"], two["hands"]) == (1, 2)
    assert one["size"] == [64, 48] and one["source"] == str(video)
    assert one["frames"] == FRAMES - 1  # the first one warms up
    assert one["hands_found"] == {"1": FRAMES - 1}
    assert set(one["ms"]) == {"capture", "crop", "estimate", "lift", "smooth", "draw", "followed", "total"}
    assert one["ms"]["total"] == {"runs": FRAMES - 1, "mean": 2.0, "p50": 2.0, "p95": 2.0, "p99": 2.0}
    assert "peer" not in one


def test_peers_take_turns_on_the_same_frames(stub, with_peer, video):
    run = run_bench(BenchOptions(video, (2,), FRAMES, peer=with_peer, fresh_runs=0))["runs"][0]
    assert stub.turns[: 2 * FRAMES] == ["peer", "ours", "ours", "peer"] * (FRAMES // 2)
    stamps = stub.stamps[:FRAMES]
    assert stamps == sorted(set(stamps))
    assert run["peer"]["hands_found"] == {"2": FRAMES - 1}
    assert_allclose(run["peer"]["ratio"], run["ms"]["peer"]["p50"] / 2.0, atol=1e-3)


def test_whole_videos_one_after_the_other(stub, with_peer, video):
    report = run_bench(BenchOptions(video, (1,), FRAMES, peer=with_peer, fresh_runs=0))
    (offline,) = report["offline"]
    assert stub.turns[2 * FRAMES :] == ["ours"] * FRAMES + ["peer"] * FRAMES
    assert (offline["hands"], offline["frames"]) == (1, FRAMES)
    assert offline["frames_per_s"] > 0 and offline["peer_frames_per_s"] > 0
    assert "offline, 1 wanted" in bench_report.to_text(report)


def test_a_rate_is_frames_over_all_the_time(video):
    rate = bench_rates.offline_rate(video, lambda frame: time.sleep(0.02), 5)
    assert rate["frames"] == 5 and 5 < rate["frames_per_s"] < 50  # 50: nothing but the waiting
    assert bench_rates.offline_rate(video, lambda frame: None, 5, seconds=1e-9)["frames"] == 1


def test_batches_of_the_network_take_turns(stub, video):
    report = run_bench(BenchOptions(video, (1,), FRAMES, fresh_runs=0, network_runs=7))
    assert stub.batches == [(1, 96, 96, 3), (2, 96, 96, 3)] * (7 + bench_rates._WARM_UP)
    assert [(row["batch"], row["runs"]) for row in report["network"]] == [(1, 7), (2, 7)]
    assert all(row["p50"] <= row["p95"] <= row["p99"] for row in report["network"])
    assert "batch 2" in bench_report.to_text(report)


def test_frames_with_detector_are_not_followed():
    record = bench._Record(with_peer=False)
    for detect, hands in ((9.0, 1), (0.0, 1), (0.0, 1), (5.0, 0)):
        record.add({"detect": detect, "total": detect + 2.0, "hands": hands})
    summary = record.summary()
    assert summary["ms"]["followed"] == {"runs": 2, "mean": 2.0, "p50": 2.0, "p95": 2.0, "p99": 2.0}
    assert summary["ms"]["detect"]["runs"] == 2 and summary["ms"]["detect"]["p50"] == 7.0
    assert summary["hands_found"] == {"0": 1, "1": 3}


def test_percentiles_by_hand():
    # 0 .. 100: the p-th percentile is p.
    assert bench._statistics([float(v) for v in range(101)]) == {
        "runs": 101,
        "mean": 50.0,
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
    }
    assert bench._statistics([]) is None


def test_the_table(stub, with_peer, video):
    text = bench_report.to_text(run_bench(BenchOptions(video, (1,), FRAMES, peer=with_peer, fresh_runs=0)))
    assert "stub, 96x96 pixels, on cpu" in text and "1 wanted" in text
    row = next(line for line in text.splitlines() if line.startswith("estimate"))
    assert row.split() == ["estimate", "1.00", "1.00", "1.00", "1.00", "9"]
    assert "times our median" in text


def test_the_rendered_clip_is_the_default(stub):
    runs = run_bench(BenchOptions(hands=(1,), frames=3, fresh_runs=0))["runs"]
    assert runs[0]["source"] == "synthetic clip" and runs[0]["size"] == [640, 480] and runs[0]["frames"] == 3


def test_seconds_end_a_run(stub, video):
    assert run_bench(BenchOptions(video, (1,), FRAMES, seconds=1e-9, fresh_runs=0))["runs"][0]["frames"] == 1


def test_the_clip_has_two_hands_at_most(stub):
    with pytest.raises(SemihandError, match="two hands at most, not 3: name a --video"):
        run_bench(BenchOptions(hands=(3,)))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """program(lines): `python` becomes a script of these shell lines."""
    if sys.platform == "win32":
        pytest.skip("needs a POSIX shell")

    def make(*lines):
        path = tmp_path / "python"
        path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return make


def test_the_first_result_is_the_second_line(program):
    program("echo header", "sleep 0.3", "echo frame 0", "sleep 0.3", "echo frame 1", "sleep 0.1")
    run = fresh.fresh_run(Path("a.avi"), 2, "lite", "cpu", 1, None)
    assert 0.3 <= run.first_result_s
    if sys.platform == "linux":
        assert 0.1 < run.peak_mb < 100


def test_a_failing_process_is_told_with_its_words(program):
    program('echo "No camera here." >&2', "exit 1")
    with pytest.raises(SemihandError, match="ended with code 1: No camera here"):
        fresh.fresh_run(Path("a.avi"), 2, "lite", "cpu", 1, None)


def test_the_circumstances():
    record = provenance.record()
    assert json.loads(json.dumps(record)) == record
    assert record["hardware"]["cpu"] and record["hardware"]["cores"] >= record["hardware"]["usable_cores"] >= 1
    assert record["versions"]["numpy"] == np.__version__
    assert record["command"].startswith("semihand")


def test_rendering_is_measured():
    report = bench_render.run_render_bench(bench_render.RenderOptions(sizes=(64,), seconds=0.2, workers=(1,)))
    assert json.loads(bench_report.to_json(report)) == report and report["kind"] == "render"
    run = report["runs"][0]
    assert (run["size"], run["processes"]) == (64, 1)
    assert run["pictures_per_s"] == run["per_process"] > 0
    assert f"{run['pictures_per_s']:.1f}" in bench_render.to_text(report)


def test_numbers_of_processes_end_with_all_cores(monkeypatch):
    monkeypatch.setattr(bench_render, "usable_cores", lambda: 6)
    assert bench_render._doublings() == [1, 2, 4, 6]


def test_the_command(stub, video):
    result = CliRunner().invoke(app, ["bench", "--render", "--hands", "1"])
    assert result.exit_code == 2 and "--render goes with" in result.output
    result = CliRunner().invoke(app, ["bench", "--video", str(video.parent / "none.avi")])
    assert isinstance(result.exception, SemihandError) and "does not exist" in str(result.exception)
