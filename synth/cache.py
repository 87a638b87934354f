"""Pictures rendered ahead, by several processes, into memory-mapped arrays that training reads at random.

Folder layout: image.npy (N, S, S, 3) uint8 RGB, mask.npy (N, S/2, S/2) uint8, uv.npy (N, 21, 2), xyz.npy (N, 21, 3),
K.npy (N, 4), visible.npy (N, 21), present.npy (N,), done.npy (blocks,), cache.json (seed, config, provenance).
Put the folder into RAM (/dev/shm) where a GPU is to be fed.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import queue as queues
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from .. import __version__
from ..errors import SemihandError
from ..progress import Progress
from .background import load_pictures, picture_files
from .scene import BLOCK, SceneConfig, SceneRenderer

log = logging.getLogger(__name__)

FIELDS = ("image", "mask", "uv", "xyz", "K", "visible", "present")


@dataclass(frozen=True)
class Cache:
    """Memory-mapped arrays of N labelled pictures; see the module's text. config: the SceneConfig as a dict. done: of
    caches that are still being rendered, the flags of their blocks and how many pictures they will hold."""

    image: np.ndarray
    mask: np.ndarray
    uv: np.ndarray
    xyz: np.ndarray
    K: np.ndarray
    visible: np.ndarray
    present: np.ndarray
    config: dict
    provenance: dict
    done: tuple[tuple[np.ndarray, int], ...] = ()

    def __len__(self) -> int:
        return len(self.image)

    def ready(self) -> np.ndarray:
        """Numbers of the pictures that are rendered by now, sorted: all of them but where others are still to come."""
        flags = [np.repeat(done, BLOCK)[:count] for done, count in self.done]
        return np.flatnonzero(np.concatenate(flags)) if flags else np.arange(len(self))


def array_shapes(count: int, size: int) -> dict:
    """Shape and type of every array of `count` pictures of `size` pixels."""
    return {
        "image": ((count, size, size, 3), np.uint8),
        "mask": ((count, size // 2, size // 2), np.uint8),
        "uv": ((count, 21, 2), np.float32),
        "xyz": ((count, 21, 3), np.float32),
        "K": ((count, 4), np.float32),
        "visible": ((count, 21), np.bool_),
        "present": ((count,), np.bool_),
        "done": ((-(-count // BLOCK),), np.bool_),
    }


def _describe(count, seed, config, backgrounds) -> dict:
    return {
        "seed": seed, "count": count, "config": json.loads(json.dumps(asdict(config))),
        "backgrounds": Path(backgrounds).name if backgrounds else None, "version": __version__,
    }  # fmt: skip


def _create(folder: Path, description: dict, config: SceneConfig) -> None:
    """Make the empty arrays, or accept those of an interrupted run of the same description."""
    record = folder / "cache.json"
    if record.exists():
        found = json.loads(record.read_text())
        if found != description:
            raise SemihandError(
                f"{folder} holds pictures of other settings ({record}). Give another folder or delete it."
            )
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (shape, kind) in array_shapes(description["count"], config.size).items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape).flush()
        record.with_suffix(".part").write_text(json.dumps(description, indent=1))
        record.with_suffix(".part").replace(record)
    except OSError as error:
        raise SemihandError(
            f"{folder} could not be made: {error.strerror}. Check the space and permissions there."
        ) from error


def _open(folder: Path, mode: str) -> dict:
    return {name: np.lib.format.open_memmap(folder / f"{name}.npy", mode) for name in (*FIELDS, "done")}


def _work(folder, seed, config, backgrounds, queue, finished) -> None:
    """One rendering process: take block numbers until None, or until the main process is gone."""
    cv2.setNumThreads(1)
    arrays = _open(folder, "r+")
    renderer = SceneRenderer(config, seed, load_pictures(backgrounds) if backgrounds else None)
    main = multiprocessing.parent_process()
    for block in iter(queue.get, None):
        if not main.is_alive():
            return
        for index in range(block * BLOCK, min((block + 1) * BLOCK, len(arrays["image"]))):
            sample = renderer.render(index)
            for name in FIELDS:
                arrays[name][index] = getattr(sample, name)
        arrays["done"][block] = True
        finished.put(block)


def render_cache(folder, count: int, seed: int = 0, config: SceneConfig = SceneConfig(), workers: int | None = None,
                 backgrounds=None, progress: bool = True) -> Cache:  # fmt: skip
    """Render `count` pictures into `folder`; an interrupted run goes on where it stopped.

    workers: processes, default all cores. backgrounds: folder of pictures used beside the painted ones.
    """
    folder, workers = Path(folder), workers or os.cpu_count() or 1
    if backgrounds:
        picture_files(backgrounds)
    _create(folder, _describe(count, seed, config, backgrounds), config)
    todo = np.flatnonzero(~_open(folder, "r")["done"])
    context = multiprocessing.get_context("spawn")
    queue, finished = context.Queue(), context.Queue()
    for block in todo:
        queue.put(int(block))
    processes = []
    for _ in range(min(workers, len(todo))):
        queue.put(None)
        processes.append(
            context.Process(target=_work, args=(folder, seed, config, backgrounds, queue, finished), daemon=True)
        )
        processes[-1].start()
    with Progress(
        desc="rendering",
        total=count,
        initial=count - min(count, len(todo) * BLOCK),
        unit="pictures",
        disable=not progress,
    ) as bar:
        _await(processes, finished, len(todo), bar)
    return open_cache(folder)


def _await(processes, finished, blocks, bar) -> None:
    """Wait for every block; a process that died is an error, not a hang."""
    while blocks:
        codes = [process.exitcode for process in processes]  # before waiting: a last block may come just before the end
        try:
            finished.get(timeout=2.0)
        except queues.Empty:
            if any(code not in (None, 0) for code in codes) or all(code == 0 for code in codes):
                for process in processes:
                    process.terminate()
                raise SemihandError(
                    f"A rendering process ended early (exit codes {codes}). Run the command again."
                ) from None
            continue
        blocks -= 1
        bar.update(BLOCK)
    for process in processes:
        process.join()


def open_cache(folder, unfinished: bool = False) -> Cache:
    """Open a cache read-only. unfinished: one that is still being rendered will do, see `Cache.ready`.

    Raises SemihandError where it is missing, unfinished or damaged.
    """
    folder = Path(folder)
    if not (folder / "cache.json").exists():
        raise SemihandError(
            f"{folder} holds no rendered pictures (cache.json is missing). Run `semihand synth cache` first."
        )
    try:
        arrays, record = _open(folder, "r"), json.loads((folder / "cache.json").read_text())
    except (OSError, ValueError) as error:
        raise SemihandError(
            f"{folder} is damaged ({error}). Delete it and run `semihand synth cache` again."
        ) from error
    if not arrays["done"].all() and not unfinished:
        raise SemihandError(f"{folder} is not finished: {arrays['done'].mean():.0%}. Run `semihand synth cache` again.")
    fields = {name: arrays[name] for name in FIELDS}
    return Cache(**fields, config=record["config"], provenance=record, done=((arrays["done"], len(arrays["image"])),))


class _Joined:
    """Several arrays one after the other, read by sorted row numbers."""

    def __init__(self, arrays):
        self._arrays = arrays
        self._starts = np.cumsum([0] + [len(array) for array in arrays])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows):
        cuts = np.searchsorted(rows, self._starts)
        pairs = zip(self._arrays, self._starts, cuts, cuts[1:])
        return np.concatenate([array[rows[a:b] - start] for array, start, a, b in pairs])


def open_caches(folders, unfinished: bool = False) -> Cache:
    """One or several caches of the same size and crop factor as one."""
    caches = [open_cache(folder, unfinished) for folder in folders]
    if len(caches) == 1:
        return caches[0]
    first = caches[0]
    for folder, cache in zip(folders, caches):
        if any(cache.config[key] != first.config[key] for key in ("size", "crop_factor")):
            raise SemihandError(f"{folder} holds pictures of another size or crop factor than {folders[0]}.")
    arrays = {name: _Joined([getattr(cache, name) for cache in caches]) for name in FIELDS}
    record, done = {"joined": [cache.provenance for cache in caches]}, sum((cache.done for cache in caches), ())
    return Cache(**arrays, config=first.config, provenance=record, done=done)
