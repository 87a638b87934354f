"""What a run found and how fast it was."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from .types import HandPose


class Summary:
    """Figures of one run. `notes` are sentences that a user should read, `files` what was written."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.frames = 0
        self.frames_with_hand = 0
        self.ids: set[int] = set()
        self.notes: list[str] = []
        self.files: list[str] = []
        self._ms: defaultdict[str, array] = defaultdict(lambda: array("f"))
        self._start = self._end = perf_counter()

    def begin(self) -> None:
        """Frames come from now on; what was before is start-up."""
        self._start = self._end = perf_counter()

    def add(self, poses: Sequence[HandPose], ms: dict[str, float]) -> None:
        """One frame with its hands and what each stage took. Stages that did not run (0 ms) do not count as fast."""
        self.frames += 1
        self.frames_with_hand += bool(poses)
        self.ids.update(pose.id for pose in poses)
        for stage, value in ms.items():
            if value > 0 and (poses or stage != "total"):
                self._ms[stage].append(value)
        self._end = perf_counter()

    @property
    def fps(self) -> float:
        """Frames a second of the whole loop, waiting for the camera included."""
        seconds = self._end - self._start
        return self.frames / seconds if seconds > 0 else 0.0

    def stage_ms(self) -> dict[str, tuple[float, float, int]]:
        """Median, 95th percentile and number of runs by stage; `total` over frames with a hand."""
        return {
            stage: (float(np.median(values)), float(np.percentile(values, 95)), len(values))
            for stage, values in self._ms.items()
        }

    def text(self) -> str:
        """For people, a few lines; `stages_text` has every stage."""
        seen, hands = self.frames_with_hand, len(self.ids)
        share = 100 * seen / self.frames if self.frames else 0.0
        lines = [
            f"{self.source}: {self.frames} frames, a hand in {seen} of them ({share:.1f} %),"
            f" {hands} hand{'s' * (hands != 1)} in all"
        ]
        if "total" in (stages := self.stage_ms()):
            median, slow, _ = stages["total"]
            lines.append(
                f"{median:.0f} ms a frame with a hand (19 of 20 within {slow:.0f} ms);"
                f" it ran at {self.fps:.0f} frames a second"
            )
        if self.files:
            lines.append(f"wrote {', '.join(self.files)}")
        return "\n".join(lines + self.notes)

    def stages_text(self) -> str:
        """A table of what each stage took."""
        rows = [f"{stage:10}{m:9.2f}{p:9.2f}{runs:9d}" for stage, (m, p, runs) in self.stage_ms().items()]
        return "\n".join([f"{'ms':10}{'median':>9}{'p95':>9}{'runs':>9}", *rows])
