"""Questions to the journal's file, over a connection that cannot write. For commands and for the owner alike."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from bridge import clock
from bridge.contract import Envelope, State
from bridge.errors import JournalUnreadable
from bridge.journal import (
    Erasure,
    Hold,
    Kept,
    LaneNumber,
    Levels,
    Listing,
    Memory,
    Parked,
    ParkedGroup,
    Selection,
    Standing,
    Stats,
    Story,
)
from bridge.journal.rows import (
    ALIAS_FORMS,
    NEVER,
    Row,
    alias_hash,
    delivery_alias,
    envelope_of,
    is_selected,
    kept_of,
    lane_of,
    listing_of,
    micros,
    moment,
    newest_of,
    overdue,
    parked_group_of,
    parked_of,
    row_as_dict,
    standings_of,
)
from bridge.journal.sqlite.disk import free_inside
from bridge.journal.sqlite.file import VERSION, check_content, version_of
from bridge.journal.sqlite.identity import beside
from bridge.journal.sqlite.statements import fetched, statements

T = TypeVar("T")

_PAGE = 200  # rows
_LAST = "\U0010ffff"
"""The last of all characters: a name that begins with a prefix comes before the prefix with this behind it."""


class SqliteReader:
    """Implements Reading. One connection, used by one thread."""

    def __init__(self, path: Path, free: Callable[[], int]) -> None:
        self._path = path
        self._free = free
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        if not self._path.exists():
            raise JournalUnreadable(f"there is no journal at {self._path}")
        check_content(self._path)
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("PRAGMA query_only = 1")
            connection.execute("PRAGMA cache_size = -8192")
            found = version_of(connection, self._path)
        except sqlite3.DatabaseError as problem:
            raise JournalUnreadable(f"{self._path} cannot be read as a journal: {problem}") from None
        if found < VERSION:
            raise JournalUnreadable(
                f"{self._path} is no journal of this version yet: run the bridge once to make it one"
            )

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Put a question in the reader's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._connection)

    def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()

    async def stats(self) -> Stats:
        return await self.ask(self._stats)

    def _stats(self, connection: sqlite3.Connection) -> Stats:
        waiting = _query(connection, "waiting")
        envelopes, lanes, bodies = _query(connection, "sizes")[0]
        files = (self._path, beside(self._path, "-wal"))
        return Stats(
            waiting={dest: count for dest, count, _ in waiting},
            oldest_due={dest: moment(due) for dest, _, due in waiting if due != NEVER},
            facts={(dest, state): count for dest, state, count in _query(connection, "fact_counts")},
            envelopes=envelopes,
            lanes=lanes,
            bodies=bodies,
            bytes=sum(file.stat().st_size for file in files if file.exists()),
            free=self._free(),
            inside=free_inside(connection),
        )

    async def levels(self) -> Levels:
        return await self.ask(self._levels)

    def _levels(self, connection: sqlite3.Connection) -> Levels:
        waiting = _query(connection, "waiting")
        stuck = _query(connection, "stuck")
        return Levels(
            waiting={dest: count for dest, count, _ in waiting},
            overdue=overdue([*((dest, due) for dest, _, due in waiting), *stuck], now=clock.microseconds()),
            held=frozenset((dest, rule) for dest, rule, *_ in _query(connection, "holds")),
            parked={(dest, state): count for dest, state, count in _query(connection, "parked_counts")},
            free=self._free(),
        )

    async def parked_groups(self) -> Sequence[ParkedGroup]:
        rows = await self.ask(lambda connection: _query(connection, "parked_groups"))
        return [parked_group_of(row) for row in rows]

    async def find(self, text: str, *, tenant: str = "") -> Sequence[LaneNumber]:
        return await self.ask(lambda connection: _find(connection, text.strip(), tenant))

    async def find_delivery(self, source: str, delivery: str) -> Sequence[LaneNumber]:
        return await self.ask(lambda connection: _by_alias(connection, "", delivery_alias(source, delivery)))

    async def story(self, lane: LaneNumber) -> Story | None:
        return await self.ask(lambda connection: _story(connection, lane))

    async def document(self, seq: int) -> Envelope | None:
        rows = await self.ask(lambda connection: fetched(connection, "documents", [(seq,)]))
        return envelope_of(rows[0]) if rows else None

    async def parked(self, selection: Selection) -> AsyncIterator[Parked]:
        pages = self._named(selection) if selection.refs else self._paged(selection.state.value)
        async for page in pages:
            for fact in page:
                if is_selected(fact, selection):
                    yield fact

    async def _named(self, selection: Selection) -> AsyncIterator[list[Parked]]:
        for ref in selection.refs:
            yield await self.ask(partial(parked_of_lane, state=selection.state, ref=ref))

    async def _paged(self, state: str) -> AsyncIterator[list[Parked]]:
        after: Row = (0, "", "", "")
        while page := await self.ask(partial(_parked_page, state=state, after=after)):
            yield page
            after = (page[-1].lane, page[-1].dest, page[-1].fact, page[-1].once)

    async def fact_names(self) -> Sequence[tuple[str, str]]:
        rows = await self.ask(lambda connection: _query(connection, "names"))
        return [(dest, fact) for dest, fact in rows]

    async def united(self) -> Sequence[tuple[str, str, str]]:
        rows = await self.ask(lambda connection: _query(connection, "united"))
        return [(dest, fact, former) for dest, fact, former in rows]

    async def standings(self, tenant: str, orders: Sequence[str], *, source: str, kind: str) -> Mapping[str, Standing]:
        return await self.ask(partial(_standings, tenant=tenant, orders=orders, document=(source, kind)))

    async def tenants(self) -> Sequence[str]:
        return [name for (name,) in await self.ask(lambda connection: _query(connection, "tenants"))]

    async def lanes(self, erasure: Erasure, *, limit: int) -> Sequence[LaneNumber]:
        return await self.ask(partial(lanes_of, erasure=erasure, limit=limit))

    async def recall(self, name: str) -> str | None:
        rows = await self.ask(lambda connection: _query(connection, "recall", name))
        return rows[0][0] if rows else None

    async def memories(self, prefix: str) -> Sequence[Memory]:
        rows = await self.ask(lambda connection: _query(connection, "memories", prefix, prefix + _LAST))
        return [Memory(name=name, value=value, at=moment(at)) for name, value, at in rows]

    async def orders(
        self, *, after: int, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[Kept]:
        span = (micros(since) if since else -NEVER, micros(until) if until else NEVER)
        return await self.ask(partial(_orders, after=after, limit=limit, span=span))

    async def listing(self, *, before: int, limit: int) -> Listing:
        return await self.ask(partial(_listing, before=before, limit=limit))

    async def holds(self) -> Sequence[Hold]:
        rows = await self.ask(lambda connection: _query(connection, "holds"))
        return [
            Hold(dest=dest, rule=rule, digest=digest, since=moment(since), detail=detail)
            for dest, rule, digest, since, detail in rows
        ]


def _query(connection: sqlite3.Connection, name: str, *arguments: object) -> list[Row]:
    return connection.execute(statements()[name], arguments).fetchall()


def _orders(connection: sqlite3.Connection, *, after: int, limit: int, span: tuple[int, int]) -> list[Kept]:
    lanes = [lane for (lane,) in _query(connection, "orders", after, limit)]
    if not lanes:
        return []
    documents = _query(connection, "order_documents", after, lanes[-1], *span)
    return kept_of(lanes, documents, _query(connection, "order_facts", after, lanes[-1]))


def _listing(connection: sqlite3.Connection, *, before: int, limit: int) -> Listing:
    listed = _query(connection, "listed", before, limit)
    lanes = [(lane,) for lane in newest_of(listed)]
    waiting = [
        row
        for (dest,) in _query(connection, "destinations")
        for row in fetched(connection, "waiting_of", lanes, before=(dest,))
    ]
    facts, skips = (fetched(connection, name, lanes) for name in ("listed_facts", "listed_skips"))
    return listing_of(listed, facts=facts, skips=skips, waiting=waiting)


def lanes_of(connection: sqlite3.Connection, erasure: Erasure, limit: int) -> list[LaneNumber]:
    """The next lanes that the erasure is about."""
    if erasure.everything:
        most = limit + len(erasure.left)
        rows = _query(connection, "lanes_of_tenant", erasure.after, erasure.tenant, most)
        return [lane for (lane,) in rows if lane not in erasure.left][:limit]
    found = {lane for order in erasure.orders for (lane,) in _query(connection, "lane_by_name", erasure.tenant, order)}
    for alias in erasure.aliases:
        found.update(_by_alias(connection, erasure.tenant, alias))
    return sorted(lane for lane in found.difference(erasure.left) if lane > erasure.after)[:limit]


def _standings(
    connection: sqlite3.Connection, *, tenant: str, orders: Sequence[str], document: tuple[str, str]
) -> Mapping[str, Standing]:
    names = {lane: name for _, name, lane in fetched(connection, "lanes", [(tenant, order) for order in orders])}
    lanes = [(lane,) for lane in names]
    waiting = [
        row
        for (dest,) in _query(connection, "destinations")
        for row in fetched(connection, "waiting_of", lanes, before=(dest,))
    ]
    newest = fetched(connection, "newest_stored", lanes, before=document)
    return standings_of(names, newest=newest, facts=fetched(connection, "facts_of", lanes), waiting=waiting)


def parked_of_lane(connection: sqlite3.Connection, *, state: State, ref: str) -> list[Parked]:
    """The fact that the reference names, if it is parked in this state; none or one."""
    lane = lane_of(ref)
    rows = _query(connection, "parked_of_lane", lane, state.value) if lane is not None else []
    return [fact for fact in map(parked_of, rows) if fact.ref == ref]


def _parked_page(connection: sqlite3.Connection, *, state: str, after: Row) -> list[Parked]:
    return [parked_of(row) for row in _query(connection, "parked", state, *after, _PAGE)]


def _by_alias(connection: sqlite3.Connection, tenant: str, text: str) -> list[LaneNumber]:
    return [lane for (lane,) in _query(connection, "lanes_by_alias", alias_hash(salt_of(connection), tenant, text))]


def salt_of(connection: sqlite3.Connection) -> bytes:
    """The journal's own salt, made with it."""
    salt: bytes = _query(connection, "salt")[0][0]
    return salt


