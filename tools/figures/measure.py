"""Runs the commands of a figure."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from semihand.errors import SemihandError

from . import store
from .definitions import INPUTS, SCRATCH, Figure

log = logging.getLogger(__name__)

#: A machine that others use more than this share of is too busy for times.
BUSY = 0.15


def missing(figure: Figure, inputs: dict[str, Path | None]) -> list[str]:
    """What a figure needs and was not given, as options."""
    return [INPUTS[name][0] for name in figure.needs() if inputs.get(name) is None or not inputs[name].exists()]


def measure(name: str, figure: Figure, inputs: dict[str, Path | None], origin: dict, kept: Path) -> dict:
    """Run a figure's commands; returns its record. Raises SemihandError where one fails or the machine is busy.

    origin: `store.stamp()` from before the first figure of a run: storing figures changes the working copy. kept: the
    scratch folder of a figure that takes hours; after a kill its commands go on there.
    """
    busy = figure.times != "none" and busy_share() > BUSY
    if busy and figure.times == "all":
        raise SemihandError("This machine is busy, and the figure is about speed. Leave it idle and run it again.")
    start = monotonic()
    with _kept(kept) if figure.alone else tempfile.TemporaryDirectory() as folder:
        paths = {**inputs, SCRATCH: Path(folder)}
        found = {key: _run(step.command, step.csv, paths) for key, step in figure.steps.items()}
    seconds = monotonic() - start
    results = {key: value for key, value in found.items() if value is not None}
    commands = [shown(step.command) for step in figure.steps.values()]
    notes = {}
    if figure.times == "some" and (busy or busy_share() > BUSY):
        results, notes = without_times(results), {"notes": ["Times are left out: the machine was busy."]}
    return store.new_record(name, commands, results, seconds, figure.weights, origin, **notes)


def shown(command: str) -> str:
    """A command as the pages show it: names instead of this machine's folders."""
    return command.format(**{name: name_shown for name, (_, name_shown) in INPUTS.items()}, out=SCRATCH)


@contextmanager
def _kept(folder: Path) -> Iterator[Path]:
    """A folder that stays where something fails, and is gone once all is done."""
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def _run(command: str, table: str | None, paths: dict[str, Path | None]):
    """The JSON on standard output, the rows of a CSV, or None. Progress goes to the terminal."""
    arguments = [word.format(**paths) for word in shlex.split(command)]
    log.info("%s", shown(command))
    with tempfile.TemporaryDirectory() as data:  # a personal model of the same name would hide the released one
        process = subprocess.run(
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "SEMIHAND_DATA": data},
        )  # fmt: skip
    if process.returncode:
        raise SemihandError(f"`{shown(command)}` ended with code {process.returncode}; its words stand above.")
    if table is not None:
        return store.read_rows(paths[SCRATCH] / table)
    return json.loads(process.stdout) if "--json" in arguments else None


def without_times(value):
    """Results without what a busy machine makes worthless: every `ms`."""
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key != "ms"}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def busy_share(seconds: float = 1.0) -> float:
    """Share of all cores in use over so many seconds; 0 where the system (other than Linux) does not say."""
    before = _cpu_ticks()
    sleep(seconds)
    after = _cpu_ticks()
    if before is None or after is None:
        return 0.0
    total, idle = after[0] - before[0], after[1] - before[1]
    return 1 - idle / total if total > 0 else 0.0


def _cpu_ticks() -> tuple[int, int] | None:
    """(all, idle) ticks of all cores since the start."""
    try:
        numbers = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return None
    return sum(numbers), numbers[3] + numbers[4]
