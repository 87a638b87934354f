"""What "unsure" means: how many of what is below a confidence are wrong."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from semihand.tracker.draw import UNSURE

spec = importlib.util.spec_from_file_location("measure_doubt", Path(__file__).parents[2] / "tools" / "measure_doubt.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def test_shares_of_wrong_ones_below_and_above():
    confidence = np.array([0.1, 0.2, 0.45, 0.45, 0.9, 0.9, 0.9, np.nan])
    error = np.array([0.5, 0.5, 0.5, 0.05, 0.02, 0.3, np.nan, 0.1])
    rows = {level: rest for level, *rest in tool.doubts(confidence, error)}
    assert rows[UNSURE] == [4, 0.75, 0.5]
    assert rows[0.3] == [2, 1.0, pytest.approx(2 / 4)]


def test_where_nothing_is_below():
    (level, count, below, above), *_ = tool.doubts(np.array([0.9]), np.array([0.2]))
    assert (level, count, above) == (0.3, 0, 1.0) and np.isnan(below)
    assert "nan" in tool.doubt_table("hands", np.array([0.9]), np.array([0.2]))
