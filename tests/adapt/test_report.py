"""The report of a run, of whole ones and of what a crash left of them."""

import base64
import csv
import json
import math
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.adapt.report import training
from semihand.adapt.report.files import read_run
from semihand.adapt.report.indicators import Change, Meaning, changes, in_words
from semihand.adapt.report.page import REPORT_NAME, judge, terminal_summary, write_report
from semihand.adapt.report.pictures import changed_frames, movement, shown_examples, shown_iterations, worst_frames
from semihand.adapt.report.training import binned
from semihand.errors import SemihandError

FILES = ("run.json", "iterations.csv", "train.csv", "labels.npz", "heldout.npz", "indicators.json")
ITERATIONS, EXAMPLES, HELD_OUT = 5, 8, 9
LOG_COLUMNS = {
    "seconds": lambda t: 12.5 * t, "rate": lambda t: 1e-4, "pass_rate": lambda t: 0.3 + 0.1 * t,
    "view_term": lambda t: 2 / t, "registration_term": lambda t: 1 / t, "confidence_median": lambda t: 3 / t,
    "spread": lambda t: 1.01, "synthetic_epe_mm": lambda t: 12 + 0.125 * t, "teacher_rate": lambda t: "",
}  # fmt: skip
LOSSES = ("supervised", "unsupervised", "view", "circles", "teacher", "total")


class Page(HTMLParser):
    """Parses a page, checks that every element is closed in order, and keeps what is in it."""

    VOID = {"meta", "br", "img", "link"}

    def __init__(self, html: str):
        super().__init__()
        self.open, self.links, self.tags, self.words = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [
            value for name, value in attrs if name in ("href", "src", "srcset", "action", "data", "xlink:href")
        ]
        self.open += [tag] * (tag not in self.VOID)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open = self.open[: len(self.open) - (tag not in self.VOID)]

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def hands(rng, count):
    """Joints (count, 21, 2) on fingers like rays, on the 64-grid."""
    angles = np.linspace(-2.4, -0.7, 5)
    rays = np.stack([np.cos(angles), np.sin(angles)], -1)[:, None] * np.array([8, 14, 19, 23.0])[:, None]
    uv = np.concatenate([np.zeros((1, 2)), rays.reshape(20, 2)]) + (32, 48)
    return uv + rng.normal(0, 1, (count, 21, 2))


def plant_labels(folder, rng):
    uv = hands(rng, EXAMPLES)
    # Example m starts m pixels away and halves the way in every iteration.
    label = np.stack([uv + np.arange(EXAMPLES)[:, None, None] * 0.5**t for t in range(ITERATIONS + 1)])
    image = rng.integers(0, 255, (EXAMPLES, 32, 32, 3), np.uint8)
    confidence = np.tile(np.arange(EXAMPLES, 0, -1.0), (ITERATIONS + 1, 1))
    np.savez(folder / "labels.npz", rows=np.arange(EXAMPLES), image=image, uv_start=label[0], uv_label=label,
             uv_registered=label + 0.5, gate=confidence < 3, confidence=confidence)  # fmt: skip


def plant_held_out(folder, rng):
    before = hands(rng, HELD_OUT)
    after = before + np.linspace(0, 8, HELD_OUT)[:, None, None]
    marks = before + 0.3
    marks[0] = np.nan
    mask = np.zeros((HELD_OUT, 64, 64))
    mask[:, 20:50, 20:45] = 1
    np.savez(folder / "heldout.npz", image=rng.integers(0, 255, (HELD_OUT, 32, 32, 3), np.uint8), uv_before=before,
             uv_after=after, mask_before=mask, mask_after=mask * 0.9, marks_uv=marks,
             cost_before=np.arange(HELD_OUT) + 0.5, cost_after=np.r_[np.arange(HELD_OUT - 1) + 0.25, np.nan])  # fmt: skip


