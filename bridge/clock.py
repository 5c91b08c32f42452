"""The one clock of the program. Nothing else asks the system what time it is (ruff bans it), so that a simulated world
can let hours pass in milliseconds, and set the clock while the program runs.

Waiting is the event loop's, by a clock of its own that nobody sets (`loop.time()`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

WAS_SET: Final = timedelta(seconds=30)
"""A step of the clock after which it counts as set: by a person, or at the end of a machine's sleep."""
_STEP: Final = WAS_SET.total_seconds()


class Clock(Protocol):
    """A clock, as the module `time` is one."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970. This clock can be set, ahead and back."""

    def monotonic(self) -> float:
        """Seconds since some moment. Nobody sets this clock."""


_clock: Clock = time
_ahead: float | None = None
"""Seconds by which the clock that can be set was ahead of the other one when it was last read."""
_times_set = 0
"""How often the clock was found to be set."""


def _nanoseconds() -> int:
    """Read the clock that can be set, and notice if it was set since the last time."""
    global _ahead, _times_set  # noqa: PLW0603  there is one clock
    at = _clock.time_ns()
    ahead = at / 1_000_000_000 - _clock.monotonic()
    if _ahead is not None and abs(ahead - _ahead) > _STEP:
        _times_set += 1
    _ahead = ahead
    return at


def now() -> datetime:
    """The time now, in UTC."""
    return datetime.fromtimestamp(_nanoseconds() / 1_000_000_000, UTC)


def microseconds() -> int:
    """Microseconds since 1970, as the journal keeps times."""
    return _nanoseconds() // 1000


def seconds() -> float:
    """Seconds since 1970."""
    return _nanoseconds() / 1_000_000_000


def times_set() -> int:
    """How often a reading of the clock, this one or an earlier one, showed that it had been set. A time that was read
    from a wrong clock was counted, however soon the clock was set right again."""
    _nanoseconds()
    return _times_set


def monotonic() -> float:
    """Seconds by the clock that nobody sets: for spans of time."""
    return _clock.monotonic()


@contextmanager
def installed(clock: Clock) -> Iterator[None]:
    """Let the program have this clock meanwhile."""
    global _clock  # noqa: PLW0603  there is one clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
