"""Measure the figures of BENCHMARKS.md and README.md anew and write them between their markers.

    python tools/benchmarks.py --list
    python tools/benchmarks.py --shared ../shared --mediapipe-task hand_landmarker.task
    python tools/benchmarks.py --only accuracy-real fingertips
    python tools/benchmarks.py --take ablation-ge=ge.csv        (with ge.provenance.json of `ablate` beside it)
    python tools/benchmarks.py --render-only

tools/figures/definitions.py holds every figure's commands. Results go to benchmarks/NAME.json with date, hardware,
versions, commit, commands and the checksum of the weights. A figure whose inputs are not given keeps its old result, and
one of `ablate`, which takes hours, is run by hand and taken in. Leave the machine idle: the figures are of speed too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic

from figures import pages, store
from figures.definitions import FIGURES, INPUTS, SCRATCH, SUMMARIES, Figure

from semihand.errors import SemihandError

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("BENCHMARKS.md", "README.md")
log = logging.getLogger("benchmarks")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """0 where all that was asked for is done; 1 where something failed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    folder, failed = root / "benchmarks", False
    try:
        if options.list:
            print(listing(folder))
            return 0
        if options.take:
            store.write(folder, _taken(options.take))
        elif not options.render_only:
            failed = _measure_all(options, folder)
        render_pages(root)
    except SemihandError as error:
        log.error("%s", error)
        return 1
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    short = [name for name, figure in FIGURES.items() if not figure.taken()]
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=short, default=short, help="these [default: all short ones]"
    )
    parser.add_argument("--list", action="store_true", help="the figures: last measured, minutes, needs, commands")
    parser.add_argument("--render-only", action="store_true", help="measure nothing, write the pages")
    parser.add_argument("--take", metavar="NAME=FILE[,FILE]", help="take in a long command's tables and their origins")
    parser.add_argument(
        "--shared", type=Path, default=ROOT / "../shared", metavar="DIR", help="holds real/, the labelled sets"
    )
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="a cache of `semihand synth cache`")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="free pictures of tools/unpack_backgrounds.py")
    parser.add_argument("--mediapipe-task", type=Path, metavar="FILE", help="MediaPipe's hand_landmarker.task")
    parser.add_argument("--studio", type=Path, metavar="DIR", help="pictures of the second synthetic world")
    return parser


def _measure_all(options: argparse.Namespace, folder: Path) -> bool:
    """True where a figure failed; what others measured is stored all the same."""
    inputs = {
        "real": options.shared / "real", "pictures": options.pictures, "backgrounds": options.backgrounds,
        "task": options.mediapipe_task, "studio": options.studio,
    }  # fmt: skip
    failed, origin = False, store.stamp()  # from before the first one: storing figures changes the working copy
    for name in options.only:
        lacking = [INPUTS[each][0] for each in FIGURES[name].needs() if not (inputs[each] and inputs[each].exists())]
        if lacking:
            log.warning("%s: skipped, it needs %s. Its old figures stay.", name, " and ".join(lacking))
            continue
        log.info("%s: about %g minutes", name, FIGURES[name].minutes)
        try:
            store.write(folder, measure(name, FIGURES[name], inputs, origin))
        except SemihandError as error:
            log.error("%s: %s Its old figures stay.", name, error)
            failed = True
    return failed


def measure(name: str, figure: Figure, inputs: dict[str, Path | None], origin: dict) -> dict:
    """Run a figure's commands; returns its record. Raises SemihandError where one fails. origin: of `store.stamp`."""
    start = monotonic()
    with tempfile.TemporaryDirectory() as folder:
        paths = {**inputs, SCRATCH: Path(folder)}
        results = {key: run(step.command, paths) for key, step in figure.steps.items()}
    results = {key: value for key, value in results.items() if value is not None}
    commands = [shown(step.command) for step in figure.steps.values()]
    return store.new_record(name, commands, results, monotonic() - start, figure.weights, origin)


def shown(command: str) -> str:
    """A command as the pages show it: names instead of this machine's folders."""
    return command.format(**{name: name_shown for name, (_, name_shown) in INPUTS.items()}, out=SCRATCH)


def run(command: str, paths: dict[str, Path | None]) -> dict | None:
    """The JSON on standard output, None where the command prints none. Progress goes to the terminal."""
    arguments = [word.format(**paths) for word in shlex.split(command)]
    log.info("%s", shown(command))
    with tempfile.TemporaryDirectory() as data:  # a personal model of the same name would hide the released one
        process = subprocess.run(
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "SEMIHAND_DATA": data},
        )  # fmt: skip
    if process.returncode:
        raise SemihandError(f"`{shown(command)}` ended with code {process.returncode}; its words stand above.")
    return json.loads(process.stdout) if "--json" in arguments else None


def _taken(text: str) -> dict:
    name, _, given = text.partition("=")
    files = [Path(file) for file in given.split(",") if file]
    steps = FIGURES[name].taken() if name in FIGURES else []
    if not 0 < len(files) <= len(steps):
        names = ", ".join(f"{each} ({', '.join(figure.taken())})" for each, figure in FIGURES.items() if figure.taken())
        raise SemihandError(f"--take wants NAME=FILE.csv, a file for each table of one of {names}; not {text!r}.")
    return store.take(name, dict(zip(steps, files)))


def render_pages(root: Path) -> None:
    """Write every page anew, all of them or none."""
    found = pages.blocks(root / "benchmarks")
    new = {page: pages.render((root / page).read_text(encoding="utf-8"), found, page) for page in PAGES}
    for page, text in new.items():
        (root / page).write_text(text, encoding="utf-8")


def listing(folder: Path) -> str:
    """One paragraph a figure."""
    lines = []
    for name, figure in FIGURES.items():
        record = store.read(folder, name)
        when = "never measured" if record is None else f"measured {record['date'][:10]} at {record['commit']}"
        needs = ", ".join(INPUTS[each][0] for each in figure.needs()) or "nothing"
        by_hand = ", by hand, then --take" if figure.taken() else ""
        lines += [f"{name}: {when}; about {figure.minutes:g} minutes{by_hand}; needs {needs}"]
        lines += [f"    {step.command}" for step in figure.steps.values()]
    lines += [f"{name}: from {', '.join(needs)}" for name, (needs, _) in SUMMARIES.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