def plant(folder, iterations=ITERATIONS, accepted=True):
    """A whole run as `semihand adapt` leaves it."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    run = {
        "name": "mine", "profile": "robust", "teacher": None, "source": "kitchen", "source_hash": "5ec2",
        "frames_train": 480, "frames_held_out": 123, "parent": {"name": "lite", "sha256": "ab12cd"},
        "config": {"iterations": ITERATIONS, "rate": 0.0001}, "command": "semihand adapt --from kitchen", "seed": 7,
        "date": "2026-01-02T03:04:05+00:00", "versions": {"torch": "2.13.0"}, "seconds": 300.0,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    rows = [{"t": t} | {name: value(t) for name, value in LOG_COLUMNS.items()} for t in range(1, iterations + 1)]
    write_csv(folder / "iterations.csv", rows)
    steps = [{"step": s, "t": 1 + (s - 1) // 40, "seconds": s} | {n: 0 if n == "teacher" else 1 / s for n in LOSSES}
             for s in range(1, 40 * iterations + 1)]  # fmt: skip
    write_csv(folder / "train.csv", steps)
    plant_labels(folder, rng)
    plant_held_out(folder, rng)
    indicators = {
        "before": {"view_consistency": 2.0, "pose_mask_iou": 0.7, "jitter": None, "novel_thing": 1.0},
        "after": {"view_consistency": 1.5, "pose_mask_iou": 0.84, "jitter": None, "novel_thing": 3.0},
        "decision": {
            "accepted": accepted,
            "reason": "Views agree 25 % better",
            "score": 0.42,
            "terms": {"view": 0.25, "score_low": 0.21},
        },
    }
    (folder / "indicators.json").write_text(json.dumps(indicators))
    return folder


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def run(tmp_path):
    return plant(tmp_path / "mine")


def page_of(folder) -> tuple[str, Page]:
    path = write_report(folder)
    assert path == folder / REPORT_NAME
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


def assert_self_contained(html: str, page: Page) -> None:
    assert re.findall(r"http(?!-equiv)", html) == []
    assert "url(" not in html and "@import" not in html and "//" not in re.sub(r'base64,[^"]+', "", html)
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in page.links)
    held = set(re.findall(r'<(?:image|path) id="([^"]+)"', html))
    assert {link[1:] for link in page.links if link[0] == "#"} == held


def test_whole_run(run):
    html, page = page_of(run)
    assert_self_contained(html, page)
    for told in ("Accepted", "Views agree 25 % better.", "480", "123", "5.0 min", "25 % better", "20 % better", "0.840",
                 "novel thing", "200 % higher", "The gate's score, its mean gain, is 0.420 and, chance allowed for, at least 0.210. It looked at: view 0.250.", "semihand adapt --from kitchen",
                 "ab12cd", "5ec2", "torch 2.13.0", '"rate": 0.0001', "Labels converging", "iteration 4", "start and end", "2026-01-02 03:04 UTC",
                 "Largest changes", "Inconsistency C and its terms", "Does it forget?", "View consistency"):  # fmt: skip
        assert told in page.text, told
    assert "Against the detector's joints" not in page.text, "a loss that is always zero is not drawn"
    assert "Jitter" not in page.text, "what was not measured is left out"
    assert "Not shown" not in page.text
    assert "prefers-color-scheme: dark" in html
    assert re.search(r"\b(nan|None|inf)\b", page.text) is None


def test_pictures_are_the_crops(run):
    html, _ = page_of(run)
    pictures = dict(re.findall(r'<image id="(\w+)".*?base64,([^"]+)"', html))
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(pictures["frame8"]), np.uint8), cv2.IMREAD_COLOR)
    with np.load(run / "heldout.npz") as file:
        image = file["image"][8].astype(float)
    assert decoded.shape == (32, 32, 3)
    assert_allclose(decoded[..., ::-1].mean((0, 1)), image.mean((0, 1)), atol=8)


@pytest.fixture
def curves(monkeypatch):
    """Every line that the page draws: name -> {x: y} of its last plot."""
    drawn = {}
    plot = training.line_plot

    def keep(series, *arguments):
        drawn.update({one.name: dict(zip(one.x, one.y, strict=True)) for one in series})
        return plot(series, *arguments)

    monkeypatch.setattr(training, "line_plot", keep)
    return drawn


def test_curves_hold_the_values(run, curves):
    page_of(run)
    assert curves["labels in use"][5] == pytest.approx(80)
    assert curves["between views"][4] == pytest.approx(0.5)
    assert curves["to fixed bones"][5] == pytest.approx(0.2)
    assert curves["synthetic hands"][2] == pytest.approx(12.25)


def test_refused(tmp_path):
    html, page = page_of(plant(tmp_path / "r", accepted=False))
    assert "Refused The old model stays. Views agree 25 % better." in page.text
    assert 'class="verdict bad"' in html


def test_summary(run):
    effort = "5 rounds of learning in 62 s on 480 frames; judged on 123 others that it never saw."
    assert terminal_summary(run).splitlines() == ["Accepted: Views agree 25 % better.", "Better at: steady when the picture is moved (25 %).", effort]  # fmt: skip
    page_of(run)
    assert terminal_summary(run).splitlines()[-1] == f"Report: {run / REPORT_NAME}"


def test_the_verdict_names_what_became_worse_too(run):
    found = {
        "before": {"view_consistency": 2.0, "jitter": 0.02, "synthetic_nme": 0.05, "seen": 1.0, "bone_distance": 2.0},
        "after": {"view_consistency": 1.5, "jitter": 0.022, "synthetic_nme": 0.06, "seen": 0.5, "bone_distance": 2.01},
    }
    (run / "indicators.json").write_text(json.dumps(found | {"decision": {"accepted": True}}))
    words = ["Better at: steady when the picture is moved (25 %).",
             "Worse at: right on other hands (rendered ones) (20 %), steady from frame to frame (10 %)."]  # fmt: skip
    assert in_words(read_run(run)) == words
    assert all(sentence in page_of(run)[1].text for sentence in words)


def test_labels_of_the_landmark_model_are_shown_as_used(run):
    """Where it teaches some crops, their thumbnails don't speak of the gate, which did not decide on them."""
    with np.load(run / "labels.npz") as file:
        arrays = dict(file)
    np.savez(run / "labels.npz", **arrays, taught=np.arange(EXAMPLES) < 4)
    _, page = page_of(run)
    assert "Labels of the landmark model" in page.text and "Labels converging" in page.text
    np.savez(run / "labels.npz", **arrays, taught=np.ones(EXAMPLES, bool))
    _, page = page_of(run)
    assert "Labels of the landmark model" in page.text and "not used" not in page.text


