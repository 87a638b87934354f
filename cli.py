"""The `semihand` command. Heavy imports happen inside the commands: `--help` and `track` never load torch."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from .errors import SemihandError

#: Modules of the extra [train]; without them tracking works, training and export don't.
TRAIN_MODULES = ("torch", "onnx", "safetensors", "tensorboard")

app = typer.Typer(
    name="semihand",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Hand tracking from an ordinary webcam that becomes better at your hands, on your own machine.",
)


@app.callback()
def _semihand(
    debug: Annotated[bool, typer.Option("--debug", help="Say more, and show tracebacks (works anywhere on the line).")] = False,
) -> None:  # fmt: skip
    """`main` takes --debug out of the arguments; it stands here for the help."""


@app.command()
def track(
    camera: Annotated[int | None, typer.Option(min=0, help="Webcam by number [default: 0, without --video and --images].")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="Video file instead of a webcam.")] = None,
    images: Annotated[str | None, typer.Option(metavar="DIR", help="Folder of pictures, or one picture. Each stands for itself unless --fps is given.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file [default: the one of `semihand models use`, else lite].")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Take over a newer model while tracking: installed, chosen or rolled back meanwhile.")] = False,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. auto says what it took; cuda fails where CUDA does not run.")] = "auto",
    hands: Annotated[int, typer.Option(min=1, max=8, help="Track at most so many hands.")] = 2,
    save_video: Annotated[str | None, typer.Option(metavar="FILE", help="Write the overlay as a video (.mp4, .mov, .mkv, .avi).")] = None,
    jsonl: Annotated[str | None, typer.Option(metavar="FILE", help="Write a header and one JSON line a frame; - is the standard output.")] = None,
    csv: Annotated[str | None, typer.Option(metavar="FILE", help="Write one row per frame, hand and joint.")] = None,
    npz: Annotated[str | None, typer.Option(metavar="FILE", help="Write stacked arrays, at the end.")] = None,
    viewer: Annotated[str, typer.Option(help="window (keys: q quit, s snapshot, m mirror, space pause), rerun, none; auto: a window where there is a display.")] = "auto",
    mirror: Annotated[bool, typer.Option("--mirror", help="Flip what the window shows, and nothing else.")] = False,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    f: Annotated[float | None, typer.Option(min=1.0, metavar="FX", help="Focal length of the camera in pixels [default: 0.85 of the longer side].")] = None,
    no_smooth: Annotated[bool, typer.Option("--no-smooth", help="Joints as the network gives them: no smoothing, no delay from it.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads for each network [default: by the machine's cores].")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Ask the webcam for this width [default: 640].")] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Ask the webcam for this height [default: 480].")] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, help="Ask the webcam for this rate [default: 30]; with --images, the rate they were filmed at.")] = None,
) -> None:  # fmt: skip
    """Track hands: 21 joints, mask and 3D, on a webcam, a video or pictures. Ctrl-C or q ends it and closes all files.

    \b
    Examples:
      semihand track                                        the first webcam in a window
      semihand track --camera 1 --width 1280 --height 720 --mirror
      semihand track --video in.mp4 --save-video out.mp4 --jsonl out.jsonl --viewer none
      semihand track --images photos --csv joints.csv --viewer none
    """
    from .tracker.run import TrackOptions, track as run

    try:
        options = TrackOptions(
            camera=camera, video=video, images=images, width=width, height=height, fps=fps, model=model, follow=follow,
            device=device, threads=threads, hands=hands, focal=f, smooth=not no_smooth, save_video=save_video,
            jsonl=jsonl, csv=csv, npz=npz, viewer=viewer, mirror=mirror, max_frames=max_frames,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(run(options).text(), err=True)


@app.command("eval")
def evaluate(
    data: Annotated[list[Path], typer.Option(metavar="FOLDER", help="Sequence folder; give the option again for more.")],
    model: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file [default: the one of `semihand models use`, else lite].")] = None,
    crop: Annotated[Literal["label", "detector"], typer.Option(help="Crops round the labelled joints, or as the detector finds the hand.")] = "label",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. cuda fails where CUDA does not run.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    overlay: Annotated[Path | None, typer.Option(metavar="DIR", help="Write pictures of predicted and true joints, and a sheet with the worst first.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write every frame's own errors.")] = None,
    peer: Annotated[Path | None, typer.Option(metavar="FILE", help="MediaPipe's hand_landmarker.task: adds its rows (needs the mediapipe package).")] = None,
) -> None:  # fmt: skip
    """Measure a model on labelled pictures: 2D and 3D errors, missed hands.

    \b
    Examples:
      semihand eval --data recordings/mine
      semihand eval --data a --data b --model lite --crop detector --json
      semihand eval --data a --overlay out --csv frames.csv
    """
    from .evaluate.command import run_eval

    typer.echo(run_eval(data, model, crop, device, as_json, overlay, csv, peer))


synth_app = typer.Typer(no_args_is_help=True, help="Labelled synthetic hands: look at them, export them, render them ahead.")
app.add_typer(synth_app, name="synth")

_BACKGROUNDS = typer.Option(metavar="DIR", help="Folder of pictures used as backgrounds beside the painted ones.")
_UPRIGHT = typer.Option(min=0, max=1, help="Share of raised hands as a webcam sees them; the rest from all sides.")
_SEED = typer.Option(help="The same seed gives the same pictures.")


@synth_app.command("preview")
def synth_preview(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Picture to write (.png or .jpg).")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 60,
    seed: Annotated[int, _SEED] = 0,
    size: Annotated[int, typer.Option(min=32, help="Side of each picture in pixels.")] = 160,
    clean: Annotated[bool, typer.Option("--clean", help="Without camera defects.")] = False,
    backgrounds: Annotated[Path | None, _BACKGROUNDS] = None,
) -> None:
    """Write a sheet of synthetic hands; every third one shows its labels.

    \b
    Example: semihand synth preview --out sheet.png
    """
    from .synth.preview import preview_sheet
    from .synth.scene import SceneConfig
    from .synth.sensor import SensorConfig

    config = SceneConfig(size=size, sensor=SensorConfig(strength=0.0 if clean else 1.0))
    preview_sheet(out, count, seed, config, backgrounds)
    typer.echo(f"{count} pictures in {out}")


@synth_app.command("export")
def synth_export(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to create.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 1000,
    seed: Annotated[int, _SEED] = 0,
    size: Annotated[int, typer.Option(min=32, help="Side of each picture in pixels.")] = 256,
    upright: Annotated[float, _UPRIGHT] = 0.8,
    backgrounds: Annotated[Path | None, _BACKGROUNDS] = None,
) -> None:
    """Write labelled pictures as a sequence folder: joints in 2D and 3D, masks, intrinsics, left and right hands."""
    from .evaluate.synthetic import export_synthetic
    from .synth.scene import SceneConfig

    export_synthetic(out, count, seed, SceneConfig(size=size, upright=upright), backgrounds)
    typer.echo(f"{count} labelled pictures in {out}")


@synth_app.command("realism")
def synth_realism(
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 300,
    seed: Annotated[int, _SEED] = 0,
    upright: Annotated[float, _UPRIGHT] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the pictures that failed worst.")] = None,
    backgrounds: Annotated[Path | None, _BACKGROUNDS] = None,
) -> None:  # fmt: skip
    """Show plain synthetic hands to MediaPipe's models: how many are found, and where the joints are seen.

    
    Example: semihand synth realism --sheet worst.png
    """
    from .evaluate.realism import run_realism

    typer.echo(run_realism(count, seed, upright, as_json, sheet, backgrounds))


@synth_app.command("cache")
def synth_cache(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of arrays to create; in RAM (/dev/shm) where a GPU is to be fed.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures; 92 KB each.")] = 65536,
    seed: Annotated[int, _SEED] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes [default: all cores].")] = None,
    upright: Annotated[float, _UPRIGHT] = 0.8,
    backgrounds: Annotated[Path | None, _BACKGROUNDS] = None,
) -> None:  # fmt: skip
    """Render pictures ahead for `semihand pretrain`. An interrupted run goes on where it stopped."""
    from .synth.cache import render_cache
    from .synth.scene import SceneConfig

    render_cache(out, count, seed, SceneConfig(upright=upright), workers, backgrounds)


@synth_app.command("circles")
def synth_circles(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="File to write (.json) [default: the package's own].")] = None,
    count: Annotated[int, typer.Option(min=8, help="How many hands; a quarter of them is held out.")] = 3000,
    seed: Annotated[int, _SEED] = 0,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Hands of `semihand synth cache` [default: rendered, without anything else in the picture].")] = None,
) -> None:  # fmt: skip
    """Fit the 55 circles that `semihand adapt` lays over masks to synthetic hands.

    \b
    Example: semihand synth circles --out circles.json
    """
    from .synth.fit_circles import CIRCLES_PATH, fit_circles

    record = fit_circles(count, seed, out or CIRCLES_PATH, pictures)
    for name, layout in record["layouts"].items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in layout["held_out"].items()))
    typer.echo(f"Written to {out or CIRCLES_PATH}")


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run: weights, resumable state, logs, pictures.")],
    pictures: Annotated[list[Path], typer.Option(metavar="DIR", help="Pictures of `semihand synth cache` to train on; give the option again for more.")],
    validation: Annotated[Path, typer.Option(metavar="DIR", help="Pictures of another seed to validate on.")],
    network: Annotated[Literal["lite", "paper"], typer.Option(help="lite for CPUs, paper (64x64, 256 channels) for GPUs.")] = "lite",
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Budget in minutes of training.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Budget in pictures seen.")] = None,
    batch: Annotated[int, typer.Option(min=2, help="Pictures a step and process.")] = 32,
    rate: Annotated[float, typer.Option(min=1e-8, help="Learning rate.")] = 1.5e-3,
    loss: Annotated[Literal["robust", "paper"], typer.Option(help="robust: absolute errors and a heatmap term; paper: Eq. 2 and 3 to the letter.")] = "robust",
    schedule: Annotated[Literal["cosine", "steps"], typer.Option(help="steps: the paper's, a tenth at 60 and at 90 %.")] = "cosine",
    validate_every: Annotated[float, typer.Option(min=0.01, metavar="MINUTES", help="How often to validate and save.")] = 4.0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    fp32: Annotated[bool, typer.Option("--fp32", help="Without bfloat16.")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="With torch.compile: slow to start, then faster.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights and order.")] = 0,
    train_size: Annotated[int | None, typer.Option(min=32, help="Feed pictures of this size [default: the network's]. Begin small, --resume larger: the coarse part is learned faster.")] = None,
    init: Annotated[Path | None, typer.Option(metavar="FILE", help="Start from this checkpoint.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last saved state.")] = False,
) -> None:  # fmt: skip
    """Train a network on synthetic hands, from nothing or from a checkpoint. Works under torchrun.

    \b
    Example:
      semihand synth cache --out cache/train --seed 1
      semihand synth cache --out cache/val --seed 9000 --count 2048 --upright 1
      semihand pretrain --out runs/lite --pictures cache/train --validation cache/val --minutes 90
    """
    from .adapt.losses import PAPER_LOSS, LossConfig
    from .adapt.pretrain import PretrainConfig, Pretraining
    from .models.network import LITE, PAPER
    from .synth.cache import open_cache, open_caches

    config = PretrainConfig(
        samples=samples, minutes=minutes, batch=batch, rate=rate, schedule=schedule, seed=seed, bf16=not fp32,
        compile=compile, train_size=train_size, validate_every_s=60 * validate_every, loss=PAPER_LOSS if loss == "paper" else LossConfig(),
    )  # fmt: skip
    run = Pretraining(
        out, {"lite": LITE, "paper": PAPER}[network], config, open_caches(pictures), open_cache(validation), device, init
    )
    if resume:
        run.resume()
    run.run()


@app.command()
def adapt(
    record: Annotated[bool, typer.Option("--record", help="Record first, guided on the screen, then adapt.")] = False,
    source: Annotated[str | None, typer.Option("--from", metavar="NAME|PATH", help="A recording by name, a video, a folder of pictures, or a sequence folder.")] = None,
    camera: Annotated[int | None, typer.Option(min=0, help="With --record: webcam by number [default: 0].")] = None,
    video: Annotated[str | None, typer.Option(metavar="FILE", help="With --record: a video instead of a webcam.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the recording and of the personal model [default: the date, or the file's name].")] = None,
    hand: Annotated[Literal["left", "right"] | None, typer.Option(help="With --record: which hand [default: the first one seen].")] = None,
    viewer: Annotated[str, typer.Option(help="With --record: window, none, or auto.")] = "auto",
    profile: Annotated[Literal["robust", "paper"], typer.Option(help="robust: what measured best; paper: SemiHand to the letter.")] = "robust",
    teacher: Annotated[Literal["none", "detector"] | None, typer.Option(help="detector: the landmark model that finds hands teaches too [default: detector with robust, none with paper].")] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "lite",
    crop: Annotated[Literal["detector", "label"], typer.Option(help="label: cut labelled sequence folders round their joints, for measuring.")] = "detector",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    minutes: Annotated[float | None, typer.Option(min=0.1, help="Budget for the fine-tuning.")] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Rounds of labelling and training [default: 10].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps a round [default: the profile's].")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is drawn.")] = 0,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache` [default: rendered meanwhile].")] = None,
    backgrounds: Annotated[Path | None, _BACKGROUNDS] = None,
    check: Annotated[bool, typer.Option("--check", help="Click a few joints on held-out frames to measure the true change.")] = False,
    no_install: Annotated[bool, typer.Option("--no-install", help="Only say whether the result is better.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run (or recording) of that name.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the run: state, logs, report [default: in semihand's data folder].")] = None,
) -> None:  # fmt: skip
    """Make the model better at your hands, from your own frames that nobody labelled. Nothing leaves this machine.

    Part of the recording is held out: only a model that is better on it is installed, else the old one stays.

    \b
    Examples:
      semihand adapt --record --name mine            record a minute or two, then adapt
      semihand adapt --from mine --teacher none      the recording again, without the landmark model as a teacher
      semihand adapt --from hands.mp4 --minutes 5
      semihand track --model my-mine --follow
    """
    from .record.session import RecordOptions
    from .record.session import record as run_record
    from .adapt.run import AdaptOptions
    from .adapt.run import adapt as run

    if record == (source is not None):
        raise typer.BadParameter("Give either --record or --from NAME|PATH.")
    if record:
        try:
            options = RecordOptions(camera=camera, video=video, name=name, hand=hand, viewer=viewer, resume=resume)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        source, resume = run_record(options).name, False
    typer.echo(run(AdaptOptions(
        source=source, name=None if record or name is None else name, profile=profile, model=model, crop=crop,
        teacher=teacher or ("detector" if profile == "robust" else "none"),
        device=device, minutes=minutes, pictures=pictures, backgrounds=backgrounds, out=out, resume=resume,
        install=not no_install, check=check, seed=seed, iterations=iterations, steps=steps,
    )).text)  # fmt: skip


@app.command()
def ablate(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Labelled sequence folder. Its labels measure; only the row oracle learns from them.")],
    pictures: Annotated[Path, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache`, the labelled half of every batch.")],
    results: Annotated[Path, typer.Option(metavar="FILE", help="CSV to append to; what it holds is not run again.")],
    row: Annotated[list[str] | None, typer.Option(help="A row of the table; give the option again for more [default: all].")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of every row.")] = 3,
    share: Annotated[float, typer.Option(min=0.05, max=1, help="Part of the frames, from the first on, that is adapted to; the rest are other poses.")] = 2 / 3,
    crop: Annotated[Literal["label", "detector"], typer.Option(help="Crops round the labelled joints, or as the detector finds the hand.")] = "label",
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "lite",
    iterations: Annotated[int | None, typer.Option(min=1, help="Rounds [default: the recipes' own].")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps a round [default: the recipes' own].")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Pictures of each half of a batch [default: the profile's].")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
) -> None:  # fmt: skip
    """Measure which part of the method brings what: the paper's Table 1 on any labelled target. Resumable.

    \b
    Example:
      semihand ablate --data target --pictures cache/train --results ablation.csv --seeds 3
    """
    from .adapt.ablation import ROWS
    from .evaluate.ablate import AblateOptions, run_ablation

    typer.echo(run_ablation(AblateOptions(
        data, pictures, results, tuple(row or ROWS), seeds, share, crop, model, iterations, steps, batch, device,
    )))  # fmt: skip


@app.command("gate-study")
def gate_study(
    pictures: Annotated[Path, typer.Option(metavar="DIR", help="Synthetic pictures of `semihand synth cache`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the study: candidates, study.csv, correlations.json, scatter.svg.")],
    data: Annotated[list[Path] | None, typer.Option(metavar="FOLDER", help="Labelled sequence folder, used without its labels but for measuring; give the option again for more.")] = None,
    rendered: Annotated[int, typer.Option(min=0, help="How many targets of rendered hands with another camera and light.")] = 2,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to start from.")] = "lite",
) -> None:  # fmt: skip
    """Measure how well the label-free indicators tell true changes, and whether the gate refuses harmful trainings.

    \b
    Example: semihand gate-study --data target --pictures cache/train --out study
    """
    import json

    from .evaluate.gate_runs import StudyOptions
    from .evaluate.gate_study import run_study, summary
    from .models.registry import checkpoint_of

    rows = run_study(StudyOptions(tuple(data or ()), checkpoint_of(model), pictures, out, rendered))
    typer.echo(json.dumps(summary(rows), indent=1))


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Weights of `semihand pretrain` or `adapt` (.safetensors).")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Model file to write (.onnx).")],
    check_images: Annotated[Path | None, typer.Option(metavar="DIR", help="Pictures of hands to compare on [default: noise].")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit: smaller, faster on newer CPUs, less exact; needs --check-images.")] = False,
) -> None:  # fmt: skip
    """Make the model file that `semihand track` runs from a checkpoint, and compare the two before it is kept.

    \b
    Example: semihand export runs/lite/lite.safetensors --out lite.onnx --check-images photos
    """
    from .models.export import export as run

    report = run(checkpoint, out, check_images, int8)
    typer.echo(f"{report.path}: {report.megabytes:.1f} MB")


models_app = typer.Typer(no_args_is_help=True, help="Released and personal models: list them, choose the default, go back, delete.")
app.add_typer(models_app, name="models")

_MODEL_NAME = typer.Argument(metavar="NAME", help="A name of `semihand models list`.")


@models_app.command("list")
def models_list(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """All models: where each comes from, its versions, what the last adaptation changed. The default is marked."""
    from .models.listing import table, to_json
    from .models.registry import installed

    typer.echo((to_json if as_json else table)(installed()))


@models_app.command("show")
def models_show(name: Annotated[str, _MODEL_NAME]) -> None:
    """One model: its files, every version that is kept, and the record of the one in use."""
    from .models.listing import details
    from .models.registry import find

    typer.echo(details(find(name)))


@models_app.command("use")
def models_use(name: Annotated[str, _MODEL_NAME]) -> None:
    """Make a model the default of track, eval and demo; `semihand models use lite` goes back to the released one."""
    from .models.registry import use

    typer.echo(f"{use(name).name} is the default now.")


@models_app.command("rollback")
def models_rollback(
    name: Annotated[str, _MODEL_NAME],
    version: Annotated[int | None, typer.Option("--to", min=1, metavar="VERSION", help="This one [default: the one that the version in use had replaced].")] = None,
) -> None:  # fmt: skip
    """Go back to a former version of a personal model. The version left stays; --to brings it back."""
    from .models.registry import rollback

    typer.echo(f"{name} is version {rollback(name, version).version} now.")


@models_app.command("remove")
def models_remove(name: Annotated[str, _MODEL_NAME]) -> None:
    """Delete a personal model with all its versions. Its recording stays."""
    from .models.registry import remove

    typer.echo(f"Deleted {remove(name)}")


recordings_app = typer.Typer(no_args_is_help=True, help="Recordings of your hands: list them, look at them, delete them. They never leave this machine.")
app.add_typer(recordings_app, name="recordings")


@recordings_app.command("list")
def recordings_list() -> None:
    """All recordings with their size, and the folder they are in."""
    from .record.text import list_text

    typer.echo(list_text())


@recordings_app.command("show")
def recordings_show(
    name: Annotated[str, typer.Argument(help="A name of `semihand recordings list`, or a recording's folder.")],
    sheet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture of frames spread over the recording (.png or .jpg).")] = None,
) -> None:  # fmt: skip
    """What a recording holds: hands, segments, what was left out and why, which poses it covers.

    \b
    Example: semihand recordings show mine --sheet sheet.png
    """
    from .record.text import show_text

    typer.echo(show_text(name, sheet))


@recordings_app.command("remove")
def recordings_remove(name: Annotated[str, typer.Argument(help="A name of `semihand recordings list`.")]) -> None:
    """Delete a recording for good. Models that were made from it stay."""
    from .record.recording import delete_recording

    delete_recording(name)
    typer.echo(f"Deleted the recording {name}.")


@app.command()
def demo(
    frames: Annotated[int, typer.Option(min=1, help="How many frames to render and track, 30 of them a second.")] = 150,
    hands: Annotated[int, typer.Option(min=1, max=2, help="One right hand, or both hands of a person.")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the overlay video and the joints.")] = Path("semihand-demo"),
    model: Annotated[str | None, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file [default: the one of `semihand models use`, else lite].")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. cuda fails where CUDA does not run.")] = "auto",
) -> None:  # fmt: skip
    """Render a short clip of hands with known truth, track it, and say how well and how fast. Needs no camera.

    \b
    Examples:
      semihand demo
      semihand demo --hands 2 --frames 300 --out both-hands
    """
    from .evaluate.demo import DemoOptions, run_demo
    from .synth.clip import ClipConfig

    typer.echo(run_demo(DemoOptions(ClipConfig(frames=frames, hands=hands), out, model, device)))


@app.command()
def bench(
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="Video to track [default: the demo's clip, rendered].")] = None,
    hands: Annotated[int | None, typer.Option(min=1, max=8, help="Hands wanted [default: a run with 1 and a run with 2].")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="At most so many frames a run [default: 300].")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="At most so long a run [--render: 10 each].")] = None,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Released or personal model by name, or an .onnx file.")] = "lite",
    device: Annotated[str, typer.Option(help="auto, cuda or cpu. cuda fails where CUDA does not run.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads for each network [default: by the machine's cores].")] = None,
    peer: Annotated[Path | None, typer.Option(metavar="FILE", help="MediaPipe's hand_landmarker.task: runs it in turn on the same frames (needs the mediapipe package).")] = None,
    render: Annotated[bool, typer.Option("--render", help="Measure instead how many synthetic pictures a second 1, 2, ... processes draw.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:  # fmt: skip
    """Measure the speed of every stage of tracking, start-up time and memory on this machine. Leave it idle meanwhile.

    \b
    Examples:
      semihand bench
      semihand bench --video in.mp4 --hands 2 --json
      semihand bench --peer hand_landmarker.task
      semihand bench --render
    """
    from .evaluate import bench as tracking

    if not render:
        wanted = (hands,) if hands else (1, 2)
        report = tracking.run_bench(
            tracking.BenchOptions(video, wanted, frames or 300, seconds, model, device, threads, peer)
        )
        typer.echo(tracking.to_json(report) if as_json else tracking.to_text(report))
        return
    if video or hands or frames or peer or threads:
        raise typer.BadParameter("--render goes with --seconds and --json only: it tracks nothing.")
    from .evaluate import bench_render as rendering

    report = rendering.run_render_bench(rendering.RenderOptions(seconds=seconds or 10.0))
    typer.echo(tracking.to_json(report) if as_json else rendering.to_text(report))


@app.command()
def doctor() -> None:
    """Say what works on this machine, and the next step where something does not. Exit code 1 where a part is broken."""
    from .doctor import examine

    broken = False
    for finding in examine():
        typer.echo(str(finding))
        broken |= finding.ok is False
    raise typer.Exit(int(broken))


def main() -> None:
    """Run the command line; a SemihandError becomes one sentence and exit code 1."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except SemihandError as error:
        if debug:
            raise
        typer.echo(f"semihand: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if debug or error.name not in TRAIN_MODULES:
            raise
        typer.echo(f"semihand: This command needs {error.name}: pip install -c constraints.txt -e .[train]", err=True)
        sys.exit(1)
