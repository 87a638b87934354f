"""Fine-tuning on unlabelled crops: Algorithm 1 of SemiHand, visible from top to bottom.

| here                          | paper                                                    |
|-------------------------------|----------------------------------------------------------|
| iteration                     | t = 1..K                                                 |
| LabelledHalf, UnlabelledHalf  | X_L and X_U, together one batch                          |
| labels.judge                  | C, Eq. (8), and the gate 1(C <= τ)                       |
| labels.update                 | Eq. (7) and r = P(p̂)                                    |
| "unsupervised"                | L_unsup, Eq. (6)                                         |
| "view", "circles"             | L_vc, Eq. (10); L_cc, Eq. (11) to (14)                   |

Runs unchanged on one CPU, one GPU, or many under `torchrun`. After every iteration the whole state is on disk.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from ..errors import SemihandError
from ..models.checkpoint import Checkpoint, TrainingState, load_training_state, restore_rng, rng_state, save_training_state
from ..models.circles import load_circles
from ..models.decode import decode
from ..models.network import normalise
from ..progress import Progress
from ..synth.feed import Pictures
from .frames.crops import CropSet
from ..train.ema import Ema
from .halves import Answers, LabelledHalf, Labels, UnlabelledHalf
from ..train.logs import append_csv
from ..train.process import Process
from .profiles import FinetuneConfig
from .labels.pseudo import Confidence, PseudoLabels
from .labels.readings import ReadingLabels
from .labels.teacher import TeacherLabels

log = logging.getLogger(__name__)

#: The joints of all crops together must keep this share of their spread: heatmaps that flatten draw them to the middle.
LEAST_SPREAD = 0.7
LOSSES = ("supervised", "unsupervised", "view", "circles", "teacher", "total")


class Finetuning:
    """One fine-tuning. `run` trains; `network` is then the result.

    checkpoint: the source. pictures: synthetic ones with labels. taught: labels of
    another teacher, used with `teacher_weight`. folder: logs, state and examples go there; None keeps nothing.
    Raises SemihandError where the loss is no number or the joints collapse.
    """

    def __init__(self, checkpoint: Checkpoint, crops: CropSet, pictures: Pictures, config: FinetuneConfig, device: str = "auto",
                 taught: TeacherLabels | None = None, folder=None):  # fmt: skip
        self.process = Process.join(device)
        untaught = None if taught is None else np.flatnonzero(taught.weight.sum(axis=1) == 0)
        if config.readings and untaught is not None and not len(untaught):
            config = replace(config, pseudo_weight=0.0)  # no crop is left to read
        self.config, self.crops, self.pictures, self.taught = config, crops, pictures, taught
        self.folder = None if folder is None or self.process.rank else Path(folder)  # the first process writes, all resume
        self._state = None if folder is None else Path(folder) / "state.pt"
        self.source = checkpoint
        torch.manual_seed(config.seed + 1000 * self.process.rank)
        self.trained = checkpoint.build().to(self.process.device, memory_format=torch.channels_last)
        self.mean = Ema(self.trained, config.teacher_mean) if config.teacher_mean else None
        self.circles = load_circles(config.circle_layout).to(self.process.device) if config.circles_weight else None
        self.optimizer = torch.optim.Adam(self.trained.parameters(), lr=config.rate)
        self.labels = _pseudo_labels(crops, config, checkpoint.info.bone_lengths, untaught)
        self.iteration, self.finished, self.step, self.seconds, self._spread = 0, 0, 0, 0.0, None
        self._history: list[dict] = []
        self._validate = None

    @property
    def network(self) -> nn.Module:
        """The result so far: the averaged network where there is one."""
        return self.mean.network if self.mean else self.trained

    @property
    def steps(self) -> int:
        """Steps of one iteration."""
        config = self.config
        return config.steps or max(1, round(config.passes * len(self.crops) / self._unlabelled / self.process.world))

    @property
    def _unlabelled(self) -> int:
        return min(self.config.unlabelled, len(self.crops))

    def resume(self) -> None:
        """Go on after the folder's last finished iteration."""
        state = load_training_state(self._state)
        if state.config != self.source.config or state.extra["count"] != len(self.crops):
            raise SemihandError(
                f"{self._state.parent} holds a fine-tuning of another network or recording. Start without --resume."
            )
        self.trained.load_state_dict(state.network)
        if self.mean:
            self.mean.network.load_state_dict(state.ema)
            self.mean.steps = state.step
        self.optimizer.load_state_dict(state.optimizer)
        restore_rng(state.rng)
        self.iteration = self.finished = state.extra["iteration"]
        self.step = state.step
        self.seconds, self._spread = state.extra["seconds"], state.extra["spread"]
        self.labels.restore({name: tensor.numpy() for name, tensor in state.extra["labels"].items()})

    def run(self, minutes: float | None = None, observer=None, validate=None) -> nn.Module:
        """Algorithm 1 to its end; returns the result.

        minutes: a budget; iterations get shorter where it would be passed. observer(finetuning, confidence): called
        before the first iteration (with None) and after each. validate(network): further columns of iterations.csv.
        """
        self._validate = validate
        if self._spread is None:  # a resumed run has its labels
            self.labels.start(self.labels.predict(self.network, self.process.device))
            self._spread = _spread(self.labels.pose[0])
            self._save()
        if self.iteration == 0 and observer and self.process.rank == 0:
            observer(self, None)
        with Progress(total=self.config.iterations * self.steps, initial=self.iteration * self.steps, unit="steps",
                      desc="adapting", disable=self.process.rank > 0) as bar:  # fmt: skip
            while self.iteration < self.config.iterations:
                self.iteration += 1
                steps = self._affordable(minutes)
                confidence = self._iterate(bar, steps)
                bar.update(self.steps - steps)  # those that the budget leaves no room for
                if observer and self.process.rank == 0:
                    observer(self, confidence)
        return self.network

    def _affordable(self, minutes: float | None) -> int:
        """Steps of this iteration that the budget leaves room for."""
        if minutes is None or self.step == 0:
            return self.steps
        left = (60 * minutes - self.seconds) / (self.config.iterations - self.iteration + 1)
        return self._shared(int(np.clip(left / (self.seconds / self.step), 1, self.steps)))

    def _shared(self, steps: int) -> int:
        """The first process's count for all: with another number of steps one of them would wait for ever."""
        if self.process.world == 1:
            return steps
        shared = torch.tensor([steps], device=self.process.device)
        dist.broadcast(shared, 0)
        return int(shared)

    def _iterate(self, bar, steps: int) -> Confidence:
        start = time.monotonic()
        device, config, t = self.process.device, self.config, self.iteration
        confidence = self.labels.judge(self.network, device)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate(t)
        generator = torch.Generator().manual_seed(config.seed * 1000 + t + 100_003 * self.process.rank)
        rng = np.random.default_rng([config.seed, t, self.process.rank])
        forward, sums = self._forward_module(), {}
        for rows in self._batches(rng, steps):
            parts = self._train_step(forward, rows, confidence.gate, rng, generator)
            sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
            self._log_step(parts)
            bar.update(1)
        poses = self.labels.predict(self.network, device)
        self._check(poses)
        self.labels.update(poses)
        self.seconds += time.monotonic() - start
        self.finished = t
        self._log(confidence, {name: value / steps for name, value in sums.items()}, _spread(poses.uv))
        self._save()
        return confidence

    def _batches(self, rng, steps: int):
        """Row numbers of unlabelled crops, pass after pass, this process's share."""
        rank, world, size = self.process.rank, self.process.world, self._unlabelled
        order = np.random.default_rng([self.config.seed, self.iteration])
        pool = np.concatenate([order.permutation(len(self.crops)) for _ in range(1 + steps * size * world // len(self.crops))])
        for step in range(steps):
            start = (step * world + rank) * size
            yield pool[start : start + size]

    def _forward_module(self):
        if self.process.world == 1:
            return self.trained
        return nn.parallel.DistributedDataParallel(self.trained)

    def _train_step(self, forward, rows, gate, rng, generator) -> dict[str, float]:
        config, device = self.config, self.process.device
        size, factor = self.source.info.input_size, self.source.info.crop_factor
        self.trained.train()
        if config.batch_norm == "frozen":
            _freeze_norms(self.trained)
        drawn = self.pictures.draw(config.labelled, rng)
        halves = [LabelledHalf(drawn, self.pictures.crop_factor, size, factor, config, generator, device)]
        if config.uses_unlabelled:
            halves.append(UnlabelledHalf(self.crops, rows, self._labels(rows, gate), size, config, generator, device))
        answers = self._look(forward, [half.pictures for half in halves])
        losses: dict[str, torch.Tensor] = {}
        for half, answer in zip(halves, answers):
            for name, loss in half.losses(answer, self.circles).items():
                losses[name] = losses.get(name, 0.0) + loss
        total = sum(config.weight(name) * loss for name, loss in losses.items())
        if not torch.isfinite(total):
            raise SemihandError(
                f"The loss became {total.item()} at step {self.step}. Nothing was installed; lower the learning rate."
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.trained.parameters(), config.clip)
        self.optimizer.step()
        self.step += 1
        if self.mean:
            self.mean.update(self.trained)
        return {name: float(loss.detach()) for name, loss in losses.items()} | {"total": float(total.detach())}

    def _look(self, forward, groups: list[list[torch.Tensor]]) -> list[list[Answers]]:
        """One forward pass over all pictures of all halves (of each half where statistics are split)."""
        if self.config.batch_norm == "split":
            return [self._answer(forward, pictures) for pictures in groups]
        flat = self._answer(forward, [picture for group in groups for picture in group])
        return [[flat.pop(0) for _ in group] for group in groups]

    @staticmethod
    def _answer(forward, pictures: list[torch.Tensor]) -> list[Answers]:
        image = normalise(torch.cat(pictures)).contiguous(memory_format=torch.channels_last)
        stacks = forward(image)
        log_q = [maps.heat.float().flatten(2).log_softmax(-1).view_as(maps.heat) for maps in stacks]
        whole, start, parts = Answers([decode(maps) for maps in stacks], log_q), 0, []
        for picture in pictures:
            parts.append(whole.part(slice(start, start + len(picture))))
            start += len(picture)
        return parts

    def _labels(self, rows, gate) -> Labels:
        def tensors(arrays):
            return tuple(torch.from_numpy(np.asarray(array[rows], np.float32)).to(self.process.device) for array in arrays)

        taught = None if self.taught is None else tensors((self.taught.uv, self.taught.depth, self.taught.weight))
        known = None if self.taught is None or self.taught.mask is None else tensors((self.taught.mask,))[0]
        return Labels(
            tensors(self.labels.pose), tensors(self.labels.registered), tensors((gate,))[0], taught,
            tensors((self.labels.mask,))[0], known,
        )  # fmt: skip

    def _check(self, poses) -> None:
        spread = _spread(poses.uv)
        if not np.isfinite(spread) or spread < LEAST_SPREAD * self._spread:
            raise SemihandError(
                f"After iteration {self.iteration} the joints keep only {spread / self._spread:.0%} of their spread: the network"
                " is collapsing. Nothing was installed; record more varied poses or lower the learning rate."
            )

    def _log(self, confidence: Confidence, losses: dict[str, float], spread: float) -> None:
        row = {
            "t": self.iteration, "seconds": round(self.seconds, 2), "rate": self.config.learning_rate(self.iteration),
            **self._in_use(confidence.gate), "view_term": _median(confidence.view_term),
            "registration_term": _median(confidence.bone_term), "confidence_median": _median(confidence.total),
            "spread": spread / self._spread,
        } | {name: round(losses.get(name, 0.0), 5) for name in LOSSES}  # fmt: skip
        self._history.append(row)
        if self.folder:
            append_csv(self.folder / "iterations.csv", row)

    def _in_use(self, gate: np.ndarray) -> dict[str, float]:
        """How many crops have a label that counts, and how many one of another teacher."""
        own = gate * bool(self.config.pseudo_weight)
        if self.taught is None:
            return {"pass_rate": float(own.mean())}
        taught = self.taught.weight.sum(axis=1) > 0
        return {"pass_rate": float(np.maximum(own, taught).mean()), "teacher_rate": float(taught.mean())}

    def _log_step(self, parts: dict[str, float]) -> None:
        if self.folder:
            row = {"step": self.step, "t": self.iteration} | {name: round(parts.get(name, 0.0), 5) for name in LOSSES}
            append_csv(self.folder / "train.csv", row)

    def _save(self) -> None:
        if not self.folder:
            return
        kept = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in self.labels.state().items()}
        extra = {
            "iteration": self.iteration, "seconds": self.seconds, "count": len(self.crops), "spread": self._spread,
            "labels": kept,
        }  # fmt: skip
        save_training_state(self._state, TrainingState(
            self.source.config, self.step, self.step * self.config.labelled, self.trained.state_dict(),
            self.network.state_dict(), self.optimizer.state_dict(), rng_state(), extra,
        ))  # fmt: skip


def _pseudo_labels(crops: CropSet, config: FinetuneConfig, bone_lengths, untaught: np.ndarray | None) -> PseudoLabels:
    own = crops, config.labels, config.views, config.seed, bone_lengths
    reads = config.readings and config.pseudo_weight
    return ReadingLabels(*own, config.readings, untaught) if reads else PseudoLabels(*own)


def _median(terms: np.ndarray) -> float:
    """Of the crops that have one; 0 where none has."""
    known = terms[np.isfinite(terms)]
    return float(np.median(known)) if len(known) else 0.0


def _spread(uv: np.ndarray) -> float:
    """How far joints (N, 21, 2) lie apart within their hands, grid pixels."""
    return float(uv.std(axis=1).mean())


def _freeze_norms(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
