"""How many may be in flight: pure, the clock is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract import Delivered, Paused, Reason, Rejected, Retry, Skipped, Uncertain
from bridge.delivery.concurrency import Bounds, Window

NOON = 1000.0
SECOND = 1.0
THROTTLED = Retry(Reason.THROTTLED)


def _felt(window, outcome, *, began=NOON, now=NOON, latency=0.1, in_flight=99):
    return window.felt(outcome, began=began, now=now, latency=latency, in_flight=in_flight)


def test_it_begins_wide_open_and_good_answers_change_nothing():
    window = Window(Bounds(most=64))
    assert ("", 64) == (_felt(window, Delivered()), window.limit)


@pytest.mark.parametrize(
    "refusal",
    [THROTTLED, Retry(Reason.SERVER_ERROR), Uncertain(Reason.NO_ANSWER), Uncertain(Reason.TIMED_OUT)],
    ids=lambda each: f"{type(each).__name__} {each.reason}",
)
def test_a_refusal_halves_the_limit_and_is_the_reason(refusal):
    window = Window(Bounds(most=64))
    assert (refusal.reason, 32) == (_felt(window, refusal), window.limit)


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(Reason.REFUSED),
        Retry(Reason.SESSION_UNKNOWN),
        Paused(Reason.NOT_ALLOWED),
        Uncertain(Reason.NOT_UNDERSTOOD),
    ],
)
def test_what_says_nothing_of_the_load_lowers_nothing(outcome):
    window = Window(Bounds(most=64))
    assert ("", 64) == (_felt(window, outcome), window.limit)


def test_answers_that_are_slow_on_the_average_take_a_fifth_off():
    window = Window(Bounds(most=50, slow=2))
    assert ("slow answers", 40) == (_felt(window, Delivered(), latency=2.1), window.limit)


def _slow(window, *latencies):
    moments = [NOON + n * SECOND for n in range(len(latencies))]
    return [
        bool(_felt(window, Delivered(), began=now, now=now, latency=latency))
        for now, latency in zip(moments, latencies, strict=True)
    ]


def test_answers_that_stay_as_slow_take_off_no_more():
    window = Window(Bounds(most=50, slow=2))
    assert [True, False, False] == _slow(window, 3.0, 2.9, 3.1)
    assert 40 == window.limit


def test_answers_that_became_quicker_or_much_slower_take_off_more():
    assert [True, True, True] == _slow(Window(Bounds(most=50, slow=2)), 4.0, 3.0, 2.5)
    assert [True, True] == _slow(Window(Bounds(most=50, slow=2)), 3.0, 5.0)
    assert [True, False, True] == _slow(Window(Bounds(most=50, slow=2)), 3.0, 1.0, 3.0)


def test_what_began_before_the_last_decrease_lowers_nothing_again():
    window = Window(Bounds(most=64))
    reasons = [_felt(window, THROTTLED, began=NOON - SECOND, now=NOON + n * SECOND) for n in range(5)]
    assert (["throttled", "", "", "", ""], 32) == (reasons, window.limit)
    assert ("throttled", 16) == (_felt(window, THROTTLED, began=NOON + SECOND, now=NOON + 9 * SECOND), window.limit)


def test_a_whole_limit_of_good_answers_adds_one_while_it_is_used_up():
    window = Window(Bounds(most=16))
    _felt(window, THROTTLED)
    assert [""] * 8 == [_felt(window, Delivered(), in_flight=7) for _ in range(8)]
    reasons = [_felt(window, Delivered(), in_flight=8) for _ in range(9)]
    assert (1, 9) == (len([reason for reason in reasons if reason == "good answers"]), window.limit)


def test_it_comes_back_to_the_most_and_no_further():
    window = Window(Bounds(most=4))
    for n in range(9):
        _felt(window, THROTTLED, began=NOON + n * SECOND, now=NOON + n * SECOND)
    assert 1 == window.limit
    for _ in range(100):
        _felt(window, Delivered())
    assert 4 == window.limit


@pytest.mark.parametrize(
    "outcome", [Skipped(Reason.NO_IDENTITY), Paused(Reason.NOT_ALLOWED), Uncertain(Reason.NOT_UNDERSTOOD)]
)
def test_what_says_nothing_of_the_load_raises_nothing(outcome):
    window = Window(Bounds(most=64))
    _felt(window, THROTTLED)
    assert [""] * 100 == [_felt(window, outcome) for _ in range(100)]


@given(
    least=st.integers(1, 8),
    felt=st.lists(
        st.tuples(
            st.sampled_from([Delivered(), THROTTLED, Uncertain(Reason.NO_ANSWER)]), st.floats(0, 9), st.integers(0, 9)
        )
    ),
)
def test_whatever_happens_the_limit_stays_within_its_bounds(least, felt):
    window = Window(Bounds(least=least, most=8))
    for seconds, (outcome, latency, in_flight) in enumerate(felt):
        now = NOON + seconds * SECOND
        _felt(window, outcome, began=now, now=now, latency=latency, in_flight=in_flight)
        assert least <= window.limit <= 8