def test_every_plot_has_a_sentence(run):
    html, page = page_of(run)
    assert page.tags.count("figcaption") == html.count('class="plot"') > 6
    assert all(re.findall(r"<figcaption>([^<]{20,})</figcaption>", html))


@pytest.mark.parametrize("missing", FILES)
def test_each_file_may_be_missing(run, missing):
    (run / missing).unlink()
    html, page = page_of(run)
    assert_self_contained(html, page)
    terminal_summary(run)
    assert f"{missing} is missing." in page.text


@pytest.mark.parametrize("only", FILES)
def test_each_file_alone(run, only):
    for name in set(FILES) - {only}:
        (run / name).unlink()
    html, page = page_of(run)
    assert_self_contained(html, page)
    assert terminal_summary(run)


@pytest.mark.parametrize("broken", FILES)
@pytest.mark.parametrize("kept", [0, 0.5, 0.97])
def test_each_file_may_be_cut_off(run, broken, kept):
    content = (run / broken).read_bytes()
    (run / broken).write_bytes(content[: int(kept * len(content))])
    html, page = page_of(run)
    assert_self_contained(html, page)
    if kept <= 0.5 and not broken.endswith("csv"):
        assert f"{broken} can't be read" in page.text


def test_aborted_run(run):
    (run / "indicators.json").unlink()
    (run / "heldout.npz").unlink()
    lines = (run / "iterations.csv").read_text().splitlines(keepends=True)
    (run / "iterations.csv").write_text("".join(lines[:4]) + lines[4][:-5])
    _, page = page_of(run)
    assert "Not finished It stopped after iteration 3 of 5." in page.text
    assert "--resume" in page.text
    assert terminal_summary(run).startswith("Not finished: ")


