"""Orders, newest first, and those of them that a person looks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bridge.journal import Entry, Listed, Reader

_STEP: Final = 500  # documents
_MOST: Final = 100_000
"""Documents that one call looks at. Then it says where it stopped, so that it ends within seconds in any journal."""
_BEYOND: Final = 2**62  # more than the number of any document


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The orders that a person looks for. Empty fields select all. since: no order whose newest document came before;
    until: none whose newest document came then or later."""

    since: datetime | None = None
    until: datetime | None = None
    source: str = ""
    shops: Sequence[str] = ()
    of_entry: Mapping[str, str] = field(default_factory=dict)
    """Field of an entry to its value. One entry must have all of them."""

    def is_met_by(self, order: Listed) -> bool:
        return (
            self.source in ("", order.source)
            and (not self.shops or order.tenant in self.shops)
            and (self.since is None or order.came_at >= self.since)
            and (self.until is None or order.came_at < self.until)
            and (not self.of_entry or any(self._is_met_by_entry(entry) for entry in order.entries))
        )

    def _is_met_by_entry(self, entry: Entry) -> bool:
        return all(getattr(entry, name) == value for name, value in self.of_entry.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The orders of a page. after: where the next page begins; None: there is no order behind these."""

    orders: Sequence[Listed]
    after: int | None
    looked_at: int


async def found(journal: Reader, wanted: Wanted, *, after: int | None, limit: int, most: int = _MOST) -> Found:
    """Look through the journal, newest first, until `limit` orders are found or `most` documents were looked at."""
    before = after if after is not None else await _start(journal, wanted.until)
    orders: list[Listed] = []
    looked_at = 0
    while looked_at < most:
        step = min(_STEP, most - looked_at)
        page = await journal.listing(before=before, limit=step)
        if page.last is None or page.newest is None:
            return Found(orders=orders, after=None, looked_at=looked_at)
        for order in page.orders:
            if wanted.is_met_by(order):
                orders.append(order)
            if len(orders) == limit:
                return Found(orders=orders, after=order.seq, looked_at=looked_at + step)
        looked_at += step
        before = page.last
        # Clocks may be set: one old document does not say that all before it are old, a whole page of them does.
        if wanted.since is not None and page.newest < wanted.since:
            return Found(orders=orders, after=None, looked_at=looked_at)
    return Found(orders=orders, after=before, looked_at=looked_at)


async def _start(journal: Reader, until: datetime | None) -> int:
    """Find the number of the first document that came at `until` or later, by halving."""
    newest = await journal.listing(before=_BEYOND, limit=1)
    if until is None or newest.last is None:
        return _BEYOND
    low, high = 0, newest.last + 1
    while low < high:
        middle = (low + high + 1) // 2
        page = await journal.listing(before=middle, limit=1)
        if page.newest is None or page.newest < until:
            low = middle
        else:
            high = middle - 1
    return low
