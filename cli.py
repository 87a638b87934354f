"""The `semihand` command. Heavy imports happen inside the commands: `--help` and `track` never load torch."""

from __future__ import annotations

import logging
import sys

import typer

from .errors import SemihandError

app = typer.Typer(
    name="semihand",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Hand tracking from an ordinary webcam that becomes better at your hands, on your own machine.",
)


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
