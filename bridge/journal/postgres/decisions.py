"""Decisions of persons about lanes that are in flight somewhere: their claims are revoked, and nothing more of them
leaves.

The revocation is in the table, so the departed mark meets it in any case. What needs no mark is confirmed by memory,
which is never older than `_YOUNG`. So a command knows a little later that every process knows, even without a
notification.
"""

import asyncio
from collections.abc import Collection, Sequence

from bridge import clock
from bridge.journal import LaneNumber
from bridge.journal.postgres.append import columns
from bridge.journal.postgres.database import Database
from bridge.journal.postgres.lease import Lease
from bridge.journal.postgres.place import Connection
from bridge.journal.rows import Row

_YOUNG = 8.0
"""Seconds for which a look at the table is believed."""

_PAUSE = 0.1  # seconds
_LOOKS = 100
"""The most looks at claims that have not ended. Together they last longer than `_YOUNG`."""

_NONE: Collection[tuple[LaneNumber, int]] = frozenset()


class Decisions:
    """The claims of this process that persons have revoked, as far as it has looked."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease
        self._revoked: dict[str, set[tuple[LaneNumber, int]]] = {}
        self._looked = float("-inf")
        self._looking = asyncio.Lock()

    def revoked(self, dest: str) -> Collection[tuple[LaneNumber, int]]:
        """Lane and number of each."""
        return self._revoked.get(dest, _NONE)

    async def known(self) -> None:
        """What was decided before `_YOUNG` is known when this returns. Raises JournalBusy."""
        if clock.monotonic() - self._looked > _YOUNG:
            async with self._looking:
                if clock.monotonic() - self._looked > _YOUNG:
                    await self._look()

    async def look(self) -> None:
        """Look at the table, one look after the other: no answer is overtaken by an older one. Raises JournalBusy."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        began = clock.monotonic()
        revoked: dict[str, set[tuple[LaneNumber, int]]] = {}
        for dest, lane, number in await self._database.fetch("revoked_of", self._lease.id):
            revoked.setdefault(dest, set()).add((lane, number))
        self._revoked, self._looked = revoked, began


async def revoke(
    database: Database, connection: Connection, lanes: Collection[tuple[str, LaneNumber]]
) -> Sequence[Row]:
    """Revoke the claims that stand of these (destination, lane). The rows are locked first: a claim that is being made
    is seen, or sees what is decided."""
    pairs = columns(sorted(set(lanes)), 2)
    await connection.fetch(database.sql["lock_pairs"], *pairs)
    return [tuple(row) for row in await connection.fetch(database.sql["revoke"], *pairs)]


async def notify_decided(database: Database, claims: Sequence[Row]) -> None:
    """Returns when these claims have ended, or everybody knows that they were revoked."""
    for _ in range(_LOOKS if claims else 0):
        if not await database.fetch("standing", *columns(claims, 4)):
            return
        await asyncio.sleep(_PAUSE)
