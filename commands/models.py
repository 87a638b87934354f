"""`semihand models`."""

from __future__ import annotations

from typing import Annotated

import typer

from .shared import number

app = typer.Typer(
    invoke_without_command=True,
    help="Released and personal models: list them, choose which one is used, go back, delete. Without a command: list.",
)

_MODEL_NAME = typer.Argument(metavar="NAME", help="A name of `semihand models list`.")


@app.callback()
def _models(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        models_list()


@app.command("list")
def models_list(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """All models: where each comes from, its versions, what the last adaptation changed. The default is marked."""
    from ..models.listing import table, to_json
    from ..models.registry import installed

    typer.echo((to_json if as_json else table)(installed()))


@app.command("show")
def models_show(
    name: Annotated[str, _MODEL_NAME],
    everything: Annotated[bool, typer.Option("--all", help="Every version, and the whole record of the one in use.")] = False,
) -> None:  # fmt: skip
    """One model: its files, its last versions, and where the one in use comes from."""
    from ..models.listing import details
    from ..models.registry import find

    typer.echo(details(find(name), everything))


@app.command("use")
def models_use(name: Annotated[str, _MODEL_NAME]) -> None:
    """Make a model the default of track, eval and demo; `semihand models use base` goes back to the released one."""
    from ..models.registry import use

    typer.echo(f"{use(name).name} is the default now.")


@app.command("rollback")
def models_rollback(
    name: Annotated[str, _MODEL_NAME],
    version: Annotated[int | None, number(1, 10**9, "--to", metavar="VERSION", help="This one [default: the one that the version in use had replaced].")] = None,
) -> None:  # fmt: skip
    """Go back to a former version of a personal model. The version left stays; --to brings it back."""
    from ..models.registry import rollback

    typer.echo(f"{name} is version {rollback(name, version).version} now.")


@app.command("remove")
def models_remove(name: Annotated[str, _MODEL_NAME]) -> None:
    """Delete a personal model with all its versions. Its recording stays."""
    from ..models.registry import remove

    typer.echo(f"Deleted {remove(name)}")
