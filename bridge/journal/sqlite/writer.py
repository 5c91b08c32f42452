"""The one thread that writes: whatever has queued up is committed together, and only then is anybody told."""

import asyncio
import queue
import sqlite3
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import msgspec

from bridge.contract import Envelope, Reason, State
from bridge.errors import JournalBroken, JournalBusy
from bridge.journal import Appended, Claim, Done, Incoming, Postponed, Record, Settled
from bridge.journal.cells import (
    BUCKET,
    NEVER,
    Row,
    alias_hash,
    is_shut_out,
    micros,
    micros_or_none,
    order_alias,
    without_person,
)
from bridge.journal.sqlite import erasing
from bridge.journal.sqlite.room import Room
from bridge.journal.sqlite.statements import fetched, run, statements

_GROUP = 512
_TURNS = 12
"""Turns of the event loop that a group waits for more while there is a crowd: fewer, larger commits, and what belongs
together is done together. A loop that has nothing to do turns at once, and who comes alone does not wait at all."""

_LONGEST_GATHERING = 0.005

_LANES_REMEMBERED = 16_384
_DEAD_ON_ARRIVAL = frozenset({Reason.NOT_CARRIED_OUT_YET, Reason.UNREADABLE})
_NOT_STORABLE = (OverflowError, TypeError, ValueError)
"""A number, a text or a time that SQLite cannot hold, or that is none. Who brought it is told; the others go on."""

_DISK_FAILED = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN})


@dataclass(slots=True)
class Append:
    """An envelope to store, packed before it is queued. raw: empty where no body is kept."""

    incoming: Incoming
    envelope: Envelope
    headers: bytes
    raw: bytes
    aliases: Sequence[bytes]
    stored: Callable[[Envelope, Appended], None]
    """Told of every new envelope, before who brought it."""

    def tell(self, answer: Appended | Exception) -> None:
        if isinstance(answer, Exception):
            self.incoming.failed(answer)
            return
        if not answer.known:
            self.stored(self.envelope, answer)
        self.incoming.stored(answer)


@dataclass(slots=True, kw_only=True)
class Entry:
    """What happened to a claimed document."""

    claim: Claim
    record: Record
    now: int
    future: asyncio.Future[None]

    def tell(self, answer: Exception | None) -> None:
        _told(self.future, answer)


@dataclass(slots=True, kw_only=True)
class Act:
    """Any other change: runs inside the transaction of its group, or by itself `after` it."""

    call: Callable[[sqlite3.Connection], object]
    future: asyncio.Future[object]
    after: bool = False

    def tell(self, answer: object) -> None:
        _told(self.future, answer)


T = TypeVar("T")
Operation: TypeAlias = Append | Entry | Act
Answer: TypeAlias = tuple[Operation, object]
_Fresh: TypeAlias = tuple[Append, int, int]
"""What is new, the number of its lane, its own."""


@dataclass(slots=True)
class Counters:
    """The last numbers given out; a number is never given twice, not even after a rollback."""

    seq: int
    lane: int


@dataclass(slots=True)
class _Batch:
    """Rows to be written, per statement, in the order in which the statements run."""

    rows: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def add(self, statement: str, row: Row) -> None:
        self.rows[statement].append(row)

    def extend(self, statement: str, rows: Iterable[Row]) -> None:
        self.rows[statement].extend(rows)

    def write(self, connection: sqlite3.Connection) -> None:
        for statement, rows in self.rows.items():
            run(connection, statement, rows)


