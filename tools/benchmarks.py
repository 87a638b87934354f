"""Measure the figures of BENCHMARKS.md and README.md anew and write them between their markers.

    python tools/benchmarks.py --list
    python tools/benchmarks.py --shared ../shared --mediapipe-task hand_landmarker.task
    python tools/benchmarks.py --only accuracy-real fingertips
    python tools/benchmarks.py --take ablation-ge=ge.csv        (with ge.provenance.json of `ablate`, or ge.json)
    python tools/benchmarks.py --stamp 'semihand ablate ...' > ge.json
    python tools/benchmarks.py --render-only

tools/figures/definitions.py holds every figure's commands. Results go to benchmarks/NAME.json with date, hardware,
versions, commit, commands and the checksum of the weights. A figure whose inputs are not given keeps its old result.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from figures import pages, store
from figures.definitions import FIGURES, INPUTS, SUMMARIES
from figures.measure import measure, missing

from semihand.errors import SemihandError

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("BENCHMARKS.md", "README.md")
log = logging.getLogger("benchmarks")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """0 where all that was asked for is done; 1 where something failed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        if options.list:
            print(listing(root))
        elif options.stamp:
            print(json.dumps(_stamped(options.stamp), indent=1))
        else:
            return _work(options, root)
    except SemihandError as error:
        log.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(FIGURES)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help="these [default: all short ones]")
    parser.add_argument("--list", action="store_true", help="the figures: last measured, minutes, needs, commands")
    parser.add_argument("--render-only", action="store_true", help="measure nothing, write the pages")
    parser.add_argument("--take", metavar="NAME=FILE[,FILE]", help="take in a long command's tables and their origins")
    parser.add_argument("--stamp", metavar="COMMAND", help="print the origin of a long command's result for --take")
    parser.add_argument("--shared", type=Path, default=ROOT / "../shared", metavar="DIR", help="holds real/, the labelled sets")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="a cache of `semihand synth cache`")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="free pictures of tools/unpack_backgrounds.py")
    parser.add_argument("--mediapipe-task", type=Path, metavar="FILE", help="MediaPipe's hand_landmarker.task")
    parser.add_argument("--studio", type=Path, metavar="DIR", help="pictures of the second synthetic world")
    return parser


def _work(options: argparse.Namespace, root: Path) -> int:
    folder, failed = root / "benchmarks", False
    if options.take:
        store.write(folder, _taken(options.take))
    elif not options.render_only:
        failed = _measure_all(options, folder)
    render_pages(root)
    return int(failed)


def _measure_all(options: argparse.Namespace, folder: Path) -> bool:
    """True where a figure failed; what others measured is stored all the same."""
    inputs = {
        "real": options.shared / "real", "pictures": options.pictures, "backgrounds": options.backgrounds,
        "task": options.mediapipe_task, "studio": options.studio,
    }  # fmt: skip
    failed, origin = False, store.stamp()
    for name in options.only or [name for name, figure in FIGURES.items() if not figure.alone]:
        lacking = missing(FIGURES[name], inputs)
        if lacking:
            log.warning("%s: skipped, it needs %s. Its old figures stay.", name, " and ".join(lacking))
            continue
        log.info("%s: about %g minutes", name, FIGURES[name].minutes)
        try:
            kept = folder.parent / "out" / f"figures-{name}"
            store.write(folder, measure(name, FIGURES[name], inputs, origin, kept))
        except SemihandError as error:
            log.error("%s: %s Its old figures stay.", name, error)
            failed = True
    return failed


def _taken(text: str) -> dict:
    name, _, given = text.partition("=")
    files = [Path(file) for file in given.split(",") if file]
    steps = FIGURES[name].taken() if name in FIGURES else []
    if not 0 < len(files) <= len(steps):
        names = ", ".join(f"{each} ({', '.join(figure.taken())})" for each, figure in FIGURES.items() if figure.taken())
        raise SemihandError(f"--take wants NAME=FILE.csv, a file for each table of one of {names}; not {text!r}.")
    return store.take(name, dict(zip(steps, files)))


def _stamped(command: str) -> dict:
    weights = {file: store.checksum(file) for file in ("lite.onnx", "lite.safetensors")}
    return {**store.stamp(), "commands": [command], "weights": weights}


def render_pages(root: Path) -> None:
    """Write every page anew; says which measured figures stand in none."""
    found, shown = pages.blocks(root / "benchmarks"), set()
    new = {}
    for page in PAGES:
        text = (root / page).read_text(encoding="utf-8")
        new[page] = pages.render(text, found, page)
        shown |= set(pages.markers(text))
    for page, text in new.items():  # only once all of them are known to be right
        (root / page).write_text(text, encoding="utf-8")
    hidden = [name for name, lines in found.items() if lines is not None and name not in shown]
    if hidden:
        log.warning(
            "Measured, but in no page: %s. Add <!-- figures:NAME --> and <!-- /figures:NAME -->.", ", ".join(hidden)
        )


def listing(root: Path) -> str:
    """One paragraph a figure."""
    lines = []
    for name, figure in FIGURES.items():
        record = store.read(root / "benchmarks", name)
        when = "never measured" if record is None else f"measured {record['date'][:10]} at {record['commit']}"
        needs = ", ".join(INPUTS[each][0] for each in figure.needs()) or "nothing"
        alone = ", only when named" if figure.alone else ""
        lines += [f"{name}: {when}; about {figure.minutes:g} minutes{alone}; needs {needs}"]
        lines += [f"    {step.command}" for step in figure.steps.values()]
    lines += [f"{name}: from {', '.join(needs)}" for name, (needs, _) in SUMMARIES.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
