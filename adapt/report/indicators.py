"""What the gate measured before and after, in words: for the page and for the terminal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from ...report.page import section, table
from ...report.plots import BEFORE, LIGHT, bar_groups, pair_bar
from ...text import number
from .files import RunFiles

#: Changes below this share are called unchanged.
_SAME = 0.01
_TONES = {"better": "good", "worse": "bad"}


@dataclass(frozen=True)
class Meaning:
    """name: for people. told: what the number says. better: -1 lower is better, 1 higher, 0 neither. said: what a change
    is called in the verdict, "" where it is not worth a word there."""

    name: str
    told: str
    better: int
    said: str = ""


#: The names are those of `indicators.measure`, the most telling first.
MEANINGS = {
    "view_consistency": Meaning(
        "Views disagree",
        "How far the joints move, in pixels of the 64-pixel crop, when the same picture is shifted or "
        "tilted a little or turned by right angles.",
        -1,
        said="steady when the picture is moved",
    ),
    "turn_consistency": Meaning(
        "Turned views disagree",
        "The same when the picture is turned freely, enlarged and moved.",
        -1,
        said="steady when the picture is turned",
    ),
    "view_depth": Meaning(
        "Depths disagree",
        "How much the depth of the joints changes between those views, in lengths of the middle finger's first bone.",
        -1,
    ),
    "pose_mask_iou": Meaning(
        "Pose fills its mask",
        "Overlap of a hand drawn round the joints with the predicted outline; 1 is the same shape.",
        1,
    ),
    "source_mask_iou": Meaning(
        "Pose fills the old mask",
        "The same with the outline of the old model, which no training could bend.",
        1,
        said="filling the hand's outline",
    ),
    "bone_distance": Meaning(
        "Distance to a real hand",
        "How far the joints must move, in pixels of the crop, to fit a hand with fixed bones.",
        -1,
        said="fitting a hand with fixed bones",
    ),
    "bone_variance": Meaning(
        "Bones change length",
        "A real hand's bones keep their lengths from frame to frame; this is how much the predicted ones don't.",
        -1,
    ),
    "bone_deviation": Meaning(
        "Bones off their usual length", "How far bones are from their own usual length, as a share of it.", -1
    ),
    "jitter": Meaning(
        "Jitter",
        "Trembling of the joints between neighbouring frames, as a share of the hand's size.",
        -1,
        said="steady from frame to frame",
    ),
    "detector_agreement": Meaning(
        "Distance to the landmark model",
        "How far the joints lie from those of an independent landmark model, as a share of the hand's size.",
        -1,
        said="near the landmark model",
    ),
    "confidence": Meaning(
        "Own confidence",
        "How sure the network is of its joints. Training can raise it without reason, so it proves little alone.",
        1,
    ),
    "seen": Meaning("Hands seen", "Share of frames in which the network is not far less sure than usual.", 1),
    "spread": Meaning(
        "Spread of the joints",
        "How far a hand's joints lie apart, in pixels of the crop. It falls where a network collapses.",
        0,
    ),
    "diversity": Meaning(
        "Variety of poses", "How far the poses of the frames differ; 0 where every frame gets the same pose.", 0
    ),
    "synthetic_nme": Meaning(
        "2D error on synthetic hands",
        "As a share of the hand's size: what was forgotten of what the old model had learned.",
        -1,
        said="right on other hands (rendered ones)",
    ),
    "synthetic_epe_mm": Meaning("3D error on synthetic hands", "The same in 3D, in millimetres.", -1),
}


#: Only yardsticks for others.
_HIDDEN = ("synthetic_diversity", "synthetic_confidence", "marks_diversity")


@dataclass(frozen=True)
class Change:
    """One indicator before and after (NaN: not measured) and its relative change."""

    meaning: Meaning
    before: float
    after: float

    @property
    def share(self) -> float:
        """Relative change, NaN where it has no meaning."""
        if not (math.isfinite(self.before) and math.isfinite(self.after)) or self.before == 0:
            return math.nan
        return (self.after - self.before) / abs(self.before)

    @property
    def word(self) -> str:
        """better, worse, unchanged, higher, lower, or an en dash."""
        if not math.isfinite(self.share):
            return "–"
        if abs(self.share) < _SAME:
            return "unchanged"
        good, bad = ("higher", "lower") if self.meaning.better == 0 else ("better", "worse")
        return good if self.share * (self.meaning.better or 1) > 0 else bad

    @property
    def told(self) -> str:
        """The change in words: "19 % better"."""
        return self.word if self.word in ("unchanged", "–") else f"{100 * abs(self.share):.0f} % {self.word}"

    @property
    def tone(self) -> str:
        """Class of the page: good, bad or even."""
        return _TONES.get(self.word, "even")


def changes(run: RunFiles) -> list[Change]:
    """Every number that was measured before or after, known ones first."""
    before, after = run.indicator("before"), run.indicator("after")
    names = [*MEANINGS, *(name for name in {**before, **after} if name not in (*MEANINGS, *_HIDDEN))]
    found = []
    for name in names:
        values = _value(before.get(name)), _value(after.get(name))
        if any(map(math.isfinite, values)):
            found.append(Change(MEANINGS.get(name, Meaning(name.replace("_", " "), "", 0)), *values))
    return found


def in_words(run: RunFiles) -> list[str]:
    """What became better and what worse, a sentence each, the largest change first."""
    sentences = []
    for word in ("better", "worse"):
        found = [change for change in changes(run) if change.meaning.said and change.word == word]
        found.sort(key=lambda change: -abs(change.share))
        said = [f"{change.meaning.said} ({100 * abs(change.share):.0f} %)" for change in found]
        sentences += [f"{word.capitalize()} at: {', '.join(said)}."] if said else []
    return sentences


def indicator_section(run: RunFiles) -> str:
    """The table; nothing where nothing was measured."""
    rows = [_row(change) for change in changes(run)]
    if not rows:
        return ""
    told = "Measured without labels on held-out segments, which the new model has not learned from. Grey bar: before."
    head = ("indicator", "better when", "before", "after", "change", "")
    return section("Before and after", told, table(head, rows, figures=(2, 3)), _decision_terms(run))


def check_section(run: RunFiles) -> str:
    """The user's own clicks, nothing where there are none."""
    check = run.indicator("check")
    if not check:
        return ""
    before, after = _value(check.get("nme_before")), _value(check.get("nme_after"))
    change = Change(Meaning("True 2D error", "", -1), before, after)
    told = (
        f"True error against {_count(check.get('clicks', '?'))} joints that you clicked in "
        f"{_count(check.get('frames'))} held-out frames: {percent(before)} of the hand's size before, "
        f"{percent(after)} after ({change.told}). {interval_words(check.get('interval'))}"
    )
    by_joint = check.get("by_joint") if isinstance(check.get("by_joint"), dict) else {}
    if not by_joint:
        return section("Checked by hand", told)
    series = {when: [100 * _value(row.get(when)) for row in by_joint.values()] for when in ("before", "after")}
    names = [name.replace("_", " ") for name in by_joint]
    bars = bar_groups(names, series, "Error by joint, % of the hand's size", "%", colors=(BEFORE, LIGHT[0]))
    return section("Checked by hand", told, f'<div class="plots one">{bars}</div>')


