"""A journal that was put back reads its topics from where it was itself: what came after the copy is read again."""

import asyncio
import shutil
import sys

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete

from bridge.contract import State
from bridge.errors import JournalBusy
from bridge.journal import Selection, postgres
from bridge.journal.sqlite import SqliteJournal
from tests.kafka.orders import administering, an_order, create_topic, delete_topic, orders, produce
from tests.processes import ROOT

GROUP = "group-of-{}"


async def _command(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge", *arguments, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return out.decode()


async def _committed(bootstrap, topic):
    """The group's positions, by partition."""
    async with administering(bootstrap) as admin:
        found = await admin.list_consumer_group_offsets(GROUP.format(topic))
    return {place.partition: each.offset for place, each in found.items() if place.topic == topic}


async def _commit(bootstrap, topic, offset):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=GROUP.format(topic), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): offset})
    finally:
        await consumer.stop()


def _said(log, event):
    return [line for line in log() if line["event"] == event]


async def _stored(bridge, count):
    async def all_of_them():
        return (await bridge.house.journal.stats()).envelopes == count

    await bridge.until(all_of_them, seconds=60)


def _read_up_to(bootstrap, topic, *offsets):
    async def committed():
        return dict(enumerate(offsets)) == await _committed(bootstrap, topic)

    return committed


@pytest.fixture
def backed_up(cluster, topic, reading, delivered, tmp_path):
    """A topic whose group went on by five records after the backup; and its first three, and the five."""

    async def make(*, records=3):
        await create_topic(cluster.bootstrap, topic, partitions=1)
        before, after = orders("BEFORE", records), orders("AFTER", 5)
        await produce(cluster.bootstrap, topic, before.items())
        backup = tmp_path / "a.backup"
        async with reading(cluster.bootstrap, topic) as bridge:
            await _stored(bridge, records)
            await bridge.until(_read_up_to(cluster.bootstrap, topic, *([records] if records else [])), seconds=30)
            await _command("journal", "backup", str(backup), "--journal", str(tmp_path / "journal.db"))
            await produce(cluster.bootstrap, topic, after.items())
            await delivered(after)
            await bridge.until(_read_up_to(cluster.bootstrap, topic, records + 5), seconds=30)
        return backup, before, after

    return make


async def test_what_came_after_the_backup_is_read_again_and_is_in_doubt(
    cluster, topic, reading, delivered, backed_up, tmp_path, log
):
    backup, before, after = await backed_up()
    said = await _command("journal", "restore", str(backup), "--journal", str(tmp_path / "restored.db"))
    assert f"erp: {topic}/0 is read again from offset 3" in said
    async with reading(cluster.bootstrap, topic, name="restored") as bridge:
        await _stored(bridge, 8)
        await bridge.until(_read_up_to(cluster.bootstrap, topic, 8), seconds=30)
        (told,) = _said(log, "partition.rewound")
        assert ("warning", topic, 0, 3, 8) == (
            told["level"], told["topic"], told["partition"], told["offset"], told["position"]
        )  # fmt: skip
        # A buyer who is known makes an event repeatable: it is sent once more, under the same key.
        assert {2} == set((await delivered(after)).values())
        assert {1} == set((await delivered(before)).values())
    new = orders("NEW", 2)
    await produce(cluster.bootstrap, topic, new.items())
    async with reading(cluster.bootstrap, topic, name="restored") as bridge:
        await delivered(new)
        await _stored(bridge, 10)
        assert 1 == len(_said(log, "partition.rewound")), "a later start goes on where the group is"
    assert {2} == set((await delivered(after)).values())


async def test_a_backup_from_before_the_first_record_is_read_from_the_first_one(
    cluster, topic, reading, backed_up, tmp_path, log
):
    backup, _, _ = await backed_up(records=0)
    await _command("journal", "restore", str(backup), "--journal", str(tmp_path / "restored.db"))
    async with reading(cluster.bootstrap, topic, name="restored") as bridge:
        await _stored(bridge, 5)
        assert [0] == [told["offset"] for told in _said(log, "partition.rewound")]


async def test_a_file_that_was_put_back_is_read_on_from_where_it_was(cluster, topic, reading, delivered, tmp_path, log):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    before, after = orders("BEFORE", 3), orders("AFTER", 5)
    await produce(cluster.bootstrap, topic, before.items())
    async with reading(cluster.bootstrap, topic) as bridge:
        await _stored(bridge, 3)
        await bridge.until(_read_up_to(cluster.bootstrap, topic, 3), seconds=30)
    shutil.copy(tmp_path / "journal.db", tmp_path / "copy")
    await produce(cluster.bootstrap, topic, after.items())
    async with reading(cluster.bootstrap, topic) as bridge:
        await _stored(bridge, 8)
    shutil.copy(tmp_path / "copy", tmp_path / "journal.db")
    async with reading(cluster.bootstrap, topic) as bridge:
        await _stored(bridge, 8)
        assert [(3, 8)] == [(told["offset"], told["position"]) for told in _said(log, "partition.rewound")]
        parked = [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]
        assert [] == parked


