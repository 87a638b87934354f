"""`semihand bench --render`: how many synthetic pictures a second one and several processes draw."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from time import perf_counter

import cv2

from ... import provenance
from ...errors import SemihandError
from ...models.model_file import usable_cores
from ...progress import Progress
from ...synth.scene import SceneConfig, SceneRenderer
from ...text import table
from .report import machine_lines

_WARM_UP = 6
_START_LIMIT_S = 300.0


@dataclass(frozen=True)
class RenderOptions:
    """sizes: sides in pixels; seconds: of each measurement; workers: processes, None: 1, 2, 4 ... all cores."""

    sizes: tuple[int, ...] = (128, 160)
    seconds: float = 10.0
    workers: tuple[int, ...] | None = None


def run_render_bench(options: RenderOptions = RenderOptions()) -> dict:
    """Measure; returns what `semihand bench --render --json` prints. Raises SemihandError where a process dies."""
    report = {"schema": 1, "kind": "render", **provenance.record(), "runs": []}
    todo = [(size, workers) for size in options.sizes for workers in options.workers or _doublings()]
    for size, workers in Progress(todo, desc="rendering"):
        rate = render_speed(size, workers, options.seconds)
        report["runs"].append({
            "size": size, "processes": workers,
            "pictures_per_s": round(rate, 1), "per_process": round(rate / workers, 1),
        })  # fmt: skip
    return report


def _doublings() -> list[int]:
    cores = usable_cores()
    return sorted({2**power for power in range(cores.bit_length()) if 2**power <= cores} | {cores})


def render_speed(size: int, workers: int, seconds: float) -> float:
    """Pictures a second of `workers` processes together, over `seconds`, backgrounds included, compilation not."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(workers), context.Queue()
    arguments = [(size, seed, seconds, barrier, results) for seed in range(workers)]
    processes = [context.Process(target=_work, args=each, daemon=True) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SemihandError(
            "A rendering process died; `semihand synth preview --out sheet.png` shows whether rendering works."
        )
    return sum(results.get() for _ in processes)


def _work(size: int, seed: int, seconds: float, barrier, results) -> None:
    """One process: warm up, wait for the others, render for `seconds`."""
    cv2.setNumThreads(1)
    config = SceneConfig(size=size)
    warm = SceneRenderer(config, seed=10_000 + seed)
    for index in range(_WARM_UP):
        warm.render(index)
    renderer, count = SceneRenderer(config, seed), 0
    barrier.wait(_START_LIMIT_S)
    start = perf_counter()
    while perf_counter() < start + seconds:
        renderer.render(count)
        count += 1
    results.put(count / (perf_counter() - start))


def to_text(report: dict) -> str:
    """A report as a table for people."""
    rows = [
        [str(run["size"]), str(run["processes"]), f"{run['pictures_per_s']:.1f}", f"{run['per_process']:.1f}"]
        for run in report["runs"]
    ]
    return "\n".join([*machine_lines(report), "", table(["size", "processes", "pictures/s", "each"], rows, left=0)])
