"""`semihand eval --video` from the file to the page, with planted trackers and with a toy model."""

import csv
import json
import re
import shutil
import struct
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.errors import SemihandError
from semihand.evaluate.video import run as video_eval
from semihand.evaluate.video.run import VideoEvalOptions, run_video_eval
from semihand.evaluate.video.views import LandmarkReader, agreement, look
from semihand.models.camera import crop_camera, default_intrinsics
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS
from semihand.models.model_file import open_model
from semihand.tracker.estimate import Estimator
from semihand.tracker.files import VideoFile
from semihand.tracker.pipeline import STAGES, Tracker, TrackerConfig
from semihand.tracker.types import HandBox, HandPose

WIDTH, HEIGHT, FPS, FRAMES = 160, 120, 25.0, 20
K = default_intrinsics(WIDTH, HEIGHT)
CIRCUMSTANCES = {"command": "semihand eval --video wave.mp4", "date": "2026-01-02T03:04:05+00:00", "commit": None,
                 "hardware": {"cpu": "planted", "gpu": None}, "versions": {"semihand": "0.1.0"}}  # fmt: skip


@pytest.fixture(autouse=True)
def circumstances(monkeypatch):
    """The machine is not asked in every test; its record has tests of its own."""
    monkeypatch.setattr(video_eval.provenance, "record", lambda: dict(CIRCUMSTANCES))


BOX = HandBox(np.array([80.0, 60.0]), 80.0, 0.0, "right")


def write_video(path, count=FRAMES, codec="mp4v"):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, (WIDTH, HEIGHT))
    rng = np.random.default_rng(0)
    background = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (WIDTH, HEIGHT))
    for index in range(count):
        writer.write(np.roll(background, index, axis=1))
    writer.release()
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("film") / "wave.mp4")


