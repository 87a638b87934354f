"""One rule for lost hands: hold, then say that they are lost."""

from dataclasses import replace

from semihand.outputs.lost import HOLD, TELL, Roster
from semihand.tracker.types import Frame


def story(roster, times, shown):
    """States by id, and lost ids, of a film in which shown(time) are tracked."""
    told = []
    for index, time in enumerate(times):
        moment = roster(Frame(None, time, index), shown(time), (640, 480), {})
        told.append(({one.hand.id: one.state for one in moment.seen}, [hand.id for hand in moment.lost]))
    return told


def test_held_then_lost_then_forgotten(right):
    gone = HOLD + TELL + 0.2
    told = story(Roster(), [0.0, 0.2, HOLD - 0.01, HOLD + 0.01, HOLD + TELL, gone], lambda t: [right] if t == 0 else [])
    assert [states for states, _ in told] == [{1: "tracked"}, {1: "held"}, {1: "held"}, {}, {}, {}]
    assert [lost for _, lost in told] == [[], [], [], [1], [1], []]


def test_a_hand_that_comes_back_is_tracked_again(right):
    told = story(Roster(), [0.0, 0.1, 0.2, 0.8, 0.9], lambda t: [right] if t in (0.0, 0.2, 0.9) else [])
    assert [states.get(1) for states, _ in told] == ["tracked", "held", "tracked", None, "tracked"]
    assert told[3][1] == [1] and told[4][1] == []


def test_time_that_starts_anew_forgets_all(right):
    roster = Roster()
    story(roster, [5.0], lambda _: [right])
    assert story(roster, [0.0], lambda _: []) == [({}, [])]


def test_one_hand_a_side(right, left, moment):
    other = replace(right, id=3)
    both = moment(other, right, left)
    assert both.by_side()["right"].hand.id == 1 and both.by_side()["left"].hand.id == 2
    roster = Roster()
    roster(Frame(None, 0.0, 0), [right], (640, 480), {})
    later = roster(Frame(None, 0.1, 1), [other], (640, 480), {})
    assert later.by_side()["right"].hand.id == 3  # the one that is tracked, not the one that is held
    gone = roster(Frame(None, 0.4, 2), [left], (640, 480), {})
    assert gone.lost_sides() == ["right"]


def test_at_the_end_all_hands_are_lost(right, left, moment):
    end = Roster().end(moment(right, left))
    assert end.seen == () and end.lost_sides() == ["left", "right"]
