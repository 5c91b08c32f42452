"""Leases on lanes: a process owns what it claimed as long as it renews its lease, by the database's clock.

A process that is killed, stopped or cut off loses its lanes when its lease ends. The first process that notices frees
them, and what had the departed mark becomes uncertain. The old process cannot come back as the one it was: it enters
again, as another.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from bridge import clock
from bridge.errors import JournalBusy
from bridge.journal.postgres.append import columns
from bridge.journal.postgres.database import Database
from bridge.journal.postgres.place import Connection
from bridge.telemetry import emit

_RENEWALS = 3  # renewals within one lease
_DOUBTED_FOR = 10
"""Spans of the lease for which the database may still carry out a claim that nobody waits for any more."""

Lane = tuple[str, int]
"""(destination, lane)"""


class Lease:
    """The lease of this process. `id` is what it owns lanes under; 0 while it has no lease."""

    def __init__(self, database: Database, *, freed: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._freed = freed
        self._span = database.place.lease
        self.id = 0
        self.in_flight: dict[Lane, int] = {}
        """Lanes claimed by this process, each with the number of its claim."""
        self._numbers = count(1)
        self._in_doubt: dict[int, float] = {}
        """Claims whose answer was lost, by number, until when: their lanes are nobody's here, and are freed."""
        self.ahead = 0
        """Microseconds that the clock here is ahead of the database's: a lane is due for all processes at one time."""
        self.trouble: str | None = "the database has not answered yet"

    def next_number(self) -> int:
        """A number for one claim, never used twice."""
        return next(self._numbers)

    def lost_answer(self, number: int) -> None:
        """Note a claim whose answer was lost: it may have been made, now or in a moment, and nobody here knows of
        it."""
        self._in_doubt[number] = clock.monotonic() + _DOUBTED_FOR * self._span.total_seconds()

    async def enter(self) -> None:
        """Raises JournalBusy."""
        await self._compare_clocks()
        self.id = await self._database.value("enter", self._span)
        self.trouble = None
        await self._free_orphans()

    async def keep(self) -> None:
        """Renews until cancelled. What fails passes, or the lease ends: neither is the end of the process."""
        while True:
            await asyncio.sleep(self._span.total_seconds() / _RENEWALS)
            try:
                await self._renewed()
                self.trouble = None
            except JournalBusy as busy:
                if self.trouble is None:
                    emit("journal.busy", dest="", detail=str(busy))
                self.trouble = str(busy)

    async def _compare_clocks(self) -> None:
        """Learn how far the clock here is ahead, as far as the time of the question leaves no doubt. It can be set at
        any time."""
        asked = clock.microseconds()
        there = await self._database.value("clock")
        self.ahead = max(asked - there, min(0, clock.microseconds() - there))

    async def _renewed(self) -> None:
        if not self.id or not await self._database.transaction(self._renew):
            emit("lease.lost", count=len(self.in_flight))
            self.in_flight.clear()
            self._in_doubt.clear()
            self.id = 0
            self.id = await self._database.value("enter", self._span)
        await self._compare_clocks()
        if self._in_doubt:
            await self._database.transaction(self._free_strays)
            self._in_doubt = {number: until for number, until in self._in_doubt.items() if until > clock.monotonic()}
        await self._database.fetch("free_held", clock.microseconds())
        await self._free_orphans()

    async def _renew(self, connection: Connection) -> bool:
        status: str = await connection.execute(self._database.sql["renew"], self.id, self._span)
        return status == "UPDATE 1"

    async def leave(self) -> None:
        """Leave: what is still in flight is free for others at once."""
        if self.id:
            await self._database.value("leave", self.id)
            self.id = 0
            await self._free_orphans()

    # -- lanes without an owner ----------------------------------------------------------------------------------------

    async def _free_orphans(self) -> None:
        """Free lanes of processes whose lease has ended. Any process may do it."""
        lanes, doubted = await self._database.transaction(self._free_lapsed)
        if doubted:
            emit("facts.in_doubt", count=doubted)
        if lanes:
            emit("lanes.freed", count=lanes)
            await self._freed()

    async def _free_lapsed(self, connection: Connection) -> tuple[int, int]:
        """How many lanes were freed, and how many facts are in doubt."""
        sql = self._database.sql
        await connection.execute(sql["lapsed"])
        lanes = [(dest, lane) for dest, lane in await connection.fetch(sql["freed"])]
        status: str = await connection.execute(sql["ended_in_flight"], clock.microseconds())
        await connection.execute(sql["free"], *columns(lanes, 2))
        return len(lanes), int(status.rpartition(" ")[2])

    async def _free_strays(self, connection: Connection) -> None:
        """Lanes of claims whose answer was lost. Those of a claim that is under way are never among them."""
        sql = self._database.sql
        lanes = [(dest, lane) for dest, lane in await connection.fetch(sql["owned_by"], self.id, [*self._in_doubt])]
        await connection.execute(sql["free"], *columns(lanes, 2))
