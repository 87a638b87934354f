"""The network alone for `semihand bench`, and how fast a video on disk is tracked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from ...tracker.files import VideoFile
from ...tracker.types import Frame

BATCHES = (1, 2)
_WARM_UP = 10


def network_times(model, runs: int, batches: tuple[int, ...] = BATCHES) -> dict[int, list[float]]:
    """{batch: milliseconds (runs,)} of model.run on crops of noise; batch sizes take turns, so all see one machine."""
    size, noise = model.info.input_size, np.random.default_rng(0)
    crops = noise.integers(0, 256, (max(batches), size, size, 3), dtype=np.uint8)
    times: dict[int, list[float]] = {batch: [] for batch in batches}
    for number in range(_WARM_UP + runs):
        for batch in batches:
            start = perf_counter()
            model.run(crops[:batch])
            ms = (perf_counter() - start) * 1e3
            if number >= _WARM_UP:
                times[batch].append(ms)
    return times


def offline_rate(video: Path, step: Callable[[Frame], object], frames: int, seconds: float | None = None) -> dict:
    """frames and frames_per_s of step(frame) over a video file from opening to its end, decoding included.

    Ends after so many frames or seconds. Raises SemihandError on a bad file.
    """
    count, start = 0, perf_counter()
    end = start + (seconds or np.inf)
    source = VideoFile(video)
    try:
        for frame in source.frames():
            step(frame)
            count += 1
            if count >= frames or perf_counter() > end:
                break
        elapsed = perf_counter() - start
    finally:
        source.close()
    return {"frames": count, "frames_per_s": round(count / elapsed, 1)}
