"""`semihand eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .shared import number, pairs


def evaluate(
    data: Annotated[list[Path] | None, typer.Option(metavar="DIR", help="Labelled pictures: a sequence folder, or a published data set as it was unpacked; give the option again for more.")] = None,
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of --data: a video without labels, judged by how steady and complete the tracking is.")] = None,
    model: Annotated[list[str] | None, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file; give the option again for more, side by side [default: the one of `semihand models use`, else base].")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. cuda fails where CUDA does not run.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: all metrics, curves and tables.")] = False,
    format: Annotated[str | None, typer.Option(metavar="NAME", help="With --data: the data set's format: auto, sequence, rhd, stb, dexter-object ... (a wrong name lists them) [default: auto].")] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="With --data: the data set's part (a wrong name lists them) [default: the one that papers test on].")] = None,
    option: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="With --data: an option of the data set's reader, such as wrist=... of stb (a wrong name lists them).")] = None,
    crop: Annotated[Literal["label", "detector"] | None, typer.Option(help="With --data: crops round the labelled joints, or as the detector finds the hand [default: label].")] = None,
    details: Annotated[bool, typer.Option("--details", help="With --data: also print the worst joints, every gesture, what the confidence is worth, and why metrics are absent.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="With --data: write an HTML page with curves, tables and the worst frames.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="With --data: write every frame's own errors.")] = None,
    overlay: Annotated[Path | None, typer.Option(metavar="DIR", help="With --data: write pictures of predicted and true joints, and a sheet with the worst first.")] = None,
    peer: Annotated[Path | None, typer.Option(metavar="FILE", help="With --data: MediaPipe's hand_landmarker.task adds its rows (needs the mediapipe package).")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="With --video: folder for the report and the overlay video [default: NAME-eval].")] = None,
    no_overlay: Annotated[bool, typer.Option("--no-overlay", help="With --video: write the report alone, no overlay video.")] = False,
    max_frames: Annotated[int | None, number(1, 10**9, help="With --video: stop after so many frames.")] = None,
    f: Annotated[float | None, number(1.0, 1e6, metavar="FX", help="With --video: focal length of the camera in pixels [default: 0.85 of the longer side].")] = None,
    hands: Annotated[int | None, number(1, 8, help="With --video: track at most so many hands [default: 1].")] = None,
) -> None:  # fmt: skip
    """Measure models: errors and missed hands on labelled pictures, or steadiness on a video without labels.

    \b
    Examples:
      semihand eval --data recordings/mine
      semihand eval --data a --data b --model lite --model mine --report out.html
      semihand eval --data STB --split sk-test --json
      semihand eval --data a --crop detector --overlay out --csv frames.csv
      semihand eval --video in.mp4 --model lite --model mine --out compared
    """
    of_data = {"--format": format, "--split": split, "--option": option, "--crop": crop, "--details": details,
               "--report": report, "--csv": csv, "--overlay": overlay, "--peer": peer}  # fmt: skip
    of_video = {"--out": out, "--no-overlay": no_overlay, "--max-frames": max_frames, "--f": f, "--hands": hands}
    if bool(data) == bool(video):
        raise typer.BadParameter("Give either --data (labelled pictures) or --video (a video without labels).")
    _refuse(of_data if video else of_video, "--data" if video else "--video")
    if video or report:
        import matplotlib  # noqa: F401  (said now, and not when all is measured)
    if details and as_json:
        raise typer.BadParameter("--json holds all details: leave --details out.")
    if video is not None:
        from ..evaluate.video.run import VideoEvalOptions, run_video_eval

        limits = {"hands": hands or 1, "focal": f, "max_frames": max_frames, "overlay": not no_overlay}
        typer.echo(run_video_eval(VideoEvalOptions(video, tuple(model or ()), out, device, as_json=as_json, **limits)))
        return
    from ..evaluate.labels.command import EvalOptions, run_eval

    options = EvalOptions(
        tuple(data), tuple(model or ()), format or "auto", split, pairs(option), crop or "label", device,
        as_json, details, overlay, csv, report, peer,
    )  # fmt: skip
    typer.echo(run_eval(options))


def _refuse(options: dict[str, object], belong: str) -> None:
    """Options that would do nothing are wrong usage."""
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise typer.BadParameter(f"{', '.join(given)} goes with {belong} only.")
