"""`semihand ablate` and `semihand gate-study`: what the method brings, and whether its gate can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .shared import number, pairs


def ablate(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Labelled data set, see `semihand eval --help` for the formats. Its labels measure; only the rows oracle, weak-2d and weak-masks learn from them.")],
    pictures: Annotated[Path, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache`, the labelled half of every batch.")],
    results: Annotated[Path, typer.Option(metavar="FILE", help="CSV to append to; what it holds is not run again. Provenance and figures lie beside it.")],
    figure: Annotated[list[str] | None, typer.Option(help="table, bars (Fig. 6), auc (Fig. 7, 8), share (Fig. 10) or sets (adapted to train, test, both); give the option again for more [default: table].")] = None,
    row: Annotated[list[str] | None, typer.Option(help="A row of the table, or the method of auc, share and sets; give the option again for more [default: all; robust for share and sets].")] = None,
    seeds: Annotated[int, number(1, 1000, help="Runs of every row.")] = 3,
    share: Annotated[float | None, number(0.05, 1, help="Part of the frames, from the first on, that is adapted to; the rest are other poses [default: two thirds].")] = None,
    test: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Labelled data set of the other poses, instead of the rest of --data.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of --data, where it has some [default: the first].")] = None,
    test_split: Annotated[str | None, typer.Option(help="Split of --test, or of --data, that the other poses come from.")] = None,
    format: Annotated[str, typer.Option(metavar="NAME", help="Format of --data and --test (a wrong name lists them).")] = "auto",
    option: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of their reader, such as wrist=... of stb (a wrong name lists them).")] = None,
    limit: Annotated[int | None, number(2, 10**9, metavar="N", help="At most N evenly spread frames of --data, and of --test.")] = None,
    crop: Annotated[Literal["label", "detector"], typer.Option(help="Crops round the labelled joints, or as the detector finds the hand.")] = "label",
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "lite",
    iterations: Annotated[int | None, number(1, 10**6, help="Rounds [default: the recipes' own].")] = None,
    steps: Annotated[int | None, number(1, 10**7, help="Steps a round [default: the recipes' own].")] = None,
    batch: Annotated[int | None, number(2, 100000, help="Pictures of each half of a batch [default: the profile's].")] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a field of the recipes, for all rows that do not switch it off; give the option again for more. Wrong names get the list.")] = None,
    check_order: Annotated[bool, typer.Option("--check-order", help="Say whether the paper's order holds, and which differences exceed the seeds' spread.")] = False,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
) -> None:  # fmt: skip
    """Measure which part of the method brings what: the paper's tables and figures on any labelled target.

    Resumable one run at a time: after Ctrl-C or a kill the same command goes on. The results of several data sets and
    settings may share a file; figures become PNG files beside it.

    \b
    Examples:
      semihand ablate --data target --pictures cache/train --results ablation.csv --check-order
      semihand ablate --data target --pictures cache/train --results ablation.csv --figure share --figure sets
      semihand ablate --data target --pictures cache/train --results ablation.csv --row vc --set view_weight=1 --set labels.tau=3
      semihand ablate --data STB --split sk-train --test-split sk-test --limit 2000 --pictures cache/train --results stb.csv
    """
    from ..evaluate.ablate.run import AblateOptions, run_ablation
    from ..evaluate.ablate.settings import parse_changes

    outcome = run_ablation(AblateOptions(
        data, pictures, results, tuple(row) if row else None, seeds, share, crop, model, iterations, steps, batch, device,
        tuple(figure or ("table",)), test, split, test_split, limit, parse_changes(changes or ()), check_order,
        format, pairs(option),
    ))  # fmt: skip
    typer.echo(outcome.text)
    if not outcome.finished:
        raise typer.Exit(130)


def gate_study(
    pictures: Annotated[Path, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the study: candidates, study.csv, correlations.json, scatter.svg.")],
    data: Annotated[list[Path] | None, typer.Option(metavar="FOLDER", help="Labelled sequence folder, used without its labels but for measuring; give the option again for more.")] = None,
    rendered: Annotated[int, number(0, 100, help="How many targets of rendered hands with another camera and light.")] = 2,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "lite",
) -> None:  # fmt: skip
    """Measure how well the label-free indicators tell true changes, and whether the gate refuses harmful trainings.

    \b
    Example: semihand gate-study --data target --pictures cache/train --out study
    """
    import json

    from ..evaluate.gate_study.runs import StudyOptions
    from ..evaluate.gate_study.study import run_study, summary
    from ..models.registry import checkpoint_of

    rows = run_study(StudyOptions(tuple(data or ()), checkpoint_of(model), pictures, out, rendered))
    typer.echo(json.dumps(summary(rows), indent=1))
