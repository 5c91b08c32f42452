"""Topics, and orders in another company's shape in them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

EXAMPLE = Path(__file__).parents[2] / "connectors" / "kafka" / "examples" / "erp_order.json"
_PATIENCE = 60.0


def an_order(number: str, **changes: object) -> bytes:
    """Placed and paid just now, by a buyer of its own."""
    now = datetime.now(UTC).isoformat()
    order = json.loads(EXAMPLE.read_text())
    order |= {"number": number, "changed": now, "placed_at": now, "paid_at": now, "web_session": None}
    order["buyer"] |= {"mail": f"buyer-{number.lower()}@example.com", "tel": None}
    return json.dumps({**order, **changes}).encode()


def orders(prefix: str, count: int) -> dict[str, bytes]:
    return {number: an_order(number) for number in (f"{prefix}-{index}" for index in range(count))}


@asynccontextmanager
async def administering(bootstrap: Sequence[str]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(bootstrap))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_topic(bootstrap, name, *, partitions=3, copies=1, **configs):
    """Until it is there: a broker that has just started, or has just deleted it, may need a moment."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            async with administering(bootstrap) as admin:
                topic = NewTopic(
                    name, partitions, copies, topic_configs={k.replace("_", "."): v for k, v in configs.items()}
                )
                (answer,) = (await admin.create_topics([topic])).topic_errors
            if answer[1] in (0, 36):
                return
            raise for_code(answer[1])(answer[2])
        except KafkaError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


async def delete_topic(bootstrap, name):
    async with administering(bootstrap) as admin:
        await admin.delete_topics([name])


async def committed(bootstrap, group, topic, count):
    """Waits until the group's positions in a topic that begins at 0 say that so many records are stored."""
    async with administering(bootstrap) as admin, asyncio.timeout(_PATIENCE):
        stored = 0
        while stored < count:
            positions = await admin.list_consumer_group_offsets(group)
            stored = sum(found.offset for place, found in positions.items() if place.topic == topic)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def producing(bootstrap, **options):
    producer = AIOKafkaProducer(
        bootstrap_servers=list(bootstrap), acks="all", enable_idempotence=True, max_batch_size=262_144, **options
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def produce(bootstrap, topic, records: Iterable[tuple[str | None, bytes | None]], **options):
    """All of them, acknowledged."""
    async with producing(bootstrap, **options) as producer:
        sent = [await producer.send(topic, value, key=None if key is None else key.encode()) for key, value in records]
        await asyncio.wait_for(asyncio.gather(*sent), _PATIENCE)
