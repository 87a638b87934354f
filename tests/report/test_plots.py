"""Plots: values that are missing, fixed ends, legends, and the numbers that stand in the drawing."""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.report.page import STYLE, date_words, table
from semihand.report.plots import DARK, LIGHT, Series, bar_groups, line_plot, pair_bar, scatter


def texts(svg: str) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter("text")]


def bold_paths(svg: str) -> list[str]:
    """The paths of the lines in the series' colours."""
    paths = ElementTree.fromstring(svg).iter("path")
    return [p.attrib["d"] for p in paths if re.search(r"fill: none; stroke: var\(--s\d\)", p.attrib.get("style", ""))]


def points(path: str) -> np.ndarray:
    return np.array(re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path), float)


def level(svg: str, value: str) -> float:
    """The height of a tick's text."""
    (found,) = [e for e in ElementTree.fromstring(svg).iter("text") if e.text == value and "end" in e.attrib["style"]]
    return float(found.attrib["y"])


def test_line_goes_through_its_points():
    svg = line_plot([Series("error", [0, 5, 10], [0, 10, 5])], "Error", "iteration", "mm", (0, 10))
    line = points(bold_paths(svg)[0])
    assert_allclose((line[:, 0] - line[0, 0]) / np.ptp(line[:, 0]), [0, 0.5, 1], atol=1e-4)
    assert_allclose((line[0, 1] - line[:, 1]) / np.ptp(line[:, 1]), [0, 1, 0.5], atol=1e-4)
    assert level(svg, "0") - level(svg, "10") == pytest.approx(np.ptp(line[:, 1]), abs=0.01)
    assert {"Error", "iteration", "mm"} <= set(texts(svg))


def test_missing_values_break_the_line():
    svg = line_plot([Series("a", [0, 1, 2, 3], [1, math.nan, 2, 3])], "t", "x", "y")
    path = bold_paths(svg)[0]
    assert path.count("M") == 2 and path.count("L") == 1


@pytest.mark.parametrize("values", [[], [math.nan, math.inf]])
def test_nothing_measured(values):
    series = [Series("a", range(len(values)), values)]
    for svg in (line_plot(series, "t", "x", "y"), scatter(series, "t", "x", "y"), line_plot([], "t", "x", "y")):
        assert "nothing was measured" in texts(svg)


@pytest.mark.parametrize("y", [[2.0, 2.0], [0.0, 0.0], [-1.0, -1.0], [1e-12, 2e-12], [1e12, 1e12]])
def test_flat_lines_stay_inside(y):
    line = points(bold_paths(line_plot([Series("a", range(len(y)), y)], "t", "x", "y"))[0])
    assert (line >= 0).all() and (line <= [520, 290]).all()


def test_the_axis_grows_rather_than_draw_outside_of_fixed_ends():
    fixed = line_plot([Series("a", [1, 2], [20, 60])], "t", "x", "%", (0, 100))
    grown = line_plot([Series("a", [1, 2], [20, 120])], "t", "x", "%", (0, 100))
    assert {"0", "100"} <= set(texts(fixed)) and "120" in texts(grown)
    assert points(bold_paths(grown)[0])[1, 1] >= 0


def test_whole_numbers_alone_under_iterations():
    assert "0.5" not in texts(line_plot([Series("a", [0, 1, 2], [10, 20, 30])], "t", "iteration", "y"))
    assert "0.5" in texts(line_plot([Series("a", [0.1, 0.5, 0.9], [10, 20, 30])], "t", "share", "y"))


def test_legend_only_for_several_names_and_dashes_are_grey():
    one = line_plot([Series("pass", [0, 1], [0, 1])], "t", "x", "y")
    two = line_plot([Series("pass", [0, 1], [0, 1]), Series("start", [0, 1], [1, 1], "dashed")], "t", "x", "y")
    assert "pass" not in texts(one)
    assert {"pass", "start"} <= set(texts(two))
    assert re.search(r"stroke-dasharray: [^\"]*stroke: var\(--muted\)", two)


