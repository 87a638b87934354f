"""Fine-tunings for the gate's study: good ones and harmful ones, each measured with and without labels.

What was measured is kept in the study's folder and not computed again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from ...adapt.finetune import Finetuning, finetune
from ...adapt.frames.crops import CropSet
from ...adapt.gate.decide import split_held_out
from ...adapt.gate.indicators import Indicators, measure, synthetic_slice
from ...adapt.labels.teacher import TeacherLabels, detector_labels
from ...adapt.profiles import ROBUST, FinetuneConfig, named_profile
from ...adapt.views import Poses, predict
from ...errors import SemihandError
from ...models.checkpoint import atomic_file, load_checkpoint
from ...models.network import Hourglass
from ...synth.cache import open_cache
from ...synth.feed import FixedPictures
from .targets import Target, absent, blurred, frozen, rendered_crops


@dataclass(frozen=True)
class Case:
    """One kind of fine-tuning.

    changes: of the profile. faster: factor of the rate. spoil: what happens to the recording. taught: labels of the
    landmark model ("detector") or the network's own for the wrong pictures ("shuffled"). harmful: must be refused.
    """

    profile: str = "robust"
    changes: tuple[tuple[str, object], ...] = ()
    faster: float = 1.0
    spoil: str = ""
    taught: str = ""
    harmful: bool = False


_NONE = {"view_weight": 0.0, "circles_weight": 0.0, "pseudo_weight": 0.0}


def _case(profile: str = "robust", **values) -> Case:
    """A case; values that are no fields of Case change the profile."""
    own = {name: values.pop(name) for name in ("faster", "spoil", "taught", "harmful") if name in values}
    return Case(profile, tuple(values.items()), **own)


CASES = {
    "robust": _case(),
    "paper": _case("paper"),
    "views only": _case(**_NONE | {"view_weight": 1.0}),
    "circles only": _case(**_NONE | {"circles_weight": 1.0}),
    "pseudo-labels only": _case(**_NONE | {"pseudo_weight": 1.0}),
    "synthetic only": _case(**_NONE, through_norm=False),
    "detector": _case(taught="detector", **_NONE | {"view_weight": 1.0, "teacher_weight": 1.0}),
    "half absent": _case(spoil="half absent"),
    "rate x0.3": _case(faster=0.3),
    "rate x3": _case(faster=3.0),
    "rate x10": _case(faster=10.0),
    "circles x10": _case(circles_weight=10.0, circles=replace(ROBUST.circles, skip_below_iou=0.0)),
    "absent": _case(spoil="absent", harmful=True),
    "blurred": _case(spoil="blurred", harmful=True),
    "frozen": _case(spoil="frozen", harmful=True),
    "rate x30": _case(faster=30.0, harmful=True),
    "shuffled": _case(taught="shuffled", harmful=True, **_NONE | {"teacher_weight": 1.0}),
}


@dataclass(frozen=True)
class StudyOptions:
    """sequences: folders with labels; rendered: how many shifted targets of rendered hands. checkpoint: the source.
    pictures: folder of a finished cache. out: the study's folder. cases: names of CASES, empty: all. seeds: of the
    fine-tunings. iterations, steps, batch, rate: of each one; short ones need a high rate. stretches: each result
    is measured with these multiples of the weights' change, 2 being as if it had gone on in the same direction. truths:
    crops at most on which the true error is measured."""

    sequences: tuple[Path, ...]
    checkpoint: Path
    pictures: Path
    out: Path
    rendered: int = 2
    cases: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    iterations: int = 2
    steps: int = 10
    batch: int = 12
    rate: float = 3e-4
    stretches: tuple[float, ...] = (0.5, 1.0, 2.0)
    truths: int = 100
    device: str = "auto"

    def __post_init__(self):
        unknown = [name for name in self.cases if name not in CASES]
        if unknown:
            raise SemihandError(f"Unknown cases {', '.join(unknown)}; known: {', '.join(CASES)}.")
        if not self.sequences and not self.rendered:
            raise SemihandError("The study needs a sequence folder with labels or rendered targets.")

    def settings(self) -> dict:
        """What makes candidates comparable: those of other settings don't go into the same folder."""
        names = ("iterations", "steps", "batch", "rate", "truths")
        return {name: getattr(self, name) for name in names} | {
            "checkpoint": sha256(self.checkpoint.read_bytes()).hexdigest()
        }


@dataclass(frozen=True)
class Measured:
    """Indicators on the held-out crops, the true errors of all crops of the target, and why training stopped, if it did."""

    indicators: Indicators
    errors: dict[str, np.ndarray]
    stopped: str = ""


