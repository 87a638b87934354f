"""Measure what "unsure" means: of the joints and hands below a confidence, how many are wrong, and of those above.

    semihand synth export --out rendered --count 800 --seed 4242
    python tools/measure_doubt.py --data rendered --data real/ge-real-a --model base

A joint is wrong where it is off by more than a tenth of the hand's size, a hand where its joints are so on average.
`tracker.draw.UNSURE` is chosen on rendered pictures, and checked on real ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from semihand.datasets.sequence import read_sequence
from semihand.evaluate.labels.run import evaluate
from semihand.models.model_file import open_model
from semihand.text import table

#: Share of the hand's size above which something is wrong.
WRONG = 0.1
LEVELS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="a labelled sequence folder")
    parser.add_argument("--model", help="name or file [default: the default model]")
    options = parser.parse_args()
    model = open_model(options.model, "cpu")
    for data in options.data:
        result, _ = evaluate(read_sequence(data), model)
        confidence, error = result.errors.confidence, result.errors.nme
        print(f"{data}, {model.info.name}: {len(error)} hands")
        print(doubt_table("joints", confidence.ravel(), error.ravel()))
        print(doubt_table("hands", np.nanmean(confidence, axis=1), np.nanmean(error, axis=1)))


def doubt_table(what: str, confidence: np.ndarray, error: np.ndarray) -> str:
    """A row for each of LEVELS. confidence, error (N,), the error as a share of the hand's size; NaN is left out."""
    rows = []
    for level, below, wrong_below, wrong_above in doubts(confidence, error):
        rows.append([f"{level:.2f}", str(below), f"{wrong_below:.0%}", f"{wrong_above:.1%}"])
    return table([f"{what} below", "count", "wrong of them", "wrong of the others"], rows)


def doubts(confidence: np.ndarray, error: np.ndarray) -> list[tuple[float, int, float, float]]:
    """(level, how many are below, share of wrong ones below, and above) for each of LEVELS; NaN where there are none."""
    known = np.isfinite(confidence) & np.isfinite(error)
    confidence, wrong = confidence[known], error[known] > WRONG

    def share(rows: np.ndarray) -> float:
        return float(wrong[rows].mean()) if rows.any() else float("nan")

    below = [confidence < level for level in LEVELS]
    return [(level, int(rows.sum()), share(rows), share(~rows)) for level, rows in zip(LEVELS, below)]


if __name__ == "__main__":
    main()
