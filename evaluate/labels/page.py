"""The page of an evaluation: `semihand eval --report FILE.html`, made of what `--json` prints and a few pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ...errors import SemihandError
from ...report.hand_tiles import picture_store
from ...report.page import date_words, definitions, page, section, table
from .page_examples import Example, example_section, pictures
from .page_plots import BIN_TITLES, bars_by, calibration_plot, curve_plots, measure_of

__all__ = ["Example", "evaluation_page", "write_evaluation"]

#: All metrics in their order, what they are called here, digits after the point.
METRICS = (
    ("nme", "nme", 4), ("pck_05", "pck .05", 3), ("pck_10", "pck .10", 3), ("pck_20", "pck .20", 3),
    ("epe_mm", "epe mm", 2), ("epe20_mm", "epe mm, 20 joints", 2), ("pa_mm", "pa mm", 2), ("auc_20_50", "auc 20-50", 3),
    ("auc_0_50", "auc 0-50", 3), ("auc_0_100", "auc 0-100", 3), ("angle_deg", "joint angles, degrees", 1),
    ("tips_mm", "tips mm", 2),
    ("tips_auc_0_100", "tips auc 0-100", 3), ("mask_iou", "mask IoU", 3), ("bone_cv", "bones' variation", 3),
    ("jitter_mm", "jitter mm", 2), ("jitter_label_mm", "labels' jitter mm", 2), ("lag_frames", "lag, frames", 2),
    ("handedness", "handedness right", 3),
)  # fmt: skip
#: What the summary has no room for; of loose pictures what is about time says nothing.
_TIPS, _IN_TIME = ("tips_mm", "tips_auc_0_100"), ("bone_cv", "jitter_mm", "jitter_label_mm", "lag_frames")
_NOT_IN_SUMMARY = ("epe20_mm", *_IN_TIME)
GLOSSARY = (
    ("nme", "2D error over the longer side of the hand's box; pck .05: share of joints below 0.05 of it"),
    ("epe mm", "3D error with known root depth and hand scale, moved onto each other at the middle knuckle"),
    ("pa mm", "3D error after the best turn, shift and scale of each frame"),
    ("joint angles, degrees", "mean error of the 20 angles by which fingers bend and spread"),
    ("auc 20-50", "area under the curve of joints within an error, between these millimetres"),
    ("tips mm", "3D error of the fingertips with centre and spread made equal, for data that label only these"),
    ("bones' variation", "standard deviation of each bone's length over its mean"),
    ("jitter mm", "median second difference of the joints in time; the labels have one of their own"),
    ("lag, frames", "how many frames late the joints follow the labels (negative: early), by cross-correlation"),
    ("rank correlation", "of confidence and 2D error: -1 where the confidence sorts the errors, 0 where it says nothing"),
    ("AUROC", "chance that a joint with a large error has the lower confidence of two; 0.5 says nothing"),
)  # fmt: skip


def write_evaluation(file: str | Path, record: dict, examples: Sequence[Example] = ()) -> Path:
    """Write the page; record: as `evaluate.report.record`. Raises SemihandError where it can't be written."""
    try:
        Path(file).write_text(evaluation_page(record, examples), encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SemihandError(f"Could not write {file}: {error.strerror}.") from error
    return Path(file)


def evaluation_page(record: dict, examples: Sequence[Example] = ()) -> str:
    """The whole page as HTML."""
    sets = _grouped(record["sets"])
    tested = record.get("crop") == "detector"
    parts = [picture_store(pictures(examples)), _head(record, sets), _summary(record["sets"], tested)]
    for rows in sets:
        parts.append(_set_section(rows))
        parts.append(example_section(rows[0]["name"], examples))
    return page("Evaluation", [*parts, _glossary(tested), _provenance(record)])


def _grouped(rows: list[dict]) -> list[list[dict]]:
    """The sources of each set together."""
    sources = len({row["predicted_by"] for row in rows})
    return [rows[start : start + sources] for start in range(0, len(rows), sources)]


def _head(record: dict, sets: list[list[dict]]) -> str:
    names = ", ".join(row["predicted_by"] for row in sets[0])
    facts = [
        (names, "models"), (str(sum(rows[0]["frames"] for rows in sets)), "labelled frames"),
        *(((_FOUND[record["crop"]], "finding the hand"),) if record.get("crop") in _FOUND else ()),
    ]  # fmt: skip
    shown = "".join(f"<div><b>{escape(value)}</b>{escape(label)}</div>" for value, label in facts)
    return (
        f'<header><h1>Evaluation</h1><div class="muted">{escape(date_words(str(record.get("date", ""))))}</div>'
        f'<div class="facts">{shown}</div></header>'
    )


#: Whether an evaluation tested the detector, by its crops.
_FOUND = {"label": "not tested", "detector": "tested"}
_MISSED = {
    True: "labelled frames on which the detector found no hand; all errors are over the other frames",
    False: "frames without an answer; finding the hand was not tested here, as every crop was cut round its label"
    " (`--crop detector` tests it)",
}


def _summary(rows: list[dict], tested: bool) -> str:
    tips = any("tips_mm" in row and "epe_mm" not in row for row in rows)
    left_out = _NOT_IN_SUMMARY if tips else (*_NOT_IN_SUMMARY, *_TIPS)
    return section(
        "Summary",
        "All models on the same pictures. Smaller is better for errors, larger for shares and areas."
        f" Missed: {_MISSED[tested]}.",
        _metric_table(rows, [name for name, _, _ in METRICS if name not in left_out]), _every_figure(rows), _absent(rows),
    )  # fmt: skip


def _metric_table(rows: list[dict], names: Sequence[str]) -> str:
    """A row for each set and source; columns that no row has are left out."""
    columns = [column for column in METRICS if column[0] in names and any(column[0] in row for row in rows)]
    head = ["set", "predicted by", "frames", "missed", *(title for _, title, _ in columns)]
    body = [
        [f'<span style="white-space:nowrap">{escape(row["name"])}</span>', escape(row["predicted_by"]),
         str(row["frames"]), str(row["missed"]), *(_figure(row, name, digits) for name, _, digits in columns)]
        for row in rows
    ]  # fmt: skip
    return table(head, body, range(2, len(head)))


def _every_figure(rows: list[dict]) -> str:
    """All metrics, one in a line."""
    head = ["", *(f"{row['name']}, {row['predicted_by']}" for row in rows)]
    body = [
        [escape(title), *(_figure(row, name, digits) for row in rows)]
        for name, title, digits in METRICS if any(name in row for row in rows)
    ]  # fmt: skip
    return f"<details><summary>All figures</summary>{table(head, body, range(1, len(head)))}</details>"


def _figure(row: dict, name: str, digits: int) -> str:
    return f"{row[name]:.{digits}f}" if name in row else "–"


def _absent(rows: list[dict]) -> str:
    """Why figures are missing, each reason of a set and source once."""
    facts = []
    for row in rows:
        reasons: dict[str, list[str]] = {}
        for name, reason in row["absent"].items():
            reasons.setdefault(reason, []).append(name)
        facts += [
            (f"{row['name']}, {row['predicted_by']}: {', '.join(names)}", reason) for reason, names in reasons.items()
        ]
    return (
        f"<details><summary>Figures that are absent, and why</summary>{definitions(facts)}</details>" if facts else ""
    )


def _set_section(rows: list[dict]) -> str:
    measure = measure_of(rows)
    parts = [_plots("", curve_plots(rows)), _plots("By joint", [bars_by(rows, "joints", measure)])]
    if any(row["gestures"] for row in rows):
        parts.append(_plots("By gesture", [bars_by(rows, "gestures", measure)]))
    bins = [name for name in BIN_TITLES if any(row["bins"].get(name) for row in rows)]
    parts.append(_plots("By view and size", [bars_by(rows, name, measure) for name in bins], "small"))
    parts += [_calibration(rows), _motion(rows)]
    return section(rows[0]["name"], "Missed frames are in none of these.", *parts)


def _plots(title: str, plots: Sequence[str], kind: str = "") -> str:
    plots = [plot for plot in plots if plot]
    if not plots:
        return ""
    kind = "one" if len(plots) == 1 else kind  # alone it would fill the page's width
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f'{heading}<div class="plots {kind}">{"".join(plots)}</div>'


def _calibration(rows: list[dict]) -> str:
    found = [row for row in rows if "bins" in row["calibration"]]
    if not found:
        return ""
    limit = found[0]["calibration"]["limit"]
    head = ["predicted by", "joints", f"error above {limit:g}", "rank correlation", "AUROC"]
    body = [
        [escape(row["predicted_by"]), str(c["joints"]), f"{c['above_limit']:.1%}",
         *(f"{c[name]:.3f}" if name in c else escape(c["absent"][name]) for name in ("rank_correlation", "auroc"))]
        for row in found for c in (row["calibration"],)
    ]  # fmt: skip
    plot = _plots("Does a low confidence mean a large error?", [calibration_plot(found)])
    return plot + table(head, body, range(1, len(head)))


def _motion(rows: list[dict]) -> str:
    """Only for a video: of loose pictures jitter says nothing."""
    if all(row.get("fps") is None for row in rows):
        return ""
    return "<h3>In time</h3>" + _metric_table(rows, _IN_TIME)


def _glossary(tested: bool) -> str:
    return section("What the figures mean", "", definitions((("missed", _MISSED[tested]), *GLOSSARY)))


def _provenance(record: dict) -> str:
    facts = [(f"model {model['name']}", f"sha256 {model['sha256']}, {model['provider']}, crop factor {model['crop_factor']}")
             for model in record.get("models", [])]  # fmt: skip
    for name in ("command", "commit", "hardware", "versions"):
        value = record.get(name)
        if isinstance(value, dict):
            value = ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
        facts += [(name, str(value))] if value else []
    return section("Where it comes from", "Enough to measure the same again.", definitions(facts))
