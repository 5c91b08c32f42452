"""Questions to the journal: any process may put them, at any time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from bridge import clock
from bridge.contract import Envelope
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
from bridge.journal.postgres.database import Database
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
    text,
)

_PAGE = 200  # rows


class PostgresReader:
    """Implements Reader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._salt_read: bytes | None = None

    async def salt(self) -> bytes:
        """The journal's own salt, made with it."""
        if self._salt_read is None:
            self._salt_read = bytes(await self._database.value("salt"))
        return self._salt_read

    async def stats(self) -> Stats:
        waiting = await self._database.fetch("waiting")
        facts = await self._database.fetch("fact_counts")
        envelopes, lanes, bodies, size = (await self._database.fetch("sizes"))[0]
        return Stats(
            waiting={dest: count for dest, count, _ in waiting},
            oldest_due={dest: moment(due) for dest, _, due in waiting if due != NEVER},
            facts={(dest, state): count for dest, state, count in facts},
            envelopes=envelopes,
            lanes=lanes,
            bodies=bodies,
            bytes=size,
            free=None,
        )

    async def levels(self) -> Levels:
        waiting = await self._database.fetch("waiting")
        return await self.levels_at(micros(clock.now()), waiting, [dest for dest, _, _ in waiting])

    async def levels_at(self, now: int, waiting: Sequence[Row], destinations: Sequence[str]) -> Levels:
        """Levels at a time in microseconds, by the database's clock. waiting: what the query `waiting` gives."""
        due = await self._database.fetch("overdue", list(destinations))
        stuck = await self._database.fetch("stuck", list(destinations))
        parked = await self._database.fetch("parked_counts")
        return Levels(
            waiting={dest: count for dest, count, _ in waiting},
            overdue=overdue([tuple(row) for row in (*due, *stuck)], now=now),
            held=frozenset((hold.dest, hold.rule) for hold in await self.holds()),
            parked={(dest, state): count for dest, state, count in parked},
            free=None,
        )

    async def parked_groups(self) -> Sequence[ParkedGroup]:
        return [parked_group_of(tuple(row)) for row in await self._database.fetch("parked_groups")]

    async def find(self, text: str, *, tenant: str = "") -> Sequence[LaneNumber]:
        meant = text.strip()
        tenants = [tenant] if tenant else await self.tenants()
        found: dict[LaneNumber, None] = {}
        for shop in tenants:
            found.update(dict.fromkeys(await self._lanes("lane_by_name", shop, meant)))
            for form in ALIAS_FORMS:
                found.update(dict.fromkeys(await self._by_alias(shop, form.format(meant, meant.lower()))))
        return list(found)

    async def find_delivery(self, source: str, delivery: str) -> Sequence[LaneNumber]:
        return await self._by_alias("", delivery_alias(source, delivery))

    async def _by_alias(self, tenant: str, alias: str) -> list[LaneNumber]:
        return await self._lanes("lanes_by_alias", alias_hash(await self.salt(), tenant, alias))

    async def _lanes(self, name: str, *arguments: object) -> list[LaneNumber]:
        return [lane for (lane,) in await self._database.fetch(name, *arguments)]

    async def story(self, lane: LaneNumber) -> Story | None:
        named = await self._database.fetch("lane", lane)
        if not named:
            return None
        documents, facts, skips, attempts = [
            await self._as_dicts(name, lane)
            for name in ("lane_documents", "lane_facts", "lane_verdicts", "lane_attempts")
        ]
        destinations = [dest for (dest,) in await self._database.fetch("destinations")]
        waiting = await self._as_dicts("lane_waiting", lane, destinations)
        tenant, order = named[0]
        return Story(
            tenant=tenant,
            order=order,
            documents=documents,
            facts=facts,
            skips=skips,
            attempts=attempts,
            waiting=waiting,
        )

    async def _as_dicts(self, name: str, *arguments: object) -> list[dict[str, object]]:
        rows = await self._database.fetch(name, *arguments)
        return [row_as_dict(list(row.keys()), list(row.values())) for row in rows]

    async def document(self, seq: int) -> Envelope | None:
        rows = await self._database.fetch("document", seq)
        return envelope_of(tuple(rows[0])) if rows else None

    async def parked(self, selection: Selection) -> AsyncIterator[Parked]:
        pages = self._named(selection) if selection.refs else self._paged(selection.state.value)
        async for page in pages:
            for fact in page:
                if is_selected(fact, selection):
                    yield fact

    async def _named(self, selection: Selection) -> AsyncIterator[list[Parked]]:
        for ref in selection.refs:
            lane = lane_of(ref)
            rows = await self._database.fetch("parked_of_lane", lane, selection.state.value) if lane is not None else []
            yield [fact for fact in (parked_of(tuple(row)) for row in rows) if fact.ref == ref]

    async def _paged(self, state: str) -> AsyncIterator[list[Parked]]:
        after: Row = (0, "", "", "")
        while rows := await self._database.fetch("parked", state, *after, _PAGE):
            page = [parked_of(tuple(row)) for row in rows]
            yield page
            after = (page[-1].lane, page[-1].dest, page[-1].fact, page[-1].once)

    async def fact_names(self) -> Sequence[tuple[str, str]]:
        return [(dest, fact) for dest, fact in await self._database.fetch("names")]

    async def united(self) -> Sequence[tuple[str, str, str]]:
        return [(dest, fact, former) for dest, fact, former in await self._database.fetch("united")]

    async def standings(self, tenant: str, orders: Sequence[str], *, source: str, kind: str) -> Mapping[str, Standing]:
        wanted = [text(order) for order in orders]
        names = dict(await self._database.fetch("lanes_by_name", tenant, wanted))
        lanes = list(names)
        destinations = [dest for (dest,) in await self._database.fetch("destinations")]
        newest = await self._database.fetch("newest_stored", source, kind, lanes)
        facts = await self._database.fetch("facts_of", lanes)
        waiting = await self._database.fetch("waiting_of", destinations, lanes)
        return standings_of(names, newest=newest, facts=facts, waiting=waiting)

    async def tenants(self) -> Sequence[str]:
        return [name for (name,) in await self._database.fetch("tenants")]

    async def lanes(self, erasure: Erasure, *, limit: int) -> Sequence[LaneNumber]:
        tenant = erasure.tenant
        if erasure.everything:
            lanes = await self._lanes("lanes_of_tenant", tenant, erasure.after, limit + len(erasure.left))
            return [lane for lane in lanes if lane not in erasure.left][:limit]
        found: set[LaneNumber] = set()
        for order in erasure.orders:
            found.update(await self._lanes("lane_by_name", tenant, order))
        for alias in erasure.aliases:
            found.update(await self._by_alias(erasure.tenant, alias))
        return sorted(lane for lane in found.difference(erasure.left) if lane > erasure.after)[:limit]

    async def recall(self, name: str) -> str | None:
        rows = await self._database.fetch("recall", name)
        return rows[0][0] if rows else None

    async def memories(self, prefix: str) -> Sequence[Memory]:
        rows = await self._database.fetch("memories", prefix)
        return [Memory(name=name, value=value, at=moment(at)) for name, value, at in rows]

    async def orders(
        self, *, after: int, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[Kept]:
        lanes = [lane for (lane,) in await self._database.fetch("orders", after, limit)]
        if not lanes:
            return []
        span = (micros(since) if since else -NEVER, micros(until) if until else NEVER)
        documents = await self._database.fetch("order_documents", after, lanes[-1], *span)
        facts = await self._database.fetch("order_facts", after, lanes[-1])
        return kept_of(lanes, [tuple(row) for row in documents], [tuple(row) for row in facts])

    async def listing(self, *, before: int, limit: int) -> Listing:
        listed = [tuple(row) for row in await self._database.fetch("listed", before, limit)]
        lanes = newest_of(listed)
        destinations = [dest for (dest,) in await self._database.fetch("destinations")]
        waiting = await self._database.fetch("waiting_of", destinations, lanes)
        facts, skips = [
            [tuple(row) for row in await self._database.fetch(name, lanes)] for name in ("listed_facts", "listed_skips")
        ]
        return listing_of(listed, facts=facts, skips=skips, waiting=[tuple(row) for row in waiting])

    async def holds(self) -> Sequence[Hold]:
        return [
            Hold(dest=dest, rule=rule, digest=digest, since=moment(since), detail=detail)
            for dest, rule, digest, since, detail in await self._database.fetch("holds")
        ]
