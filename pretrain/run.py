"""Pre-training on synthetic hands with exact labels and on many people's hands with a teacher's: the loop, visible
from top to bottom.

Runs unchanged on one CPU, one GPU, or many under `torchrun` (one process a device, gradients averaged by DDP).
"""

from __future__ import annotations

import logging
import math
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ..errors import SemihandError
from ..models.checkpoint import (
    TrainingState,
    describe,
    load_checkpoint,
    load_training_state,
    provenance,
    restore_rng,
    rng_state,
    save_checkpoint,
    save_training_state,
)
from ..models.decode import decode
from ..models.encoder import landmark_weights
from ..models.network import Hourglass, NetworkConfig, normalise
from ..synth.cache import Cache
from ..train.augment import AugmentConfig
from ..train.ema import Ema
from ..train.logs import append_csv
from ..train.losses import LossConfig, supervised_loss
from ..train.process import Process
from ..train.validate import Scores, contact_sheet, score
from .mixture import Mixture
from .pool import Pool, agreement

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainConfig:
    """What one pre-training does. Give `minutes` of training time or `samples` to see, not both.

    train_size: pixels of the pictures fed, default the network's own; a smaller size learns the coarse part faster.
    schedule: "cosine"; "stable": the full rate, and a straight way down in the last `decay` of the budget, so that a
    training can be prolonged (--resume goes on before the way down); "steps" as in the paper (a tenth of the rate at
    60 % and again at 90 %). people: share of the batch from a pool of unlabelled pictures. empty: share of the batch
    that is a background without any hand. thaw: first layer of a landmark encoder that is trained, at encoder_rate
    (None: none). bf16: None measures at the start whether it is faster than float32.
    """

    samples: int | None = None
    minutes: float | None = None
    batch: int = 32
    rate: float = 1.5e-3
    weight_decay: float = 1e-3
    warmup_steps: int = 100
    schedule: str = "cosine"
    ema: float = 0.998
    clip: float = 5.0
    bf16: bool | None = True
    decay: float = 0.25
    people: float = 0.5
    empty: float = 0.05
    thaw: int | None = 16
    encoder_rate: float = 1e-4
    seed: int = 0
    validate_every_s: float = 240.0
    train_size: int | None = None
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig | None = None

    def __post_init__(self):
        if (self.samples is None) == (self.minutes is None):
            raise SemihandError("Pre-training needs either --samples or --minutes, not both and not neither.")
        if self.schedule not in ("cosine", "stable", "steps"):
            raise SemihandError(f"Schedule {self.schedule!r} is unknown: cosine, stable or steps.")
        if not 0 < self.decay <= 1 or not 0 <= self.people < 1 or not 0 <= self.empty < 1:
            raise SemihandError(
                f"Shares lie between 0 and 1: decay {self.decay}, people {self.people}, empty {self.empty}."
            )
        if self.batch < 2:
            raise SemihandError(f"Batch {self.batch} is too small: batch statistics need at least 2 pictures.")

    def progress(self, samples: int, seconds: float) -> float:
        """Share of the budget that is used up, 0 to 1."""
        share = samples / self.samples if self.samples else seconds / 60.0 / self.minutes
        return min(1.0, share)

    def rate_factor(self, step: int, progress: float) -> float:
        """Of the full rate, after a linear warm-up."""
        if self.schedule == "steps":
            factor = 1.0 if progress < 0.6 else 0.1 if progress < 0.9 else 0.01
        elif self.schedule == "stable":
            factor = min(1.0, max(0.01, (1 - progress) / self.decay))
        else:
            factor = 0.5 * (1 + math.cos(math.pi * progress)) + 0.005
        return factor * min(1.0, (step + 1) / self.warmup_steps)


def parameter_groups(network: Hourglass, config: PretrainConfig) -> list[dict]:
    """What is trained, each group with its full `rate`. Decay only kernels, not biases, norms and sharpness."""
    encoder = list(network.stem.parameters()) if network.config.stem == "landmark" else []
    inside = {id(p) for p in encoder}
    rest = [p for p in network.parameters() if id(p) not in inside]
    groups = [
        ([p for p in rest if p.ndim > 1], config.rate, config.weight_decay),
        ([p for p in rest if p.ndim <= 1], config.rate, 0.0),
        ([p for p in encoder if p.requires_grad], config.encoder_rate, 0.1 * config.weight_decay),
    ]
    return [
        {"params": params, "lr": rate, "rate": rate, "weight_decay": decay} for params, rate, decay in groups if params
    ]


def new_network(config: NetworkConfig) -> Hourglass:
    """A network before its training: the landmark encoder with its released weights, the rest random."""
    network = Hourglass(config)
    if config.stem == "landmark":
        weights, answers = landmark_weights()
        network.stem.load_state_dict(weights)
        with torch.no_grad():
            for row, name in enumerate(("presence", "handedness")):
                network.verdict.weight[row], network.verdict.bias[row] = answers[name][0][0], answers[name][1][0]
    return network


