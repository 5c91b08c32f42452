"""Whose lanes are whose: a process owns what it claimed as long as it renews its lease, by the database's clock.

A process that is killed, stopped or cut off loses its lanes when its lease ends: whoever notices frees them, and what
had the departed mark becomes uncertain. It cannot come back as the one it was: it enters again, as another.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import time_ns

from bridge.errors import JournalBusy
from bridge.journal.postgres.appending import columns
from bridge.journal.postgres.database import Connection, Database
from bridge.telemetry import emit

_RENEWALS = 3
Lane = tuple[str, int]
"""(destination, lane)"""


class Lease:
    """`id` is what this process owns lanes under; 0 while it has no lease."""

    def __init__(self, database: Database, *, freed: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._freed = freed
        self._span = database.place.lease
        self.id = 0
        self.in_flight: dict[Lane, int] = {}
        """Lanes claimed by this process, with the lease under which they were."""
        self.claiming = 0
        self.in_doubt = False
        """A claim may have been made that nobody here knows of."""
        self.trouble: str | None = "the database has not answered yet"

    async def enter(self) -> None:
        """Raises JournalBusy."""
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

    async def _renewed(self) -> None:
        if not self.id or not await self._database.transaction(self._renew):
            emit("lease.lost", count=len(self.in_flight))
            self.in_flight.clear()
            self.id = 0
            self.id = await self._database.value("enter", self._span)
        if self.in_doubt and not self.claiming:
            self.in_doubt = False
            await self._database.transaction(self._free_strays)
        await self._free_orphans()

    async def _renew(self, connection: Connection) -> bool:
        status: str = await connection.execute(self._database.sql["renew"], self.id, self._span)
        return status == "UPDATE 1"

    async def leave(self) -> None:
        """What is still in flight is free for others at once."""
        if self.id:
            await self._database.value("leave", self.id)
            self.id = 0
            await self._free_orphans()

    # -- lanes without an owner ----------------------------------------------------------------------------------------

    async def _free_orphans(self) -> None:
        """Lanes of processes whose lease has ended, whoever notices."""
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
        status: str = await connection.execute(sql["ended_in_flight"], time_ns() // 1000)
        await connection.execute(sql["free"], *columns(lanes, 2))
        return len(lanes), int(status.rpartition(" ")[2])

    async def _free_strays(self, connection: Connection) -> None:
        """Lanes that are claimed under this lease, though nobody here has them: the answer to the claim was lost."""
        sql = self._database.sql
        owned = [(dest, lane) for dest, lane in await connection.fetch(sql["owned_by"], self.id)]
        await connection.execute(sql["free"], *columns(sorted(set(owned) - set(self.in_flight)), 2))
