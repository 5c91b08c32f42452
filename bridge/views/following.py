"""Orders as they come: each is told once, when nothing more is about to happen to it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from bridge import clock
from bridge.journal import WAITING, Listed, Reader

_LOOK: Final = 0.5  # seconds between two looks
_PATIENCE: Final = 5.0  # seconds for which an order that waits is not told yet
_PAGE: Final = 500  # documents
_BEYOND: Final = 2**62  # more than the number of any document


async def following(journal: Reader) -> AsyncIterator[Listed]:
    """Orders whose newest document comes from now on, in the order in which they settle. One that still waits after
    some seconds is told as waiting. An order with another new document is told again."""
    newest = await journal.listing(before=_BEYOND, limit=1)
    seen = newest.last or 0
    came: dict[int, float] = {}
    while True:
        for order in await _since(journal, seen):
            came.setdefault(order.seq, clock.monotonic())
        seen = max([seen, *came])
        for seq, since in sorted(came.items()):
            page = await journal.listing(before=seq + 1, limit=1)
            now = next((each for each in page.orders if each.seq == seq), None)
            is_late = clock.monotonic() - since >= _PATIENCE
            if now is None:  # a newer document of it came: it is told with that, or it was erased
                del came[seq]
            elif is_late or all(entry.state != WAITING for entry in now.entries):
                del came[seq]
                yield now
        await asyncio.sleep(_LOOK)


async def _since(journal: Reader, seen: int) -> list[Listed]:
    """The orders whose newest document has a number above this one."""
    found: list[Listed] = []
    before = _BEYOND
    while True:
        page = await journal.listing(before=before, limit=_PAGE)
        found += [order for order in page.orders if order.seq > seen]
        if page.last is None or page.last <= seen + 1:
            return found
        before = page.last
