"""Tables of an ablation by hand: means, spreads, changes, the share of the gap, and the paper's order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.evaluate.ablate.figures import curve_areas, draw
from semihand.evaluate.ablate.published import comparison, published_beside
from semihand.evaluate.ablate.results import COLUMNS
from semihand.evaluate.ablate.table import order_report, table


def line(row, seed, epe, data="hands", setting="", **more):
    values = {"row": row, "seed": seed, "data": data, "setting": setting, "adapted_epe_mm": epe, "other_epe_mm": epe}
    return dict.fromkeys(COLUMNS, "") | {name: str(value) for name, value in (values | more).items()}


LINES = [
    line("baseline", 0, 25), line("control", 0, 20), line("vc", 0, 14), line("vc", 1, 16),
    line("robust-control", 0, 20), line("robust", 0, 15), line("oracle", 0, 10),
]  # fmt: skip


def cells(text, row):
    """The cells of the first line of a row by column, which stand two spaces apart."""
    lines = text.splitlines()
    head = next(one for one in lines if one.startswith("row "))
    found = next(one for one in lines if one.split("  ")[0] == row)
    names = [name.strip() for name in head.split("  ") if name.strip()]
    ends = [head.index(name) + len(name) for name in names[1:]]
    starts = [len(row), *ends[:-1]]
    return {name: found[start:end].strip() for name, start, end in zip(names[1:], starts, ends)}


def test_means_spreads_and_changes():
    vc, robust, baseline = (cells(table(LINES), row) for row in ("vc", "robust", "baseline"))
    assert (vc["seeds"], vc["epe_mm"]) == ("2", "15 ± 1.4")
    assert (vc["against baseline"], vc["against control"]) == ("-40.0%", "-25.0%")
    assert (robust["against baseline"], robust["against control"], robust["closed"]) == ("-40.0%", "-25.0%", "50%")
    assert vc["closed"] == "50%" and baseline["against baseline"] == "" and baseline["closed"] == ""


def test_parts_and_data_sets_have_tables_of_their_own():
    starts = [{"data": {"name": "hands", "frames": {"adapted": 8, "other": 4, "missed": 2}}}]
    text = table(LINES + [line("baseline", 0, 30, data="others")], starts)
    titles = [one for one in text.splitlines() if one.startswith(("hands", "others"))]
    assert [title.split(":")[0] for title in titles] == [
        "hands, poses adapted to", "hands, other poses", "others, poses adapted to", "others, other poses"
    ]  # fmt: skip
    assert "8 frames; no hand was found on 2" in titles[0] and "4 frames" in titles[1] and "frames" not in titles[2]


def test_lines_that_name_no_data_set_belong_to_the_only_one():
    assert cells(table(LINES + [line("vc", 2, 15, data="")]), "vc")["seeds"] == "3"
    text = table(LINES + [line("vc", 2, 15, data=""), line("vc", 0, 15, data="others")])
    assert "unnamed data set, other poses" in text and cells(text, "vc")["seeds"] == "2"


def test_only_what_was_measured_is_a_column():
    text = table(LINES)
    assert "pa_mm" not in text and "auc_20_50" not in text and "nan" not in text.lower()
    more = [line("vc", 0, 14, other_auc_20_50=0.75, other_mask_iou=0.8)]
    assert cells(table(more).split("\n\n")[1], "vc")["auc_20_50"] == "0.75"
    assert cells(table(more).split("\n\n")[1], "vc")["mask_iou"] == "0.8"


def test_a_target_without_3d_labels_is_compared_by_the_error_in_the_picture():
    lines = [line("baseline", 0, "", other_nme=0.1), line("vc", 0, "", other_nme=0.05)]
    assert cells(table(lines), "vc")["nme"] == "0.05" and cells(table(lines), "vc")["against baseline"] == "-50.0%"


def test_a_setting_stands_beside_its_own_control_else_the_plain_one():
    lines = LINES + [line("vc", 0, 12, setting="rate=1.0"), line("control", 0, 16, setting="rate=1.0"),
                     line("vc", 0, 18, setting="unlabelled=5%"), line("vc", 0, 15, setting="unlabelled=10%")]  # fmt: skip
    assert cells(table(lines), "vc [rate=1.0]")["against control"] == "-25.0%"
    assert cells(table(lines), "vc [rate=1.0]")["against baseline"] == "-52.0%"
    assert cells(table(lines), "vc [unlabelled=5%]")["against control"] == "-10.0%"
    names = [one.split("  ")[0] for one in table(lines).splitlines()]
    assert names.index("vc [unlabelled=5%]") < names.index("vc [unlabelled=10%]")


def test_trainings_that_went_wrong_are_named():
    text = table(LINES + [line("cc", 0, "", note="The network is collapsing.")])
    assert (
        "Trainings that went wrong:\ncc, seed 0: The network is collapsing." in text
        and cells(text, "cc")["seeds"] == "0"
    )
    assert (
        table([line("cc", 0, "", note="No.")]) == "Trainings that went wrong:\ncc, seed 0: No."
        and table([]) == "No run has a result."
    )


def test_published_figures_are_never_ours():
    text = table(LINES)
    assert cells(text, "vc")["published epe_mm *"] == "19.98" and cells(text, "robust")["published epe_mm *"] == ""
    assert "published on STB, another set: not comparable" in text and "STB train" in text and "STB test" in text
    assert "not comparable" not in table([line("vc", 0, 20, data="STB SK train")])
    names = [
        "STB SK",
        "Dexter+Object",
        "dexter_object",
        "ge-real-a",
        "stable hands",
        "YouTube-3D-Hands",
        "Hand-3D-Studio",
        "hsd",
    ]
    assert [comparison(name).name for name in names] == ["STB", "DO", "DO", None, None, "YT3D", "H3D", "HSD"]
    assert "0.774, adapted 0.927: published (" in published_beside("auc", "stb")[0]
    assert "not comparable" in published_beside("auc", "stb")[1] and published_beside("bars", "stb") == []


ORDERED = {"baseline": 24, "vc": 21, "cc": 20.9, "vc+cc": 19.9, "pseudo-labels": 16.3, "paper": 14.6}


def ordered(spread=0.1, **changes):
    rows = ORDERED | changes
    return [line(row, seed, epe + (0 if row == "baseline" else spread * (seed - 1)), adapted_epe_mm="")
            for row, epe in rows.items() for seed in range(1 if row == "baseline" else 3)]  # fmt: skip


def test_the_papers_order_where_it_holds():
    text = order_report(ordered())
    assert text.startswith("The paper's order on hands, other poses (epe_mm): holds")
    assert text.count(": yes, ") == 6 and text.count("; more than two standard errors") == 6
    # s.d. .1 over three seeds: standard errors .1 / sqrt(3); of the difference sqrt(2) as much
    assert "vc 21 > vc+cc 19.9: yes, +1.1; more than two standard errors, 0.163" in text
    assert "baseline 24 > vc 21: yes, +3; more than two standard errors, 0.115" in text


def test_the_papers_order_where_it_does_not():
    text = order_report(ordered(**{"pseudo-labels": 20.5}))
    assert "does not hold" in text and "vc+cc 19.9 > pseudo-labels 20.5: no, -0.6; more than two" in text
    assert "cc 20.9 > vc+cc 19.9: yes, +1; not more than two standard errors, 1.63" in order_report(ordered(spread=1.0))


def test_the_papers_order_of_too_few_runs():
    text = order_report([line("baseline", 0, 24), line("vc", 0, 20)])
    assert "cannot be told, 5 of 6 comparisons lack a row" in text and "one seed, its spread is unknown" in text
    assert order_report([line("baseline", 0, 24)]) == ""
    assert "rate=1.0" in order_report([line("baseline", 0, 24), line("vc", 0, 20, setting="rate=1.0")])


def test_areas_under_curves():
    thresholds = np.linspace(0, 100, 51)
    assert_allclose(curve_areas(np.stack([thresholds / 100, np.ones(51)]), 20, 50), [0.35, 1.0])


@pytest.mark.parametrize("name, words", [
    ("bars", "none of vc+cc"), ("auc", "no finished run kept its PCK curve"), ("share", "a share of the pictures"), ("sets", "the test part"),
])  # fmt: skip
def test_figures_of_too_few_runs_say_why_they_are_missing(tmp_path, name, words):
    text = draw(name, [line("baseline", 0, 24)], "hands", tmp_path / "r.csv")
    assert text.startswith(f"Figure {name} is not drawn: ") and words in text and not list(tmp_path.iterdir())


def test_a_figure_is_drawn_of_what_there_is(tmp_path):
    curve = " ".join(["0.5"] * 51)
    lines = LINES + [line("paper", 0, 20, other_curve=curve), line("paper", 0, 22, setting="unlabelled=5%", data="STB")]
    assert "r-bars.png" in draw("bars", lines, "hands", tmp_path / "r.csv")
    assert "r-auc-hands.png" in draw("auc", lines, "hands", tmp_path / "r.csv")
    assert "r-share-stb.png" in draw("share", lines, "STB", tmp_path / "r.csv")
    assert {file.name for file in tmp_path.iterdir()} == {"r-bars.png", "r-auc-hands.png", "r-share-stb.png"}
