"""`semihand adapt`: from a recording to a personal model that is proven better, or to an honest no."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ..datasets.open import is_dataset
from ..errors import SemihandError
from ..models.calibration import Person, read_person
from ..models.checkpoint import Checkpoint, atomic_file, load_checkpoint, provenance, save_checkpoint
from ..models.export import export_network
from ..models.model_file import data_dir
from ..models.registry import checkpoint_of, install
from ..paths import make_folder
from ..progress import announce
from ..record.recording import read_recording, recording_folder, recording_hash, resolve_recording
from ..record.session import RecordOptions, record
from ..synth.cache import open_cache
from ..synth.feed import Feed, FixedPictures
from ..tracker.viewer import display_available
from ..train.process import Process
from ..train.validate import score
from .check.window import check_by_clicking
from .examples import ExampleLabels, held_out_arrays, plain_pictures
from .finetune import finetune
from .frames.crops import CropSet
from .frames.landmarks import LandmarkObserver
from .frames.sources import SourceFrame, open_source
from .frames.tracked import tracked_crops
from .gate.decide import Decision, decide, split_held_out
from .gate.indicators import measure, synthetic_slice
from .labels.teacher import TeacherConfig, detector_labels
from .profiles import FinetuneConfig, named_profile
from .report.page import terminal_summary, write_report
from .state import Finetuning
from .views import predict

log = logging.getLogger(__name__)

#: Fewer crops than this teach nothing that holds elsewhere.
LEAST_CROPS = 40
VIDEOS = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"})
#: Seconds: what learning gets at least, and what writing the model and its pages takes.
LEAST_LEARNING, WRITING = 20.0, 8.0
TEACHERS = ("none", "detector")
#: What an earlier run of the same name left in its folder.
_LEFT = ("state.pt", "iterations.csv", "train.csv", "labels.npz", "heldout.npz", "indicators.json", "run.json")


@dataclass(frozen=True)
class AdaptOptions:
    """What to adapt on, how, and what to do with the result.

    source: recording (name or folder), video, folder of pictures or data set; name: of the personal model, which is
    called "my-" and this, or the source's name. split, limit: of a data set, which part and at most how many of its
    frames, evenly spread. crop "label": data sets are cropped by their labels. model: where to start from. minutes:
    budget of everything after a guided recording. pictures: finished synthetic cache instead of rendering meanwhile.
    check: let the user click joints of held-out frames. user: whose hands they are, by the name of a profile. install
    False: only say whether it would be.
    """

    source: str
    name: str | None = None
    profile: str = "robust"
    teacher: str = "none"
    model: str = "base"
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
    user: str | None = None

    def __post_init__(self):
        if self.teacher not in TEACHERS:
            raise SemihandError(f"Teacher {self.teacher!r} is unknown: {', '.join(TEACHERS)}.")

    @property
    def made_name(self) -> str:
        """The personal model's name."""
        name = self.name or _cleaned(Path(self.source))
        return name if name.startswith("my-") else f"my-{name}"

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
    begun, folder = time.monotonic(), options.folder
    person = None if options.user is None else read_person(options.user)
    process, observer = Process.join(options.device), LandmarkObserver()
    checkpoint_file = checkpoint_of(options.model)
    checkpoint = load_checkpoint(checkpoint_file)
    template = checkpoint.info.bone_lengths if person is None else _template(person, checkpoint.info.bone_lengths)
    with process.first_before_others():
        if process.first:
            _make_folder(folder, options.resume)
        frames, source_hash = _frames(options, observer)
    crops = tracked_crops(frames, checkpoint, observer, again=options.crop == "detector")
    if len(crops) < LEAST_CROPS:
        raise SemihandError(
            f"Only {len(crops)} frames show a hand, at least {LEAST_CROPS} are needed. Record a minute or two."
        )
    train, held = (crops.take(rows) for rows in split_held_out(crops, seed=options.seed))
    config = options.config().for_crop(checkpoint.info.crop_factor)
    parent = {"name": options.model, "sha256": hashlib.sha256(checkpoint_file.read_bytes()).hexdigest()}
    metadata = provenance(
        " ".join(["semihand", *sys.argv[1:]]), config.seed, 0, name=options.made_name, profile=options.profile,
        teacher=options.teacher, source=Path(options.source).name, source_hash=source_hash, frames_train=len(train),
        frames_held_out=len(held), parent=parent, config=asdict(config), user=options.user,
    )  # fmt: skip
    announce("preparing")
    with _pictures(options.pictures, options.backgrounds, process) as pictures:
        teacher = None
        if options.teacher == "detector":
            own = predict(checkpoint.build().eval(), train)
            teacher = detector_labels(train, template, own, TeacherConfig(own_template=person is None))
        origin = ", ".join([source_hash, parent["sha256"], *([] if person is None else [str(person.bones)])])
        tuning = Finetuning(checkpoint, train, pictures, config, options.device, teacher, folder, origin, template)
        if options.resume:
            tuning.resume()
        if process.first:
            log.info("%d crops to learn from, %d held out to judge by.", len(train), len(held))
            _write_json(folder / "run.json", metadata)
        decision = _train_and_judge(tuning, held, folder, options.minutes, begun)
    process.leave()
    if decision is None:
        return None
    metadata |= {"seconds": round(time.monotonic() - begun, 1), "synthetic": pictures.provenance}
    metadata["verdict"] = decision.reason
    _write_json(folder / "run.json", metadata)
    weights = _export(tuning.network, checkpoint, held, metadata, folder)
    if decision.accepted and options.install:
        _install(folder / "model.onnx", weights, metadata, decision)
    if options.check:
        check_by_clicking(folder)
    write_report(folder)
    return Adapted(folder, decision, terminal_summary(folder))


