"""Connections, transactions and statements. Problems that pass by themselves become JournalBusy: nothing was
confirmed."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import asyncpg

from bridge.errors import JournalBusy, JournalUnreadable, NotStorable
from bridge.journal.dump import TABLES
from bridge.journal.postgres.durability import check_commits, check_encoding, wait_for_the_disk
from bridge.journal.postgres.place import Connection, Place
from bridge.journal.rows import text

T = TypeVar("T")
VERSION = 3  # of the schema
OLDEST_SERVER = 13  # major version of Postgres
_TRIES = 4  # tries of a transaction
_PLANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Each statement of an order looks up few rows by key. The planner cannot know how few, keeps a plan that it made while
a table was small, and would come to read whole tables. A pooler takes no such settings: see docs/scaling.md."""
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""DATABASE_NOW in a statement: microseconds since 1970 by the clock that all processes share."""
_TABLES = "|".join([*TABLES, "owner"])
_TABLE = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE|DELETE FROM) ({_TABLES})\b")
_CLASHES = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_NOT_STORABLE = (
    *(asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError),
    *(OverflowError, UnicodeEncodeError),
)
"""What is refused for its content (classes 22, 23 and 54 of SQLSTATE), or never leaves the driver."""
_UNPREPARED = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError)


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def schema_script() -> str:
    """Makes all tables of this version, in the schema that is searched first."""
    return _read("schema.sql")


def upgrade_script(version: int) -> str:
    """Makes a journal of the version before into one of this version."""
    return _read(f"upgrade_{version}.sql")


@cache
def statements(schema: str) -> dict[str, str]:
    """Read the statements by name. Every table is named with its schema, so nothing depends on a pooled connection's
    settings."""
    quoted = '"' + schema.replace('"', '""') + '"'
    named = re.split(r"^-- name: (\w+)$", _read("queries.sql"), flags=re.MULTILINE)[1:]
    texts = (
        _TABLE.sub(rf"\1 {quoted}.\2", text).replace("SCHEMA", quoted).replace("DATABASE_NOW", _NOW).strip()
        for text in named[1::2]
    )
    return dict(zip(named[::2], texts, strict=True))


@contextmanager
def _translated_errors(place: Place) -> Iterator[None]:
    """Translate errors. The server's own words may quote a document: only the name of the problem is kept."""
    try:
        yield
    except _UNPREPARED:
        raise JournalUnreadable(
            f"schema {place.schema} of the database is no journal of this version: "
            "run `attribution-bridge journal init`"
        ) from None
    except _NOT_STORABLE as problem:
        raise NotStorable(f"it cannot be stored: the database refuses it ({type(problem).__name__})") from None
    except asyncpg.PostgresError as problem:
        raise JournalBusy(f"the database says {type(problem).__name__} ({problem.sqlstate})") from None
    except TimeoutError:
        raise JournalBusy("the database does not answer in time") from None
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as problem:
        if isinstance(problem, ValueError):  # the driver's own word for an argument that it cannot send
            raise NotStorable(
                f"it cannot be stored: the database's driver refuses it ({type(problem).__name__})"
            ) from None
        raise JournalBusy(f"no connection to the database: {type(problem).__name__}") from None


async def _kept_as_it_is(_connection: Connection) -> None:
    """Reset nothing in the session: no statement leaves anything behind in it. This saves a question to the database
    for each group."""


class Database:
    """A pool of connections to one journal. Made by `connected`."""

    def __init__(self, pool: Any, place: Place) -> None:  # noqa: ANN401  asyncpg has no types
        self._pool = pool
        self.place = place
        self.sql = statements(place.schema)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Take a connection, outside a transaction. Raises JournalBusy, JournalUnreadable."""
        with _translated_errors(self.place):
            async with self._pool.acquire(timeout=self.place.timeout.total_seconds()) as connection:
                yield connection

    async def fetch(self, name: str, *arguments: object) -> list[Any]:
        """All rows of one statement."""
        async with self.connection() as connection:
            given = [text(each) if type(each) is str else each for each in arguments]
            rows: list[Any] = await connection.fetch(self.sql[name], *given)
            return rows

    async def value(self, name: str, *arguments: object) -> Any:  # noqa: ANN401  a cell
        """The first cell. None: there is no row."""
        rows = await self.fetch(name, *arguments)
        return rows[0][0] if rows else None

    async def transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do all of the work or nothing, and again if it clashed with another. After JournalBusy nobody knows which:
        the caller asks again, or finds that it is known."""
        for left in reversed(range(_TRIES)):
            try:
                async with self.connection() as connection, connection.transaction():
                    return await work(connection)
            except JournalBusy as busy:
                if not left or not isinstance(busy.__context__, _CLASHES):
                    raise
        raise AssertionError("the last try returns or raises")


async def _tried(pool: Any, place: Place) -> None:  # noqa: ANN401  asyncpg has no types
    """Try the first connection: the address is read then. What the driver says may quote the address, which may hold
    the password."""
    with _translated_errors(place):
        try:
            async with pool.acquire(timeout=place.timeout.total_seconds()):
                pass
        except ValueError as problem:
            raise JournalUnreadable(
                f"journal.url is no address that the driver takes ({type(problem).__name__}): look at its hosts, its "
                "sslmode and the files of its TLS"
            ) from None


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Database]:
    """Connect to the database. Raises JournalBusy if it cannot be reached, JournalUnreadable if it has no such
    journal."""
    with _translated_errors(place):
        pool = asyncpg.create_pool(
            place.dsn,
            password=place.password,
            min_size=0,
            max_size=place.pool,
            timeout=place.timeout.total_seconds(),
            command_timeout=place.timeout.total_seconds(),
            statement_cache_size=1024 if place.listen else 0,
            init=wait_for_the_disk if place.listen else None,
            reset=_kept_as_it_is,
            server_settings={"application_name": "attribution-bridge", **(_PLANS if place.listen else {})},
        )
        await pool.__aenter__()
    try:
        await _tried(pool, place)
        yield Database(pool, place)
    finally:
        try:
            await asyncio.wait_for(pool.close(), place.timeout.total_seconds())
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()


async def check(database: Database) -> None:
    """Raises JournalUnreadable for a server that is too old or cannot keep the promise, no journal, or one of a newer
    version."""
    async with database.connection() as connection:
        if connection.get_server_version().major < OLDEST_SERVER:
            raise JournalUnreadable(f"Postgres {OLDEST_SERVER} is the oldest that a journal is kept in")
        await check_encoding(connection)
        if not database.place.listen:
            await check_commits(connection)
    found = await version_of(database)
    if found > VERSION:
        raise JournalUnreadable(
            f"the journal was made by a newer version of the bridge (journal version {found}, this one knows {VERSION})"
        )
    if found < VERSION:
        raise JournalUnreadable(
            f"the journal has version {found}, this bridge works with {VERSION}: run `attribution-bridge journal init` "
            "(older replicas may work on meanwhile)"
        )


async def version_of(database: Database) -> int:
    """The version of the journal's tables."""
    async with database.connection() as connection:
        value = await connection.fetchval(database.sql["version"])
        return int(value or b"0")
