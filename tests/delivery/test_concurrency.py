"""How many may be in flight: pure, the clock is an argument."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract import Delivered, Paused, Reason, Rejected, Retry, Skipped, Uncertain
from bridge.delivery.concurrency import ConcurrencyBounds, ConcurrencyLimit

NOON = 1000.0
SECOND = 1.0
THROTTLED = Retry(Reason.THROTTLED)


def bounds(*, most, least=1, slow=2.0):
    return ConcurrencyBounds(least=least, most=most, slow=slow)


def _felt(concurrency, outcome, *, began=NOON, now=NOON, latency=0.1, in_flight=99):
    return concurrency.on_outcome(outcome, began=began, now=now, latency=latency, in_flight=in_flight)


def test_it_begins_wide_open_and_good_answers_change_nothing():
    concurrency = ConcurrencyLimit(bounds(most=64))
    assert ("", 64) == (_felt(concurrency, Delivered()), concurrency.limit)


@pytest.mark.parametrize(
    "refusal",
    [THROTTLED, Retry(Reason.SERVER_ERROR), Uncertain(Reason.NO_ANSWER), Uncertain(Reason.TIMED_OUT)],
    ids=lambda each: f"{type(each).__name__} {each.reason}",
)
def test_a_refusal_halves_the_limit_and_is_the_reason(refusal):
    concurrency = ConcurrencyLimit(bounds(most=64))
    assert (refusal.reason, 32) == (_felt(concurrency, refusal), concurrency.limit)


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
    concurrency = ConcurrencyLimit(bounds(most=64))
    assert ("", 64) == (_felt(concurrency, outcome), concurrency.limit)


def test_answers_that_are_slow_on_the_average_take_a_fifth_off():
    concurrency = ConcurrencyLimit(bounds(most=50, slow=2))
    assert ("slow answers", 40) == (_felt(concurrency, Delivered(), latency=2.1), concurrency.limit)


def _slow(concurrency, *latencies):
    moments = [NOON + n * SECOND for n in range(len(latencies))]
    return [
        bool(_felt(concurrency, Delivered(), began=now, now=now, latency=latency))
        for now, latency in zip(moments, latencies, strict=True)
    ]


def test_answers_that_stay_as_slow_take_off_no_more():
    concurrency = ConcurrencyLimit(bounds(most=50, slow=2))
    assert [True, False, False] == _slow(concurrency, 3.0, 2.9, 3.1)
    assert 40 == concurrency.limit


def test_answers_that_became_quicker_or_much_slower_take_off_more():
    assert [True, True, True] == _slow(ConcurrencyLimit(bounds(most=50, slow=2)), 4.0, 3.0, 2.5)
    assert [True, True] == _slow(ConcurrencyLimit(bounds(most=50, slow=2)), 3.0, 5.0)
    assert [True, False, True] == _slow(ConcurrencyLimit(bounds(most=50, slow=2)), 3.0, 1.0, 3.0)


def test_what_began_before_the_last_decrease_lowers_nothing_again():
    concurrency = ConcurrencyLimit(bounds(most=64))
    reasons = [_felt(concurrency, THROTTLED, began=NOON - SECOND, now=NOON + n * SECOND) for n in range(5)]
    assert (["throttled", "", "", "", ""], 32) == (reasons, concurrency.limit)
    assert ("throttled", 16) == (
        _felt(concurrency, THROTTLED, began=NOON + SECOND, now=NOON + 9 * SECOND),
        concurrency.limit,
    )


def test_a_whole_limit_of_good_answers_adds_one_while_it_is_used_up():
    concurrency = ConcurrencyLimit(bounds(most=16))
    _felt(concurrency, THROTTLED)
    assert [""] * 8 == [_felt(concurrency, Delivered(), in_flight=7) for _ in range(8)]
    reasons = [_felt(concurrency, Delivered(), in_flight=8) for _ in range(9)]
    assert (1, 9) == (len([reason for reason in reasons if reason == "good answers"]), concurrency.limit)


def test_it_comes_back_to_the_most_and_no_further():
    concurrency = ConcurrencyLimit(bounds(most=4))
    for n in range(9):
        _felt(concurrency, THROTTLED, began=NOON + n * SECOND, now=NOON + n * SECOND)
    assert 1 == concurrency.limit
    for _ in range(100):
        _felt(concurrency, Delivered())
    assert 4 == concurrency.limit


@pytest.mark.parametrize(
    "outcome", [Skipped(Reason.NO_IDENTITY), Paused(Reason.NOT_ALLOWED), Uncertain(Reason.NOT_UNDERSTOOD)]
)
def test_what_says_nothing_of_the_load_raises_nothing(outcome):
    concurrency = ConcurrencyLimit(bounds(most=64))
    _felt(concurrency, THROTTLED)
    assert [""] * 100 == [_felt(concurrency, outcome) for _ in range(100)]


@given(
    least=st.integers(1, 8),
    on_outcome=st.lists(
        st.tuples(
            st.sampled_from([Delivered(), THROTTLED, Uncertain(Reason.NO_ANSWER)]), st.floats(0, 9), st.integers(0, 9)
        )
    ),
)
def test_whatever_happens_the_limit_stays_within_its_bounds(least, on_outcome):
    concurrency = ConcurrencyLimit(bounds(least=least, most=8))
    for seconds, (outcome, latency, in_flight) in enumerate(on_outcome):
        now = NOON + seconds * SECOND
        _felt(concurrency, outcome, began=now, now=now, latency=latency, in_flight=in_flight)
        assert least <= concurrency.limit <= 8
