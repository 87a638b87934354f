"""Fields of the recipe from the command line: typed, validated, and the same text for the same setting."""

import pytest

from semihand.adapt.profiles import PAPER, ROBUST
from semihand.errors import SemihandError
from semihand.evaluate.ablate.settings import Setting, changed, parse_changes, without_pictures


def test_values_have_the_fields_types():
    texts = [
        "view_weight=1",
        "steps=7",
        "through_norm=false",
        "fixed_masks=True",
        "circles.free_joints=0,5",
        "circle_layout=fitted",
    ]
    assert dict(parse_changes(texts)) == {
        "view_weight": 1.0, "steps": 7, "through_norm": False, "fixed_masks": True, "circles.free_joints": (0, 5),
        "circle_layout": "fitted",
    }  # fmt: skip
    nested = dict(parse_changes(["labels.tau=3", "views.kinds=mixed,shift", "views.scale=0.9,1.1", "steps=none"]))
    assert nested == {"labels.tau": 3.0, "views.kinds": ("mixed", "shift"), "views.scale": (0.9, 1.1), "steps": None}
    assert isinstance(dict(parse_changes(["view_weight=1"]))["view_weight"], float)


def test_the_recipe_is_changed_and_nothing_else():
    config = changed(ROBUST, parse_changes(["labels.tau=3", "rate=1e-3", "steps=none"]))
    assert (config.labels.tau, config.rate, config.steps) == (3.0, 1e-3, None)
    assert config.labels.share == ROBUST.labels.share and config.view_weight == ROBUST.view_weight
    assert changed(PAPER, ()) == PAPER


def test_the_same_setting_has_the_same_text():
    one, two = (parse_changes(texts) for texts in (["rate=5e-4", "view_weight=1"], ["view_weight=1.0", "rate=0.0005"]))
    assert Setting(one).text == Setting(two).text == "rate=0.0005 view_weight=1.0"
    assert Setting().text == ""
    mixed = Setting(parse_changes(["circles.free_joints=0,5", "through_norm=false"]), 25, "both").text
    assert mixed == "unlabelled=25% adapt=both circles.free_joints=0,5 through_norm=false"
    assert without_pictures(mixed) == "circles.free_joints=0,5 through_norm=false"


@pytest.mark.parametrize("text, words", [
    ("weight=1", "--set weight is unknown. Known: iterations, steps"), ("labels.size=1", "labels.size is unknown"),
    ("labels=1", "labels is unknown"), ("rate.low=1", "rate.low is unknown"), ("rate", "has no value"), ("seed=1", "--seeds chooses it"),
    ("profile=paper", "--row chooses it"), ("rate=fast", "takes a number"), ("rate=nan", "takes a number"), ("rate=inf", "takes a number"),
    ("steps=1.5", "takes a whole number"), ("through_norm=1", "takes true or false"), ("views.scale=1", "2 values between commas"),
    ("circles.free_joints=a", "values between commas, each a whole number"),
    ("labels.gate=open", "Gate 'open' is unknown"), ("circles.stride=3", "stride 3 one of 1, 2, 4, 8"), ("circle_layout=x", "layout 'x'"),
    ("iterations=0", "needs iterations"),
])  # fmt: skip
def test_wrong_ones_are_refused_with_what_would_do(text, words):
    with pytest.raises(SemihandError) as caught:
        parse_changes([text])
    assert words in str(caught.value)


def test_a_field_is_changed_once():
    with pytest.raises(SemihandError, match="rate is given twice"):
        parse_changes(["rate=1", "rate=2"])
