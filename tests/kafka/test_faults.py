"""Faults, with real processes: after each every order that was produced is at the API, and none is there twice.

An order's event is repeatable (it has a buyer), so after a kill -9 of the bridge itself it may arrive again, which has
no second effect; after a fault of a broker it does not.
"""

import asyncio
import signal

from aiokafka import AIOKafkaConsumer, TopicPartition

from bridge import telemetry
from bridge.config import read
from bridge.errors import JournalBusy
from bridge.journal.postgres import reading as opened_to_read
from bridge.journal.sqlite.disk import DiskGuard
from tests.kafka import broker
from tests.kafka.orders import committed, create_topic, delete_topic, orders, produce, producing


def _value(name, **labels):
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0


async def _load(bootstrap, topic, prefix, stop):
    """Orders without end, each acknowledged; gives their numbers."""
    acknowledged, index = [], 0
    async with producing(bootstrap, request_timeout_ms=60_000) as producer:
        while not stop.is_set():
            made = orders(f"{prefix}-{index}", 10)
            index += 1
            sent = [await producer.send(topic, value, key=number.encode()) for number, value in made.items()]
            await asyncio.gather(*sent)
            acknowledged += made
            await asyncio.sleep(0.02)
    return acknowledged


async def test_a_broker_that_is_absent_at_the_start_closes_no_door_and_is_found_when_it_comes(
    ours, topic, running, config_for, environ, delivered, order
):
    await create_topic(ours.bootstrap, topic)
    made = orders("SO", 20)
    await produce(ours.bootstrap, topic, made.items())
    await asyncio.to_thread(ours.broker.end, signal.SIGTERM)

    shop = (
        "  shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:SHOPIFY_SECRET]}}}\ndestinations:"
    )
    text = config_for(ours.bootstrap, topic).replace("destinations:", shop)
    async with running(read(text, environ=environ)) as bridge:
        await bridge.until(lambda: _state(bridge, "nobody listens there"), seconds=30)
        assert (200, "") == await bridge.post(order()[1])
        async with bridge.session.get(f"{bridge.private}/readyz") as ready:
            assert 200 == ready.status
        await asyncio.to_thread(ours.broker.start)
        assert {1} == set((await delivered(made)).values())
        await bridge.until(lambda: _state(bridge, "reading"), seconds=30)


async def _state(bridge, text):
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        return text in (await answer.json())["streams"][0]["state"]


async def test_a_broker_killed_under_load_and_started_again_loses_and_repeats_nothing(ours, topic, process, delivered):
    await create_topic(ours.bootstrap, topic)
    bridge = await process(ours.bootstrap, topic)
    stop = asyncio.Event()
    load = asyncio.create_task(_load(ours.bootstrap, topic, "SO", stop))
    await delivered(["SO-0-0"])
    await asyncio.to_thread(ours.broker.end, signal.SIGKILL)
    await asyncio.sleep(1)
    await asyncio.to_thread(ours.broker.start)
    await asyncio.sleep(1)
    stop.set()
    acknowledged = await asyncio.wait_for(load, 180)
    assert {1} == set((await delivered(acknowledged)).values())
    assert 0 == await bridge.end()


async def test_one_of_three_brokers_lost_changes_nothing(had, topic, process, delivered):
    running = broker.running(count=3)
    cluster = had(running.__enter__)
    try:
        await create_topic(cluster.bootstrap, topic, copies=3)
        await process(cluster.bootstrap, topic)
        stop = asyncio.Event()
        load = asyncio.create_task(_load(cluster.bootstrap, topic, "SO", stop))
        await delivered(["SO-0-0"])
        await asyncio.to_thread(cluster.brokers[1].end, signal.SIGKILL)
        await asyncio.sleep(4)
        stop.set()
        acknowledged = await asyncio.wait_for(load, 180)
        assert {1} == set((await delivered(acknowledged)).values())
    finally:
        running.__exit__(None, None, None)


async def test_a_topic_that_is_missing_is_said_and_read_as_soon_as_it_is_there(cluster, topic, process, delivered):
    bridge = await process(cluster.bootstrap, topic)
    await bridge.said('"event":"stream.topics_missing"')
    await create_topic(cluster.bootstrap, topic)
    made = orders("SO", 10)
    await produce(cluster.bootstrap, topic, made.items())
    assert {1} == set((await delivered(made)).values())


async def test_a_topic_that_is_deleted_and_made_again_is_read_from_its_beginning(cluster, topic, process, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await process(cluster.bootstrap, topic)
    first, second = orders("FIRST", 30), orders("SECOND", 10)
    await produce(cluster.bootstrap, topic, first.items())
    await delivered(first)
    await committed(cluster.bootstrap, f"group-of-{topic}", topic, len(first))
    await delete_topic(cluster.bootstrap, topic)
    await asyncio.sleep(1)
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, second.items())
    assert {1} == set((await delivered([*first, *second])).values())


async def test_bridges_of_one_group_lose_nothing_when_one_is_killed_in_a_rebalance_and_a_third_joins(
    cluster, topic, process, delivered
):
    await create_topic(cluster.bootstrap, topic, partitions=6)
    early = orders("EARLY", 50)
    first = await process(cluster.bootstrap, topic, name="first", group=topic)
    await produce(cluster.bootstrap, topic, early.items())
    assert {1} == set((await delivered(early)).values())
    await first.settled()
    await committed(cluster.bootstrap, topic, topic, len(early))
    stop = asyncio.Event()
    load = asyncio.create_task(_load(cluster.bootstrap, topic, "SO", stop))
    second = await process(cluster.bootstrap, topic, name="second", group=topic)
    await first.said('"event":"stream.revoked"')
    await first.end(signal.SIGKILL)
    await process(cluster.bootstrap, topic, name="third", group=topic)
    await second.said('"event":"record.received"')
    await second.said('"event":"stream.group_shared"')
    stop.set()
    acknowledged = await asyncio.wait_for(load, 180)
    await first.start()  # its journal still has what it took and did not send
    counts = await delivered([*early, *acknowledged])
    assert {1} == {counts[number] for number in early}


