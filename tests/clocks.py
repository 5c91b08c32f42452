"""Clocks that are wrong, for bridge.clock.installed."""

import time
from datetime import timedelta


class Shifted:
    """The machine's clock, set ahead or back. What nobody sets goes on as it is."""

    def __init__(self, by: timedelta) -> None:
        self._by = int(by.total_seconds()) * 1_000_000_000

    def time_ns(self) -> int:
        return time.time_ns() + self._by

    def monotonic(self) -> float:
        return time.monotonic()


class Stopped(Shifted):
    """A clock that always says the same time, in nanoseconds since 1970."""

    def __init__(self, at: int) -> None:
        self._at = at

    def time_ns(self) -> int:
        return self._at
