"""The journal as the judge sees it: by its tables, over a connection of its own that nobody disturbs."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from tests.world.oracle import NEVER, once_of

_NEVER = 1 << 62
"""The due of a lane that is held, or in flight, in microseconds."""

_TABLES = {
    "lane": "n, name",
    "envelope": "seq, lane, id",
    "work": "dest, lane, seq",
    "turn": "dest, lane, due, held, docs, owner",
    "fact": "lane, dest, fact, once, state, reason",
    "hold": "dest, rule",
    "verdict": "lane, seq, dest, rule, reason",
    "attempt": "lane, seq, dest, at, fact, reason, detail",
}
_PROBLEMS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_PATIENCE = 400  # tries, a tenth of a second apart


class Tables:
    """The tables of one journal."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def ask(self, query: str, *arguments: object) -> Sequence[Any]:
        """The rows, when the database answers."""
        for left in reversed(range(_PATIENCE)):
            try:
                return await self._pool.fetch(query, *arguments)
            except _PROBLEMS:
                if not left:
                    raise
                await asyncio.sleep(0.1)
        raise AssertionError("the last try returns or raises")

    async def states(self, order: str) -> dict[tuple[str, str], str]:
        """The state of each fact of an order."""
        rows = await self.ask("SELECT fact, once, state FROM fact JOIN lane ON n = lane WHERE name = $1", order)
        return {(fact, once_of(once)): state for fact, once, state in rows}

    async def waiting(self) -> list[str]:
        """What still waits and is not held by a hold that there is, or is on its way."""
        rows = await self.ask(
            "SELECT name, due, held, owner FROM turn t JOIN lane ON n = t.lane "
            "WHERE NOT EXISTS (SELECT 1 FROM hold h WHERE h.dest = t.dest AND h.rule = t.held AND t.owner IS NULL)"
        )
        told = [f"the order {name} waits (due {due}, held {held}, owner {owner})" for name, due, held, owner in rows]
        departed = await self.ask("SELECT name, fact FROM fact f JOIN lane ON n = f.lane WHERE state = 'departed'")
        return told + [
            f"{fact} of the order {name} departed, and nobody says what became of it" for name, fact in departed
        ]

    async def copied(self, path: Path) -> None:
        """Copy what the oracle of the world looks at into a file of SQLite, as that would be in one."""
        with sqlite3.connect(path) as copy:
            for table, columns in _TABLES.items():
                rows = [tuple(row) for row in await self.ask(f"SELECT {columns} FROM {table}")]
                if table == "turn":
                    rows = [(*row[:2], _due(row[2], row[5]), *row[3:]) for row in rows]
                copy.execute(f"CREATE TABLE {table} ({columns})")
                marks = ", ".join("?" for _ in columns.split(","))
                copy.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        copy.close()

    async def told(self, order: str) -> list[str]:
        """All that the tables say of an order."""
        said = []
        for table, columns in _TABLES.items():
            if "lane" in columns.split(", "):
                of_lane = f"SELECT {columns} FROM {table} WHERE lane IN (SELECT n FROM lane WHERE name = $1)"
                said += [f"{table}: {dict(row)}" for row in await self.ask(of_lane, order)]
        return said


def _due(due: int, owner: int | None) -> int:
    """As SQLite has it: beyond all times if it is held; what is in flight is due."""
    if owner is not None:
        return 0
    return NEVER if due == _NEVER else due
