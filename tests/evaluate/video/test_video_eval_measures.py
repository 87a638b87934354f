"""Figures of a video without labels on hands that are planted, so that every value is known by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from semihand.evaluate.video.figures import FIGURES, best, text_table
from semihand.evaluate.video.measures import (
    Hands,
    absences,
    bone_cv,
    finger_lengths_mm,
    in_a_row,
    jitter,
    percentiles,
    speed,
    switches,
)  # fmt: skip
from semihand.evaluate.video.plots import bins, histogram, presence_strip, stretches, thinned
from semihand.evaluate.video.run import by_frame
from semihand.models.joints import BONES

SIZE = 100.0


def square_hand(at=(0.0, 0.0)):
    """Joints (21, 2) whose box is a square of SIZE pixels, its first corner at `at`."""
    uv = np.full((21, 2), SIZE / 2)
    uv[0], uv[1] = 0, SIZE
    return uv + at


def planted(times, rows):
    """Hands of rows (frame, id, side, place in the picture, xyz (21, 3))."""
    frame, ids, sides, places, xyz = zip(*rows) if rows else ((),) * 5
    return Hands(
        np.asarray(times, float), np.array(frame, int), np.array(ids, int), np.array(sides, "U5"),
        np.ones(len(rows)), np.reshape([square_hand(place) for place in places], (-1, 21, 2)),
        np.reshape(xyz, (-1, 21, 3)).astype(float), np.ones(len(rows)),
    )  # fmt: skip


def one_hand(times, ids=None, sides=None, shift=None, xyz=None, frames=None):
    """One hand a frame."""
    frames = range(len(times)) if frames is None else frames
    return planted(
        times,
        [(f, ids[f] if ids else 1, sides[f] if sides else "right", (shift[f], 0.0) if shift is not None else (0.0, 0.0),
          np.zeros((21, 3)) if xyz is None else xyz[f]) for f in frames],
    )  # fmt: skip


def test_missed_frames_and_the_longest_gap_by_the_frames_own_times():
    found = np.array([True, False, False, True, False])
    values = absences(found, np.array([0.0, 0.1, 0.3, 0.4, 0.5]))
    assert (values["missed"], values["longest_gap_frames"]) == (3, 2)
    assert_allclose([values["missed_share"], values["longest_gap_s"]], [0.6, 0.3])


def test_the_last_missed_frame_lasts_as_long_as_is_usual():
    values = absences(np.array([True, True, False]), np.array([0.0, 0.2, 0.4]))
    assert_allclose(values["longest_gap_s"], 0.2)
    assert absences(np.array([True]), np.array([0.0]))["longest_gap_s"] == 0
    assert_allclose(absences(np.array([False]), np.array([7.0]))["longest_gap_s"], 0)


def test_ids_and_handedness_that_switch_in_place():
    times = np.arange(6) / 30
    hands = one_hand(times, [1, 1, 2, 2, 3, 3], ["right", "left", "left", "right", "right", "right"])
    assert switches(hands) == (2, 2)


def test_a_switch_is_seen_across_a_short_gap_but_not_a_long_one():
    assert switches(one_hand([0.0, 0.1, 0.9], [1, 1, 2], frames=(0, 2))) == (1, 0)
    assert switches(one_hand([0.0, 0.1, 1.2], [1, 1, 2], frames=(0, 2))) == (0, 0)


def test_another_hand_far_away_is_no_switch():
    assert switches(one_hand([0.0, 0.1], [1, 2], shift=[0.0, 1.5 * SIZE])) == (0, 0)
    assert switches(one_hand([0.0, 0.1], [1, 2], shift=[0.0, 0.5 * SIZE])) == (1, 0)


def test_a_fast_hand_with_its_own_id_is_the_same_hand():
    assert switches(one_hand([0.0, 0.1], [1, 1], ["right", "left"], shift=[0.0, 5 * SIZE])) == (0, 1)


def test_two_hands_that_exchange_their_ids():
    still = np.zeros((21, 3))
    rows = [(0, 1, "left", (0, 0), still), (0, 2, "right", (300, 0), still),
            (1, 1, "right", (300, 0), still), (1, 2, "left", (0, 0), still)]  # fmt: skip
    assert switches(planted([0, 0.03], rows)) == (2, 0)
    rows[2:] = [(1, 1, "left", (0, 0), still), (1, 2, "right", (300, 0), still)]
    assert switches(planted([0, 0.03], rows)) == (0, 0)


UNEVEN = np.array([0.0, 0.03, 0.10, 0.12, 0.30, 0.33])


def test_acceleration_of_a_parabola_at_uneven_times():
    g = 3.0
    xyz = np.zeros((len(UNEVEN), 21, 3)) + (0.5 * g * UNEVEN**2)[:, None, None] * np.array([0, 0.6, 0.8])
    shift = 0.5 * 200.0 * UNEVEN**2
    found = jitter(one_hand(UNEVEN, xyz=xyz, shift=shift))
    assert found.rows.tolist() == [1, 2, 3, 4]
    assert_allclose(found.m_s2, g)
    assert_allclose(found.size_s2, 200.0 / SIZE)
    steps = np.diff(UNEVEN)
    assert_allclose(found.mm[:, 0], 1000 * g * steps[:-1] * steps[1:])
    assert_allclose(found.size[:, 0], 2.0 * steps[:-1] * steps[1:])


def test_at_a_constant_rate_jitter_is_the_plain_second_difference():
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 0.01, (5, 21, 3))
    found = jitter(one_hand(np.arange(5) / 25, xyz=xyz))
    assert_allclose(found.mm, 1000 * np.linalg.norm(xyz[2:] - 2 * xyz[1:-1] + xyz[:-2], axis=-1))
    assert_allclose(found.m_s2, found.mm / 1000 * 25**2)


def test_a_steady_motion_has_no_jitter_however_uneven_the_times():
    xyz = np.zeros((len(UNEVEN), 21, 3)) + UNEVEN[:, None, None]
    assert_allclose(jitter(one_hand(UNEVEN, xyz=xyz, shift=50 * UNEVEN)).mm, 0, atol=1e-9)


def test_a_missing_frame_and_a_new_id_end_the_row():
    hands = one_hand(np.arange(8) / 30, [1, 1, 1, 1, 1, 2, 2, 2], frames=(0, 1, 2, 4, 5, 6, 7))
    assert in_a_row(hands).tolist() == [[0, 1, 2], [4, 5, 6]]
    shaking = jitter(hands)
    assert np.flatnonzero(np.isfinite(shaking.per_row(shaking.mm, len(hands)))).tolist() == [1, 5]


def bones_of(length):
    """A hand whose bones all have that length."""
    xyz = np.zeros((21, 3))
    for parent, child in BONES:
        xyz[child] = xyz[parent] + (0, length, 0)
    return xyz


def test_variation_of_bones_and_lengths_of_fingers():
    hands = one_hand([0.0, 0.1], xyz=[bones_of(0.02), bones_of(0.03)])
    assert_allclose(bone_cv(hands, 1), 0.005 / 0.025)
    assert_allclose(finger_lengths_mm(hands.xyz), [[80] * 5, [120] * 5])


def test_left_and_right_are_two_hands_where_two_were_wanted():
    lengths = [0.02, 0.02, 0.02, 0.04]
    rows = [(f, 1 + f % 2, ("left", "right")[f % 2], (0, 0), bones_of(length)) for f, length in enumerate(lengths)]
    hands = planted(np.arange(4) / 30, rows)
    assert_allclose(bone_cv(hands, 2), (0 + 0.01 / 0.03) / 2)
    with pytest.raises(ValueError, match="in two frames"):
        bone_cv(one_hand([0.0]), 1)


def test_percentiles_of_what_is_finite():
    assert percentiles(np.array([1.0, np.nan, 3.0]), "x") == {"x": 2.0, "x_p95": pytest.approx(2.9)}
    assert percentiles(np.array([np.nan]), "x") == {}


def test_speed_counts_stages_that_ran_and_total_with_a_hand():
    ms = [{"capture": 2.0, "detect": 6.0, "total": 8.0}, {"capture": 2.0, "detect": 0.0, "total": 4.0},
          {"capture": 2.0, "detect": 10.0, "total": 12.0}]  # fmt: skip
    stages, fps = speed(ms, np.array([True, True, False]))
    assert stages["detect"] == {"p50": 8.0, "p95": pytest.approx(9.8), "runs": 2}
    assert (stages["total"]["p50"], stages["total"]["runs"]) == (6.0, 2)
    assert_allclose(fps, 3 / 0.030)


def test_means_by_frame_leave_gaps():
    rows = [(0, 1, "left", (0, 0), np.zeros((21, 3))), (0, 2, "right", (300, 0), np.zeros((21, 3))),
            (2, 1, "left", (0, 0), np.zeros((21, 3)))]  # fmt: skip
    hands = planted(np.arange(3) / 30, rows)
    assert_allclose(by_frame(hands, np.array([1.0, 3.0, 5.0])), [2, np.nan, 5])
    assert by_frame(planted([0.0, 0.1], []), np.empty((0, 5))).shape == (2, 5)


def test_lines_are_thinned_to_means_and_keep_gaps():
    at, mean = thinned(np.arange(6.0), np.array([1, 3, np.nan, np.nan, 5, np.nan]), 3)
    assert_allclose(at, [0.5, 2.5, 4.5])
    assert_allclose(mean, [2, np.nan, 5])


def test_plots_of_nothing_say_so():
    assert "nothing was measured" in histogram({"a": np.array([np.nan])}, "Jitter", "mm")
    assert "nothing was measured" in presence_strip(np.empty(0), {"a": np.empty(0, bool)}, "Found")


def test_histogram_and_strip_name_their_models():
    assert ">a</text>" in histogram({"a": np.zeros(3), "b": np.ones(2)}, "Jitter", "mm")
    assert ">a &amp; b</text>" in presence_strip(np.arange(5) / 10, {"a & b": np.array([1, 1, 0, 0, 1], bool)}, "Found")


def test_strip_has_every_stretch_with_a_hand():
    found = stretches(np.arange(6) / 10, np.array([1, 1, 0, 0, 1], bool))
    assert_allclose(found, [(0.0, 0.2), (0.4, 0.1)])
    assert stretches(np.arange(3.0), np.zeros(2, bool)) == []


def test_a_few_values_far_out_do_not_squeeze_the_histogram():
    values = np.r_[np.linspace(0, 1, 999), 1000.0]
    assert bins(values)[-1] == pytest.approx(1, abs=0.02)
    assert bins(np.r_[values, 1000.0 * np.ones(50)])[-1] == 1000
    assert bins(np.linspace(0, 8, 50))[-1] == 8


def test_the_best_of_several_models():
    missed = next(figure for figure in FIGURES if figure.name == "missed_share")
    on_mask = next(figure for figure in FIGURES if figure.name == "joints_on_mask")
    assert best(missed, [{"missed_share": 0.2}, {"missed_share": 0.1}, {"missed_share": None}]) == {1}
    assert best(missed, [{"missed_share": 0.1}, {"missed_share": 0.1}]) == set()
    assert best(missed, [{"missed_share": 0.1}]) == set()
    assert best(on_mask, [{"joints_on_mask": 0.9}, {"joints_on_mask": 0.5}]) == {0}
    table = text_table(
        ["a", "b"], [{"missed_share": 0.2, "jitter_mm": 1.0, "jitter_mm_p95": 2.0}, {"missed_share": 0.0}]
    )
    assert "20.0 %" in table and "0 % *" in table and "1.00 mm (p95 2.00)" in table and "–" in table
