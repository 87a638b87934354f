"""The realism meter, with planted finders in place of MediaPipe's models."""

from functools import lru_cache

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.evaluate.realism import (
    Realism,
    as_dict,
    as_text,
    joint_offsets,
    measure_realism,
    plain_scenes,
    worst_sheet,
)
from semihand.synth.scene import SceneRenderer

CONFIG = plain_scenes(size=64)
COUNT = 3


@lru_cache
def labels():
    renderer = SceneRenderer(CONFIG, seed=3)
    return [renderer.render(index).uv for index in range(COUNT)]


class PlantedFinder:
    """Returns the true joints, moved and named as told, of the pictures in the order in which they are shown."""

    def __init__(self, move, handedness="right", hidden=()):
        self.move, self.handedness, self.hidden, self.shown = move, handedness, hidden, 0

    def __call__(self, image):
        index, self.shown = self.shown, self.shown + 1
        assert image.shape == (64, 64, 3) and image.dtype == np.uint8
        return [] if index in self.hidden else [(self.move(labels()[index]), self.handedness)]


def measure(**finder):
    return measure_realism(COUNT, seed=3, config=CONFIG, finder=PlantedFinder(**finder))


def test_perfect_finder_reads_perfect_hands():
    result = measure(move=lambda uv: uv)
    assert (result.found, result.handedness_right) == (1.0, 1.0)
    assert result.median_disagreement == 0.0
    assert len(result.pictures) == COUNT


def test_disagreement_is_a_share_of_the_box():
    result = measure(move=lambda uv: uv + 0.1 * np.ptp(uv, axis=0).max() * np.array([0.6, 0.8]))
    assert_allclose(result.disagreement, 0.1, atol=1e-5)


def test_missed_and_wrongly_handed_hands_count():
    result = measure(move=lambda uv: uv, handedness="left", hidden=(1,))
    assert result.found == pytest.approx(1 - 1 / COUNT)
    assert result.handedness_right == 0.0
    assert np.isnan(result.disagreement[1])


def test_a_hand_elsewhere_is_not_found():
    result = measure(move=lambda uv: uv + 100.0)
    assert result.found == 0.0
    assert np.isnan(result.median_disagreement) and np.isnan(result.handedness_right)
    assert np.isnan(result.along).all()


def test_joint_offsets_by_hand():
    """A palm 40 px long with fingers up: a wrist found 4 px lower is -0.1, an index tip 2 px to its side +0.05."""
    label = np.zeros((21, 2))
    label[9], label[5], label[17] = (0, -40), (10, -38), (-12, -34)
    label[[8, 12]] = (12, -70), (0, -60)
    found = label.copy()
    found[0] += (0, 4)
    found[8] += (2, 0)
    along, across = joint_offsets([(label, found), (label, found), (label, label)])
    assert_allclose(along[[0, 8, 9]], [-0.1, 0.0, 0.0], atol=1e-9)
    assert_allclose(across[[0, 8, 9]], [0.0, 0.05, 0.0], atol=1e-9)


def test_edge_on_palms_tell_no_direction():
    label = np.zeros((21, 2))
    label[9], label[5], label[17] = (0, -40), (1, -38), (-1, -34)
    assert np.isnan(joint_offsets([(label, label)])[0]).all()


def test_report_and_sheet(tmp_path):
    result = measure(move=lambda uv: uv, hidden=(2,))
    text, numbers = as_text(result), as_dict(result)
    assert "66.7%" in text and "little_tip" in text
    assert numbers["found"] == pytest.approx(2 / 3) and len(numbers["offset_along"]) == 21
    worst_sheet(result, tmp_path / "worst.png", columns=2)
    assert (tmp_path / "worst.png").stat().st_size > 1000
    assert isinstance(result, Realism)
