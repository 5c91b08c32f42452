"""Erase persons and orders, a page of lanes in one transaction. Bodies, aliases and history go, and keys stay.

Erased rows are gone for every question. Their bytes leave the files with vacuum, and backups when these are deleted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bridge import clock
from bridge.contract import Reason, State
from bridge.errors import JournalBusy
from bridge.journal import Erased, Erasure, LaneNumber
from bridge.journal.postgres.append import columns
from bridge.journal.postgres.database import Database
from bridge.journal.postgres.decisions import revoke
from bridge.journal.postgres.place import Connection
from bridge.journal.rows import alias_hash, delivery_alias, lane_of, order_alias, reference

PAGE = 100  # orders
_PATIENCE = 60.0  # seconds
_PAUSE = 0.1  # seconds


def hashes(salt: bytes, erasure: Erasure) -> list[bytes]:
    """Hashes of the persons and orders that must not come again."""
    aliases = (*erasure.aliases, *(order_alias(order) for order in erasure.orders))
    return [alias_hash(salt, erasure.tenant, alias) for alias in aliases]


async def block(database: Database, blocked: Sequence[bytes], at: int) -> int:
    """Block, and return when every process knows. The lock waits for processes that are storing; those that store later
    see it."""

    async def work(connection: Connection) -> int:
        await connection.execute(database.sql["lock_blocked"])
        status: str = await connection.execute(database.sql["block"], list(blocked), at)
        return int(status.rpartition(" ")[2])

    return await database.transaction(work)


async def block_orders(database: Database, salt: bytes, lanes: Sequence[LaneNumber], at: int) -> None:
    """Block orders by their ids: later documents may not name their buyer, such as a parcel's address or a refund's
    note."""
    names = await database.fetch("names_of", list(lanes))
    await block(database, [alias_hash(salt, tenant, order_alias(name)) for tenant, name in names], at)


async def erase(
    database: Database, salt: bytes, lanes: Sequence[LaneNumber], erasure: Erasure, acted: Callable[[], Awaitable[None]]
) -> Erased:
    """Erase these lanes. The claims of those that are in flight are revoked, and what has left already is waited
    for."""
    chosen, more, at = list(lanes[:PAGE]), len(lanes) > PAGE, clock.microseconds()
    left, bodies, until = chosen, 0, clock.monotonic() + _PATIENCE
    while left:
        gone, left = await database.transaction(partial(_erase, database=database, salt=salt, lanes=left, at=at))
        bodies += gone
        if left:
            await acted()
        if left and clock.monotonic() > until:
            raise JournalBusy("an order of it is still being sent; what came before it is erased: ask again")
        await asyncio.sleep(_PAUSE if left else 0)
    return Erased(orders=len(chosen), bodies=bodies, last=chosen[-1] if chosen else erasure.after, more=more)


async def _erase(
    connection: Connection, database: Database, salt: bytes, lanes: list[LaneNumber], at: int
) -> tuple[int, list[LaneNumber]]:
    """Erase lanes. Returns how many bodies went, and the lanes that are in flight: nothing of these was touched but
    their claims."""
    sql = database.sql
    await connection.fetch(sql["lock_lanes"], lanes)
    destinations = [dest for (dest,) in await connection.fetch(sql["destinations"])]
    turns = await connection.fetch(sql["lock_turns"], destinations, lanes)
    busy = {lane for lane, owner in turns if owner is not None}
    await revoke(database, connection, [(dest, lane) for dest in destinations for lane in busy])
    free = [lane for lane in lanes if lane not in busy]
    found = [tuple(row) for row in await connection.fetch(sql["documents_of"], free)]
    documents = [(lane, seq) for lane, seq, _, _ in found]
    await connection.execute(sql["drop_lane_work"], destinations, free)
    await connection.execute(sql["drop_lane_turns"], destinations, free)
    for name in ("drop_verdicts", "drop_attempts"):
        await connection.execute(sql[name], *columns(documents, 2))
    erased = [(lane, seq, "", "", Reason.ERASED.value, "", at) for lane, seq in documents]
    await connection.execute(sql["put_verdicts"], *columns(erased, 7))
    await connection.execute(sql["end_lane_facts"], State.DROPPED.value, Reason.ERASED.value, at, free)
    kept = [alias_hash(salt, "", delivery_alias(source, delivery)) for _, _, source, delivery in found]
    await connection.execute(sql["drop_lane_names"], free, kept)
    await connection.execute(sql["hide_names"], free)
    status: str = await connection.execute(sql["drop_bodies"], *columns(documents, 2))
    return int(status.rpartition(" ")[2]), sorted(busy)


async def conclude(database: Database, ref: str, at: int) -> int:
    """Conclude a platform's request that was carried out. It may have erased itself."""
    lane = lane_of(ref)
    if lane is None:
        return 0
    facts = await database.fetch("requests_of_lane", lane)
    found = [(fact, once) for fact, once in facts if reference(lane, "", fact, once) == ref]
    done = (State.DELIVERED.value, Reason.CARRIED_OUT.value, at, lane)
    return sum([len(await database.fetch("conclude", *done, *key)) for key in found])