def _check(network: NetworkConfig, config: PretrainConfig, pictures: int, world: int) -> None:
    """Refuse what would never make a batch, or a picture that the poolings do not divide."""
    if pictures // world < config.batch:
        raise SemihandError(
            f"{pictures} pictures make no batch of {config.batch} for each of {world} processes."
            " Render more or lower --batch."
        )
    step = network.input_size // network.map_size * 2 ** (len(network.widths) - (network.stem != "landmark"))
    if config.train_size and config.train_size % step:
        raise SemihandError(f"--train-size {config.train_size} is not a multiple of {step}, as {network.name} needs.")


def _start_from(network: Hourglass, path) -> None:
    checkpoint = load_checkpoint(path)
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise SemihandError(
            f"{path} holds the network {checkpoint.config.name!r} of another shape than {network.config.name!r}."
            " Give --network as it was trained."
        ) from error


class Pretraining:
    """One pre-training run in a folder: `run` trains, state.pt resumes, NAME.safetensors and the logs are its results.

    Raises SemihandError where pictures, sizes, device or the starting weights do not fit.
    """

    def __init__(self, folder, network: NetworkConfig, config: PretrainConfig, cache: Cache, validation: Cache,
                 device: str = "auto", init=None, pool: Pool | None = None, backgrounds: list | None = None):  # fmt: skip
        """cache, pool, backgrounds: see `Mixture`."""
        self.folder, self.config, self.cache, self.validation = Path(folder), config, cache, validation
        self.process = Process.join(device)
        _check(network, config, len(cache.ready()), self.process.world)
        torch.manual_seed(config.seed + 1000 * self.process.rank)
        self.network = new_network(network)
        if init is not None:
            _start_from(self.network, init)
        self.network = self.network.to(self.process.device, memory_format=torch.channels_last)
        self.mixture = Mixture(config, network, self.process, cache, pool, backgrounds)
        if network.stem == "landmark":
            self.network.stem.thaw(config.thaw)
        self.ema = Ema(self.network, config.ema)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.network, config), fused=True)
        self.step, self.samples, self.seconds, self.init = 0, 0, 0.0, init
        self.bf16 = self._faster_in_bf16() if config.bf16 is None else config.bf16

    def _faster_in_bf16(self) -> bool:
        """Whether steps take less time in bfloat16 than in float32 here: it differs from machine to machine."""
        size, device = self.mixture.size, self.process.device
        image = normalise(torch.zeros(self.config.batch, 3, size, size, device=device))
        image = image.contiguous(memory_format=torch.channels_last)
        seconds = {}
        for bf16 in (True, False, True, False):
            clock = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                maps = self.network.eval()(image)[-1]  # batch statistics stay as they are
            (maps.heat.mean() + maps.mask_logits.mean()).backward()
            if image.is_cuda:
                torch.cuda.synchronize()
            seconds[bf16] = time.perf_counter() - clock  # of the second round, the first one warms up
        self.network.zero_grad(set_to_none=True)
        log.info(
            "A batch of %d takes %.3f s in bfloat16, %.3f s in float32.", len(image), seconds[True], seconds[False]
        )
        return seconds[True] < seconds[False]

    def resume(self) -> None:
        """Go on from the folder's last saved state."""
        state = load_training_state(self.folder / "state.pt")
        if self.config.schedule == "stable" and (self.folder / "stable.pt").exists():
            before = load_training_state(self.folder / "stable.pt")
            if self.config.progress(state.samples_seen, state.extra["seconds"]) < 1 - self.config.decay:
                state = before  # the budget has grown: not from the end of the way down
        if state.config != self.network.config:
            raise SemihandError(
                f"{self.folder} trains the network {state.config.name!r} of another shape; give its own options."
            )
        self.network.load_state_dict(state.network)
        self.ema.network.load_state_dict(state.ema)
        self.optimizer.load_state_dict(state.optimizer)
        self.step, self.samples, self.seconds = state.step, state.samples_seen, state.extra["seconds"]
        self.ema.steps = self.step
        if self.process.world == 1:
            restore_rng(state.rng)
        else:
            torch.manual_seed(self.config.seed + 1000 * self.process.rank + self.step)

    def run(self) -> Scores:
        """Train to the end of the budget; returns the averaged network's scores on the validation pictures."""
        self._make_folder()
        forward, batches, bar = self._forward_module(), self.mixture.rows(self.step), self._bar()
        stable = self.config.progress(self.samples, self.seconds) >= 1 - self.config.decay
        clock, last_check = time.monotonic(), self.seconds
        while (progress := self.config.progress(self.samples, self.seconds)) < 1.0:
            if not stable and progress >= 1 - self.config.decay and self.config.schedule == "stable":
                self._save_state("stable.pt")  # a longer training goes on from here
                stable = True
            parts = self._train_step(forward, next(batches), progress)
            now = time.monotonic()
            self.seconds, clock = self._shared_clock(self.seconds + now - clock), now
            if self.step % 50 == 0:
                self._log_step(parts, bar, progress)
            if self.seconds - last_check > self.config.validate_every_s:
                self._checkpoint()
                last_check, clock = self.seconds, time.monotonic()
        bar.close()
        self.mixture.close()
        return self._checkpoint(final=True)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SemihandError(
                f"The folder {self.folder} could not be made: {error.strerror}. Choose another --out."
            ) from error
        if self.step == 0 and (self.folder / "state.pt").exists():
            raise SemihandError(f"{self.folder} holds a training. Go on with it by --resume, or choose another --out.")

    def _bar(self) -> tqdm:
        done = round(100 * self.config.progress(self.samples, self.seconds), 2)
        form = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
        return tqdm(total=100, initial=done, unit="%", disable=self.process.rank > 0, bar_format=form)

    def _forward_module(self):
        if self.process.world == 1:
            return self.network
        return torch.nn.parallel.DistributedDataParallel(self.network)

    def _shared_clock(self, seconds: float) -> float:
        """All processes follow the first one's clock, so that they stop at the same step."""
        if self.process.world == 1 or self.config.minutes is None:
            return seconds
        shared = torch.tensor([seconds], dtype=torch.float64, device=self.process.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def _train_step(self, forward, rows, progress: float) -> dict:
        config, device = self.config, self.process.device
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * config.rate_factor(self.step, progress)
        self.network.train()
        image, target = self.mixture.draw(rows, self.step)
        image = normalise(image).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            stacks = forward(image)
        loss, parts = supervised_loss([decode(maps) for maps in stacks], target, config.loss)
        # A GPU is not made to wait for every step's answer; weights that are not finite are never saved.
        if (device.type == "cpu" or self.step % 50 == 0) and not torch.isfinite(loss):
            raise SemihandError(
                f"The loss became {loss.item()} at step {self.step}. Lower --rate; the last state is kept."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], config.clip)
        self.optimizer.step()
        self.ema.update(self.network)
        self.step += 1
        self.samples += len(image) * self.process.world
        return parts

    def _log_step(self, parts: dict, bar, progress: float) -> None:
        if self.process.rank > 0:
            return
        row = {"step": self.step, "samples": self.samples, "seconds": round(self.seconds, 1)}
        row |= {name: round(float(part), 5) for name, part in parts.items()}
        append_csv(self.folder / "train.csv", row)
        self._plot("train", row)
        bar.n = round(100 * progress, 2)
        bar.set_postfix_str(
            f"{self.samples} seen, {self.samples / max(self.seconds, 1e-9):.0f}/s, pose {row['pose']:.3f}"
        )

    def _checkpoint(self, final: bool = False) -> Scores | None:
        """Save the resumable state and the averaged weights, and score them; only the first process does."""
        if self.process.rank > 0:
            return None
        network = self.ema.network
        scores, worst = score(network, self.validation, self.bf16, self.process.device, self.mixture.size)
        row = {"samples": self.samples, "seconds": round(self.seconds, 1)} | {
            k: round(v, 4) for k, v in asdict(scores).items()
        }
        if (pool := self.mixture.pool) is not None and len(pool.held):
            row["held_out_people"] = round(agreement(network, pool, self.process.device), 4)
            log.info("Held-out people: %.4f from the landmark model, over the hand's box.", row["held_out_people"])
        append_csv(self.folder / "validation.csv", row)
        self._plot("validation", row)
        self._board.flush()
        log.info("%d samples, %.1f min: %s", self.samples, self.seconds / 60, scores)
        # The weights first: they are refused where they are not finite, and then the last good state stays.
        save_checkpoint(
            self.folder / f"{network.config.name}.safetensors", network.state_dict(), self._describe(scores), "fp16"
        )
        self._save_state("state.pt")
        if final:
            contact_sheet(
                network, self.validation, self.folder / "predictions.png", worst, self.process.device, self.mixture.size
            )
        return scores

    def _save_state(self, name: str) -> None:
        if self.process.rank == 0:
            save_training_state(self.folder / name, TrainingState(
                self.network.config, self.step, self.samples, self.network.state_dict(), self.ema.network.state_dict(),
                self.optimizer.state_dict(), rng_state(), {"seconds": self.seconds},
            ))  # fmt: skip

    def _plot(self, group: str, row: dict) -> None:
        """The same numbers for TensorBoard."""
        for name in row.keys() - {"step", "samples"}:
            self._board.add_scalar(f"{group}/{name}", row[name], row["samples"])

    @cached_property
    def _board(self) -> SummaryWriter:
        return SummaryWriter(str(self.folder / "tensorboard"))

    def _describe(self, scores: Scores):
        pool = self.mixture.pool
        told = provenance(
            " ".join(["semihand", *sys.argv[1:]]), self.config.seed, self.samples,
            training=asdict(self.config), pictures=self.cache.provenance, validation=asdict(scores),
            init=Path(self.init).name if self.init else None, people=pool.provenance if pool else None,
        )  # fmt: skip
        return describe(self.network.config, told)
