"""Recognise a copy that was put back. The journal has a stamp that grows, and so has the file of its lock, beside it.

If the stamp beside is newer, the journal is a copy of an earlier time: what was sent since is not in it. A stamp is a
time, in microseconds since 1970. It is written at each start and end, and once a minute if something was written.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from bridge import clock
from bridge.errors import JournalBroken, JournalUnreadable
from bridge.journal.doubt import (
    DOUBTFUL,
    RESTORED,
    SERVED,
    SERVED_AGAIN,
    STAMP,
    Doubt,
    digits,
    doubt_of,
    is_to_be_served,
)
from bridge.journal.sqlite.statements import statements
from bridge.telemetry import emit

_EVERY: Final = 60.0  # seconds
_BLANK_FROM: Final = 62  # offset in the lock's file, in bytes
_PLACE: Final = 128
"""Behind what identity.py leaves at the beginning of the same file; blanks lie between."""
_LONGEST: Final = 64  # bytes


class Stamp:
    """The stamp of one open journal. lock: the descriptor of the lock that this process holds."""

    def __init__(self, connection: sqlite3.Connection, lock: int) -> None:
        meta = meta_of(connection)
        self._connection = connection
        self._lock = lock
        self._lineage = sha256(bytes(meta["salt"])).hexdigest()[:16].encode()  # type: ignore[call-overload]
        self.last = digits(meta.get(STAMP))
        """The stamp up to which this file goes."""
        self._beside = self._read()
        """The stamp up to which the journal has been, as the note beside the file says."""
        self._next = 0.0
        self._is_behind = False

    @property
    def is_of_a_copy(self) -> bool:
        """Whether the journal has been farther than this file goes."""
        return self._beside > self.last

    def put(self) -> None:
        """Put the stamp into the file, as part of the transaction that is open. A clock that was set back takes nothing
        back."""
        self.last = max(self.last + 1, self._beside + 1, clock.microseconds())
        put_meta(self._connection, STAMP, self.last)

    def leave(self) -> None:
        """Leave the stamp beside the file once the file has it: never the other way round."""
        self._beside = self.last
        self._next = clock.monotonic() + _EVERY
        self._is_behind = False
        told = self._lineage + b" " + str(self.last).encode()
        os.pwrite(self._lock, b" " * (_PLACE - _BLANK_FROM) + told.ljust(_LONGEST) + b"\n", _BLANK_FROM)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Wrap the commit of whatever was written: once a minute the stamp goes with it."""
        self._is_behind = True
        is_due = clock.monotonic() >= self._next
        if is_due:
            self.put()
        yield
        if is_due:
            self.leave()

    def end(self) -> None:
        """Write the last stamp of this process, and that it serves the file no more. If the disk is full all stays."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._is_behind:
                self.put()
            self._connection.execute(statements()["drop_meta"], (SERVED,))
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            return
        if self._is_behind:
            self.leave()

    def _read(self) -> int:
        told = os.pread(self._lock, _LONGEST, _PLACE).split()
        whose_and_how_far = 2
        if len(told) != whose_and_how_far or told[0] != self._lineage:
            return 0
        return digits(told[1])


def copied_in_motion(connection: sqlite3.Connection, path: Path, *, is_noted: bool) -> bool:
    """Whether the file is a copy that was made while an owner worked with it: it says so, and no lock knows it. Raises
    JournalUnreadable if the copy is not whole.

    is_noted: whether the lock beside it knows this very file. Then its owner was killed, and nothing is amiss.
    """
    if is_noted or SERVED not in meta_of(connection):
        return False
    try:
        ((found,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.DatabaseError as problem:
        found = str(problem)
    if found != "ok":
        raise JournalUnreadable(
            f"{path} was copied while a bridge worked with it, and is not whole: take the journal itself, or a "
            "`journal backup`"
        )
    return True


def begun(
    connection: sqlite3.Connection, stamp: Stamp, path: Path, *, is_served: bool, is_copied: bool = False
) -> Doubt:
    """Begin to serve a journal, and return what is in doubt from now on. Raises JournalBroken if a copy was put back
    and this cannot be written down."""
    is_copy = is_copied or stamp.is_of_a_copy
    if is_copy:
        why = "was copied while a bridge worked with it" if is_copied else "is older than what is known beside it"
        emit("journal.put_back", journal=str(path), detail=f"this file {why}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if is_copy:
            doubt_all(connection)
        stamp.put()
        connection.execute(statements()["put_meta"], (SERVED, b"1"))
        if is_served and is_to_be_served(meta_of(connection)):
            put_meta(connection, RESTORED, stamp.last)
            emit("journal.restored", journal=str(path), detail=SERVED_AGAIN)
        connection.execute("COMMIT")
    except sqlite3.Error as problem:
        connection.execute("ROLLBACK")
        if is_copy or is_to_be_served(meta_of(connection)):
            raise JournalBroken(f"cannot write into the journal {path} that it was put back: {problem}") from None
    else:
        stamp.leave()
        with suppress(sqlite3.OperationalError):  # somebody reads: a copy without its log would not say it yet
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return doubt_of(meta_of(connection))


def doubt_all(connection: sqlite3.Connection) -> None:
    """Put all that is in the journal in doubt, and all that happens until it is served again."""
    (newest,) = connection.execute(statements()["newest_seq"]).fetchone()
    put_meta(connection, DOUBTFUL, newest)
    put_meta(connection, RESTORED, None)
    connection.execute(statements()["doubt_positions"])


def put_meta(connection: sqlite3.Connection, name: str, number: int | None) -> None:
    """Put a number into `meta`. None: the cell is empty."""
    connection.execute(statements()["put_meta"], (name, b"" if number is None else str(number).encode()))


def meta_of(connection: sqlite3.Connection) -> dict[str, object]:
    return dict(connection.execute(statements()["meta"]).fetchall())
