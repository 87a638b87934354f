"""Every figure that is measured: its commands, what they need, how long they take, and the table they become.

Placeholders in the commands: {real} the folder of real labelled sets, {pictures} a cache of `semihand synth cache`,
{backgrounds} a folder of free background pictures, {task} MediaPipe's hand_landmarker.task, {studio} the second
synthetic world, {out} a scratch folder of the figure's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import speed_tables, tables

#: What a command may need: the option that names it, and how it is called in the stored command.
INPUTS = {
    "real": ("--shared", "real"),
    "pictures": ("--pictures", "pictures"),
    "backgrounds": ("--backgrounds", "free"),
    "task": ("--mediapipe-task", "hand_landmarker.task"),
    "studio": ("--studio", "studio"),
}
#: Further ones that always exist.
SCRATCH = "out"


@dataclass(frozen=True)
class Step:
    """One command. csv: it takes hours and leaves this table, which --take takes in; else it prints JSON with --json."""

    command: str
    csv: str | None = None


@dataclass(frozen=True)
class Figure:
    """steps by the name under which their results are stored. table: Markdown lines of {step: results}.

    weights: files of released weights that it measures.
    """

    steps: dict[str, Step]
    table: Callable[[dict], list[str]]
    minutes: float
    weights: tuple[str, ...] = ("lite.onnx",)

    def needs(self) -> list[str]:
        """The names in INPUTS that its commands hold, in that order."""
        return [name for name in INPUTS if any("{" + name + "}" in step.command for step in self.steps.values())]

    def taken(self) -> list[str]:
        """Its steps that leave a CSV, which --take can stand for."""
        return [name for name, step in self.steps.items() if step.csv]


_TI1K = " ".join(f"--data {{real}}/ti1k-{kind}-{n}" for kind in ("rotation", "scale", "translation") for n in (1, 2))
#: What adaptation starts from.
_START = ("lite.safetensors",)
_EVAL = "semihand eval --model lite --json"
_ABLATE = "semihand ablate --pictures {pictures}"
_GE, _STUDIO = "--data {real}/ge-real-a", "--data {studio}/train --test {studio}/test --limit 300"
_ROWS = "--row baseline --row robust-control --row robust --row robust+detector"


def _ablation(data: str, runs: str, minutes: int) -> Figure:
    """A table of `ablate` with the steps that all of them have."""
    step = Step(f"{_ABLATE} {data} --results {{out}}/ablation.csv {runs} --steps 12 --batch 24", "ablation.csv")
    return Figure({"rows": step}, tables.ablation, minutes=minutes, weights=_START)


FIGURES: dict[str, Figure] = {
    "accuracy-real": Figure(
        {
            "label": Step(f"{_EVAL} --data {{real}}/ge-real-a --crop label"),
            "detector": Step(f"{_EVAL} --data {{real}}/ge-real-a --crop detector"),
        },
        tables.accuracy, minutes=2,
    ),
    "fingertips": Figure(
        {"label": Step(f"{_EVAL} {_TI1K} --crop label"), "detector": Step(f"{_EVAL} {_TI1K} --crop detector")},
        tables.two_joints, minutes=2,
    ),
    "peers": Figure(
        {"detector": Step(f"semihand peers --data {{real}}/ge-real-a {_TI1K} --task {{task}} --json")},
        tables.peers, minutes=2,
    ),
    "synthetic": Figure(
        {
            "export": Step("semihand synth export --out {out}/val --count 1000 --seed 9000 --size 160 --upright 1 "
                           "--backgrounds {backgrounds}"),
            "eval": Step(f"{_EVAL} --data {{out}}/val"),
        },
        tables.synthetic, minutes=3,
    ),
    "realism": Figure(
        {"realism": Step("semihand synth realism --count 300 --seed 31 --backgrounds {backgrounds} --json")},
        tables.realism, minutes=2, weights=(),
    ),
    "tracking": Figure(
        {"bench": Step("semihand bench --model lite --peer {task} --json")},
        speed_tables.tracking, minutes=4,
    ),
    "rendering": Figure(
        {"bench": Step("semihand bench --render --json")}, speed_tables.rendering, minutes=2, weights=(),
    ),
    "ablation-ge": _ablation(_GE, "--seeds 3", minutes=1500),
    "ablation-studio": _ablation(_STUDIO, "--seeds 3", minutes=1500),
    "unlabelled-ge": _ablation(_GE, "--seeds 1 --figure share --figure sets", minutes=120),
    "unlabelled-studio": _ablation(_STUDIO, "--seeds 1 --figure share", minutes=120),
    "adaptation-ge": Figure(
        {
            "label": Step(f"{_ABLATE} --data {{real}}/ge-real-a --share 1 --seeds 1 {_ROWS} "
                          "--results {out}/label.csv", "label.csv"),
            "detector": Step(f"{_ABLATE} --data {{real}}/ge-real-a --share 1 --seeds 1 {_ROWS} --crop detector "
                             "--results {out}/detector.csv", "detector.csv"),
        },
        tables.adaptation, minutes=240, weights=_START,
    ),
}  # fmt: skip

#: Tables put together from other figures: {name: (the figures it needs, table of {figure: {step: results}})}.
SUMMARIES: dict[str, tuple[tuple[str, ...], Callable[[dict], list[str]]]] = {
    "summary": (("accuracy-real", "peers", "adaptation-ge", "ablation-ge", "tracking"), tables.summary)
}
