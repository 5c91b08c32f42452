"""What the journal remembers of a destination that takes nothing: who asks of an order is told why it waits, also while
the bridge is stopped."""

from datetime import datetime

import msgspec

from bridge.delivery.breaker import Health, Mood
from bridge.journal import Reading

_SHORT = 5.0
"""Seconds of rest that nobody needs to be told of."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing is sent there, and since when. Of replicas the last to notice a change has the say."""

    mood: Mood
    since: datetime
    reason: str

    def __str__(self) -> str:
        return f"is {self.mood} since {self.since:%Y-%m-%d %H:%M:%S}: {self.reason}"


def mark(dest: str) -> str:
    """The name under which the journal remembers it."""
    return f"destination:{dest}"


def noted(health: Health, since: datetime | None, now: float) -> str:
    """What is to be remembered; empty where something is sent, or will be in a moment. now: by the clock of health."""
    is_short = health.mood is Mood.RESTING and health.rest(now) < _SHORT
    if not health.mood.sends_nothing or is_short or since is None:
        return ""
    return msgspec.json.encode(Trouble(mood=health.mood, since=since, reason=health.reason)).decode()


async def trouble_of(journal: Reading, dest: str) -> Trouble | None:
    """None: there is none that anybody has noticed."""
    told = await journal.recall(mark(dest))
    return msgspec.json.decode(told, type=Trouble) if told else None