def _template(person: Person, lengths) -> np.ndarray:
    """The person's bone lengths (20,) in the network's unit, in which a whole hand is as large as `lengths` (20,)."""
    return person.bones * (np.linalg.norm(lengths) / np.linalg.norm(person.bones))


def _train_and_judge(
    tuning: Finetuning, held: CropSet, folder: Path, minutes: float | None, begun: float
) -> Decision | None:
    """The decision on held-out crops, None in all processes but the first; the crops' files for the report.

    minutes: of the whole run, which began at `begun`, seconds of time.monotonic().
    """
    device = tuning.process.device
    source = tuning.source.build().to(device).eval()
    synthetic = synthetic_slice(tuning.pictures)
    judging = time.monotonic()
    before = measure(source, held, device, synthetic)
    judging = time.monotonic() - judging
    if minutes is not None:
        minutes = _learning_minutes(minutes, time.monotonic() - begun, judging, tuning)
    examples = ExampleLabels()

    def forgetting(network) -> dict[str, float]:
        return {"synthetic_epe_mm": round(score(network, synthetic, False, device)[0].epe_mm, 3)}

    try:
        network = finetune(tuning, minutes, examples.note, forgetting)
    except KeyboardInterrupt:
        if tuning.process.first:
            write_report(folder)
        raise SemihandError(
            f"Stopped after iteration {tuning.finished} of {tuning.config.iterations}; nothing was installed."
            " The same command with --resume goes on."
        ) from None
    if not tuning.process.first:
        return None
    announce("judging")
    after = measure(network, held, device, synthetic, reference=source)
    decision = decide(before, after)
    _write(folder / "labels.npz", examples.arrays())
    costs = before.per_crop_cost, after.per_crop_cost
    _write(folder / "heldout.npz", held_out_arrays(held, before.poses, after.poses, *costs))
    _write_json(folder / "indicators.json", {
        "before": before.values(), "after": after.values(), "decision": asdict(decision),
    })  # fmt: skip
    return decision


