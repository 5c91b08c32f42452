"""Forget in small steps, as in the embedded journal: bodies first, then history, then keys."""

from collections.abc import Sequence

from bridge.journal import LaneNumber, Pruned
from bridge.journal.ages import MOST_BYTES, NEXT, Limits, old, within_bytes
from bridge.journal.postgres.append import columns
from bridge.journal.postgres.database import Database
from bridge.journal.postgres.place import Connection

Numbered = tuple[int, LaneNumber]
"""(seq, lane)"""


class Pruning:
    """Remembers where the last step ended. Several processes may prune at once: they find less to do."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after = {"old_bodies": 0, "old_envelopes": 0, "lanes_after": 0}

    async def step(self, limits: Limits, limit: int) -> Pruned:
        bodies, history, keys = limits.bodies, limits.history, limits.keys

        async def forget(connection: Connection) -> Pruned:
            old_bodies, more_bodies = await self._page(connection, "old_bodies", bodies, limits.now, limit)
            old, more_history = await self._page(connection, "old_envelopes", history, limits.now, limit)
            lanes, more_lanes = await self._page(connection, "lanes_after", keys, limits.now, limit)
            return Pruned(
                bodies=await self._drop_bodies(connection, old_bodies, bodies),
                envelopes=await self._drop_envelopes(connection, old, history),
                lanes=await self._drop_lanes(connection, [lane for _, lane in lanes], keys),
                more=more_bodies or more_history or more_lanes,
            )

        return await self._database.transaction(forget)

    async def _page(
        self, connection: Connection, name: str, before: int, now: int, limit: int
    ) -> tuple[list[Numbered], bool]:
        """The next rows, as (number, lane), up to the first that is not old, and up to some megabytes of bodies."""
        rows = [tuple(row) for row in await connection.fetch(self._database.sql[name], self._after[name], limit)]
        page = rows[: within_bytes([size for *_, size in rows], MOST_BYTES)]
        following = None
        if page and page[-1][2] > now:
            following = await connection.fetchval(self._database.sql[NEXT[name]], page[-1][0], now)
        gone = old([row[:3] for row in page], before=before, now=now, following=following)
        more = len(gone) == len(page) and (len(page) < len(rows) or len(page) == limit)
        self._after[name] = gone[-1][0] if more else 0
        return gone, more

    async def _locked(self, connection: Connection, lanes: Sequence[LaneNumber]) -> list[LaneNumber]:
        """Lock the lanes: nobody appends to them until the end of the transaction."""
        wanted = sorted(set(lanes))
        await connection.fetch(self._database.sql["lock_lanes"], wanted)
        return wanted

    async def _busy(self, connection: Connection, lanes: Sequence[LaneNumber], since: int) -> set[LaneNumber]:
        """Lanes with something that waits, is parked, or became final after `since`."""
        sql = self._database.sql
        busy = {lane for (lane,) in await connection.fetch(sql["unfinished_lanes"], lanes, since)}
        for (dest,) in await connection.fetch(sql["destinations"]):
            busy.update(lane for (lane,) in await connection.fetch(sql["busy_lanes"], dest, lanes))
        return busy

    async def _run(self, connection: Connection, name: str, *arguments: object) -> int:
        status: str = await connection.execute(self._database.sql[name], *arguments)
        return int(status.rpartition(" ")[2])

    async def _free_of(
        self, connection: Connection, old: Sequence[Numbered], since: int
    ) -> list[tuple[LaneNumber, int]]:
        """The old documents that may go, as (lane, seq)."""
        if not old:
            return []
        busy = await self._busy(connection, await self._locked(connection, [lane for _, lane in old]), since)
        return [(lane, seq) for seq, lane in old if lane not in busy]

    async def _drop_bodies(self, connection: Connection, old: Sequence[Numbered], since: int) -> int:
        gone = await self._free_of(connection, old, since)
        return await self._run(connection, "drop_bodies", *columns(gone, 2))

    async def _drop_envelopes(self, connection: Connection, old: Sequence[Numbered], since: int) -> int:
        gone = columns(await self._free_of(connection, old, since), 2)
        for name in ("drop_bodies", "drop_verdicts", "drop_attempts"):
            await self._run(connection, name, *gone)
        return await self._run(connection, "drop_envelopes", *gone)

    async def _drop_lanes(self, connection: Connection, lanes: Sequence[LaneNumber], since: int) -> int:
        if not lanes:
            return 0
        sql = self._database.sql
        locked = await self._locked(connection, lanes)
        living = {lane for (lane,) in await connection.fetch(sql["lanes_with_envelopes"], locked)}
        living |= {lane for (lane,) in await connection.fetch(sql["unfinished_lanes"], locked, since)}
        gone = [lane for lane in locked if lane not in living]
        for name in ("drop_lane_facts", "drop_lane_versions", "drop_lane_aliases"):
            await self._run(connection, name, gone)
        return await self._run(connection, "drop_lanes", gone)
