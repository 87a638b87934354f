"""`semihand adapt`: from a recording to a personal model that is proven better, or to an honest no."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import SemihandError
from ..datasets.open import is_dataset
from ..models.checkpoint import atomic_file, load_checkpoint, provenance, save_checkpoint
from ..models.export import export_network
from ..models.model_file import data_dir
from ..models.registry import checkpoint_of, install
from ..synth.cache import open_cache
from ..synth.feed import Feed, FixedPictures
from ..tracker.viewer import display_available
from .check.window import check_by_clicking
from .frames.crops import CropSet
from .examples import ExampleLabels, held_out_arrays
from .finetune import Finetuning
from .gate.decide import Decision, decide, split_held_out
from .gate.indicators import measure, synthetic_slice
from .frames.landmarks import LandmarkObserver
from ..train.process import Process
from .profiles import FinetuneConfig, named_profile
from ..record.recording import read_recording, recording_folder, recording_hash, resolve_recording
from ..record.session import RecordOptions, record
from .report.page import terminal_summary, write_report
from .frames.sources import SourceFrame, open_source
from .labels.teacher import detector_labels
from ..train.validate import score
from .frames.tracked import tracked_crops
from .views import predict

log = logging.getLogger(__name__)

#: Fewer crops than this teach nothing that holds elsewhere.
LEAST_CROPS = 40
VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"})
TEACHERS = ("none", "detector")


@dataclass(frozen=True)
class AdaptOptions:
    """What to adapt on, how, and what to do with the result.

    source: recording (name or folder), video, folder of pictures or data set; name: of the personal model, "my-" and
    the source's by default. split, limit: of a data set, which part and at most how many of its frames, evenly spread.
    crop "label": data sets are cropped by their labels. model: where to
    start from. minutes: budget of the fine-tuning. pictures: finished synthetic cache instead of rendering meanwhile.
    check: let the user click joints of held-out frames. install False: only say whether it would be.
    """

    source: str
    name: str | None = None
    profile: str = "robust"
    teacher: str = "none"
    model: str = "lite"
    crop: str = "detector"
    device: str = "auto"
    minutes: float | None = None
    pictures: Path | None = None
    backgrounds: Path | None = None
    out: Path | None = None
    resume: bool = False
    install: bool = True
    check: bool = False
    seed: int = 0
    iterations: int | None = None
    steps: int | None = None
    split: str | None = None
    limit: int = 2000
    begun: float = field(default_factory=time.monotonic)

    def __post_init__(self):
        if self.teacher not in TEACHERS:
            raise SemihandError(f"Teacher {self.teacher!r} is unknown: {', '.join(TEACHERS)}.")

    @property
    def made_name(self) -> str:
        """The personal model's name."""
        stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(self.source).stem)
        return self.name or f"my-{stem.strip('-')}"

    @property
    def folder(self) -> Path:
        """Where the run keeps its state, logs and report."""
        return self.out or data_dir() / "adaptations" / self.made_name

    def config(self) -> FinetuneConfig:
        """The profile with what was asked for."""
        asked = {"iterations": self.iterations, "steps": self.steps}
        changes = {name: value for name, value in asked.items() if value is not None}
        config = named_profile(self.profile, seed=self.seed, **changes)
        return config.with_teacher() if self.teacher == "detector" else config


@dataclass(frozen=True)
class Adapted:
    """The outcome. text: for the terminal."""

    folder: Path
    decision: Decision
    text: str


