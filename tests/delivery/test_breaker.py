"""How much may be sent: pure, the clock is an argument."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract import Delivered, Paused, Reason, Rejected, Retry, Skipped, Uncertain
from bridge.delivery.breaker import Breaker, BreakerState, after, after_probe, allowed, probe_is_due

NOW = 1000.0
ALONE = Retry(Reason.THROTTLED, "429", timedelta(seconds=30))
TROUBLE = Retry(Reason.TIMED_OUT)
NO = Paused(Reason.NOT_ALLOWED, "401")
WHATEVER = Uncertain(Reason.NOT_UNDERSTOOD, "200")
OUTCOMES = st.sampled_from(
    [
        Delivered(),
        TROUBLE,
        NO,
        Uncertain(Reason.NO_ANSWER),
        Rejected(Reason.REFUSED),
        ALONE,
        Uncertain(Reason.NOT_UNDERSTOOD),
    ]
)


def _after(*outcomes, breaker=None, began=NOW, now=NOW):
    breaker = breaker or Breaker()
    for outcome in outcomes:
        breaker = after(breaker, outcome, began=began, now=now)
    return breaker


def _free(breaker, *, in_flight=0, now=NOW):
    return allowed(breaker, in_flight=in_flight, concurrency=8, now=now)


def test_a_well_destination_gets_as_many_as_configured():
    assert [8, 5, 0] == [_free(Breaker(), in_flight=n) for n in (0, 3, 9)]


def test_after_one_trouble_there_is_one_in_flight_until_an_answer_comes():
    breaker = _after(TROUBLE)
    assert [1, 0] == [_free(breaker, in_flight=n) for n in (0, 1)]
    assert BreakerState.WELL is _after(Delivered(), breaker=breaker).state
    assert BreakerState.WELL is _after(Rejected(Reason.REFUSED), breaker=breaker).state


def test_after_five_troubles_running_nothing_is_sent_but_a_harmless_read_now_and_then():
    breaker = _after(*[TROUBLE] * 5)
    assert (BreakerState.DOWN, 0) == (breaker.state, _free(breaker, now=NOW + 86_400))
    assert [False, True] == [probe_is_due(breaker, NOW), probe_is_due(breaker, NOW + 1)]


def test_an_answered_read_lets_one_fact_through():
    breaker = after_probe(_after(*[TROUBLE] * 5), answered=True, now=NOW)
    assert (BreakerState.SUSPICIOUS, 1) == (breaker.state, _free(breaker))


def test_reads_that_are_not_answered_come_ever_more_rarely_but_at_least_once_a_minute():
    breaker, waits = _after(*[TROUBLE] * 5), []
    for _ in range(12):
        breaker = after_probe(breaker, answered=False, now=NOW)
        waits.append(breaker.probe_at - NOW)
    assert sorted(waits) == waits
    assert 60 == waits[-1]


def test_a_no_to_everything_pauses_and_one_fact_now_and_then_is_the_probe():
    breaker = _after(NO)
    assert BreakerState.PAUSED is breaker.state
    assert [0, 1, 0] == [
        _free(breaker, now=NOW),
        _free(breaker, now=NOW + 1),
        _free(breaker, now=NOW + 1, in_flight=1),
    ]
    assert BreakerState.WELL is _after(Delivered(), breaker=breaker).state


@pytest.mark.parametrize(
    "unheard",
    [
        Skipped(Reason.NO_IDENTITY),
        Rejected(Reason.RULE_FAILED),
        Rejected(Reason.CONNECTOR_FAILED),
        Uncertain(Reason.RESTORED),
    ],
    ids=lambda each: str(each.reason),
)
def test_an_outcome_without_a_word_of_the_other_side_ends_no_pause(unheard):
    for breaker in (_after(NO), _after(TROUBLE), _after(*[TROUBLE] * 5)):
        assert breaker == _after(unheard, breaker=breaker)


def test_an_answer_that_is_not_understood_pauses_also_where_it_leaves_the_fact_uncertain():
    for outcome in (Paused(Reason.NOT_UNDERSTOOD, "200"), Uncertain(Reason.NOT_UNDERSTOOD, "200")):
        breaker = _after(outcome)
        assert (BreakerState.PAUSED, "200") == (breaker.state, breaker.reason)


def test_what_began_before_a_pause_neither_ends_nor_prolongs_it():
    breaker = _after(NO)
    for outcome in (Delivered(), Rejected(Reason.REFUSED), NO, TROUBLE):
        assert (BreakerState.PAUSED, breaker.probe_at) == _mood_and_probe(
            _after(*[outcome] * 64, breaker=breaker, began=NOW - 1)
        )
    assert BreakerState.WELL is _after(Delivered(), breaker=breaker, began=NOW + 1).state


def _mood_and_probe(breaker):
    return breaker.state, breaker.probe_at


def test_a_destination_that_asks_for_it_is_left_alone_and_then_one_fact_is_the_probe():
    breaker = _after(ALONE)
    assert BreakerState.RESTING is breaker.state
    assert "429: asks to be left alone for 0:00:30" == breaker.reason
    assert [0, 1, 0] == [
        _free(breaker, now=NOW + 29),
        _free(breaker, now=NOW + 30),
        _free(breaker, now=NOW + 30, in_flight=1),
    ]
    assert BreakerState.RESTING is _after(Delivered(), breaker=breaker, began=NOW - 1).state
    assert BreakerState.WELL is _after(Delivered(), breaker=breaker, began=NOW + 30).state


@pytest.mark.parametrize(
    "asked", [Retry(Reason.THROTTLED, "", timedelta(days=1)), Uncertain(Reason.SERVER_ERROR, "", timedelta(days=999))]
)
def test_whatever_it_asks_for_it_is_asked_again_after_ten_minutes(asked):
    breaker = _after(asked)
    assert (BreakerState.RESTING, 600) == (breaker.state, breaker.rest(NOW))
    again = _after(asked, breaker=breaker, began=NOW + 600, now=NOW + 600)
    assert (BreakerState.RESTING, 600) == (again.state, again.rest(NOW + 600))


def test_a_shorter_wish_does_not_shorten_the_rest_and_one_without_a_time_waits_as_any_probe():
    breaker = _after(ALONE, Retry(Reason.THROTTLED, "", timedelta(seconds=1)))
    assert 30 == breaker.rest(NOW)
    assert 1 == _after(Retry(Reason.THROTTLED), breaker=breaker, began=NOW + 30, now=NOW + 30).rest(NOW + 30)


def test_a_refusal_without_a_time_ends_no_pause():
    for breaker in (_after(NO), _after(TROUBLE), _after(*[TROUBLE] * 5)):
        assert breaker.state is _after(Retry(Reason.THROTTLED), breaker=breaker).state
    assert Breaker() == _after(Retry(Reason.THROTTLED))


def test_before_a_fact_that_the_probe_may_cost_a_read_is_sent_and_facts_are_tried_ever_more_rarely():
    breaker, now, waits = _after(WHATEVER), NOW, []
    for _ in range(14):
        waits.append(breaker.rest(now))
        now = max(now, breaker.probe_at)
        assert (True, 0) == (probe_is_due(breaker, now), _free(breaker, now=now))
        breaker = after_probe(breaker, answered=True, now=now)
        assert (False, 1) == (probe_is_due(breaker, now), _free(breaker, now=now))
        breaker = _after(WHATEVER, breaker=breaker, began=now, now=now)
    assert (sorted(waits), 3600) == (waits, waits[-1])


def test_a_read_that_nobody_answers_costs_nothing_and_is_sent_once_a_minute():
    breaker, now = _after(WHATEVER), NOW
    for _ in range(14):
        now = max(now, breaker.probe_at)
        breaker = after_probe(breaker, answered=False, now=now)
        assert (BreakerState.PAUSED, 0) == (breaker.state, _free(breaker, now=now))
    assert 60 == breaker.rest(now)


@given(outcomes=st.lists(OUTCOMES, max_size=60))
def test_whatever_happens_a_success_makes_well_again_and_waits_stay_bounded(outcomes):
    breaker = _after(*outcomes)
    assert 0 <= breaker.rest(NOW) <= 600
    assert BreakerState.WELL is _after(Delivered(), breaker=breaker).state
