"""What a run did to single hands: labels on their way (the paper's Fig. 9), and held-out frames before and after."""

from __future__ import annotations

import numpy as np

from ...models.metrics import hand_size
from ...report.hand_tiles import marks, outline, pale_skeleton, skeleton, tile
from ...report.page import section
from ...text import number
from .files import RunFiles

ROWS, FRAMES = 6, 6
_COLUMNS = "grid-template-columns: repeat(auto-fill, minmax(140px, 1fr))"


def label_section(run: RunFiles) -> str:
    """The labels that were learned; nothing where no example was kept."""
    if not run.labels or not len(run.labels["image"]):
        return ""
    return _taught_labels(run.labels) + _own_labels(run.labels)


def _taught_labels(labels: dict[str, np.ndarray]) -> str:
    """Examples that learn the landmark model's label."""
    rows, last = [m for m in shown_examples(labels) if _taught(labels)[m]], shown_iterations(labels["uv_label"])[-1]
    if not rows or not last:
        return ""
    told = (
        "Some of your frames with the label that was learned, in colours: the landmark model's, fitted to your bones. "
        "White dashes under it: what the old model said."
    )
    tiles = "".join(_moved_tile(labels, m, last) for m in rows)
    return section("Labels of the landmark model", told, f'<div class="strip" style="{_COLUMNS}">{tiles}</div>')


def _own_labels(labels: dict[str, np.ndarray]) -> str:
    """Examples whose label is the network's own, corrected again and again."""
    times, rows = shown_iterations(labels["uv_label"]), [m for m in shown_examples(labels) if not _taught(labels)[m]]
    if not rows:
        return ""
    told = (
        "The same hands from start to end, among them the one whose label moved most and the one whose moved least. "
        "Coloured: the label, corrected in every iteration; under it whether it was used, and its inconsistency C. White "
        "dashes: the same hand with the user's fixed bone lengths. Last column: the start in white under the final label."
    )
    columns = f'<div class="strip" style="grid-template-columns: repeat({len(times) + 1}, minmax(100px, 150px))">'
    heads = ["start", *(f"iteration {t}" for t in times[1:]), "start and end"]
    cells = [f'<div class="head">{head}</div>' for head in heads]
    for m in rows:
        cells += [_label_tile(labels, m, t) for t in times] + [_moved_tile(labels, m, times[-1])]
    return section("Labels converging", told, '<div class="wide">', columns, *cells, "</div></div>")


def _taught(labels: dict[str, np.ndarray]) -> np.ndarray:
    """(M,) bool: the label is another teacher's; older runs did not say."""
    return labels.get("taught", np.zeros(len(labels["image"]), bool))


def held_out_section(run: RunFiles) -> str:
    """Worst frames and largest changes; nothing where no frame was held out."""
    if not run.held_out or not len(run.held_out["image"]):
        return ""
    told = (
        "Frames that the new model has not learned from. Coloured: joints; blue: the hand's outline; white dots: "
        "the landmark model's joints, where it saw a hand. Below each: how much the answer contradicts itself, in pixels "
        "of the crop; less is better."
    )
    worst, changed = worst_frames(run.held_out), changed_frames(run.held_out)
    parts = ["<h3>Largest changes</h3>", _pairs(run.held_out, changed)]
    parts += ["<h3>Worst after adaptation</h3>", _pairs(run.held_out, worst)]
    return section("Held-out frames before and after", told, *parts)


def pictures(run: RunFiles) -> dict[str, np.ndarray]:
    """The crops that the two sections show, by name."""
    store = {}
    if run.labels:
        store |= {f"label{m}": run.labels["image"][m] for m in shown_examples(run.labels)}
    if run.held_out:
        shown = {*worst_frames(run.held_out), *changed_frames(run.held_out)}
        store |= {f"frame{row}": run.held_out["image"][row] for row in sorted(shown)}
    return store


