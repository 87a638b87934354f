"""`semihand recordings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    invoke_without_command=True,
    help="Recordings of your hands: list them, look at them, delete them. They never leave this machine. Without a command: list.",
)


@app.callback()
def _recordings(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        recordings_list()


@app.command("list")
def recordings_list() -> None:
    """All recordings with their size, and the folder they are in."""
    from ..record.text import list_text

    typer.echo(list_text())


@app.command("show")
def recordings_show(
    name: Annotated[str, typer.Argument(help="A name of `semihand recordings list`, or a recording's folder.")],
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture of frames spread over the recording (.png or .jpg).")] = None,
) -> None:  # fmt: skip
    """What a recording holds: hands, segments, what was left out and why, which poses it covers.

    \b
    Example: semihand recordings show mine --sheet sheet.png
    """
    from ..record.text import show_text

    typer.echo(show_text(name, sheet))


@app.command("remove")
def recordings_remove(name: Annotated[str, typer.Argument(help="A name of `semihand recordings list`.")]) -> None:
    """Delete a recording for good. Models that were made from it stay."""
    from ..record.recording import delete_recording

    delete_recording(name)
    typer.echo(f"Deleted the recording {name}.")
