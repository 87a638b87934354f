"""The `semihand` command. Heavy imports happen inside the commands: `--help` and `track` never load torch."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from .commands import ablate, adapt, bench, evaluate, models, peers, pretrain, recordings, replay, studio, synth, track
from . import __version__
from .commands.doors import Doors, TrackCommand
from .errors import SemihandError

#: Modules that tracking does not need, and the extras that bring them.
EXTRAS = dict.fromkeys(("torch", "onnx", "safetensors", "tensorboard", "scipy"), "train")
EXTRAS |= {"numba": "synth", "matplotlib": "report"}

app = typer.Typer(
    name="semihand",
    cls=Doors,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Hand tracking from an ordinary webcam that becomes better at your hands, on your own machine.",
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
    """Run the command line; a SemihandError becomes one sentence and exit code 1."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except SemihandError as error:
        if debug:
            raise
        typer.echo(f"semihand: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if debug or error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        typer.echo(f"semihand: This command needs {error.name}: pip install -c constraints.txt -e .[{extra}]", err=True)
        sys.exit(1)
