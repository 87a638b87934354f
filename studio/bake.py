"""Bakes the second world into two sequence folders, DIR/train and DIR/test; an interrupted run goes on where it stopped.

Finished takes lie in DIR/.takes until both folders are complete; a folder is complete once its sequence.json is there.
"""

from __future__ import annotations

import datetime
import json
import logging
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from ..datasets.sequence import FILE_NAME, SequenceWriter, read_sequence
from ..errors import SemihandError
from ..progress import Progress
from .render import RenderConfig, TakeRenderer, load_mitsuba
from .takes import FPS, SPLITS, TAKE_FRAMES, draw_take

logger = logging.getLogger(__name__)

TAKES, PLAN = ".takes", "plan.json"
LICENCE = "CC0-1.0"


@dataclass(frozen=True)
class BakeConfig:
    """train, test: pictures of each split; seed: of all draws; workers: processes."""

    train: int = 2000
    test: int = 1000
    seed: int = 0
    workers: int = 1
    render: RenderConfig = RenderConfig()

    def __post_init__(self):
        if self.train < 1 or self.test < 1:
            raise SemihandError(f"{self.train} train and {self.test} test pictures; give at least 1 of each.")

    @property
    def plan(self) -> dict:
        """What decides the pictures, as JSON values."""
        return {"train": self.train, "test": self.test, "seed": self.seed, "render": asdict(self.render)}


@dataclass(frozen=True)
class Job:
    """One take to render: `count` frames of take `number`, into `file`."""

    split: str
    number: int
    count: int
    seed: int
    file: Path


def bake(folder: Path, config: BakeConfig) -> None:
    """Render what is missing and write both sequence folders.

    Raises SemihandError where the folder holds another bake or a finished one.
    """
    folder = Path(folder)
    if all((folder / split / FILE_NAME).exists() for split in SPLITS):
        raise SemihandError(f"{folder} holds a finished bake; remove it or choose another folder.")
    renderer = _renderer_name()
    _keep_plan(folder / TAKES, config.plan)
    jobs = plan_jobs(folder, config)
    _render_all([job for job in jobs if not job.file.exists()], config)
    for split in SPLITS:
        if not (folder / split / FILE_NAME).exists():
            _write_sequence(folder / split, [job for job in jobs if job.split == split], config, renderer)
    shutil.rmtree(folder / TAKES)


def plan_jobs(folder: Path, config: BakeConfig) -> list[Job]:
    """All takes of both splits, in an order that fills both evenly."""
    jobs = []
    for split, total in zip(SPLITS, (config.train, config.test)):
        takes = -(-total // TAKE_FRAMES)
        for number in range(takes):
            count = min(TAKE_FRAMES, total - number * TAKE_FRAMES)
            file = folder / TAKES / f"{split}-{number:04d}.npz"
            jobs.append(((number + 0.5) / takes, Job(split, number, count, config.seed, file)))
    return [job for _, job in sorted(jobs, key=lambda entry: entry[0])]


def render_take(job: Job, render: RenderConfig) -> Path:
    """Render one take into its file, in one move; returns the file."""
    cv2.setNumThreads(1)
    renderer = TakeRenderer(draw_take(job.seed, job.split, job.number), render, job.seed)
    shots = [renderer.render(index) for index in range(job.count)]
    arrays = dict(
        images=np.stack([shot.image for shot in shots]), xyz=np.stack([shot.xyz for shot in shots]), K=renderer.K,
        masks=np.stack([np.round(shot.mask * 255) for shot in shots]).astype(np.uint8),
    )  # fmt: skip
    part = job.file.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(job.file)
    return job.file


def _renderer_name() -> str:
    mitsuba = load_mitsuba()
    return f"Mitsuba {mitsuba.__version__} ({mitsuba.variant()})"


def _keep_plan(folder: Path, plan: dict) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / PLAN
        if not file.exists():
            file.write_text(json.dumps(plan), encoding="utf-8")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SemihandError(f"{folder} cannot be used ({error}). Choose another folder.") from error
    if found != json.loads(json.dumps(plan)):
        raise SemihandError(
            f"{folder.parent} holds an unfinished bake of {found}; go on with that or choose another folder."
        )


def _render_all(jobs: list[Job], config: BakeConfig) -> None:
    if config.workers == 1:
        for job in Progress(jobs, unit="take"):
            render_take(job, config.render)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.workers, mp_context=context, initializer=_end_with_parent) as pool:
        running = [pool.submit(render_take, job, config.render) for job in jobs]
        for future in Progress(as_completed(running), total=len(running), unit="take"):
            future.result()


def _end_with_parent() -> None:
    """Let this worker end when the process that started it is killed, instead of waiting for work for ever."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write_sequence(folder: Path, jobs: list[Job], config: BakeConfig, renderer: str) -> None:
    note = (
        f"Second synthetic world, {folder.name} takes of {TAKE_FRAMES} frames; semihand studio bake"
        f" --train {config.train} --test {config.test} --seed {config.seed} --size {config.render.size}"
        f" --samples {config.render.samples}; {renderer}; {datetime.date.today().isoformat()}"
    )
    source = "semihand studio; hand mesh: WebXR generic hand, MIT, Copyright (c) 2019 Amazon"
    header = dict(fps=FPS, source=source, licence=LICENCE, note=note)
    with SequenceWriter(folder, name=f"studio-{folder.name}", **header) as writer:
        for job in sorted(jobs, key=lambda entry: entry.number):
            _add_take(writer, job)
    logger.info("%s: %d pictures", folder, len(read_sequence(folder).frames))


def _add_take(writer: SequenceWriter, job: Job) -> None:
    take = draw_take(job.seed, job.split, job.number)
    with np.load(job.file, allow_pickle=False) as data:
        for image, xyz, mask in zip(data["images"], data["xyz"], data["masks"]):
            writer.add(image, K=data["K"], handedness=take.handedness, xyz=xyz, mask=mask / 255.0, gesture=take.gesture)
