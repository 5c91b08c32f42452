"""A journal as one file. The file is the same for every journal, so that one can be moved to another, or kept as a
backup.

A file is a row of frames, each four bytes of length (big-endian) and MessagePack. First comes a header. Then come
frames of [table, rows], in the order of TABLES, with rows in the order of their keys. Last comes a footer with the
count and the SHA-256 of each table's rows.

An import reads everything back from the new journal and compares: that all is there is proved, not believed.
"""

import hashlib
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Protocol

import msgspec

from bridge import clock
from bridge.errors import JournalError
from bridge.journal.rows import Row

FORMAT = "attribution-bridge journal 3"
_OLDER = {
    "attribution-bridge journal 1": {"envelope": 10, "fact": 12, "memory": 0, "blocked": 0, "former": 0, "position": 0},
    "attribution-bridge journal 2": {"envelope": 10, "former": 0, "position": 0},
}
"""Formats that are read too: to each table that has grown, how many columns it had (0: there was no such table)."""

PAGE = 500  # rows
_LONGEST_FRAME = 1 << 30  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns in the order in which they are written, and the key that orders the rows; texts compare by bytes."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


def _table(columns: str, key: str) -> Table:
    return Table(columns=tuple(columns.split()), key=tuple(key.split()))


TABLES: Mapping[str, Table] = {
    "meta": _table("name value", "name"),
    "lane": _table("n tenant name seen", "n"),
    "envelope": _table("seq lane id source topic kind version occurred received size came", "seq"),
    "body": _table("lane seq headers raw", "seq"),
    "work": _table("dest lane seq asked", "dest lane seq"),
    "turn": _table("dest lane due attempt first held", "dest lane"),
    "fact": _table(
        "lane dest fact once state seq rule occurred settled attempt reason detail amount", "lane dest fact once"
    ),
    "name": _table("dest fact", "dest fact"),
    "verdict": _table("lane seq dest rule reason detail at", "lane seq dest rule reason"),
    "attempt": _table("lane seq dest at fact reason detail until", "lane seq dest at"),
    "version": _table("lane dest source kind newest", "lane dest source kind"),
    "alias": _table("bucket hash lane", "bucket hash lane"),
    "hold": _table("dest rule digest since detail", "dest rule"),
    "memory": _table("name value at", "name"),
    "blocked": _table("hash at", "hash"),
    "former": _table("dest fact former", "dest fact former"),
    "position": _table("source topic part next doubtful", "source topic part"),
}


class Sum(msgspec.Struct):
    """The sum of one table: how many rows, and their digest."""

    count: int
    digest: str


class Header(msgspec.Struct):
    """The first frame of a file.

    whole  nothing was at work when it was written; else it shows one moment, and more was sent since
    at     when it was written, in seconds since 1970; 0: by an older version
    """

    format: str
    whole: bool
    rows: int
    at: int = 0

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


@dataclass(slots=True)
class Summing:
    """Counts and digests of rows as they pass."""

    _digests: dict[str, Any] = field(default_factory=lambda: {name: hashlib.sha256() for name in TABLES})
    _counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    widths: Mapping[str, int] = field(default_factory=dict)

    def add(self, table: str, rows: Sequence[Row]) -> None:
        width = self.widths.get(table)
        for row in rows:
            self._digests[table].update(msgspec.msgpack.encode(row[:width]))
        self._counts[table] += len(rows)

    def sums(self) -> dict[str, Sum]:
        return {name: Sum(self._counts[name], self._digests[name].hexdigest()) for name in TABLES}


class ExportSource(Protocol):
    """A journal that is exported."""

    whole: bool

    async def count(self) -> int:
        """Count all rows."""

    def pages(self, table: str) -> AsyncIterator[Sequence[Row]]:
        """All rows of a table by key, from one moment."""


class ImportTarget(ExportSource, Protocol):
    """A new journal that is imported into."""

    async def put(self, table: str, rows: Sequence[Row]) -> None:
        """Put rows of a table, in order."""

    async def doubt(self) -> None:
        """Put the journal in doubt. What waits may have been sent since, and so may what happens until it is served
        again. Unrepeatable facts of both become uncertain instead of leaving."""


class OnRows(Protocol):
    """A callback after every page."""

    def __call__(self, rows: int, /) -> object: ...


async def write_out(journal: ExportSource, file: IO[bytes], on_rows: OnRows) -> Mapping[str, Sum]:
    """Write all of a journal into a file. Returns what it holds."""
    summing = Summing()
    _write(file, Header(FORMAT, journal.whole, await journal.count(), int(clock.seconds())))
    for table in TABLES:
        async for rows in journal.pages(table):
            _write(file, (table, rows))
            summing.add(table, rows)
            on_rows(len(rows))
    sums = summing.sums()
    _write(file, sums)
    return sums


def header_of(file: IO[bytes]) -> Header:
    """Read the header. Raises JournalError if it is no such file."""
    try:
        header = msgspec.msgpack.decode(_frame(file), type=Header)
    except (msgspec.DecodeError, JournalError):
        raise JournalError("this is no file of `journal export` or `journal backup`") from None
    if header.format not in (FORMAT, *_OLDER):
        raise JournalError(f"this file has the format {header.format!r}; this program reads {FORMAT!r} and older ones")
    return header


async def read_in(journal: ImportTarget, file: IO[bytes], header: Header, on_rows: OnRows) -> Mapping[str, Sum]:
    """Read what follows the header into a new journal, read it back and compare. Raises JournalError if they differ."""
    told: dict[str, Sum] | None = None
    widths = _OLDER.get(header.format, {})
    for table, rows in _pages(file):
        if table in TABLES:
            await journal.put(table, [_widened(table, row) for row in rows])
            on_rows(len(rows))
        else:
            told = msgspec.convert(rows, dict[str, Sum])
    if told is None:
        raise JournalError("the file ends too early: it is not whole")
    found = await sums_of(journal, widths)
    if differing := [name for name in TABLES if widths.get(name) != 0 and told.get(name) != found[name]]:
        raise JournalError(f"what was read in differs from the file in: {', '.join(differing)}")
    return found


def _widened(table: str, row: Row) -> Row:
    """Add the columns that older files lack. A document came when it was received (0). What was added to other tables
    since is text, and was empty before."""
    return row + (0 if table == "envelope" else "",) * (len(TABLES[table].columns) - len(row))


async def sums_of(journal: ExportSource, widths: Mapping[str, int] | None = None) -> Mapping[str, Sum]:
    """Read the journal again, and sum its tables. Of a table that had fewer columns, only those count."""
    summing = Summing(widths=widths or {})
    for table in TABLES:
        async for rows in journal.pages(table):
            summing.add(table, rows)
    return summing.sums()


def _write(file: IO[bytes], value: object) -> None:
    frame = msgspec.msgpack.encode(value)
    file.write(struct.pack(">I", len(frame)) + frame)


def _frame(file: IO[bytes]) -> bytes:
    """The next frame; empty at the end of the file."""
    start = file.read(4)
    length = int.from_bytes(start, "big")
    frame = file.read(length) if length <= _LONGEST_FRAME else b""
    if start and (len(start) < 4 or len(frame) < length):  # noqa: PLR2004  the length of a length
        raise JournalError("the file ends in the middle: it is not whole")
    return frame


def _pages(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Read the pages: (table, rows), and at last ("", sums)."""
    while frame := _frame(file):
        value = msgspec.msgpack.decode(frame)
        if isinstance(value, dict):
            yield "", value
        else:
            yield value[0], [tuple(row) for row in value[1]]
