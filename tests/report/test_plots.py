"""Plots: ticks, places, values that are missing, and the numbers that stand in the drawing."""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from semihand.report.axes import DARK, LIGHT, Axes, number, signed, ticks
from semihand.report.plots import (
    Series,
    bar_groups,
    line_plot,
    pair_bar,
    pck_curves,
    rank_correlation,
    scatter,
)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [element.text for element in parsed(svg).iter("text")]


def path_points(svg: str) -> list[np.ndarray]:
    """Points (N, 2) of every curve, in the order of drawing."""
    curves = [e.attrib["d"] for e in parsed(svg).iter("path") if "line" in e.attrib.get("class", "")]
    return [np.array(re.findall(r"[ML]([-\d.]+) ([-\d.]+)", d), float) for d in curves]


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.13, 0.88, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3, 7, [-4, -2, 0, 2, 4, 6, 8]),
        (0, 12.5, [0, 2.5, 5, 7.5, 10, 12.5]),
        (1e-7, 5e-7, [1e-7, 2e-7, 3e-7, 4e-7, 5e-7]),
    ],
)
def test_ticks_are_round_and_enclose(low, high, wanted):
    assert_allclose(ticks(low, high), wanted, rtol=1e-9, atol=1e-20)


def test_axes_place_the_corners():
    axes = Axes((0, 10), (5, 25), (520, 270), 36)
    left, low = axes.place(0, 5)
    right, high = axes.place(10, 25)
    assert (left, high) == (58, 36)
    assert (right, low) == (504, 228)
    assert axes.place(5, 15) == ((left + right) / 2, (low + high) / 2)


def test_line_goes_through_its_points():
    svg = line_plot([Series("error", [0, 5, 10], [0, 10, 5])], "Error", "iteration", "mm")
    (points,) = path_points(svg)
    assert_allclose(points, [[58, 228], [281, 36], [504, 132]], atol=0.06)
    assert {"Error", "iteration", "mm", "0", "10"} <= set(texts(svg))
    assert "error, 5: 10.0" in svg


def test_missing_values_break_the_line():
    svg = line_plot([Series("a", [0, 1, 2, 3], [1, math.nan, 2, 3])], "t", "x", "y")
    (path,) = [e.attrib["d"] for e in parsed(svg).iter("path")]
    assert path.count("M") == 2 and path.count("L") == 1
    assert svg.count("<circle") == 3


@pytest.mark.parametrize("values", [[], [math.nan, math.inf]])
def test_nothing_measured(values):
    series = [Series("a", range(len(values)), values)]
    for svg in (
        line_plot(series, "t", "x", "y"),
        scatter(series, "t", "x", "y"),
        line_plot([], "t", "x", "y"),
    ):
        assert "nothing was measured" in texts(svg)


@pytest.mark.parametrize("y", [[2.0], [2.0, 2.0], [0.0], [-1.0], [1e-12, 2e-12], [1e12, 1e12]])
def test_flat_and_single_points_stay_inside(y):
    svg = line_plot([Series("a", range(len(y)), y)], "t", "x", "y")
    (points,) = path_points(svg)
    assert (points >= [58, 36]).all() and (points <= [504, 228]).all()


def test_fixed_range_and_points_above_it():
    svg = line_plot([Series("a", [1, 2], [20, 120])], "t", "x", "%", (0, 100))
    (points,) = path_points(svg)
    assert points[1, 1] == 36, "the plot grows rather than draw outside"
    assert points[0, 1] == pytest.approx(228 - 192 * 20 / 120, abs=0.06)


def test_legend_only_for_several_names_and_dashes_are_grey():
    one = line_plot([Series("pass", [0, 1], [0, 1])], "t", "x", "y")
    two = line_plot(
        [Series("pass", [0, 1], [0, 1]), Series("start", [0, 1], [1, 1], "dashed")], "t", "x", "y"
    )
    assert "pass" not in texts(one)
    assert {"pass", "start"} <= set(texts(two))
    assert 'class="line dashed" stroke="var(--muted)"' in two


