"""Which frames are kept: every reason on a planted case, and nothing else rejected."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from semihand.record.follow import Sighting
from semihand.record.quality import REASONS, HandLook, Quality, QualityConfig, hand_look, sharpness
from semihand.synth.clip import Clip, ClipConfig

SIZE = (320, 240)


def texture(seed=0, detail=1.2):
    noise = np.random.default_rng(seed).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), detail), None, 0, 255, cv2.NORM_MINMAX)


def sight(seed=0, side="right", others=(), recorded="right", center=(160, 120), size=60, **marks):
    joints = np.random.default_rng(seed).uniform(-0.5, 0.5, (21, 2))
    values = dict(uv_image=np.array(center) + size * joints, presence=0.99, handedness=side, handedness_score=0.95)
    return Sighting(SimpleNamespace(**(values | marks)), recorded, others)


def reason(image, sighting, quality=None, **more):
    verdict = (quality or Quality()).judge(image, sighting, **more)
    return verdict if isinstance(verdict, str) else ""


def test_a_good_frame_is_kept():
    quality = Quality()
    verdict = quality.judge(texture(), sight())
    assert isinstance(verdict, HandLook) and verdict.sharpness > 0
    assert quality.kept == quality.seen == 1 and not quality.counts


@pytest.mark.parametrize(
    "sighting, expected",
    [
        (Sighting(None, "right"), "no hand"),
        (sight(side="left"), "other hand"),
        (sight(others=("right",)), "several hands"),
        (sight(others=("left", "left")), "several hands"),
        (sight(others=("left",)), ""),  # the user's own other hand
        (sight(center=(300, 120)), "cut off"),
        (sight(center=(160, 10)), "cut off"),
        (sight(presence=0.7), "doubtful"),
        (sight(handedness_score=0.6), "side unsure"),
        (sight(side="left", handedness_score=0.6), "side unsure"),
        (sight(recorded=None), "side unsure"),
    ],
)
def test_reasons(sighting, expected):
    quality = Quality()
    assert reason(texture(), sighting, quality) == expected
    assert quality.counts == ({expected: 1} if expected else {})
    assert set(quality.counts) <= set(REASONS)


def test_one_joint_past_the_edge_is_allowed():
    sighting = sight(center=(285, 120))
    uv = sighting.marks.uv_image
    uv[:, 0] = np.minimum(uv[:, 0], 310)
    assert reason(texture(), sighting) == ""
    uv[4, 0] = 330
    assert reason(texture(), sighting) == ""
    uv[8, 0] = 330
    assert reason(texture(), sighting) == "cut off"


def test_disagreement_is_asked_last_and_only_then():
    asked = []
    ask = lambda value: lambda: asked.append(value) or value  # noqa: E731
    assert reason(texture(), sight(), disagreement=ask(0.6)) == "disagreement"
    assert reason(texture(), sight(), disagreement=ask(0.4)) == ""
    assert reason(texture(), sight(), disagreement=ask(np.nan)) == "disagreement"
    assert reason(texture(), sight(presence=0.1), disagreement=ask(0.4)) == "doubtful"
    assert len(asked) == 3


def test_duplicates_against_all_kept_frames():
    quality = Quality(QualityConfig(same_joints=0.01))
    assert reason(texture(), sight(0), quality) == ""
    assert reason(texture(), sight(1), quality) == ""
    assert reason(texture(), sight(0), quality) == "duplicate"  # not only the last one counts
    moved = sight(0)
    moved.marks.uv_image[8] += 12  # 1 / 100 of the hand on average
    assert reason(texture(), moved, quality) == ""
    assert reason(texture(3), sight(0), quality) == ""  # same pose, another picture
    assert reason(cv2.convertScaleAbs(texture(), alpha=0.7), sight(0), quality) == ""  # another light
    assert quality.kept == 5


def test_the_same_pose_nearer_is_no_duplicate():
    quality, far = Quality(), texture()
    assert reason(far, sight(size=60), quality) == ""
    near = cv2.warpAffine(far, np.array([[1.5, 0, -80], [0, 1.5, -60]]), SIZE)
    assert reason(near, sight(size=90), quality) == ""


def test_frames_taken_back_may_come_again():
    quality = Quality()
    assert reason(texture(), sight(0), quality, segment=0) == ""
    assert reason(texture(), sight(1), quality, segment=1) == ""
    quality.forget_from(1)
    assert quality.kept == 1
    assert reason(texture(), sight(1), quality, segment=2) == ""
    assert reason(texture(), sight(0), quality, segment=2) == "duplicate"


@pytest.fixture(scope="module")
def clip():
    """Pictures and joints of a rendered hand in many poses."""
    rendered = Clip(ClipConfig(frames=14, fps=1.5))
    return [(frame.image, frame.hands[0].uv) for frame in rendered]


def smear(image, uv):
    """The hand moved by 15 % of its size while the picture was taken."""
    return cv2.blur(image, (round(0.15 * np.ptp(uv, axis=0).max()), 1))


def test_sharpness_tells_blur_from_pose(clip):
    plain = np.array([hand_look(image, uv).sharpness for image, uv in clip])
    blurred = [hand_look(smear(image, uv), uv).sharpness for image, uv in clip]
    assert max(blurred) < 0.5 * np.quantile(plain, 0.7) < plain.min()


@pytest.mark.parametrize("dull", [0.0, 1.0])
def test_blur_is_measured_against_the_recording_itself(clip, dull):
    """A dull camera is no reason to reject everything; a smeared frame among its usual ones is."""
    quality = Quality(QualityConfig(same_joints=0))

    def judged(image, uv):
        image = cv2.GaussianBlur(image, (0, 0), dull) if dull else image
        marks = SimpleNamespace(uv_image=uv, presence=1.0, handedness="right", handedness_score=1.0)
        return reason(image, Sighting(marks, "right"), quality)

    assert [judged(image, uv) for image, uv in clip if (uv > 2).all() and (uv < (637, 477)).all()].count("") >= 12
    assert quality.counts["blurred"] == 0
    for image, uv in clip[2:5]:
        defocused = cv2.GaussianBlur(image, (0, 0), 0.06 * np.ptp(uv, axis=0).max())
        assert judged(defocused, uv) == "blurred"


def test_sharpness_of_known_pictures():
    assert sharpness(np.full((50, 50), 90, np.uint8)) == 0.0
    steps = np.tile(np.repeat(np.array([60, 160], np.uint8), 10), (40, 3))
    soft = cv2.GaussianBlur(steps, (0, 0), 3)
    assert sharpness(soft) < 0.3 * sharpness(steps)
    # Contrast changes the measure little, edges' sharpness much.
    assert abs(sharpness(cv2.convertScaleAbs(steps, alpha=0.5)) / sharpness(steps) - 1) < 0.05


def test_not_needed_and_the_sentence():
    quality = Quality()
    assert reason(texture(), sight(0), quality, wanted=False) == "not needed"
    for _ in range(2):
        reason(texture(), sight(1), quality)
    reason(texture(), Sighting(None, None), quality)
    assert quality.sentence() == "1 of 4 frames kept; left out: 1 without a hand, 1 like others, 1 more than needed."
    assert Quality().sentence() == "0 of 0 frames kept."


def test_a_hand_at_the_picture_s_corner_has_a_look():
    look = hand_look(texture(), np.full((21, 2), 319.0))
    assert look.thumb.shape == (24, 24) and np.isfinite(look.sharpness)


@pytest.mark.parametrize("wrong", [{"min_presence": 2}, {"blurred": -1}, {"warm_up": 0}, {"memory": 2, "warm_up": 3}])
def test_wrong_settings(wrong):
    with pytest.raises(ValueError):
        QualityConfig(**wrong)
