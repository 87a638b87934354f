"""`--check`: true 2D error of both models on held-out crops, against a few joints that the user clicks.

Nobody sees a prediction while clicking: questions carry the bare crop only, in an order drawn at random. The frames are
spread evenly over the held-out ones, whatever the models make of them. A clicked joint that is a little off is off for
both models alike.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import SemihandError
from ...models.checkpoint import atomic_file
from ...models.joints import INDEX_TIP, JOINT_NAMES, LITTLE_TIP, MIDDLE_MCP, NUM_JOINTS, THUMB_TIP, WRIST
from ..report.files import read_held_out, read_indicators

log = logging.getLogger(__name__)

#: The joints asked for, in this order, and what they are called in the question.
CHECK_JOINTS = {
    THUMB_TIP: "tip of the THUMB", INDEX_TIP: "tip of the INDEX finger", LITTLE_TIP: "tip of the LITTLE finger",
    MIDDLE_MCP: "knuckle of the MIDDLE finger", WRIST: "middle of the WRIST",
}  # fmt: skip
KINDS = ("click", "skip_joint", "skip_frame", "undo", "quit")
#: Fewer frames say nothing about chance.
MIN_FRAMES_FOR_INTERVAL = 5
_DRAWS = 4000


@dataclass(frozen=True)
class Question:
    """What is asked: frame and frames (counted from 1), the crop (S, S, 3) uint8 RGB, the joint's number and name,
    clicked: the user's own answers (21, 2) in this crop, 64-grid, NaN where none."""

    frame: int
    frames: int
    image: np.ndarray
    joint: int
    name: str
    clicked: np.ndarray


@dataclass(frozen=True)
class Answer:
    """kind: one of KINDS, "click" with uv (2,) on the 64-grid."""

    kind: str
    uv: tuple[float, float] | None = None


class Asker(Protocol):
    """Who answers: the window, or a test's plan."""

    def ask(self, question: Question) -> Answer: ...


class Session:
    """The order of questions and the answers so far; knows nothing of windows or models.

    images (F, S, S, 3) uint8 RGB: the crops to ask about. `clicks` (F, 21, 2) holds the answers, NaN where none.
    """

    def __init__(self, images: np.ndarray, joints: dict[int, str] = CHECK_JOINTS):
        self._images, self._joints = images, joints
        self.clicks = np.full((len(images), NUM_JOINTS, 2), np.nan)
        self._todo = [(frame, joint) for frame in range(len(images)) for joint in joints]
        self._at = 0
        self._past: list[tuple[int, int, np.ndarray]] = []

    @property
    def question(self) -> Question | None:
        """The next question, None after the last."""
        if self._at >= len(self._todo):
            return None
        frame, joint = self._todo[self._at]
        return Question(
            frame + 1, len(self._images), self._images[frame], joint, self._joints[joint], self.clicks[frame].copy()
        )

    def react(self, answer: Answer) -> None:
        """Take one answer. Raises ValueError on an unknown kind."""
        if answer.kind not in KINDS:
            raise ValueError(f"Unknown answer {answer.kind!r}.")
        if answer.kind == "quit":
            self._at = len(self._todo)
        elif answer.kind == "undo":
            self._undo()
        else:
            self._advance(answer)

    def _advance(self, answer: Answer) -> None:
        frame, joint = self._todo[self._at]
        self._past.append((self._at, frame, self.clicks[frame].copy()))
        self._at += 1
        if answer.kind == "click":
            self.clicks[frame, joint] = answer.uv
        elif answer.kind == "skip_frame":
            # What was clicked in it is dropped too: a frame skipped halfway was no good frame.
            self.clicks[frame] = np.nan
            while self._at < len(self._todo) and self._todo[self._at][0] == frame:
                self._at += 1

    def _undo(self) -> None:
        """Back to the last answer's question, as things were then."""
        if self._past:
            self._at, frame, clicks = self._past.pop()
            self.clicks[frame] = clicks


@dataclass(frozen=True)
class CheckResult:
    """True 2D errors as shares of the hand's size, before and after. interval: 95 % of the change (after - before),
    frames drawn anew, None where too few. by_joint {name: {"before", "after"}}. frames, clicks: how many count."""

    nme_before: float
    nme_after: float
    interval: tuple[float, float] | None
    by_joint: dict[str, dict[str, float]]
    frames: int
    clicks: int


