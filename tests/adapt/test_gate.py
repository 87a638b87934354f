"""The gate's decisions on planted cases, and what it holds out."""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from semihand.adapt.gate.decide import GateConfig, crop_gains, decide, split_held_out
from semihand.adapt.gate.indicators import Indicators, blocks
from semihand.adapt.views import Poses
from semihand.errors import SemihandError

#: What a usable source measures on a crop.
USUAL = {
    "view_consistency": 1.6, "turn_consistency": 1.9, "view_depth": 0.11, "pose_mask_iou": 0.7, "source_mask_iou": 0.7,
    "bone_distance": 2.0, "bone_deviation": 0.12, "detector_agreement": 0.08, "jitter": 0.01, "confidence": 0.6, "spread": 11.0, "seen": 1.0,
}  # fmt: skip
HIGH = {"pose_mask_iou", "source_mask_iou"}
FIXED = {"confidence", "spread", "seen"}


def indicators(factor=1.0, noise=0.05, count=60, seed=0, missing=(), whole=None, synthetic=0.08, **means):
    """Costs of USUAL times `factor`, each crop's by its own; means: other values of some indicators."""
    hard = np.random.default_rng(99).uniform(0.5, 2.0, count)
    rng = np.random.default_rng(seed)
    per_crop = {}
    for name, value in {**USUAL, **means}.items():
        own = factor * hard * np.exp(rng.normal(0, noise, count))
        if name in HIGH:
            per_crop[name] = 1 - (1 - value) * own / 2
        else:
            per_crop[name] = value * (np.ones(count) if name in FIXED else own)
        if name in missing:
            per_crop[name] = np.full(count, np.nan)
    poses = Poses(*(np.zeros((count, *shape), np.float32) for shape in ((21, 2), (21,), (64, 64), (21,))))
    both = {"bone_variance": 0.15, "diversity": 0.6, "synthetic_diversity": 0.9, "synthetic_confidence": 0.55} | (
        whole or {}
    )
    errors = np.zeros(0) if synthetic is None else synthetic * np.exp(np.random.default_rng(7).normal(0, 0.3, 100))
    return Indicators(per_crop, both, errors, blocks(np.arange(count)), poses)


def test_better_everywhere_is_accepted_and_worse_refused():
    before = indicators()
    good, bad = decide(before, indicators(0.8, seed=1)), decide(before, indicators(1.25, seed=1))
    assert good.accepted and good.score > 0.1
    assert not bad.accepted and bad.score < -0.1
    assert "not better" in bad.reason


def test_the_same_network_is_refused():
    decision = decide(indicators(), indicators())
    assert not decision.accepted
    assert_allclose(decision.score, 0.0, atol=1e-12)


def test_a_gain_within_chance_is_refused_as_such():
    decision = decide(indicators(count=15), indicators(0.97, noise=0.5, count=15, seed=3))
    assert not decision.accepted


def test_one_much_better_take_does_not_outweigh_the_rest():
    before, after = indicators(), indicators(1.04, seed=1)
    for name, values in after.per_crop.items():
        if name in USUAL.keys() - FIXED - HIGH:
            values[:5] *= 0.2
    assert not decide(before, after).accepted


@pytest.mark.parametrize("missing", [("detector_agreement",), ("jitter",), ("detector_agreement", "jitter")])
def test_missing_indicators_are_left_out(missing):
    before, good, bad = (indicators(f, seed=i, missing=missing) for i, f in enumerate((1.0, 0.8, 1.25)))
    assert not set(missing) & set(crop_gains(before, good, GateConfig()))
    assert decide(before, good).accepted and not decide(before, bad).accepted


def test_without_rendered_pictures_the_rest_decides():
    before, after = indicators(synthetic=None), indicators(0.8, seed=1, synthetic=None)
    decision = decide(before, after)
    assert decision.accepted and "forgotten" not in decision.terms


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"synthetic": 0.12}, "forgets"),
        ({"spread": 6.0}, "collapses"),
        ({"whole": {"diversity": 0.2}}, "same pose"),
        ({"synthetic": float("nan")}, "no numbers"),
        ({"spread": float("nan")}, "no numbers"),
    ],
)
def test_vetoes_hold_against_any_gain(changes, word):
    decision = decide(indicators(), indicators(0.5, seed=1, **changes))
    assert not decision.accepted and word in decision.reason


