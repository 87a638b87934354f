"""`semihand bench` and `semihand doctor`: this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import number


def bench(
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="Video to track [default: the demo's clip, rendered].")] = None,
    hands: Annotated[int | None, number(1, 8, help="Hands wanted [default: a run with 1 and a run with 2].")] = None,
    frames: Annotated[int | None, number(1, 10**9, help="At most so many frames a run [default: 300].")] = None,
    seconds: Annotated[float | None, number(0.1, 1e6, help="At most so long a run [--render: 10 each].")] = None,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file.")] = "base",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. cuda fails where CUDA does not run.")] = "auto",
    threads: Annotated[int | None, number(1, 256, help="Threads for each network [default: by the machine's cores].")] = None,
    peer: Annotated[Path | None, typer.Option(metavar="FILE", help="MediaPipe's hand_landmarker.task: runs it in turn on the same frames (needs the mediapipe package).")] = None,
    render: Annotated[bool, typer.Option("--render", help="Measure instead how many synthetic pictures a second 1, 2, ... processes draw.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:  # fmt: skip
    """Measure the speed of every stage of tracking, of the network alone and of a whole video on this machine, and
    start-up time and memory. Leave it idle meanwhile.

    \b
    Examples:
      semihand bench
      semihand bench --video in.mp4 --hands 2 --json
      semihand bench --peer hand_landmarker.task
      semihand bench --render
    """
    from ..evaluate.bench import report as bench_report
    from ..evaluate.bench import run as tracking

    if not render:
        wanted = (hands,) if hands else (1, 2)
        report = tracking.run_bench(
            tracking.BenchOptions(video, wanted, frames or 300, seconds, model, device, threads, peer)
        )
        typer.echo(bench_report.to_json(report) if as_json else bench_report.to_text(report))
        return
    if video or hands or frames or peer or threads:
        raise typer.BadParameter("--render goes with --seconds and --json only: it tracks nothing.")
    from ..evaluate.bench import render as rendering

    report = rendering.run_render_bench(rendering.RenderOptions(seconds=seconds or 10.0))
    typer.echo(bench_report.to_json(report) if as_json else rendering.to_text(report))


def doctor() -> None:
    """Say what works on this machine, and the next step where something does not. Exit code 1 where a part is broken."""
    from ..doctor import examine

    broken = False
    for finding in examine():
        typer.echo(str(finding))
        broken |= finding.ok is False
    raise typer.Exit(int(broken))