def _find(connection: sqlite3.Connection, text: str, tenant: str) -> list[LaneNumber]:
    tenants = [tenant] if tenant else [name for (name,) in _query(connection, "tenants")]
    found: dict[LaneNumber, None] = {}
    for shop in tenants:
        for (lane,) in _query(connection, "lane_by_name", shop, text):
            found[lane] = None
        for form in ALIAS_FORMS:
            found.update(dict.fromkeys(_by_alias(connection, shop, form.format(text, text.lower()))))
    return list(found)


def _as_dicts(cursor: sqlite3.Cursor) -> list[dict[str, object]]:
    names = [column[0] for column in cursor.description]
    return [row_as_dict(names, row) for row in cursor.fetchall()]


def _story(connection: sqlite3.Connection, lane: LaneNumber) -> Story | None:
    named = _query(connection, "lane", lane)
    if not named:
        return None
    tenant, order = named[0]
    waiting = [
        row
        for (dest,) in _query(connection, "destinations")
        for row in _as_dicts(connection.execute(statements()["lane_waiting"], (lane, dest)))
    ]
    documents, facts, skips, attempts = (
        _as_dicts(connection.execute(statements()[name], (lane,)))
        for name in ("lane_documents", "lane_facts", "lane_verdicts", "lane_attempts")
    )
    return Story(
        tenant=tenant,
        order=order,
        documents=documents,
        facts=facts,
        skips=skips,
        attempts=attempts,
        waiting=waiting,
    )
