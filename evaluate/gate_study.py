"""Does the gate know? Many fine-tunings, good ones and harmful ones, on targets with labels that only measure.

Every candidate's indicators and true errors are kept in the study's folder, so that another rule can be tried on them
without training again: what is there is not computed anew.
"""

from __future__ import annotations

import copy
import csv
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..report.axes import STYLE
from ..adapt.crops import CropSet
from ..adapt.finetune import Finetuning
from ..adapt.gate import FLOORS, Decision, GateConfig, decide, split_held_out
from ..adapt.indicators import Indicators, measure, synthetic_slice
from ..report.plots import Series, rank_correlation, scatter
from ..adapt.profiles import FinetuneConfig, named_profile
from ..adapt.teacher import TeacherLabels, detector_labels
from ..adapt.views import Poses, predict
from ..errors import SemihandError
from ..models.checkpoint import atomic_file, load_checkpoint
from ..models.network import Hourglass
from ..synth.cache import open_cache
from ..synth.feed import FixedPictures
from .gate_targets import Target, absent, blurred, frozen, rendered_crops, rendered_target, sequence_target

log = logging.getLogger(__name__)

#: Rendered pictures of a shifted target.
RENDERED = 240
#: Indicators in [0, 1] of which more is better.
HIGHER = frozenset({"pose_mask_iou", "source_mask_iou", "confidence"})
_PAPER = ":root { --paper: #ffffff; } @media (prefers-color-scheme: dark) { :root { --paper: #14181c; } }"
#: True changes smaller than this share of the error are no change.
SAME = 0.01


@dataclass(frozen=True)
class StudyOptions:
    """sequences: folders with labels; rendered: how many shifted targets of rendered hands. checkpoint: the source.
    pictures: folder of a finished cache. out: the study's folder. cases: names of CASES, empty: all. seeds: of the
    fine-tunings. iterations, steps, batch, rate, draws: of each one; short ones need a high rate. stretches: each result
    is measured with these multiples of the weights' change, 2 being as if it had gone on in the same direction. truths:
    crops at most on which the true error is measured."""

    sequences: tuple[Path, ...]
    checkpoint: Path
    pictures: Path
    out: Path
    rendered: int = 2
    cases: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    iterations: int = 2
    steps: int = 10
    batch: int = 12
    rate: float = 1e-3
    draws: int = 1
    stretches: tuple[float, ...] = (0.5, 1.0, 2.0)
    truths: int = 100
    device: str = "auto"

    def __post_init__(self):
        unknown = [name for name in self.cases if name not in CASES]
        if unknown:
            raise SemihandError(f"Unknown cases {', '.join(unknown)}; known: {', '.join(CASES)}.")
        if not self.sequences and not self.rendered:
            raise SemihandError("The study needs a sequence folder with labels or rendered targets.")

    def settings(self) -> dict:
        """What makes candidates comparable: those of other settings don't go into the same folder."""
        names = ("iterations", "steps", "batch", "rate", "draws", "truths")
        return {name: getattr(self, name) for name in names} | {"checkpoint": sha256(self.checkpoint.read_bytes()).hexdigest()}


@dataclass(frozen=True)
class Case:
    """One kind of fine-tuning. changes: of the profile. faster: factor of the rate. spoil: what happens to the recording. taught: labels of the
    landmark model ("detector") or the network's own for the wrong pictures ("shuffled"). harmful: must be refused."""

    profile: str = "robust"
    changes: tuple[tuple[str, object], ...] = ()
    faster: float = 1.0
    spoil: str = ""
    taught: str = ""
    harmful: bool = False


_NONE = {"view_weight": 0.0, "circles_weight": 0.0, "pseudo_weight": 0.0}


def _case(profile: str = "robust", **values) -> Case:
    """A case; values that are no fields of Case change the profile."""
    own = {name: values.pop(name) for name in ("faster", "spoil", "taught", "harmful") if name in values}
    return Case(profile, tuple(values.items()), **own)


CASES = {
    "robust": _case(),
    "paper": _case("paper"),
    "views only": _case(**_NONE | {"view_weight": 1.0}),
    "circles only": _case(**_NONE | {"circles_weight": 1.0}),
    "pseudo-labels only": _case(**_NONE | {"pseudo_weight": 1.0}),
    "synthetic only": _case(**_NONE, through_norm=False),
    "detector": _case(taught="detector", **_NONE | {"view_weight": 1.0, "teacher_weight": 1.0}),
    "half absent": _case(spoil="half absent"),
    "rate x0.3": _case(faster=0.3),
    "rate x3": _case(faster=3.0),
    "rate x10": _case(faster=10.0),
    "circles x10": _case(circles_weight=10.0, skip_below_iou=0.0),
    "absent": _case(spoil="absent", harmful=True),
    "blurred": _case(spoil="blurred", harmful=True),
    "frozen": _case(spoil="frozen", harmful=True),
    "rate x30": _case(faster=30.0, harmful=True),
    "shuffled": _case(taught="shuffled", harmful=True, **_NONE | {"teacher_weight": 1.0}),
}


