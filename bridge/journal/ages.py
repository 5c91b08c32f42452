"""Tell how old a row is for retention, although clocks can be set.

Numbers are given out in order, but times are not. A row that was stored while the clock was years ahead would stop
retention for all rows behind it, and would itself be kept for years.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.journal import LaneNumber, Retention
from bridge.journal.rows import micros

MOST_BYTES = 4 * 1024 * 1024
"""The most bytes of bodies that one step forgets."""

NEXT: Mapping[str, str] = {
    "old_bodies": "next_document",
    "old_envelopes": "next_document",
    "lanes_after": "next_lane",
}
"""Statement that reads a page, and the one that says when the first row behind it came that is not of the future."""

Aged = tuple[int, LaneNumber, int]
"""(number, lane, when it came in microseconds), in the order of the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in microseconds: what came before is old."""

    now: int
    bodies: int
    history: int
    keys: int


def limits_of(retention: Retention, now: datetime) -> Limits:
    return Limits(
        now=micros(now),
        bodies=micros(now - retention.bodies),
        history=micros(now - retention.history),
        keys=micros(now - retention.keys),
    )


def old(rows: Sequence[Aged], *, before: int, now: int, following: int | None) -> list[tuple[int, LaneNumber]]:
    """The first rows, as (number, lane), up to the first that did not come before `before`.

    A row whose time is later than now counts as old as the next row whose time is not. `following` is when the first
    such row behind these came; None: there is none. A row whose time is earlier than that of a row before it came after
    that row.
    """
    came = [at for _, _, at in rows]
    latest = now if following is None else following
    for place in range(len(came) - 1, -1, -1):
        latest = came[place] = latest if came[place] > now else came[place]
    found = []
    newest = 0
    for (number, lane, _), at in zip(rows, came, strict=True):
        newest = max(newest, at)
        if newest >= before:
            break
        found.append((number, lane))
    return found


def within_bytes(sizes: Sequence[int], most: int) -> int:
    """How many of the first stay within `most` bytes, one at least."""
    total = 0
    for place, size in enumerate(sizes):
        total += size
        if place and total > most:
            return place
    return len(sizes)
