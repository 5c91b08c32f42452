"""A SQLite journal read out into one file, and a new one made from such a file."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bridge.errors import JournalError, JournalInUse
from bridge.journal.doubt import SERVED
from bridge.journal.dump import PAGE, TABLES
from bridge.journal.durable import flush
from bridge.journal.rows import Row
from bridge.journal.sqlite.file import check_content, owned, refuse_leftovers, writable
from bridge.journal.sqlite.stamps import doubt_all
from bridge.journal.sqlite.statements import statements

_SELECT = {
    "meta": "SELECT name, CAST(value AS BLOB) FROM meta ORDER BY name",
    "body": "SELECT e.lane, b.seq, b.headers, b.raw FROM body b CROSS JOIN envelope e ON e.seq = b.seq ORDER BY b.seq",
}


class _Export:
    """Implements ExportSource: one read transaction is one moment."""

    def __init__(self, connection: sqlite3.Connection, *, whole: bool) -> None:
        self._connection = connection
        self.whole = whole

    async def count(self) -> int:
        return sum(
            self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  of our own tables
            for table in TABLES
        )

    async def pages(self, table: str) -> AsyncIterator[Sequence[Row]]:
        columns, key = ", ".join(TABLES[table].columns), ", ".join(TABLES[table].key)
        query = _SELECT.get(table, f"SELECT {columns} FROM {table} ORDER BY {key}")  # noqa: S608  of our own tables
        cursor = self._connection.execute(query)
        while rows := cursor.fetchmany(PAGE):
            yield rows


class _Import(_Export):
    """Implements ImportTarget."""

    async def put(self, table: str, rows: Sequence[Row]) -> None:
        columns = TABLES[table].columns
        if table == "body":
            columns, rows = columns[1:], [row[1:] for row in rows]
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(
            f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})",  # noqa: S608  of our own tables
            rows,
        )

    async def doubt(self) -> None:
        doubt_all(self._connection)


@contextmanager
def exporting(path: Path) -> Iterator[_Export]:
    """Open the journal of one moment. It is whole if nobody works with it meanwhile. Raises JournalUnreadable,
    JournalError."""
    if not path.exists():
        raise JournalError(f"there is no journal at {path}")
    check_content(path)
    try:
        with owned(path), _snapshot(path) as connection:
            yield _Export(connection, whole=True)
            return
    except JournalInUse:
        pass
    with _snapshot(path) as connection:
        yield _Export(connection, whole=False)


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


@contextmanager
def importing(path: Path) -> Iterator[_Import]:
    """Make a new journal, as a whole or not at all. Raises JournalError if there is one already."""
    if path.exists():
        raise JournalError(
            f"there is a journal at {path} already: name a new place, or move it away with all files beside it "
            f"({path.name}-*)"
        )
    part = path.with_name(path.name + ".part")
    with owned(path):
        refuse_leftovers(path)
        _remove(part)  # a command that was killed left it, with its log
        try:
            with writable(part) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield _Import(connection, whole=True)
                connection.execute(
                    "UPDATE fact SET state = 'uncertain', reason = 'ended in flight' WHERE state = 'departed'"
                )
                connection.execute(statements()["drop_meta"], (SERVED,))
                connection.execute("COMMIT")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            part.rename(path)
            flush(path.parent)
        finally:
            _remove(part)


def doubt(path: Path) -> None:
    """Mark a journal that was put back by other means. Raises JournalInUse, JournalError."""
    if not path.exists():
        raise JournalError(f"there is no journal at {path}")
    with owned(path), writable(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        doubt_all(connection)
        connection.execute("COMMIT")


def _remove(part: Path) -> None:
    for rest in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + rest).unlink(missing_ok=True)
