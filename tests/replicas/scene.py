"""The scene of a trial: Postgres, the API, the replicas behind their proxies, and the story of what was done."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlsplit

import asyncpg

from bridge.journal import postgres
from tests.postgres import PostgresServer
from tests.replicas.api import Api
from tests.replicas.journal import Tables
from tests.replicas.judge import Judge
from tests.replicas.plan import Plan
from tests.replicas.proxy import Proxy, Streams
from tests.replicas.replica import Replica


class Scene:
    """Made by `opened`."""

    def __init__(self, server: PostgresServer, place: postgres.Place) -> None:
        self.server = server
        self.place = place
        self.story: list[str] = []
        self.counted: Counter[str] = Counter()
        self.is_calm = False
        """From now on all is well."""
        self.restarting = asyncio.Lock()
        self.everybody: list[Replica] = []
        self.replicas: list[Replica] = []
        """Those that are not gone for good."""
        self.tables: Tables
        self.api: Api
        self.judge: Judge
        self._began = asyncio.get_running_loop().time()

    def now(self) -> float:
        """Seconds since the replicas were there."""
        return asyncio.get_running_loop().time() - self._began

    def begin(self) -> None:
        self._began = asyncio.get_running_loop().time()

    def say(self, what: str) -> None:
        self.story.append(f"{self.now():6.2f} s  {what}")

    async def connected(self) -> Streams:
        """A way to the database."""
        parts = urlsplit(self.server.dsn)
        host = parse_qs(parts.query).get("host", [parts.hostname or ""])[0]
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.5432")
        return await asyncio.open_connection(host, parts.port)

    async def crash_postgres(self, seconds: float) -> None:
        """Postgres ends at once, as in a crash, and is there again so many seconds later."""
        async with self.restarting:
            for replica in self.replicas:
                replica.disturb()
            await asyncio.to_thread(self.server.signal, signal.SIGQUIT)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.server.start)
            for replica in self.replicas:
                replica.disturb()

    async def end(self) -> None:
        """Whatever state it is in."""
        for replica in self.everybody:
            if replica.running is not None and replica.running.returncode is None:
                await replica.kill()


@asynccontextmanager
async def opened(
    seed: int, plan: Plan, folder: Path, server: PostgresServer, place: postgres.Place
) -> AsyncIterator[Scene]:
    """Open it all; the replicas are not started yet."""
    scene = Scene(server, place)
    async with AsyncExitStack() as stack:
        settings = {"search_path": place.schema}
        pool = asyncpg.create_pool(server.dsn, min_size=0, max_size=4, command_timeout=5, server_settings=settings)
        scene.tables = Tables(await stack.enter_async_context(pool))
        scene.judge = Judge(scene.tables, scene.everybody)
        scene.api = await stack.enter_async_context(Api(Random(f"{seed} api"), scene.now, scene.judge.on_arrival))
        stack.push_async_callback(scene.end)
        for number, ahead in enumerate(plan.clocks):
            proxy = await stack.enter_async_context(Proxy(scene.connected))
            scene.everybody.append(
                Replica(number, folder, scene.api.url, place.schema, proxy=proxy, ahead=ahead, now=scene.now)
            )
        scene.replicas = list(scene.everybody)
        yield scene
