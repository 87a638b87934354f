"""`semihand ablate`: the paper's tables and figures on any labelled target, one row and seed at a time, resumable.

A method sees the pictures of the target's first part without their labels; the labels of that part (the poses it was
adapted to) and of the rest (other poses) only measure. Rows that learn from labels say so.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ...adapt.finetune import Finetuning, finetune
from ...adapt.labels.teacher import TeacherLabels, detector_labels
from ...adapt.profiles import PAPER, ROBUST, FinetuneConfig
from ...adapt.views import predict
from ...datasets.open import open_dataset
from ...errors import SemihandError
from ...models.checkpoint import load_checkpoint
from ...models.registry import checkpoint_of
from ...synth.cache import open_cache
from ...synth.feed import FixedPictures
from ..labels.curves import pck_curve
from ..labels.run import Result
from .plan import FIGURES, Run, plan
from .results import ALL_METRICS, PARTS, Results
from .rows import ROWS, TAUGHT, row_config
from .settings import Changes, Setting, changed
from .table import order_report, table
from .target import Target, cut_target

log = logging.getLogger(__name__)

#: Share of the target that is adapted to where no test set is given.
ADAPTED_SHARE = 2 / 3
#: Ends in mm of the PCK curves that are kept, and how many thresholds.
CURVE = (0.0, 100.0, 51)


@dataclass(frozen=True)
class AblateOptions:
    """data: labelled data set (and which split of it). pictures: synthetic cache, the labelled half of every batch.
    results: CSV that is appended to; runs found there are not done again.

    figures: names of FIGURES. rows: None for each figure's own. share: of the frames, from the first on, whose pictures
    are adapted to (1: all); None: two thirds, or all where there is a test set. test, test_split: measures instead of the
    rest. format, reader: of both data sets, as `datasets.open.open_dataset` takes them. limit: at most so many frames of
    each. iterations, steps, batch: instead of the recipes' own, the same for every row. changes: of the recipes, see
    `ablate_settings`. check_order: say whether the paper's order holds.
    """

    data: Path
    pictures: Path
    results: Path
    rows: tuple[str, ...] | None = None
    seeds: int = 3
    share: float | None = None
    crop: str = "label"
    model: str = "lite"
    iterations: int | None = None
    steps: int | None = None
    batch: int | None = None
    device: str = "auto"
    figures: tuple[str, ...] = ("table",)
    test: Path | None = None
    split: str | None = None
    test_split: str | None = None
    limit: int | None = None
    changes: Changes = ()
    check_order: bool = False
    format: str = "auto"
    reader: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for kind, given, known in (("Rows", self.rows or (), ROWS), ("Figures", self.figures, FIGURES)):
            if unknown := [name for name in given if name not in known]:
                raise SemihandError(f"{kind} {', '.join(unknown)} are unknown. Known: {', '.join(known)}.")
        if not 0 < self.adapted_share <= 1 or self.seeds < 1 or (self.limit or 2) < 2:
            raise SemihandError(
                f"An ablation needs 0 < share <= 1, a seed and two frames, not {self.share}, {self.seeds} and {self.limit}."
            )
        if self.share is not None and self.has_test:
            raise SemihandError(
                "With a test set all of the data is adapted to. Leave out either the share or the test set."
            )

    @property
    def has_test(self) -> bool:
        """Whether other poses come from a data set or split of their own."""
        return self.test is not None or self.test_split is not None

    @property
    def adapted_share(self) -> float:
        """The share that counts."""
        return (1.0 if self.has_test else ADAPTED_SHARE) if self.share is None else self.share

    def config(self, row: str, crop_factor: float, setting: Setting = Setting()) -> FinetuneConfig | None:
        """The recipe of a row for this network's crops. The row's own switches win over the setting's changes."""
        own = {"iterations": self.iterations, "steps": self.steps, "batch": self.batch}
        given = {name: value for name, value in own.items() if value is not None}
        recipes = (changed(replace(recipe, **given), setting.changes) for recipe in (PAPER, ROBUST))
        config = row_config(row, *recipes)
        return None if config is None else config.for_crop(crop_factor)