def percent(share: float) -> str:
    """A share as a percentage with its sign of nothing: "4.8 %"."""
    return f"{number(100 * share)} %" if math.isfinite(share) else "–"


def interval_words(interval: object) -> str:
    """What the interval of the change of error allows to say."""
    if not isinstance(interval, (list, tuple)) or len(interval) != 2:
        return "Too few frames were clicked to say how sure this is."
    low, high = (100 * _value(end) for end in interval)
    sure = "the clicks show no difference" if low <= 0 <= high else "more than chance"
    ends = f"{low:+.1f} to {high:+.1f}".replace("-", "−")
    return f"With 95 % confidence the error changed by {ends} points: {sure}."


def _row(change: Change) -> list[str]:
    meaning = change.meaning
    wanted = {-1: "lower", 0: "", 1: "higher"}[meaning.better]
    name = f"{escape(meaning.name)}<small>{escape(meaning.told)}</small>"
    toned = f'<span class="toned {change.tone}">{change.told}</span>'
    bar = pair_bar(change.before, change.after, {"good": "--good", "bad": "--bad"}.get(change.tone, "--s0"))
    return [name, wanted, number(change.before), number(change.after), toned, bar]


def _decision_terms(run: RunFiles) -> str:
    """The score of the gate's rule and its terms."""
    decision = run.indicator("decision")
    score, terms = _value(decision.get("score")), decision.get("terms")
    if not math.isfinite(score):
        return ""
    told = f"The gate's score, its mean gain, is {number(score)}"
    if isinstance(terms, dict) and terms:
        parts = dict(terms)
        if (low := _value(parts.pop("score_low", None))) and math.isfinite(low):
            told += f" and, chance allowed for, at least {number(low)}"
        told += ". It looked at: " + ", ".join(
            f"{name.replace('_', ' ')} {number(_value(v))}" for name, v in parts.items()
        )
    return f'<details><summary>How the verdict was reached</summary><p class="muted">{escape(told)}.</p></details>'


def _count(value: object) -> str:
    """A number of things, or the list of them."""
    return str(len(value) if isinstance(value, (list, dict)) else value)


def _value(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
