"""`semihand peers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def peers(
    data: Annotated[list[Path], typer.Option(metavar="DIR", help="Labelled pictures: a sequence folder, or a published data set as it was unpacked; give the option again for more.")],
    model: Annotated[list[str] | None, typer.Option(metavar="NAME|FILE", help="Our model by name or .onnx file; give the option again for more [default: lite].")] = None,
    task: Annotated[Path | None, typer.Option(metavar="FILE", help="MediaPipe's hand_landmarker.task (needs the mediapipe package, which reports usage to Google).")] = None,
    rtm_pose: Annotated[Path | None, typer.Option(metavar="FILE", help="ONNX file of RTMPose's hand model (needs the rtmlib package; nothing is downloaded).")] = None,
    rtm_det: Annotated[Path | None, typer.Option(metavar="FILE", help="ONNX file of RTMDet's hand model, which finds RTMPose's hands with --crop detector.")] = None,
    crop: Annotated[Literal["label", "detector"], typer.Option(help="Crops round the labelled joints, or as each one's detector finds the hand. MediaPipe always uses its own.")] = "detector",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:  # fmt: skip
    """Compare with other hand trackers on the same labelled pictures: errors, misses, time, and what each one says.

    All take turns on every picture, with one thread each on the CPU. 3D errors are with known root depth and scale.
    The packages come with: pip install semihand[peers]

    \b
    Examples:
      semihand peers --data FOLDER --task hand_landmarker.task
      semihand peers --data a --data b --task hand_landmarker.task --crop label --json
      semihand peers --data FOLDER --rtm-pose rtmpose-hand.onnx --rtm-det rtmdet-hand.onnx
    """
    if rtm_det and (not rtm_pose or crop == "label"):
        raise typer.BadParameter("--rtm-det goes with --rtm-pose and --crop detector only.")
    if not (task or rtm_pose):
        raise typer.BadParameter("Name whom to compare with: --task FILE for MediaPipe, --rtm-pose FILE for RTMPose.")
    from ..evaluate.peers.table import PeerOptions, peer_table

    options = PeerOptions(tuple(data), tuple(model or ["base"]), task, rtm_pose, rtm_det, crop)
    typer.echo(peer_table(options, as_json))