async def test_what_the_log_does_not_have_any_more_stops_the_partition_and_says_what_may_be_missing(
    cluster, topic, reading, backed_up, tmp_path
):
    backup, _, _ = await backed_up()
    await _command("journal", "restore", str(backup), "--journal", str(tmp_path / "restored.db"))
    async with administering(cluster.bootstrap) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=6)})
    async with reading(cluster.bootstrap, topic, name="restored") as bridge:
        state = await bridge.until(lambda: _stopped(bridge), seconds=30)
        assert "the journal was put back and has this partition up to offset 3" in state
        assert "from 6 to 8" in state
        assert "records 3 to 5 may be missing" in state
        assert 8 == (await _committed(cluster.bootstrap, topic))[0]
    async with reading(cluster.bootstrap, topic, name="restored", source="on_lost_position: earliest") as bridge:
        await _stored(bridge, 5)


async def _stopped(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        partitions = (await answer.json())["streams"][0]["partitions"]
    return partitions and "on_lost_position: earliest" in partitions[0]["state"] and partitions[0]["state"]


async def test_a_partition_that_came_after_the_backup_is_read_from_where_the_source_starts(
    cluster, topic, reading, backed_up, tmp_path
):
    backup, _, _ = await backed_up()
    other = f"{topic}-later"
    await create_topic(cluster.bootstrap, other, partitions=1)
    await produce(cluster.bootstrap, other, orders("LATER", 4).items())
    more = f"{other}: {{tenant: example.myshopify.com, kind: erp_order, lane: = doc.number}}"
    how = f"}}\n      {more[:-1]}"
    async with reading(cluster.bootstrap, topic, how=how) as bridge:
        await _stored(bridge, 12)
    await _command("journal", "restore", str(backup), "--journal", str(tmp_path / "restored.db"))
    async with reading(cluster.bootstrap, topic, name="restored", how=how) as bridge:
        await _stored(bridge, 12)


async def test_a_topic_that_was_made_again_since_the_backup_is_read_from_where_the_source_starts(
    cluster, topic, reading, backed_up, tmp_path
):
    backup, _, _ = await backed_up(records=9)
    await delete_topic(cluster.bootstrap, topic)
    again = orders("AGAIN", 4)
    await asyncio.sleep(1)
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, again.items())
    async with reading(cluster.bootstrap, topic) as bridge:
        await bridge.until(_read_up_to(cluster.bootstrap, topic, 4), seconds=60)
    await _command("journal", "restore", str(backup), "--journal", str(tmp_path / "restored.db"))
    async with reading(cluster.bootstrap, topic, name="restored") as bridge:
        await _stored(bridge, 13)


async def test_a_position_that_a_person_set_before_that_of_the_journal_counts(
    cluster, topic, reading, backed_up, tmp_path, log
):
    backup, _, _ = await backed_up()
    await _command("journal", "restore", str(backup), "--journal", str(tmp_path / "restored.db"))
    await _commit(cluster.bootstrap, topic, 1)
    async with reading(cluster.bootstrap, topic, name="restored") as bridge:
        await _stored(bridge, 8)
        assert [] == _said(log, "partition.rewound")


async def test_a_new_journal_beside_an_old_group_goes_on_at_the_groups_position_and_says_so(
    cluster, topic, reading, delivered, backed_up, log
):
    await backed_up()
    new = orders("NEW", 2)
    await produce(cluster.bootstrap, topic, new.items())
    assert [] == _said(log, "partition.adopted")
    async with reading(cluster.bootstrap, topic, name="empty") as bridge:
        await delivered(new)
        await _stored(bridge, 2)
        (told,) = _said(log, "partition.adopted")
        assert ("warning", 8) == (told["level"], told["offset"])
        assert "--reset-offsets" in told["detail"]
    async with reading(cluster.bootstrap, topic, name="empty") as bridge:
        await bridge.until(lambda: _is_reading(bridge), seconds=30)
        assert 1 == len(_said(log, "partition.adopted"))


async def _is_reading(bridge):
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        partitions = (await answer.json())["streams"][0]["partitions"]
    return bool(partitions) and partitions[0]["position"] is not None


