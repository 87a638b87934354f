"""Which runs the tables and figures of an ablation are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...errors import SemihandError
from .rows import ROWS, WEAK, row_config
from .settings import ADAPT_TO, Setting

#: What can be made: the paper's Table 1, Fig. 6, Fig. 7 and 8, Fig. 10, and the last rows of Table 1.
FIGURES = {
    "table": "a row for each of the method's parts",
    "bars": "the source, consistency alone, pseudo-labels alone, all of it",
    "auc": "PCK curves and the areas under them",
    "share": "share of the unlabelled pictures, and weak labels",
    "sets": "adapted to the train part, the test part, or both",
}
BAR_ROWS = ("baseline", "vc+cc", "pseudo-labels", "paper")
AUC_ROWS = ("baseline", "paper", "robust", "oracle")
#: Per cent of the unlabelled pictures.
SHARES = (5, 10, 25, 50, 100)
#: The method of the figures that vary its pictures.
METHOD = ("robust",)
WEAK_ROWS = (*WEAK, "oracle")


@dataclass(frozen=True)
class Run:
    """One training, or the source as it is."""

    row: str
    seed: int
    setting: Setting

    @property
    def key(self) -> tuple[str, int, str]:
        """As the results file knows it."""
        return self.row, self.seed, self.setting.text

    def __str__(self) -> str:
        return f"{self.row}, seed {self.seed}" + (f", {self.setting.text}" if self.setting.text else "")


def plan(options) -> list[Run]:
    """The runs of all figures (see `ablate.AblateOptions`), none twice; one seed of all of them after the other.

    The source as it is has no seeds and no settings.
    """
    pairs = [pair for figure in options.figures for pair in _PLANS[figure](options.rows, Setting(options.changes))]
    runs = {Run("baseline", 0, Setting()) if row == "baseline" else Run(row, seed, setting): None
            for seed in range(options.seeds) for row, setting in pairs}  # fmt: skip
    return list(runs)


def methods(rows: Iterable[str] | None, figure: str) -> list[str]:
    """The rows whose pictures are varied: those given that learn from the target's pictures without labels."""
    if rows is None:
        return list(METHOD)
    chosen = [row for row in rows if row not in WEAK_ROWS and (config := row_config(row)) and config.uses_unlabelled]
    if not chosen:
        raise SemihandError(
            f"--figure {figure} needs a --row that learns from unlabelled pictures, for example robust."
        )
    return chosen


def _table(rows, base: Setting):
    return [(row, base) for row in (rows or [row for row in ROWS if row not in WEAK])]


def _bars(rows, base: Setting):
    return [(row, base) for row in BAR_ROWS]


def _auc(rows, base: Setting):
    return [(row, base) for row in rows or AUC_ROWS]


def _share(rows, base: Setting):
    varied = [(row, replace(base, unlabelled=share)) for row in methods(rows, "share") for share in SHARES]
    return [("baseline", base), *varied, *((row, base) for row in WEAK_ROWS)]


def _sets(rows, base: Setting):
    varied = [(row, replace(base, adapt_to=part)) for row in methods(rows, "sets") for part in ADAPT_TO]
    return [("baseline", base), *varied]


_PLANS = {"table": _table, "bars": _bars, "auc": _auc, "share": _share, "sets": _sets}
