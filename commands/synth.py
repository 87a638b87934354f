"""`semihand synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import BACKGROUNDS, number, seed_option

app = typer.Typer(no_args_is_help=True, help="Labelled synthetic hands: look at them, export them, render them ahead.")

_UPRIGHT = number(0, 1, help="Share of raised hands as a webcam sees them; the rest from all sides.")
_SEED = seed_option("The same seed gives the same pictures.")


@app.command("preview")
def synth_preview(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Picture to write (.png or .jpg).")],
    count: Annotated[int, number(1, 10**9, help="How many pictures.")] = 60,
    seed: Annotated[int, _SEED] = 0,
    size: Annotated[int, number(32, 4096, help="Side of each picture in pixels.")] = 160,
    clean: Annotated[bool, typer.Option("--clean", help="Without camera defects.")] = False,
    backgrounds: Annotated[Path | None, BACKGROUNDS] = None,
) -> None:
    """Write a sheet of synthetic hands; every third one shows its labels.

    \b
    Example: semihand synth preview --out sheet.png
    """
    from ..synth.preview import preview_sheet
    from ..synth.scene import SceneConfig
    from ..synth.sensor import SensorConfig

    config = SceneConfig(size=size, sensor=SensorConfig(strength=0.0 if clean else 1.0))
    preview_sheet(out, count, seed, config, backgrounds)
    typer.echo(f"{count} pictures in {out}")


@app.command("export")
def synth_export(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to create.")],
    count: Annotated[int, number(1, 10**9, help="How many pictures.")] = 1000,
    seed: Annotated[int, _SEED] = 0,
    size: Annotated[int, number(32, 4096, help="Side of each picture in pixels.")] = 256,
    upright: Annotated[float, _UPRIGHT] = 0.8,
    backgrounds: Annotated[Path | None, BACKGROUNDS] = None,
) -> None:
    """Write labelled pictures as a sequence folder: joints in 2D and 3D, masks, intrinsics, left and right hands."""
    from ..synth.scene import SceneConfig
    from ..synth.sequences import export_synthetic

    export_synthetic(out, count, seed, SceneConfig(size=size, upright=upright), backgrounds)
    typer.echo(f"{count} labelled pictures in {out}")


@app.command("realism")
def synth_realism(
    count: Annotated[int, number(1, 10**9, help="How many pictures.")] = 300,
    seed: Annotated[int, _SEED] = 0,
    upright: Annotated[float, _UPRIGHT] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the pictures that failed worst.")] = None,
    backgrounds: Annotated[Path | None, BACKGROUNDS] = None,
) -> None:  # fmt: skip
    """Show plain synthetic hands to MediaPipe's models: how many are found, and where the joints are seen.

    \b
    Example: semihand synth realism --sheet worst.png
    """
    from ..evaluate.realism import run_realism

    typer.echo(run_realism(count, seed, upright, as_json, sheet, backgrounds))


@app.command("cache")
def synth_cache(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of arrays to create; in RAM (/dev/shm) where a GPU is to be fed.")],
    count: Annotated[int, number(1, 10**9, help="How many pictures; 92 KB each.")] = 65536,
    seed: Annotated[int, _SEED] = 1,
    workers: Annotated[int | None, number(1, 1024, help="Processes [default: all cores].")] = None,
    upright: Annotated[float, _UPRIGHT] = 0.8,
    backgrounds: Annotated[Path | None, BACKGROUNDS] = None,
) -> None:  # fmt: skip
    """Render pictures ahead for `semihand pretrain`. An interrupted run goes on where it stopped."""
    from ..synth.cache import render_cache
    from ..synth.scene import SceneConfig

    render_cache(out, count, seed, SceneConfig(upright=upright), workers, backgrounds)


@app.command("circles")
def synth_circles(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write (.json) [default: the package's own].")] = None,
    count: Annotated[int, number(8, 10**9, help="How many hands; a quarter of them is held out.")] = 3000,
    seed: Annotated[int, _SEED] = 0,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Hands of `semihand synth cache` [default: rendered, without anything else in the picture].")] = None,
) -> None:  # fmt: skip
    """Fit the 55 circles that `semihand adapt` lays over masks to synthetic hands.

    \b
    Example: semihand synth circles --out circles.json
    """
    from ..synth.fit_circles import CIRCLES_PATH, fit_circles

    record = fit_circles(count, seed, out or CIRCLES_PATH, pictures)
    for name, layout in record["layouts"].items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in layout["held_out"].items()))
    typer.echo(f"Written to {out or CIRCLES_PATH}")
