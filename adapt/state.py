"""Where a fine-tuning stands: its networks, labels and counters, on disk after every iteration, and its logs."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..errors import SemihandError
from ..models.checkpoint import (
    Checkpoint,
    TrainingState,
    load_training_state,
    restore_rng,
    rng_state,
    save_training_state,
)
from ..models.circles import load_circles
from ..models.encoder import LandmarkEncoder
from ..progress import Progress
from ..synth.feed import Pictures
from ..train.ema import Ema
from ..train.logs import append_csv
from ..train.process import Process
from .frames.crops import CropSet
from .halves import Labels
from .labels.pseudo import Confidence, PseudoLabels
from .labels.readings import ReadingLabels
from .labels.teacher import TeacherLabels
from .profiles import FinetuneConfig
from .views import Poses

#: The joints of all crops together must keep this share of their spread: heatmaps that flatten draw them to the middle.
LEAST_SPREAD = 0.7
#: Steps of an iteration under a small budget, and seconds that a step takes there at most.
FIRST_STEPS, SLOW_STEP = 4, 1.0
#: Of the gradient's norm.
CLIP = 5.0
LOSSES = ("supervised", "unsupervised", "view", "circles", "teacher", "total")


class Finetuning:
    """One fine-tuning, which `finetune.finetune` trains.

    checkpoint: the source. pictures: synthetic ones with labels. teacher: labels of another teacher, used with
    `teacher_weight`. folder: logs and state go there; None keeps nothing. origin: what the crops and the source are; the
    state of another origin is not gone on with. template (20,): this person's bone lengths in unit bones, None for the
    source's. `trained` learns, `network` is the result so far.
    """

    def __init__(self, checkpoint: Checkpoint, crops: CropSet, pictures: Pictures, config: FinetuneConfig, device: str = "auto",
                 teacher: TeacherLabels | None = None, folder=None, origin: str = "", template=None):  # fmt: skip
        self.process = Process.join(device)
        self.recipe = {"origin": origin, "crops": len(crops), **_plain(asdict(config))}
        without = None if teacher is None else np.flatnonzero(teacher.weight.sum(axis=1) == 0)
        if config.readings and without is not None and not len(without):
            config = replace(config, pseudo_weight=0.0)  # no crop is left to read
        self.source, self.config, self.crops, self.pictures, self.teacher = checkpoint, config, crops, pictures, teacher
        self.folder = (
            None if folder is None or self.process.rank else Path(folder)
        )  # the first process writes, all resume
        self._state = None if folder is None else Path(folder) / "state.pt"
        torch.manual_seed(config.seed + 1000 * self.process.rank)
        self.trained = checkpoint.build().to(self.process.device, memory_format=torch.channels_last)
        if isinstance(self.trained.stem, LandmarkEncoder):
            self.trained.stem.thaw(config.thaw)
        if self.trained.verdict is not None:  # no mirrored and no empty crops are shown here that could teach it
            self.trained.verdict.requires_grad_(False)
        self.mean = Ema(self.trained, config.teacher_mean) if config.teacher_mean else None
        self.circles = load_circles(config.circle_layout).to(self.process.device) if config.circles_weight else None
        self._learning = [parameter for parameter in self.trained.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.Adam(self._learning, lr=config.rate)
        self.labels = _pseudo_labels(
            crops, config, checkpoint.info.bone_lengths if template is None else template, without
        )
        self.iteration, self.finished, self.step, self._spread = 0, 0, 0, None
        self.seconds, self.step_seconds = 0.0, 0.0  # of all iterations, and of their steps alone

    @property
    def network(self) -> nn.Module:
        """The result so far: the averaged network where there is one."""
        return self.mean.network if self.mean else self.trained

    @cached_property
    def forward(self) -> nn.Module:
        """The trained network, with gradients averaged over all processes."""
        if self.process.world == 1:
            return self.trained
        # No loss of a fine-tuning teaches a network's verdict.
        return nn.parallel.DistributedDataParallel(self.trained, find_unused_parameters=self.source.config.verdict)

    @property
    def steps(self) -> int:
        """Steps of one iteration."""
        return self.config.steps or max(1, round(len(self.crops) / self._batch / self.process.world))

    @property
    def _batch(self) -> int:
        return min(self.config.batch, len(self.crops))

    @property
    def untouched(self) -> bool:
        """Whether there are no labels yet."""
        return self._spread is None

    def begin(self, poses: Poses) -> None:
        """The source's own answers are the first labels."""
        self.labels.start(poses)
        self._spread = _spread(poses)
        self._save()

    def progress(self, minutes: float | None = None) -> Progress:
        """How many of all steps are done; minutes: the budget of all that is learned."""
        done, total = self.iteration * self.steps, self.config.iterations * self.steps
        limit = None if minutes is None else max(60 * minutes - self.seconds, 1.0)
        return Progress(
            total=total, initial=done, unit="steps", desc="adapting", disable=not self.process.first, limit=limit
        )

    def next_iteration(self) -> tuple[np.random.Generator, torch.Generator]:
        """Begin an iteration: what its pictures and its augmentation are drawn with."""
        self.iteration += 1
        self._sums, self._first_step, self._start = dict.fromkeys(LOSSES, 0.0), self.step, time.monotonic()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate(self.iteration)
        seed, t, rank = self.config.seed, self.iteration, self.process.rank
        generator = torch.Generator().manual_seed(seed * 1000 + t + 100_003 * rank)
        return np.random.default_rng([seed, t, rank]), generator

    def affordable(self, minutes: float | None) -> int:
        """Steps of the next iteration that the budget leaves room for, 0 where it is spent; the same for all processes."""
        if minutes is None:
            return self.steps
        if self.step == 0:  # nobody knows yet how long one takes
            return min(self.steps, max(FIRST_STEPS, int(60 * minutes / self.config.iterations / SLOW_STEP)))
        rounds = self.config.iterations - self.iteration
        apart = (self.seconds - self.step_seconds) / self.iteration  # judging and correcting labels, whatever the steps
        left, each, few = 60 * minutes - self.seconds, self.step_seconds / self.step, min(FIRST_STEPS, self.steps)
        steps = int(np.clip((left / rounds - apart) / each, few, self.steps)) if left > apart + few * each else 0
        if self.process.world > 1:  # with another number of steps one of them would wait for ever
            shared = torch.tensor([steps], device=self.process.device)
            dist.broadcast(shared, 0)
            steps = int(shared)
        return steps

    def batches(self, steps: int):
        """Row numbers of unlabelled crops, pass after pass, this process's share."""
        rank, world, size = self.process.rank, self.process.world, self._batch
        order = np.random.default_rng([self.config.seed, self.iteration])
        pool = np.concatenate(
            [order.permutation(len(self.crops)) for _ in range(1 + steps * size * world // len(self.crops))]
        )
        for step in range(steps):
            start, begun = (step * world + rank) * size, time.monotonic()
            yield pool[start : start + size]
            self.step_seconds += time.monotonic() - begun

    def labels_of(self, rows: np.ndarray, gate: np.ndarray) -> Labels:
        """Labels of some crops, on the device."""

        def tensors(*arrays) -> tuple[Tensor, ...]:
            return tuple(
                torch.from_numpy(np.asarray(array[rows], np.float32)).to(self.process.device) for array in arrays
            )

        known, teacher = self.teacher, None
        if known is not None:
            teacher = tensors(known.uv, known.depth, known.weight)
        true_mask = None if known is None or known.mask is None else tensors(known.mask)[0]
        return Labels(tensors(*self.labels.pose), tensors(*self.labels.registered), *tensors(gate), teacher,
                      *tensors(self.labels.mask), true_mask)  # fmt: skip

    def descend(self, losses: dict[str, Tensor]) -> None:
        """One step down the weighted sum of the losses. Raises SemihandError where it is no number."""
        total = sum(self.config.weight(name) * loss for name, loss in losses.items())
        if not torch.isfinite(total):
            raise SemihandError(
                f"The loss became {total.item()} at step {self.step}. Nothing was installed; lower the learning rate."
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self._learning, CLIP)
        self.optimizer.step()
        self.step += 1
        if self.mean:
            self.mean.update(self.trained)
        self._log_step({name: float(loss.detach()) for name, loss in (losses | {"total": total}).items()})

    def refuse_collapse(self, poses: Poses) -> None:
        """Raises SemihandError where the joints of all crops draw together, or are no numbers."""
        spread = _spread(poses)
        if not np.isfinite(spread) or spread < LEAST_SPREAD * self._spread:
            raise SemihandError(
                f"After iteration {self.iteration} the joints keep only {spread / self._spread:.0%} of their spread: the network"
                " is collapsing. Nothing was installed; record more varied poses or lower the learning rate."
            )

    def finish_iteration(self, confidence: Confidence, poses: Poses, validate=None) -> None:
        """Log the iteration and save its state. validate(network): further columns, asked of the first process alone."""
        validated = validate(self.network) if validate and self.folder else {}
        self.seconds += time.monotonic() - self._start
        self.finished = self.iteration
        if self.folder:
            self._log_iteration(confidence, poses, validated)
        self._save()

    def resume(self) -> None:
        """Go on after the folder's last finished iteration. Raises SemihandError where it holds none, or another run."""
        state = load_training_state(self._state)
        known = state.extra.get("recipe", {})
        differs = [name for name, value in self.recipe.items() if known.get(name) != value]
        if state.config != self.source.config:
            differs.insert(0, "network")
        if differs:
            raise SemihandError(
                f"{self._state.parent} holds another fine-tuning (it differs in {', '.join(differs)})."
                " Give the same options, or start without --resume."
            )
        self.trained.load_state_dict(state.network)
        if self.mean:
            self.mean.network.load_state_dict(state.ema)
            self.mean.steps = state.step
        self.optimizer.load_state_dict(state.optimizer)
        self.iteration = self.finished = state.extra["iteration"]
        self.step, self.seconds, self._spread = state.step, state.extra["seconds"], state.extra["spread"]
        self.step_seconds = state.extra.get("step_seconds", self.seconds)
        self.labels.restore({name: tensor.numpy() for name, tensor in state.extra["labels"].items()})
        if self.process.world == 1:
            restore_rng(state.rng)
        else:  # the state is the first process's; with its generator all would draw the same colours
            torch.manual_seed(self.config.seed + 1000 * self.process.rank + self.step)

    def _save(self) -> None:
        if not self.folder:
            return
        labels = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in self.labels.state().items()}
        extra = {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "step_seconds": self.step_seconds,
            "spread": self._spread,
            "recipe": self.recipe,
            "labels": labels,
        }
        save_training_state(self._state, TrainingState(
            self.source.config, self.step, self.step * self.config.batch, self.trained.state_dict(),
            self.network.state_dict(), self.optimizer.state_dict(), rng_state(), extra,
        ))  # fmt: skip

    def _log_step(self, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self._sums[name] += value
        if self.folder:
            append_csv(self.folder / "train.csv", {"step": self.step, "t": self.iteration} | _rounded(losses))

    def _log_iteration(self, confidence: Confidence, poses: Poses, validated: dict[str, float]) -> None:
        steps = max(1, self.step - self._first_step)
        append_csv(self.folder / "iterations.csv", {
            "t": self.iteration, "seconds": round(self.seconds, 2), "rate": self.config.learning_rate(self.iteration),
            **self.in_use(confidence.gate), "view_term": _median(confidence.view_term),
            "registration_term": _median(confidence.bone_term), "confidence_median": _median(confidence.total),
            "spread": _spread(poses) / self._spread, **_rounded({name: value / steps for name, value in self._sums.items()}),
            **validated,
        })  # fmt: skip

    def in_use(self, gate: np.ndarray) -> dict[str, float]:
        """Shares of the crops that have a label that counts, and one of another teacher. gate (N,)."""
        used = {"pass_rate": float(self.counting(gate).mean())}
        return used if self.teacher is None else used | {"teacher_rate": float(self.taught.mean())}

    @property
    def taught(self) -> np.ndarray:
        """(N,) bool: crops that have a label of another teacher."""
        return np.zeros(len(self.crops), bool) if self.teacher is None else self.teacher.weight.sum(axis=1) > 0

    def counting(self, gate: np.ndarray) -> np.ndarray:
        """(N,) how much the labels of the crops count, whoever they are of. gate (N,): their own labels'."""
        return np.maximum(gate * bool(self.config.pseudo_weight), self.taught)


def _pseudo_labels(crops: CropSet, config: FinetuneConfig, bone_lengths, rows: np.ndarray | None) -> PseudoLabels:
    """rows: those that are read, None for all."""
    own = crops, config.labels, config.views, config.seed, bone_lengths
    reads = config.readings and config.pseudo_weight
    return ReadingLabels(*own, config.readings, rows) if reads else PseudoLabels(*own)


def _plain(values):
    """Lists for tuples, so that what was saved compares with what is asked for."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items()}
    return [_plain(value) for value in values] if isinstance(values, (tuple, list)) else values


def _rounded(losses: dict[str, float]) -> dict[str, float]:
    """Columns of a log: one for every loss that there may be."""
    return {name: round(losses.get(name, 0.0), 5) for name in LOSSES}


def _median(terms: np.ndarray) -> float:
    """Of the crops that have one; 0 where none has."""
    known = terms[np.isfinite(terms)]
    return float(np.median(known)) if len(known) else 0.0


def _spread(poses: Poses) -> float:
    """How far joints lie apart within their hands, grid pixels."""
    return float(poses.uv.std(axis=1).mean())
