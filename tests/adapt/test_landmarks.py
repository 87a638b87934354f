"""The landmark model's answers, averaged over looks; a planted model answers with the joints that it was given."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.adapt.frames.landmarks import MAX_DRAWS, LandmarkObserver, Landmarks, depth_of
from semihand.models.joints import BONES, NUM_JOINTS, PRIOR_BONE_LENGTHS
from semihand.tracker.detect import LandmarkResult

WIDTH, HEIGHT = 320, 240


def hand(offset=(160.0, 200.0), unit=25.0) -> np.ndarray:
    """Joints (21, 3) in pixels of an open hand, a little bent away from the camera."""
    angles = np.deg2rad([60, 15, 0, -15, -30])
    points = np.zeros((NUM_JOINTS, 3))
    for (parent, child), length in zip(BONES, PRIOR_BONE_LENGTHS):
        angle = angles[(child - 1) // 4]
        step = np.array([np.sin(angle), -np.cos(angle), 0.2 * ((child - 1) % 4)])
        points[child] = points[parent] + length * unit * step / np.linalg.norm(step)
    points[:, :2] += offset
    return points


class PlantedModel:
    """Sees one right hand in a picture with a bright left edge, and a left one in its mirror image.

    error: pixels added to the joints with a sign that changes from call to call. calls: (mirrored, box) asked with.
    """

    def __init__(self, joints=None, presence=0.9, error=0.0):
        self.joints, self.presence, self.error = hand() if joints is None else joints, presence, error
        self.calls: list[tuple[bool, object]] = []

    def __call__(self, image, box):
        mirrored = bool(image[0, -1, 0] > image[0, 0, 0])
        self.calls.append((mirrored, box))
        points = self.joints.copy()
        if mirrored:
            points[:, 0] = image.shape[1] - 1 - points[:, 0]
        uv = points[:, :2] + self.error * (-1) ** len(self.calls)
        world = points * (0.04 / 25.0)
        return LandmarkResult(uv, points[:, 2], self.presence, "left" if mirrored else "right", 0.9, world)


class PlantedDetector:
    def detect(self, image, max_hands=2):
        return [SimpleNamespace(center=np.array([160.0, 140.0]), side=200.0, roll=0.0)]


@pytest.fixture
def picture():
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, 0] = 255
    return image


def observer(model, draws):
    return LandmarkObserver(PlantedDetector(), model, draws=draws)


@pytest.mark.parametrize("draws", [0, 1, 2, 5, MAX_DRAWS])
def test_every_look_says_the_same_and_so_does_their_mean(picture, draws):
    model = PlantedModel()
    (marks,) = observer(model, draws)(picture)
    assert len(model.calls) == 1 + draws
    assert_allclose(marks.uv_image, hand()[:, :2], atol=1e-9)
    assert_allclose(marks.depth, hand()[:, 2], atol=1e-9)
    assert_allclose(marks.spread, 0, atol=1e-9)
    assert marks.handedness == "right" and marks.presence == pytest.approx(0.9)


def test_every_second_draw_looks_into_the_mirror(picture):
    model = PlantedModel()
    observer(model, 4)(picture)
    assert [mirrored for mirrored, _ in model.calls] == [False, False, True, False, True]
    plain, mirror = model.calls[1][1], model.calls[2][1]
    assert mirror.center[0] == pytest.approx(WIDTH - 1 - plain.center[0])
    assert mirror.roll == pytest.approx(-plain.roll) and mirror.side == pytest.approx(plain.side)


def test_opposite_errors_cancel_and_show_as_spread(picture):
    (marks,) = observer(PlantedModel(error=3.0), 4)(picture)
    assert_allclose(marks.uv_image[:, 1], hand()[:, 1], atol=1e-9)
    assert (marks.spread > 2.9).all() and (marks.spread < 4.5).all()


def test_nothing_where_the_model_sees_no_hand(picture):
    assert observer(PlantedModel(presence=0.2), 2)(picture) == []


def test_refine_finds_a_recorded_hand_again(picture):
    off = hand()[:, :2] + 4.0
    recorded = Landmarks(off, np.zeros(NUM_JOINTS), 0.7, "left", np.zeros(NUM_JOINTS))
    marks = observer(PlantedModel(), 2).refine(picture, recorded)
    assert_allclose(marks.uv_image, hand()[:, :2], atol=1e-9)
    assert_allclose(marks.depth, hand()[:, 2], atol=1e-9)
    assert marks.handedness == "left"
    assert observer(PlantedModel(presence=0.1), 2).refine(picture, recorded) is recorded


def test_a_hand_that_somebody_else_sees_is_asked_for_without_the_palm_detector(picture):
    model = PlantedModel(presence=0.8)
    found = LandmarkObserver(None, model, draws=2).near(picture, hand()[:, :2] + 5.0)
    assert_allclose(found.uv_image, hand()[:, :2], atol=1e-9)
    unsure, sure = (
        Landmarks(hand()[:, :2] + 9, np.zeros(NUM_JOINTS), score, "left", np.zeros(NUM_JOINTS)) for score in (0.7, 0.9)
    )
    asked = LandmarkObserver(PlantedDetector(), model, draws=2)
    assert asked.near(picture, hand()[:, :2], unsure).presence == pytest.approx(0.8)
    assert asked.near(picture, hand()[:, :2], sure) is sure
    blind = LandmarkObserver(PlantedDetector(), PlantedModel(presence=0.2), draws=2)
    assert blind.near(picture, hand()[:, :2]) is None and blind.near(picture, hand()[:, :2], unsure) is unsure


def test_depth_is_the_mean_of_both_answers_at_one_scale():
    points = hand()
    flat = points * (1, 1, 0)
    both = LandmarkResult(flat[:, :2], flat[:, 2], 0.9, "right", 0.9, points * (0.04 / 25.0))
    size = np.linalg.norm([np.linalg.norm(flat[c] - flat[p]) for p, c in BONES])
    full = np.linalg.norm([np.linalg.norm(points[c] - points[p]) for p, c in BONES])
    assert_allclose(depth_of(both), points[:, 2] * size / full / 2, atol=1e-9)


def test_an_impossible_number_of_draws_is_refused():
    with pytest.raises(ValueError, match="draws must lie between 0 and 10, got 11"):
        LandmarkObserver(PlantedDetector(), PlantedModel(), draws=11)
