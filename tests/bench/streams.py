"""Kafka to HTTP: a topic that is full already, read by the bridge and by a bare loop in turn; broker, sink and all else
on the other core."""

import asyncio
import os
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.orders import orders
from tests.bench.programs import CORES, Program, free_port, get, running
from tests.kafka import broker
from tests.kafka.orders import create_topic, produce

ENVIRON = {"SHOPIFY_SECRET": "bench", "HELLOTEXT_TOKEN": "bench"}
CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
  stream:
    connector: kafka
    brokers: [{address}]
    group: {group}
    topics: {{{topic}: {{tenant: example.myshopify.com, kind: order, lane: = doc.id, version: = doc.updated_at}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "http://127.0.0.1:{sink}"}}
journal: {{path: "{journal}", min_free: 0, ballast: 0, keep: {{keys: 4000d}}}}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: {private}}}
logs: {{style: json}}
"""


@contextmanager
def _cluster() -> Iterator[broker.Cluster]:
    """On the last core, with all compilers."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[-1]})
    try:
        with broker.running(fast=True) as cluster:
            os.sched_setaffinity(0, set(CORES))
            yield cluster
    finally:
        os.sched_setaffinity(0, set(CORES))


def kafka(bench: Any, rules: str) -> None:
    """Until the sink has an event of each order, from the tenth part on: starting is not measured."""
    from tests.bench.__main__ import KNOWN  # noqa: PLC0415 - it imports this module

    rules = (
        KNOWN.replace("text(order.id)", "text(doc.id)").replace("order.", "doc.").replace("doc.placed", "order.placed")
    )
    with _cluster() as cluster:
        for name, milliseconds, partitions in (("at once", 0, 6), ("after 50 ms, one partition", 50, 1)):
            sys.stdout.write(f"kafka to HTTP, one repeatable fact, the API answers {name}\n")
            topic = f"orders-{uuid.uuid4().hex[:8]}"
            asyncio.run(_filled(cluster, topic, partitions, bench.count))
            bare = [_round(bench, cluster, topic, milliseconds) for _ in range(bench.rounds)]
            ours = [_round(bench, cluster, topic, milliseconds, rules=rules) for _ in range(bench.rounds)]
            bench.tell("bare loop", [each["rate"] for each in bare], unit="/s")
            goal = "at least 2500" if not milliseconds else "near 64 / 0.05 s = 1280"
            bench.tell("bridge", [each["rate"] for each in ours], unit="/s", goal=goal)
            bench.tell("processor time of the bare loop", [each["cpu"] for each in bare], unit="us each")
            bench.tell("processor time of the bridge", [each["cpu"] for each in ours], unit="us each")
            middle = statistics.median(each["cpu"] for each in bare)
            bench.tell("processor time: bare / bridge", [middle / each["cpu"] for each in ours])
            bench.tell("memory of the bridge", [each["memory"] for each in ours], unit="MiB", goal="under 150")


async def _filled(cluster: broker.Cluster, topic: str, partitions: int, count: int) -> None:
    await create_topic(cluster.bootstrap, topic, partitions=partitions)
    await produce(cluster.bootstrap, topic, ((str(number), body) for number, body in orders(count)))


def _round(bench: Any, cluster: broker.Cluster, topic: str, milliseconds: int, *, rules: str = "") -> dict[str, float]:
    with bench.sink(milliseconds=milliseconds) as sink:
        if not rules:
            target = f"http://127.0.0.1:{sink}/events|{cluster.broker.address}|{topic}"
            with bench.floor("kafka", target) as program:
                return _watched(program, sink, bench.count)
        private = free_port()
        config: Path = bench.folder / f"{private}.yaml"
        config.write_text(
            CONFIG.format(address=cluster.broker.address, group=f"g{private}", topic=topic, sink=sink,
                          journal=bench.folder / f"{private}.db", private=private) + rules
        )  # fmt: skip
        arguments = ["-m", "bridge", "run", "--config", str(config)]
        with running(arguments, port=private, core=0, environ=ENVIRON) as program:
            return _watched(program, sink, bench.count)


def _watched(program: Program, sink: int, count: int) -> dict[str, float]:
    first = _reached(sink, count // 10)
    started, cpu = time.monotonic(), program.cpu()
    last = _reached(sink, count)
    told = {"rate": (last - first) / (time.monotonic() - started)}
    time.sleep(0.1)
    return {**told, "cpu": (program.cpu() - cpu) / (last - first) * 1e6, "memory": program.memory()}


def _reached(sink: int, wanted: int) -> int:
    until = time.monotonic() + 300
    while (count := int(get(sink, "/count"))) < wanted:
        if time.monotonic() > until:
            raise RuntimeError(f"only {count} of {wanted} orders came")
        time.sleep(0.02)
    return count
