"""Each partition has its share of the room: one that waits takes none of another's, and all together stay within it."""

import asyncio

from bridge import telemetry
from bridge.config import read
from bridge.errors import JournalBusy
from bridge.journal.sqlite.disk import DiskGuard
from tests.kafka.orders import create_topic, orders, produce

AVRO = "{topic}: {{tenant: example.myshopify.com, kind: erp_order, lane: = doc.number, values: avro}}"


async def _partitions(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        (told,) = (await answer.json())["streams"]
    return told["partitions"]


async def test_a_registry_that_is_down_holds_its_own_topics_only(
    cluster, topic, running, config_for, environ, delivered, unused_tcp_port
):
    waiting = f"{topic}-avro"
    await create_topic(cluster.bootstrap, waiting, partitions=3)
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, waiting, [(str(number), b"\0\0\0\0\7x") for number in range(600)])
    source = f"registry: {{url: 'http://127.0.0.1:{unused_tcp_port}'}}\n    max_in_flight: 40"
    text = config_for(cluster.bootstrap, topic, source=source)
    text = text.replace(f"      {topic}:", f"      {AVRO.format(topic=waiting)}\n      {topic}:")
    async with running(read(text, environ=environ)) as bridge:

        async def all_wait():
            told = [each for each in await _partitions(bridge) if each["topic"] == waiting]
            return 3 == sum(each["state"].startswith("waiting: no answer from http://127") for each in told)

        await bridge.until(all_wait, seconds=30)
        for round_ in range(3):
            made = orders(f"SO-{round_}", 10)
            await produce(cluster.bootstrap, topic, made.items())
            assert {1} == set((await delivered(made, seconds=30)).values())
        assert all(each["records"] <= 10 for each in await _partitions(bridge))


async def test_a_journal_that_is_full_leaves_large_records_with_the_brokers_and_says_it_once_a_partition(
    cluster, topic, reading, delivered, monkeypatch, log
):
    await create_topic(cluster.bootstrap, topic, partitions=2)
    made = {number: value + b" " * 100_000 for number, value in orders("BIG", 120).items()}
    await produce(cluster.bootstrap, topic, made.items())
    full = True
    monkeypatch.setattr(DiskGuard, "refuses_appends", lambda _: JournalBusy("the disk is full") if full else None)
    async with reading(cluster.bootstrap, topic, source="max_bytes_in_flight: 2097152") as bridge:

        async def both_wait():
            told = await _partitions(bridge)
            return 2 == sum(each["state"] == "waiting: the disk is full" for each in told)

        await bridge.until(both_wait, seconds=30)
        before = len(_waits(log))
        while len(lines := _waits(log)) < before + 4:
            assert sum(each["bytes"] for each in await _partitions(bridge)) <= 2_097_152
            await asyncio.sleep(0.05)
        for partition in (0, 1):
            told = [line["again_in"] for line in lines if line["partition"] == partition]
            assert [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0][: len(told)] == told
        full = False
        assert {1} == set((await delivered(made)).values())


def _waits(log):
    return [line for line in log() if line["event"] == "record.waits"]


async def test_a_record_that_is_larger_than_the_room_is_taken_alone(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1, max_message_bytes="8000000")
    made = {number: value + b" " * 1_500_000 for number, value in orders("HUGE", 3).items()}
    await produce(cluster.bootstrap, topic, made.items(), max_request_size=8_000_000)
    async with reading(cluster.bootstrap, topic, source="max_bytes_in_flight: 1048576"):
        assert {1} == set((await delivered(made)).values())
    assert 0 == telemetry.REGISTRY.get_sample_value(
        "bridge_stream_partition_stopped", {"source": "erp", "topic": topic, "partition": "0"}
    )
