"""One real broker for all tests of this folder, and bridges that read from it."""

import asyncio
import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import aiohttp
import pytest

from bridge.config import read
from bridge.contract import Record
from tests.kafka import broker
from tests.processes import Process

CONFIG = """
sources:
  erp:
    connector: kafka
    brokers: {brokers}
    group: {group}
    commit_every: 200ms
    client: {{session_timeout_ms: 6000, heartbeat_interval_ms: 500, metadata_max_age_ms: 1000{client}}}
    topics:
      {topic}: {{tenant: example.myshopify.com, kind: erp_order, lane: = doc.number, version: = doc.changed{how}}}
    {source}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}", session_patience: 300ms}}
journal: {journal}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: {private}}}
delivery: {{first_wait: 10ms, longest_wait: 200ms, grace: 10s}}
logs: {{style: json}}
include: [kafka/erp]
rules:
  erp_confirmed: false
  erp_cancelled: false
"""


@pytest.fixture(scope="session")
def had() -> Callable:
    """A cluster from here, or a skip with the reason; CI may not skip."""

    def have(entered):
        try:
            return entered()
        except broker.NotHere as reason:
            if os.environ.get("CI") == "true":
                pytest.fail(str(reason))
            pytest.skip(str(reason))

    return have


@pytest.fixture(scope="session")
def cluster(had) -> Iterator[broker.Cluster]:
    """Shared by all tests: each has topics of its own. KAFKA_BOOTSTRAP names one that is there already."""
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        yield SimpleNamespace(bootstrap=given.split(","), broker=None)
        return
    running = broker.running()
    try:
        yield had(running.__enter__)
    finally:
        running.__exit__(None, None, None)


@pytest.fixture
def ours(cluster) -> broker.Cluster:
    """The shared cluster, for a test that kills it: it has to be one that we started."""
    if cluster.broker is None:
        pytest.skip("KAFKA_BOOTSTRAP is somebody's: it is not killed")
    yield cluster
    if cluster.broker.process is None:
        cluster.broker.start()


@pytest.fixture
def topic() -> str:
    return f"orders-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def config_for(sandbox, tmp_path) -> Callable[..., str]:
    """The text of a configuration that reads a topic."""

    def make(
        brokers, topic, *, name="journal", group=None, how="", source="", client="", private=0, journal=None, more=""
    ):
        kept = journal or f'{{path: "{tmp_path / name}.db", min_free: 0, ballast: 0}}'
        text = CONFIG.format(
            brokers=json.dumps(list(brokers)), topic=topic, group=group or f"group-of-{topic}", url=sandbox, how=how,
            journal=kept, source=source, client=client, private=private,
        )  # fmt: skip
        return text + more

    return make


@pytest.fixture
def reading(running, config_for, environ) -> Callable[..., object]:
    """`async with reading(brokers, topic) as bridge`: a bridge in this loop."""

    def make(brokers, topic, *, env=None, **options):
        return running(read(config_for(brokers, topic, **options), environ={**environ, **(env or {})}))

    return make


@pytest.fixture
def delivered(sandbox) -> Callable[..., object]:
    """Waits until the API has an event of each of these orders; gives how many events of each came."""

    async def wait(numbers, *, seconds=90, action="order.placed"):
        wanted = set(numbers)
        async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
            while True:
                counts = await events(session, sandbox, action)
                if wanted <= set(counts):
                    return {number: counts[number] for number in wanted}
                await asyncio.sleep(0.1)

    return wait


async def events(session, url, action):
    """How many accepted events of an action the API has, by order."""
    counts: dict[str, int] = {}
    async with session.get(f"{url}/received") as answer:
        async for line in answer.content:
            told = json.loads(line)
            if told["path"].endswith("/events") and told["status"] == 200 and told["body"]["action"] == action:
                number = told["body"]["object_parameters"]["reference"]
                counts[number] = counts.get(number, 0) + 1
    return counts


@pytest.fixture
async def process(config_for, environ, tmp_path, unused_tcp_port_factory):
    """Makes bridges that are processes; those that are left are ended."""
    made = []

    async def make(brokers, topic, *, name="bridge", **options):
        private = unused_tcp_port_factory()
        text = config_for(brokers, topic, name=name, private=private, **options)
        made.append(Process(tmp_path, name, text, environ, private))
        return await made[-1].start()

    yield make
    for each in made:
        await each.end(signal.SIGKILL)


@pytest.fixture
def record_at() -> Callable[[int], Record]:
    """A record with this offset."""
    at = datetime(2026, 11, 20, tzinfo=UTC)
    return lambda offset: Record(
        source="s", topic="t", partition=0, offset=offset, timestamp=1, at=at, key=None, value=b"{}"
    )