@dataclass(frozen=True)
class Measured:
    """Indicators on the held-out crops, the true errors of all crops of the target, and why training stopped, if it did."""

    indicators: Indicators
    errors: dict[str, np.ndarray]
    stopped: str = ""


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


def run_study(options: StudyOptions, gate: GateConfig = GateConfig(), progress: Callable[[str], None] = log.info) -> list[Row]:
    """Fine-tune all cases on all targets, and write study.csv, correlations.json and scatter.svg into options.out."""
    _claim(options)
    rows = [row for target in _targets(options) for row in _study_target(target, options, gate, progress)]
    write_study(rows, options.out)
    return rows


def _claim(options: StudyOptions) -> None:
    """Keep candidates of different settings apart. Raises SemihandError where the folder holds others."""
    record = options.out / "settings.json"
    if record.exists() and json.loads(record.read_text()) != options.settings():
        raise SemihandError(f"{options.out} holds candidates of other settings ({record}). Give another folder or delete it.")
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
    bench, rows = _Bench(target, options), []
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
    return Row(target.name, name, seed, stretch, CASES[name].harmful, change, _gains(then, now), decision, blind, after.stopped)


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
        gains[name] = _log_ratio(np.array([before.whole[name]]), np.array([after.whole[name]]))
    return dict(sorted(gains.items()))


def _log_ratio(after: np.ndarray, before: np.ndarray) -> float:
    known = np.isfinite(after) & np.isfinite(before)
    return float(np.log(after[known].mean() / before[known].mean())) if known.any() else float("nan")


class _Bench:
    """Fine-tunings on one target; what is in the folder already isn't done again."""

    def __init__(self, target: Target, options: StudyOptions):
        self.target, self.options = target, options
        self.checkpoint = load_checkpoint(options.checkpoint)
        self.source = self.checkpoint.build()
        self.cache = open_cache(options.pictures)
        self.pictures = FixedPictures(self.cache)
        self.synthetic = synthetic_slice(self.pictures)
        self.measured = np.unique(np.linspace(0, len(target.crops) - 1, options.truths).astype(int))

    def candidates(self, name: str, seed: int):
        """(stretch, before, after) of a case."""
        case = CASES[name]
        recording = self._recording(case, seed)
        train_rows, held_rows = split_held_out(recording, seed=seed)
        held = recording.take(held_rows)
        files = {stretch: self._file(f"{name} {seed} x{stretch:g}") for stretch in self.options.stretches}
        source = self._file(f"source, {case.spoil or 'as recorded'} {seed}")
        if not source.exists():
            _save(source, self._measure(self.source, held, None))
        if not all(file.exists() for file in files.values()):
            self._train(case, seed, recording.take(train_rows), held, files)
        for stretch, file in files.items():
            yield stretch, _load(source), _load(file)

    def _train(self, case: Case, seed: int, train: CropSet, held: CropSet, files: dict[float, Path]) -> None:
        config = self._config(case, seed)
        tuning = Finetuning(self.checkpoint, train, self.pictures, config, self.options.device, self._taught(case, train, seed))
        stopped = ""
        try:
            tuning.run()
        except SemihandError as error:
            stopped = str(error)
        for stretch, file in files.items():
            network = stretched(self.source, tuning.network, stretch)
            _save(file, self._measure(network, held, self.source, stopped))

    def _config(self, case: Case, seed: int) -> FinetuneConfig:
        options, rate = self.options, self.options.rate * case.faster
        config = named_profile(case.profile, iterations=options.iterations, steps=options.steps, labelled=options.batch,
                               unlabelled=options.batch, rate=rate, late_rate=rate, seed=seed, **dict(case.changes))  # fmt: skip
        return replace(config, labels=replace(config.labels, draws=options.draws))

    def _recording(self, case: Case, seed: int) -> CropSet:
        crops = self.target.crops.take(self.target.recorded)
        if case.spoil.endswith("absent"):
            rows = np.flatnonzero(~np.asarray(self.cache.present))[:64]
            empty = rendered_crops(self.cache, rows, self.checkpoint.info).image
            return absent(crops, empty, 0.5 if "half" in case.spoil else 1.0, seed)
        spoil = {"": lambda crops: crops, "blurred": blurred, "frozen": lambda crops: frozen(crops, seed)}
        return spoil[case.spoil](crops)

    def _taught(self, case: Case, train: CropSet, seed: int) -> TeacherLabels | None:
        if not case.taught:
            return None
        own = predict(self.source, train)
        if case.taught == "detector":
            return detector_labels(train, self.checkpoint.info.bone_lengths, own)
        order = np.random.default_rng(seed).permutation(len(train))
        return TeacherLabels(own.uv[order], own.depth[order], np.ones_like(own.depth))

    def _measure(self, network, held: CropSet, reference, stopped: str = "") -> Measured:
        device = next(network.parameters()).device
        reference = None if reference is None else reference.to(device)
        indicators = measure(network, held, device, self.synthetic, reference=reference)
        part = self.target.take(self.measured)
        return Measured(indicators, part.errors(predict(network, part.crops, device)), stopped)

    def _file(self, name: str) -> Path:
        return self.options.out / self.target.name / f"{name}.npz"


