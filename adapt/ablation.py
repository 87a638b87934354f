"""The rows of an ablation: one recipe with some of its terms, and the controls beside it."""

from __future__ import annotations

from dataclasses import replace

from ..errors import SemihandError
from .profiles import FinetuneConfig

#: What each row trains on, in the order of the paper's Table 1.
ROWS = {
    "baseline": "the source as it is",
    "control": "synthetic pictures alone, as many steps",
    "bn": "real pictures in the batch statistics, no loss on them",
    "vc": "view consistency",
    "cc": "cross-modal (circle) consistency",
    "vc+cc": "both",
    "pseudo-labels": "pseudo-labels without consistency",
    "full": "all of it",
    "full+detector": "all of it and the landmark model as a teacher",
    "oracle": "true labels of the same frames",
}
TAUGHT = {"full+detector": "detector", "oracle": "labels"}


def row_config(row: str, base: FinetuneConfig) -> FinetuneConfig | None:
    """The recipe of a row, from `base` with all terms; None for the baseline. Raises SemihandError on an unknown row."""
    nothing = {"pseudo_weight": 0.0, "view_weight": 0.0, "circles_weight": 0.0}
    changes = {
        "baseline": None,
        "control": nothing | {"through_norm": False},
        "bn": nothing,
        "vc": {"pseudo_weight": 0.0, "circles_weight": 0.0},
        "cc": {"pseudo_weight": 0.0, "view_weight": 0.0},
        "vc+cc": {"pseudo_weight": 0.0},
        "pseudo-labels": {"view_weight": 0.0, "circles_weight": 0.0},
        "full": {},
        "full+detector": {"teacher_weight": 1.0, "pseudo_weight": base.with_teacher().pseudo_weight},
        "oracle": nothing | {"teacher_weight": 1.0},
    }
    if row not in changes:
        raise SemihandError(f"Row {row!r} is unknown: {', '.join(ROWS)}.")
    return None if changes[row] is None else replace(base, **changes[row])
