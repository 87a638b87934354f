"""Numbers in words, and tables of plain text."""

import math

import pytest

from semihand.text import number, signed, table, tick


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0.000"), (0.0481, "0.048"), (-0.5, "-0.500"), (1.234, "1.23"), (14.55, "14.6"), (290.4, "290"),
     (0.00012, "0.00012"), (math.nan, "–"), (None, "–"), (math.inf, "–")],
)  # fmt: skip
def test_number(value, told):
    assert number(value) == told


def test_signs_and_ticks():
    assert [signed(v) for v in (0.5, -0.25, math.nan)] == ["+0.50", "−0.25", "–"]
    assert [tick(v) for v in (0.1 + 0.2, -40.0, 1e6)] == ["0.3", "−40", "1000000"]


def test_columns_stand_under_their_heads():
    assert table(["row", "mm"], [["a", "1.0"], ["much longer", "12.0"]]).splitlines() == [
        "row            mm",
        "a             1.0",
        "much longer  12.0",
    ]
    assert table(["set", "by", "n"], [["a", "b", "c"]], left=2).splitlines()[1] == "a    b   c"


def test_what_looks_like_markup_or_is_long_stays_as_it_is():
    row = ["[bold]x[/bold] :smile:", "y" * 300]
    assert table(["a", "b"], [row]).splitlines()[1] == "  ".join(row)
