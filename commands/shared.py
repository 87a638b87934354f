"""What several commands' options have in common."""

from __future__ import annotations

import typer

BACKGROUNDS = typer.Option(metavar="DIR", help="Folder of pictures used as backgrounds beside the painted ones.")


def pairs(options: list[str] | None) -> dict[str, str]:
    """NAME=VALUE texts of --option, by name. Raises typer.BadParameter on others."""
    split = [option.partition("=") for option in options or ()]
    wrong = [option for option, (name, mark, value) in zip(options or (), split) if not (name and mark and value)]
    if wrong:
        raise typer.BadParameter(f"--option {wrong[0]} is no NAME=VALUE.")
    return {name: value for name, _, value in split}
