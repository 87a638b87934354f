"""Does the gate know? Many fine-tunings, good ones and harmful ones, on targets with labels that only measure.

Every candidate's indicators and true errors are kept in the study's folder, so that another rule can be tried on them
without training again: what is there is not computed anew.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ...adapt.gate.decide import FLOORS, Decision, GateConfig, decide
from ...adapt.gate.indicators import Indicators
from ...errors import SemihandError
from ...models.checkpoint import atomic_file, load_checkpoint
from ...models.metrics import rank_correlation
from ...report.plots import STYLE, Series, scatter
from ...synth.cache import open_cache
from .runs import CASES, Bench, Measured, StudyOptions
from .targets import Target, rendered_target, sequence_target

log = logging.getLogger(__name__)

#: Rendered pictures of a shifted target.
RENDERED = 240
#: Indicators in [0, 1] of which more is better.
HIGHER = frozenset({"pose_mask_iou", "source_mask_iou", "confidence"})
_PAPER = ":root { --paper: #ffffff; } @media (prefers-color-scheme: dark) { :root { --paper: #14181c; } }"
#: True changes smaller than this share of the error are no change.
SAME = 0.01


@dataclass(frozen=True)
class Row:
    """One candidate. change: log ratio of the true error after over before by measure (below 0: better), over all
    crops of the target; gains: log ratio of every indicator, above 0 where it is better; blind: the decision without
    the landmark model."""

    target: str
    case: str
    seed: int
    stretch: float
    harmful: bool
    change: dict[str, float]
    gains: dict[str, float]
    decision: Decision
    blind: Decision
    stopped: str


def run_study(
    options: StudyOptions, gate: GateConfig = GateConfig(), progress: Callable[[str], None] = log.info
) -> list[Row]:
    """Fine-tune all cases on all targets, and write study.csv, correlations.json and scatter.svg into options.out."""
    _claim(options)
    rows = [row for target in _targets(options) for row in _study_target(target, options, gate, progress)]
    write_study(rows, options.out)
    return rows


def _claim(options: StudyOptions) -> None:
    """Keep candidates of different settings apart. Raises SemihandError where the folder holds others."""
    record = options.out / "settings.json"
    if record.exists() and json.loads(record.read_text()) != options.settings():
        raise SemihandError(
            f"{options.out} holds candidates of other settings ({record}). Give another folder or delete it."
        )
    with atomic_file(record) as temporary:
        temporary.write_text(json.dumps(options.settings(), indent=1))


def _targets(options: StudyOptions) -> Iterator[Target]:
    """One after the other, as they take memory."""
    info, cache = load_checkpoint(options.checkpoint).info, open_cache(options.pictures)
    for folder in options.sequences:
        yield sequence_target(folder, info)
    shown = np.flatnonzero(np.asarray(cache.present))
    for number in range(options.rendered):
        rows = shown[-(number + 1) * RENDERED : len(shown) - number * RENDERED]
        yield rendered_target(f"rendered-{number}", cache, rows, info, number)


def _study_target(target: Target, options: StudyOptions, gate: GateConfig, progress) -> list[Row]:
    bench, rows = Bench(target, options), []
    for seed in options.seeds:
        for name in options.cases or CASES:
            for stretch, before, after in bench.candidates(name, seed):
                rows.append(_row(target, name, seed, stretch, before, after, gate))
                progress(_line(rows[-1]))
    return rows


def _row(target, name, seed, stretch, before: Measured, after: Measured, gate: GateConfig) -> Row:
    change = {key: _log_ratio(after.errors[key], before.errors[key]) for key in before.errors}
    then, now = before.indicators, after.indicators
    decision, blind = decide(then, now, gate), decide(_blind(then), _blind(now), gate)
    return Row(
        target.name, name, seed, stretch, CASES[name].harmful, change, _gains(then, now), decision, blind, after.stopped
    )


def _blind(indicators: Indicators) -> Indicators:
    """Without the landmark model."""
    missing = np.full(len(indicators), np.nan)
    return replace(indicators, per_crop=indicators.per_crop | {"detector_agreement": missing})


def _gains(before: Indicators, after: Indicators) -> dict[str, float]:
    """Mean log ratio of every indicator, above 0 where it is better; those that can't be had are left out."""
    gains = {}
    for name in before.per_crop.keys() - {"spread", "seen"}:
        then, now = (1 - one.per_crop[name] if name in HIGHER else one.per_crop[name] for one in (before, after))
        values = np.log((then + FLOORS.get(name, 0.01)) / (now + FLOORS.get(name, 0.01)))
        if np.isfinite(values).any():
            gains[name] = float(np.nanmean(values))
    for name in ("bone_variance", "synthetic_nme"):
        gains[name] = _log_ratio(np.array([before.whole.get(name, np.nan)]), np.array([after.whole.get(name, np.nan)]))
    return dict(sorted(gains.items()))