def _learning_minutes(minutes: float, spent: float, judging: float, tuning: Finetuning) -> float:
    """What the budget leaves to learn in, once judging again and writing are seen to; where that is less than
    LEAST_LEARNING, it says what the run will take instead. spent, judging: seconds. What was learned before a stop counts
    as learned."""
    left = 60 * minutes - spent - judging - WRITING
    if left < LEAST_LEARNING and tuning.process.first:
        total = minutes + (LEAST_LEARNING - left) / 60
        log.info(
            "Reading and judging this recording leave little of %g minutes: it will take about %.1f.", minutes, total
        )
    return (max(left, LEAST_LEARNING) + tuning.seconds) / 60


def _make_folder(folder: Path, resume: bool) -> None:
    make_folder(folder, "Choose another --out.")
    if not resume and (folder / "state.pt").exists():
        for name in _LEFT:
            (folder / name).unlink(missing_ok=True)


def _frames(options: AdaptOptions, observer: LandmarkObserver) -> tuple[list[SourceFrame], str]:
    """Frames with a hand and the hash of where they come from; a video or pictures become a recording first."""
    path = Path(options.source).expanduser()
    if is_dataset(path):
        frames = open_source(path, options.crop, observer, split=options.split, limit=options.limit)
        return frames, f"{path.name}{f' {options.split}' if options.split else ''}, {len(frames)} pictures"
    if options.split:
        raise SemihandError(f"{options.source} is no data set, so it has no split {options.split}. Leave --split out.")
    folder = _recorded(path, options.source, options.model)
    frames = open_source(folder, options.crop, observer, refine=options.teacher == "detector")
    return frames, recording_hash(read_recording(folder))


def _recorded(path: Path, source: str, model: str) -> Path:
    """The recording's folder; made from a video or a folder of pictures where it is none yet."""
    video = path.is_file() and path.suffix.lower() in VIDEOS
    pictures = path.is_dir() and not (path / "recording.json").exists()
    if not video and not pictures:
        return resolve_recording(source)
    # The content is part of the name: another file of the same name is another recording.
    name = f"{_cleaned(path)}-{_content(path)[:8]}"
    folder = recording_folder(name)
    if folder.exists():
        log.info("Frames of %s were recorded before: using the recording %s.", path.name, name)
        return folder
    return record(
        RecordOptions(**{"video" if video else "images": str(path)}, name=name, model=model, viewer="none")
    ).folder


def _cleaned(path: Path) -> str:
    """The file's name, made of what names of models and recordings may hold."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in path.stem).strip("-") or "hand"


def _content(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(one for one in path.iterdir() if one.is_file()):
        digest.update(file.name.encode() * path.is_dir())
        with open(file, "rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _pictures(folder: Path | None, backgrounds: Path | None, process: Process):
    """Synthetic pictures; of those that are rendered meanwhile every process has its own."""
    if folder:
        return nullcontext(FixedPictures(open_cache(folder)))
    pool = "synthetic" if process.first else f"synthetic-{process.rank}"
    return Feed(data_dir() / pool, backgrounds=backgrounds)


def _export(network, checkpoint: Checkpoint, held: CropSet, metadata: dict, folder: Path) -> Path:
    """Write the result as weights and, with a parity check on held-out crops, as a model; returns the weights' path."""
    info = replace(checkpoint.info, name=metadata["name"], provenance=metadata)
    weights = folder / "student.safetensors"
    save_checkpoint(weights, network.state_dict(), info)
    export_network(network.cpu().eval(), info, folder / "model.onnx", plain_pictures(held)[:32])
    return weights


def _install(model: Path, weights: Path, metadata: dict, decision: Decision) -> None:
    """Put the model in place under its name, with what it came from."""
    origin = {
        "parent": metadata["parent"]["name"], "parent_sha256": metadata["parent"]["sha256"],
        "recording_sha256": metadata["source_hash"], "config": metadata["config"], "seed": metadata["seed"],
        "indicators": decision.terms, "run": metadata,
    }  # fmt: skip
    install(model, metadata["name"], origin, weights)


def _write(path: Path, arrays: dict) -> None:
    with atomic_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def _write_json(path: Path, values: dict) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, default=str), encoding="utf-8")
