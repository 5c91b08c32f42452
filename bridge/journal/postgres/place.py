"""The place of a journal in Postgres, and how to connect to it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

Connection: TypeAlias = Any
"""An asyncpg connection, from the pool or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One journal: a schema of a database.

    dsn       postgres://user@host:port/database?sslmode=...; may hold the password
    password  goes before that of the dsn
    pool      connections that one process uses at most, besides one that listens
    timeout   for one statement, and for getting a connection
    lease     a process that does not renew it for so long has lost its lanes
    listen    LISTEN/NOTIFY wakes the workers of other processes, and statements are prepared once; False: neither, as a
              pooler in transaction mode needs it
    poll      seconds between two looks at what other processes may have left
    """

    dsn: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    schema: str
    pool: int
    timeout: timedelta
    lease: timedelta
    listen: bool
    poll: timedelta
