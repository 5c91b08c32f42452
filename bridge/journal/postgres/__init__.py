"""The journal of many machines: one Postgres database, any number of processes, the same tables and promises.

`append` and `record` return after the database has committed. A lane is owned by lease. A process that has lost it can
neither mark a fact as departed nor settle it. See place.py for the connection, lease.py for who owns what.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial

from bridge.contract import Envelope, State
from bridge.errors import ClaimRevoked, JournalBroken, JournalBusy, JournalError, LaneLost
from bridge.journal import (
    Appended,
    Claim,
    Hold,
    Incoming,
    Key,
    LaneNumber,
    Levels,
    Position,
    Postponed,
    Progress,
    Pruned,
    Retention,
)
from bridge.journal.ages import limits_of
from bridge.journal.backlog import Backlog
from bridge.journal.doubt import SERVED_AGAIN, Doubt, doubt_of
from bridge.journal.postgres import durability, schema
from bridge.journal.postgres.append import Append, appended, columns
from bridge.journal.postgres.database import Database, check, connected
from bridge.journal.postgres.decisions import Decisions
from bridge.journal.postgres.dump import doubt, exporting, importing
from bridge.journal.postgres.group_commit import Group
from bridge.journal.postgres.lease import Lease
from bridge.journal.postgres.notifications import DECIDED, Notifications
from bridge.journal.postgres.operator import PostgresOperator, now
from bridge.journal.postgres.place import Place
from bridge.journal.postgres.progress import Entry, Recorded, Released, recorded
from bridge.journal.postgres.reader import PostgresReader
from bridge.journal.postgres.retention import Pruning
from bridge.journal.rows import (
    CLOCKS_APART,
    NEVER,
    Row,
    alias_hash,
    alias_hashes,
    delivery_alias,
    envelope_of,
    hashes_of,
    micros,
    moment,
    order_alias,
    packed,
    packed_headers,
    positions_of,
    text,
)
from bridge.journal.written_rows import claim_of
from bridge.telemetry import emit

__all__ = ["Place", "PostgresJournal", "acting", "doubt", "exporting", "importing", "init", "opened", "reading"]


async def init(place: Place) -> bool:
    """Make the schema or bring it to this version; True: something was made. Raises JournalBusy, JournalUnreadable."""
    async with connected(place) as database:
        return await schema.made(database)


async def weaknesses(place: Place) -> Sequence[str]:
    """Weaknesses of the server and the role, as sentences. Raises JournalBusy, JournalUnreadable."""
    async with connected(place) as database:
        await check(database)
        async with database.connection() as connection:
            return await durability.weaknesses(connection)


@asynccontextmanager
async def reading(place: Place) -> AsyncIterator[PostgresReader]:
    """Raises JournalBusy, JournalUnreadable."""
    async with connected(place) as database:
        await check(database)
        yield PostgresReader(database)


@asynccontextmanager
async def acting(place: Place) -> AsyncIterator[PostgresOperator]:
    """Open the journal for commands, which act by themselves and wake the processes that work with it. Raises
    JournalBusy, JournalUnreadable."""
    async with connected(place) as database:
        await check(database)
        notifications = Notifications(database, lambda _news: None)
        yield PostgresOperator(database, lambda: notifications.notify_now(DECIDED))


@asynccontextmanager
async def opened(
    place: Place, *, destinations: Sequence[str], released: Callable[[str, str], None] = lambda _dest, _rule: None
) -> AsyncIterator["PostgresJournal"]:
    """Take part in the journal. `released` is called with rules that a person released. Raises JournalBusy,
    JournalUnreadable."""
    async with connected(place) as database:
        await check(database)
        async with database.connection() as connection:
            for weakness in await durability.weaknesses(connection):
                emit("journal.weak", detail=weakness)
        journal = PostgresJournal(database, destinations, released)
        async with journal.running():
            yield journal


_SIDE_BY_SIDE = 2
"""Groups that are committed at once: while the database syncs one, the next is made. A lane's are all in the same one,
so that what comes in order is stored in order."""


class PostgresJournal(PostgresOperator):
    """Implements Journal. Made by `opened`."""

    is_shared = True

    _salt: bytes
    """Read when the journal begins to run."""

    def __init__(self, database: Database, destinations: Sequence[str], released: Callable[[str, str], None]) -> None:
        super().__init__(database, self._acted_here)
        self._released = released
        self._held: set[tuple[str, str]] = set()
        self._doubt = Doubt()
        self._destinations = tuple(destinations)
        self._backlog = Backlog(len(destinations))
        self._watchers: dict[str, Callable[[], None]] = {}
        self._notifications = Notifications(database, self._heard)
        self._lease = Lease(database, freed=self._freed_here)
        self._decided = asyncio.Event()
        self._decisions = Decisions(database, self._lease)
        self._appends: Sequence[Group[Append, Appended]] = [Group(self._append_group) for _ in range(_SIDE_BY_SIDE)]
        self._entries: Sequence[Group[Entry, Recorded]] = [Group(self._record_group) for _ in range(_SIDE_BY_SIDE)]
        self._pruning = Pruning(database)
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the lease and commit groups. On the way out, what was put is stored and the lanes are free."""
        await self._lease.enter()
        self._salt = await self.salt()
        self._doubt = await self._doubted()
        appending = [self._started(group.run()) for group in self._appends]
        recording = [self._started(group.run()) for group in self._entries]
        beside = (self._lease.keep(), self._notifications.notifying(), self._looking(), self._notifications.listening())
        tasks = [self._started(work) for work in beside]
        try:
            yield
        finally:
            for append in self._appends:
                append.stop()
            for entry in self._entries:
                entry.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*appending, *recording, *tasks, return_exceptions=True)
            self.broken.cancel()
            with suppress(JournalBusy):  # else the lease ends by itself
                await self._lease.leave()

    async def _doubted(self) -> Doubt:
        """What is in doubt after it was put back; the first who serves it then says until when."""
        if self._destinations and await self._database.fetch("served_again", now()):
            emit("journal.restored", journal=self._database.place.schema, detail=SERVED_AGAIN)
        return doubt_of(dict(await self._database.fetch("meta")))

    def _started(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the process with a task that dies of a bug: half a journal would lose things silently."""
        problem = None if task.cancelled() else task.exception()
        if problem is not None and not self.broken.done():
            self.broken.set_exception(JournalBroken(f"the journal's own work failed: {type(problem).__name__}"))

    def refuses(self) -> str | None:
        return self._lease.trouble

    # -- waking --------------------------------------------------------------------------------------------------------

    def watch(self, dest: str, changed: Callable[[], None]) -> None:
        self._watchers[dest] = changed

    def _wake(self) -> None:
        for changed in self._watchers.values():
            changed()

    async def _looking(self) -> None:
        """Look for what other processes left, even if their notification was lost, and for what persons have
        decided."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._database.place.poll.total_seconds()):
                    await self._decided.wait()
            self._decided.clear()
            with suppress(JournalBusy):  # told by the lease
                await self._decisions.look()
                await self._learn_releases()
                self._wake()

    async def _learn_releases(self) -> None:
        """Learn which rules were released. A rule that is held while the answer comes is not part of it."""
        before = set(self._held)
        held = {(hold.dest, hold.rule) for hold in await self.holds()}
        for dest, rule in before - held:
            self._released(dest, rule)
        self._held = (self._held - before) | held

    def _heard(self, news: str) -> None:
        """Take a notification of another process."""
        self._wake()
        if news:
            self._decided.set()

    async def _freed_here(self) -> None:
        self._wake()
        self._notifications.notify()

    async def _acted_here(self) -> None:
        self._wake()
        self._decided.set()
        self._notifications.notify(DECIDED)

    # -- taking in -----------------------------------------------------------------------------------------------------

    async def append(self, envelope: Envelope) -> Appended:
        return await self._put(envelope)

    def take_in(self, incoming: Sequence[Incoming]) -> None:
        for one in incoming:
            try:
                storing = self._put(one.envelope)
            except Exception as problem:  # noqa: BLE001  what cannot be packed, or that there is no room
                one.failed(problem)
            else:
                storing.add_done_callback(partial(_settle_append, one))

    def _put(self, envelope: Envelope) -> asyncio.Future[Appended]:
        size = self._backlog.take(envelope)
        try:
            storing = self._queued(envelope)
        except BaseException:
            self._backlog.give(size)
            raise
        storing.add_done_callback(lambda _: self._backlog.give(size))
        return storing

    def _queued(self, envelope: Envelope) -> asyncio.Future[Appended]:
        delivery = text(envelope.id)
        aliases = alias_hashes(self._salt, envelope.tenant, envelope.aliases)
        aliases.append(alias_hash(self._salt, "", delivery_alias(envelope.source, envelope.id)))
        lane = (text(envelope.tenant), text(envelope.lane))
        # Tenants that may have the same order are in the same group.
        beside = lane[1] if envelope.rivals or envelope.also else lane
        return self._appends[hash(beside) % _SIDE_BY_SIDE].put(
            Append(
                envelope=envelope,
                lane=lane,
                id=delivery,
                headers=packed_headers(envelope.headers),
                raw=packed(envelope.raw),
                aliases=aliases,
                order=alias_hash(self._salt, envelope.tenant, order_alias(envelope.lane)),
                elsewhere={name: hashes_of(self._salt, envelope, name) for name in envelope.also},
            )
        )

    async def _append_group(self, group: Sequence[Append]) -> Sequence[Appended]:
        sql, destinations = self._database.sql, self._destinations
        answers = await self._database.transaction(lambda c: appended(c, sql, destinations, group))
        self._wake()
        self._notifications.notify()
        return answers

    # -- claiming ------------------------------------------------------------------------------------------------------

    async def next_due(self, dest: str) -> datetime | None:
        due = await self._database.value("next_due", dest)
        return None if due is None else moment(due + self._lease.ahead)

    async def hasten(self, dest: str, *, beyond: datetime, now: datetime) -> int:
        return await self._act(lambda c: self._run(c, "hasten", micros(now), dest, self._shared(beyond), NEVER))

    def _shared(self, at: datetime) -> int:
        """A time of the clock here, by the clock that all processes share: the database's."""
        return micros(at) - self._lease.ahead

    async def claim(self, dest: str, *, now: datetime, limit: int, budget: int) -> Sequence[Claim]:
        lease = self._lease.id
        if not lease:
            return ()
        number = self._lease.next_number()
        try:
            rows = await self._database.fetch("claim", dest, self._shared(now), limit, budget, lease, number)
            claims = await self._claimed(dest, (lease, number), sorted(rows, key=lambda row: (row[6], row[0])))
        except BaseException:
            self._lease.lost_answer(number)
            raise
        if lease == self._lease.id:
            self._lease.in_flight.update({(dest, claim.lane): number for claim in claims})
        return claims

    async def _claimed(self, dest: str, by: tuple[int, int], rows: Sequence[Row]) -> Sequence[Claim]:
        """Make claims of rows. by: the lease, and the number of the claim."""
        if not rows:
            return ()
        lanes = [row[0] for row in rows]
        documents = await self._database.fetch("documents", *columns([(row[0], row[3]) for row in rows], 2))
        held = await self._database.fetch("held_facts", dest, lanes)
        newest = await self._database.fetch("newest", dest, lanes)
        envelopes = {row[0]: envelope_of(tuple(row)) for row in documents}
        versions = {(lane, source, kind): version for lane, source, kind, version in newest}
        united = frozenset((fact, former) for lane, fact, former, *_ in held if lane is None)
        facts: dict[LaneNumber, dict[Key, tuple[State, int]]] = {}
        for lane, fact, once, state, giver in held:
            if lane is not None:
                facts.setdefault(lane, {})[fact, once] = (State(state), giver)
        return [
            claim_of(
                dest,
                row,
                (envelope := envelopes[row[3]]),
                facts=facts.get(row[0], {}),
                newest=versions.get((row[0], envelope.source, envelope.kind)),
                by=by,
                doubt=self._doubt,
                united=united,
            )
            for row in rows
        ]

    # -- recording -----------------------------------------------------------------------------------------------------

    async def record(self, claim: Claim, progress: Progress, *, now: datetime) -> None:
        answer = await self._entries[claim.lane % _SIDE_BY_SIDE].put(
            Entry(claim=claim, progress=progress, now=micros(now), ahead=self._lease.ahead)
        )
        if progress.end is not None or isinstance(answer, LaneLost):
            self._let_go(claim)
        if isinstance(answer, JournalError):
            raise answer
        if isinstance(answer, Released) and isinstance(progress.end, Postponed):
            self._held.discard((claim.dest, progress.end.rule))
            self._released(claim.dest, progress.end.rule)
        if progress.end is not None and (changed := self._watchers.get(claim.dest)):
            changed()

    def _let_go(self, claim: Claim) -> None:
        key = (claim.dest, claim.lane)
        if self._lease.in_flight.get(key) == claim.number:
            del self._lease.in_flight[key]

    async def confirm(self, claim: Claim) -> None:
        """Confirm a claim by the last look at what persons have decided, if that is young enough. Otherwise look
        again."""
        if claim.lease != self._lease.id:
            raise LaneLost("the lease under which this lane was claimed has ended")
        await self._decisions.known()
        if (claim.lane, claim.number) in self._decisions.revoked(claim.dest):
            raise ClaimRevoked("a person has decided about this order since it was claimed")

    def revoked(self, dest: str) -> Collection[tuple[LaneNumber, int]]:
        return self._decisions.revoked(dest)

    async def _record_group(self, group: Sequence[Entry]) -> Sequence[Recorded]:
        return await self._database.transaction(lambda c: recorded(c, self._database.sql, group))

    async def hold(self, hold: Hold) -> None:
        row = (hold.dest, hold.rule, hold.digest, micros(hold.since), hold.detail)
        await self._database.fetch("put_hold", *row)
        self._held.add((hold.dest, hold.rule))

    async def remember(self, name: str, value: str) -> None:
        await self._database.fetch("remember", name, value, now())

    async def unite(self, names: Sequence[tuple[str, str, str]]) -> None:
        await self._database.fetch("unite", *columns([tuple(map(text, each)) for each in names], 3))

    async def positions(self, source: str) -> Mapping[tuple[str, int], Position]:
        return positions_of([tuple(row) for row in await self._database.fetch("positions", source)])

    async def keep_positions(self, source: str, offsets: Mapping[tuple[str, int], int]) -> None:
        rows = [(*place, offset) for place, offset in offsets.items()]
        await self._database.fetch("keep_positions", source, *columns(rows, 3))

    async def begin_job(self, name: str, *, every: timedelta, now: datetime) -> bool:
        ahead = micros(now + max(every, CLOCKS_APART))
        return bool(await self._database.fetch("take_turn", name, micros(now), micros(now - every), ahead))

    # -- levels and retention ------------------------------------------------------------------------------------------

    async def levels(self) -> Levels:
        waiting = await self._database.fetch("waiting")
        return await self.levels_at(now() - self._lease.ahead, waiting, self._destinations)

    async def prune(self, retention: Retention, *, now: datetime, limit: int = 500) -> Pruned:
        return await self._pruning.step(limits_of(retention, now), limit)


def _settle_append(one: Incoming, storing: asyncio.Future[Appended]) -> None:
    if storing.cancelled():
        one.failed(JournalBusy("the journal is being closed"))
    elif isinstance(problem := storing.exception(), Exception):
        one.failed(problem)
    else:
        one.stored(storing.result())
