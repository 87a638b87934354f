"""`semihand convert` and `semihand play`: recorded tracks in other files, and sent to other programs."""

from pathlib import Path
from typing import Annotated

import typer

from .live import Hts, Leap, Osc, Udp, Vmc, Websocket

_FILE = typer.Argument(metavar="FILE", help="A track: the file of `semihand track --jsonl`.")


def convert(
    track: Annotated[Path, _FILE],
    to: Annotated[str, typer.Option(help="bvh, csv, npz, or rrd for the Rerun viewer.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to [default: beside the track]. BVH: one file for each side.")] = None,
) -> None:  # fmt: skip
    """Write a recorded track as another file.

    \b
    Examples:
      semihand convert track.jsonl --to bvh        track-left.bvh and track-right.bvh for Blender and others
      semihand convert track.jsonl --to csv --out joints.csv
    """
    from ..outputs.replay import KINDS, Track, feed

    if to not in KINDS:
        raise typer.BadParameter(f"--to {to} is unknown. Known: {', '.join(KINDS)}.")
    out = out or track.with_suffix(f".{to}")
    if out.resolve() == track.resolve():
        raise typer.BadParameter(f"--out {out} would overwrite the track.")
    with Track(track) as source:
        writer = KINDS[to](str(out))
        try:
            count = feed(source, writer)
        finally:
            writer.close()
    typer.echo("\n".join(writer.notes() or [f"{out}: {count} frames"]), err=True)


def play(
    track: Annotated[Path, _FILE],
    udp: Udp = None,
    websocket: Websocket = None,
    osc: Osc = None,
    vmc: Vmc = None,
    hts: Hts = None,
    leap: Leap = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start again at the end, until Ctrl-C.")] = False,
) -> None:
    """Send a recorded track to other programs at its own speed: what `track` would send, without a camera.

    \b
    Examples:
      semihand play track.jsonl --udp 5052 --loop
      semihand play track.jsonl --websocket 8765
    """
    from ..outputs.live import LiveOptions, LiveWriter
    from ..outputs.replay import Pace, Track, feed
    from ..tracker.run import stop_on_signal

    try:
        options = LiveOptions(udp=udp, websocket=websocket, osc=osc, vmc=vmc, hts=hts, leap=leap)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if not options.any():
        raise typer.BadParameter("Name at least one of --udp, --websocket, --osc, --vmc, --hts and --leap.")
    with stop_on_signal() as stopped, LiveWriter(options) as live:
        again = True
        while again and not stopped():
            with Track(track) as source:
                frames = feed(source, live, Pace(), stopped)
            again = loop and frames > 0
    typer.echo("\n".join(live.notes()), err=True)
