"""The journal's note of a destination that takes nothing. Commands show it to say why an order waits, also while the
bridge is stopped."""

from datetime import datetime

import msgspec

from bridge.delivery.breaker import Breaker, BreakerState
from bridge.journal import Reader

MARK = "destination:"
"""The beginning of the names under which the journal remembers outages; the destination follows."""

_SHORT = 5.0
"""Seconds of rest that are too short to be noted."""


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """The reason why nothing is sent to a destination, and since when. If replicas disagree, the last to notice a
    change counts."""

    state: BreakerState
    since: datetime
    reason: str

    def __str__(self) -> str:
        return f"is {self.state} since {self.since:%Y-%m-%d %H:%M:%S}: {self.reason}"


def mark(dest: str) -> str:
    """The name under which the journal remembers it."""
    return f"{MARK}{dest}"


def noted(breaker: Breaker, since: datetime | None, now: float) -> str:
    """The note to be remembered. Empty if something is sent, or will be in a moment. now: by the breaker's clock."""
    is_short = breaker.state is BreakerState.RESTING and breaker.rest(now) < _SHORT
    if not breaker.state.sends_nothing or is_short or since is None:
        return ""
    return msgspec.json.encode(Outage(state=breaker.state, since=since, reason=breaker.reason)).decode()


async def outage_of(journal: Reader, dest: str) -> Outage | None:
    """Read the outage of a destination. None: nobody has noticed one."""
    return outage_in(await journal.recall(mark(dest)))


def outage_in(told: str | None) -> Outage | None:
    """Read a note that was remembered. None: it says that something is sent."""
    return msgspec.json.decode(told, type=Outage) if told else None
