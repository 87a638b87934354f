"""`semihand track`, the live tracker, and `semihand demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .live import Hts, Leap, Osc, Udp, Vmc, Websocket
from .shared import CAMERA, camera_of, number


def track(
    more_images: Annotated[list[str] | None, typer.Argument(metavar="SOURCE", help="A video, a picture, a folder of them, or a camera's number, without an option; with --images: more pictures, as the shell makes them of *.jpg.", show_default=False)] = None,
    camera: Annotated[str | None, typer.Option(metavar="N|NAME|ADDRESS", help=f"{CAMERA} [default: the first one, without --video and --images].")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="Video file or animation instead of a webcam; - is the standard input.")] = None,
    images: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of pictures, a pattern in quotes, or pictures. Each stands for itself unless --fps is given.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file [default: the one of `semihand models use`, else base].")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Take over a newer model while tracking: installed, chosen or rolled back meanwhile.")] = False,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. auto says what it took; cuda fails where CUDA does not run.")] = "auto",
    hands: Annotated[int, number(1, 8, help="Track at most so many hands.")] = 2,
    compare: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="A second model beside the first, in window and video.")] = None,
    save_video: Annotated[str | None, typer.Option(metavar="FILE", help="Write the overlay as a video (.mp4, .mov, .mkv, .avi).")] = None,
    save_images: Annotated[str | None, typer.Option(metavar="DIR", help="Write the overlay of every frame as a picture.")] = None,
    jsonl: Annotated[str | None, typer.Option(metavar="FILE", help="Write a header and one JSON line a frame; - is the standard output.")] = None,
    csv: Annotated[str | None, typer.Option(metavar="FILE", help="Write one row per frame, hand and joint.")] = None,
    npz: Annotated[str | None, typer.Option(metavar="FILE", help="Write stacked arrays, at the end.")] = None,
    udp: Udp = None,
    websocket: Websocket = None,
    osc: Osc = None,
    vmc: Vmc = None,
    hts: Hts = None,
    leap: Leap = None,
    viewer: Annotated[str, typer.Option(help="window (h shows its keys), rerun, none; auto: a window where there is a display.")] = "auto",
    mirror: Annotated[bool, typer.Option("--mirror", help="Flip what the window shows, and nothing else.")] = False,
    show: Annotated[str, typer.Option(metavar="PARTS", help="What the overlay shows beside the bones: any of mask,dots,labels,ids, or none (keys 1 2 3 4).")] = "mask,dots,labels",
    fast: Annotated[bool, typer.Option("--fast", help="In a window, run a video as fast as it can be tracked, not at its own speed, and pictures without waiting for a key.")] = False,
    max_frames: Annotated[int | None, number(1, 10**9, help="Stop after so many frames.")] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Whose hands they are: a profile of `semihand calibrate`, for true sizes and distances [default: an average hand].")] = None,
    f: Annotated[float | None, number(1.0, 1e6, metavar="FX", help="Focal length of the camera in pixels [default: as calibrated, else 0.85 of the longer side].")] = None,
    calibration: Annotated[str | None, typer.Option(metavar="NAME", help="The calibrated camera that filmed the video or pictures. A webcam's own is used by itself.")] = None,
    no_smooth: Annotated[bool, typer.Option("--no-smooth", help="Joints as the network gives them: no smoothing, no delay from it.")] = False,
    threads: Annotated[int | None, number(1, 256, help="Threads for each network [default: by the machine's cores].")] = None,
    width: Annotated[int | None, number(1, 16384, help="Ask the webcam for this width [default: 640].")] = None,
    height: Annotated[int | None, number(1, 16384, help="Ask the webcam for this height [default: 480].")] = None,
    fps: Annotated[float | None, number(0.1, 1000, help="Ask the webcam for this rate [default: 30]; with --images, the rate they were filmed at.")] = None,
) -> None:  # fmt: skip
    """Track hands: 21 joints, mask and 3D, on a webcam, a video or pictures. Ctrl-C or q ends it and closes all files.

    Nothing is sent anywhere unless one of --udp to --leap names where to.

    \b
    Examples:
      semihand track                                        the first webcam in a window
      semihand track in.mp4                                 a video; a folder of pictures, a picture and 1 for camera 1 too
      semihand track --camera 1 --width 1280 --height 720 --mirror
      semihand track --video in.mp4 --save-video out.mp4 --jsonl out.jsonl --viewer none
      semihand track --images photos --csv joints.csv --viewer none
      semihand track --websocket 8765                       then open http://127.0.0.1:8765 in a browser
      semihand track --vmc 39540 --osc 192.168.1.20:9000    an avatar here, TouchDesigner there
    """
    from ..outputs.live import LiveOptions
    from ..tracker.run import TrackOptions
    from ..tracker.run import track as run

    if more_images and images is None:
        raise typer.BadParameter(f"{more_images[0]} stands for itself: name it with --video, or with --images.")
    try:
        options = TrackOptions(
            camera=camera_of(camera), video=video, images=[images, *more_images] if more_images else images, width=width, height=height, fps=fps, model=model, follow=follow,
            device=device, threads=threads, hands=hands, focal=f, calibration=calibration, user=user, smooth=not no_smooth, compare=compare,
            save_video=save_video, save_images=save_images, jsonl=jsonl, csv=csv, npz=npz,
            live=LiveOptions(udp=udp, websocket=websocket, osc=osc, vmc=vmc, hts=hts, leap=leap), viewer=viewer, mirror=mirror,
            show=show, fast=fast, max_frames=max_frames,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(run(options).text(), err=True)


def demo(
    frames: Annotated[int, number(1, 10**9, help="How many frames to render and track, 30 of them a second.")] = 150,
    hands: Annotated[int, number(1, 2, help="One right hand, or both hands of a person.")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the overlay video and the joints.")] = Path("semihand-demo"),
    model: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file [default: the one of `semihand models use`, else base].")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. cuda fails where CUDA does not run.")] = "auto",
) -> None:  # fmt: skip
    """Render a short clip of hands with known truth, track it, and say how well and how fast. Needs no camera.

    \b
    Examples:
      semihand demo
      semihand demo --hands 2 --frames 300 --out both-hands
    """
    from ..evaluate.demo import VIDEO, DemoOptions, run_demo
    from ..synth.clip import ClipConfig
    from ..tracker.viewer import display_available

    typer.echo(run_demo(DemoOptions(ClipConfig(frames=frames, hands=hands), out, model, device)))
    if sys.stdout.isatty() and display_available():
        typer.launch(str(out / VIDEO))
    else:
        typer.echo(f"\nOpen {out / VIDEO} in any video player.")
