"""What a real log holds beside good records: damage, broken records, transactions. One partition has it, not all."""

import asyncio
import json
import struct
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from bridge import telemetry
from bridge.contract import State
from bridge.intake import stream
from bridge.journal import Selection
from tests.kafka.orders import administering, an_order, create_topic, orders, produce, producing


def _value(name, **labels):
    return telemetry.REGISTRY.get_sample_value(name, labels)


async def _state(bridge, topic):
    """What /status says of the topic: state by partition."""
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        (told,) = (await answer.json())["streams"]
    return {each["partition"]: each for each in told["partitions"] if each["topic"] == topic}


def _in(partition, text, bridge, topic):
    async def found():
        return text in (await _state(bridge, topic)).get(partition, {}).get("state", "")

    return found


def _at(position, bridge, topic, partition=0):
    async def found():
        told = (await _state(bridge, topic)).get(partition)
        return told is not None and told["position"] == position

    return found


async def _lag(bridge, topic, wanted, partition="0"):
    labels = {"source": "erp", "topic": topic, "partition": partition}

    async def found():
        told = (await _state(bridge, topic)).get(int(partition), {}).get("lag")
        return wanted == told == _value("bridge_stream_lag_records", **labels)

    await bridge.until(found, seconds=30)


async def _send_raw(bootstrap, topic, partition, change, *values):
    """A batch of these values with its bytes changed, sealed again: what other clients can write and ours cannot."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for number, (key, value) in enumerate(values):
        builder.append(number, timestamp=1000, key=key.encode(), value=value, headers=[("name", b"x")])
    batch = change(bytes(builder.build()))
    batch = batch[:17] + struct.pack(">I", calc_crc32c(batch[21:])) + batch[21:]
    client = AIOKafkaClient(bootstrap_servers=list(bootstrap))
    await client.bootstrap()
    try:
        await client._wait_on_metadata(topic)
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer = await client.send(leader, ProduceRequest(None, -1, 10_000, [(topic, [(partition, batch)])]))
        assert 0 == answer.topics[0][1][0][1]
    finally:
        await client.close()


async def _send_to(bootstrap, topic, partition, made):
    async with producing(bootstrap) as producer:
        for number, value in made.items():
            await producer.send_and_wait(topic, value, key=number.encode(), partition=partition)


async def test_a_header_whose_name_is_no_utf_8_stops_nothing(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=2)
    first, other = orders("FIRST", 3), orders("OTHER", 3)
    await _send_to(cluster.bootstrap, topic, 0, first)
    await _send_raw(
        cluster.bootstrap, topic, 0, lambda batch: batch.replace(b"name", b"n\xffme"), ("ODD-1", an_order("ODD-1"))
    )
    await _send_to(cluster.bootstrap, topic, 0, {"LAST": an_order("LAST")})
    await _send_to(cluster.bootstrap, topic, 1, other)
    async with reading(cluster.bootstrap, topic) as bridge:
        assert {1} == set((await delivered([*first, *other, "ODD-1", "LAST"])).values())
        assert [] == [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]


def _on_disk(cluster, topic, old, new):
    """The broker has other bytes in its log from now on, as a bad disk would: it does not look at them."""
    path = cluster.broker.folder / "data" / f"{topic}-0" / "00000000000000000000.log"
    at = path.read_bytes().index(old)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(new)


async def test_a_damaged_batch_stops_its_partition_loudly_and_only_until_it_can_be_read(
    ours, topic, reading, delivered, monkeypatch, log
):
    monkeypatch.setattr(stream, "_LONGEST_WAIT", 0.5)
    await create_topic(ours.bootstrap, topic, partitions=2)
    before, other, later = orders("BEFORE", 5), orders("OTHER", 5), orders("LATER", 5)
    bad = an_order("BAD")
    for made in (before, {"BAD": bad}, {"BEHIND": an_order("BEHIND")}):
        await _send_to(ours.bootstrap, topic, 0, made)
    await _send_to(ours.bootstrap, topic, 1, other)
    await asyncio.to_thread(_on_disk, ours, topic, bad, bad[:-1] + b"!")
    async with reading(ours.bootstrap, topic) as bridge:
        assert {1} == set((await delivered([*before, *other])).values())
        await bridge.until(_in(0, "stopped: what is at offset 5 cannot be read", bridge, topic), seconds=30)
        await _send_to(ours.bootstrap, topic, 1, later)
        assert {1} == set((await delivered(later)).values())
        assert 1 == _value("bridge_stream_partition_stopped", source="erp", topic=topic, partition="0")
        assert 1 == _value("bridge_stream_up", source="erp")
        (told, *_) = [line for line in log() if line["event"] == "partition.stopped"]
        assert ("error", topic, 0, 5) == (told["level"], told["topic"], told["partition"], told["offset"])
        assert f"--to-offset 6 --topic {topic}:0" in told["detail"]
        assert "reading" == (await _state(bridge, topic))[1]["state"]
        await _lag(bridge, topic, 2)
        await asyncio.to_thread(_on_disk, ours, topic, bad[:-1] + b"!", bad)
        assert {1} == set((await delivered(["BAD", "BEHIND"])).values())
        await bridge.until(_in(0, "reading", bridge, topic), seconds=30)
        assert 0 == _value("bridge_stream_partition_stopped", source="erp", topic=topic, partition="0")


# -- transactions ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _transactions(bootstrap, name):
    async with producing(bootstrap, transactional_id=name) as producer:
        yield producer


async def _write(producer, topic, made):
    for number, value in made.items():
        await producer.send_and_wait(topic, value, key=number.encode())


async def _committed(producer, topic, made):
    async with producer.transaction():
        await _write(producer, topic, made)


async def _aborted(producer, topic, made):
    await producer.begin_transaction()
    await _write(producer, topic, made)
    await producer.abort_transaction()


async def _delete_before(bootstrap, topic, offset):
    async with administering(bootstrap) as admin:
        place = TopicPartition(topic, 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=offset)})


async def test_what_a_producer_took_back_is_never_sent(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    kept, undone = orders("KEPT", 3), orders("UNDONE", 3)
    async with _transactions(cluster.bootstrap, topic) as producer:
        await _aborted(producer, topic, undone)
        await _committed(producer, topic, kept)
    async with reading(cluster.bootstrap, topic) as bridge:
        assert {1} == set((await delivered(kept)).values())
        await bridge.until(_at(8, bridge, topic), seconds=30)
        assert "UNDONE" not in json.dumps(await bridge.received())


async def test_what_a_producer_took_back_is_read_where_the_client_is_told_so(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    undone = orders("UNDONE", 3)
    async with _transactions(cluster.bootstrap, topic) as producer:
        await _aborted(producer, topic, undone)
    async with reading(cluster.bootstrap, topic, client=", isolation_level: read_uncommitted"):
        assert {1} == set((await delivered(undone)).values())


@pytest.mark.parametrize("end", [_committed, _aborted], ids=["committed", "aborted"])
async def test_marks_of_transactions_are_passed_so_the_lag_is_none_and_no_position_is_lost(
    cluster, topic, reading, delivered, end, log
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    first, last, new = orders("FIRST", 3), orders("LAST", 2), orders("NEW", 2)
    async with _transactions(cluster.bootstrap, topic) as producer:
        await _committed(producer, topic, first)
        await end(producer, topic, last)
    async with reading(cluster.bootstrap, topic) as bridge:
        await delivered(first)
        await bridge.until(_at(7, bridge, topic), seconds=30)
        await _lag(bridge, topic, 0)
    await _delete_before(cluster.bootstrap, topic, 7)  # as retention does to a topic that is quiet
    async with reading(cluster.bootstrap, topic) as bridge:
        async with _transactions(cluster.bootstrap, topic) as producer:
            await _committed(producer, topic, new)
        assert {1} == set((await delivered(new)).values())
        await bridge.until(_at(10, bridge, topic), seconds=30)
        await _lag(bridge, topic, 0)
    assert [] == [line for line in log() if line["event"] == "partition.stopped"]


async def test_a_position_within_an_open_transaction_is_not_lost(cluster, topic, reading, delivered, log):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await _send_to(cluster.bootstrap, topic, 0, orders("OLD", 2))
    async with _transactions(cluster.bootstrap, topic) as producer:
        await producer.begin_transaction()
        await _write(producer, topic, orders("OPEN", 2))
        await _set_position(cluster, topic, f"group-of-{topic}", 3)  # as one that read what was not committed did
        async with reading(cluster.bootstrap, topic) as bridge:
            await bridge.until(_at(3, bridge, topic), seconds=30)
            await producer.commit_transaction()
            assert {"OPEN-1": 1} == await delivered(["OPEN-1"])
            await bridge.until(_at(5, bridge, topic), seconds=30)
            assert "OLD" not in json.dumps(await bridge.received())
    assert [] == [line for line in log() if line["event"] == "partition.stopped"]


async def _set_position(cluster, topic, group, offset):
    consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): offset})
    finally:
        await consumer.stop()


async def test_a_transaction_that_is_open_holds_what_is_behind_it_and_nothing_is_skipped(
    cluster, topic, reading, delivered
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    async with _transactions(cluster.bootstrap, topic) as producer:
        await producer.begin_transaction()
        await _write(producer, topic, orders("OPEN", 2))
        await produce(cluster.bootstrap, topic, orders("PLAIN", 2).items())
        async with reading(cluster.bootstrap, topic) as bridge:
            await bridge.until(_at(0, bridge, topic), seconds=30)
            await producer.commit_transaction()
            assert {1} == set((await delivered([*orders("OPEN", 2), *orders("PLAIN", 2)])).values())