def test_a_pale_line_and_its_mean_are_one_name():
    svg = line_plot(
        [Series("mean", [0, 1], [0, 1], "faint", 0), Series("mean", [0, 1], [1, 1], color=0)], "t", "x", "y"
    )
    assert "mean" not in texts(svg) and "var(--s1)" not in svg


def test_lines_that_would_hide_each_other_are_one_with_both_names():
    same, other = [1.0, 2.0, 3.0], [1.0, 2.0, 2.5]
    svg = line_plot(
        [Series("a", [0, 1, 2], same), Series("b", [0, 1, 2], other), Series("c", [0, 1, 2], same)], "t", "x", "y"
    )
    assert {"a = c", "b"} <= set(texts(svg)) and len(bold_paths(svg)) == 2 + 2  # lines, and theirs in the legend
    dashed = line_plot([Series("a", [0, 1], [1, 1]), Series("start", [0, 1], [1, 1], "dashed")], "t", "x", "y")
    assert {"a", "start"} <= set(texts(dashed))  # dashes let the line under them be seen


def test_names_are_escaped():
    svg = line_plot([Series("<b>&", [0, 1], [0, 1]), Series("c", [0, 1], [1, 1])], "<script>", "x < y", '"')
    assert {"<b>&", "<script>", "x < y", '"'} <= set(texts(svg))


def test_nothing_in_a_plot_reaches_the_page_around_it():
    svg = line_plot([Series("a", [0, 1], [0, 1])], "t", "x", "y")
    ids = re.findall(r' id="([^"]+)"', svg)
    assert set(ids) == set(re.findall(r'href="#([^"]+)"', svg)), "only what the plot itself refers to has a name"
    assert "<style" not in svg and "url(" not in svg and "http" not in svg


def test_series_of_different_lengths():
    with pytest.raises(ValueError):
        line_plot([Series("a", [0, 1], [1])], "t", "x", "y")


def test_scatter_tells_the_rank_correlation():
    svg = scatter([Series("a", [-1, 0, 1], [1, 4, 9]), Series("b", [2], [16])], "t", "score", "change")
    assert "rank correlation +1.00 (4 points)" in texts(svg) and {"a", "b"} <= set(texts(svg))


def test_bars_are_as_long_as_their_values_and_say_them():
    svg = bar_groups(["base", "full"], {"a": [20, 10], "b": [5, math.nan]}, "EPE", "mm")
    bars = [
        p.attrib["d"] for p in ElementTree.fromstring(svg).iter("path") if "fill: var(--s" in p.attrib.get("style", "")
    ]
    lengths = [np.ptp(points(d)[:, 0]) for d in bars[:4]]
    assert_allclose(np.array(lengths) / lengths[0], [1, 0.5, 0.25, 0], atol=0.01)
    assert {"20.0 mm", "10.0 mm", "5.00 mm", "–", "base", "full"} <= set(texts(svg))


def test_bars_with_a_value_missing():
    with pytest.raises(ValueError):
        bar_groups(["base", "full"], {"a": [1]}, "t")


def test_pair_bar():
    widths = re.findall(r'width="([\d.]+)" height="8"', pair_bar(2.0, 1.0, "--good"))
    assert widths == ["110.0", "55.0"]
    assert re.findall(r'width="([\d.]+)" height="8"', pair_bar(math.nan, 0.0, "--bad")) == ["0.0", "0.0"]


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


def test_a_table_becomes_a_list_on_a_phone():
    html = table(("set", "error", ""), [("a <b>x</b>", "1.0", "bar")], figures=(1,))
    assert '<td data-head="set">a <b>x</b></td><td class="figure" data-head="error">1.0</td>' in html
    assert '<th class="aside"></th>' in html and '<td class="aside" data-head="">bar</td>' in html
    assert "td.aside, td:empty { display: none; }" in STYLE and "attr(data-head)" in STYLE


def test_dates_are_told_to_the_minute():
    assert date_words("2026-01-02T03:04:05+00:00") == "2026-01-02 03:04 UTC" and date_words("soon") == "soon"