def run_check(folder: str | Path, asker: Asker, count: int = 20, seed: int = 0) -> CheckResult:
    """Ask about `count` held-out crops of a run and store the result in its indicators.json, part "check".

    Raises SemihandError where the run has no held-out frames, nothing was clicked or the file can't be written.
    """
    held_out, known = read_held_out(folder), read_indicators(folder)
    rows = chosen_rows(len(held_out["image"]), count, seed)
    session = Session(held_out["image"][rows])
    while (question := session.question) is not None:
        session.react(asker.ask(question))
    size = hand_sizes(held_out, rows)
    result = measure(session.clicks, held_out["uv_before"][rows], held_out["uv_after"][rows], size, seed)
    clicked = {
        "nme_before": result.nme_before, "nme_after": result.nme_after, "interval": result.interval,
        "by_joint": result.by_joint, "frames": result.frames, "clicks": result.clicks, "joints": list(result.by_joint),
        "answers": _answers(session.clicks, rows),
    }  # fmt: skip
    with atomic_file(Path(folder) / "indicators.json") as candidate:
        candidate.write_text(json.dumps(known | {"check": clicked}, indent=1), encoding="utf-8")
    return result


def chosen_rows(total: int, count: int, seed: int = 0) -> np.ndarray:
    """At most `count` of `total` rows, spread evenly, in an order drawn at random."""
    rows = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    return np.random.default_rng(seed).permutation(rows)


def hand_sizes(held_out: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Longer side (F,) of each hand's box: of the landmark model's joints, else the mean of both models' boxes.

    It is the same for both models, so that neither gains by drawing the hand larger.
    """
    sizes = (_side(held_out["uv_before"][rows]) + _side(held_out["uv_after"][rows])) / 2
    if "marks_uv" in held_out:
        marked = _side(held_out["marks_uv"][rows])
        sizes = np.where(np.isfinite(marked), marked, sizes)
    return np.maximum(sizes, 1.0)


def measure(
    clicks: np.ndarray, uv_before: np.ndarray, uv_after: np.ndarray, size: np.ndarray, seed: int = 0
) -> CheckResult:
    """Errors of both predictions (F, 21, 2) at the clicked joints (F, 21, 2), NaN: not clicked, over sizes (F,).

    A joint that either model does not have counts for neither. Raises SemihandError where nothing is left.
    """
    before, after = (np.linalg.norm(uv - clicks, axis=-1) / size[:, None] for uv in (uv_before, uv_after))
    both = np.isfinite(before) & np.isfinite(after)
    if not both.any():
        raise SemihandError(
            "No joint was clicked, so nothing was checked. Run --check again and click what you can see."
        )
    before, after = np.where(both, before, np.nan), np.where(both, after, np.nan)
    joints = np.flatnonzero(both.any(axis=0))
    by_joint = {
        JOINT_NAMES[j]: {"before": float(np.nanmean(before[:, j])), "after": float(np.nanmean(after[:, j]))}
        for j in joints
    }
    frames = int(both.any(axis=1).sum())
    return CheckResult(
        float(np.nanmean(before)), float(np.nanmean(after)), paired_interval(before, after, seed), by_joint,
        frames, int(both.sum()),
    )  # fmt: skip


def paired_interval(before: np.ndarray, after: np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """95 % bootstrap interval of the mean change of errors (F, J), NaN where none; whole frames are drawn, because
    the joints of a frame err together. None with fewer than MIN_FRAMES_FOR_INTERVAL frames."""
    change = after - before
    counts = np.isfinite(change).sum(axis=1)
    sums = np.nansum(change, axis=1)[counts > 0]
    counts = counts[counts > 0]
    if len(counts) < MIN_FRAMES_FOR_INTERVAL:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(counts), (_DRAWS, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def _side(uv: np.ndarray) -> np.ndarray:
    """Longer side (F,) of the box of joints (F, 21, 2); NaN where one is missing."""
    return np.ptp(uv, axis=1).max(axis=-1)


def _answers(clicks: np.ndarray, rows: np.ndarray) -> list[list]:
    """[held-out row, joint's name, u, v] of every click, so that other models can be measured on them too."""
    return [
        [int(rows[f]), JOINT_NAMES[j], *clicks[f, j].round(2).tolist()]
        for f, j in np.argwhere(np.isfinite(clicks).all(axis=-1))
    ]
