"""Erasing persons and orders, a page of lanes in one transaction. Bodies, aliases and history go, keys stay.

Rows are gone for every question; their bytes leave the files with vacuum, and backups when these are let go.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from bridge.contract import Reason, State
from bridge.errors import JournalBusy
from bridge.journal import Erased, Erasure
from bridge.journal.cells import alias_hash, lane_of, order_alias, reference
from bridge.journal.postgres.appending import columns
from bridge.journal.postgres.database import Connection, Database

PAGE = 100
_PATIENCE = 60.0
_PAUSE = 0.1


def hashes(salt: bytes, erasure: Erasure) -> list[bytes]:
    """What is kept of whom or what must not come again."""
    aliases = (*erasure.aliases, *(order_alias(order) for order in erasure.orders))
    return [alias_hash(salt, erasure.tenant, alias) for alias in aliases]


async def block(database: Database, blocked: Sequence[bytes], at: int) -> int:
    """Returns when every process knows: whoever began to store before it was committed has ended."""

    async def work(connection: Connection) -> tuple[int, int]:
        status: str = await connection.execute(database.sql["block"], list(blocked), at)
        return int(status.rpartition(" ")[2]), int(await connection.fetchval(database.sql["own_transaction"]))

    count, own = await database.transaction(work)
    until = time.monotonic() + _PATIENCE
    while not await database.value("all_ended", str(own)):
        if time.monotonic() > until:
            raise JournalBusy("a transaction that began earlier does not end; nothing was erased yet: ask again")
        await asyncio.sleep(_PAUSE)
    return count


async def erase(database: Database, lanes: Sequence[int], erasure: Erasure, at: int) -> Erased:
    """These lanes; those that another process has in flight are waited for."""
    chosen, more = list(lanes[:PAGE]), len(lanes) > PAGE
    left, bodies, until = chosen, 0, time.monotonic() + _PATIENCE
    while left:
        gone, left = await database.transaction(partial(_erase, database=database, lanes=left, at=at))
        bodies += gone
        if left and time.monotonic() > until:
            raise JournalBusy("an order of it is still being sent; what came before it is erased: ask again")
        await asyncio.sleep(_PAUSE if left else 0)
    return Erased(orders=len(chosen), bodies=bodies, last=chosen[-1] if chosen else erasure.after, more=more)


async def _erase(connection: Connection, database: Database, lanes: list[int], at: int) -> tuple[int, list[int]]:
    """Bodies that went, and lanes that are in flight: nothing of these was touched."""
    sql = database.sql
    await connection.fetch(sql["lock_lanes"], lanes)
    destinations = [dest for (dest,) in await connection.fetch(sql["destinations"])]
    turns = await connection.fetch(sql["lock_turns"], destinations, lanes)
    busy = {lane for lane, owner in turns if owner is not None}
    free = [lane for lane in lanes if lane not in busy]
    documents = [tuple(row) for row in await connection.fetch(sql["documents_of"], free)]
    await connection.execute(sql["drop_lane_work"], destinations, free)
    await connection.execute(sql["drop_lane_turns"], destinations, free)
    for name in ("drop_verdicts", "drop_attempts"):
        await connection.execute(sql[name], *columns(documents, 2))
    erased = [(lane, seq, "", "", Reason.ERASED.value, "", at) for lane, seq in documents]
    await connection.execute(sql["put_verdicts"], *columns(erased, 7))
    await connection.execute(sql["end_lane_facts"], State.DROPPED.value, Reason.ERASED.value, at, free)
    await connection.execute(sql["drop_lane_aliases"], free)
    status: str = await connection.execute(sql["drop_bodies"], *columns(documents, 2))
    return int(status.rpartition(" ")[2]), sorted(busy)


async def conclude(database: Database, ref: str, at: int) -> int:
    """A platform's request that was carried out; it may have erased itself."""
    lane = lane_of(ref)
    facts = [] if lane is None else await database.fetch("requests_of_lane", lane)
    found = [(fact, once) for fact, once in facts if reference(lane or 0, "", fact, once) == ref]
    done = (State.DELIVERED.value, Reason.CARRIED_OUT.value, at, lane)
    return sum([len(await database.fetch("conclude", *done, *key)) for key in found])
