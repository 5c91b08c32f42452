"""The one thread that writes. All that has queued up is committed together, and only then is anybody answered."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import JournalBroken, JournalBusy, NotStorable
from bridge.journal.sqlite.append import AppendBatch
from bridge.journal.sqlite.disk import DiskGuard, free_inside
from bridge.journal.sqlite.identity import Identity
from bridge.journal.sqlite.operations import Act, Answer, Append, Entry, Operation, resolve_all
from bridge.journal.sqlite.progress import ProgressBatch
from bridge.journal.sqlite.rescue import saved
from bridge.journal.sqlite.stamps import Stamp
from bridge.telemetry import emit

_GROUP = 512  # operations of one transaction
_TURNS = 12
"""The most turns of the event loop that a group waits for more operations while there is a crowd. Commits become fewer
and larger, and what belongs together is done together. A loop that has nothing to do turns at once, so a lone operation
does not wait."""

_LONGEST_GATHERING = 0.005  # seconds

_LOOK_EVERY = 0.5
"""Seconds without work after which the files are looked at again."""

_SAVE_EVERY = 5.0
"""Seconds between two tries to save what has lost its name."""

_NOT_STORABLE = (OverflowError, TypeError, ValueError)
"""Errors for a number, a text or a time that SQLite cannot hold. The operation that brought it fails; the others go
on."""

_DISK_FAILED = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What is at the journal's path, and what is watched of it."""

    path: Path
    identity: Identity
    stamp: Stamp
    disk_guard: DiskGuard


class Writer:
    """Takes operations from the event loop's thread and answers their futures there. Make it in a running event
    loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        salt: bytes,
        destinations: Sequence[str],
        files: Files,
        broken: Callable[[JournalBroken], None],
    ) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._disk_guard = files.disk_guard
        self._identity = files.identity
        self._stamp = files.stamp
        self._broken = broken
        self._stopping = threading.Event()
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self.appending = AppendBatch(connection, salt=salt, destinations=destinations)
        self._recording = ProgressBatch(connection)
        self._group: Sequence[Operation | None] = ()
        self._ended: JournalBroken | JournalBusy | None = None
        self._thread = threading.Thread(target=self._work, name="journal-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, operation: Operation) -> None:
        """Submit an operation. Raises JournalBroken if nobody is there to write it any more, JournalBusy while what was
        written before is saved."""
        if self._ended is not None:
            raise self._ended
        self._queue.put(operation)

    def stop(self) -> None:
        """Stop. What is queued is still written."""
        self._stopping.set()
        self._queue.put(None)
        self._thread.join()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        failure = JournalBroken("the journal's writer has ended")
        try:
            self._serve()
        except JournalBroken as lost:
            failure = self._left(lost)
        finally:
            self._loop.call_soon_threadsafe(self._end, failure)

    def _end(self, failure: JournalBroken) -> None:
        """End the writer. Call it in the event loop's thread, where operations are submitted."""
        self._turn_away(failure)
        self._broken(failure)

    def _turn_away(self, failure: JournalBroken | JournalBusy) -> None:
        """Turn away all operations, in the event loop's thread: nobody waits for an answer that cannot come."""
        self._ended = failure
        waiting = list(self._group)
        self._group = ()
        while not self._queue.empty():
            waiting.append(self._queue.get())
        resolve_all([(operation, failure) for operation in waiting if operation is not None])

    def _left(self, lost: JournalBroken) -> JournalBroken:
        """Stop storing, and save what was acknowledged. Until that is done the process does not end by itself: only
        this process still has the files that lost their names."""
        self._loop.call_soon_threadsafe(self._turn_away, JournalBusy(str(lost)))
        while True:
            try:
                return JournalBroken(f"{lost}. {saved(self._connection, self._identity)}")
            except (sqlite3.Error, OSError) as problem:
                failure = JournalBroken(f"{lost}. What was acknowledged cannot be saved ({problem})")
                emit("journal.unsaved", detail=f"{failure}; it is tried again, and is lost when this process ends")
            if self._stopping.wait(_SAVE_EVERY):
                return failure

    def _serve(self) -> None:
        group: Sequence[Operation | None] = ()
        while None not in group:
            is_crowded = len(group) > 1
            first = self._next()
            if is_crowded:
                self._gather()
            group = self._queued(first)
            self._work_off(group)
        self._finish()

    def _queued(self, first: Operation | None) -> Sequence[Operation | None]:
        """The group of one transaction: the first operation, and what is queued behind it."""
        group = [first]
        while len(group) < _GROUP and not self._queue.empty():
            group.append(self._queue.get())
        return group

    def _work_off(self, group: Sequence[Operation | None]) -> None:
        """Store what belongs together, and answer. What must come after a transaction comes after it, one by one."""
        self._group = group
        later = [operation for operation in group if type(operation) is Act and operation.after]
        if operations := [operation for operation in group if operation is not None and operation not in later]:
            self._answer(self._committed(operations))
        for act in later:
            self._answer([(act, self._afterwards(act))])
        self._group = ()

    def _finish(self) -> None:
        """Look at the files for the last time, and write until when they go."""
        self._look()
        self._stamp.end()

    def _next(self) -> Operation | None:
        while True:
            try:
                return self._queue.get(timeout=_LOOK_EVERY)
            except queue.Empty:
                self._look()

    def _look(self) -> None:
        """Look at the files. Raises JournalBroken if they are not those that were opened."""
        if (sentence := self._identity.lost()) is not None:
            raise JournalBroken(sentence)

    def _gather(self) -> None:
        gathered = threading.Event()
        self._loop.call_soon_threadsafe(self._turn, _TURNS, gathered)
        gathered.wait(_LONGEST_GATHERING)

    def _turn(self, left: int, gathered: threading.Event) -> None:
        """Wait for `left` turns of the event loop, in its thread, and then end the gathering."""
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
        self._loop.call_soon_threadsafe(resolve_all, answers)

    def _committed(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        """Each operation with its answer. The files are looked at before and after: what is answered has a name."""
        self._look()
        answers = self._admitted(operations)
        self._look()
        return answers

    def _admitted(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        if self._disk_guard.must_look:
            self._disk_guard.inside = free_inside(self._connection)
        refused = self._disk_guard.refuses_appends()
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
        """Recover from an error. A failing disk, a full disk and a foreign lock each mean something else."""
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
        """Make room on a full disk: appends are turned away, the rest is tried again in the space of the ballast."""
        full = JournalBusy("the journal's disk is full")
        self._disk_guard.give_up_ballast()
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
            # A person's command may show the library's words. For an order they may quote the document.
            if type(operations[0]) is not Act:
                problem = NotStorable(f"it cannot be stored: SQLite refuses it ({type(problem).__name__})")
            return [(operations[0], problem)]
        return [answer for operation in operations for answer in self._try([operation])]

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
            self.appending.reload_blocked()

    def _transaction(self, operations: Sequence[Operation]) -> Sequence[Answer]:
        appends = [operation for operation in operations if type(operation) is Append]
        entries = [operation for operation in operations if type(operation) is Entry]
        acts = [operation for operation in operations if type(operation) is Act]
        self._connection.execute("BEGIN IMMEDIATE")
        answers, lanes = self.appending.append(appends) if appends else ([], {})
        names = self._recording.record(entries) if entries else set()
        answers += [(entry, None) for entry in entries]
        answers += [(act, act.call(self._connection)) for act in acts]
        with self._stamp.kept():
            self._connection.execute("COMMIT")
        self.appending.remember(lanes)
        self._recording.remember(names)
        return answers
