"""The one clock of the program. Nothing else asks the system what time it is (ruff bans it), so that a simulated world
can let hours pass in milliseconds, and set the clock while the program runs.

Waiting is the event loop's, by a clock of its own that nobody sets (`loop.time()`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A clock, as the module `time` is one."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970. This clock can be set, ahead and back."""

    def monotonic(self) -> float:
        """Seconds since some moment. Nobody sets this clock."""


_clock: Clock = time


def now() -> datetime:
    """The time now, in UTC."""
    return datetime.fromtimestamp(_clock.time_ns() / 1_000_000_000, UTC)


def microseconds() -> int:
    """Microseconds since 1970, as the journal keeps times."""
    return _clock.time_ns() // 1000


def seconds() -> float:
    """Seconds since 1970."""
    return _clock.time_ns() / 1_000_000_000


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
