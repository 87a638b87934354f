"""`semihand studio`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import number, seed_option

app = typer.Typer(
    no_args_is_help=True,
    help="A second synthetic world, path traced, with other hands and rooms: a target domain with exact labels.",
)

_SEED = seed_option("The same seed gives the same takes.")
_SIZE = number(64, 4096, help="Side of each picture in pixels.")
_SAMPLES = number(1, 10**6, help="Light paths a pixel; fewer are faster and noisier.")


@app.command("bake")
def studio_bake(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to create; gets the sequence folders train and test.")],
    train: Annotated[int, number(1, 10**7, help="Pictures of the train split.")] = 2000,
    test: Annotated[int, number(1, 10**7, help="Pictures of the test split: other takes, mostly other gestures.")] = 1000,
    seed: Annotated[int, _SEED] = 0,
    size: Annotated[int, _SIZE] = 240,
    samples: Annotated[int, _SAMPLES] = 8,
    workers: Annotated[int, number(1, 1024, help="Processes, one core each.")] = 1,
) -> None:  # fmt: skip
    """Render takes of gestures as two labelled sequence folders. An interrupted run goes on where it stopped.

    About 0.6 s of one core a picture. Needs the extra `studio` and LLVM (DRJIT_LIBLLVM_PATH names its library).

    \b
    Examples:
      semihand studio bake --out studio-set --workers 2
      semihand eval --data studio-set/test
    """
    from ..studio.bake import BakeConfig, bake
    from ..studio.render import RenderConfig

    bake(out, BakeConfig(train, test, seed, workers, RenderConfig(size, samples)))
    typer.echo(f"{train} train and {test} test pictures in {out}")


@app.command("preview")
def studio_preview(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Picture to write (.png or .jpg).")],
    count: Annotated[int, number(1, 10**9, help="How many pictures.")] = 24,
    seed: Annotated[int, _SEED] = 0,
    size: Annotated[int, _SIZE] = 240,
    samples: Annotated[int, _SAMPLES] = 8,
) -> None:
    """Write a sheet of pictures; every second one shows its labels.

    \b
    Example: semihand studio preview --out sheet.png
    """
    from ..studio.preview import preview_sheet
    from ..studio.render import RenderConfig

    preview_sheet(out, count, seed, RenderConfig(size, samples))
    typer.echo(f"{count} pictures in {out}")
