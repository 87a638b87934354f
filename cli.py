"""The `semihand` command. Heavy imports happen inside the commands: `--help` and `track` never load torch."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from . import __version__
from .commands import (
    ablate,
    adapt,
    bench,
    calibrate,
    cameras,
    evaluate,
    models,
    peers,
    pretrain,
    recordings,
    replay,
    studio,
    synth,
    track,
)
from .commands.doors import Doors, TrackCommand
from .errors import sentence_of
from .signals import end_on_signals, interrupted

app = typer.Typer(
    name="semihand",
    cls=Doors,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Hand tracking from an ordinary webcam that becomes better at your hands, on your own machine.\n\n"
    "Begin with `semihand track` (or `semihand film.mp4`), then `semihand adapt --record`."
    " `semihand COMMAND --help` has examples.",
)


@app.callback()
def _semihand(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version, and nothing else.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Say more, and show tracebacks (works anywhere on the line).")] = False,
) -> None:  # fmt: skip
    """`main` takes --debug out of the arguments; it stands here for the help."""
    if version:
        typer.echo(f"semihand {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command(cls=TrackCommand)(track.track)
app.command()(replay.play)
app.command()(replay.convert)
app.command()(cameras.cameras)
app.command()(calibrate.calibrate)
app.command()(adapt.adapt)
app.add_typer(recordings.app, name="recordings")
app.add_typer(models.app, name="models")
app.command("eval")(evaluate.evaluate)
app.command()(ablate.ablate)
app.command("gate-study")(ablate.gate_study)
app.command()(peers.peers)
app.command()(bench.bench)
app.add_typer(synth.app, name="synth")
app.add_typer(studio.app, name="studio")
app.command()(pretrain.pretrain)
app.command()(pretrain.pool)
app.command()(pretrain.export)
app.command()(track.demo)
app.command()(bench.doctor)


def main() -> None:
    """Run the command line; an error that a user can do something about becomes one sentence and exit code 1."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    level = logging.DEBUG if debug else logging.INFO
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every console can print every file's name
            stream.reconfigure(errors="backslashreplace")
    end_on_signals()
    try:
        app()
    except Exception as error:
        if interrupted():
            sys.exit(130)
        sentence = sentence_of(error)
        if debug or sentence is None:
            raise
        typer.echo(f"semihand: {sentence}", err=True)
        sys.exit(1)
