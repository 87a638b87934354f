"""`semihand calibrate`: a camera's lens and a user's hand, for true millimetres."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import CAMERA, camera_of, number


def calibrate(
    board: Annotated[Path | None, typer.Option(metavar="FILE", help="Only write the board's picture, to print or to show on a screen.")] = None,
    camera: Annotated[str | None, typer.Option(metavar="N|NAME|ADDRESS", help=f"{CAMERA} [default: the first one].")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="A film of the board instead of a webcam.")] = None,
    images: Annotated[str | None, typer.Option(metavar="DIR", help="Pictures of the board instead of a webcam.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="How the camera is called [default: the webcam's own name].")] = None,
    width: Annotated[int | None, number(1, 16384, help="Ask the webcam for this width [default: 640]. A lens is measured at one size.")] = None,
    height: Annotated[int | None, number(1, 16384, help="Ask the webcam for this height [default: 480].")] = None,
    viewer: Annotated[str, typer.Option(help="window, none; auto: a window where there is a display.")] = "auto",
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Measure this person's hand instead: with --hand or --length.")] = None,
    hand: Annotated[Path | None, typer.Option(metavar="PICTURE", help="From above: the flat hand beside a bank card, or on a sheet of A4.")] = None,
    length: Annotated[float | None, number(100, 260, metavar="MM", help="Or its length from the wrist's crease to the middle finger's tip.")] = None,
    save_picture: Annotated[Path | None, typer.Option(metavar="FILE", help="With --hand: write the picture with what was measured in it.")] = None,
) -> None:  # fmt: skip
    """Measure a camera's lens or a user's hand, so that positions are true millimetres.

    Before a camera, hold the board in twenty places and tilts; it ends by itself, or with q. Its lens is used whenever that
    camera opens at that size. A hand's profile is used by `track --user NAME`. Both stay in semihand's data folder.

    \b
    Examples:
      semihand calibrate --board board.png                      print it, or show it on a phone, flat and whole
      semihand calibrate                                        the first webcam, the board before it
      semihand calibrate --images photos --name phone           then: track --video in.mp4 --calibration phone
      semihand calibrate --user ann --hand hand.jpg --save-picture measured.png
      semihand calibrate --user ann --length 182
    """
    ways = [way for way, given in (("--board", board), ("--user", user)) if given is not None]
    sources = [
        f"--{way}"
        for way, given in (("camera", camera), ("video", video), ("images", images), ("name", name))
        if given is not None
    ]
    if len(ways) > 1 or (ways and sources):
        raise typer.BadParameter(
            f"{' and '.join([*ways, *sources][:2])} exclude each other: measure one thing at a time."
        )
    if (user is None) != (hand is None and length is None) or (hand is not None and length is not None):
        raise typer.BadParameter("A hand needs --user NAME and one of --hand PICTURE and --length MM.")
    if save_picture is not None and hand is None:
        raise typer.BadParameter("--save-picture shows what --hand measured; give --hand too.")
    if board is not None:
        _write_board(board)
    elif user is not None:
        _measure_hand(user, hand, length, save_picture)
    else:
        _measure_camera(camera, video, images, name, width, height, viewer)


def _write_board(file: Path) -> None:
    from ..calibrate.board import board_picture
    from ..picture_file import write_picture

    write_picture(file, board_picture())
    typer.echo(
        f"{file}: print it on any size of paper, or show it on a screen; keep it flat, and its white border.", err=True
    )


def _measure_hand(user: str, hand: Path | None, length: float | None, overlay: Path | None) -> None:
    from ..calibrate.hand import profile_from_length, profile_from_picture

    told = profile_from_length(user, length) if hand is None else profile_from_picture(user, hand, overlay)
    typer.echo(told, err=True)


def _measure_camera(camera, video, images, name, width, height, viewer) -> None:
    from ..calibrate.camera import CameraOptions, calibrate_camera
    from ..tracker.options import TrackOptions

    try:
        source = TrackOptions(
            camera=camera_of(camera), video=video, images=images, width=width, height=height, viewer=viewer
        )
        options = CameraOptions(source, name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(calibrate_camera(options), err=True)
