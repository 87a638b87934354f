"""The figures of a video without labels: their names, what they say, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...text import number, table

#: What stands in place of a figure that could not be had.
NONE = "–"
#: Values that differ by less than this share are even.
_EVEN = 0.02


@dataclass(frozen=True)
class Figure:
    """One figure of a model. name: in measures.json; better: -1 low, 1 high, 0 neither; factor: to `unit` from there.

    tail: name of the 95th percentile that stands beside it, "" for none.
    """

    name: str
    label: str
    told: str
    better: int = -1
    unit: str = ""
    factor: float = 1.0
    tail: str = ""

    def text(self, values: Mapping[str, float | None]) -> str:
        """The figure in words."""
        value = values.get(self.name)
        if value is None:
            return NONE
        shown = f"{value:d}" if isinstance(value, int) else number(self.factor * value) if value else "0"
        tail = values.get(self.tail)
        more = "" if tail is None else f" (p95 {number(self.factor * tail)})"
        return f"{shown}{' ' * bool(self.unit)}{self.unit}{more}"


FIGURES = (
    Figure("missed", "frames without a hand", "No hand was found in them. Nobody knows in how many there was one."),
    Figure("missed_share", "share of them", "Of all frames.", -1, "%", 100),
    Figure("longest_gap_s", "longest gap", "From the first missed frame to the next one with a hand.", -1, "s"),
    Figure("landmark_missed", "missed, but seen by the landmark model",
           "Of the sampled frames: so many in which the landmark model sees a hand and the tracker has none."),
    Figure("ids", "ids", "Different ids that hands were given.", 0),
    Figure("id_switches", "id switches", "A hand went on under another id, within one hand size and one second."),
    Figure("handedness_switches", "handedness switches", "A hand changed from left to right or back."),
    Figure("jitter_mm", "jitter in space",
           "Second difference of the joints in time, by the frames' own times. Real changes of speed count too: compare "
           "models on one video.", -1, "mm", 1.0, "jitter_mm_p95"),
    Figure("jitter_size", "jitter in the picture", "The same in shares of the hand's size.",
           -1, "%", 100, "jitter_size_p95"),
    Figure("acceleration_m_s2", "acceleration",
           "Jitter in space per second squared: the same at any frame rate where the motion is real.",
           -1, "m/s²", 1.0, "acceleration_m_s2_p95"),
    Figure("bone_cv", "bone variation",
           "Variation of each bone's length over the video. A hand's bones do not change.", -1, "%", 100),
    Figure("view_consistency", "view inconsistency",
           "How far the answer moves, in shares of the hand's size, when the crop is moved, tilted, or turned and scaled: "
           "the mean of the next three. A model can be wrong without any doubt.", -1, "%", 100, "view_consistency_p95"),
    Figure("view_shift", "… moved crops", "Moved by 5 of 64 crop pixels.", -1, "%", 100),
    Figure("view_tilt", "… tilted crops", "Turned by 2 degrees.", -1, "%", 100),
    Figure("view_turn", "… turned and scaled crops",
           "Turned by 25 degrees, and 0.85 or 1.2 times as large.", -1, "%", 100),
    Figure("view_quarter", "crops turned by right angles",
           "By 90, 180 and 270 degrees. The tracker turns its crops with the hand, so this does not happen to it, and does "
           "not count above.", -1, "%", 100),
    Figure("joints_on_mask", "joints on the mask",
           "Share of the joints that lie on the hand's outline as the same network sees it.", 1, "%", 100),
    Figure("landmark_distance", "distance to the landmark model",
           "Mean distance of the joints to the landmark model's, in shares of the hand's size. It is no truth, and says "
           "little of a model that has learned from it.", -1, "%", 100, "landmark_distance_p95"),
    Figure("confidence", "confidence", "The network's own, mean over the joints.", 0),
    Figure("fps", "frames a second", "Reading the file and tracking, one after the other; drawing is not counted.", 1),
)  # fmt: skip


def best(figure: Figure, values: Sequence[Mapping[str, float | None]]) -> set[int]:
    """Places of the models with the best value, or one hardly worse; none where that holds for all, or for one alone."""
    known = {i: figure.better * one[figure.name] for i, one in enumerate(values) if one.get(figure.name) is not None}
    if figure.better == 0 or len(known) < 2:
        return set()
    top = max(known.values())
    near = {i for i, value in known.items() if value >= top - _EVEN * abs(top)}
    return near if len(near) < len(known) else set()


def text_table(names: Sequence[str], values: Sequence[Mapping[str, float | None]]) -> str:
    """All figures for a terminal, one row each, one column for every model; * marks the best of several."""
    cells = []
    for figure in FIGURES:
        winners = best(figure, values)
        cells.append([figure.label, *(figure.text(one) + " *" * (i in winners) for i, one in enumerate(values))])
    return table(["", *names], cells, left=len(names) + 1)
