"""Erase persons and orders. Each function runs inside one transaction of the writer, with secure_delete on.

Bodies, aliases and history go, and keys stay. Free pages are overwritten. The log is emptied afterwards (see
`emptied`).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bridge.contract import Reason, State
from bridge.journal import Erased, Erasure, LaneNumber
from bridge.journal.rows import BUCKET, alias_hash, delivery_alias, lane_of, order_alias, reference
from bridge.journal.sqlite.reader import lanes_of, salt_of
from bridge.journal.sqlite.statements import fetched, run, statements

_PAGE = 100  # orders
_MOST_BYTES = 4 * 1024 * 1024
"""The most bytes of bodies that one step overwrites: all of them go through the log, and appends wait for the step."""


def hashes(salt: bytes, erasure: Erasure) -> list[bytes]:
    """Hashes of the persons and orders that must not come again."""
    aliases = (*erasure.aliases, *(order_alias(order) for order in erasure.orders))
    return [alias_hash(salt, erasure.tenant, alias) for alias in aliases]


def block(connection: sqlite3.Connection, salt: bytes, erasure: Erasure, *, now: int) -> int:
    return run(connection, "block", [(one, now) for one in hashes(salt, erasure)])


def allow(connection: sqlite3.Connection, salt: bytes, erasure: Erasure) -> int:
    return run(connection, "allow", [(one,) for one in hashes(salt, erasure)])


def blocked(connection: sqlite3.Connection, *, most: int) -> set[bytes]:
    """Hashes of the persons and orders that must not come again: at most `most` of them."""
    return {one for (one,) in connection.execute(statements()["blocked"], (most,))}


@contextmanager
def overwriting(connection: sqlite3.Connection) -> Iterator[None]:
    """Overwrite with zeros what is deleted meanwhile."""
    connection.execute("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA secure_delete = FAST")


def erase(connection: sqlite3.Connection, erasure: Erasure, *, now: int) -> Erased:
    """Erase one page of lanes. What has left already ends by itself, and is not tried again."""
    with overwriting(connection):
        lanes = lanes_of(connection, erasure, limit=_PAGE + 1)
        chosen = _within_bytes(connection, lanes[:_PAGE])
        if not erasure.everything:
            _block_orders(connection, chosen, now)
        return Erased(
            orders=len(chosen),
            bodies=_erase(connection, chosen, now),
            last=chosen[-1] if chosen else erasure.after,
            more=len(chosen) < len(lanes),
            lanes=tuple(chosen),
        )


def _within_bytes(connection: sqlite3.Connection, lanes: Sequence[LaneNumber]) -> Sequence[LaneNumber]:
    """Choose the first lanes, as many as the bytes of their documents allow, but one at least."""
    sizes = dict.fromkeys(lanes, 0)
    for lane, size in fetched(connection, "sizes_of", [(lane,) for lane in lanes]):
        sizes[lane] += size
    total = 0
    for place, lane in enumerate(lanes):
        total += sizes[lane]
        if place and total > _MOST_BYTES:
            return lanes[:place]
    return lanes


def _block_orders(connection: sqlite3.Connection, lanes: Sequence[LaneNumber], now: int) -> None:
    """Block orders by their ids: later documents may not name their buyer, such as a parcel's address or a refund's
    note."""
    salt = salt_of(connection)
    names = fetched(connection, "names_of", [(lane,) for lane in lanes])
    run(connection, "block", [(alias_hash(salt, tenant, order_alias(name)), now) for tenant, name in names])


def _erase(connection: sqlite3.Connection, lanes: Sequence[LaneNumber], now: int) -> int:
    rows = [(lane,) for lane in lanes]
    found = fetched(connection, "documents_of", rows)
    documents = [(lane, seq) for lane, seq, _, _ in found]
    for (dest,) in connection.execute(statements()["destinations"]).fetchall():
        run(connection, "drop_lane_work", rows, before=(dest,))
        run(connection, "drop_lane_turns", rows, before=(dest,))
    for name in ("drop_verdicts", "drop_attempts"):
        run(connection, name, documents)
    run(connection, "put_verdicts", [(lane, seq, "", "", Reason.ERASED.value, "", now) for lane, seq in documents])
    run(connection, "end_lane_facts", rows, before=(State.DROPPED.value, Reason.ERASED.value, now))
    run(connection, "drop_lane_aliases", [(lane // BUCKET, lane) for lane in lanes])
    salt = salt_of(connection)
    kept = [(lane, alias_hash(salt, "", delivery_alias(source, delivery))) for lane, _, source, delivery in found]
    run(connection, "add_aliases", [(lane // BUCKET, hashed, lane) for lane, hashed in kept])
    run(connection, "hide_names", rows)
    return run(connection, "drop_bodies", [(seq,) for _, seq in documents])


def conclude(connection: sqlite3.Connection, ref: str, *, now: int) -> int:
    """Conclude a platform's request that was carried out. It may have erased itself."""
    lane = lane_of(ref)
    if lane is None:
        return 0
    facts = connection.execute(statements()["requests_of_lane"], (lane,)).fetchall()
    found = [(fact, once) for fact, once in facts if reference(lane, "", fact, once) == ref]
    done = (State.DELIVERED.value, Reason.CARRIED_OUT.value, now, lane)
    return sum(connection.execute(statements()["conclude"], (*done, *key)).rowcount for key in found)


def emptied(connection: sqlite3.Connection) -> bool:
    """Empty the log, which holds older versions of pages: all of it goes to the file, and is cut off. Call it outside
    of a transaction.

    False: somebody reads an older version, which goes with a later one, see `prune`. Nobody is waited for here: appends
    stand behind this in the writer's thread.
    """
    ((patience,),) = connection.execute("PRAGMA busy_timeout").fetchall()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")
    return not is_busy