class Writer:
    """Takes operations from the event loop's thread and answers their futures there."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        loop: asyncio.AbstractEventLoop,
        salt: bytes,
        destinations: Sequence[str],
        room: Room,
        broken: Callable[[JournalBroken], None],
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._salt = salt
        self._destinations = tuple(destinations)
        self._room = room
        self._broken = broken
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._lanes: OrderedDict[tuple[str, str], int] = OrderedDict()
        sequences = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        self._blocked = erasing.blocked(connection)
        self._names = {(dest, fact) for dest, fact in connection.execute(statements()["names"])}
        self._counters = Counters(seq=sequences.get("envelope", 0), lane=sequences.get("lane", 0))
        self._group: Sequence[Operation | None] = ()
        self._ended: JournalBroken | None = None
        self._thread = threading.Thread(target=self._work, name="journal-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, operation: Operation) -> None:
        """Raises JournalBroken when nobody is there to write it any more."""
        if self._ended is not None:
            raise self._ended
        self._queue.put(operation)

    def stop(self) -> None:
        """What is queued is still written."""
        self._queue.put(None)
        self._thread.join()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._serve()
        finally:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        """In the event loop's thread, where operations are submitted: nobody waits for an answer that cannot come."""
        self._ended = JournalBroken("the journal's writer has ended")
        waiting = list(self._group)
        while not self._queue.empty():
            waiting.append(self._queue.get())
        _tell([(operation, self._ended) for operation in waiting if operation is not None])
        self._broken(self._ended)

    def _serve(self) -> None:
        stopping = False
        group: list[Operation | None] = []
        while not stopping:
            crowded = len(group) > 1
            group = [self._queue.get()]
            if crowded:
                self._gather()
            while len(group) < _GROUP and not self._queue.empty():
                group.append(self._queue.get())
            stopping = None in group
            self._group = group
            later = [operation for operation in group if type(operation) is Act and operation.after]
            if operations := [operation for operation in group if operation is not None and operation not in later]:
                self._answer(self._committed(operations))
            for act in later:
                self._answer([(act, self._afterwards(act))])

    def _gather(self) -> None:
        gathered = threading.Event()
        self._loop.call_soon_threadsafe(self._turn, _TURNS, gathered)
        gathered.wait(_LONGEST_GATHERING)

    def _turn(self, left: int, gathered: threading.Event) -> None:
        """In the event loop's thread."""
        if left:
            self._loop.call_soon(self._turn, left - 1, gathered)
        else:
            gathered.set()

    def _afterwards(self, act: Act) -> object:
        try:
            return act.call(self._connection)
        except sqlite3.Error as problem:
            return JournalBusy(f"the journal's log cannot be emptied now: {problem}")

    def _answer(self, answers: Sequence[Answer]) -> None:
        self._loop.call_soon_threadsafe(_tell, answers)

    def _committed(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        refused = self._room.refuses_appends()
        if refused is not None:
            turned_away: list[Answer] = [(operation, refused) for operation in operations if type(operation) is Append]
            return turned_away + list(self._try([o for o in operations if type(o) is not Append]))
        return self._try(operations)

    def _try(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        try:
            return self._transaction(operations)
        except sqlite3.Error as problem:
            self._roll_back()
            return self._recovered(operations, problem)
        except _NOT_STORABLE as problem:
            self._roll_back()
            return self._one_by_one(operations, problem)

    def _recovered(self, operations: Sequence[Operation], problem: sqlite3.Error) -> Sequence[Answer]:
        """What a failing disk, a full disk and a foreign lock each mean."""
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
        if code in _DISK_FAILED:
            failure = JournalBroken(f"the journal's disk failed: {problem}")
            self._loop.call_soon_threadsafe(self._broken, failure)
            return [(operation, failure) for operation in operations]
        if code == sqlite3.SQLITE_FULL:
            return self._made_room(operations)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            busy = JournalBusy("another program holds a lock on the journal's file")
            return [(operation, busy) for operation in operations]
        return self._one_by_one(operations, problem)

    def _made_room(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        """The disk is full: appends are turned away, the rest is tried again in the space of the ballast."""
        full = JournalBusy("the journal's disk is full")
        self._room.give_up_ballast()
        rest = [operation for operation in operations if type(operation) is not Append]
        answers: list[Answer] = [(operation, full) for operation in operations if type(operation) is Append]
        if not rest:
            return answers
        try:
            return answers + list(self._transaction(rest))
        except (sqlite3.Error, *_NOT_STORABLE):
            self._roll_back()
            return answers + [(operation, full) for operation in rest]

    def _one_by_one(self, operations: Sequence[Operation], problem: Exception) -> Sequence[Answer]:
        if len(operations) == 1:
            return [(operations[0], problem)]
        return [answer for operation in operations for answer in self._try([operation])]

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
            self.reload_blocked()

    def _transaction(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        appends = [operation for operation in operations if type(operation) is Append]
        entries = [operation for operation in operations if type(operation) is Entry]
        acts = [operation for operation in operations if type(operation) is Act]
        seen: dict[tuple[str, str], int] = {}
        self._connection.execute("BEGIN IMMEDIATE")
        answers: list[Answer] = []
        names: set[tuple[str, str]] = set()
        if appends:
            answers += self._append(appends, seen)
        if entries:
            names = self._record(entries)
            answers += [(entry, None) for entry in entries]
        answers += [(act, act.call(self._connection)) for act in acts]
        self._connection.execute("COMMIT")
        self._remember(seen)
        self._names |= names
        return answers

    # -- appending -----------------------------------------------------------------------------------------------------

    def _remember(self, lanes: Mapping[tuple[str, str], int]) -> None:
        self._lanes.update(lanes)
        while len(self._lanes) > _LANES_REMEMBERED:
            self._lanes.popitem(last=False)

    def forget_lanes(self) -> None:
        """After lanes were deleted. Runs in the writer's thread."""
        self._lanes.clear()

    def reload_blocked(self) -> None:
        """After it was changed. Runs in the writer's thread."""
        self._blocked = erasing.blocked(self._connection)

    def _shut_out(self, append: Append) -> None:
        envelope = append.envelope
        order = alias_hash(self._salt, envelope.tenant, order_alias(envelope.lane))
        if is_shut_out(envelope, (*append.aliases, order), self._blocked):
            append.envelope = without_person(append.envelope)
            append.raw, append.aliases = b"", ()

    def _append(self, appends: Sequence[Append], seen: dict[tuple[str, str], int]) -> list[Answer]:
        for append in appends if self._blocked else ():
            self._shut_out(append)
        last_lane = self._counters.lane
        lanes = self._lanes_of(appends, seen)
        known = self._known(appends, lanes, last_lane)
        fresh: list[_Fresh] = []
        answers: list[Answer] = []
        filled: set[int] = set()
        for append in appends:
            lane = lanes[append.envelope.tenant, append.envelope.lane]
            seq = known.get((lane, append.envelope.id))
            opened = lane > last_lane and lane not in filled
            filled.add(lane)
            appended = Appended(seq=seq or self._counters.seq + 1, lane=lane, known=seq is not None, opened=opened)
            answers.append((append, appended))
            if seq is None:
                self._counters.seq += 1
                known[lane, append.envelope.id] = self._counters.seq
                fresh.append((append, lane, self._counters.seq))
        self._add(fresh)
        return answers

    def _lanes_of(self, appends: Sequence[Append], seen: dict[tuple[str, str], int]) -> Mapping[tuple[str, str], int]:
        names = {(append.envelope.tenant, append.envelope.lane): append.envelope.received_at for append in appends}
        lanes = {name: self._lanes[name] for name in names if name in self._lanes}
        for tenant, name, lane in fetched(self._connection, "lanes", [name for name in names if name not in lanes]):
            lanes[tenant, name] = seen[tenant, name] = lane
        fresh: list[Row] = []
        for name, received_at in names.items():
            if name not in lanes:
                self._counters.lane += 1
                lanes[name] = seen[name] = self._counters.lane
                fresh.append((self._counters.lane, *name, micros(received_at)))
        run(self._connection, "add_lanes", fresh)
        return lanes

    def _known(
        self, appends: Sequence[Append], lanes: Mapping[tuple[str, str], int], last_lane: int
    ) -> dict[tuple[int, str], int]:
        """Deliveries that are stored already. Lanes after last_lane were made just now: nothing is asked for them."""
        keys = {
            (lane, append.envelope.id)
            for append in appends
            if (lane := lanes[append.envelope.tenant, append.envelope.lane]) <= last_lane
        }
        return {(lane, delivery): seq for lane, delivery, seq in fetched(self._connection, "known", list(keys))}

    def _add(self, fresh: Sequence[_Fresh]) -> None:
        batch = _Batch()
        batch.extend("add_envelopes", [_envelope_row(append.envelope, lane, seq) for append, lane, seq in fresh])
        batch.extend("add_bodies", [(seq, append.headers, append.raw) for append, _, seq in fresh if append.raw])
        batch.extend(
            "add_aliases", [(lane // BUCKET, alias, lane) for append, lane, _ in fresh for alias in append.aliases]
        )
        for append, lane, seq in fresh:
            envelope = append.envelope
            if envelope.verdict is None:
                for dest in self._destinations:
                    batch.add("add_work", (dest, lane, seq))
                    batch.add("add_turns", (dest, lane, micros(envelope.received_at)))
            else:
                _end_on_arrival(batch, envelope, lane, seq)
        batch.write(self._connection)

    # -- recording -----------------------------------------------------------------------------------------------------

    def _record(self, entries: Sequence[Entry]) -> set[tuple[str, str]]:
        """The names of facts that are new to this journal."""
        batch = _Batch()
        done: list[Entry] = []
        for entry in entries:
            _write_down(self._connection, batch, entry)
            match entry.record.end:
                case Postponed() as end:
                    _postpone(self._connection, batch, entry, end)
                case Done():
                    done.append(entry)
                case None:
                    pass
        names = {
            (entry.claim.dest, settled.fact) for entry in entries for settled in entry.record.settled
        } - self._names
        for name in names:
            batch.add("add_names", name)
        batch.write(self._connection)
        if done:
            self._finish(done)
        return names

    def _finish(self, done: Sequence[Entry]) -> None:
        groups: dict[tuple[str, int], list[Entry]] = {}
        for entry in done:
            groups.setdefault((entry.claim.dest, entry.claim.asked), []).append(entry)
        for (dest, asked), entries in groups.items():
            lanes: list[Row] = [(entry.claim.lane,) for entry in entries]
            # What a person asked for again since it was claimed stays: that word is not lost.
            run(self._connection, "end_work", [(e.claim.lane, e.claim.seq) for e in entries], before=(dest, asked))
            if run(self._connection, "end_turns", lanes, before=(dest,)) < len(lanes):
                run(self._connection, "next_turns", lanes, before=(max(e.now for e in entries), dest))


def _tell(answers: Sequence[Answer]) -> None:
    for operation, answer in answers:
        try:
            operation.tell(answer)  # type: ignore[arg-type]  # each is told what its kind gets
        except Exception as problem:  # noqa: BLE001  whoever else waits is told
            context = {"message": "who waited for the journal failed", "exception": problem}
            asyncio.get_running_loop().call_exception_handler(context)


def _told(future: asyncio.Future[T], answer: T | Exception) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _envelope_row(envelope: Envelope, lane: int, seq: int) -> Row:
    return (
        seq,
        lane,
        envelope.id,
        envelope.source,
        envelope.topic,
        envelope.kind,
        micros_or_none(envelope.version),
        micros_or_none(envelope.occurred_at),
        micros(envelope.received_at),
        len(envelope.raw),
    )


def _end_on_arrival(batch: _Batch, envelope: Envelope, lane: int, seq: int) -> None:
    """The source knows the end: no destination is asked."""
    received = micros(envelope.received_at)
    reason = envelope.verdict or ""
    if envelope.verdict in _DEAD_ON_ARRIVAL:
        once = msgspec.json.encode([envelope.id]).decode()
        occurred = micros_or_none(envelope.occurred_at)
        end = (seq, "", occurred, received, 0, str(reason), envelope.detail, "")
        batch.add("put_facts", (lane, "", envelope.topic, once, State.DEAD.value, *end))
    else:
        batch.add("put_verdicts", (lane, seq, "", "", str(reason), "", received))


def _write_down(connection: sqlite3.Connection, batch: _Batch, entry: Entry) -> None:
    claim, record, now = entry.claim, entry.record, entry.now
    for fact, once in record.released:
        connection.execute(statements()["drop_facts"], (claim.lane, claim.dest, fact, once))
    for settled in record.settled:
        batch.add("put_facts", _fact_row(claim, settled, now))
    for verdict in record.verdicts:
        batch.add(
            "put_verdicts",
            (claim.lane, claim.seq, claim.dest, verdict.rule, verdict.reason.value, verdict.detail, now),
        )
    if claim.first_tried_at is not None and any(settled.state is not State.DEPARTED for settled in record.settled):
        # The next fact has its own patience: attempts are counted since something was final.
        connection.execute(statements()["first_attempt"], (claim.dest, claim.lane))
    version = claim.envelope.version
    if version is not None and isinstance(record.end, Done) and not claim.stale:
        envelope = claim.envelope
        batch.add("put_versions", (claim.lane, claim.dest, envelope.source, envelope.kind, micros(version)))


def _fact_row(claim: Claim, settled: Settled, now: int) -> Row:
    return (
        claim.lane,
        claim.dest,
        settled.fact,
        settled.once,
        settled.state.value,
        claim.seq,
        settled.rule,
        micros_or_none(settled.occurred_at),
        now,
        claim.attempt + 1,
        settled.reason.value if settled.reason is not None else "",
        settled.detail,
        settled.amount,
    )


def _postpone(connection: sqlite3.Connection, batch: _Batch, entry: Entry, end: Postponed) -> None:
    claim = entry.claim
    until = micros_or_none(end.until)
    row = (claim.lane, claim.seq, claim.dest, entry.now, end.fact, end.reason.value, end.detail, until)
    batch.add("add_attempts", row)
    held = end.rule if until is None else None
    connection.execute(
        statements()["postpone"],
        (NEVER if until is None else until, entry.now, held, claim.dest, claim.lane),
    )
