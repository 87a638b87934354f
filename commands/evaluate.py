"""`semihand eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def evaluate(
    data: Annotated[list[Path], typer.Option(metavar="FOLDER", help="Sequence folder; give the option again for more.")],
    model: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file [default: the one of `semihand models use`, else lite].")] = None,
    crop: Annotated[Literal["label", "detector"], typer.Option(help="Crops round the labelled joints, or as the detector finds the hand.")] = "label",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. cuda fails where CUDA does not run.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    overlay: Annotated[Path | None, typer.Option(metavar="DIR", help="Write pictures of predicted and true joints, and a sheet with the worst first.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every frame's own errors.")] = None,
    peer: Annotated[Path | None, typer.Option(metavar="FILE", help="MediaPipe's hand_landmarker.task: adds its rows (needs the mediapipe package).")] = None,
) -> None:  # fmt: skip
    """Measure a model on labelled pictures: 2D and 3D errors, missed hands.

    \b
    Examples:
      semihand eval --data recordings/mine
      semihand eval --data a --data b --model lite --crop detector --json
      semihand eval --data a --overlay out --csv frames.csv
    """
    from ..evaluate.command import run_eval

    typer.echo(run_eval(data, model, crop, device, as_json, overlay, csv, peer))
