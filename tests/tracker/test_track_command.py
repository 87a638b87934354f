"""`semihand track` through its runner: what it writes, and one sentence for every bad input."""

import csv
import json
import logging

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

from semihand.cli import app
from semihand.errors import SemihandError
from semihand.models.model_file import WEIGHTS
from semihand.tracker import open as opening
from semihand.tracker import run as run_module
from semihand.tracker.run import TrackOptions, track

RUNNER = CliRunner()


def command(*arguments):
    return RUNNER.invoke(app, ["track", *map(str, arguments)])


@pytest.fixture
def pictures(world, tmp_path):
    """Three pictures of the world, an unreadable one among them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("1", "2", "10"):
        cv2.imwrite(str(folder / f"{name}.png"), world.image)
    (folder / "3.png").write_bytes(b"no picture")
    return folder


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pictures_to_every_kind_of_file(models, plant, pictures, tmp_path):
    hand = plant("a", 0.05, 0.1)
    out = {name: tmp_path / f"out.{name}" for name in ("jsonl", "csv", "npz", "mp4")}
    result = command("--images", pictures, "--viewer", "none", "--jsonl", out["jsonl"], "--csv", out["csv"],
                     "--npz", out["npz"], "--save-video", out["mp4"])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "3 frames" in result.stderr and "a hand in 3 of them (100.0 %)" in result.stderr
    assert f"wrote {tmp_path / 'out.mp4'}, " in result.stderr and "median" not in result.stderr
    assert "1 of 4 pictures could not be read" in result.stderr
    first, *lines = lines_of(out["jsonl"])
    assert first["model"]["name"] == "planted" and first["source"] == str(pictures)
    assert first["camera"]["assumed"] is True and first["camera"]["K"][0] == 544.0
    assert first["smoothing"]["joints"] == {"mincutoff": 2.0, "beta": 10.0, "dcutoff": 1.0}
    assert [(line["frame"], line["image"]) for line in lines] == [(0, "1.png"), (1, "2.png"), (3, "10.png")]
    assert_allclose(lines[0]["hands"][0]["uv"], hand.uv, atol=2)
    assert {"capture", "detect", "estimate", "total"} <= set(lines[0]["ms"])
    with out["csv"].open() as file:
        assert len(list(csv.reader(file))) == 1 + 3 * 21
    with np.load(out["npz"]) as data:
        assert data["uv"].shape == (3, 21, 2)
    capture = cv2.VideoCapture(str(out["mp4"]))
    shown = capture.read()[1]
    assert shown.shape == (480, 640, 3)
    assert np.abs(shown.astype(int) - models.image).max() > 100  # the hand is drawn


def test_every_picture_stands_for_itself_but_frames_of_a_film_do_not(models, plant, pictures, tmp_path):
    plant("a", 0.0, 0.1)
    command("--images", pictures, "--viewer", "none")
    assert models.calls["detect"] == 3
    models.calls["detect"] = 0
    result = command("--images", pictures, "--fps", 30, "--hands", 1, "--viewer", "none", "--jsonl", tmp_path / "o")
    assert result.exit_code == 0 and models.calls["detect"] == 1
    assert [line["t"] for line in lines_of(tmp_path / "o")[1:]] == [0.0, 0.0333, 0.1]


def test_known_focal_length_no_smoothing_and_max_frames(models, plant, pictures, tmp_path):
    plant("a", 0.0, 0.1)
    path = tmp_path / "o.jsonl"
    result = command(
        "--images", pictures, "--f", 700, "--no-smooth", "--max-frames", 2, "--viewer", "none", "--jsonl", path
    )
    assert result.exit_code == 0 and "2 frames" in result.stderr
    first, *lines = lines_of(path)
    assert first["camera"]["K"][:2] == [700.0, 700.0] and first["camera"]["assumed"] is False
    assert first["smoothing"] is None
    assert len(lines) == 2


def test_lines_to_the_standard_output_alone(models, plant, pictures):
    plant("a", 0.0, 0.1)
    result = command("--images", pictures, "--viewer", "none", "--jsonl", "-")
    assert [json.loads(line).get("frame") for line in result.stdout.splitlines()] == [None, 0, 1, 3]


def test_mirror_flips_the_window_and_not_the_video(models, plant, pictures, tmp_path, monkeypatch):
    plant("a", 0.1, 0.1)
    seen = []

    class Recorder(run_module.open_viewer("none").__class__):
        def show(self, frame, scene):
            seen.append(scene.picture(self.mirror))
            return True

    def opened(kind, config, stopped):
        recorder = Recorder()
        recorder.mirror = config.mirror
        return recorder

    monkeypatch.setattr(run_module, "open_viewer", opened)
    video = tmp_path / "out.avi"
    track(TrackOptions(images=str(pictures), mirror=True, save_video=str(video), jsonl=str(tmp_path / "o.jsonl")))
    plain = cv2.VideoCapture(str(video)).read()[1]
    # red tells the column: it rises to the right in the world's picture
    assert plain[400, 600, 2] > 200 > plain[400, 40, 2]
    assert seen[0][400, 40, 2] > 200 > seen[0][400, 600, 2]
    uv = np.array(lines_of(tmp_path / "o.jsonl")[1]["hands"][0]["uv"])
    assert_allclose(uv, models.hands["a"].uv, atol=2)


def test_stills_of_pictures_and_of_a_film(models, plant, pictures, tmp_path):
    plant("a", 0.0, 0.1)
    (pictures / "1.jpg").write_bytes((pictures / "1.png").read_bytes())
    out, again = tmp_path / "made" / "stills", tmp_path / "again"
    assert command("--images", pictures, "--viewer", "none", "--save-images", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["1-1.jpg", "1.jpg", "10.jpg", "2.jpg"]
    shown = cv2.imread(str(out / "2.jpg"))
    assert shown.shape == (480, 640, 3) and np.abs(shown.astype(int) - models.image).max() > 100
    bare = command("--images", pictures / "2.png", "--viewer", "none", "--save-images", again, "--show", "none")
    assert bare.exit_code == 0
    assert np.abs(cv2.imread(str(again / "2.jpg")).astype(int) - shown).max() > 50  # no label, no mask
    film = tmp_path / "film.avi"
    command("--images", pictures, "--viewer", "none", "--save-video", film)
    command("--video", film, "--viewer", "none", "--save-images", again)
    assert {"000000.jpg", "000003.jpg"} <= {path.name for path in again.iterdir()}


def test_two_models_stand_side_by_side_in_the_video(models, plant, pictures, tmp_path):
    plant("a", 0.0, 0.1)
    film, lines = tmp_path / "o.avi", tmp_path / "o.jsonl"
    result = command(
        "--images", pictures, "--viewer", "none", "--compare", "other", "--save-video", film, "--jsonl", lines
    )
    assert result.exit_code == 0, result.output
    shown = cv2.VideoCapture(str(film)).read()[1]
    assert shown.shape[1] > 1.9 * 640 and len(lines_of(lines)) == 4
    left, right = shown[200:400, 100:540].astype(int), shown[200:400, 744:1184].astype(int)
    assert np.abs(left - right).mean() < 12  # the same hands on both


def test_the_user_stops_in_the_window(models, plant, pictures, tmp_path, monkeypatch):
    class Stopper(run_module.open_viewer("none").__class__):
        def show(self, frame, scene):
            return False

    monkeypatch.setattr(run_module, "open_viewer", lambda *_: Stopper())
    assert track(TrackOptions(images=str(pictures))).frames == 1


def test_a_writer_that_fails_ends_the_run_and_keeps_the_others(models, plant, pictures, tmp_path, monkeypatch):
    plant("a", 0.0, 0.1)
    written = []

    def fail(self, frame, poses, ms, camera):
        written.append(frame)
        if len(written) == 2:
            raise SemihandError("Writing out.csv failed: No space left on device.")

    monkeypatch.setattr(run_module.CsvWriter, "write", fail)
    result = command("--images", pictures, "--viewer", "none", "--jsonl", tmp_path / "o.jsonl", "--csv", tmp_path / "o.csv",
                     "--npz", tmp_path / "o.npz", "--save-video", tmp_path / "o.mp4")  # fmt: skip
    assert isinstance(result.exception, SemihandError) and result.exit_code == 1
    assert len(lines_of(tmp_path / "o.jsonl")) == 3
    with np.load(tmp_path / "o.npz") as data:
        assert len(data["frames"]) == 1
    assert cv2.VideoCapture(str(tmp_path / "o.mp4")).read()[0]


def test_a_video_that_is_cut_off_is_tracked_as_far_as_it_goes(models, plant, tmp_path):
    plant("a", 0.0, 0.1)
    video = tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 30, (640, 480))
    for _ in range(20):
        writer.write(models.image)
    writer.release()
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    lines, film = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    result = command("--video", video, "--viewer", "none", "--jsonl", lines, "--save-video", film)
    assert result.exit_code == 1 and "of its 20 frames: it is cut off" in str(result.exception)
    count = len(lines_of(lines)) - 1
    assert 5 <= count < 15 and f"after {count} of" in str(result.exception)
    assert cv2.VideoCapture(str(film)).get(cv2.CAP_PROP_FRAME_COUNT) == count


def test_of_two_errors_the_first_ends_the_run(models, plant, pictures, tmp_path, monkeypatch, caplog):
    def fail(self, *_):
        raise SemihandError(f"{type(self).__name__} failed.")

    monkeypatch.setattr(run_module.CsvWriter, "write", fail)
    monkeypatch.setattr(run_module.NpzWriter, "close", fail)
    result = command("--images", pictures, "--viewer", "none", "--csv", tmp_path / "o.csv", "--npz", tmp_path / "o.npz")
    assert str(result.exception) == "CsvWriter failed."
    assert "NpzWriter failed." in caplog.text
    with pytest.raises(SemihandError, match="NpzWriter failed"):
        track(TrackOptions(images=str(pictures), npz=str(tmp_path / "o.npz"), viewer="none"))


@pytest.mark.parametrize(
    "arguments,sentence",
    [
        (["--camera", 0, "--video", "a.mp4"], "--camera and --video exclude each other"),
        (["--video", "a.mp4", "--images", "b"], "--video and --images exclude each other"),
        (["--video", "a.mp4", "--width", 640], "--width and --height are asked of a camera"),
        (["--video", "a.mp4", "--fps", 10], "--fps means nothing with --video"),
        (["--viewer", "hologram"], "--viewer hologram is unknown"),
        (["--device", "tpu"], "--device tpu is unknown"),
        (["--save-video", "out.gif"], "known endings are .mp4"),
        (["--save-video", "x.jpg"], "For pictures: --save-images DIR"),
        (["--images", "a", "--save-images", "./a"], "--save-images ./a would overwrite the input a"),
        (["--images", "b", "a", "--save-images", "./a"], "--save-images ./a would overwrite the input a"),
        (["--show", "wings"], "--show wings is unknown"),
        (["--video", "a.mp4", "--save-video", "./a.mp4"], "would overwrite the input a.mp4"),
        (["--jsonl", "a", "--csv", "./a"], "--csv ./a would overwrite --jsonl"),
        (["--hands", 0], "--hands"),
        (["--camera", -1], "--camera"),
        (["--max-frames", 0], "--max-frames"),
        (["--f", 0], "--f"),
        (["--hands", "two"], "--hands"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage(arguments, sentence):
    result = command(*arguments)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "make,arguments,sentence",
    [
        (None, ["--video", "none.mp4"], "The video .*none.mp4 does not exist"),
        (None, ["--images", "none"], "none does not exist"),
        (lambda here: (here / "empty").mkdir(), ["--images", "empty"], "No picture in"),
        (lambda here: (here / "a.mp4").write_bytes(b"text"), ["--video", "a.mp4"], "not a video that can be read"),
        (lambda here: (here / "a.mp4").touch(), ["--video", "a.mp4"], "is empty"),
        (lambda here: (here / "a.png").write_bytes(b"text"), ["--images", "a.png"], "None of the 1 pictures"),
    ],
)
def test_bad_sources_in_one_sentence(models, tmp_path, monkeypatch, make, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    if make:
        make(tmp_path)
    result = command(*arguments, "--viewer", "none")
    assert result.exit_code == 1 and isinstance(result.exception, SemihandError)
    with pytest.raises(SemihandError, match=sentence):
        raise result.exception
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize("option", ["--jsonl", "--csv", "--npz", "--save-video"])
def test_places_where_nothing_can_be_written(models, pictures, tmp_path, option):
    result = command("--images", pictures, "--viewer", "none", option, tmp_path / "none" / "out.mp4")
    assert result.exit_code == 1 and isinstance(result.exception, SemihandError)
    assert "none does not exist" in str(result.exception)
    assert models.calls["network"] == 0


@pytest.mark.parametrize(
    "name,content,sentence",
    [
        ("none.onnx", None, "does not exist"),
        ("broken.onnx", b"\x08\x07garbage", "no readable ONNX model"),
        ("other.onnx", (WEIGHTS / "palm_detection.onnx"), "of another kind"),
    ],
)
def test_bad_models_in_one_sentence(pictures, tmp_path, name, content, sentence):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    result = command("--images", pictures, "--viewer", "none", "--model", path)
    assert result.exit_code == 1 and isinstance(result.exception, SemihandError)
    assert sentence in str(result.exception) and "\n" not in str(result.exception)


def test_no_camera(models, monkeypatch):
    monkeypatch.setattr(opening, "Webcam", _no_camera)
    result = command("--viewer", "none")
    assert result.exit_code == 1 and "Camera 0 did not open" in str(result.exception)


def _no_camera(config):
    raise SemihandError(f"Camera {config.index or 0} did not open.")


def test_no_display(models, pictures, monkeypatch, caplog):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr("semihand.tracker.display.sys.platform", "linux")
    assert "no display" in str(command("--images", pictures, "--viewer", "window").exception)
    with caplog.at_level(logging.INFO):
        assert command("--images", pictures).exit_code == 0
    assert "There is no display to open a window on (DISPLAY is not set). Running without a window." in caplog.text


def test_help_shows_examples_and_every_option():
    text = RUNNER.invoke(app, ["track", "--help"]).output
    for option in ("--camera", "--video", "--images", "--model", "--device", "--hands", "--save-video", "--jsonl", "--csv",
                   "--npz", "--viewer", "--mirror", "--save-images", "--compare", "--show", "--fast", "--max-frames", "--f", "--no-smooth", "--threads", "--width",
                   "--height", "--fps"):  # fmt: skip
        assert f"{option} " in text
    assert "semihand track --video in.mp4 --save-video out.mp4 --jsonl out.jsonl --viewer none" in text


@pytest.mark.parametrize("pattern", ["*.png", "../pictures/?.png", "1.png"])
def test_the_pictures_of_a_pattern_are_not_written_over(pictures, pattern):
    before = {path.name: path.read_bytes() for path in pictures.iterdir()}
    result = command("--images", pictures / pattern, "--save-images", pictures, "--viewer", "none")
    assert result.exit_code == 2 and "would overwrite the input" in " ".join(result.stderr.replace("│", " ").split())
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == before


@pytest.mark.parametrize("given,wanted", [("2", 2), ("logi", "logi"), ("rtsp://a/b", "rtsp://a/b"), (None, None)])
def test_a_camera_reaches_the_webcam_as_it_was_named(monkeypatch, given, wanted):
    asked = []

    def webcam(config):
        asked.append(config.index)
        raise SemihandError("no camera here")

    monkeypatch.setattr(opening, "Webcam", webcam)
    monkeypatch.setattr(opening, "HandTracker", lambda *_, **__: FakeTracker())
    result = command(*(["--camera", given] if given else []), "--viewer", "none")
    assert result.exit_code == 1 and asked == [wanted]


class FakeTracker:
    def close(self):
        pass