async def test_what_may_not_be_repeated_is_read_again_and_waits_for_a_person(
    cluster, topic, reading, delivered, backed_up, tmp_path
):
    unknown = an_order("SESSION-1", web_session="8a8c6b1e", buyer={"id": 1, "first": None, "last": None, "mail": None,
                                                                  "tel": None, "country": None})  # fmt: skip
    backup, _, _ = await backed_up()
    await produce(cluster.bootstrap, topic, [("SESSION-1", unknown)])
    async with reading(cluster.bootstrap, topic) as bridge:
        assert {"SESSION-1": 1} == await delivered(["SESSION-1"])
        await bridge.until(_read_up_to(cluster.bootstrap, topic, 9), seconds=30)
    await _command("journal", "restore", str(backup), "--journal", str(tmp_path / "restored.db"))
    async with reading(cluster.bootstrap, topic, name="restored") as bridge:
        await _stored(bridge, 9)

        async def uncertain():
            return [fact async for fact in bridge.house.journal.parked(Selection(state=State.UNCERTAIN))]

        (fact,) = await bridge.until(uncertain, seconds=30)
        assert ("SESSION-1", "restored") == (fact.order, fact.reason)
        assert {"SESSION-1": 1} == await delivered(["SESSION-1"])


async def test_a_group_that_is_ahead_of_its_journal_is_said_and_counts(cluster, topic, reading, delivered, log):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    made, passed, new = orders("SO", 3), orders("PASSED", 2), orders("NEW", 2)
    await produce(cluster.bootstrap, topic, made.items())
    async with reading(cluster.bootstrap, topic) as bridge:
        await bridge.until(_read_up_to(cluster.bootstrap, topic, 3), seconds=30)
    await produce(cluster.bootstrap, topic, [*passed.items(), *new.items()])
    await _commit(cluster.bootstrap, topic, 5)
    assert [] == _said(log, "partition.ahead")
    for _ in range(2):
        async with reading(cluster.bootstrap, topic) as bridge:
            await delivered(new)
            await _stored(bridge, 5)
    (told,) = _said(log, "partition.ahead")
    assert ("warning", 5, 5) == (told["level"], told["offset"], told["position"])
    assert f"--to-offset 3 --topic {topic}:0" in told["detail"]


async def test_a_bridge_over_a_restored_database_reads_again_from_where_it_was(
    cluster, topic, process, backed_up, tmp_path, postgres_place, monkeypatch
):
    backup, _, _ = await backed_up()
    monkeypatch.setenv("DATABASE", postgres_place.dsn)
    journal = f"{{kind: postgres, url: env:DATABASE, schema: {postgres_place.schema}, lease: 2s, poll: 1s}}"
    await postgres.init(postgres_place)
    config = tmp_path / "journal.yaml"
    config.write_text(f"journal: {journal}")
    said = await _command("journal", "restore", str(backup), "--config", str(config))
    assert f"erp: {topic}/0 is read again from offset 3" in said
    bridge = await process(cluster.bootstrap, topic, name="restored", journal=journal)
    await bridge.said("partition.rewound")
    async with postgres.reading(postgres_place) as kept, asyncio.timeout(60):
        while (await kept.stats()).envelopes < 8:
            await asyncio.sleep(0.1)


async def test_a_journal_that_is_busy_at_the_start_makes_partitions_wait_and_says_so(
    cluster, topic, reading, delivered, monkeypatch, log
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    made = orders("SO", 3)
    await produce(cluster.bootstrap, topic, made.items())
    busy = {"positions": True, "keep_positions": True}

    def now_and_then(name):
        ask = getattr(SqliteJournal, name)

        async def asked(self, *arguments):
            if busy[name]:
                raise JournalBusy(f"{name} cannot be had")
            return await ask(self, *arguments)

        monkeypatch.setattr(SqliteJournal, name, asked)

    for name in busy:
        now_and_then(name)
    async with reading(cluster.bootstrap, topic) as bridge:
        for name in list(busy):

            async def said(text=f"{name} cannot be had"):
                async with bridge.session.get(f"{bridge.private}/status") as answer:
                    partitions = (await answer.json())["streams"][0]["partitions"]
                return [f"waiting: {text}"] == [each["state"] for each in partitions]

            await bridge.until(said, seconds=30)
            assert [] == await bridge.received()
            busy[name] = False
        assert {1} == set((await delivered(made)).values())
        await bridge.until(lambda: _is_reading(bridge), seconds=30)
    assert {topic} == {line["topic"] for line in _said(log, "record.waits")}