@pytest.mark.parametrize(
    "agreement, missing, accepted", [(0.5, (), True), (2.0, (), False), (0.5, ("detector_agreement",), False)]
)
def test_fewer_differences_are_forgiven_only_nearer_to_the_landmark_model(agreement, missing, accepted):
    """Poses that differ 60 % as much; half of the landmark model's distance, or twice, or nobody knows."""
    before = indicators(missing=missing)
    after = indicators(0.5, seed=1, missing=missing, whole={"diversity": 0.36})
    if not missing:
        after.per_crop["detector_agreement"][:] = agreement * before.per_crop["detector_agreement"]
    decision = decide(before, after)
    assert decision.accepted is accepted and (accepted or "same pose" in decision.reason)


@pytest.mark.parametrize(
    "changes, word",
    [({"seen": 0.2}, "show a hand"), ({"whole": {"diversity": 0.05}}, "same pose"), ({"count": 6}, "too few")],
)
def test_recordings_that_prove_nothing_are_refused(changes, word):
    count = {"count": changes["count"]} if "count" in changes else {}
    decision = decide(indicators(**changes), indicators(0.5, seed=1, **count))
    assert not decision.accepted and word in decision.reason


def test_a_decision_is_plain_json_with_one_sentence():
    for factor in (0.8, 1.2):
        told = json.loads(json.dumps(asdict(decide(indicators(), indicators(factor, seed=1))), allow_nan=False))
        assert told["reason"].endswith(".") and "\n" not in told["reason"] and isinstance(told["accepted"], bool)


def test_what_is_forgotten_counts_against_a_gain():
    before = indicators()
    gains = [decide(before, indicators(0.85, seed=1, synthetic=error)).score for error in (0.08, 0.09, 0.1)]
    assert gains[0] > gains[1] > gains[2]
    assert_allclose(gains[0] - gains[2], np.log(0.1 / 0.08) / 4.5, rtol=1e-6)


def test_masks_do_not_decide():
    before = indicators()
    assert_allclose(
        decide(before, indicators(0.85, seed=1, source_mask_iou=0.2)).score,
        decide(before, indicators(0.85, seed=1)).score,
    )


def test_a_network_without_numbers_is_refused_in_plain_json():
    after = indicators(missing=tuple(USUAL), whole={"diversity": float("nan")}, synthetic=None)
    decision = decide(indicators(), after)
    assert not decision.accepted and "no numbers" in decision.reason
    json.dumps(asdict(decision), allow_nan=False)


def test_crops_must_be_the_same():
    with pytest.raises(ValueError, match="60 and 50"):
        decide(indicators(), indicators(count=50))


def test_gains_are_log_ratios_of_each_crop():
    before, after = indicators(noise=0), indicators(0.5, noise=0)
    config = GateConfig(weights={"view_consistency": 1.0}, floors={"view_consistency": 0.0})
    assert_allclose(crop_gains(before, after, config)["view_consistency"], np.log(2))


@pytest.mark.parametrize("changes", [{"weights": {}}, {"weights": {"luck": 1.0}}, {"level": 1.0}])
def test_rules_that_make_no_sense_are_refused(changes):
    with pytest.raises(SemihandError):
        GateConfig(**changes)


@dataclass(frozen=True)
class Crops:
    """What of a CropSet says how to split it."""

    segment: np.ndarray

    def __len__(self):
        return len(self.segment)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sizes", [[30] * 10, [5, 40, 33, 12, 8, 60, 21], [20, 60, 30]])
def test_whole_segments_are_held_out(sizes, seed):
    segment = np.repeat(np.arange(len(sizes)), sizes)
    train, held = split_held_out(Crops(segment), 0.25, seed)
    assert not set(segment[train]) & set(segment[held])
    assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(len(segment)))
    assert 0.14 * len(segment) <= len(held) <= 0.41 * len(segment)


@pytest.mark.parametrize("segment", [np.zeros(200, int), np.arange(200), np.repeat([0, 1], [150, 50])])
@pytest.mark.parametrize("seed", range(3))
def test_without_takes_blocks_with_a_gap_are_held_out(segment, seed):
    train, held = split_held_out(Crops(segment), 0.25, seed)
    assert len(held) == 48 and len(train) >= 128
    apart = np.abs(train[:, None] - held[None]).min()
    assert apart > 3
    assert len(np.flatnonzero(np.diff(held) > 1)) <= 3


def test_the_split_is_the_same_for_a_seed_and_another_for_another():
    crops = Crops(np.repeat(np.arange(12), 20))
    assert_array_equal(split_held_out(crops, seed=1)[1], split_held_out(crops, seed=1)[1])
    assert len({tuple(split_held_out(crops, seed=seed)[1]) for seed in range(6)}) > 2


def test_few_crops_are_split_too():
    train, held = split_held_out(Crops(np.zeros(8, int)))
    assert len(held) == 2 and len(train) == 6
    with pytest.raises(SemihandError, match="1 frames"):
        split_held_out(Crops(np.zeros(1, int)))
