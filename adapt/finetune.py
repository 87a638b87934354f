"""Fine-tuning on unlabelled crops: Algorithm 1 of SemiHand, visible from top to bottom.

| here                          | paper                                                    |
|-------------------------------|----------------------------------------------------------|
| t                             | t = 1..K                                                 |
| LabelledHalf, UnlabelledHalf  | X_L and X_U, together one batch                          |
| labels.judge                  | C, Eq. (8), and the gate 1(C <= τ)                       |
| labels.update                 | Eq. (7) and r = P(p̂)                                    |
| "unsupervised"                | L_unsup, Eq. (6)                                         |
| "view", "circles"             | L_vc, Eq. (10); L_cc, Eq. (11) to (14)                   |

`state.Finetuning` holds what goes on from step to step, and keeps it on disk. Runs unchanged on one CPU, one GPU, or many
under `torchrun`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .halves import LabelledHalf, UnlabelledHalf, batch_losses
from .labels.pseudo import Confidence
from .state import Finetuning
from .views import predict


def finetune(
    run: Finetuning,
    minutes: float | None = None,
    observer: Callable[[Finetuning, Confidence | None], None] | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> nn.Module:
    """Algorithm 1 from where `run` stands to its end; returns the result.

    minutes: a budget; iterations get shorter where it would be passed, and fewer where that is not enough.
    observer: called before the first iteration (without a confidence) and after each, by the first process alone,
    as is validate(network): further columns of iterations.csv. Raises SemihandError where the loss is no number or
    the joints collapse.
    """
    config, crops, labels, device = run.config, run.crops, run.labels, run.process.device
    if run.untouched:
        run.begin(predict(run.network, crops, device))  # the first p̂ are the source's own answers, and r = P(p̂)
    if observer and run.process.first and run.iteration == 0:
        observer(run, None)
    with run.progress(minutes) as bar:
        while run.iteration < config.iterations and (steps := run.affordable(minutes)):
            rng, generator = run.next_iteration()
            confidence = labels.judge(run.network, device)  # Eq. (8); the gate holds for the whole iteration
            for rows in run.batches(steps):
                run.trained.train()
                drawn = run.pictures.draw(config.batch, rng)
                halves = [
                    LabelledHalf.draw(drawn, run.pictures.crop_factor, run.source.info, config, generator, device)
                ]
                if config.uses_unlabelled:
                    batch = run.labels_of(rows, confidence.gate)
                    size = run.source.info.input_size
                    halves.append(UnlabelledHalf.draw(crops, rows, batch, size, config, generator, device))
                losses = batch_losses(run.forward, halves, run.circles)
                run.descend(losses)
                bar.update()
            bar.update(run.steps - steps)  # those that the budget leaves no room for
            poses = predict(run.network, crops, device)  # p'
            run.refuse_collapse(poses)
            labels.update(poses)  # p̂ = (p' + r) / 2, Eq. (7), and r = P(p̂)
            run.finish_iteration(confidence, poses, validate)
            if observer and run.process.first:
                observer(run, confidence)
    return run.network
