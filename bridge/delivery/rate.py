"""How often a destination may be asked anything. Pure: the clock is an argument, in seconds."""

_AHEAD = 1.0  # seconds that a request may wait


class RateLimit:
    """Turns at even distances, in the order in which they were taken."""

    __slots__ = ("_distance", "_next")

    def __init__(self, per_second: float) -> None:
        self._distance = 1 / per_second
        self._next = 0.0

    def delay(self, now: float) -> float:
        """Takes the next turn: how long to wait for it."""
        at = max(self._next, now)
        self._next = at + self._distance
        return at - now

    def available(self, now: float) -> int:
        """How many turns may be asked for so that nobody waits much longer than a second; one if nobody waits."""
        ahead = max(0.0, self._next - now - self._distance)
        return 0 if ahead > _AHEAD else max(int(not ahead), int((_AHEAD - ahead) / self._distance))
