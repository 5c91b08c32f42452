"""What follows from an outcome. Pure: time and chance are arguments."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias, assert_never

from bridge.contract import Delivered, Outcome, Paused, Plain, Reason, Rejected, Retry, Skipped, State, Uncertain

LONGEST_REST = timedelta(minutes=10)
"""The longest time for which the other side is left alone at its own request. Then it is asked again."""
_LARGEST_EXPONENT = 32  # doublings: more would overflow


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long a fact is tried. Waits double from `first_wait` to `longest_wait`, each drawn between zero and that."""

    first_wait: timedelta
    longest_wait: timedelta
    give_up: timedelta


class Settle(Plain, frozen=True, kw_only=True):
    """The fact has this state from now on."""

    state: State
    reason: Reason | None = None
    detail: str = ""


class Pass(Plain, frozen=True, kw_only=True):
    """A decision for a fact of which nothing was to be sent. Its key is not held."""

    reason: Reason
    detail: str = ""


class Postpone(Plain, frozen=True, kw_only=True):
    """The lane waits until then."""

    until: datetime
    reason: Reason
    detail: str = ""


Decision: TypeAlias = Settle | Pass | Postpone


def decide(
    outcome: Outcome, *, attempt: int, now: datetime, first_tried_at: datetime, retry: RetryPolicy, chance: float
) -> Decision:
    """Decide what follows from an outcome. attempt: counts from 1. chance: from 0 to 1."""
    match outcome:
        case Delivered(detail):
            return Settle(state=State.DELIVERED, detail=detail)
        case Skipped(reason, detail):
            return Pass(reason=reason, detail=detail)
        case Rejected(reason, detail):
            return Settle(state=State.DEAD, reason=reason, detail=detail)
        case Uncertain(reason, detail):
            return Settle(state=State.UNCERTAIN, reason=reason, detail=detail)
        case Paused(reason, detail):
            return Postpone(until=now, reason=reason, detail=detail)
        case Retry():
            told = min(outcome.after or timedelta(), LONGEST_REST)
            wait = max(backoff(attempt, retry=retry, chance=chance), told)
            return _again(outcome, now=now, wait=wait, given_up=now - first_tried_at >= retry.give_up)
        case _:
            assert_never(outcome)


def _again(outcome: Retry, *, now: datetime, wait: timedelta, given_up: bool) -> Decision:
    if given_up:
        return Settle(state=State.DEAD, reason=Reason.GAVE_UP, detail=f"last: {outcome.reason}, {outcome.detail}")
    return Postpone(until=now + wait, reason=outcome.reason, detail=outcome.detail)


def backoff(attempt: int, *, retry: RetryPolicy, chance: float) -> timedelta:
    """Full jitter: between zero and the doubled wait. The exponent is capped, for a timedelta overflows."""
    doubled: timedelta = retry.first_wait * (1 << min(max(attempt - 1, 0), _LARGEST_EXPONENT))
    return min(doubled, retry.longest_wait) * chance
