"""Votes for left and right, ids of lost hands, and what two sets of joints are to each other."""

import numpy as np
import pytest

from semihand.tracker.identity import HandednessVote, Ids, LostHand, Relation, other_side, relation, settle_sides

SPREAD = np.stack(np.meshgrid(np.linspace(0, 60, 7), np.linspace(0, 100, 3)), axis=-1).reshape(21, 2)


def vote(*readings: tuple[str, float]) -> HandednessVote:
    made = HandednessVote()
    for side, sure in readings:
        made.add(side, sure)
    return made


def lost(hand_id, time, uv, side="right") -> LostHand:
    hand = LostHand(hand_id, time, uv, vote((side, 0.9)))
    hand.vote.settle()
    return hand


def test_evidence_is_two_p_minus_one():
    made = vote(("right", 0.9), ("left", 0.6))
    assert made.evidence("right") == pytest.approx(0.8 - 0.2)
    assert made.evidence("left") == -made.evidence("right")
    assert made.count == 2


def test_label_switches_only_with_a_clear_majority():
    made = vote(("right", 0.95))
    assert made.settle() == "right"
    labels = []
    for _ in range(5):
        made.add("left", 0.95)
        labels.append(made.settle())
    # evidence: .9, 0, -.9, -1.8: the third contrary reading is clear
    assert labels == ["right", "right", "left", "left", "left"]


def test_no_flip_flop_under_changing_readings():
    made, labels = vote(("left", 0.8)), []
    rng = np.random.default_rng(0)
    for _ in range(200):
        made.add("left" if rng.random() < 0.6 else "right", 0.75)
        labels.append(made.settle())
    changes = sum(a != b for a, b in zip(labels, labels[1:]))
    assert changes <= 2
    assert labels[-1] == "left"


def test_a_long_life_can_still_be_outvoted():
    made = vote(*[("right", 1.0)] * 100)
    made.settle()
    for _ in range(6):
        made.add("left", 1.0)
    assert made.settle() == "left"


def test_frames_of_one_hand_are_no_independent_witnesses():
    """However many they are, they make nobody surer than each of them is."""
    made = vote(("right", 1.0))
    for _ in range(1000):
        made.add_frame("right", 0.6)
    assert made.evidence("right") == pytest.approx(made.config.limit * 0.2)
    assert not made.certain


def test_one_bad_frame_changes_nothing_and_a_wrong_label_is_outvoted_within_a_second():
    made = vote(("right", 0.6))
    made.settle()
    made.add_frame("right", 0.0)
    assert made.settle() == "right" and abs(made.evidence("right")) < 0.5
    frames = next(count for count in range(1, 99) if made.add_frame("right", 0.02) or made.settle() == "left")
    assert frames < 15
    for _ in range(300):
        made.add_frame("left", 0.99)
    back = next(count for count in range(1, 99) if made.add_frame("left", 0.01) or made.settle() == "right")
    assert 15 < back < 30


def test_two_rights_become_a_pair_by_the_weaker_evidence():
    strong, weak = vote(("right", 0.95)), vote(("right", 0.7))
    settle_sides([strong, weak])
    assert (strong.label, weak.label) == ("right", "left")
    settle_sides([weak, strong])
    assert (strong.label, weak.label) == ("right", "left")


def test_two_certain_rights_are_two_people():
    two = [vote(*[("right", 0.98)] * 3) for _ in range(2)]
    settle_sides(two)
    assert [one.label for one in two] == ["right", "right"]


def test_a_label_given_for_the_pair_stays_when_the_other_hand_goes():
    strong, weak = vote(("right", 0.95)), vote(("right", 0.7))
    settle_sides([strong, weak])
    settle_sides([weak])
    assert weak.label == "left"


def test_fixed_hands_keep_their_label():
    old, new = vote(("right", 0.6)), vote(("right", 0.99))
    old.settle()
    settle_sides([old, new], fixed=1)
    assert (old.label, new.label) == ("right", "left")


def test_three_hands_are_left_alone():
    three = [vote(("right", 0.9)) for _ in range(3)]
    settle_sides(three)
    assert [one.label for one in three] == ["right"] * 3


def test_ids_come_back_within_half_a_second_and_near():
    ids = Ids()
    assert [ids.new(), ids.new()] == [1, 2]
    ids.forget(lost(1, 10.0, SPREAD))
    assert ids.waiting(10.3)
    assert ids.recall(SPREAD + 500, "right", 10.3) is None
    assert ids.recall(SPREAD + 20, "right", 10.3).id == 1
    assert ids.recall(SPREAD + 20, "right", 10.3) is None
    ids.forget(lost(2, 10.0, SPREAD))
    assert not ids.waiting(10.51)
    assert ids.recall(SPREAD, "right", 10.51) is None
    assert ids.new() == 3


def test_two_hands_lost_together_come_back_as_themselves():
    ids = Ids()
    ids.forget(lost(1, 0.0, SPREAD, "left"))
    ids.forget(lost(2, 0.0, SPREAD + 30, "right"))
    # nearer to the left hand's place, but a right hand
    assert ids.recall(SPREAD + 10, "right", 0.1).id == 2
    assert ids.recall(SPREAD, "left", 0.1).id == 1


def test_relations():
    assert relation(SPREAD, SPREAD + 10) is Relation.SAME
    assert relation(SPREAD, SPREAD[::-1]) is Relation.SAME  # the same outline with other joints
    assert relation(SPREAD, SPREAD + (70, 0)) is Relation.NEAR
    assert relation(SPREAD, 0.2 * SPREAD + (50, 80)) is Relation.NEAR
    assert relation(SPREAD, SPREAD + (150, 0)) is Relation.APART


def test_other_side():
    assert other_side("left") == "right"
    assert other_side("right") == "left"