class Bench:
    """Fine-tunings on one target; what is in the folder already isn't done again."""

    def __init__(self, target: Target, options: StudyOptions):
        self.target, self.options = target, options
        self.checkpoint = load_checkpoint(options.checkpoint)
        self.source = self.checkpoint.build()
        self.cache = open_cache(options.pictures)
        self.pictures = FixedPictures(self.cache)
        self.synthetic = synthetic_slice(self.pictures)
        self.measured = np.unique(np.linspace(0, len(target.crops) - 1, options.truths).astype(int))

    def candidates(self, name: str, seed: int) -> Iterator[tuple[float, Measured, Measured]]:
        """(stretch, before, after) of a case; none where its teacher has nothing to say."""
        case = CASES[name]
        if case.taught == "detector" and not np.isfinite(self.target.crops.marks_uv).any():
            return
        recording = self._recording(case, seed)
        train_rows, held_rows = split_held_out(recording, seed=seed)
        held = recording.take(held_rows)
        files = {stretch: self._file(f"{name} {seed} x{stretch:g}") for stretch in self.options.stretches}
        source = self._file(f"source, {case.spoil or 'as recorded'} {seed}")
        if not source.exists():
            save(source, self._measure(self.source, held, None))
        if not all(file.exists() for file in files.values()):
            self._train(case, seed, recording.take(train_rows), held, files)
        for stretch, file in files.items():
            yield stretch, load(source), load(file)

    def _train(self, case: Case, seed: int, train: CropSet, held: CropSet, files: dict[float, Path]) -> None:
        config = self._config(case, seed)
        tuning = Finetuning(
            self.checkpoint, train, self.pictures, config, self.options.device, self._taught(case, train, seed)
        )
        stopped = ""
        try:
            finetune(tuning)
        except SemihandError as error:
            stopped = str(error)
        for stretch, file in files.items():
            network = stretched(self.source, tuning.network, stretch)
            save(file, self._measure(network, held, self.source, stopped))

    def _config(self, case: Case, seed: int) -> FinetuneConfig:
        options, rate = self.options, self.options.rate * case.faster
        return named_profile(case.profile, iterations=options.iterations, steps=options.steps, batch=options.batch,
                               rate=rate, late_rate=rate, seed=seed, **dict(case.changes))  # fmt: skip

    def _recording(self, case: Case, seed: int) -> CropSet:
        crops = self.target.crops.take(self.target.recorded)
        if case.spoil.endswith("absent"):
            rows = np.flatnonzero(~np.asarray(self.cache.present))[:64]
            empty = rendered_crops(self.cache, rows, self.checkpoint.info).image
            return absent(crops, empty, 0.5 if "half" in case.spoil else 1.0, seed)
        spoil = {"": lambda crops: crops, "blurred": blurred, "frozen": lambda crops: frozen(crops, seed)}
        return spoil[case.spoil](crops)

    def _taught(self, case: Case, train: CropSet, seed: int) -> TeacherLabels | None:
        if not case.taught:
            return None
        own = predict(self.source, train)
        if case.taught == "detector":
            return detector_labels(train, self.checkpoint.info.bone_lengths, own)
        order = np.random.default_rng(seed).permutation(len(train))
        lengths = np.asarray(self.checkpoint.info.bone_lengths)
        return TeacherLabels(own.uv[order], own.depth[order], np.ones_like(own.depth), lengths)

    def _measure(self, network, held: CropSet, reference, stopped: str = "") -> Measured:
        device = next(network.parameters()).device
        reference = None if reference is None else reference.to(device)
        indicators = measure(network, held, device, self.synthetic, reference=reference)
        part = self.target.take(self.measured)
        return Measured(indicators, part.errors(predict(network, part.crops, device)), stopped)

    def _file(self, name: str) -> Path:
        return self.options.out / self.target.name / f"{name}.npz"


def stretched(source: Hourglass, network: Hourglass, stretch: float) -> Hourglass:
    """The source with `stretch` times the change of weights and statistics that leads to `network`."""
    made = copy.deepcopy(network).eval()
    then = source.state_dict()
    for name, now in made.state_dict().items():
        if now.dtype.is_floating_point:
            now.copy_(then[name].to(now.device).lerp(now, stretch))
            if name.endswith("running_var"):
                now.clamp_(min=1e-6)
    return made


def save(file: Path, measured: Measured) -> None:
    """All but the masks and the joints' confidence."""
    indicators = measured.indicators
    arrays = {f"per_crop/{name}": values for name, values in indicators.per_crop.items()}
    arrays |= {f"whole/{name}": value for name, value in indicators.whole.items()}
    arrays |= {f"errors/{name}": values for name, values in measured.errors.items()}
    arrays |= {"synthetic": indicators.synthetic, "block": indicators.block, "stopped": measured.stopped}
    arrays |= {"uv": indicators.poses.uv, "depth": indicators.poses.depth}
    with atomic_file(file) as temporary, open(temporary, "wb") as opened:
        np.savez_compressed(opened, **arrays)


def load(file: Path) -> Measured:
    """Inverse of `save`."""
    with np.load(file) as arrays:

        def part(name: str) -> dict:
            return {key.split("/")[1]: arrays[key] for key in arrays.files if key.startswith(name + "/")}

        whole = {name: float(value) for name, value in part("whole").items()}
        count = len(arrays["block"])
        poses = Poses(
            arrays["uv"], arrays["depth"], *(np.zeros((count, *shape), np.float32) for shape in ((64, 64), (21,)))
        )
        indicators = Indicators(part("per_crop"), whole, arrays["synthetic"], arrays["block"], poses)
        return Measured(indicators, part("errors"), str(arrays["stopped"]))
