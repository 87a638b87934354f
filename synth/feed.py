"""Labelled pictures for a training that draws them at random: a finished cache, or a pool that is rendered meanwhile.

The pool's folder holds arrays of a fixed number of pictures. Background processes of low priority fill it and then
replace the oldest picture by a new one, again and again, so that a long training never runs out of new pictures and a
short one need not wait. The next training begins with what the last one left.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ..errors import SemihandError
from ..models.atomic import exclusive
from .background import load_pictures
from .cache import FIELDS, Cache, array_shapes
from .scene import SceneConfig, SceneRenderer

log = logging.getLogger(__name__)

#: Pictures that a training needs before it begins.
ENOUGH = 512
_NICE = 15
#: Seconds that a training waits for one that is about to end.
_WAIT = 5.0


class Pictures(Protocol):
    """What a training draws labelled pictures from. crop_factor: side of the pictures over the joints' box."""

    crop_factor: float

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]: ...


class FixedPictures:
    """A finished cache; the same seed draws the same pictures."""

    def __init__(self, cache: Cache):
        self._cache, self.crop_factor = cache, cache.config["crop_factor"]
        self.provenance = cache.provenance

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """`count` random pictures: arrays by field name, see `cache.Cache`."""
        rows = np.sort(rng.integers(0, len(self._cache), count))
        return {name: np.asarray(getattr(self._cache, name)[rows]) for name in FIELDS}


class Feed:
    """A pool of `size` pictures in `folder` that `workers` processes renew; a context manager.

    Each start of the feed renders other pictures than the one before. Raises SemihandError where another training uses
    the folder, where it cannot be used, or where the processes end before there are enough pictures.
    """

    def __init__(
        self,
        folder,
        size: int = 3072,
        config: SceneConfig = SceneConfig(),
        workers: int | None = None,
        backgrounds=None,
    ):
        self.folder, self.size, self.config = Path(folder), size, config
        self.crop_factor = config.crop_factor
        self.provenance = {"rendered": "while training", "pool": size, "config": json.loads(json.dumps(asdict(config)))}
        self._workers = min(size, workers or max(1, (os.cpu_count() or 1) - 1))
        self._backgrounds, self._processes, self._lock = backgrounds, [], ExitStack()

    def __enter__(self) -> Feed:
        with ExitStack() as lock:
            try:
                lock.enter_context(exclusive(self.folder, _WAIT))
            except OSError as error:
                raise self._unusable(error) from error
            generation = self._open_folder()
            self._lock = lock.pop_all()
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        for number in range(self._workers):
            arguments = (self.folder, self.config, self._backgrounds, generation, number, self._workers, self._stop)
            self._processes.append(context.Process(target=_renew, args=arguments, daemon=True))
            self._processes[-1].start()
        try:
            self._await_enough()
        except BaseException:  # also Ctrl-C: no process goes on without a training
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for process in self._processes:
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()
        self._processes = []
        self._lock.close()

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """`count` random pictures of those in the pool; none that is being replaced meanwhile."""
        while True:
            ready = np.flatnonzero((self._arrays["version"] > 0) & (self._arrays["version"] % 2 == 0))
            rows = np.sort(rng.choice(ready, count))
            before = self._arrays["version"][rows].copy()
            batch = {name: np.array(self._arrays[name][rows]) for name in FIELDS}
            if (self._arrays["version"][rows] == before).all():
                return batch

    def _unusable(self, why: Exception) -> SemihandError:
        return SemihandError(f"The pool of synthetic pictures {self.folder} cannot be used ({why}). Delete the folder.")

    def _open_folder(self) -> int:
        """Make or take over the arrays; returns how often this pool was started before."""
        record = self.folder / "pool.json"
        wanted = {"size": self.size, "config": json.loads(json.dumps(asdict(self.config)))}
        try:
            found = json.loads(record.read_text()) if record.exists() else {}
            if not isinstance(found, dict):
                raise ValueError("pool.json holds no JSON object")
            if {key: found.get(key) for key in wanted} != wanted:
                found = {"generation": 0}
                self.folder.mkdir(parents=True, exist_ok=True)
                record.unlink(missing_ok=True)  # killed while the arrays are made, the folder says nothing of them
                for name, (shape, kind) in _pool_shapes(self.size, self.config).items():
                    np.lib.format.open_memmap(self.folder / f"{name}.npy", "w+", kind, shape).flush()
            self._arrays = _open_pool(self.folder, "r")
            record.with_suffix(".part").write_text(json.dumps(wanted | {"generation": found["generation"] + 1}))
            record.with_suffix(".part").replace(record)
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error
        return found["generation"]

    def _await_enough(self) -> None:
        enough = min(ENOUGH, self.size)
        while (self._arrays["version"] > 0).sum() < enough:
            if not all(process.is_alive() for process in self._processes):
                raise SemihandError(
                    "The processes that render synthetic pictures ended early. Is there memory and disk space left?"
                )
            time.sleep(0.1)


def _pool_shapes(size: int, config: SceneConfig) -> dict:
    shapes = array_shapes(size, config.size)
    del shapes["done"]
    return shapes | {"version": ((size,), np.int64)}


def _open_pool(folder: Path, mode: str) -> dict[str, np.ndarray]:
    return {name: np.lib.format.open_memmap(folder / f"{name}.npy", mode) for name in (*FIELDS, "version")}


def _renew(folder, config, backgrounds, generation, number, workers, stop) -> None:
    """One process: render this worker's places of the pool round after round, until told to stop or left alone."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    cv2.setNumThreads(1)
    arrays = _open_pool(folder, "r+")
    size, main = len(arrays["version"]), multiprocessing.parent_process()
    renderer = SceneRenderer(
        config, seed=10_000 + generation, pictures=load_pictures(backgrounds) if backgrounds else None
    )
    places = np.arange(number, size, workers)
    places = places[np.argsort(arrays["version"][places], kind="stable")]  # empty ones first
    round_ = 0
    while True:
        for place in places:
            if stop.is_set() or not main.is_alive():
                return
            sample = renderer.render(int(place) + round_ * size)
            arrays["version"][place] |= 1  # odd: being replaced
            for name in FIELDS:
                arrays[name][place] = getattr(sample, name)
            arrays["version"][place] += 1
        round_ += 1
