"""A shop on this machine, the errands of a source that asks it, and a performer that does them without waiting."""

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from bridge import telemetry
from bridge.cli.sender import example
from bridge.config import read
from bridge.errand import Note, Page, Wait
from bridge.fact_names import united_names
from bridge.jobs.account import Accountant
from bridge.jobs.errands import Handlers, performing
from connectors.shopify.admin import made
from tests.jobs.shop import serving

NOW = datetime(2026, 11, 20, 13, 30, tzinfo=UTC)
SOURCE = """
sources:
  shop:
    connector: shopify
    address: "{address}"
    shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET], access: {access}}}}}
    upkeep: {{url: "{url}"{upkeep}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{api}", session_patience: 300ms}}
journal: {journal}
door: {{host: 127.0.0.1, port: {port}}}
private: {{port: 0}}
delivery: {{first_wait: 10ms, longest_wait: 50ms, grace: 5s}}
include: [shopify/default]
"""
ENVIRON = {
    "SHOPIFY_SECRET": "shhh",
    "HELLOTEXT_TOKEN": "token-of-the-tests",
    "SHOPIFY_TOKEN": "shpat_lasting",
    "CLIENT_SECRET": "client-secret",
}
LASTING = "{token: env:SHOPIFY_TOKEN}"
GRANTED = "{client_id: the-app, client_secret: env:CLIENT_SECRET}"


@pytest.fixture
async def fake():
    """The shop."""
    async with serving() as shop:
        yield shop


@pytest.fixture
def text_of(fake, tmp_path):
    """The configuration of a bridge for the shop."""

    kept = f'{{path: "{tmp_path / "journal.db"}", min_free: 0, ballast: 0}}'

    def make(
        *,
        access=LASTING,
        address="http://127.0.0.1:9/webhooks/shop",
        upkeep="",
        api="http://127.0.0.1:9",
        port=0,
        journal=kept,
    ):
        return SOURCE.format(
            access=access,
            address=address,
            url=fake.url,
            upkeep=upkeep,
            api=api,
            journal=journal,
            port=port,
        )

    return make


@pytest.fixture
def settings_of(text_of):
    def make(*, environ=ENVIRON, **more):
        return read(text_of(**more), environ=environ)

    return make


@pytest.fixture
def errands(settings_of):
    """The errands of the source `shop`."""
    return lambda **more: made("shop", settings_of(**more).sources["shop"])


class Done:
    """Does errands at once; remembers what was waited for, noted and found."""

    def __init__(self, performer):
        self.performer = performer
        self.waits, self.pages = [], []
        self.notes = []

    @property
    def documents(self):
        return [document for page in self.pages for document in page.documents]

    async def __call__(self, errand, *, offered=None):
        async def page(found: Page):
            self.pages.append(found)

        handlers = Handlers(page=page, **({"offered": offered} if offered else {}))
        return await self.performer.perform(self._watched(errand), handlers)

    def _watched(self, errand):
        """Waits are noted instead of waited."""
        answer, problem = None, None
        while True:
            try:
                step = errand.throw(problem) if problem else errand.send(answer)
            except StopIteration as end:
                return end.value
            answer, problem = None, None
            if isinstance(step, Wait):
                self.waits.append((step.span, step.because))
                continue
            if isinstance(step, Note):
                self.notes.append(step.text)
            try:
                answer = yield step
            except Exception as raised:  # noqa: BLE001  handed on
                problem = raised


@pytest.fixture
async def do():
    async with performing() as performer:
        yield Done(performer)


@pytest.fixture
def free_port():
    def found():
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]

    return found


@pytest.fixture
def events():
    """The log's events of a name, so far."""
    stream = io.TextIOWrapper(io.BytesIO())
    telemetry.set_up(stream=stream, style="json")

    async def found(name):
        lines = [json.loads(line) for line in stream.buffer.getvalue().splitlines() if name.encode() in line]
        return [line for line in lines if line["event"] == name]

    yield found
    telemetry.set_up(level="warning", style="text")


@pytest.fixture
def an_order():
    """The contract's own order, with another id."""
    document = json.loads(example("shopify", "order.json"))

    def make(number=1, **changes):
        order_id = 6042000000000 + number
        made = {
            **document,
            "id": order_id,
            "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
            "name": f"#{number}",
        }
        return made | changes

    return make


@pytest.fixture
def put(fake, an_order):
    """Orders of the shop, a minute between their changes, the last one at NOW."""

    def make(count, **changes):
        return [
            fake.put(an_order(number, **changes), at=NOW - timedelta(minutes=count - number))
            for number in range(1, count + 1)
        ]

    return make


@pytest.fixture
def typed():
    """Types a command in a process of its own; exit code, stdout, stderr."""

    async def run(*words):
        environ = {**os.environ, **ENVIRON}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge",
            *map(str, words),
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    return run


@pytest.fixture
def account(errands, do):
    async def make(bridge):
        work = Accountant(
            journal=bridge.house.journal,
            rules=bridge.settings.rules,
            outlets=bridge.settings.destinations,
            source="shop",
            tenant="example.myshopify.com",
            united=await united_names(bridge.house.journal),
        )
        now = datetime.now(UTC)
        return await work.made(errands(), do.performer, since=now - timedelta(days=2), until=now, now=now)

    return make
