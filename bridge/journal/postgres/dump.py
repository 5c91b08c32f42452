"""A journal in Postgres read out into one file, and an empty one filled from such a file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from bridge.errors import JournalError, JournalInUse
from bridge.journal.doubt import DOUBTFUL, RESTORED
from bridge.journal.dump import PAGE, TABLES
from bridge.journal.postgres.database import Database, check, connected
from bridge.journal.postgres.place import Connection, Place
from bridge.journal.rows import Row

_TEXTS = frozenset({"dest", "fact", "once", "rule", "reason", "source", "kind", "name", "former", "topic"})
_INSTEAD = {"due": "CASE WHEN owner IS NULL THEN due ELSE claimed END AS due"}
_IDENTITIES = (("lane", "n"), ("envelope", "seq"))


class _Export:
    """Implements ExportSource: one transaction is one moment."""

    def __init__(self, connection: Connection, place: Place, *, whole: bool) -> None:
        self._connection = connection
        self._schema = place.schema
        self.whole = whole

    def named(self, table: str) -> str:
        """The table with its schema."""
        return f'"{self._schema}".{table}'

    async def count(self) -> int:
        counts = [await self._connection.fetchval(f"SELECT count(*) FROM {self.named(t)}") for t in TABLES]  # noqa: S608
        return int(sum(counts))

    async def pages(self, table: str) -> AsyncIterator[Sequence[Row]]:
        columns = ", ".join(_INSTEAD.get(column, column) for column in TABLES[table].columns)
        key = ", ".join(f'{column} COLLATE "C"' if column in _TEXTS else column for column in TABLES[table].key)
        only = " WHERE name <> 'version'" if table == "meta" else ""
        query = f"SELECT {columns} FROM {self.named(table)}{only} ORDER BY {key}"  # noqa: S608  of our own tables
        rows: list[Row] = []
        async for row in self._connection.cursor(query, prefetch=PAGE, timeout=None):
            rows.append(tuple(row))
            if len(rows) == PAGE:
                yield rows
                rows = []
        if rows:
            yield rows


class _Import(_Export):
    """Implements ImportTarget."""

    async def put(self, table: str, rows: Sequence[Row]) -> None:
        if table == "meta":
            for name, value in rows:
                await self._connection.execute(
                    f"INSERT INTO {self.named('meta')} VALUES ($1, $2) ON CONFLICT (name) DO UPDATE "  # noqa: S608
                    "SET value = excluded.value",
                    name,
                    value,
                )
            return
        columns = list(TABLES[table].columns)
        if table == "turn":
            columns, rows = [*columns, "docs"], [(*row, 0) for row in rows]
        await self._connection.copy_records_to_table(
            table, schema_name=self._schema, columns=columns, records=rows, timeout=None
        )

    async def doubt(self) -> None:
        newest = await self._connection.fetchval(f"SELECT coalesce(max(seq), 0) FROM {self.named('envelope')}")  # noqa: S608
        await self.put("meta", [(DOUBTFUL, str(newest).encode()), (RESTORED, b"")])
        await self._connection.execute(f"UPDATE {self.named('position')} SET doubtful = 1")  # noqa: S608

    async def finish(self) -> None:
        turn, work, fact = self.named("turn"), self.named("work"), self.named("fact")
        await self._connection.execute(
            f"UPDATE {turn} t SET docs = (SELECT count(*) FROM {work} w WHERE w.dest = t.dest AND w.lane = t.lane)"  # noqa: S608
        )
        await self._connection.execute(
            f"UPDATE {fact} SET state = 'uncertain', reason = 'ended in flight' WHERE state = 'departed'"  # noqa: S608
        )
        for table, column in _IDENTITIES:
            await self._connection.execute(
                f"SELECT setval(pg_get_serial_sequence($1, $2), greatest(max({column}), 1)) FROM {self.named(table)}",  # noqa: S608
                self.named(table),
                column,
            )


@asynccontextmanager
async def exporting(place: Place) -> AsyncIterator[_Export]:
    """The journal of one moment; whole where no replica works with it."""
    async with connected(_patient(place)) as database:
        await check(database)
        async with database.connection() as connection, connection.transaction(isolation="repeatable_read"):
            working = await connection.fetchval(f'SELECT count(*) FROM "{place.schema}".owner')  # noqa: S608
            yield _Export(connection, place, whole=not working)


@asynccontextmanager
async def importing(place: Place) -> AsyncIterator[_Import]:
    """Open an empty journal, which is filled as a whole or not at all. Raises JournalError if it is not empty."""
    async with connected(_patient(place)) as database:
        await check(database)
        await _refuse_full(database)
        async with database.connection() as connection, connection.transaction():
            target = _Import(connection, place, whole=True)
            yield target
            await target.finish()


async def doubt(place: Place) -> None:
    """Mark a journal that was put back by other means and that nobody works with yet. Raises JournalInUse if somebody
    does."""
    async with connected(place) as database:
        await check(database)
        async with database.connection() as connection, connection.transaction():
            target = _Import(connection, place, whole=True)
            await connection.execute(f"LOCK TABLE {target.named('owner')} IN EXCLUSIVE MODE")
            # Leases may be those of the database as it was. Such leases end by themselves.
            if await connection.fetchval(f"SELECT count(*) FROM {target.named('owner')} WHERE until > now()"):  # noqa: S608
                raise JournalInUse(
                    f"a bridge works with the journal in schema {place.schema}, or did until a moment ago: stop it, "
                    "wait until its lease has ended, and say it again"
                )
            await target.doubt()


def _patient(place: Place) -> Place:
    """The same place with a patient timeout: one statement may take as long as a large table takes."""
    return replace(place, timeout=timedelta(hours=2))


async def _refuse_full(database: Database) -> None:
    if await database.fetch("lanes_after", 0, 1):
        raise JournalError(
            f"schema {database.place.schema} holds a journal already: name another schema, and `journal init` it"
        )
