"""How much may be sent: pure, the clock is an argument."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract import Delivered, Paused, Reason, Rejected, Retry, Skipped, Uncertain
from bridge.delivery.limits import Health, Mood, after, after_probe, allowed, probe_is_due

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TROUBLE = Retry(Reason.TIMED_OUT)
NO = Paused(Reason.NOT_ALLOWED, "401")
OUTCOMES = st.sampled_from([Delivered(), TROUBLE, NO, Uncertain(Reason.NO_ANSWER), Rejected(Reason.REFUSED)])


def _after(*outcomes, health=None):
    health = health or Health()
    for outcome in outcomes:
        health = after(health, outcome, NOW)
    return health


def _free(health, *, in_flight=0, now=NOW):
    return allowed(health, in_flight=in_flight, concurrency=8, now=now)


def test_a_well_destination_gets_as_many_as_configured():
    assert [8, 5, 0] == [_free(Health(), in_flight=n) for n in (0, 3, 9)]


def test_after_one_trouble_there_is_one_in_flight_until_an_answer_comes():
    health = _after(TROUBLE)
    assert [1, 0] == [_free(health, in_flight=n) for n in (0, 1)]
    assert Mood.WELL is after(health, Delivered(), NOW).mood
    assert Mood.WELL is after(health, Rejected(Reason.REFUSED), NOW).mood


def test_after_five_troubles_running_nothing_is_sent_but_a_harmless_read_now_and_then():
    health = _after(*[TROUBLE] * 5)
    assert (Mood.DOWN, 0) == (health.mood, _free(health, now=NOW + timedelta(days=1)))
    assert [False, True] == [probe_is_due(health, NOW), probe_is_due(health, NOW + timedelta(seconds=1))]


def test_an_answered_read_lets_one_fact_through():
    health = after_probe(_after(*[TROUBLE] * 5), answered=True, now=NOW)
    assert (Mood.SUSPICIOUS, 1) == (health.mood, _free(health))


def test_reads_that_are_not_answered_come_ever_more_rarely_but_at_least_once_a_minute():
    health, waits = _after(*[TROUBLE] * 5), []
    for _ in range(12):
        health = after_probe(health, answered=False, now=NOW)
        waits.append(health.probe_at - NOW)
    assert sorted(waits) == waits
    assert timedelta(minutes=1) == waits[-1]


def test_a_no_to_everything_pauses_and_one_fact_now_and_then_is_the_probe():
    health = _after(NO)
    assert Mood.PAUSED is health.mood
    assert [0, 1, 0] == [
        _free(health, now=NOW),
        _free(health, now=NOW + timedelta(seconds=1)),
        _free(health, now=NOW + timedelta(seconds=1), in_flight=1),
    ]
    assert Mood.WELL is after(health, Delivered(), NOW).mood


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


@given(outcomes=st.lists(OUTCOMES, max_size=60))
def test_whatever_happens_a_success_makes_well_again_and_waits_stay_bounded(outcomes):
    health = _after(*outcomes)
    assert health.probe_at is None or NOW <= health.probe_at <= NOW + timedelta(minutes=1)
    assert Mood.WELL is after(health, Delivered(), NOW).mood
