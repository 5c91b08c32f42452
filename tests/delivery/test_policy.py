"""What follows from an outcome: pure, so every case is cheap."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract import Delivered, Paused, Reason, Rejected, Retry, Skipped, State, Uncertain
from bridge.delivery.policy import Pass, Postpone, RetryPolicy, Settle, backoff, decide

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PATIENCE = RetryPolicy(first_wait=timedelta(seconds=1), longest_wait=timedelta(minutes=10), give_up=timedelta(days=14))


def _decided(outcome, **changes):
    given = {"attempt": 1, "now": NOW, "first_tried_at": NOW, "retry": PATIENCE, "chance": 0.5}
    return decide(outcome, **(given | changes))


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        (Settle(state=State.DELIVERED, detail="200"), Delivered("200")),
        (Settle(state=State.DEAD, reason=Reason.REFUSED, detail="422"), Rejected(Reason.REFUSED, "422")),
        (Settle(state=State.UNCERTAIN, reason=Reason.NO_ANSWER), Uncertain(Reason.NO_ANSWER)),
        (Pass(reason=Reason.NO_IDENTITY), Skipped(Reason.NO_IDENTITY)),
        (Postpone(until=NOW, reason=Reason.NOT_ALLOWED), Paused(Reason.NOT_ALLOWED)),
        (Postpone(until=NOW + timedelta(seconds=0.5), reason=Reason.TIMED_OUT), Retry(Reason.TIMED_OUT)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_outcome_has_its_decision(decision, outcome):
    assert decision == _decided(outcome)


def test_a_retry_waits_at_least_as_long_as_the_other_side_says():
    told = Retry(Reason.THROTTLED, after=timedelta(seconds=90))
    assert NOW + timedelta(seconds=90) == _decided(told).until


def test_what_is_tried_past_give_up_is_dead_and_says_what_happened_last():
    late = _decided(Retry(Reason.TIMED_OUT, "no answer in time"), first_tried_at=NOW - timedelta(days=14))
    assert Settle(state=State.DEAD, reason=Reason.GAVE_UP, detail="last: timed out, no answer in time") == late


def test_a_pause_never_gives_up():
    assert isinstance(_decided(Paused(Reason.NOT_ALLOWED), first_tried_at=NOW - timedelta(days=400)), Postpone)


@given(attempt=st.integers(0, 10**9), chance=st.floats(0, 1))
def test_waits_grow_never_overflow_and_stay_between_zero_and_the_longest(attempt, chance):
    wait = backoff(attempt, retry=PATIENCE, chance=chance)
    assert timedelta() <= wait <= PATIENCE.longest_wait
    assert backoff(attempt, retry=PATIENCE, chance=1) <= backoff(attempt + 1, retry=PATIENCE, chance=1)