def _log_ratio(after: np.ndarray, before: np.ndarray) -> float:
    known = np.isfinite(after) & np.isfinite(before)
    return float(np.log(after[known].mean() / before[known].mean())) if known.any() else float("nan")


def write_study(rows: Sequence[Row], out: Path) -> None:
    """study.csv, correlations.json, scatter.svg."""
    out.mkdir(parents=True, exist_ok=True)
    table = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in table for name in row))
    with atomic_file(out / "study.csv") as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(table)
    with atomic_file(out / "correlations.json") as temporary:
        temporary.write_text(json.dumps(summary(rows), indent=1))
    with atomic_file(out / "scatter.svg") as temporary:
        temporary.write_text(study_plot(rows))


def _flat(row: Row) -> dict:
    kept = {name: value for name, value in asdict(row).items() if name not in ("change", "gains", "decision", "blind")}
    numbers = {f"true_{name}": value for name, value in row.change.items()} | {
        f"gain_{name}": v for name, v in row.gains.items()
    }
    # The gate leaves out terms that are no number: those of a network that answers NaN.
    watched = {name: row.decision.terms.get(name, np.nan) for name in ("spread_kept", "diversity_kept", "score_low")}
    watched["score"] = row.decision.score
    decided = {"accepted": row.decision.accepted, "accepted_blind": row.blind.accepted, "reason": row.decision.reason}
    return kept | {name: round(value, 5) for name, value in (numbers | watched).items()} | decided


def summary(rows: Sequence[Row], measure: str = "nme") -> dict:
    """Rank correlation of each term and of the score with the true improvement, over all candidates, over the harmless
    ones, and within each target; and how often the gate was right."""
    kinds = {"all": rows, "harmless": [row for row in rows if not row.harmful]}
    kinds |= {name: [row for row in rows if row.target == name] for name in dict.fromkeys(row.target for row in rows)}
    return {
        "correlation": {kind: _correlations(some, measure) for kind, some in kinds.items()},
        "gate": _rightness(rows, measure),
        "gate without landmark model": _rightness([replace(row, decision=row.blind) for row in rows], measure),
    }


def _correlations(rows: Sequence[Row], measure: str) -> dict[str, float | None]:
    names = list(dict.fromkeys(name for row in rows for name in row.gains))
    improved = [-row.change[measure] for row in rows]
    found = {name: rank_correlation([row.gains.get(name, np.nan) for row in rows], improved) for name in names}
    found["score"] = rank_correlation([row.decision.score for row in rows], improved)
    found["score without landmark model"] = rank_correlation([row.blind.score for row in rows], improved)
    return {name: round(value, 3) if np.isfinite(value) else None for name, value in found.items()}


def _rightness(rows: Sequence[Row], measure: str) -> dict:
    better = [row for row in rows if row.change[measure] < -SAME]
    worse = [row for row in rows if row.change[measure] > SAME]
    harmful = [row for row in rows if row.harmful]
    accepted = [row for row in rows if row.decision.accepted]
    return {
        "candidates": len(rows), "accepted": len(accepted),
        "better": len(better), "better_accepted": sum(row.decision.accepted for row in better),
        "worse": len(worse), "worse_accepted": sum(row.decision.accepted for row in worse),
        "harmful": len(harmful), "harmful_accepted": sum(row.decision.accepted for row in harmful),
        "worst_accepted": max((row.change[measure] for row in accepted), default=None),
    }  # fmt: skip


def study_plot(rows: Sequence[Row], measure: str = "nme") -> str:
    """Score against true improvement, a page-independent SVG; accepted and refused candidates in their own colours."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        kind = "accepted" if row.decision.accepted else "refused, harmful" if row.harmful else "refused"
        groups.setdefault(kind, []).append(row)
    series = [
        Series(
            name,
            [r.decision.score for r in groups[name]],
            [100 * (1 - np.exp(r.change[measure])) for r in groups[name]],
        )
        for name in ("accepted", "refused", "refused, harmful")
        if name in groups
    ]
    title = "The gate's score and the true improvement"
    drawn = scatter(series, title, "score without labels", f"true {measure} falls by, %", (640, 420))
    head, rest = drawn.split(">", 1)
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}{_PAPER}</style>{paper}{rest}'


def _line(row: Row) -> str:
    truth = ", ".join(f"{name} {np.exp(value) - 1:+.1%}" for name, value in row.change.items() if np.isfinite(value))
    verdict = "accepted" if row.decision.accepted else "refused"
    return (
        f"{row.target}, {row.case}, seed {row.seed}, x{row.stretch:g}: true {truth}; {verdict} ({row.decision.reason})"
    )