def stretched(source: Hourglass, network: Hourglass, stretch: float) -> Hourglass:
    """The source with `stretch` times the change of weights and statistics that leads to `network`."""
    made = copy.deepcopy(network).eval()
    then = source.state_dict()
    for name, now in made.state_dict().items():
        if now.dtype.is_floating_point:
            now.copy_(then[name].to(now.device).lerp(now, stretch))
            if name.endswith("running_var"):
                now.clamp_(min=1e-6)
    return made


def _save(file: Path, measured: Measured) -> None:
    indicators = measured.indicators
    arrays = {f"per_crop/{name}": values for name, values in indicators.per_crop.items()}
    arrays |= {f"whole/{name}": value for name, value in indicators.whole.items()}
    arrays |= {f"errors/{name}": values for name, values in measured.errors.items()}
    arrays |= {"synthetic": indicators.synthetic, "block": indicators.block, "stopped": measured.stopped}
    with atomic_file(file) as temporary, open(temporary, "wb") as opened:
        np.savez_compressed(opened, **arrays)


def _load(file: Path) -> Measured:
    with np.load(file) as arrays:
        def part(name: str) -> dict:
            return {key.split("/")[1]: arrays[key] for key in arrays.files if key.startswith(name + "/")}

        whole = {name: float(value) for name, value in part("whole").items()}
        count = len(arrays["block"])
        poses = Poses(*(np.zeros((count, *shape), np.float32) for shape in ((21, 2), (21,), (64, 64), (21,))))
        indicators = Indicators(part("per_crop"), whole, arrays["synthetic"], arrays["block"], poses)
        return Measured(indicators, part("errors"), str(arrays["stopped"]))


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
    numbers = {f"true_{name}": value for name, value in row.change.items()} | {f"gain_{name}": v for name, v in row.gains.items()}
    watched = {name: row.decision.terms[name] for name in ("spread_kept", "diversity_kept", "score_low")} | {"score": row.decision.score}
    decided = {"accepted": row.decision.accepted, "accepted_blind": row.blind.accepted, "reason": row.decision.reason}
    return kept | {name: round(value, 5) for name, value in (numbers | watched).items()} | decided


def summary(rows: Sequence[Row], measure: str = "nme") -> dict:
    """Rank correlation of each term and of the score with the true improvement, over all candidates, over the harmless
    ones, and within each target; and how often the gate was right."""
    kinds = {"all": rows, "harmless": [row for row in rows if not row.harmful]}
    kinds |= {name: [row for row in rows if row.target == name] for name in dict.fromkeys(row.target for row in rows)}
    return {"correlation": {kind: _correlations(some, measure) for kind, some in kinds.items()}, "gate": _rightness(rows, measure),
            "gate without landmark model": _rightness([replace(row, decision=row.blind) for row in rows], measure)}  # fmt: skip


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
    groups = {"accepted": [], "refused": [], "refused, harmful": []}
    for row in rows:
        kind = "accepted" if row.decision.accepted else "refused, harmful" if row.harmful else "refused"
        groups[kind].append(row)
    series = [
        Series(name, [row.decision.score for row in some], [100 * (1 - np.exp(row.change[measure])) for row in some],
               labels=[f"{row.target}, {row.case}, x{row.stretch:g}" for row in some])
        for name, some in groups.items() if some
    ]  # fmt: skip
    title = "The gate's score and the true improvement"
    drawn = scatter(series, title, "score without labels", f"true {measure} falls by, %", (640, 420))
    head, rest = drawn.split(">", 1)
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{STYLE}{_PAPER}</style>{paper}{rest}'


def _line(row: Row) -> str:
    truth = ", ".join(f"{name} {np.exp(value) - 1:+.1%}" for name, value in row.change.items() if np.isfinite(value))
    verdict = "accepted" if row.decision.accepted else "refused"
    return f"{row.target}, {row.case}, seed {row.seed}, x{row.stretch:g}: true {truth}; {verdict} ({row.decision.reason})"
