"""`semihand adapt`."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from .shared import BACKGROUNDS, CAMERA, camera_of, number, seed_option


def adapt(
    given: Annotated[str | None, typer.Argument(metavar="NAME|PATH", help="The same as --from.", show_default=False)] = None,
    record: Annotated[bool, typer.Option("--record", help="Record first, guided on the screen, then adapt.")] = False,
    source: Annotated[str | None, typer.Option("--from", metavar="NAME|PATH", help="A recording by name, a video, a folder of pictures, or a data set as in `semihand eval`.")] = None,
    camera: Annotated[str | None, typer.Option(metavar="N|NAME|ADDRESS", help=f"With --record: {CAMERA[0].lower()}{CAMERA[1:]} [default: the first one].")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="With --record: a video instead of a webcam.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of a recording made now; the personal model is called my-NAME [default: the date, or the source's name].")] = None,
    hand: Annotated[Literal["left", "right"] | None, typer.Option(help="With --record: which hand [default: the first one seen].")] = None,
    viewer: Annotated[str, typer.Option(help="With --record: window, none, or auto.")] = "auto",
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Whose hands they are: a profile of `semihand calibrate` gives their bone lengths [default: learnt from the frames].")] = None,
    profile: Annotated[Literal["robust", "paper"], typer.Option(help="robust: what measured best; paper: SemiHand to the letter.")] = "robust",
    teacher: Annotated[Literal["none", "detector"] | None, typer.Option(help="detector: the landmark model that finds hands teaches too; none: with robust it still helps to choose among the network's own answers [default: detector with robust, none with paper].")] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "base",
    crop: Annotated[Literal["detector", "label"], typer.Option(help="label: cut labelled data sets round their joints, for measuring.")] = "detector",
    split: Annotated[str | None, typer.Option(metavar="NAME", help="With a data set: the part whose pictures are used [default: the first].")] = None,
    limit: Annotated[int, number(2, 10**9, metavar="N", help="With a data set: at most N evenly spread frames.")] = 2000,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    minutes: Annotated[float | None, number(0.1, 1e6, help="Budget for everything after the recording; where it is too little, it says before learning what it will take.")] = None,
    iterations: Annotated[int | None, number(1, 10**6, help="Rounds of labelling and training [default: 10].")] = None,
    steps: Annotated[int | None, number(1, 10**7, help="Training steps a round [default: the profile's].")] = None,
    seed: Annotated[int, seed_option("Seed of everything that is drawn.")] = 0,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache` [default: rendered meanwhile].")] = None,
    backgrounds: Annotated[Path | None, BACKGROUNDS] = None,
    check: Annotated[bool, typer.Option("--check", help="Click a few joints on held-out frames to measure the true change.")] = False,
    no_install: Annotated[bool, typer.Option("--no-install", help="Only say whether the result is better.")] = False,
    use: Annotated[bool, typer.Option("--use", help="Use the result from now on, without being asked, where it is better.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run (or recording) of that name.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the run: state, logs, report [default: in semihand's data folder].")] = None,
) -> None:  # fmt: skip
    """Make the model better at your hands, from your own frames that nobody labelled. Nothing leaves this machine.

    Part of the recording is held out: only a model that is better on it is installed, else the old one stays.

    \b
    Examples:
      semihand adapt --record --name mine            record a minute or two, then adapt
      semihand adapt hands.mp4 --minutes 5           a video instead; a folder of pictures, a recording's name
      semihand adapt mine --teacher none             the recording again, without the landmark model as a teacher
      semihand track --model my-mine --follow
    """
    if [record, source is not None, given is not None].count(True) != 1:
        raise typer.BadParameter("Give --record, to record now, or a recording, a video or a folder: --from NAME|PATH.")
    source = given or source
    if record and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise typer.BadParameter("Processes of torchrun can't share a camera: record first, then --from the recording.")
    from ..adapt.learning_window import learning_window
    from ..adapt.next_steps import next_steps
    from ..adapt.run import AdaptOptions
    from ..adapt.run import adapt as run
    from ..record.session import RecordOptions
    from ..record.session import record as run_record

    if record:
        try:
            options = RecordOptions(
                camera=camera_of(camera), video=video, name=name, hand=hand, viewer=viewer, resume=resume, model=model
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        source, resume = run_record(options).name, False
    with learning_window(viewer if record else "none"):
        wanted = AdaptOptions(
            source=source, name=name, profile=profile, model=model, crop=crop,
            teacher=teacher or ("detector" if profile == "robust" else "none"),
            device=device, minutes=minutes, pictures=pictures, backgrounds=backgrounds, out=out, resume=resume,
            install=not no_install, check=check, seed=seed, iterations=iterations, steps=steps, split=split, limit=limit, user=user,
        )  # fmt: skip
        adapted = run(wanted)
    if adapted is not None:
        typer.echo(adapted.text)
        ask = partial(typer.confirm, default=True) if sys.stdin.isatty() and not no_install else None
        installed = adapted.decision.accepted and not no_install
        again = "" if minutes is None else wanted.source
        for line in next_steps(adapted.folder, wanted.made_name, installed, use, ask, again):
            typer.echo(line)