def test_stopped_before_the_first_iteration(run):
    for name in set(FILES) - {"run.json"}:
        (run / name).unlink()
    _, page = page_of(run)
    assert "It stopped after iteration 0 of 5." in page.text


def test_stopped_before_the_description_was_written(run):
    (run / "indicators.json").unlink()
    (run / "run.json").unlink()
    assert judge(read_run(run)).told.startswith("It stopped after iteration 5. No model was judged")


def test_finished_but_not_judged(run):
    (run / "indicators.json").unlink()
    assert judge(read_run(run)).word == "Not judged"


def test_one_iteration(tmp_path):
    folder = plant(tmp_path / "one", iterations=1)
    with np.load(folder / "labels.npz") as file:
        arrays = dict(file)
    for name in ("uv_label", "uv_registered", "gate", "confidence"):
        arrays[name] = arrays[name][:2]
    np.savez(folder / "labels.npz", **arrays)
    html, page = page_of(folder)
    assert_self_contained(html, page)
    assert "iteration 1" in page.text and "iteration 2" not in page.text
    assert "1 round of learning in 12 s" in terminal_summary(folder)


def test_no_examples_and_no_held_out_frames(run):
    for name in ("labels.npz", "heldout.npz"):
        with np.load(run / name) as file:
            arrays = dict(file)
        empty = {key: array[:, :0] if name == "labels.npz" and key in ("uv_label", "uv_registered", "gate", "confidence") else array[:0]
                 for key, array in arrays.items()}  # fmt: skip
        np.savez(run / name, **empty)
    html, page = page_of(run)
    assert_self_contained(html, page)
    assert "Labels converging" not in page.text and "Held-out frames before" not in page.text


def test_text_of_files_is_never_markup(run):
    told = json.loads((run / "run.json").read_text())
    told |= {"name": "<script>alert(1)</script>", "command": 'x" onload="y', "config": {"</code>": "<b>"}}
    (run / "run.json").write_text(json.dumps(told))
    indicators = json.loads((run / "indicators.json").read_text())
    indicators["before"]["<i>"] = 1.0
    indicators["decision"] |= {"reason": "<img src=x>", "terms": {"<u>": 1.0}}
    (run / "indicators.json").write_text(json.dumps(indicators))
    html, page = page_of(run)
    assert_self_contained(html, page)
    assert not {"i", "u", "img"} & set(page.tags)
    assert "Adaptation “<script>alert(1)</script>”" in page.text


@pytest.mark.parametrize("content", ['{"before": 3, "after": [1], "decision": "yes", "check": null}', "{}", "[]"])
def test_indicators_of_another_shape(run, content):
    (run / "indicators.json").write_text(content)
    _, page = page_of(run)
    assert "Not judged" in page.text


def test_nan_in_the_logs(run, curves):
    rows = list(csv.DictReader((run / "iterations.csv").open()))
    for row in rows:
        row["synthetic_epe_mm"] = "nan"
    rows[1]["view_term"] = "inf"
    write_csv(run / "iterations.csv", rows)
    html, page = page_of(run)
    assert "Does it forget?" not in page.text
    assert curves["between views"][1] == pytest.approx(2) and np.isinf(curves["between views"][2])
    assert not re.search(r'="[^"]*(nan|inf)\b', html)


def test_losses_from_the_iterations(run, curves):
    """A run without train.csv whose iterations carry the mean losses."""
    (run / "train.csv").unlink()
    rows = list(csv.DictReader((run / "iterations.csv").open()))
    write_csv(run / "iterations.csv", [row | {"total": 4.5, "view": 0.25} for row in rows])
    _, page = page_of(run)
    assert "Mean training losses of every iteration" in page.text
    assert curves["mean"] == {t: 0.25 for t in range(1, 6)}, "the last plot is that of the view consistency"
    assert "Not shown" not in page.text


