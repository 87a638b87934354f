"""`semihand ablate` and `semihand gate-study`: what the method brings, and whether its gate can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def ablate(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Labelled sequence folder. Its labels measure; only the row oracle learns from them.")],
    pictures: Annotated[Path, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache`, the labelled half of every batch.")],
    results: Annotated[Path, typer.Option(metavar="FILE", help="CSV to append to; what it holds is not run again.")],
    row: Annotated[list[str] | None, typer.Option(help="A row of the table; give the option again for more [default: all].")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of every row.")] = 3,
    share: Annotated[float, typer.Option(min=0.05, max=1, help="Part of the frames, from the first on, that is adapted to; the rest are other poses.")] = 2 / 3,
    crop: Annotated[Literal["label", "detector"], typer.Option(help="Crops round the labelled joints, or as the detector finds the hand.")] = "label",
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "lite",
    iterations: Annotated[int | None, typer.Option(min=1, help="Rounds [default: the recipes' own].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps a round [default: the recipes' own].")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Pictures of each half of a batch [default: the profile's].")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
) -> None:  # fmt: skip
    """Measure which part of the method brings what: the paper's Table 1 on any labelled target. Resumable.

    \b
    Example:
      semihand ablate --data target --pictures cache/train --results ablation.csv --seeds 3
    """
    from ..adapt.ablation import ROWS
    from ..evaluate.ablate import AblateOptions, run_ablation

    typer.echo(run_ablation(AblateOptions(
        data, pictures, results, tuple(row or ROWS), seeds, share, crop, model, iterations, steps, batch, device,
    )))  # fmt: skip


def gate_study(
    pictures: Annotated[Path, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the study: candidates, study.csv, correlations.json, scatter.svg.")],
    data: Annotated[list[Path] | None, typer.Option(metavar="FOLDER", help="Labelled sequence folder, used without its labels but for measuring; give the option again for more.")] = None,
    rendered: Annotated[int, typer.Option(min=0, help="How many targets of rendered hands with another camera and light.")] = 2,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "lite",
) -> None:  # fmt: skip
    """Measure how well the label-free indicators tell true changes, and whether the gate refuses harmful trainings.

    \b
    Example: semihand gate-study --data target --pictures cache/train --out study
    """
    import json

    from ..evaluate.gate_runs import StudyOptions
    from ..evaluate.gate_study import run_study, summary
    from ..models.registry import checkpoint_of

    rows = run_study(StudyOptions(tuple(data or ()), checkpoint_of(model), pictures, out, rendered))
    typer.echo(json.dumps(summary(rows), indent=1))
