"""Wake other processes: NOTIFY outside of every transaction, at most twenty times a second, and a calm look.

A lost notification costs at most `poll`: the look is what counts, and the notification makes it soon.
"""

import asyncio
from collections.abc import Callable

import asyncpg

from bridge.errors import JournalError
from bridge.journal.postgres.database import Database

DECIDED = "decided"
"""The news that a person has decided something; all other news is empty."""

_APART = 0.05  # seconds between two notifications
_LISTEN_AGAIN = 2.0  # seconds


class Notifications:
    """The notifications between processes. `changed` is called, with the news, whenever another process may have left
    something that is due."""

    def __init__(self, database: Database, changed: Callable[[str], None]) -> None:
        self._database = database
        self._changed = changed
        self._channel = f"bridge {database.place.schema}"
        self._news = asyncio.Event()
        self._pending = ""

    def notify(self, news: str = "") -> None:
        """Notify other processes soon."""
        self._pending = news or self._pending
        self._news.set()

    async def notify_now(self, news: str) -> None:
        """Notify other processes now, before a command ends. A process that misses it looks by itself."""
        if self._database.place.listen:
            async with self._database.connection() as connection:
                await connection.execute("SELECT pg_notify($1, $2)", self._channel, news)

    async def notifying(self) -> None:
        """Run until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            news, self._pending = self._pending, ""
            try:
                await self.notify_now(news)
            except JournalError:
                await asyncio.sleep(_LISTEN_AGAIN)
            await asyncio.sleep(_APART)

    async def listening(self) -> None:
        """Run until cancelled. A connection that is lost is made again."""
        place = self._database.place
        while place.listen:
            try:
                connection = await asyncpg.connect(place.dsn, password=place.password, timeout=_LISTEN_AGAIN)
                gone = asyncio.Event()
                connection.add_termination_listener(lambda _connection, gone=gone: gone.set())
                try:
                    await connection.add_listener(self._channel, lambda *heard: self._changed(heard[-1]))
                    self._changed(DECIDED)  # or something else that was told meanwhile
                    await gone.wait()
                finally:
                    connection.terminate()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pass  # the calm look goes on; what is wrong with the database is told by whoever needs an answer
            await asyncio.sleep(_LISTEN_AGAIN)