@dataclass(frozen=True)
class Outcome:
    """text: the tables, and where the figures are. finished: False where it was stopped."""

    text: str
    finished: bool


def run_ablation(options: AblateOptions) -> Outcome:
    """Run what the results file lacks; Ctrl-C ends it with what there is."""
    ablation = Ablation(options)
    finished = True
    try:
        ablation.run()
    except KeyboardInterrupt:
        log.warning("Stopped. %s keeps the finished runs; the same command goes on from there.", options.results)
        finished = False
    return Outcome(ablation.report(), finished)


class Ablation:
    """The runs of one start on one target."""

    def __init__(self, options: AblateOptions):
        self.options, self.results = options, Results(options.results)
        self.checkpoint_file = checkpoint_of(options.model)
        self.checkpoint = load_checkpoint(self.checkpoint_file)
        self.sequence = open_dataset(options.data, options.format, options.split, **options.reader)
        self.test_sequence = None
        if options.has_test:
            self.test_sequence = open_dataset(
                options.test or options.data, options.format, options.test_split, **options.reader
            )
        self.cache = open_cache(options.pictures)
        self.pictures = FixedPictures(self.cache)

    @property
    def name(self) -> str:
        """Of the target: the data set's, and the test set's where it has another."""
        test = self.test_sequence.name if self.test_sequence else self.sequence.name
        return self.sequence.name if test == self.sequence.name else f"{self.sequence.name}, test {test}"

    @cached_property
    def parts(self) -> tuple[Target, Target]:
        """The part adapted to and the other one, which may be empty."""
        options = self.options
        whole = cut_target(self.sequence, self.checkpoint, options.crop, limit=options.limit)
        if self.test_sequence is not None:
            return whole, cut_target(self.test_sequence, self.checkpoint, options.crop, limit=options.limit)
        count = max(1, int(len(whole) * options.adapted_share))
        return whole.take(np.arange(count)), whole.take(np.arange(count, len(whole)))

    def run(self) -> None:
        """All runs that the results file lacks, each written as soon as it is done."""
        done = self.results.done(self.name)
        todo = [run for run in plan(self.options) if run.key not in done]
        if todo:
            todo = self._possible(todo)
            self._note_start()
            self.results.prepare(self.name)
        for number, run in enumerate(todo):
            start = time.monotonic()
            line = self._measured(run)
            line |= {"row": run.row, "seed": run.seed, "setting": run.setting.text, "data": self.name}
            self.results.append(line | {"seconds": round(time.monotonic() - start, 1)})
            self._say(number, todo, line)

    def _possible(self, todo: list[Run]) -> list[Run]:
        """Without the rows of a figure whose labels the target lacks; those asked for by name are refused."""
        adapted, other = self.parts
        if not len(other) and any(run.setting.adapt_to != "train" for run in todo):
            raise SemihandError(f"{self.name} has no test part to adapt to. Give --test, or a --share below 1.")
        without = {row: adapted.lacks(kind) for row, kind in TAUGHT.items() if kind != "detector"}
        for row in {run.row for run in todo if without.get(run.row)}:
            if row in (self.options.rows or ()):
                raise SemihandError(f"Row {row} cannot learn: {without[row]}. Leave the row out.")
            log.warning("Row %s is left out: %s.", row, without[row])
        return [run for run in todo if not without.get(run.row)]

    def _note_start(self) -> None:
        options, (adapted, other) = self.options, self.parts
        model = hashlib.sha256(self.checkpoint_file.read_bytes()).hexdigest()
        missed = adapted.missed + (other.missed if options.has_test else 0)
        pictures = json.dumps(self.cache.provenance, sort_keys=True) + str(len(self.cache))
        data = {
            "name": self.name, "folder": str(options.data), "test": str(options.test or ""),
            "pictures": str(options.pictures), "frames": {"adapted": len(adapted), "other": len(other), "missed": missed},
        }  # fmt: skip
        names = ("crop", "split", "test_split", "limit", "iterations", "steps", "batch")
        recipe = {name: getattr(options, name) for name in names} | {"reader": options.reader or None} | {
            "share": round(options.adapted_share, 4), "model": model[:16],
            "pictures": hashlib.sha256(pictures.encode()).hexdigest()[:16],
        }  # fmt: skip
        self.results.note_start(data, recipe)

    def _measured(self, run: Run) -> dict:
        """Errors of the run's network on both parts, or why there is none."""
        tuning, network, device = self._tuning(run), self.checkpoint.build().eval(), "cpu"
        if tuning is not None:
            try:
                network, device = finetune(tuning), tuning.process.device
            except (
                SemihandError
            ) as error:  # a training that went wrong is a result of its row, and would go wrong again
                log.warning("%s: %s", run, error)
                return {"note": str(error)}
        found = {}
        for part, target in zip(PARTS, self.parts):
            if len(target):
                found |= _columns(part, target.measure(network, device))
        return found

    def _tuning(self, run: Run) -> Finetuning | None:
        """The run's fine-tuning; None for the source as it is."""
        config = self.options.config(run.row, self.checkpoint.info.crop_factor, run.setting)
        if config is None:
            return None
        part = self._shown(run)
        taught, config = self._taught(run.row, part), replace(config, seed=run.seed)
        return Finetuning(self.checkpoint, part.crops, self.pictures, config, self.options.device, taught)

    def _shown(self, run: Run) -> Target:
        """What the run adapts to. Smaller shares of one seed are parts of its larger ones."""
        adapted, other = self.parts
        part = {"train": lambda: adapted, "test": lambda: other, "both": lambda: adapted.join(other)}[
            run.setting.adapt_to
        ]()
        if run.setting.unlabelled == 100:
            return part
        order = np.random.default_rng([run.seed, 10]).permutation(len(part))
        return part.take(np.sort(order[: max(2, round(len(part) * run.setting.unlabelled / 100))]))

    def _taught(self, row: str, part: Target) -> TeacherLabels | None:
        kind = TAUGHT.get(row)
        if kind == "detector":
            own = predict(self.checkpoint.build().eval(), part.crops)
            return detector_labels(part.crops, self.checkpoint.info.bone_lengths, own)
        return None if kind is None else part.labels(kind)

    def _say(self, number: int, todo: list[Run], line: dict) -> None:
        """What was measured, and how long the rest will take: each row as long as before, else as the mean."""
        times: dict[str, list[float]] = {"baseline": [0.0]}
        for old in self.results.lines():
            times.setdefault(old["row"], []).append(float(old["seconds"] or 0))
        every = [seconds for row, values in times.items() if row != "baseline" for seconds in values]
        rest = [times.get(run.row, every) for run in todo[number + 1 :]]
        left = "how long a training takes is not known yet"
        if all(rest):
            left = f"about {sum(map(np.mean, rest)) / 60:.0f} minutes left"
        found = ", ".join(f"{name} {value:.4g}" for name, value in line.items() if name.endswith("epe_mm"))
        done = f"{number + 1} of {len(todo)} done: {todo[number]}: {found or 'no result'}"
        log.info("%s; %s.", done, left)

    def report(self) -> str:
        """The tables, the paper's order where asked for, and the figures' files."""
        lines = self.results.lines()
        if not any(line["data"] in ("", self.name) for line in lines):
            return f"No run on {self.name} is finished yet."
        texts = [table(lines, self.results.starts())]
        texts += [order_report(lines)] if self.options.check_order else []
        drawn = [name for name in self.options.figures if name != "table"]
        if drawn:
            from .figures import draw

            texts += [draw(name, lines, self.name, self.results.path, self.options.rows) for name in drawn]
        return "\n\n".join(texts)


def _columns(part: str, result: Result) -> dict:
    """The results file's columns of one part."""
    found = {f"{part}_{name}": round(result.metrics[name], 5) for name in ALL_METRICS if name in result.metrics}
    errors = None if result.errors is None else result.errors.epe_mm
    if errors is not None and not np.isfinite(errors).any():
        errors = result.errors.tips_mm
    if errors is not None and np.isfinite(errors).any():
        found[f"{part}_curve"] = " ".join(f"{share:.4f}" for share in pck_curve(errors, CURVE)["share"])
    return found
