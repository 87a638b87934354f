"""Readings: planted majorities are found, the landmark model settles ties, and a state comes back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from semihand.adapt.labels.pseudo import LabelConfig
from semihand.adapt.labels.readings import ReadingConfig, ReadingLabels, look, vote
from semihand.adapt.views import ViewConfig, predict
from semihand.errors import SemihandError
from semihand.models.network import Hourglass

RNG = np.random.default_rng(0)
NO_MARKS = np.full((1, 21, 2), np.nan)
PALM = RNG.uniform(12, 52, (1, 21, 2))
BACK = PALM[..., ::-1]


def looks_at(palms: int, backs: int, noise: float = 0.2):
    """Looks (V, 1, 21, 2|-) of which some say PALM with depth .3, the others BACK with depth -.3."""
    uv = np.concatenate([np.repeat(PALM[None], palms, 0), np.repeat(BACK[None], backs, 0)])
    depth = np.concatenate([np.full((palms, 1, 21), 0.3), np.full((backs, 1, 21), -0.3)])
    return uv + RNG.normal(0, noise, uv.shape), depth


def test_the_majority_is_the_reading():
    found = vote(*looks_at(10, 6), NO_MARKS)
    assert_allclose(found.uv, PALM, atol=0.5)
    assert_allclose(found.depth, 0.3, atol=0.01)


def test_agreed_looks_are_surer_than_split_ones():
    split, agreed = (vote(*looks_at(*counts), NO_MARKS).sure[0] for counts in ((9, 7), (16, 0)))
    assert 0.4 < split < 0.65 and 0.85 < agreed <= 1
    spread = [vote(*looks_at(*counts), NO_MARKS).spread[0] for counts in ((9, 7), (16, 0))]
    assert spread[0] > 5 and spread[1] < 1


def test_the_landmark_model_chooses_the_minority_but_gives_no_joint():
    marks = BACK + [1.0, 0.0]  # one pixel beside it
    found = vote(*looks_at(10, 6, noise=0.0), marks)
    assert_allclose(found.uv, BACK, atol=0.01)
    assert_allclose(found.sure, 1.0)


def test_labels_far_from_the_landmark_model_are_doubted():
    size = np.ptp(PALM[0], axis=0).max()
    found = vote(*looks_at(16, 0, noise=0.0), PALM + [0.12 * size, 0.0])
    assert_allclose(found.sure, np.exp(-(0.12 - 0.04) / 0.04), rtol=1e-4)


def test_crops_with_and_without_landmarks_go_together():
    (uv, depth), (more_uv, more_depth) = looks_at(10, 6), looks_at(10, 6)
    marks = np.concatenate([BACK, np.full((1, 21, 2), np.nan)])
    found = vote(np.concatenate([uv, more_uv], 1), np.concatenate([depth, more_depth], 1), marks)
    assert_allclose(found.uv, np.concatenate([BACK, PALM]), atol=0.5)


def test_looking_brings_answers_back_to_the_plain_crop(crop_set, micro):
    torch.manual_seed(0)
    network, crops = Hourglass(micro).eval(), crop_set(3)
    uv, depth = look(network, crops, 3, torch.Generator().manual_seed(1), "cpu")
    assert uv.shape == (3, 3, 21, 2) and depth.shape == (3, 3, 21)
    assert_array_equal(uv[0], predict(network, crops).uv)
    assert np.abs(uv[1] - uv[0]).max() > 0.1


def test_labels_are_renewed_on_time_and_come_back_from_a_state(crop_set, micro):
    torch.manual_seed(0)
    network, other, crops = Hourglass(micro).eval(), Hourglass(micro).eval(), crop_set(3)

    def fresh():
        labels = ReadingLabels(
            crops, LabelConfig(), ViewConfig(), 5, readings=ReadingConfig(looks=3, remembered=2, every=2)
        )
        labels.start(predict(network, crops))
        return labels

    labels, again = fresh(), fresh()
    first = labels.judge(network, "cpu")
    again.restore(labels.state())
    assert_array_equal(labels.judge(other, "cpu").gate, first.gate)  # every second time only
    before = labels.pose[0]
    labels.judge(other, "cpu")
    assert len(labels.state()["looks_uv"]) == 5 and np.abs(labels.pose[0] - before).max() > 1e-3
    again.judge(other, "cpu"), again.judge(other, "cpu")
    assert_array_equal(again.pose[0], labels.pose[0])


@pytest.mark.parametrize("wrong", [{"looks": 1}, {"every": 0}, {"remembered": -1}])
def test_wrong_values_are_refused(wrong):
    with pytest.raises(SemihandError):
        ReadingConfig(**wrong)


def test_only_the_rows_asked_for_are_read(crop_set, micro):
    torch.manual_seed(0)
    network, crops = Hourglass(micro).eval(), crop_set(3)
    labels = ReadingLabels(crops, LabelConfig(), ViewConfig(), 5, readings=ReadingConfig(looks=3), rows=[2])
    answers = predict(network, crops)
    labels.start(answers)
    confidence = labels.judge(network, "cpu")
    assert confidence.gate[2] > 0 and not confidence.gate[:2].any()
    assert_array_equal(np.isfinite(confidence.total), [False, False, True])
    assert_array_equal(labels.pose[0][:2], answers.uv[:2])
    assert np.abs(labels.pose[0][2] - answers.uv[2]).max() > 1e-3
    read = labels.pose[0][2].copy()
    labels.update(replace(answers, uv=answers.uv + 1))
    assert_array_equal(labels.pose[0][:2], answers.uv[:2] + 1)
    assert_array_equal(labels.pose[0][2], read)
