"""Kafka for a person to see: a broker, a topic of orders in another company's shape, a bridge with rules for it, the
broker killed and started again on the way, and an account in which every order is accounted for.

Usage: python -m tests.kafka.show [ORDERS]     exits 1 if an order is missing or arrived twice
"""

import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp

from bridge import registry
from bridge.contract import State
from bridge.journal import Selection
from bridge.journal.sqlite import reading
from tests.kafka import broker
from tests.kafka.orders import an_order, create_topic, produce, producing
from tests.processes import Process

TOPIC = "erp.orders"
CONFIG = """
sources:
  erp:
    connector: kafka
    brokers: [{address}]
    group: attribution-bridge
    topics:
      erp.orders:
        tenant: erp.example
        kind: erp_order
        lane: = doc.number
        version: = doc.changed
        aliases: {{customer: = doc.buyer.id, email: = doc.buyer.mail}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}"}}
journal: {{path: "{journal}", min_free: 0}}
private: {{port: {private}}}
logs: {{style: json}}
include: [kafka/erp]
"""
_PATIENCE = 300


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(count: int) -> int:
    """Gives the exit code."""
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="run-kafka-")))
        cluster = await asyncio.to_thread(stack.enter_context, broker.running())
        say(f"Apache Kafka {broker.VERSION} serves at {cluster.broker.address}")
        url = await stack.enter_async_context(registry.sandbox("hellotext").serving("127.0.0.1", 0))
        (private,) = broker.free_ports(1)
        text = CONFIG.format(address=cluster.broker.address, url=url, journal=folder / "journal.db", private=private)
        bridge = Process(folder, "bridge", text, {"HELLOTEXT_TOKEN": "show"}, private)
        await create_topic(cluster.bootstrap, TOPIC, partitions=6)
        await bridge.start()
        say(f"the bridge reads {TOPIC} and sends to the stand-in of the attribution API at {url}")
        try:
            numbers = await _produced(cluster, count)
            await _all_known(folder / "journal.db", numbers)
        except TimeoutError:
            say(bridge.log.read_text())
            say(f"after {_PATIENCE} s there are orders that nobody has read, or that wait; above is the bridge's log")
        finally:
            await bridge.end(signal.SIGTERM)
        code = await _account(folder / "journal.db", numbers, await _received(url))
    say(f"it took {time.monotonic() - started:.0f} s")
    return code


def _orders(count: int) -> Mapping[str, bytes]:
    """Most are whole; of each fifty one has a buyer whom nobody can name."""
    nobody = {"buyer": {"id": None}}
    return {
        number: an_order(number, **(nobody if index % 50 == 49 else {}))
        for index, number in enumerate(f"SO-{each}" for each in range(100_000, 100_000 + count))
    }


async def _produced(cluster: broker.Cluster, count: int) -> Mapping[str, bytes]:
    """All acknowledged by the broker; half before it is killed, half while it is away and after."""
    orders = _orders(count)
    names = list(orders)
    half = len(names) // 2
    await produce(cluster.bootstrap, TOPIC, [(name, orders[name]) for name in names[:half]])
    await produce(cluster.bootstrap, TOPIC, [("bad", b"{this is no order"), (names[0], None)])
    say(f"{half} orders produced, and one record that nobody can read, and one tombstone")
    async with producing(cluster.bootstrap, request_timeout_ms=120_000) as producer:
        sent = [await producer.send(TOPIC, orders[name], key=name.encode()) for name in names[half : half + 50]]
        await asyncio.to_thread(cluster.broker.end, signal.SIGKILL)
        say("the broker is killed (SIGKILL), with orders on their way to it")
        await asyncio.to_thread(cluster.broker.start)
        say("the broker is up again")
        sent += [await producer.send(TOPIC, orders[name], key=name.encode()) for name in names[half + 50 :]]
        await asyncio.wait_for(asyncio.gather(*sent), _PATIENCE)
    say(f"{count} orders produced in all, each acknowledged by the broker")
    return orders


async def _all_known(journal: Path, numbers: Mapping[str, bytes]) -> None:
    """Until each order is there and nothing of any waits."""
    async with asyncio.timeout(_PATIENCE), reading(journal) as kept:
        while True:
            are_there = all([await kept.find(number) for number in numbers])
            if are_there and not sum((await kept.stats()).waiting.values()):
                return
            await asyncio.sleep(0.2)


async def _received(url: str) -> Counter[tuple[str, str]]:
    """How often the API accepted each action of each order."""
    counts: Counter[tuple[str, str]] = Counter()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/received") as answer:
        async for line in answer.content:
            told = json.loads(line)
            if told["path"].endswith("/events") and told["status"] == 200:
                body = told["body"]
                counts[body["object_parameters"]["reference"], body["action"]] += 1
    return counts


async def _account(journal: Path, numbers: Mapping[str, bytes], received: Counter[tuple[str, str]]) -> int:
    ends: Counter[str] = Counter()
    missing = []
    async with reading(journal) as kept:
        for number in numbers:
            at_api = all(received[number, action] for action in ("order.placed", "order.confirmed"))
            end = "placed and confirmed at the API" if at_api else await _in_journal(kept, number)
            ends[end or "missing"] += 1
            missing += [] if end else [number]
        dead = [fact async for fact in kept.parked(Selection(state=State.DEAD))]
    twice = sorted({order for (order, _), times in received.items() if times > 1})
    say("the account:")
    for end, times in sorted(ends.items()):
        say(f"  {times:>6}  {end}")
    for fact in dead:
        say(f"  dead, kept with its bytes: {fact.detail}")
    say(f"  arrived twice: {len(twice)}; missing: {len(missing)}")
    good = not twice and not missing and len(dead) == 1 and sum(ends.values()) == len(numbers)
    say(
        f"every one of {len(numbers)} orders is accounted for"
        if good
        else f"NOT accounted for: {(missing + twice)[:20]}"
    )
    return 0 if good else 1


async def _in_journal(kept, number: str) -> str:
    """The visible state of an order that is not at the API; empty for none."""
    for lane in await kept.find(number):
        story = await kept.story(lane)
        told = {f"skipped: {skip['reason']}" for skip in story.skips} | {
            f"{fact['state']}: {fact['reason']}" for fact in story.facts
        }
        return ", ".join(sorted(told - {"skipped: not true"}))
    return ""


if __name__ == "__main__":
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the one who produces, while the broker is away
    os.environ.setdefault("BRIDGE_CACHE", str(broker.ROOT / ".cache"))
    with suppress(KeyboardInterrupt):
        try:
            sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)))
        except broker.NotHere as reason:
            sys.exit(str(reason))
