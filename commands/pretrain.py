"""`semihand pretrain`, and `semihand export` that makes model files of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .shared import number, seed_option


def pretrain(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run: weights, resumable state, logs, pictures.")],
    pictures: Annotated[list[Path], typer.Option(metavar="DIR", help="Pictures of `semihand synth cache` to train on; give the option again for more.")],
    validation: Annotated[Path, typer.Option(metavar="DIR", help="Pictures of another seed to validate on.")],
    network: Annotated[Literal["lite", "paper"], typer.Option(help="lite for CPUs, paper (64x64, 256 channels) for GPUs.")] = "lite",
    minutes: Annotated[float | None, number(0.01, 1e6, help="Budget in minutes of training.")] = None,
    samples: Annotated[int | None, number(1, 10**12, help="Budget in pictures seen.")] = None,
    batch: Annotated[int, number(2, 100000, help="Pictures a step and process.")] = 32,
    rate: Annotated[float, number(1e-8, 10, help="Learning rate.")] = 1.5e-3,
    loss: Annotated[Literal["robust", "paper"], typer.Option(help="robust: absolute errors and a heatmap term; paper: Eq. 2 and 3 to the letter.")] = "robust",
    schedule: Annotated[Literal["cosine", "steps"], typer.Option(help="steps: the paper's, a tenth at 60 and at 90 %.")] = "cosine",
    validate_every: Annotated[float, number(0.01, 1e6, metavar="MINUTES", help="How often to validate and save.")] = 4.0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    fp32: Annotated[bool, typer.Option("--fp32", help="Without bfloat16.")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="With torch.compile: slow to start, then faster.")] = False,
    seed: Annotated[int, seed_option("Seed of weights and order.")] = 0,
    train_size: Annotated[int | None, number(32, 4096, help="Feed pictures of this size [default: the network's]. Begin small, --resume larger: the coarse part is learned faster.")] = None,
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
    from ..adapt.losses import PAPER_LOSS, LossConfig
    from ..adapt.pretrain import PretrainConfig, Pretraining
    from ..models.network import LITE, PAPER
    from ..synth.cache import open_cache, open_caches

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
    from ..models.export import export as run

    report = run(checkpoint, out, check_images, int8)
    typer.echo(f"{report.path}: {report.megabytes:.1f} MB")