def adapt(options: AdaptOptions) -> Adapted | None:
    """Fine-tune on the source's frames, compare before and after on held-out ones, install what is better.

    Under torchrun the first process alone judges, writes and installs; the others return None. Raises SemihandError
    where there is too little to learn from, the training goes wrong or is stopped (Ctrl-C keeps the last finished
    iteration); the model in use stays.
    """
    if options.check and not display_available():
        raise SemihandError("--check needs a window to click in, but there is no display. Leave --check out.")
    process, observer = Process.join(options.device), LandmarkObserver()
    checkpoint_file = checkpoint_of(options.model)
    checkpoint = load_checkpoint(checkpoint_file)
    with process.first_before_others():
        if process.first:
            _make_folder(options)
        frames, source_hash = _frames(options, observer)
    crops = _crops(frames, checkpoint, options, observer)
    train_rows, held_rows = split_held_out(crops, seed=options.seed)
    train, held = crops.take(train_rows), crops.take(held_rows)
    config = options.config().for_crop(checkpoint.info.crop_factor)
    told = _told(options, config, checkpoint_file, source_hash, (len(train), len(held)))
    if process.first:
        log.info("%d crops to learn from, %d held out to judge by.", len(train), len(held))
        _write_json(options.folder / "run.json", told)
    with _pictures(options, process) as pictures:
        judged = _train_and_judge(checkpoint, train, held, pictures, config, options)
    process.leave()
    if judged is None:
        return None
    decision, network = judged
    told |= {"seconds": round(time.monotonic() - options.begun, 1), "synthetic": pictures.provenance}
    _write_json(options.folder / "run.json", told)
    _keep(options, network, checkpoint, held, told, decision)
    if options.check:
        check_by_clicking(options.folder)
    write_report(options.folder)
    return Adapted(options.folder, decision, terminal_summary(options.folder))


def _train_and_judge(checkpoint, train: CropSet, held: CropSet, pictures, config: FinetuneConfig, options: AdaptOptions):
    """The decision on held-out crops and the network that it is about, None in all processes but the first; both
    crops' files for the report."""
    finetuning = _finetuning(checkpoint, train, pictures, config, options)
    device = finetuning.process.device
    source = checkpoint.build().to(device).eval()
    synthetic = synthetic_slice(pictures)
    before = measure(source, held, device, synthetic)
    examples = ExampleLabels()
    try:
        network = finetuning.run(options.minutes, examples.note, lambda network: _forgetting(network, synthetic, device))
    except KeyboardInterrupt:
        if finetuning.process.first:
            write_report(options.folder)
        raise SemihandError(
            f"Stopped after iteration {finetuning.finished} of {config.iterations}; nothing was installed."
            " The same command with --resume goes on."
        ) from None
    if not finetuning.process.first:
        return None
    after = measure(network, held, device, synthetic, reference=source)
    decision = decide(before, after)
    _write(options.folder / "labels.npz", examples.arrays())
    costs = before.per_crop_cost, after.per_crop_cost
    _write(options.folder / "heldout.npz", held_out_arrays(held, before.poses, after.poses, *costs))
    _write_json(options.folder / "indicators.json", {
        "before": before.values(), "after": after.values(), "decision": asdict(decision),
    })  # fmt: skip
    return decision, network


def _forgetting(network, synthetic, device) -> dict[str, float]:
    scores, _ = score(network, synthetic, False, device)
    return {"synthetic_epe_mm": round(scores.epe_mm, 3)}