def test_check_by_hand(run):
    indicators = json.loads((run / "indicators.json").read_text())
    indicators["check"] = {
        "nme_before": 0.08, "nme_after": 0.06, "interval": [-0.03, -0.01], "frames": 20, "clicks": 97,
        "by_joint": {"wrist": {"before": 0.1, "after": 0.05}}, "joints": ["wrist"],
    }  # fmt: skip
    (run / "indicators.json").write_text(json.dumps(indicators))
    _, page = page_of(run)
    assert (
        "97 joints that you clicked in 20 held-out frames: 8.00 % of the hand's size before, 6.00 % after (25 % better)"
        in page.text
    )
    assert "changed by −3.0 to −1.0 points: more than chance." in page.text
    assert {"wrist", "10.0 %", "5.00 %"} <= set(page.words), "bars by joint"
    assert "Your clicks: error 8.00 %" in terminal_summary(run)


def test_no_run(tmp_path):
    with pytest.raises(SemihandError, match="is not the folder of an adaptation"):
        write_report(tmp_path)
    with pytest.raises(SemihandError, match="is not the folder of an adaptation"):
        terminal_summary(tmp_path / "none")


def test_report_that_cannot_be_written(run):
    (run / REPORT_NAME).mkdir()
    with pytest.raises(SemihandError, match="could not be written"):
        write_report(run)


def test_lines_written_twice_after_a_resume(run):
    lines = (run / "iterations.csv").read_text().splitlines(keepends=True)
    again = lines[3].replace("0.6", "0.9", 1)
    (run / "iterations.csv").write_text("".join(lines[:5] + [again] + lines[5:]))
    rows = read_run(run).iterations
    assert_array_equal(rows["t"], [1, 2, 3, 4, 5])
    assert_allclose(rows["pass_rate"], [0.4, 0.5, 0.9, 0.7, 0.8])


@pytest.mark.parametrize(
    ("better", "before", "after", "told"),
    [(-1, 2, 1, "50 % better"), (-1, 1, 2, "100 % worse"), (1, 0.5, 0.6, "20 % better"), (1, 0.5, 0.4, "20 % worse"),
     (0, 1, 2, "100 % higher"), (0, 2, 1, "50 % lower"), (1, 1, 1.005, "unchanged"), (1, 0, 1, "–"),
     (1, math.nan, 1, "–"), (-1, -2, -3, "50 % better")],
)  # fmt: skip
def test_change_in_words(better, before, after, told):
    assert Change(Meaning("", "", better), before, after).told == told


def test_known_indicators_come_first(run):
    assert [c.meaning.name for c in changes(read_run(run))] == ["Views disagree", "Pose fills its mask", "novel thing"]


@pytest.mark.parametrize(("last", "wanted"), [(0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (5, [0, 1, 2, 4, 5]), (8, [0, 1, 2, 4, 8]), (10, [0, 1, 2, 4, 8, 10])])  # fmt: skip
def test_shown_iterations(last, wanted):
    assert shown_iterations(np.zeros((last + 1, 2, 21, 2))) == wanted


def test_iterations_that_were_not_reached_are_not_shown():
    label = np.zeros((11, 2, 21, 2))
    label[4:] = np.nan
    assert shown_iterations(label) == [0, 1, 2, 3]


def test_examples_from_most_to_least_moved(run):
    assert shown_examples(read_run(run).labels) == [7, 6, 4, 3, 1, 0]


def test_worst_and_most_changed(run):
    held_out = read_run(run).held_out
    assert worst_frames(held_out) == [7, 6, 5, 4, 3, 2], "a cost that is NaN is no worst one"
    assert changed_frames(held_out) == [8, 7, 6, 5, 4, 3]


def test_movement_is_a_share_of_the_hand():
    uv = np.zeros((3, 21, 2))
    uv[:, 0] = (20, 10)
    moved = uv + (3, 4)
    moved[1, 5:] = np.nan
    moved[2] = np.nan
    assert_allclose(movement(uv, moved), [5 / 20, 5 / 20, np.nan])


def test_binned_means():
    at, mean = binned(np.arange(6.0), np.array([1, 3, np.nan, 5, 7, 9.0]), 2)
    assert_allclose(at, [4 / 3, 4.5])
    assert_allclose(mean, [3, 8])
