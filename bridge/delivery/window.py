"""How many lanes of a destination may be in flight, learned from its answers. Pure: the clock is an argument.

Additive increase, multiplicative decrease, as TCP does it: a refusal (429, a server's error, silence) halves the limit,
answers that are slow on the average take a fifth off, and a whole limit of good answers while it is used up adds one.
An API that is slow whatever it is spared is not spared further: a decrease must have helped before the next one.
What began before the last decrease tells of the time before it, and lowers nothing again.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.contract import Outcome, Paused, Reason, Retry, Uncertain

_REFUSED = 0.5
_SLOW = 0.8
_HELPED = 0.9
_WORSE = 1.5
_REFUSALS = frozenset({Reason.THROTTLED, Reason.UNREACHABLE, Reason.TIMED_OUT, Reason.NO_ANSWER, Reason.SERVER_ERROR})
_LONGEST_REST = timedelta(minutes=1)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limit stays between `least` and `most`; answers slower than `slow` seconds on the average lower it."""

    least: int = 1
    most: int = 64
    slow: float = 2.0


class Window:
    """Begins wide open. `rests_until`: the other side asked to be left alone, which is kept for a minute at most."""

    __slots__ = ("_bounds", "_cut_at", "_limit", "_slow_at", "rests_until")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._limit = float(bounds.most)
        self._cut_at = _LONG_AGO
        self._slow_at = 0.0
        self.rests_until = _LONG_AGO

    @property
    def limit(self) -> int:
        return int(self._limit)

    def felt(self, outcome: Outcome, *, began: datetime, now: datetime, latency: float, in_flight: int) -> str:
        """Why the limit is another one now, or nothing. latency: of the last requests, in seconds."""
        if isinstance(outcome, Paused):
            return ""
        if isinstance(outcome, (Retry, Uncertain)) and outcome.reason in _REFUSALS:
            if isinstance(outcome, Retry) and outcome.after:
                self.rests_until = max(self.rests_until, now + min(outcome.after, _LONGEST_REST))
            return self._cut(_REFUSED, began, now, because=str(outcome.reason))
        if latency > self._bounds.slow:
            return self._slowed(began, now, latency)
        self._slow_at = 0.0
        return self._raised() if self._limit < self._bounds.most and in_flight >= self.limit else ""

    def _slowed(self, began: datetime, now: datetime, latency: float) -> str:
        """The first time, and again if the last decrease helped, or it has become much worse."""
        if self._slow_at * _HELPED <= latency <= self._slow_at * _WORSE:
            return ""
        reason = self._cut(_SLOW, began, now, because="slow answers")
        if reason:
            self._slow_at = latency
        return reason

    def _cut(self, factor: float, began: datetime, now: datetime, *, because: str) -> str:
        if began < self._cut_at or self._limit <= self._bounds.least:
            return ""
        self._cut_at = now
        return self._become(max(float(self._bounds.least), self._limit * factor), because)

    def _raised(self) -> str:
        return self._become(min(float(self._bounds.most), self._limit + 1 / self._limit), "good answers")

    def _become(self, limit: float, because: str) -> str:
        before, self._limit = self.limit, limit
        return because if self.limit != before else ""