def flat_hand():
    """Joints (21, 3) metres of an open hand, half a metre away."""
    hand = np.zeros((21, 3))
    for bone, (parent, child) in enumerate(BONES):
        angle = np.deg2rad([60, 15, 0, -15, -30])[(child - 1) // 4]
        hand[child] = hand[parent] + 0.03 * PRIOR_BONE_LENGTHS[bone] * np.array([np.sin(angle), -np.cos(angle), 0])
    return hand + [0, 0.05, 0.5]


class PlantedTracker:
    """Gives the hands that `plan` holds for each frame: (id, handedness, move of all joints in metres)."""

    def __init__(self, model, plan):
        self.model, self.plan, self.step_number, self.ms = model, plan, 0, dict.fromkeys(STAGES, 0.0)

    def intrinsics(self, image):
        return default_intrinsics(image.shape[1], image.shape[0])

    def step(self, frame):
        hands = self.plan[self.step_number]
        self.step_number += 1
        self.ms = dict.fromkeys(STAGES, 0.0) | {"capture": 1.0, "estimate": 5.0 * bool(hands), "total": 9.0}
        return [self._pose(frame, *hand) for hand in hands]

    def _pose(self, frame, number, side, move):
        xyz, own = flat_hand() + move, self.intrinsics(frame.image)
        uv = xyz[:, :2] / xyz[:, 2:] * own[[0, 1], [0, 1]] + own[:2, 2]
        crop = crop_camera(own, BOX.center, BOX.side)
        return HandPose(number, side, 0.8, uv, xyz, np.zeros(21), np.full(21, 0.8), np.ones((64, 64)),
                        crop.image_to_crop, BOX)  # fmt: skip


class NoReadings:
    """Finds nothing."""

    def detect(self, image, hands):
        return []


@pytest.fixture
def plant(monkeypatch, toy_model, tmp_path):
    """plant(plan, plan, ..., name="toy"): every model that is opened gets the next plan; the landmark model sees nothing."""

    def install(*plans, name="toy"):
        model = open_model(toy_model(tmp_path / "toy.onnx", name=name), "cpu")
        trackers = iter([PlantedTracker(SimpleNamespace(**vars(model), run=model.run), plan) for plan in plans])
        monkeypatch.setattr(video_eval, "HandTracker", lambda *_args, **_more: next(trackers))
        monkeypatch.setattr(video_eval, "LandmarkReader", lambda hands: LandmarkReader(NoReadings(), object(), hands))

    return install


def measured(options):
    """measures.json of a run, which is also what --json prints."""
    printed = json.loads(run_video_eval(replace(options, as_json=True)))
    assert printed == json.loads((options.out / "measures.json").read_text())
    return printed


def seen(number=1, side="right", move=(0.0, 0.0, 0.0)):
    return [(number, side, np.array(move))]


def test_planted_misses_switches_and_parabola(film, plant, tmp_path):
    g = 2.0
    plan = [seen(1, "right" if i < 14 else "left", (0.5 * g * (i / FPS) ** 2, 0, 0)) for i in range(FRAMES)]
    plan[5:8] = [[]] * 3
    plan[10:] = [seen(2, side, move) for ((_, side, move),) in plan[10:]]
    plant(plan)
    options = VideoEvalOptions(film, ("toy",), tmp_path / "out", "cpu")
    document = measured(options)
    figures = document["models"][0]["figures"]
    assert [figures[name] for name in ("missed", "ids", "id_switches", "handedness_switches")] == [3, 2, 1, 1]
    assert_allclose([figures["missed_share"], figures["longest_gap_s"]], [3 / FRAMES, 3 / FPS], atol=1e-9)
    assert_allclose([figures["acceleration_m_s2"], figures["acceleration_m_s2_p95"]], g, rtol=1e-6)
    assert_allclose(figures["jitter_mm"], 1e3 * g / FPS**2, rtol=1e-6)
    assert figures["bone_cv"] < 1e-9
    assert figures["joints_on_mask"] == 1
    assert_allclose(figures["fps"], 100.0)
    assert document["models"][0]["ms"]["estimate"] == {"p50": 5.0, "p95": 5.0, "runs": 17}
    assert figures["landmark_distance"] is None
    assert "sees none of the hands" in document["models"][0]["absent"]["landmark_distance"]
    video = document["video"]
    assert [video[name] for name in ("name", "frames", "width", "height", "variable_rate")] == [
        "wave.mp4", FRAMES, WIDTH, HEIGHT, False]  # fmt: skip
    rows = list(csv.DictReader(open(options.out / "frames.csv")))
    assert [row["hands"] for row in rows] == ["1"] * 5 + ["0"] * 3 + ["1"] * 12
    assert [row["id"] for row in rows[4:11]] == ["1", "", "", "", "1", "1", "2"]
    assert rows[0]["jitter_mm"] == "" and float(rows[1]["jitter_mm"]) == pytest.approx(3.2, rel=1e-3)


def test_variable_frame_rate_is_measured_by_the_true_times(film, plant, tmp_path, monkeypatch):
    stamps = np.cumsum(np.r_[0.0, np.tile([0.02, 0.09, 0.03, 0.05], FRAMES)])[:FRAMES]
    monkeypatch.setattr(VideoFile, "_time", lambda self: float(stamps[self._read]))
    g = 2.0
    steady = [seen(move=(0.3 * t, 0, 0)) for t in stamps]
    steady[9] = []
    plant([seen(move=(0.5 * g * t**2, 0, 0)) for t in stamps], steady)
    document = measured(VideoEvalOptions(film, ("a", "b"), tmp_path / "out", "cpu"))
    falling, steady = (model["figures"] for model in document["models"])
    assert document["video"]["variable_rate"] is True
    assert_allclose([falling["acceleration_m_s2"], falling["acceleration_m_s2_p95"]], g, rtol=1e-6)
    assert steady["jitter_mm_p95"] < 1e-6 < falling["jitter_mm"]
    assert_allclose(steady["longest_gap_s"], stamps[10] - stamps[9])
    with VideoFile(tmp_path / "out" / "overlay.mp4") as overlay:
        assert overlay.count == 1 + round(stamps[-1] * FPS), "the overlay keeps the video's time"
    assert_allclose(document["video"]["seconds"], stamps[-1] + np.median(np.diff(stamps)), atol=1e-4)


def test_overlay_shows_the_models_side_by_side_on_every_frame(film, plant, tmp_path):
    plant([seen()] * FRAMES, [[]] * FRAMES)
    text = run_video_eval(VideoEvalOptions(film, ("a", "b"), tmp_path / "out", "cpu"))
    assert "wave.mp4: 20 frames" in text and "report.html" in text
    with VideoFile(tmp_path / "out" / "overlay.mp4") as overlay:
        frames = list(overlay.frames())
    assert len(frames) == FRAMES
    assert frames[0].image.shape == (HEIGHT + 30, 2 * WIDTH + 4, 3)
    left, right = frames[5].image[:, :WIDTH].astype(int), frames[5].image[:, -WIDTH:].astype(int)
    assert np.abs(left - right).max() > 60
    red = right[40:, :3, 2].mean() - right[40:, :3, 1].mean()
    assert red > 60, "a frame without a hand has a red border"


# ---- the toy model in the real tracker


class Finder:
    """A detector and a landmark model that always see the toy model's hand in BOX."""

    def __init__(self, uv):
        self.uv = uv

    def detect(self, image, max_hands=2, views=()):
        return [replace(BOX, handedness=None, score=0.9)]

    def __call__(self, image, box):
        return SimpleNamespace(uv_image=self.uv, presence=0.99, handedness="right", handedness_score=0.98)


@pytest.fixture
def toy(toy_model, tmp_path):
    return open_model(toy_model(tmp_path / "toy.onnx"), "cpu")


def moves(uv):
    """How far joints (21, 2) on the 64-grid move with their crop, in shares of the hand, for every kind of change."""
    size = np.ptp(uv, axis=0).max()
    arm = np.linalg.norm(uv - 31.5, axis=1).mean() / size
    turns = [np.sqrt(1 + s**2 - 2 * s * np.cos(np.deg2rad(25))) for s in (0.85, 1.2)]
    return {"shift": 5 / size, "tilt": arm * 2 * np.sin(np.deg2rad(1)), "turn": arm * np.mean(turns),
            "quarter": arm * (2 + 2 * np.sqrt(2)) / 3}  # fmt: skip


def test_views_of_a_model_that_always_sees_the_same_hand_in_its_crop(toy):
    """Its hand goes with the crop: every change moves it by as much as the crop."""
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    far = default_intrinsics(WIDTH, HEIGHT, 1e6)  # without perspective, so that crops are plain squares
    views = look(Estimator(toy), image, BOX, far)
    uv = views.plain.estimate.uv_crop.astype(float)
    expected = moves(uv)
    assert_allclose([views.of(kind) for kind in expected], list(expected.values()), rtol=1e-3)
    assert_allclose(views.mean, np.mean([expected[kind] for kind in ("shift", "tilt", "turn")]), rtol=1e-3)
    angle = np.deg2rad(-25)  # of the usual changes, the turned and larger crop is furthest away
    turn = 1.2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert_allclose(views.worst, (views.plain.uv_image - BOX.center) @ turn.T + BOX.center, atol=0.01)


def test_landmark_readings_and_agreement():
    hand = np.random.default_rng(0).uniform(0, 50, (21, 2))
    size = np.ptp(hand, axis=0).max()
    finder = Finder(hand)
    assert_allclose(LandmarkReader(finder, finder)(np.zeros((9, 9, 3), np.uint8))[0], hand)
    apart, nearest = agreement(hand + (3.0, 4.0), [hand + 30, hand])
    assert_allclose(apart, 5 / size)
    assert nearest is not None and agreement(hand + 10 * size, [hand])[1] is None
    assert np.isnan(agreement(hand, [])[0])


def test_toy_model_in_the_real_tracker(film, toy, tmp_path, monkeypatch):
    hand = look(Estimator(toy), np.zeros((HEIGHT, WIDTH, 3), np.uint8), BOX, K).plain.uv_image
    finder = Finder(hand)
    tracker = Tracker(toy, finder, finder, TrackerConfig(hands=1))
    monkeypatch.setattr(video_eval, "HandTracker", lambda *_args, **_more: tracker)
    monkeypatch.setattr(video_eval, "LandmarkReader", lambda hands: LandmarkReader(finder, finder, hands))
    out = tmp_path / "out"
    document = measured(VideoEvalOptions(film, ("toy",), out, "cpu", max_frames=8))
    (model,) = document["models"]
    figures = model["figures"]
    assert (document["video"]["frames"], figures["missed"], figures["ids"]) == (8, 0, 1)
    assert (document["samples"]["frames"], model["sampled_hands"]) == (8, 8)
    assert (figures["landmark_missed"], figures["joints_on_mask"]) == (0, 1.0)
    expected = moves(toy.run(np.zeros((1, 64, 64, 3), np.uint8))[0][0].astype(float))
    assert_allclose([figures[f"view_{kind}"] for kind in expected], list(expected.values()), rtol=0.05)
    assert not model["absent"]
    page = (out / "report.html").read_text()
    assert page.count('class="tile"') == 8 and page.count("data:image/jpeg") == 8
    assert not list(tmp_path.glob(".*.part"))


# ---- the page


def without_pictures(page):
    return re.sub(r'"data:[^"]*"', "", page)


def test_the_page_carries_everything_in_itself(film, plant, tmp_path):
    plant([seen()] * FRAMES, [[]] * FRAMES, name="<i>mine</i> & co")
    document = measured(VideoEvalOptions(film, ("a", "b"), tmp_path / "out", "cpu", overlay=False))
    assert [model["name"] for model in document["models"]] == ["<i>mine</i> & co (1)", "<i>mine</i> & co (2)"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert not re.search(r"https?://|@import|<script|<link|url\(", page)
    links = re.findall(r'(?:href|src|srcset|action|data)="([^"]*)"', page)
    assert links and all(link.startswith(("#", "data:image/jpeg;base64,")) for link in links)
    assert "default-src 'none'" in page
    assert not re.search(r"\b(nan|inf)\b", without_pictures(page), re.IGNORECASE)
    assert "&lt;i&gt;mine&lt;/i&gt; &amp; co (2)" in page and "<i>" not in page
    assert not (tmp_path / "out" / "overlay.mp4").exists()
    for told in ("A hand was found", "Jitter", "Length of the fingers", "View inconsistency", "Worst frames", "SHA"):
        assert told in page


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def opened_in_browser(path, folder):
    """The document after loading, and the requests that the page itself made to anywhere but its own file."""
    log = folder / "net.json"
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}",
               "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}",
               "--dump-dom", path.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    text = log.read_text().rstrip()
    events = json.loads(text if text.endswith("}") else text.rstrip(",") + "]}")["events"]
    started = [event.get("params", {}) for event in events]
    # What the browser asks for itself has the initiator "not an origin".
    asked = [one["url"] for one in started if "url" in one and one.get("initiator", "not an origin") != "not an origin"]
    return done.stdout, [url for url in asked if not url.startswith(("file:", "data:"))]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here to open the page in")
def test_a_browser_shows_the_page_without_any_request(film, plant, tmp_path):
    plant([seen()] * FRAMES)
    run_video_eval(VideoEvalOptions(film, ("a",), tmp_path / "out", "cpu", overlay=False))
    page = tmp_path / "out" / "report.html"
    shown, asked = opened_in_browser(page, tmp_path)
    assert "wave.mp4" in shown and shown.count("<svg") > 8 and shown.rstrip().endswith("</html>")
    assert asked == []
    # The same page with a picture from elsewhere and without its policy: the check itself must see that.
    policy = re.search(r"<meta http-equiv[^>]*>", page.read_text()).group()
    other = tmp_path / "other.html"
    picture = '<main><img src="http://semihand.invalid/x.png">'
    other.write_text(page.read_text().replace(policy, "").replace("<main>", picture))
    assert opened_in_browser(other, tmp_path)[1] == ["http://semihand.invalid/x.png"]


# ---- bad input


def test_no_hand_anywhere_is_a_report_that_says_so(tmp_path, toy_model):
    model = toy_model(tmp_path / "toy.onnx")
    path = tmp_path / "wall.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for _ in range(4):
        writer.write(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    writer.release()
    options = VideoEvalOptions(path, (str(model),), tmp_path / "out", "cpu")
    text = run_video_eval(options)
    assert "no hand was found in any frame" in text and "nan" not in text.lower()
    (model,) = json.loads((tmp_path / "out" / "measures.json").read_text())["models"]
    assert (model["figures"]["missed"], model["figures"]["missed_share"]) == (4, 1.0)
    for name in ("jitter_mm", "bone_cv", "view_consistency", "joints_on_mask", "landmark_distance", "confidence"):
        assert model["figures"][name] is None and model["absent"][name]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No hand was found in any of the 4 frames" in page and "nothing was measured" in page
    assert not re.search(r"\b(nan|inf)\b", without_pictures(page), re.IGNORECASE)


@pytest.mark.parametrize(
    "content,told", [(None, "does not exist"), (b"", "0 bytes"), (b"some text\n" * 200, "not a video|decoded")]
)
def test_what_is_no_video(tmp_path, content, told):
    path = tmp_path / "notes.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SemihandError, match=told):
        run_video_eval(VideoEvalOptions(path, ("lite",), tmp_path / "out", "cpu"))
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


def test_a_folder_is_no_video(tmp_path):
    with pytest.raises(SemihandError, match="is a folder.*--data"):
        run_video_eval(VideoEvalOptions(tmp_path, ("lite",), tmp_path / "out", "cpu"))


def test_a_video_whose_end_is_missing_counts_up_to_there(plant, tmp_path):
    path = write_video(tmp_path / "cut.avi", 40, "MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    plant([seen()] * 40)
    document = measured(VideoEvalOptions(path, ("a",), tmp_path / "out", "cpu", overlay=False))
    assert 5 <= document["video"]["frames"] < 30
    assert f"ends after {document['video']['frames']} of its 40 frames" in document["notes"][0]
    assert "cut off or damaged" in (tmp_path / "out" / "report.html").read_text()


def test_a_turned_video_is_measured_upright(film, plant, tmp_path):
    path = tmp_path / "phone.mp4"
    data = bytearray(film.read_bytes())
    matrix = data.find(b"tkhd") + 4 + 4 + 20 + 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, HEIGHT << 16, 0, 1 << 30)
    path.write_bytes(data)
    plant([seen()] * FRAMES)
    video = measured(VideoEvalOptions(path, ("a",), tmp_path / "out", "cpu", overlay=False))["video"]
    assert (video["width"], video["height"]) == (HEIGHT, WIDTH)


def test_an_earlier_report_is_replaced_and_other_files_are_not(film, plant, tmp_path):
    out = tmp_path / "out"
    plant([seen()] * FRAMES, [[]] * FRAMES)
    options = VideoEvalOptions(film, ("a",), out, "cpu", max_frames=3)
    run_video_eval(options)
    (out / "notes.txt").write_text("mine")
    assert measured(replace(options, overlay=False))["models"][0]["figures"]["missed"] == 3
    assert sorted(path.name for path in out.iterdir()) == ["frames.csv", "measures.json", "notes.txt", "report.html"]
    (out / "measures.json").write_text('{"kind": "something else"}')
    with pytest.raises(SemihandError, match="holds measures.json.*of something else.*another --out"):
        run_video_eval(options)
    (tmp_path / "file").write_text("")
    with pytest.raises(SemihandError, match="is a file"):
        run_video_eval(replace(options, out=tmp_path / "file"))


def test_a_run_that_fails_leaves_the_earlier_report(film, plant, tmp_path, monkeypatch):
    out = tmp_path / "out"
    plant([seen()] * FRAMES, [seen()])  # the second tracker breaks at its second frame
    options = VideoEvalOptions(film, ("a",), out, "cpu", max_frames=3)
    run_video_eval(options)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(IndexError):
        run_video_eval(options)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert not list(tmp_path.glob(".*.part"))


def test_the_report_lies_where_the_command_runs(film, plant, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plant([seen()] * FRAMES)
    run_video_eval(VideoEvalOptions(film, (), None, "cpu", max_frames=2, overlay=False))
    assert (tmp_path / "wave-eval" / "report.html").is_file()


def test_a_full_disk_is_no_broken_video(film, plant, tmp_path, monkeypatch):
    def full(self, picture, time):
        raise SemihandError("The disk is full.")

    monkeypatch.setattr("semihand.evaluate.video.overlay.VideoSink.write", full)
    plant([seen()] * FRAMES)
    with pytest.raises(SemihandError, match="disk is full"):
        run_video_eval(VideoEvalOptions(film, ("a",), tmp_path / "out", "cpu"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more,told",
    [
        ({"hands": 0}, "--hands 0"),
        ({"max_frames": 0}, "--max-frames 0"),
        ({"focal": -1.0}, "-1.0 is no focal length"),
        ({"models": ("a", "a")}, "named twice"),
    ],
)
def test_options_without_sense(film, more, told):
    with pytest.raises(SemihandError, match=told):
        VideoEvalOptions(**{"video": film, "models": ("a",), "out": None, "device": "cpu"} | more)
