"""The rows of an ablation: SemiHand with some of its terms, the controls beside it, and the robust recipe."""

from __future__ import annotations

from dataclasses import replace

from ...adapt.profiles import PAPER, ROBUST, FinetuneConfig
from ...errors import SemihandError

#: What each row trains on, in the order of the paper's Table 1. The rows up to "paper" share the paper's recipe.
ROWS = {
    "baseline": "the source as it is",
    "control": "synthetic pictures alone, as many steps",
    "bn": "real pictures in the batch statistics, no loss on them",
    "vc": "view consistency",
    "cc": "cross-modal (circle) consistency",
    "vc+cc": "both",
    "pseudo-labels": "pseudo-labels without consistency",
    "paper": "all of it",
    "robust-control": "the robust recipe without real pictures",
    "robust": "the robust recipe",
    "robust+detector": "the robust recipe and the landmark model as a teacher",
    "weak-masks": "the robust recipe and the true masks",
    "weak-2d": "the robust recipe and the true places in the picture",
    "oracle": "the robust recipe with the true labels of the same frames instead",
}
#: Whose labels teach a row: the landmark model's, or a part of the true ones.
TAUGHT = {"robust+detector": "detector", "weak-masks": "masks", "weak-2d": "places", "oracle": "labels"}
#: Rows that learn from some of the target's own labels beside or instead of the method.
WEAK = ("weak-masks", "weak-2d")
#: The row with as many steps but without the user's pictures.
CONTROLS = {row: "control" if i <= list(ROWS).index("paper") else "robust-control" for i, row in enumerate(ROWS)}

_NOTHING = {"pseudo_weight": 0.0, "view_weight": 0.0, "circles_weight": 0.0}
_CHANGES = {
    "control": _NOTHING | {"through_norm": False},
    "bn": _NOTHING,
    "vc": {"pseudo_weight": 0.0, "circles_weight": 0.0},
    "cc": {"pseudo_weight": 0.0, "view_weight": 0.0},
    "vc+cc": {"pseudo_weight": 0.0},
    "pseudo-labels": {"view_weight": 0.0, "circles_weight": 0.0},
    "paper": {},
}


def row_config(row: str, paper: FinetuneConfig = PAPER, robust: FinetuneConfig = ROBUST) -> FinetuneConfig | None:
    """The recipe of a row; None for the baseline. Raises SemihandError on an unknown row.

    paper, robust: the recipes whose terms the rows switch off.
    """
    if row not in ROWS:
        raise SemihandError(f"Row {row!r} is unknown: {', '.join(ROWS)}.")
    if row == "baseline":
        return None
    if row in _CHANGES:
        return replace(paper, **_CHANGES[row])
    return {
        "robust-control": replace(robust, **_CHANGES["control"]),
        "robust": robust,
        "robust+detector": robust.with_teacher(),
        "weak-masks": replace(robust, circles_weight=robust.circles_weight or PAPER.circles_weight),
        "weak-2d": replace(robust.with_teacher(), teacher_depth=False),
        "oracle": replace(robust, **_NOTHING, teacher_weight=1.0),
    }[row]
