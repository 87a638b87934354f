"""The page of `semihand eval --video`: models side by side on one video without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from ...models.joints import FINGERS
from ...report import hand_tiles
from ...report.page import captioned, date_words, definitions, page, section, table
from ...report.plots import bar_groups
from ...text import number
from .figures import FIGURES, best
from .plots import histogram, presence_strip, timeline


@dataclass(frozen=True)
class WorstFrame:
    """A frame on which a model contradicts itself. picture (S, S, 3) uint8 RGB of the crop; on its 64-grid: uv (21, 2) the
    answer, other (21, 2) the answer on the changed crop that is furthest away, mask (64, 64), marks (21, 2) the landmark
    model's joints or None. inconsistency: share of the hand's size.
    """

    frame: int
    time: float
    inconsistency: float
    picture: np.ndarray
    uv: np.ndarray
    other: np.ndarray
    mask: np.ndarray
    marks: np.ndarray | None


@dataclass(frozen=True)
class ModelRun:
    """One model on the video. figures: name -> value or None; absent: name -> why there is none.

    ms: stage -> {p50, p95, runs}. Of every frame (T,), NaN where there is nothing: found, jitter_mm, score, views (the
    sampled frames' view inconsistency), and fingers (T, 5) lengths in mm. jitter_values: of all joints. worst: frames, the
    worst first.
    """

    name: str
    figures: Mapping[str, float | None]
    absent: Mapping[str, str]
    ms: Mapping[str, Mapping[str, float]]
    found: np.ndarray
    jitter_mm: np.ndarray
    score: np.ndarray
    fingers: np.ndarray
    views: np.ndarray
    jitter_values: np.ndarray
    worst: Sequence[WorstFrame] = field(default=())


def video_page(document: Mapping, times: np.ndarray, runs: Sequence[ModelRun]) -> str:
    """The whole page. document: what measures.json holds; times (T,) seconds of the frames."""
    title = f"{document['video']['name']}: {', '.join(run.name for run in runs)}"
    return page(
        title,
        [_store(runs), _head(document, runs), _figures(runs), _timelines(times, runs), _histograms(runs),
         *(_worst(place, run) for place, run in enumerate(runs)), _speed(runs), _provenance(document)],
    )  # fmt: skip


def _head(document: Mapping, runs: Sequence[ModelRun]) -> str:
    video, tone = document["video"], "even"
    told = "No label says what would be right here. The figures tell how steady the answers are, not how exact."
    if not any(run.found.any() for run in runs):
        tone, told = "bad", f"No hand was found in any of the {video['frames']} frames, so there is little to measure."
    facts = [
        (f"{video['frames']}", "frames"), (f"{number(video['seconds'])} s", "of video"),
        (f"{video['width']} × {video['height']}", "pixels"),
        (f"{number(video['fps'])}", "frames a second" + (", variable" if video["variable_rate"] else "")),
        (f"{len(runs)}", "models" if len(runs) > 1 else "model"),
    ]  # fmt: skip
    boxes = "".join(f"<div><b>{escape(value)}</b>{escape(label)}</div>" for value, label in facts)
    notes = "".join(f"<p>{escape(note)}</p>" for note in document["notes"])
    return (
        f'<header class="verdict {tone}"><h1>{escape(video["name"])}</h1><p>{escape(told)}</p>{notes}'
        f'<div class="facts">{boxes}</div></header>'
    )


def _figures(runs: Sequence[ModelRun]) -> str:
    told = "The same decoded frames for every model. Bold: the best of several. A dash: not measured, for the reason given."
    rows = []
    for figure in FIGURES:
        winners = best(figure, [run.figures for run in runs])
        cells = [f"{escape(figure.label)}<small>{escape(figure.told)}</small>"]
        for place, run in enumerate(runs):
            text, why = escape(figure.text(run.figures)), run.absent.get(figure.name)
            text = f'<span class="good toned">{text}</span>' if place in winners else text
            cells.append(text + (f"<small>{escape(why)}</small>" if why else ""))
        rows.append(cells)
    head = ["", *(run.name for run in runs)]
    return section("Figures", told, table(head, rows))


def _timelines(times: np.ndarray, runs: Sequence[ModelRun]) -> str:
    told = (
        "Over the seconds of the video. Lines of long videos are means of neighbouring frames; gaps are missed frames."
    )
    strip = presence_strip(times, {run.name: run.found for run in runs}, "A hand was found")
    jitter = timeline(times, {run.name: run.jitter_mm for run in runs}, "Jitter", "mm, mean over the joints")
    score = timeline(times, {run.name: run.score for run in runs}, "Confidence", "mean over the joints")
    views = _views_timeline(times, runs)
    plots = [
        captioned(strip, "Coloured while a hand is tracked; a thin line where none was found."),
        captioned(jitter, "How much the joints tremble from frame to frame; quick real motion makes peaks too."),
        captioned(score, "How sure each network is of its joints, 1 at most; it falls on hard poses."),
        captioned(views, "How far the answer moves when the crop is moved, tilted, turned or scaled a little."),
    ]
    for run in runs:
        lines = {finger: run.fingers[:, i] for i, finger in enumerate(FINGERS)}
        drawn = timeline(times, lines, f"Length of the fingers from the wrist, {run.name}", "mm")
        plots.append(
            captioned(drawn, "Along the bones: a real hand's fingers keep their lengths, so flat lines are good.")
        )
    return section("Timelines", told, '<div class="plots">', *plots, "</div>")


def _views_timeline(times: np.ndarray, runs: Sequence[ModelRun]) -> str:
    sampled = np.any([np.isfinite(run.views) for run in runs], axis=0)
    lines = {run.name: 100 * run.views[sampled] for run in runs}
    return timeline(times[sampled], lines, "View inconsistency of the sampled frames", "% of the hand")


def _histograms(runs: Sequence[ModelRun]) -> str:
    told = "Shares of all values. A few that lie far beyond the rest count in the last bin."
    jitter = histogram({run.name: run.jitter_values for run in runs}, "Jitter of single joints", "mm")
    views = histogram({run.name: 100 * run.views for run in runs}, "View inconsistency", "% of the hand")
    score = histogram({run.name: run.score for run in runs}, "Confidence", "mean over the joints")
    plots = [
        captioned(jitter, "How often joints tremble by so much; the further left, the steadier."),
        captioned(views, "How often the answer moves by so much on a changed crop; the further left, the better."),
        captioned(score, "How often the network is so sure; two models' confidence need not mean the same."),
    ]
    return section("Histograms", told, '<div class="plots">', *plots, "</div>")


def _worst(place: int, run: ModelRun) -> str:
    told = (
        "Coloured: the answer. White dashes: the answer on the changed crop that moved it most. Blue: the hand's outline as "
        "the network sees it. White dots: the landmark model. Left hands are shown mirrored, as the network sees them."
    )
    if not run.worst:
        return section(f"Worst frames, {run.name}", run.absent.get("view_consistency", "No frame was looked at."))
    cells = "".join(
        f'<div>{_tile(place, number_, frame)}<div class="note">frame {frame.frame}, {frame.time:.2f} s: '
        f"{number(100 * frame.inconsistency)} % of the hand</div></div>"
        for number_, frame in enumerate(run.worst)
    )
    grid = '<div class="strip" style="grid-template-columns: repeat(auto-fill, minmax(140px, 1fr))">'
    return section(f"Worst frames, {run.name}", told, f"{grid}{cells}</div>")


def _tile(place: int, number_: int, frame: WorstFrame) -> str:
    parts = [hand_tiles.outline(frame.mask), hand_tiles.pale_skeleton(frame.other), hand_tiles.skeleton(frame.uv)]
    parts += [hand_tiles.marks(frame.marks)] if frame.marks is not None else []
    return hand_tiles.tile(_picture_name(place, number_), parts, f"frame {frame.frame}")


def _picture_name(place: int, number_: int) -> str:
    return f"worst{place}-{number_}"


def _store(runs: Sequence[ModelRun]) -> str:
    return hand_tiles.picture_store(
        {_picture_name(i, j): frame.picture for i, run in enumerate(runs) for j, frame in enumerate(run.worst)}
    )


def _speed(runs: Sequence[ModelRun]) -> str:
    told = (
        "Milliseconds a frame on this machine, with whatever else ran on it. Stages that did not run in a frame do not "
        "count; total is over frames with a hand, without reading the file."
    )
    stages = list(dict.fromkeys(stage for run in runs for stage in run.ms))
    cells = [
        [stage, *(f"{number(run.ms[stage]['p50'])} (p95 {number(run.ms[stage]['p95'])})" if stage in run.ms else "–"
                  for run in runs)]
        for stage in stages
    ]  # fmt: skip
    medians = {run.name: [run.ms.get(stage, {}).get("p50", np.nan) for stage in stages] for run in runs}
    bars = bar_groups(stages, medians, "Median by stage", "ms")
    head = ["stage", *(run.name for run in runs)]
    return section(
        "Speed",
        told,
        table(head, cells, range(1, len(head))),
        f'<div class="plots one">{captioned(bars, "Half of the frames took less.")}</div>',
    )


def _provenance(document: Mapping) -> str:
    video, hardware = document["video"], document["hardware"]
    facts = [("command", document["command"]), ("date", date_words(document["date"])), ("commit", document["commit"]),
             ("video", video["name"]), ("video's SHA-256", video["sha256"])]  # fmt: skip
    facts += [
        (
            f"model {model['name']}",
            f"SHA-256 {model['sha256']}, crops of {model['input_size']} pixels, {model['provider']}",
        )
        for model in document["models"]
    ]
    facts += [("tracker", _words(document["tracker"])), ("sampled frames", _words(document["samples"]))]
    facts += [("hardware", _words(hardware)), ("versions", _words(document["versions"]))]
    known = definitions((name, str(value)) for name, value in facts if value)
    return section("Where it comes from", "Enough to make the same run again. All of it stays on this machine.", known)


def _words(values: Mapping) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
