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
    network: Annotated[Literal["base", "lite", "paper"], typer.Option(help="base starts from MediaPipe's landmark encoder; lite for slow CPUs; paper (64x64, 256 channels) for GPUs.")] = "base",
    pool: Annotated[Path | None, typer.Option(metavar="DIR", help="People's pictures of `semihand pool`: a share of every batch.")] = None,
    backgrounds: Annotated[Path | None, typer.Option(metavar="DIR", help="Pictures without hands: some of every batch.")] = None,
    people: Annotated[float, number(0, 0.9, help="Share of the pool's pictures in a batch.")] = 0.5,
    minutes: Annotated[float | None, number(0.01, 1e6, help="Budget in minutes of training.")] = None,
    samples: Annotated[int | None, number(1, 10**12, help="Budget in pictures seen.")] = None,
    batch: Annotated[int, number(2, 100000, help="Pictures a step and process.")] = 32,
    rate: Annotated[float, number(1e-8, 10, help="Learning rate.")] = 1e-3,
    encoder_rate: Annotated[float, number(1e-9, 10, help="That of the landmark encoder (base).")] = 1e-4,
    thaw: Annotated[int, number(0, 47, help="First layer of the landmark encoder that is trained; 47: none.")] = 16,
    loss: Annotated[Literal["robust", "paper"], typer.Option(help="robust: absolute errors and a heatmap term; paper: Eq. 2 and 3 to the letter.")] = "robust",
    schedule: Annotated[Literal["cosine", "stable", "steps"], typer.Option(help="stable: full rate, then down in the last share --decay, to be prolonged by --resume; steps: the paper's.")] = "stable",
    decay: Annotated[float, number(0.01, 1, help="Share of the budget in which the stable rate goes down.")] = 0.25,
    validate_every: Annotated[float, number(0.01, 1e6, metavar="MINUTES", help="How often to validate and save.")] = 4.0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    fp32: Annotated[bool, typer.Option("--fp32", help="Without bfloat16, which is otherwise taken where it is faster.")] = False,
    seed: Annotated[int, seed_option("Seed of weights and order.")] = 0,
    train_size: Annotated[int | None, number(32, 4096, help="Feed pictures of this size [default: the network's]. Begin small, --resume larger: the coarse part is learned faster.")] = None,
    init: Annotated[Path | None, typer.Option(metavar="FILE", help="Start from this checkpoint.")] = None,
    rendering: Annotated[bool, typer.Option("--rendering", help="Pictures may still be being rendered: begin with those that are there (GPU).")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last saved state.")] = False,
) -> None:  # fmt: skip
    """Train a network on synthetic hands and on many people's, from nothing or from a checkpoint. Works under torchrun.

    \b
    Example:
      semihand synth cache --out cache/train --seed 1
      semihand synth cache --out cache/val --seed 9000 --count 2048 --upright 1
      semihand pool --data people --out cache/people
      semihand pretrain --out runs/base --pictures cache/train --validation cache/val --pool cache/people --minutes 90
    """
    from ..models.network import BASE, LITE, PAPER
    from ..pretrain.pool import open_pool
    from ..pretrain.run import PretrainConfig, Pretraining
    from ..synth.background import load_pictures
    from ..synth.cache import open_cache, open_caches
    from ..train.losses import PAPER_LOSS, LossConfig

    config = PretrainConfig(
        samples=samples, minutes=minutes, batch=batch, rate=rate, schedule=schedule, seed=seed, bf16=False if fp32 else None,
        train_size=train_size, validate_every_s=60 * validate_every, people=people, decay=decay, thaw=thaw,
        encoder_rate=encoder_rate, loss=PAPER_LOSS if loss == "paper" else LossConfig(),
    )  # fmt: skip
    run = Pretraining(
        out, {"base": BASE, "lite": LITE, "paper": PAPER}[network], config, open_caches(pictures, rendering), open_cache(validation), device,
        init, open_pool(pool) if pool else None, load_pictures(backgrounds) if backgrounds else None,
    )  # fmt: skip
    if resume:
        run.resume()
    run.run()


def pool(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pool; one that is there is only labelled anew.")],
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Sequence folder of unlabelled pictures.")] = None,
    hold_out: Annotated[list[str], typer.Option(metavar="SOURCE", help="A frame's `gesture` (its source) that is never trained on; give the option again for more.")] = [],  # noqa: B006
    network: Annotated[Path | None, typer.Option(metavar="FILE", help="Lay this network's answers over the landmark model's labels (.safetensors).")] = None,
    share: Annotated[float, number(0, 1, help="Of the network in the labels; 1: it alone.")] = 0.5,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
) -> None:  # fmt: skip
    """Cut many people's hands out of unlabelled pictures and label them with models, for `semihand pretrain --pool`.

    \b
    Example:
      semihand pool --data people --out cache/people --hold-out some-source
      semihand pool --out cache/people --network runs/base/base.safetensors     # labels anew, with masks
    """
    from ..pretrain.pool import build_pool, open_pool, refine_pool
    from ..train.process import Process

    if data is not None:
        made = build_pool(data, out, tuple(hold_out))
    else:
        made = open_pool(out)
    if network is not None:
        made = refine_pool(out, network, share, Process.join(device).device)
    typer.echo(f"{len(made.image)} crops in {out}, {len(made.rows)} of them to train on")


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
    apart = ", ".join(f"{name} {difference:.2g}" for name, difference in report.differences.items())
    typer.echo(f"{report.path}: {report.megabytes:.1f} MB; difference from its weights: {apart}")
