"""The embedded journal: one SQLite file in WAL mode, one owner, one writing thread with group commit.

`append` and `record` return after fsync. The owner keeps in memory which lanes are in flight. A process that ends loses
this memory. What it had marked `departed` becomes `uncertain` when the file is opened again.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from bridge import clock
from bridge.contract import Envelope, Reason, State
from bridge.errors import ClaimRevoked, JournalBroken, JournalBusy, JournalError
from bridge.journal import (
    ENDS,
    Appended,
    Claim,
    Erased,
    Erasure,
    Hold,
    Incoming,
    LaneNumber,
    Position,
    Postponed,
    Progress,
    Pruned,
    Retention,
)
from bridge.journal.ages import Limits, limits_of
from bridge.journal.awaited import Awaited
from bridge.journal.backlog import Backlog
from bridge.journal.doubt import Doubt
from bridge.journal.rows import (
    CLOCKS_APART,
    NEVER,
    Row,
    alias_hash,
    alias_hashes,
    delivery_alias,
    envelope_of,
    lane_of,
    micros,
    packed,
    packed_headers,
    positions_of,
    text,
)
from bridge.journal.sqlite import claim_search, erasures, operator, stamps
from bridge.journal.sqlite.claim_search import NOTHING_KNOWN, Details
from bridge.journal.sqlite.disk import DiskGuard
from bridge.journal.sqlite.file import owned, writable
from bridge.journal.sqlite.identity import Identity
from bridge.journal.sqlite.operations import Act, Append, Entry
from bridge.journal.sqlite.reader import SqliteReader, salt_of
from bridge.journal.sqlite.ready import Offered, ReadyQueue, RecentEnvelopes
from bridge.journal.sqlite.retention import Pruning
from bridge.journal.sqlite.stamps import Stamp
from bridge.journal.sqlite.statements import run, statements
from bridge.journal.sqlite.writer import Files, Writer
from bridge.journal.written_rows import claim_of
from bridge.telemetry import emit

T = TypeVar("T")
_EMPTYING_TRIES = 20  # tries
_EMPTYING_PAUSE = 0.1  # seconds


@asynccontextmanager
async def opened(
    path: Path, *, destinations: Sequence[str], min_free: int = 0, ballast: int = 0
) -> AsyncIterator["SqliteJournal"]:
    """Own the journal at this path, made if it is absent. Raises JournalInUse, JournalUnreadable, JournalBroken."""
    with owned(path) as lock, ExitStack() as last, writable(path) as connection:
        identity = Identity(path, lock)
        is_copied = stamps.copied_in_motion(connection, path, is_noted=identity.is_noted)
        _doubt(connection, path)
        identity.learn()
        stamp = Stamp(connection, lock)
        doubt = stamps.begun(connection, stamp, path, is_served=bool(destinations), is_copied=is_copied)
        disk_guard = DiskGuard(path, min_free=min_free, ballast=ballast)
        files = Files(path=path, identity=identity, stamp=stamp, disk_guard=disk_guard)
        journal = SqliteJournal(files, connection, destinations=destinations, doubt=doubt)
        try:
            yield journal
        finally:
            journal.stop()
            if identity.lost() is None:
                journal.close()
            else:
                # The last connection that closes a journal deletes its log by name: here that is another's log.
                # A connection that only reads never deletes it.
                last.callback(journal.close)


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[SqliteReader]:
    """Read beside the process that owns the journal. Raises JournalUnreadable if there is none."""
    reader = SqliteReader(path, DiskGuard(path, min_free=0, ballast=0).free)
    try:
        yield reader
    finally:
        reader.close()


def _doubt(connection: sqlite3.Connection, path: Path) -> None:
    """Make facts uncertain that were on their way when the last owner ended: they may have arrived."""
    try:
        in_doubt = connection.execute(statements()["ended_in_flight"], (clock.microseconds(),)).rowcount
        connection.execute(statements()["free_held"], (clock.microseconds(),))
    except sqlite3.Error as problem:
        raise JournalBroken(f"cannot write to the journal {path}: {problem}") from None
    if in_doubt:
        emit("facts.in_doubt", count=in_doubt)


class SqliteJournal(SqliteReader):
    """Implements Journal. Made by `opened`, in a running event loop."""

    is_shared = False

    def __init__(
        self, files: Files, connection: sqlite3.Connection, *, destinations: Sequence[str], doubt: Doubt
    ) -> None:
        super().__init__(files.path, files.disk_guard.free)
        self._disk_guard = files.disk_guard
        self._identity = files.identity
        self._salt = salt_of(connection)
        self._doubt = doubt
        self._loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[None] = self._loop.create_future()
        self._writer = Writer(
            connection,
            salt=self._salt,
            destinations=destinations,
            files=files,
            broken=self._break,
        )
        self._backlog = Backlog(len(destinations))
        self._ready = {dest: ReadyQueue() for dest in destinations}
        self._claiming = {dest: asyncio.Lock() for dest in destinations}
        self._watchers: dict[str, Callable[[], None]] = {}
        self._fresh = RecentEnvelopes()
        self._must_empty = False
        self._pruning = Pruning(lambda asked: [dest for (dest,) in asked.execute(statements()["destinations"])])
        self._writer.start()

    def _break(self, failure: JournalBroken) -> None:
        if not self.broken.done():
            self.broken.set_exception(failure)

    def stop(self) -> None:
        """Stop. What was submitted is still written."""
        self._writer.stop()
        self.broken.cancel()

    def refuses(self) -> str | None:
        if self.broken.done():
            return "the journal is broken"
        if (lost := self._identity.lost()) is not None:
            return lost
        refusal = self._disk_guard.refuses_appends()
        return None if refusal is None else str(refusal)

    # -- taking in -----------------------------------------------------------------------------------------------------

    async def append(self, envelope: Envelope) -> Appended:
        awaited = Awaited(envelope)
        self.take_in([awaited])
        return await awaited.answer

    def take_in(self, incoming: Sequence[Incoming]) -> None:
        admitted = []
        for one in incoming:
            try:
                admitted.append((one, self._backlog.take(one.envelope)))
            except JournalBusy as busy:
                one.failed(busy)
        self._take(admitted)

    def _take(self, admitted: Sequence[tuple[Incoming, int]]) -> None:
        try:
            appends = self._packed(admitted)
        except Exception as problem:  # noqa: BLE001  what one brought that cannot be packed is told to it alone
            if len(admitted) > 1:
                for one in admitted:
                    self._take([one])
                return
            ((incoming, size),) = admitted
            self._backlog.give(size)
            incoming.failed(problem)
            return
        for append in appends:
            try:
                self._writer.submit(append)
            except JournalError as problem:
                append.resolve(problem)

    def _packed(self, admitted: Sequence[tuple[Incoming, int]]) -> Sequence[Append]:
        """Pack the envelopes: each step for all, then the next, as in bridge.intake.arrivals."""
        incoming, sizes = [one for one, _ in admitted], [size for _, size in admitted]
        envelopes = [one.envelope for one in incoming]
        headers = [packed_headers(envelope.headers) for envelope in envelopes]
        bodies = [packed(envelope.raw) for envelope in envelopes]
        hashes = [self._hashes(envelope) for envelope in envelopes]
        cells = zip(incoming, envelopes, headers, bodies, hashes, sizes, strict=True)
        told = self._backlog.give
        return [
            Append(one, of, head, raw, hashed, size, self._stored, told) for one, of, head, raw, hashed, size in cells
        ]

    def _stored(self, envelope: Envelope, appended: Appended) -> None:
        if envelope.reason is not None:
            return
        self._fresh.keep(appended.seq, envelope)
        for ready in self._ready.values():
            if appended.opened:
                ready.offer(appended.lane, appended.seq, envelope)
            else:
                ready.added(appended.lane)
        self._wake()

    def _hashes(self, envelope: Envelope) -> list[bytes]:
        hashes = alias_hashes(self._salt, envelope.tenant, envelope.aliases)
        hashes.append(alias_hash(self._salt, "", delivery_alias(envelope.source, envelope.id)))
        return hashes

    def _wake(self) -> None:
        for changed in self._watchers.values():
            changed()

    # -- claiming ------------------------------------------------------------------------------------------------------

    def watch(self, dest: str, changed: Callable[[], None]) -> None:
        self._watchers[dest] = changed

    async def next_due(self, dest: str) -> datetime | None:
        ready = self._ready[dest]
        if ready.is_whole:
            return ready.due
        in_flight = frozenset(ready.in_flight)
        return await self.ask(lambda connection: claim_search.next_due(connection, dest, in_flight))

    async def hasten(self, dest: str, *, beyond: datetime, now: datetime) -> int:
        given = (micros(now), dest, micros(beyond), NEVER)
        return await self._act(lambda connection: connection.execute(statements()["hasten"], given).rowcount)

    async def claim(self, dest: str, *, now: datetime, limit: int, budget: int) -> Sequence[Claim]:
        ready = self._ready[dest]
        async with self._claiming[dest]:
            if ready.must_search(now):
                return await self._searched(dest, ready, now, limit, budget)
            return [self._offered(dest, offered) for offered in ready.take(limit, budget)]

    def _offered(self, dest: str, offered: Offered) -> Claim:
        lane, seq, envelope = offered
        self._fresh.take(seq)
        return self._claim(dest, (lane, 0, None, seq, 0, 0), envelope, NOTHING_KNOWN)

    async def _searched(self, dest: str, ready: ReadyQueue, now: datetime, limit: int, budget: int) -> Sequence[Claim]:
        """Claim by the table. The lanes in flight are read before it: a lane that ends meanwhile may still look due in
        the table."""
        ready.search()
        in_flight = frozenset(ready.in_flight)
        try:
            search = partial(
                claim_search.due, dest=dest, now=micros(now), limit=limit, budget=budget, in_flight=in_flight
            )
            due = await self.ask(search)
            claims = await self._claimed(dest, due.rows) if due.rows else ()
        except BaseException:
            ready.failed()
            raise
        ready.found({claim.lane for claim in claims}, whole=due.whole, due=due.next)
        return claims

    async def _claimed(self, dest: str, chosen: Sequence[Row]) -> Sequence[Claim]:
        known = {row[3]: envelope for row in chosen if (envelope := self._fresh.take(row[3])) is not None}
        cold = [(row[3],) for row in chosen if row[3] not in known]
        lanes = [(row[0],) for row in chosen]
        found = await self.ask(lambda connection: claim_search.details(connection, dest, cold, lanes))
        known.update((row[0], envelope_of(row)) for row in found.documents)
        return [self._claim(dest, row, known[row[3]], found) for row in chosen]

    def _claim(self, dest: str, row: Row, envelope: Envelope, found: Details) -> Claim:
        lane = row[0]
        newest = found.newest.get((lane, envelope.source, envelope.kind))
        facts = found.held.get(lane, {})
        return claim_of(dest, row, envelope, facts=facts, newest=newest, doubt=self._doubt, united=found.united)

    # -- recording -----------------------------------------------------------------------------------------------------

    async def record(self, claim: Claim, progress: Progress, *, now: datetime) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        if any(settled.state is State.DEPARTED for settled in progress.settled):
            await self.confirm(claim)
        entry = Entry(claim=claim, progress=progress, now=micros(now), future=future, stored=self._recorded)
        self._writer.submit(entry)
        await future

    def _recorded(self, claim: Claim, progress: Progress) -> None:
        if progress.end is None:
            return
        ready = self._ready[claim.dest]
        ready.ended(claim, progress)
        if isinstance(progress.end, Postponed) and progress.end.until is None:
            ready.change()  # where its rule is held no longer, the table says that it is due
        if changed := self._watchers.get(claim.dest):
            changed()

    async def confirm(self, claim: Claim) -> None:
        if claim.lane in self._ready[claim.dest].revoked:
            raise ClaimRevoked("a person has decided about this order since it was claimed")

    def revoked(self, dest: str) -> Collection[tuple[LaneNumber, int]]:
        return {(lane, 0) for lane in self._ready[dest].revoked}

    async def _act(
        self,
        call: Callable[[sqlite3.Connection], T],
        *,
        after: bool = False,
        lanes: Callable[[T], Collection[LaneNumber]] = lambda _: (),
        revoking: bool = False,
    ) -> T:
        """Let the writer make a change. lanes: those that it acted on. revoking: what was claimed of them before is not
        to be sent."""
        future: asyncio.Future[object] = self._loop.create_future()

        def done(answer: object) -> None:
            of = () if isinstance(answer, Exception) else lanes(answer)  # type: ignore[arg-type]  # what the call gave
            if revoking:
                self._fresh.clear()
            for ready in self._ready.values():
                ready.acted(of, revoking=revoking)
            self._wake()

        self._writer.submit(Act(call=call, future=future, after=after, done=done))
        return await future  # type: ignore[return-value]  # the writer answers with what the call returned

    async def retry(self, refs: Sequence[str]) -> int:
        return await self._act(
            partial(operator.retry, refs=refs, now=clock.microseconds()), lanes=lambda _: _lanes_of(refs)
        )

    async def resend(self, refs: Sequence[str]) -> int:
        return await self._act(
            partial(operator.resend, refs=refs, now=clock.microseconds()), lanes=lambda _: _lanes_of(refs)
        )

    async def reread(self, refs: Sequence[str]) -> int:
        return await self._ended(refs, State.DEAD, State.DROPPED, Reason.RETRIED_BY_HAND)

    async def drop(self, refs: Sequence[str]) -> int:
        return await self._ended(refs, State.DEAD, State.DROPPED, Reason.DROPPED_BY_HAND)

    async def settle(self, refs: Sequence[str], state: State) -> int:
        if state not in ENDS:
            raise JournalError(f"what is uncertain ends as {' or '.join(sorted(ENDS))}, not as {state}")
        return await self._ended(refs, State.UNCERTAIN, state, Reason.SETTLED_BY_HAND)

    async def _ended(self, refs: Sequence[str], parked: State, state: State, reason: Reason) -> int:
        return await self._act(
            partial(operator.end, refs=refs, parked=parked, state=state, reason=reason, now=clock.microseconds()),
            lanes=lambda _: _lanes_of(refs),
            revoking=True,
        )

    async def hold(self, hold: Hold) -> None:
        row = (hold.dest, hold.rule, hold.digest, micros(hold.since), text(hold.detail))
        await self._act(lambda connection: connection.execute(statements()["put_hold"], row))

    async def release(self, dest: str, rule: str) -> int:
        released = 0
        while page := await self._act(partial(operator.release, dest=dest, rule=rule, now=clock.microseconds())):
            released += page
        return released

    async def block(self, erasure: Erasure) -> int:
        return await self._act(lambda connection: self._blocking(connection, erasure))

    def _blocking(self, connection: sqlite3.Connection, erasure: Erasure) -> int:
        found = erasures.block(connection, self._salt, erasure, now=clock.microseconds())
        self._writer.appending.reload_blocked()
        return found

    async def allow(self, erasure: Erasure) -> int:
        return await self._act(lambda connection: self._allowing(connection, erasure))

    def _allowing(self, connection: sqlite3.Connection, erasure: Erasure) -> int:
        found = erasures.allow(connection, self._salt, erasure)
        self._writer.appending.reload_blocked()
        return found

    async def erase(self, erasure: Erasure) -> Erased:
        erasing_now = partial(self._erasing, erasure=erasure)
        erased = await self._act(erasing_now, lanes=lambda erased: erased.lanes, revoking=True)
        self._must_empty = self._must_empty or erased.orders > 0
        if erased.more:
            return erased
        self._must_empty = self._must_empty and not await self._emptied()
        return replace(erased, is_lasting=not self._must_empty)

    def _erasing(self, connection: sqlite3.Connection, *, erasure: Erasure) -> Erased:
        erased = erasures.erase(connection, erasure, now=clock.microseconds())
        self._writer.appending.reload_blocked()
        return erased

    async def _emptied(self) -> bool:
        """Empty the log. Readers are short: those of this process and of commands are gone a moment later."""
        for _ in range(_EMPTYING_TRIES):
            if await self._act(erasures.emptied, after=True):
                return True
            await asyncio.sleep(_EMPTYING_PAUSE)
        return False

    async def conclude(self, ref: str) -> int:
        return await self._act(partial(erasures.conclude, ref=ref, now=clock.microseconds()))

    async def remember(self, name: str, value: str) -> None:
        await self._act(
            lambda connection: connection.execute(statements()["remember"], (name, text(value), clock.microseconds()))
        )

    async def unite(self, names: Sequence[tuple[str, str, str]]) -> None:
        await self._act(lambda connection: run(connection, "unite", list(names)))

    async def positions(self, source: str) -> Mapping[tuple[str, int], Position]:
        query = statements()["positions"]
        return positions_of(await self.ask(lambda connection: connection.execute(query, (source,)).fetchall()))

    async def keep_positions(self, source: str, offsets: Mapping[tuple[str, int], int]) -> None:
        rows = [(source, *place, offset) for place, offset in offsets.items()]
        future: asyncio.Future[object] = self._loop.create_future()
        keeping = Act(call=lambda own: run(own, "keep_positions", rows), future=future, done=lambda _: None)
        self._writer.submit(keeping)
        await future

    async def begin_job(self, name: str, *, every: timedelta, now: datetime) -> bool:
        row = (name, micros(now), micros(now - every), micros(now + max(every, CLOCKS_APART)))
        return await self._act(lambda connection: connection.execute(statements()["take_turn"], row).rowcount > 0)

    async def prune(self, retention: Retention, *, now: datetime, limit: int = 500) -> Pruned:
        limits = limits_of(retention, now)
        if self._must_empty:
            self._must_empty = not await self._act(erasures.emptied, after=True)
        return await self._act(lambda connection: self._prune(connection, limits, limit))

    def _prune(self, connection: sqlite3.Connection, limits: Limits, limit: int) -> Pruned:
        with erasures.overwriting(connection):
            pruned = self._pruning.step(connection, limits, limit)
        if pruned.lanes:
            self._writer.appending.forget_lanes()
        return pruned


def _lanes_of(refs: Sequence[str]) -> set[LaneNumber]:
    return {lane for ref in refs if (lane := lane_of(ref)) is not None}
