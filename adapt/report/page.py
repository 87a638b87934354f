"""The report of one adaptation: `report.html` in the run's folder, and a few lines for the terminal.

It shows what there is: a run that was stopped has no verdict, and pictures of what was finished.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from ...models.checkpoint import atomic_file
from ...report.hand_tiles import picture_store
from ...report.page import date_words, definitions, page, section
from .files import RunFiles, read_run
from .indicators import check_section, in_words, indicator_section, interval_words, percent
from .pictures import held_out_section, label_section, pictures
from .training import iteration_section, loss_section

REPORT_NAME = "report.html"


@dataclass(frozen=True)
class Verdict:
    """tone: good, bad or wait. word: in one word. told: in a sentence or two."""

    tone: str
    word: str
    told: str


def write_report(folder: str | Path) -> Path:
    """Write report.html into a run's folder and return its path.

    Raises SemihandError where the folder holds nothing of a run or the page can't be written.
    """
    run = read_run(folder)
    path = run.folder / REPORT_NAME
    html = page(f"Adaptation {_text(run.run.get('name')) or run.folder.name}", _sections(run))
    with atomic_file(path) as candidate:
        candidate.write_text(html, encoding="utf-8", errors="backslashreplace")
    return path


def terminal_summary(folder: str | Path) -> str:
    """Verdict, indicators and where the report is. Raises SemihandError where the folder holds nothing of a run."""
    run = read_run(folder)
    verdict = judge(run)
    lines = [f"{verdict.word}: {verdict.told}"]
    lines += in_words(run) + _check_line(run) + _effort_line(run)
    path = run.folder / REPORT_NAME
    return "\n".join(lines + [f"Report: {path}"] * path.is_file())


def judge(run: RunFiles) -> Verdict:
    """What became of the run, in plain words."""
    decision = run.indicator("decision")
    reason = _text(decision.get("reason"))
    if decision.get("accepted") is True:
        told = reason or "On held-out frames, which it has not learned from, the new model does better than the old one"
        return Verdict("good", "Accepted", _sentence(told))
    if decision.get("accepted") is False:
        return Verdict("bad", "Refused", f"The old model stays. {_sentence(reason)}".strip())
    done, wanted = _iterations_done(run), _iterations_wanted(run)
    if done < wanted or not run.run:
        # The description is written at the end: without it nobody knows how many were wanted.
        told = f"It stopped after iteration {done}{f' of {wanted}' if wanted else ''}. No model was judged; the old one stays."
        return Verdict("wait", "Not finished", f"{told} Go on with --resume.")
    return Verdict("wait", "Not judged", "The run has no decision of the gate, so the old model stays.")


def _sections(run: RunFiles) -> list[str]:
    return [
        picture_store(pictures(run)), _head(run), held_out_section(run), indicator_section(run), check_section(run),
        label_section(run), iteration_section(run), loss_section(run), _provenance(run), _notes(run),
    ]  # fmt: skip


def _head(run: RunFiles) -> str:
    verdict, told = judge(run), run.run
    words = "".join(f"<p>{escape(sentence)}</p>" for sentence in in_words(run))
    name = escape(_text(told.get("name")) or run.folder.name)
    facts = "".join(f"<div><b>{escape(value)}</b>{escape(label)}</div>" for label, value in _facts(run) if value)
    return (
        f'<header class="verdict {verdict.tone}"><h1>Adaptation “{name}”</h1>'
        f'<div class="muted">{escape(date_words(_text(told.get("date"))))}</div>'
        f'<p class="word">{verdict.word}</p><p>{escape(verdict.told)}</p>{words}<div class="facts">{facts}</div></header>'
    )


def _facts(run: RunFiles) -> list[tuple[str, str]]:
    told, seconds = run.run, run.run.get("seconds")
    if not isinstance(seconds, (int, float)) and run.iterations:
        seconds = run.iterations.get("seconds", np.array([math.nan]))[-1]
    return [
        ("frames learned from", _text(told.get("frames_train"))),
        ("frames held out", _text(told.get("frames_held_out"))),
        ("iterations", str(_iterations_done(run)) if run.iterations else ""),
        ("time", _duration(seconds)),
        ("profile", _text(told.get("profile"))),
        ("teacher", _text(told.get("teacher")).replace("none", "")),
        ("parent model", _text(_parent(run).get("name"))),
    ]


def _provenance(run: RunFiles) -> str:
    told, parent = run.run, _parent(run)
    if not told:
        return ""
    facts = [
        ("command", _text(told.get("command"))), ("recording", _text(told.get("source"))),
        ("recording's hash", _text(told.get("source_hash"))), ("seed", _text(told.get("seed"))),
        ("date", date_words(_text(told.get("date")))), ("parent model", _text(parent.get("name"))),
        ("parent's hash", _text(parent.get("sha256"))), ("versions", _text(told.get("versions"))),
    ]  # fmt: skip
    config = escape(json.dumps(told.get("config"), indent=2, ensure_ascii=False))
    more = f"<details><summary>Configuration</summary><pre><code>{config}</code></pre></details>"
    known = definitions((name, value) for name, value in facts if value)
    return section(
        "Where it comes from", "Enough to make the same run again. All of it stays on this machine.", known, more
    )


def _notes(run: RunFiles) -> str:
    notes = [note for note in run.notes if not (note.startswith("train.csv is missing") and "total" in run.iterations)]
    if not notes:
        return ""
    return section("Not shown", "Parts of this run that are missing or can't be read: " + " ".join(notes))


def _check_line(run: RunFiles) -> list[str]:
    check = run.indicator("check")
    before, after = check.get("nme_before"), check.get("nme_after")
    if not isinstance(before, float) or not isinstance(after, float):
        return []
    told = f"Your clicks: error {percent(before)} of the hand's size before, {percent(after)} after."
    return [f"{told} {interval_words(check.get('interval'))}"]


def _effort_line(run: RunFiles) -> list[str]:
    """How long it took, and what it saw."""
    if not run.iterations:
        return []
    done, seconds = _iterations_done(run), run.iterations.get("seconds", np.array([math.nan]))[-1]
    rounds = f"{done} round{'s' * (done != 1)} of learning" + f" in {_duration(seconds)}" * math.isfinite(seconds)
    learned, held = (run.run.get(name) for name in ("frames_train", "frames_held_out"))
    seen = f" on {learned} frames; judged on {held} others that it never saw" if learned and held else ""
    return [f"{rounds}{seen}."]


def _iterations_done(run: RunFiles) -> int:
    return int(run.iterations["t"][-1]) if run.iterations else 0


def _iterations_wanted(run: RunFiles) -> int:
    config = run.run.get("config")
    wanted = config.get("iterations") if isinstance(config, dict) else None
    return wanted if isinstance(wanted, int) else 0


def _parent(run: RunFiles) -> dict:
    parent = run.run.get("parent")
    return parent if isinstance(parent, dict) else {}


def _duration(seconds: object) -> str:
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return ""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else text + "."


def _text(value: object) -> str:
    """A JSON value as a reader expects it; "" for null."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return str(value)