def test_names_are_escaped():
    svg = line_plot([Series("<b>&", [0, 1], [0, 1]), Series("c", [0, 1], [1, 1])], "<script>", "x < y", '"')
    assert {"<b>&", "<script>", "x < y", '"'} <= set(texts(svg))


def test_series_of_different_lengths():
    with pytest.raises(ValueError):
        line_plot([Series("a", [0, 1], [1])], "t", "x", "y")


def test_scatter_tells_the_rank_correlation():
    svg = scatter([Series("a", [-1, 0, 1], [1, 4, 9]), Series("b", [2], [16])], "t", "score", "change")
    assert "rank correlation +1.00 (4 points)" in texts(svg)
    assert svg.count("<circle") == 4
    assert svg.count('class="zero"') == 1, "x runs through zero, y does not"


def test_rank_correlation_against_scipy():
    rng = np.random.default_rng(3)
    x = rng.integers(0, 6, 40).astype(float)
    y = x + rng.integers(0, 8, 40)
    assert_allclose(rank_correlation(x, y), spearmanr(x, y).statistic, atol=1e-12)
    y[5] = np.nan
    known = np.isfinite(y)
    assert_allclose(rank_correlation(x, y), spearmanr(x[known], y[known]).statistic, atol=1e-12)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3])])
def test_rank_correlation_without_meaning(x, y):
    assert math.isnan(rank_correlation(x, y))


def test_pck_curve():
    svg = pck_curves(
        {"all at 25": np.full((4, 21), 25.0), "none": np.full((4, 21), np.nan)}, "t", "mm", 0, 50
    )
    (points, empty) = path_points(svg)
    share = (258 - points[:, 1]) / (258 - 56)
    assert_allclose(share[:50], 0, atol=0.01)
    assert_allclose(share[50:], 1, atol=0.01)
    assert not len(empty)
    # 100 thresholds of the AUC: the step lies between two of them.
    assert re.search(r"all at 25 \(AUC 0\.5\d\d\)", svg)
    assert "none" in texts(svg)


def test_bars_are_as_long_as_their_values():
    svg = bar_groups(
        ["base", "full"], {"a": [20, 10], "b": [5, math.nan]}, "EPE", "mm", {"a": [0.5, math.nan]}
    )
    lengths = [float(e.attrib["width"]) for e in parsed(svg).iter("rect")]
    assert_allclose(np.array(lengths) / lengths[0], [1, 0.25, 0.5, 0], atol=0.01)
    told = [e.text for e in parsed(svg).iter("title")]
    assert told == ["base, a: 20.0 ± 0.5 mm", "base, b: 5.00 mm", "full, a: 10.0 mm", "full, b: –"]


def test_bars_with_a_value_missing():
    with pytest.raises(ValueError):
        bar_groups(["base", "full"], {"a": [1]}, "t")


def test_pair_bar():
    widths = re.findall(r'width="([\d.]+)" height="8"', pair_bar(2.0, 1.0, "--good"))
    assert widths == ["110.0", "55.0"]
    assert re.findall(r'width="([\d.]+)" height="8"', pair_bar(math.nan, 0.0, "--bad")) == ["0.0", "0.0"]


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0.000"), (0.0481, "0.048"), (-0.5, "-0.500"), (1.234, "1.23"), (14.55, "14.6"), (290.4, "290"),
     (0.00012, "0.00012"), (math.nan, "–"), (None, "–"), (math.inf, "–")],
)  # fmt: skip
def test_number(value, told):
    assert number(value) == told


def test_signed():
    assert [signed(v) for v in (0.5, -0.25, math.nan)] == ["+0.50", "−0.25", "–"]


def test_colors_are_readable_on_their_backgrounds():
    """Contrast of at least 3 to 1 for graphics (WCAG 2.1, 1.4.11)."""

    def luminance(color: str) -> float:
        rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for colors, back in ((LIGHT, "#ffffff"), (DARK, "#191d22")):
        for color in colors:
            high, low = sorted((luminance(color), luminance(back)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 3, color