def shown_iterations(uv_label: np.ndarray) -> list[int]:
    """0, 1, 2, 4, ... and the last iteration that has any label."""
    done = np.flatnonzero(np.isfinite(uv_label).any(axis=(1, 2, 3)))
    last = int(done[-1]) if len(done) else 0
    powers = [2**i for i in range(last.bit_length()) if 2**i < last]
    return [0, *powers, last] if last else [0]


def shown_examples(labels: dict[str, np.ndarray]) -> list[int]:
    """At most ROWS examples, evenly spaced between the label that moved most and the one that moved least."""
    last = shown_iterations(labels["uv_label"])[-1]
    moved = movement(labels["uv_start"], labels["uv_label"][last])
    order = np.argsort(-np.nan_to_num(moved, nan=-1.0), kind="stable")
    return sorted({int(order[i]) for i in np.linspace(0, len(order) - 1, min(ROWS, len(order))).round().astype(int)},
                  key=lambda m: int(np.flatnonzero(order == m)[0]))  # fmt: skip


def worst_frames(held_out: dict[str, np.ndarray]) -> list[int]:
    """The frames of the highest inconsistency after adaptation."""
    return _highest(held_out["cost_after"])


def changed_frames(held_out: dict[str, np.ndarray]) -> list[int]:
    """The frames whose joints moved most."""
    return _highest(movement(held_out["uv_before"], held_out["uv_after"]))


def movement(uv: np.ndarray, uv_new: np.ndarray) -> np.ndarray:
    """Mean distance (N,) between joints (N, 21, 2) and their new places, as a share of the hand's size."""
    distance = np.linalg.norm(uv_new - uv, axis=-1)
    known = np.isfinite(distance)
    mean = np.where(known, distance, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(known.any(axis=1), mean / hand_size(uv, np.full((len(uv), 4), 64.0)), np.nan)


def _highest(values: np.ndarray) -> list[int]:
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    return [int(row) for row in order[:FRAMES] if np.isfinite(values[row])]


def _label_tile(labels: dict[str, np.ndarray], m: int, t: int) -> str:
    drawn = tile(
        f"label{m}", [pale_skeleton(labels["uv_registered"][t, m]), skeleton(labels["uv_label"][t, m])],
        f"example {m}, iteration {t}",
    )  # fmt: skip
    cost = float(labels["confidence"][t, m])
    used = "used" if labels["gate"][t, m] else "not used"
    judged = f"{used}, C {number(cost)}" if np.isfinite(cost) else "not judged yet"
    return f'<div>{drawn}<div class="note">{judged}</div></div>'


def _moved_tile(labels: dict[str, np.ndarray], m: int, last: int) -> str:
    start, end = labels["uv_start"][m], labels["uv_label"][last, m]
    share = float(movement(start[None], end[None])[0])
    drawn = tile(f"label{m}", [pale_skeleton(start), skeleton(end)], f"example {m}, start and end")
    moved = f"moved by {100 * share:.1f} % of the hand" if np.isfinite(share) else "no label"
    return f'<div>{drawn}<div class="note">{moved}</div></div>'


def _pairs(held_out: dict[str, np.ndarray], rows: list[int]) -> str:
    return f'<div class="pairs">{"".join(_pair(held_out, row) for row in rows)}</div>'


def _pair(held_out: dict[str, np.ndarray], row: int) -> str:
    cells = []
    for when in ("before", "after"):
        parts = [outline(held_out[f"mask_{when}"][row])] if f"mask_{when}" in held_out else []
        parts += [skeleton(held_out[f"uv_{when}"][row])]
        parts += [marks(held_out["marks_uv"][row])] if "marks_uv" in held_out else []
        cost = number(float(held_out[f"cost_{when}"][row]))
        cells.append(f"<div>{tile(f'frame{row}', parts, f'frame {row} {when}')}{when}: {cost}</div>")
    return f'<div class="pair">{"".join(cells)}</div>'
