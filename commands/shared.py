"""What several commands' options have in common."""

from __future__ import annotations

import math
import re
from typing import Any

import typer

BACKGROUNDS = typer.Option(metavar="DIR", help="Folder of pictures used as backgrounds beside the painted ones.")
CAMERA = "Webcam by number, by part of its name, by its path (/dev/v4l/by-id/...), or an address (rtsp://, http://)"


def number(low: float, high: float, *names: str, metavar: str = "N", **more: Any) -> Any:
    """A typer.Option for a number from low to high; all else, and what is not finite, is wrong usage (exit code 2)."""

    def checked(value: float | None) -> float | None:
        # NaN is neither below nor above any limit.
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise typer.BadParameter(f"{value} is not between {low:g} and {high:g}.")
        return value

    return typer.Option(*names, metavar=metavar, callback=checked, **more)


def seed_option(text: str) -> Any:
    """A typer.Option for the seed of random numbers."""
    return number(0, 2**32 - 1, help=text)


def camera_of(text: str | None) -> int | str | None:
    """A camera as `tracker.camera.CameraConfig` takes it: digits are a number. Raises typer.BadParameter below 0."""
    if text is not None and re.fullmatch(r"-\d+|\s*", text):
        raise typer.BadParameter(f"--camera {text}: numbers of cameras begin with 0.")
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else text


def pairs(options: list[str] | None) -> dict[str, str]:
    """NAME=VALUE texts of --option, by name. Raises typer.BadParameter on others."""
    split = [option.partition("=") for option in options or ()]
    wrong = [option for option, (name, mark, value) in zip(options or (), split) if not (name and mark and value)]
    if wrong:
        raise typer.BadParameter(f"--option {wrong[0]} is no NAME=VALUE.")
    return {name: value for name, _, value in split}
