"""What the journal remembers of a destination that takes nothing: who asks of an order is told why it waits, also while
the bridge is stopped."""

from datetime import datetime

import msgspec

from bridge.delivery.breaker import Breaker, BreakerState
from bridge.journal import Reader

_SHORT = 5.0
"""Seconds of rest that nobody needs to be told of."""


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing is sent there, and since when. Of replicas the last to notice a change has the say."""

    state: BreakerState
    since: datetime
    reason: str

    def __str__(self) -> str:
        return f"is {self.state} since {self.since:%Y-%m-%d %H:%M:%S}: {self.reason}"


def mark(dest: str) -> str:
    """The name under which the journal remembers it."""
    return f"destination:{dest}"


def noted(breaker: Breaker, since: datetime | None, now: float) -> str:
    """What is to be remembered; empty where something is sent, or will be in a moment. now: by the clock of health."""
    is_short = breaker.state is BreakerState.RESTING and breaker.rest(now) < _SHORT
    if not breaker.state.sends_nothing or is_short or since is None:
        return ""
    return msgspec.json.encode(Outage(state=breaker.state, since=since, reason=breaker.reason)).decode()


async def outage_of(journal: Reader, dest: str) -> Outage | None:
    """None: there is none that anybody has noticed."""
    told = await journal.recall(mark(dest))
    return msgspec.json.decode(told, type=Outage) if told else None
