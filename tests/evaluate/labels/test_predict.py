"""Predictions and their metrics: a model that knows the truth, peers, and the crop protocols."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.datasets.labels import label_box
from semihand.datasets.sequence import SequenceFrame, SequenceWriter, read_sequence
from semihand.errors import SemihandError
from semihand.evaluate.labels import predict as predicting
from semihand.evaluate.labels.predict import HandFinder, Prediction, matching, predict, predict_with_peer
from semihand.evaluate.labels.run import METRICS, evaluate, evaluate_predictions
from semihand.models.camera import warp_crop
from semihand.models.joints import BONES, PRIOR_BONE_LENGTHS, ROOT, UNIT_BONE_METRES
from semihand.models.lifting import project, relative_depth, unit_length
from semihand.models.metrics import joint_errors_mm
from semihand.models.model_file import Output
from semihand.tracker.palm import ALL_VIEWS
from semihand.tracker.types import HandBox

K = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])
RNG = np.random.default_rng(11)
FRAMES = 5


def bent_hand(center):
    """A hand (21, 3) metres with the prior's bone lengths, fingers bent at random."""
    hand = np.zeros((21, 3))
    for bone, (parent, child) in enumerate(BONES):
        direction = np.array([(child - 1) // 4 * 0.25 - 0.5, -1, 0]) + 0.4 * RNG.normal(size=3)
        hand[child] = hand[parent] + PRIOR_BONE_LENGTHS[bone] * direction / np.linalg.norm(direction)
    return UNIT_BONE_METRES * (hand - hand[ROOT]) + center


HANDS = [bent_hand([0.05 * RNG.normal(), 0.03 * RNG.normal(), 0.5]) for _ in range(FRAMES)]


def picture(number):
    """A flat picture whose blue says which frame it is."""
    return np.full((240, 320, 3), (20 * number, 0, 200), np.uint8)


def number_of(image):
    return round(float(image[..., 0].mean()) / 20)


def write(folder, labels):
    """A sequence of one frame per dict of labels, named after the folder."""
    with SequenceWriter(folder) as writer:
        for number, label in enumerate(labels):
            writer.add(picture(number), **label)
    return read_sequence(folder)


@pytest.fixture
def sequence(tmp_path):
    mask = np.zeros((240, 320))
    mask[80:160, 100:220] = 1
    sides = ["left", "right"] * FRAMES
    return write(
        tmp_path / "planted",
        [dict(K=K, handedness=side, xyz=hand, mask=mask) for side, hand in zip(sides, HANDS, strict=False)],
    )


class Oracle:
    """Answers every crop with the truth; `spoil` changes (uv_crop, depth_rel) before they are given."""

    info = SimpleNamespace(name="oracle", crop_factor=1.6, input_size=96)

    def __init__(self, monkeypatch, spoil=lambda uv, depth: (uv, depth)):
        self.views, self.pictures, self._spoil = [], [], spoil
        monkeypatch.setattr(predicting, "warp_crop", self._warp)

    def _warp(self, image, crop, size):
        self.views.append((number_of(image), crop))
        return warp_crop(image, crop, size)

    def run(self, crops):
        self.pictures.append(crops)
        answers = [self._answer(*view) for view in self.views[-len(crops) :]]
        return tuple(np.stack(part).astype(np.float32) for part in zip(*answers, strict=True))

    def _answer(self, number, crop):
        virtual = crop.xyz_to_virtual(HANDS[number])
        uv, depth = project(virtual, crop.K_crop), relative_depth(virtual, unit_length(virtual))
        mask = np.zeros((240, 320), np.float32)
        mask[80:160, 100:220] = 1
        right_way = 1.0 if crop.mirrored == (number % 2 == 0) else 0.2
        return *self._spoil(uv, depth), warp_crop(mask, crop, 64, border="black"), np.full(21, right_way)


def finder_of(answers, presence=0.9):
    """A finder that answers picture i with answers[i], a list of (uv, handedness)."""
    detector = SimpleNamespace(detect=lambda image, max_hands, views: answers[number_of(image)])
    return HandFinder(detector, lambda image, box: seen(*box, presence))


def seen(uv_image, handedness, presence=0.9):
    """What a landmark model says of a box."""
    return SimpleNamespace(uv_image=uv_image, handedness=handedness, presence=presence, handedness_score=0.9)


def test_a_finder_looks_at_the_same_picture_once():
    looked = []
    detector = SimpleNamespace(
        detect=lambda image, max_hands, views: looked.append(number_of(image)) or [HANDS[number_of(image)]]
    )
    finder = HandFinder(detector, lambda image, box: seen(box[:, :2], "left"))
    first, other, again = (finder(picture(number)) for number in (1, 2, 1))
    assert looked == [1, 2] and again == first
    assert_allclose([first[0][0], other[0][0]], [HANDS[1][:, :2], HANDS[2][:, :2]])
    assert finder(picture(1)[:120]) and len(looked) == 3


def test_every_view_of_a_picture_is_tried_before_it_counts_as_missed():
    """A box in which no hand is seen does not end the search."""
    asked = []

    def detect(image, max_hands, views):
        asked.extend(views)
        return {1: [(HANDS[0][:, :2], 0.1)], 4: [(HANDS[1][:, :2], 0.9)]}.get(len(asked), [])

    finder = HandFinder(SimpleNamespace(detect=detect), lambda image, box: seen(box[0], "left", box[1]))
    ((uv, _),) = finder(picture(0))
    assert_allclose(uv, HANDS[1][:, :2])
    assert tuple(asked) == ALL_VIEWS[:4]
    asked.clear()
    nothing = HandFinder(SimpleNamespace(detect=lambda image, max_hands, views: asked.extend(views) or []), None)
    assert nothing(picture(0)) == [] and tuple(asked) == ALL_VIEWS


def test_a_model_that_sees_hands_itself_needs_no_landmark_model():
    class Seeing:
        info = SimpleNamespace(input_size=64, crop_factor=1.25, bone_lengths=PRIOR_BONE_LENGTHS)
        outputs = ("uv", "depth", "mask", "confidence", "presence", "right")

        def run(self, crops):
            n = len(crops)
            right = np.tile([0.2, 0.9], n)[:n]  # looked at as a left hand, and as a right one
            return (
                np.full((n, 21, 2), 31.5),
                np.zeros((n, 21)),
                np.zeros((n, 64, 64)),
                np.ones((n, 21)),
                np.ones(n),
                right,
            )

    box = HandBox(np.array([100.0, 80.0]), 60.0)
    finder = HandFinder(SimpleNamespace(detect=lambda image, max_hands, views: [box]), None)
    one, other = Seeing(), Seeing()
    ((uv, side),) = finder(picture(1), one)
    assert_allclose(uv, np.tile(box.center, (21, 1)), atol=1e-3)
    assert side == "right"
    other.run = lambda crops: Seeing.run(other, crops)[:4] + (np.zeros(len(crops)), np.zeros(len(crops)))
    assert finder(picture(1), other) == [] and len(finder(picture(1), one)) == 1


def test_a_model_that_knows_the_truth_has_no_error(sequence, monkeypatch):
    oracle = Oracle(monkeypatch)
    result, predictions = evaluate(sequence, oracle)
    perfect = dict(nme=0, pck_05=1, pck_10=1, pck_20=1, epe_mm=0, pa_mm=0, auc_20_50=1)
    assert (result.frames, result.unlabelled, result.missed) == (FRAMES, 0, 0)
    assert_allclose([result.metrics[name] for name in perfect], list(perfect.values()), atol=1e-3)
    # Rounding leaves only the root at an error of exactly 0, so the curve rises within its first step of 19.
    assert_allclose([result.metrics["auc_0_50"], result.metrics["auc_0_100"]], 1 - 20 / 21 / 19 / 2)
    assert_allclose(result.metrics["mask_iou"], 1)
    # Handedness is given by the label, so not predicted; pictures without fps are no video.
    assert set(result.absent) == {"handedness", "jitter_label_mm", "lag_frames"}
    for hand, prediction in zip(HANDS, predictions, strict=True):
        assert_allclose(prediction.xyz, hand, atol=1e-5)
    assert [row.epe_mm < 0.01 for row in result.per_frame] == [True] * FRAMES


def test_the_label_crop_is_the_square_round_the_joints_times_the_factor(sequence, monkeypatch):
    oracle = Oracle(monkeypatch)
    predict(sequence, oracle)
    assert [crop.mirrored for _, crop in oracle.views] == [True, False, True, False, True]
    for number, crop in oracle.views:
        uv = project(HANDS[number], K)
        box = uv.max(0) - uv.min(0)
        assert_allclose(crop.uv_to_crop(uv.min(0) + box / 2), 31.5, atol=1e-3)
        x_axis = crop.uv_to_crop(uv.min(0) + box / 2 + [[-1, 0], [1, 0]])[:, 0]
        assert_allclose(abs(x_axis[1] - x_axis[0]) / 2, 64 / (1.6 * box.max()), rtol=0.02)


def test_the_network_gets_rgb_crops_of_its_own_size_in_batches(sequence, monkeypatch):
    oracle = Oracle(monkeypatch)
    predict(sequence, oracle, batch=2)
    assert [len(crops) for crops in oracle.pictures] == [2, 2, 1]
    assert oracle.pictures[0].shape == (2, 96, 96, 3) and oracle.pictures[0].dtype == np.uint8
    assert_allclose(oracle.pictures[1][1].mean((0, 1)), [200, 0, 60], atol=2)


def test_a_known_error_is_measured_exactly(sequence, monkeypatch):
    """Half a unit of depth, at all joints but the root, moves a joint by half the unit bone along its ray."""

    def deeper(uv, depth):
        return uv, depth + 0.5 * (np.arange(21) != ROOT)

    oracle = Oracle(monkeypatch, deeper)
    result, predictions = evaluate(sequence, oracle)
    assert result.metrics["nme"] < 1e-6
    expected = []
    for hand, (_, crop) in zip(HANDS, oracle.views, strict=True):
        virtual = crop.xyz_to_virtual(hand)
        rays = virtual / virtual[:, 2:]
        expected.append(500 * unit_length(hand) * np.linalg.norm(rays, axis=1) * (np.arange(21) != ROOT))
    assert_allclose(result.metrics["epe_mm"], np.mean(expected), rtol=1e-4)
    assert_allclose(result.per_frame[2].epe_mm, np.mean(expected[2]), rtol=1e-4)


def test_frames_with_few_joints_are_cropped_by_their_box_and_measured_in_2d(tmp_path, monkeypatch):
    uv = project(HANDS[0], K)
    few = np.where(np.isin(np.arange(21), [4, 8])[:, None], uv, np.nan)
    box = np.array([100.0, 60, 120, 80])
    sequence = write(tmp_path / "few", [dict(uv=few, box=box, K=K), dict(uv=few), dict(box=box)])
    oracle = Oracle(monkeypatch, lambda uv, depth: (uv + [2.0, 0], depth))
    result, predictions = evaluate(sequence, oracle)
    assert (result.frames, result.unlabelled, result.missed) == (1, 2, 0)
    assert predictions[1:] == [None, None] and predictions[0].xyz is None
    crop = oracle.views[-1][1]
    assert_allclose(crop.uv_to_crop([160, 100]), 31.5, atol=1e-3)
    two_crop_pixels = np.ptp(crop.uv_to_image([[30.5, 31.5], [32.5, 31.5]])[:, 0])
    assert_allclose(result.metrics["nme"], two_crop_pixels / 120, rtol=0.05)
    assert {"epe_mm", "pa_mm", "auc_20_50", "bone_cv"} <= set(result.absent)
    assert set(result.metrics) | set(result.absent) == set(METRICS)


def test_without_handedness_the_more_confident_way_counts(tmp_path, monkeypatch):
    sequence = write(tmp_path / "unknown", [dict(uv=project(hand, K)) for hand in HANDS])
    oracle = Oracle(monkeypatch)
    predictions = predict(sequence, oracle, batch=2)
    assert len(oracle.views) == 2 * FRAMES
    assert [p.crop.mirrored for p in predictions] == [True, False, True, False, True]


def test_the_detector_protocol_matches_hands_to_the_label_and_counts_misses(sequence, monkeypatch):
    """Frame 0: the hand and another; 1: nothing; 2: only something far away; 3: wrong handedness; 4: fine."""
    uv = [project(hand, K) + RNG.normal(size=(21, 2)) for hand in HANDS]
    far = uv[0] / 10
    finder = finder_of([
        [(far, "right"), (uv[0], "left")], [], [(far, "left")], [(uv[3], "left")], [(uv[4], "left")],
    ])  # fmt: skip
    oracle = Oracle(monkeypatch)
    result, predictions = evaluate(sequence, far_stays_far(oracle), "detector", finder, refine=0)
    assert [p is None for p in predictions] == [False, True, True, False, False]
    assert result.missed == 2 and result.frames == FRAMES
    assert_allclose(result.metrics["handedness"], 2 / 3)
    assert result.metrics["nme"] < 1e-6 and result.metrics["epe_mm"] < 0.01
    assert [row.found for row in result.per_frame] == [True, False, False, True, True]
    assert result.per_frame[1].nme is None


def far_stays_far(oracle):
    """The oracle, but in a crop that does not hold the true hand it answers the crop's middle."""
    answer = oracle._answer

    def honest(number, crop):
        uv, *rest = answer(number, crop)
        inside = (np.abs(uv - 31.5) < 48).all()
        return uv if inside else 31.5 + RNG.uniform(-5, 5, (21, 2)), *rest

    oracle._answer = honest
    return oracle


def test_refinement_cuts_the_crop_again_round_the_models_own_joints(sequence, monkeypatch):
    uv = [project(hand, K) * 1.1 for hand in HANDS]
    finder = finder_of([[(joints, hand)] for joints, hand in zip(uv, ["left", "right"] * 3, strict=False)])
    oracle = Oracle(monkeypatch)
    predictions = predict(sequence, oracle, "detector", finder, refine=1)
    assert len(oracle.views) == 2 * FRAMES
    from semihand.tracker.crop import crop_box

    for hand, prediction in zip(HANDS, predictions, strict=True):
        box = crop_box(project(hand, K), 1.6, None)
        assert_allclose(prediction.crop.uv_to_crop(box.center), 31.5, atol=1e-3)


def test_a_box_without_a_hand_is_no_hand(sequence, monkeypatch):
    uv = [[(project(hand, K), "left")] for hand in HANDS]
    result, _ = evaluate(sequence, Oracle(monkeypatch), "detector", finder_of(uv, presence=0.3))
    assert result.missed == FRAMES and result.metrics == {}
    assert set(result.absent) == set(METRICS)


def test_a_peer_with_the_truth_has_no_error_and_its_z_counts(sequence):
    """A peer's z is in pixels from the wrist; here so large that the unit bone gets its own length."""

    def detect(image):
        hand = HANDS[number_of(image)]
        across = project(hand, K)[10] - project(hand, K)[ROOT]
        bone = hand[10] - hand[ROOT]
        z = (hand[:, 2] - hand[0, 2]) * np.linalg.norm(across) / np.linalg.norm(bone[:2])
        return [SimpleNamespace(uv_image=project(hand, K), z=z, handedness="left", score=0.8)]

    predictions = predict_with_peer(sequence, SimpleNamespace(detect=detect))
    result = evaluate_predictions(sequence, predictions)
    assert result.metrics["epe_mm"] < 0.01 and result.metrics["nme"] < 1e-6
    assert_allclose(result.metrics["handedness"], 3 / 5)
    flat = [Prediction(p.uv_image, predicting.lift_weak(f, p.uv_image, np.zeros(21))) for f, p in
            zip(sequence.frames, predictions, strict=True)]  # fmt: skip
    errors = joint_errors_mm(np.stack([p.xyz for p in flat]), np.stack(HANDS))
    assert_allclose(evaluate_predictions(sequence, flat).metrics["epe_mm"], errors.mean())
    assert errors.mean() > 5


def test_matching_takes_the_largest_overlap():
    uv = project(HANDS[0], K)
    frame = SequenceFrame(image=None, uv=uv)
    near, nearer, far = (Prediction(uv + shift) for shift in (20, 5, 1000))
    assert matching(frame, [near, nearer, far]) is nearer
    assert matching(frame, [far]) is None and matching(frame, []) is None
    assert_allclose(label_box(frame), [*uv.min(0), *np.ptp(uv, axis=0)])


def test_what_cannot_be_evaluated_is_refused(tmp_path, sequence, monkeypatch):
    oracle = Oracle(monkeypatch)
    with pytest.raises(SemihandError, match="'box'; choose label or detector"):
        predict(sequence, oracle, "box")
    with pytest.raises(ValueError, match="needs a HandFinder"):
        predict(sequence, oracle, "detector")
    with pytest.raises(SemihandError, match="bare has no labelled frame"):
        evaluate(write(tmp_path / "bare", [{}, {}]), oracle)
    with pytest.raises(ValueError):
        evaluate_predictions(sequence, [])


def test_a_set_with_masks_alone_is_measured_by_them(tmp_path, monkeypatch):
    picture, mask = np.full((240, 320, 3), 90, np.uint8), np.zeros((240, 320), np.uint8)
    mask = mask.astype(float)
    mask[100:160, 120:180] = 1
    with SequenceWriter(tmp_path / "masks") as writer:
        writer.add(picture, mask=mask, box=[120, 100, 60, 60])
    folder = tmp_path / "masks"

    class Whole:
        info = SimpleNamespace(name="whole", input_size=64, crop_factor=1.0)

        def run(self, crops):
            count = len(crops)
            return Output(
                np.full((count, 21, 2), 31.5),
                np.zeros((count, 21)),
                np.ones((count, 64, 64)),
                np.full((count, 21), 0.9),
            )

    result, _ = evaluate(read_sequence(folder), Whole())
    assert result.frames == 1 and result.missed == 0
    assert result.metrics["mask_iou"] > 0.95 and "nme" in result.absent and "epe_mm" in result.absent
