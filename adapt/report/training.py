"""The iterations of a run as plots: labels in use, confidence, losses, and whether anything was forgotten."""

from __future__ import annotations

import numpy as np

from ...report.page import captioned, section
from ...report.plots import Series, line_plot
from .files import RunFiles

LOSSES = {
    "total": "Total", "supervised": "Supervised, on synthetic hands", "unsupervised": "Against own labels",
    "view": "View consistency", "circles": "Pose against mask", "teacher": "Against the detector's joints",
}  # fmt: skip
#: Points to which a curve of many steps is averaged.
_BINS = 60
_SMALL = (360, 220)
#: What each loss says, in a sentence.
_TOLD = {
    "Total": "All losses, weighted; its scale says little, its way down does.",
    "Supervised, on synthetic hands": "The error on rendered hands, whose joints are known: what keeps the network on course.",
    "Against own labels": "How far the network is from its own earlier, corrected answers on your frames.",
    "View consistency": "How far it contradicts itself when your picture is turned, moved or recoloured.",
    "Pose against mask": "How badly the joints fill the hand's outline.",
    "Against the detector's joints": "How far it is from the landmark model's joints on your frames.",
}
_COLLAPSED = 0.7


def iteration_section(run: RunFiles) -> str:
    """Pass rate, C, forgetting, spread; nothing without a finished iteration."""
    if not run.iterations:
        return ""
    told = "Each iteration trusts the labels that keep still under changes of the picture: those of little inconsistency C."
    plots = [_shares(run), _terms(run), _forgetting(run), _spread(run)]
    return section("Iterations", told, '<div class="plots">', *plots, "</div>")


def loss_section(run: RunFiles) -> str:
    """One small plot a loss: their scales differ."""
    source, key, label = (run.train, "step", "step") if run.train else (run.iterations, "t", "iteration")
    names = [name for name in LOSSES if _any(source, name) and np.nanmax(np.abs(source[name])) > 0]
    if not names:
        return ""
    told = (
        "Training losses, each on its own scale; lower is better. Losses of steps are drawn pale, their means over some "
        "steps bold; grey uprights: an iteration begins."
    )
    if not run.train:
        told = "Mean training losses of every iteration, each on its own scale."
    plots = [_loss(source[key], source[name], LOSSES[name], label, _borders(run)) for name in names]
    return section("Losses", told, '<div class="plots small">', *plots, "</div>")


def _shares(run: RunFiles) -> str:
    rows = run.iterations
    lines = [Series("labels in use", rows["t"], 100 * rows["pass_rate"])] if _any(rows, "pass_rate") else []
    if _any(rows, "teacher_rate"):
        lines.append(Series("detector's joints in use", rows["t"], 100 * rows["teacher_rate"]))
    drawn = line_plot(lines, "Share of crops whose label is used", "iteration", "%", (0, 100))
    return captioned(
        drawn, "How many of your frames taught something: by a label of their own, or by the landmark model's."
    )


def _terms(run: RunFiles) -> str:
    names = {
        "view_term": "between views",
        "registration_term": "to fixed bones",
        "confidence_median": "C, both together",
    }
    rows = run.iterations
    # A term that the profile does not use is zero throughout.
    used = [name for name in names if _any(rows, name) and np.nanmax(np.abs(rows[name])) > 0]
    lines = [Series(names[name], rows["t"], rows[name]) for name in used]
    drawn = line_plot(lines, "Inconsistency C and its terms (medians)", "iteration", "C", (0, None))
    return captioned(
        drawn, "How much the answers on your frames contradict themselves, in pixels of the crop; it should fall."
    )


def _forgetting(run: RunFiles) -> str:
    rows = run.iterations
    if not _any(rows, "synthetic_epe_mm"):
        return ""
    error = rows["synthetic_epe_mm"]
    start = error[np.isfinite(error)][0]
    lines = [
        Series("synthetic hands", rows["t"], error),
        Series("first value", [0, rows["t"][-1]], [start, start], "dashed"),
    ]
    drawn = line_plot(lines, "Does it forget? 3D error on synthetic hands", "iteration", "mm", (0, None))
    return captioned(drawn, "The error on other, rendered hands: a line that climbs says that old knowledge is lost.")


def _spread(run: RunFiles) -> str:
    rows = run.iterations
    if not _any(rows, "spread"):
        return ""
    lines = [
        Series("spread", np.r_[0, rows["t"]], np.r_[1, rows["spread"]]),
        Series("collapsed below this", [0, rows["t"][-1]], [_COLLAPSED] * 2, "dashed"),
    ]
    drawn = line_plot(lines, "Spread of the joints against the start", "iteration", "ratio", (0, None))
    return captioned(drawn, "How far apart the joints of a hand stay; a network that collapses draws them together.")


def _loss(at: np.ndarray, values: np.ndarray, title: str, label: str, borders: np.ndarray) -> str:
    middle, mean = binned(at, values, _BINS)
    lines = [Series("mean", middle, mean, color=0)]
    if len(at) > 2 * _BINS:
        pale = slice(None, None, max(1, len(at) // 1200))
        # Rare peaks would press the curve flat: the pale line is cut at the 99th percentile.
        cut = np.minimum(values[pale], np.nanpercentile(values, 99))
        lines = [Series("mean", at[pale], cut, "faint", color=0), *lines]
    verticals = borders if label == "step" else ()
    drawn = line_plot(lines, title, label, "", (0 if np.nanmin(values) >= 0 else None, None), _SMALL, verticals)
    return captioned(drawn, _TOLD[title])


def binned(at: np.ndarray, values: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of neighbouring points (N,) in at most `bins` equal parts; values that are not finite don't count."""
    known = np.isfinite(values)
    parts = [part for part in np.array_split(np.flatnonzero(known), bins) if len(part)]
    return np.array([at[part].mean() for part in parts]), np.array([values[part].mean() for part in parts])


def _borders(run: RunFiles) -> np.ndarray:
    """Steps at which an iteration began, without the first."""
    if not run.train or "t" not in run.train:
        return np.empty(0)
    return run.train["step"][1:][np.diff(run.train["t"]) > 0]


def _any(rows: dict[str, np.ndarray], name: str) -> bool:
    return name in rows and bool(np.isfinite(rows[name]).any())
