"""How much may be sent: pure, the clock is an argument."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract import Delivered, Paused, Reason, Rejected, Retry, Skipped, Uncertain
from bridge.delivery.breaker import Health, Mood, after, after_probe, allowed, probe_is_due

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


def _after(*outcomes, health=None, began=NOW, now=NOW):
    health = health or Health()
    for outcome in outcomes:
        health = after(health, outcome, began=began, now=now)
    return health


def _free(health, *, in_flight=0, now=NOW):
    return allowed(health, in_flight=in_flight, concurrency=8, now=now)


def test_a_well_destination_gets_as_many_as_configured():
    assert [8, 5, 0] == [_free(Health(), in_flight=n) for n in (0, 3, 9)]


def test_after_one_trouble_there_is_one_in_flight_until_an_answer_comes():
    health = _after(TROUBLE)
    assert [1, 0] == [_free(health, in_flight=n) for n in (0, 1)]
    assert Mood.WELL is _after(Delivered(), health=health).mood
    assert Mood.WELL is _after(Rejected(Reason.REFUSED), health=health).mood


def test_after_five_troubles_running_nothing_is_sent_but_a_harmless_read_now_and_then():
    health = _after(*[TROUBLE] * 5)
    assert (Mood.DOWN, 0) == (health.mood, _free(health, now=NOW + 86_400))
    assert [False, True] == [probe_is_due(health, NOW), probe_is_due(health, NOW + 1)]


def test_an_answered_read_lets_one_fact_through():
    health = after_probe(_after(*[TROUBLE] * 5), answered=True, now=NOW)
    assert (Mood.SUSPICIOUS, 1) == (health.mood, _free(health))


def test_reads_that_are_not_answered_come_ever_more_rarely_but_at_least_once_a_minute():
    health, waits = _after(*[TROUBLE] * 5), []
    for _ in range(12):
        health = after_probe(health, answered=False, now=NOW)
        waits.append(health.probe_at - NOW)
    assert sorted(waits) == waits
    assert 60 == waits[-1]


def test_a_no_to_everything_pauses_and_one_fact_now_and_then_is_the_probe():
    health = _after(NO)
    assert Mood.PAUSED is health.mood
    assert [0, 1, 0] == [
        _free(health, now=NOW),
        _free(health, now=NOW + 1),
        _free(health, now=NOW + 1, in_flight=1),
    ]
    assert Mood.WELL is _after(Delivered(), health=health).mood


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
    for health in (_after(NO), _after(TROUBLE), _after(*[TROUBLE] * 5)):
        assert health == _after(unheard, health=health)


def test_an_answer_that_is_not_understood_pauses_also_where_it_leaves_the_fact_uncertain():
    for outcome in (Paused(Reason.NOT_UNDERSTOOD, "200"), Uncertain(Reason.NOT_UNDERSTOOD, "200")):
        health = _after(outcome)
        assert (Mood.PAUSED, "200") == (health.mood, health.reason)


def test_what_began_before_a_pause_neither_ends_nor_prolongs_it():
    health = _after(NO)
    for outcome in (Delivered(), Rejected(Reason.REFUSED), NO, TROUBLE):
        assert (Mood.PAUSED, health.probe_at) == _mood_and_probe(_after(*[outcome] * 64, health=health, began=NOW - 1))
    assert Mood.WELL is _after(Delivered(), health=health, began=NOW + 1).mood


def _mood_and_probe(health):
    return health.mood, health.probe_at


def test_a_destination_that_asks_for_it_is_left_alone_and_then_one_fact_is_the_probe():
    health = _after(ALONE)
    assert Mood.RESTING is health.mood
    assert "429: asks to be left alone for 0:00:30" == health.reason
    assert [0, 1, 0] == [
        _free(health, now=NOW + 29),
        _free(health, now=NOW + 30),
        _free(health, now=NOW + 30, in_flight=1),
    ]
    assert Mood.RESTING is _after(Delivered(), health=health, began=NOW - 1).mood
    assert Mood.WELL is _after(Delivered(), health=health, began=NOW + 30).mood


@pytest.mark.parametrize(
    "asked", [Retry(Reason.THROTTLED, "", timedelta(days=1)), Uncertain(Reason.SERVER_ERROR, "", timedelta(days=999))]
)
def test_whatever_it_asks_for_it_is_asked_again_after_ten_minutes(asked):
    health = _after(asked)
    assert (Mood.RESTING, 600) == (health.mood, health.rest(NOW))
    again = _after(asked, health=health, began=NOW + 600, now=NOW + 600)
    assert (Mood.RESTING, 600) == (again.mood, again.rest(NOW + 600))


def test_a_shorter_wish_does_not_shorten_the_rest_and_one_without_a_time_waits_as_any_probe():
    health = _after(ALONE, Retry(Reason.THROTTLED, "", timedelta(seconds=1)))
    assert 30 == health.rest(NOW)
    assert 1 == _after(Retry(Reason.THROTTLED), health=health, began=NOW + 30, now=NOW + 30).rest(NOW + 30)


def test_a_refusal_without_a_time_ends_no_pause():
    for health in (_after(NO), _after(TROUBLE), _after(*[TROUBLE] * 5)):
        assert health.mood is _after(Retry(Reason.THROTTLED), health=health).mood
    assert Health() == _after(Retry(Reason.THROTTLED))


def test_before_a_fact_that_the_probe_may_cost_a_read_is_sent_and_facts_are_tried_ever_more_rarely():
    health, now, waits = _after(WHATEVER), NOW, []
    for _ in range(14):
        waits.append(health.rest(now))
        now = max(now, health.probe_at)
        assert (True, 0) == (probe_is_due(health, now), _free(health, now=now))
        health = after_probe(health, answered=True, now=now)
        assert (False, 1) == (probe_is_due(health, now), _free(health, now=now))
        health = _after(WHATEVER, health=health, began=now, now=now)
    assert (sorted(waits), 3600) == (waits, waits[-1])


def test_a_read_that_nobody_answers_costs_nothing_and_is_sent_once_a_minute():
    health, now = _after(WHATEVER), NOW
    for _ in range(14):
        now = max(now, health.probe_at)
        health = after_probe(health, answered=False, now=now)
        assert (Mood.PAUSED, 0) == (health.mood, _free(health, now=now))
    assert 60 == health.rest(now)


@given(outcomes=st.lists(OUTCOMES, max_size=60))
def test_whatever_happens_a_success_makes_well_again_and_waits_stay_bounded(outcomes):
    health = _after(*outcomes)
    assert 0 <= health.rest(NOW) <= 600
    assert Mood.WELL is _after(Delivered(), health=health).mood
