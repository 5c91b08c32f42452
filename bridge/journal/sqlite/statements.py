"""The statements of queries.sql, by name, and their many-row forms."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import chain
from sqlite3 import Connection, Cursor

from bridge.journal.rows import Row

_ROWS = re.compile(r"rows(\([?, \d]+\))")
_GROUPS = (256, 64, 16, 4, 1)  # rows of one statement


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def schema() -> str:
    """The whole schema of the version that this program writes."""
    return _read("schema.sql")


def upgrade(version: int) -> str:
    """The script that makes a journal of the version before into one of this version."""
    return _read(f"upgrade_{version}.sql")


@cache
def statements() -> dict[str, str]:
    """Name to SQL."""
    named = re.split(r"^-- name: (\w+)$", _read("queries.sql"), flags=re.MULTILINE)[1:]
    return dict(zip(named[::2], (text.strip() for text in named[1::2]), strict=True))


@cache
def _expanded(name: str, count: int) -> str:
    return _ROWS.sub(lambda match: ", ".join([match[1]] * count), statements()[name])


def for_rows(
    connection: Connection, name: str, rows: Sequence[Row], *, before: Row = (), after: Row = ()
) -> Iterator[Cursor]:
    """Execute a many-row statement over all rows, in few and fixed group sizes so that each is prepared once.

    A single step in C takes a whole group: the interpreter lock is let go and taken back once per group, not per row.
    A statement with two `rows(...)` takes the first cell of every row in one, and the second in the other.
    """
    by_column = statements()[name].count("rows(") > 1
    start = 0
    for size in _GROUPS:
        while len(rows) - start >= size:
            group = rows[start : start + size]
            values = chain.from_iterable(zip(*group, strict=True) if by_column else group)
            yield connection.execute(_expanded(name, size), (*before, *values, *after))
            start += size


def run(connection: Connection, name: str, rows: Sequence[Row], *, before: Row = (), after: Row = ()) -> int:
    """Run a statement that returns nothing, as `for_rows` does. Returns how many rows it changed."""
    return sum(cursor.rowcount for cursor in for_rows(connection, name, rows, before=before, after=after))


def fetched(connection: Connection, name: str, rows: Sequence[Row], *, before: Row = (), after: Row = ()) -> list[Row]:
    """Run a query, as `for_rows` does, and fetch all that it returns."""
    return list(chain.from_iterable(for_rows(connection, name, rows, before=before, after=after)))


@dataclass(slots=True)
class Batch:
    """Rows to be written, per statement, in the order in which the statements run."""

    rows: defaultdict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def add(self, statement: str, row: Row) -> None:
        self.rows[statement].append(row)

    def extend(self, statement: str, rows: Iterable[Row]) -> None:
        self.rows[statement].extend(rows)

    def write(self, connection: Connection) -> None:
        for statement, rows in self.rows.items():
            run(connection, statement, rows)
