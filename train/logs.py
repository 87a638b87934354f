"""Tables that grow a line at a time while something runs."""

from __future__ import annotations

import csv
from pathlib import Path


def append_csv(path: Path, row: dict) -> None:
    """Add a line to a CSV file; the first one writes the column names too."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
