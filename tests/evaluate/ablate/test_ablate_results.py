"""The results file: grows line by line, survives a cut, reads what earlier versions wrote."""

import csv
import json

import pytest

from semihand.errors import SemihandError
from semihand.evaluate.ablate.results import COLUMNS, Results

OLD = "row,seed,seconds,adapted_epe_mm,adapted_pa_mm,adapted_nme,other_epe_mm,other_pa_mm,other_nme\n"


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "deep" / "results.csv")


def test_lines_come_back_as_they_were_written(results):
    assert results.lines() == [] and results.done("a") == set()
    results.prepare("a")
    results.append(
        {"row": "vc", "seed": 1, "other_epe_mm": 12.5, "setting": "free_joints=0,5", "data": "a", "note": 'a "b", c'}
    )
    line = results.lines()[0]
    assert (line["row"], line["other_epe_mm"], line["setting"], line["note"]) == (
        "vc",
        "12.5",
        "free_joints=0,5",
        'a "b", c',
    )
    assert line["adapted_epe_mm"] == "" and list(line) == list(COLUMNS)
    assert results.done("a") == {("vc", 1, "free_joints=0,5")} and results.done("b") == set()


def test_an_older_header_is_read_and_brought_up_to_date(results):
    results.path.parent.mkdir()
    results.path.write_text(OLD + "vc,0,1.5,1,2,3,4,5,6\ncc,0,1.5,1,2")
    assert [(line["row"], line["other_nme"], line["setting"], line["data"]) for line in results.lines()] == [
        ("vc", "6", "", "")
    ]
    assert results.done("anything") == {("vc", 0, "")}
    results.prepare("a")
    with open(results.path, newline="") as file:
        assert next(csv.reader(file)) == list(COLUMNS)
    assert [(line["row"], line["other_nme"], line["data"]) for line in results.lines()] == [("vc", "6", "a")]
    assert list(results.path.parent.iterdir()) == [results.path]  # no half-written file beside it


def test_an_older_program_may_still_append_to_it(results):
    results.prepare("a")
    with open(results.path, "a") as file:
        file.write("vc,0,1.5,1,2,3,4,5,6\r\n")
    assert results.lines()[0]["other_nme"] == "6" and results.done("a") == {("vc", 0, "")}


def test_columns_of_later_versions_stay(results):
    results.path.parent.mkdir()
    results.path.write_text("row,seed,extra\nvc,0,7\n")
    results.prepare("a")
    results.append({"row": "cc", "seed": 0, "data": "a"})
    assert [line["extra"] for line in results.lines()] == ["7", ""]


@pytest.mark.parametrize("text, words", [
    ("epoch,loss\n1,2\n", "no results file"), ("row,seed\nvc,one\n", "line 2: invalid literal"),
    ("row,seed,other_epe_mm\nvc,0,1\nvc,1,fast\n", "line 3: could not convert"), (b"\xff\xfe\x00", "cannot be read"),
])  # fmt: skip
def test_other_files_are_refused(results, text, words):
    results.path.parent.mkdir()
    results.path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SemihandError, match=words):
        results.lines()


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(SemihandError, match="--results .*ablation.csv"):
        Results(tmp_path)


def test_starts_are_kept_and_their_recipes_compared_for_each_data_set(results):
    results.note_start({"name": "a"}, {"steps": 1, "crop": "label"})
    results.note_start({"name": "a"}, {"steps": 1, "crop": "label"})
    results.note_start({"name": "b"}, {"steps": 2, "crop": "label"})
    assert [start["data"]["name"] for start in results.starts()] == ["a", "a", "b"]
    with pytest.raises(
        SemihandError, match=r"measured otherwise on a: steps was 1, now 2, crop was label, now detector\."
    ):
        results.note_start({"name": "a"}, {"steps": 2, "crop": "detector"})
    assert len(json.loads(results.provenance.read_text())["starts"]) == 3
    results.provenance.write_text("{")
    with pytest.raises(SemihandError, match="is damaged"):
        results.starts()
