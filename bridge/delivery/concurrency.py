"""Learn from a destination's answers how many of its lanes may be in flight. Pure: the clock is an argument, in seconds
that nobody can set.

The limit grows by addition and shrinks by multiplication, as in TCP. A refusal (429, a server's error, silence) halves
the limit. Answers that are slow on the average take a fifth off. A whole limit of good answers, while the limit is used
up, adds one.

An API that stays slow although it gets less is not spared further: a decrease must have helped before the next one.
What began before the last decrease tells of the time before it, and lowers nothing again.
"""

from dataclasses import dataclass

from bridge.contract import Delivered, Effect, Outcome, Paused, Reason, Retry, Skipped, Uncertain

_REFUSED = 0.5  # times the limit, after a refusal
_SLOW = 0.8  # times the limit, after slow answers
_HELPED = 0.9  # times the latency of before: a decrease has helped
_WORSE = 1.5  # times the latency of before: it has become much worse
_LONG_AGO = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyBounds:
    """The limit stays between `least` and `most`; answers slower than `slow` seconds on the average lower it."""

    least: int
    most: int
    slow: float


class ConcurrencyLimit:
    """A limit that begins wide open."""

    __slots__ = ("_bounds", "_cut_at", "_limit", "_slow_at")

    def __init__(self, bounds: ConcurrencyBounds) -> None:
        self._bounds = bounds
        self._limit = float(bounds.most)
        self._cut_at = _LONG_AGO
        self._slow_at = 0.0

    @property
    def limit(self) -> int:
        return int(self._limit)

    def on_outcome(self, outcome: Outcome, *, began: float, now: float, latency: float, in_flight: int) -> str:
        """Change the limit by an outcome. Returns why it has changed, or nothing. latency: of the last requests, in
        seconds."""
        reason = None if isinstance(outcome, Delivered) else outcome.reason
        if isinstance(outcome, Paused | Skipped) or reason is Reason.NOT_UNDERSTOOD:
            return ""
        if isinstance(outcome, Retry | Uncertain) and Effect.SLOW_DOWN in outcome.reason.effect:
            return self._cut(_REFUSED, began, now, because=str(outcome.reason))
        if latency > self._bounds.slow:
            return self._slowed(began, now, latency)
        self._slow_at = 0.0
        return self._raised() if self._limit < self._bounds.most and in_flight >= self.limit else ""

    def _slowed(self, began: float, now: float, latency: float) -> str:
        """Lower the limit for slow answers: the first time, and again if the last decrease helped, or it has become
        much worse."""
        if self._slow_at * _HELPED <= latency <= self._slow_at * _WORSE:
            return ""
        reason = self._cut(_SLOW, began, now, because="slow answers")
        if reason:
            self._slow_at = latency
        return reason

    def _cut(self, factor: float, began: float, now: float, *, because: str) -> str:
        if began < self._cut_at or self._limit <= self._bounds.least:
            return ""
        self._cut_at = now
        return self._become(max(float(self._bounds.least), self._limit * factor), because)

    def _raised(self) -> str:
        return self._become(min(float(self._bounds.most), self._limit + 1 / self._limit), "good answers")

    def _become(self, limit: float, because: str) -> str:
        before, self._limit = self.limit, limit
        return because if self.limit != before else ""
