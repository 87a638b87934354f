"""`semihand cameras`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def cameras(
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a picture of each camera into this folder.")] = None,
) -> None:  # fmt: skip
    """List the cameras: number and name for --camera, sizes and rates, and at which sizes they are calibrated.

    \b
    Examples:
      semihand cameras
      semihand cameras --pictures seen
    """
    from ..tracker.list_cameras import cameras_text

    typer.echo(cameras_text(pictures))
