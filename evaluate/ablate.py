"""`semihand ablate`: the paper's Table 1 on any labelled target, one row and seed at a time, resumable.

A method sees the pictures of the target's first part without their labels; the labels of that part (the poses it was
adapted to) and of the rest (other poses) only measure.
"""

from __future__ import annotations

import csv
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..adapt.ablation import ROWS, TAUGHT, row_config
from ..adapt.finetune import Finetuning
from ..adapt.profiles import FinetuneConfig
from ..adapt.teacher import detector_labels
from ..adapt.views import predict
from ..errors import SemihandError
from ..models.checkpoint import load_checkpoint
from ..models.registry import checkpoint_of
from ..synth.cache import open_cache
from ..synth.feed import FixedPictures
from .target import Target, open_target

log = logging.getLogger(__name__)

METRICS = ("epe_mm", "pa_mm", "nme")
PARTS = ("adapted", "other")


@dataclass(frozen=True)
class AblateOptions:
    """data: labelled sequence folder. pictures: synthetic cache, the labelled half of every batch. share: of the frames,
    from the first on, whose pictures are adapted to (1: all). iterations, steps, batch: instead of the recipes' own, the
    same for every row. results: CSV that is appended to; rows found there are not run again."""

    data: Path
    pictures: Path
    results: Path
    rows: tuple[str, ...] = tuple(ROWS)
    seeds: int = 3
    share: float = 2 / 3
    crop: str = "label"
    model: str = "lite"
    iterations: int | None = None
    steps: int | None = None
    batch: int | None = None
    device: str = "auto"

    def __post_init__(self):
        unknown = [row for row in self.rows if row not in ROWS]
        if unknown:
            raise SemihandError(f"Rows {', '.join(unknown)} are unknown. Known: {', '.join(ROWS)}.")
        if not 0 < self.share <= 1 or self.seeds < 1:
            raise SemihandError(f"An ablation needs 0 < share <= 1 and at least one seed, not {self.share} and {self.seeds}.")

    def config(self, row: str, crop_factor: float) -> FinetuneConfig | None:
        """The recipe of a row for this network's crops."""
        changes = {"iterations": self.iterations, "steps": self.steps, "labelled": self.batch, "unlabelled": self.batch}
        given = {name: value for name, value in changes.items() if value is not None}
        config = row_config(row)
        return None if config is None else replace(config.for_crop(crop_factor), **given)


def run_ablation(options: AblateOptions) -> str:
    """Run what the results file lacks; returns the table."""
    _drop_broken_line(options.results)
    checkpoint = load_checkpoint(checkpoint_of(options.model))
    target = open_target(options.data, checkpoint, options.crop)
    count = max(1, int(len(target.crops) * options.share))
    adapted, other = target.take(np.arange(count)), target.take(np.arange(count, len(target.crops)))
    pictures = FixedPictures(open_cache(options.pictures))
    todo = [(row, seed) for seed in range(options.seeds) for row in options.rows
            if (row, seed) not in _done(options) and not (row == "baseline" and seed)]  # fmt: skip
    for row, seed in tqdm(todo, desc="ablation", unit="run", disable=None):
        start = time.monotonic()
        network, device = _adapt(row, seed, checkpoint, adapted, pictures, options)
        found = {"adapted": adapted.measure(network, device)}
        if len(other.crops):
            found["other"] = other.measure(network, device)
        _append(options, row, seed, time.monotonic() - start, found)
    return table(options.results)


def _adapt(row: str, seed: int, checkpoint, adapted: Target, pictures, options: AblateOptions):
    """The row's network, and the device it is on."""
    config = options.config(row, checkpoint.info.crop_factor)
    if config is None:
        return checkpoint.build().eval(), "cpu"
    taught = None
    if TAUGHT.get(row) == "labels":
        taught = adapted.labels()
    elif TAUGHT.get(row) == "detector":
        own = predict(checkpoint.build().eval(), adapted.crops)
        taught = detector_labels(adapted.crops, checkpoint.info.bone_lengths, own)
    finetuning = Finetuning(checkpoint, adapted.crops, pictures, replace(config, seed=seed), options.device, taught)
    return finetuning.run(), finetuning.process.device


def _drop_broken_line(results: Path) -> None:
    """A run that was killed while it wrote leaves a line without an end."""
    if results.exists() and not (text := results.read_text()).endswith("\n"):
        results.write_text(text[: text.rfind("\n") + 1])


def _done(options: AblateOptions) -> set[tuple[str, int]]:
    if not options.results.exists():
        return set()
    with open(options.results, newline="") as file:
        return {(line["row"], int(line["seed"])) for line in csv.DictReader(file)}


def _append(options: AblateOptions, row: str, seed: int, seconds: float, found: dict) -> None:
    """One line, written whole, so that a killed run leaves no half of it."""
    values = {f"{part}_{name}": round(result.metrics[name], 5) for part, result in found.items()
              for name in METRICS if name in result.metrics}  # fmt: skip
    line = {"row": row, "seed": seed, "seconds": round(seconds, 1)}
    columns = list(line) + [f"{part}_{name}" for part in PARTS for name in METRICS]
    new = not options.results.exists()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    with open(options.results, "a", newline="") as file:
        writer = csv.DictWriter(file, columns)
        if new:
            writer.writeheader()
        writer.writerow(line | values)


def table(results: Path) -> str:
    """Mean and spread (standard deviation over seeds) of every row; and how much of the way from the robust recipe's
    control to the oracle each closes in EPE, on the adapted and on other poses."""
    with open(results, newline="") as file:
        lines = list(csv.DictReader(file))
    columns = [f"{part}_{metric}" for part in PARTS for metric in METRICS]
    columns = [name for name in columns if any(line[name] for line in lines)]
    values = {row: _values(lines, row, columns) for row in ROWS if any(line["row"] == row for line in lines)}
    closed = [name for name in columns if name.endswith("epe_mm")]
    heads = [f"{name:>22}" for name in columns] + [f"{'closed, ' + name:>26}" for name in closed]
    text = [f"{'row':<16}{'seeds':>6}" + "".join(heads)]
    for row, found in values.items():
        cells = "".join(f"{_mean_and_spread(found[name]):>22}" for name in columns)
        ways = "".join(f"{_closed(values, row, name):>26}" for name in closed)
        text.append(f"{row:<16}{len(found[columns[0]]):>6}{cells}{ways}")
    return "\n".join(text)


def _values(lines: list[dict], row: str, columns: list[str]) -> dict[str, np.ndarray]:
    return {name: np.array([float(line[name]) for line in lines if line["row"] == row and line[name]]) for name in columns}


def _mean_and_spread(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():.4g}" if len(values) else ""
    return f"{values.mean():.4g} ± {values.std(ddof=1):.2g}"


def _closed(values: dict, row: str, column: str) -> str:
    """Share of the way from the synthetic-only control to the oracle."""
    if not {"robust-control", "oracle", row} <= values.keys() or row == "baseline":
        return ""
    start, end, here = (values[name][column].mean() for name in ("robust-control", "oracle", row))
    return f"{(start - here) / (start - end):.0%}" if start > end else ""
