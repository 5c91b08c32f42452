"""Measure what this machine can do: the parts of the bridge one after the other, and then the whole chain.

All that is measured are the program's own parts, in processes of their own, with a journal of their own in a temporary
folder and an API on this machine. The configured journal is not opened, and nobody outside of this machine is asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

AT_ONCE = 64
"""Connections, and orders that are under way at the same time."""
_DAY = 86_400  # seconds


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of one part.

    count    how often it was done
    seconds  how long all of them took together
    p50      milliseconds that half of them did not exceed; p99 likewise for 99 of 100
    """

    count: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """How often it was done in a second."""
        return self.count / self.seconds

    @property
    def in_a_day(self) -> int:
        """How often it would be done in a day at this rate."""
        return int(self.rate * _DAY)


def figures(took: Sequence[float], seconds: float) -> Figures:
    """The figures of a part that was done for so many seconds. took: the seconds of each, at least one."""
    ordered = sorted(took)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    return Figures(count=len(ordered), seconds=seconds, p50=p50, p99=p99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The order that is posted again and again, and what the rules make of it.

    facts        facts that become final, of one order
    requests     requests to the API, of one order of a new person
    concurrency  orders on their way at once that the settings allow
    """

    body: bytes
    facts: int
    requests: int
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What was measured. remarks: sentences on what went otherwise than it should."""

    figures: Mapping[str, Figures]
    remarks: Sequence[str]