def _make_folder(options: AdaptOptions) -> None:
    folder = options.folder
    if not options.resume and (folder / "state.pt").exists():
        for old in ("state.pt", "iterations.csv", "train.csv", "labels.npz", "heldout.npz", "indicators.json", "run.json"):
            (folder / old).unlink(missing_ok=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SemihandError(f"The folder {folder} could not be made: {error.strerror}. Choose another --out.") from error


def _frames(options: AdaptOptions, observer: LandmarkObserver) -> tuple[list[SourceFrame], str]:
    """Frames with a hand and the hash of where they come from; a video or pictures become a recording first."""
    path = Path(options.source).expanduser()
    if is_dataset(path):
        frames = open_source(path, options.crop, observer, split=options.split, limit=options.limit)
        return frames, f"{path.name}{f' {options.split}' if options.split else ''}, {len(frames)} pictures"
    if options.split:
        raise SemihandError(f"{options.source} is no data set, so it has no split {options.split}. Leave --split out.")
    folder = _recorded(path, options)
    recording = read_recording(folder)
    return open_source(folder, options.crop, observer, refine=options.teacher == "detector"), recording_hash(recording)


def _recorded(path: Path, options: AdaptOptions) -> Path:
    """The recording's folder; made from a video or a folder of pictures where it is none yet."""
    video = path.is_file() and path.suffix.lower() in VIDEOS
    pictures = path.is_dir() and not (path / "recording.json").exists()
    if not video and not pictures:
        return resolve_recording(options.source)
    made = recording_folder(path.stem)
    if made.exists():
        log.info("Frames of %s were recorded before: using the recording %s.", path.name, made.name)
        return made
    record(RecordOptions(video=str(path) if video else None, images=None if video else str(path), name=path.stem, viewer="none"))
    return made


def _crops(frames: list[SourceFrame], checkpoint, options: AdaptOptions, observer: LandmarkObserver) -> CropSet:
    crops = tracked_crops(frames, checkpoint, observer, again=options.crop == "detector")
    if len(crops) < LEAST_CROPS:
        raise SemihandError(f"Only {len(crops)} frames show a hand, at least {LEAST_CROPS} are needed. Record a minute or two.")
    return crops


def _pictures(options: AdaptOptions, process: Process):
    """Synthetic pictures; of those that are rendered meanwhile every process has its own."""
    if options.pictures:
        return nullcontext(FixedPictures(open_cache(options.pictures)))
    folder = "synthetic" if process.first else f"synthetic-{process.rank}"
    return Feed(data_dir() / folder, backgrounds=options.backgrounds)


def _finetuning(checkpoint, train: CropSet, pictures, config: FinetuneConfig, options: AdaptOptions) -> Finetuning:
    taught = None
    if options.teacher == "detector":
        own = predict(checkpoint.build().eval(), train)
        taught = detector_labels(train, checkpoint.info.bone_lengths, own)
    finetuning = Finetuning(checkpoint, train, pictures, config, options.device, taught, options.folder)
    if options.resume:
        finetuning.resume()
    return finetuning


def _told(options, config: FinetuneConfig, parent: Path, source_hash: str, frames: tuple[int, int]) -> dict:
    """Provenance of the run. frames: learned from, and held out."""
    more = {
        "name": options.made_name, "profile": options.profile, "teacher": options.teacher, "source": Path(options.source).name,
        "source_hash": source_hash, "frames_train": frames[0], "frames_held_out": frames[1],
        "parent": {"name": options.model, "sha256": hashlib.sha256(parent.read_bytes()).hexdigest()},
        "config": asdict(config),
    }  # fmt: skip
    return provenance(" ".join(["semihand", *sys.argv[1:]]), config.seed, 0, **more)


def _keep(options, network, checkpoint, held: CropSet, told: dict, decision: Decision) -> None:
    """Export the result with a parity check; put it in place only where it is better."""
    info = replace(checkpoint.info, name=options.made_name, provenance=told)
    weights, model = options.folder / "student.safetensors", options.folder / "model.onnx"
    save_checkpoint(weights, network.state_dict(), info)
    size = info.input_size
    margin = (held.image.shape[1] - size) // 2
    crops = np.ascontiguousarray(held.image[:32, margin : margin + size, margin : margin + size])
    export_network(network.cpu().eval(), info, model, crops)
    if decision.accepted and options.install:
        origin = {
            "parent": told["parent"]["name"], "parent_sha256": told["parent"]["sha256"], "recording_sha256": told["source_hash"],
            "config": told["config"], "seed": options.seed, "indicators": decision.terms, "run": told,
        }  # fmt: skip
        install(model, options.made_name, origin, weights)


def _write(path: Path, arrays: dict) -> None:
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def _write_json(path: Path, values: dict) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, default=str), encoding="utf-8")