async def test_replicas_of_one_group_over_one_journal_store_each_record_once_whoever_is_killed(
    cluster, topic, process, delivered, postgres_place, monkeypatch
):
    monkeypatch.setenv("DATABASE", postgres_place.dsn)
    journal = f"{{kind: postgres, url: env:DATABASE, schema: {postgres_place.schema}, lease: 2s, poll: 1s}}"
    await create_topic(cluster.bootstrap, topic, partitions=6)
    replicas = [
        await process(cluster.bootstrap, topic, name=name, group=topic, journal=journal) for name in ("first", "second")
    ]
    stop = asyncio.Event()
    load = asyncio.create_task(_load(cluster.bootstrap, topic, "SO", stop))
    for replica in replicas:
        await replica.said('"event":"record.received"')
    await replicas[0].end(signal.SIGKILL)
    third = await process(cluster.bootstrap, topic, name="third", group=topic, journal=journal)
    await third.said('"event":"record.received"')
    stop.set()
    acknowledged = await asyncio.wait_for(load, 180)
    await delivered(acknowledged)
    assert "stream.group_shared" not in third.log.read_text()
    async with opened_to_read(postgres_place) as kept:
        async with asyncio.timeout(60):
            while (stats := await kept.stats()).waiting:
                await asyncio.sleep(0.1)
        assert len(acknowledged) == stats.envelopes == stats.lanes
        assert {("hellotext", "delivered"): len(acknowledged)} == dict(stats.facts)


async def test_a_bridge_that_was_frozen_past_its_session_comes_back_and_loses_nothing(
    cluster, topic, process, delivered
):
    await create_topic(cluster.bootstrap, topic)
    bridge = await process(cluster.bootstrap, topic)
    stop = asyncio.Event()
    load = asyncio.create_task(_load(cluster.bootstrap, topic, "SO", stop))
    await delivered(["SO-0-0"])
    bridge.send(signal.SIGSTOP)
    await asyncio.sleep(8)
    bridge.send(signal.SIGCONT)
    await asyncio.sleep(1)
    stop.set()
    acknowledged = await asyncio.wait_for(load, 180)
    assert {1} == set((await delivered(acknowledged)).values())
    assert 0 == await bridge.end()


async def _commit(cluster, topic, group, offset):
    """As another tool might: a position that the log does not have."""
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): offset})
    finally:
        await consumer.stop()


async def test_a_position_that_the_log_does_not_have_stops_the_partition_with_the_choice(
    cluster, topic, reading, delivered
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    made = orders("SO", 5)
    await produce(cluster.bootstrap, topic, made.items())
    await _commit(cluster, topic, "lost", 1000)
    async with reading(cluster.bootstrap, topic, group="lost") as bridge:

        async def stopped():
            async with bridge.session.get(f"{bridge.private}/status") as answer:
                partitions = (await answer.json())["streams"][0]["partitions"]
            return partitions and "on_lost_position: earliest" in partitions[0]["state"]

        await bridge.until(stopped, seconds=30)
        assert 1 == _value("bridge_stream_partition_stopped", source="erp", topic=topic, partition="0")
        assert [] == await bridge.received()
    async with reading(cluster.bootstrap, topic, group="lost", source="on_lost_position: earliest"):
        assert {1} == set((await delivered(made)).values())


async def test_a_journal_that_is_full_makes_the_source_wait_and_nothing_is_committed(
    cluster, topic, reading, delivered, monkeypatch
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    made = orders("SO", 50)
    await produce(cluster.bootstrap, topic, made.items())
    full = True
    monkeypatch.setattr(DiskGuard, "refuses_appends", lambda _: JournalBusy("the disk is full") if full else None)
    async with reading(cluster.bootstrap, topic, source="max_in_flight: 10") as bridge:
        waits = _value("bridge_record_waits_total", source="erp")
        await bridge.until(lambda: _later(_value("bridge_record_waits_total", source="erp") > waits), seconds=30)
        async with bridge.session.get(f"{bridge.private}/status") as answer:
            assert [0] == [each["position"] for each in (await answer.json())["streams"][0]["partitions"]]
        full = False
        assert {1} == set((await delivered(made)).values())


async def _later(value):
    return value


async def test_a_bridge_stops_cleanly_while_the_broker_is_down(ours, topic, process, delivered):
    await create_topic(ours.bootstrap, topic)
    bridge = await process(ours.bootstrap, topic)
    made = orders("SO", 10)
    await produce(ours.bootstrap, topic, made.items())
    await delivered(made)
    await asyncio.to_thread(ours.broker.end, signal.SIGKILL)
    assert 0 == await bridge.end()
    assert "Traceback" not in bridge.log.read_text()
    assert '"event":"service.stopped"' in bridge.log.read_text()


async def test_what_was_stored_and_not_committed_is_known_when_it_is_read_again(cluster, topic, process, delivered):
    await create_topic(cluster.bootstrap, topic)
    bridge = await process(cluster.bootstrap, topic)
    bridge.config.write_text(bridge.config.read_text().replace("commit_every: 200ms", "commit_every: 1h"))
    await bridge.end()
    await bridge.start()
    made = orders("SO", 30)
    await produce(cluster.bootstrap, topic, made.items())
    await delivered(made)
    await bridge.settled()
    await bridge.end(signal.SIGKILL)
    bridge.log.write_text("")
    await bridge.start()
    await bridge.said('"result":"known"')
    assert {1} == set((await delivered(made)).values())
