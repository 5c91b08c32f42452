"""Records of a real topic, all the way to the API."""

import asyncio
import base64
import io
import json
import sqlite3
import ssl
import subprocess
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import fastavro
import pytest
from aiohttp import web

from bridge import telemetry
from bridge.config import read
from bridge.contract import State
from bridge.errors import JournalBusy
from bridge.journal import Selection
from bridge.journal.sqlite import SqliteJournal
from tests.conftest import REFUSING
from tests.kafka.orders import an_order, create_topic, orders, produce, producing


def _count(name, **labels):
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0


async def test_orders_arrive_once_each_and_what_is_committed_is_not_read_again(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic)
    made = orders("SO", 200)
    await produce(cluster.bootstrap, topic, made.items())
    async with reading(cluster.bootstrap, topic):
        assert {1} == set((await delivered(made)).values())
    more = orders("MORE", 20)
    await produce(cluster.bootstrap, topic, more.items())
    before = _count("bridge_records_total", source="erp", topic=topic, result="known")
    async with reading(cluster.bootstrap, topic):
        assert {1} == set((await delivered([*made, *more])).values())
    assert before == _count("bridge_records_total", source="erp", topic=topic, result="known")


@pytest.mark.parametrize(
    ("shop", "tenant"),
    [
        ("example.myshopify.com: {secrets: [env:SHOPIFY_SECRET]}", "example.myshopify.com"),
        ("new.myshopify.com: {secrets: [env:SHOPIFY_SECRET], formerly: [old.myshopify.com]}", "new.myshopify.com"),
        ("new.myshopify.com: {secrets: [env:SHOPIFY_SECRET], formerly: [old.myshopify.com]}", "old.myshopify.com"),
    ],
)
async def test_the_same_order_from_a_topic_and_from_a_webhook_is_one_lane_and_sent_once(
    cluster, topic, running, sandbox, tmp_path, environ, order, shop, tenant
):
    await create_topic(cluster.bootstrap, topic)
    text = f"""
sources:
  shop: {{connector: shopify, shops: {{{shop}}}}}
  stream:
    connector: kafka
    brokers: {json.dumps(cluster.bootstrap)}
    group: {topic}
    topics: {{{topic}: {{tenant: {tenant}, kind: order, lane: = doc.id, version: = doc.updated_at}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{sandbox}"}}
journal: {{path: "{tmp_path}/journal.db", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: 0}}
private: {{port: 0}}
include: [shopify/default]
"""
    number, body = order()
    other, first_in_topic = order()
    async with running(read(text, environ=environ)) as bridge:
        assert (200, "") == await bridge.post(body)
        await produce(cluster.bootstrap, topic, [("any key", body), ("k", first_in_topic)])
        await bridge.until(lambda: _documents(bridge, number, 2), seconds=30)
        await bridge.until(lambda: _documents(bridge, other, 1), seconds=30)
        assert (200, "") == await bridge.post(first_in_topic)
        await bridge.settled(number)
        await bridge.settled(other)
        assert ["order.confirmed"] * 2 + ["order.placed"] * 2 == sorted(await bridge.actions())
        assert {"shop", "stream"} == {document["source"] for document in (await bridge.story(number)).documents}


async def _documents(bridge, number, count):
    lanes = await bridge.house.journal.find(number)
    if len(lanes) != 1:
        return False
    return len((await bridge.house.journal.story(lanes[0])).documents) == count


async def test_what_cannot_be_read_is_dead_with_its_bytes_and_place_and_the_partition_goes_on(
    cluster, topic, reading, delivered
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    bad = [b"{not json", b"[1, 2]", b'{"number": null}', b"\xff\xfe"]
    records = [(None, value) for value in bad] + [("SO-1", an_order("SO-1"))]
    await produce(cluster.bootstrap, topic, records)
    async with reading(cluster.bootstrap, topic) as bridge:
        await delivered(["SO-1"])

        parked = [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]
        assert ["unreadable"] * 4 == [fact.reason for fact in parked]
        stored = [(await bridge.house.journal.document(fact.seq)).raw for fact in parked]
        assert sorted(bad) == sorted(stored)
        assert [f"{topic} partition 0 offset {at}: " for at in range(4)] == sorted(
            fact.detail.partition(": ")[0] + ": " for fact in parked
        )
        assert any("= doc.number is empty" in fact.detail for fact in parked)
    assert 4 == _count("bridge_dead_records_total", source="erp", topic=topic)


async def test_what_the_journal_refuses_is_dead_with_its_bytes_and_the_partition_goes_on(
    cluster, topic, reading, delivered, tmp_path
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    refused = an_order("SO-1")
    async with reading(cluster.bootstrap, topic) as bridge:
        journal = bridge.house.journal
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute(REFUSING.format(kind="erp_order"))
            await produce(cluster.bootstrap, topic, [(None, refused)])

            async def dead():
                return [fact async for fact in journal.parked(Selection(state=State.DEAD))]

            (fact,) = await bridge.until(dead, seconds=60)
            other.execute("DROP TRIGGER refusing")
        assert ("unreadable", refused) == (fact.reason, (await journal.document(fact.seq)).raw)
        assert "it cannot be stored: SQLite refuses it (IntegrityError)" == fact.detail
        await produce(cluster.bootstrap, topic, [(None, an_order("SO-2"))])
        await delivered(["SO-2"])


async def test_a_tombstone_is_a_document_of_its_own_kind_and_skipped_unless_a_rule_wants_it(
    cluster, topic, reading, delivered
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, [("SO-7", an_order("SO-7")), ("SO-7", None)])
    async with reading(cluster.bootstrap, topic) as bridge:
        await delivered(["SO-7"])
        await bridge.until(lambda: _documents(bridge, "SO-7", 2), seconds=30)
        story = await bridge.settled("SO-7")
        assert ["erp_order", "tombstone"] == sorted(document["kind"] for document in story.documents)
        assert "no rule" in {skip["reason"] for skip in story.skips}
    gone = """
  gone:
    for: tombstone
    at: = received_at
    give:
      action: order.cancelled
      person: {email: buyer@example.com}
      object_parameters: {reference: = key, source: erp, delivery: deliver, items: []}
"""
    other = f"{topic}-2"
    await create_topic(cluster.bootstrap, other, partitions=1)
    await produce(cluster.bootstrap, other, [("SO-8", None)])
    async with reading(cluster.bootstrap, other, more=gone, name="second") as bridge:
        await delivered(["SO-8"], action="order.cancelled")


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_is_read(cluster, topic, reading, delivered, compression):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    made = orders(compression, 5)
    await produce(cluster.bootstrap, topic, made.items(), compression_type=compression)
    async with reading(cluster.bootstrap, topic):
        await delivered(made)


async def test_key_and_headers_are_in_scope_of_rules(cluster, topic, reading, delivered):
    rule = """
  keyed:
    for: erp_order
    when: = headers["origin"] == "till 4" and key == "the key"
    at: = erp_order.placed_at
    stale: skip
    give:
      action: order.confirmed
      person: {email: = email(erp_order.buyer.mail), first_name: = key}
      object_parameters: {reference: = erp_order.number, source: erp, delivery: deliver, items: []}
"""
    await create_topic(cluster.bootstrap, topic, partitions=1)

    async with producing(cluster.bootstrap) as producer:
        headers = [("Origin", b"till 4"), ("bytes", b"\xff")]
        await producer.send_and_wait(topic, an_order("SO-9"), key=b"the key", headers=headers)
    async with reading(cluster.bootstrap, topic, more=rule):
        await delivered(["SO-9"], action="order.confirmed")


async def test_a_pattern_reads_every_topic_that_matches_and_those_that_come_later(
    cluster, topic, running, config_for, environ, delivered
):
    text = (
        config_for(cluster.bootstrap, topic).replace("topics:\n", "patterns:\n").replace(f"{topic}:", f'"{topic}.*":')
    )
    assert "patterns" in text
    await create_topic(cluster.bootstrap, f"{topic}.eu", partitions=1)
    await produce(cluster.bootstrap, f"{topic}.eu", orders("EU", 3).items())
    async with running(read(text, environ=environ)):
        await delivered(orders("EU", 3))
        await create_topic(cluster.bootstrap, f"{topic}.us", partitions=1)
        await produce(cluster.bootstrap, f"{topic}.us", orders("US", 3).items())
        await delivered(orders("US", 3))


async def test_starts_where_it_is_told_and_remembers_it_before_any_record_comes(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, orders("OLD", 3).items())
    await asyncio.sleep(0.01)
    start = datetime.now(UTC)
    await produce(cluster.bootstrap, topic, orders("NEW", 3).items())
    async with reading(cluster.bootstrap, topic, source=f'start: "{start.isoformat()}"', name="by-time"):
        assert set(orders("NEW", 3)) == set(await delivered(orders("NEW", 3)))
    latest = {"source": "start: latest", "group": "latest", "name": "latest"}
    async with reading(cluster.bootstrap, topic, **latest) as bridge:
        await bridge.until(lambda: _position(bridge, 6), seconds=30)
    await produce(cluster.bootstrap, topic, orders("WHILE-AWAY", 3).items())
    async with reading(cluster.bootstrap, topic, **latest) as bridge:
        await delivered(orders("WHILE-AWAY", 3))
        assert "OLD-0" not in json.dumps(await bridge.received())


async def _position(bridge, wanted):
    """Whether the one partition has this position; for those that must be committed there is the next start."""
    async with bridge.session.get(f"{bridge.private}/status") as answer:
        (stream,) = (await answer.json())["streams"]
    return [wanted] == [partition["position"] for partition in stream["partitions"]]


# -- values ------------------------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "number", "type": "string"},
        {"name": "changed", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "currency", "type": "string"},
        {"name": "gross", "type": "int"},
        {"name": "fee", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
        {"name": "buyer", "type": "Buyer"},
        {"name": "rows", "type": {"type": "array", "items": "string"}},
    ],
}
AVRO_RULE = """
  erp_placed:
    give:
      action: order.placed
      person?: {email: = email(erp_order.buyer.mail)}
      object_parameters: {reference: = erp_order.number, source: erp, delivery: deliver, items: []}
      amount: = erp_order.fee
      currency: EUR
"""
BUYER = {"type": "record", "name": "Buyer", "fields": [{"name": "mail", "type": ["null", "string"]}]}


@asynccontextmanager
async def a_registry(*, refuse_first=0, tls=None):
    """A schema registry with one schema that refers to another; it wants a password and is down at first."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        if len(asked) <= refuse_first:
            return web.Response(status=503)
        assert base64.b64encode(b"me:secret").decode() in request.headers["Authorization"]
        if request.path == "/schemas/ids/7":
            references = [{"name": "Buyer", "subject": "buyers/v1", "version": 2}]
            return web.json_response({"schema": json.dumps(SCHEMA), "references": references})
        if request.path == "/subjects/buyers/v1/versions/2":
            return web.json_response({"schema": json.dumps(BUYER)})
        return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def _framed(number, body):
    return b"\0" + number.to_bytes(4, "big") + body


def _as_avro(number):
    buffer, now = io.BytesIO(), datetime.now(UTC)

    document = {
        "number": number, "changed": now, "placed_at": now, "currency": "EUR", "gross": 1234, "fee": Decimal("1.10"),
        "buyer": {"mail": f"{number}@example.com"}, "rows": [],
    }  # fmt: skip
    names = {}
    fastavro.parse_schema(BUYER, named_schemas=names)
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(SCHEMA, named_schemas=names), document)
    return buffer.getvalue()


async def test_avro_is_read_with_the_registry_that_is_asked_once_and_waited_for(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    values = [_framed(7, _as_avro(f"AV-{n}")) for n in range(5)]
    values += [_framed(8, b"x"), _framed(7, b"\x08"), b'{"json": 1}', _framed(7, _as_avro("AV-5"))]
    await produce(cluster.bootstrap, topic, [(None, value) for value in values])
    async with a_registry(refuse_first=2) as (url, asked):
        source = f"registry: {{url: '{url}', username: me, password: env:REGISTRY}}"
        env = {"REGISTRY": "secret"}
        async with reading(
            cluster.bootstrap, topic, how=", values: avro", source=source, env=env, more=AVRO_RULE
        ) as bridge:
            await delivered(f"AV-{n}" for n in range(6))
            amounts = {event["body"]["amount"] for event in await bridge.received()}
            assert {1.10} == amounts
    assert 1 == asked[2:].count("/schemas/ids/7")
    assert 3 == _count("bridge_dead_records_total", source="erp", topic=topic)


@pytest.fixture
async def authority(tmp_path):
    """A private one: its file, and what a registry with a certificate of it serves by."""
    make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ours -addext subjectAltName=IP:127.0.0.1"
    files = f"-keyout {tmp_path}/ours.key -out {tmp_path}/ours.pem"
    await asyncio.to_thread(subprocess.run, ["openssl", *f"{make} {files}".split()], check=True, capture_output=True)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tmp_path / "ours.pem", tmp_path / "ours.key")
    return tmp_path / "ours.pem", serving


async def test_a_registry_may_have_a_certificate_of_a_private_authority(
    cluster, topic, reading, delivered, authority, tmp_path, log
):
    file, serving = authority
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, [(None, _framed(7, _as_avro("AV-0")))])

    def said(text):
        async def waited():
            return [line for line in log() if line["event"] == "record.waits" and text in line["detail"]]

        return waited

    def read_with(url, ca):
        source = f"registry: {{url: '{url}', username: me, password: env:REGISTRY{ca}}}"
        env = {"REGISTRY": "secret"}
        return reading(cluster.bootstrap, topic, how=", values: avro", source=source, env=env, more=AVRO_RULE)

    async with a_registry(tls=serving) as (url, _):
        async with read_with(url, "") as bridge:
            (line, *_) = await bridge.until(said("no answer from https://127.0.0.1"), seconds=30)
            assert "self-signed certificate" in line["detail"]
        late = tmp_path / "late.pem"
        async with read_with(url, f", ca: {late}") as bridge:
            await bridge.until(said(f"{late} cannot be used: No such file or directory"), seconds=30)
            late.write_text("no certificate")
            await bridge.until(said(f"{late} cannot be used: no certificates in PEM"), seconds=30)
            late.write_bytes(file.read_bytes())
            assert {"AV-0": 1} == await delivered(["AV-0"])


async def test_json_schema_is_taken_out_of_its_frame(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, [(None, _framed(3, an_order("JS-1")))])
    async with reading(cluster.bootstrap, topic, how=", values: json-schema"):
        await delivered(["JS-1"])


@pytest.mark.parametrize(
    ("unwrap", "wrapped"),
    [
        ("debezium", lambda doc: b'{"before": null, "after": %b, "op": "c"}' % doc),
        ("debezium", lambda doc: b'{"schema": {}, "payload": {"after": %b}}' % doc),
        ("cloudevents", lambda doc: b'{"specversion": "1.0", "id": "1", "data": %b}' % doc),
        ("cloudevents", lambda doc: b'{"specversion": "1.0", "data_base64": "%b"}' % base64.b64encode(doc)),
    ],
    ids=["change", "change with schema", "event", "event in base64"],
)
async def test_a_document_is_taken_out_of_its_wrapping(cluster, topic, reading, delivered, unwrap, wrapped):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, [("UN-1", wrapped(an_order("UN-1"))), ("UN-2", b'{"after": null}')])
    async with reading(cluster.bootstrap, topic, how=f", unwrap: {unwrap}") as bridge:
        await delivered(["UN-1"])
        if unwrap == "debezium":
            await bridge.until(lambda: _documents(bridge, "UN-2", 1), seconds=30)
            assert ["tombstone"] == [each["kind"] for each in (await bridge.story("UN-2")).documents]


async def test_a_deletion_of_debezium_queues_in_its_order_and_a_rule_for_it_hears_of_nothing_else(
    cluster, topic, reading, delivered
):
    gone = """
  gone:
    for: tombstone
    at: = received_at
    give:
      action: order.cancelled
      person: {email: = tombstone.buyer.mail}
      object_parameters: {reference: = tombstone.number, source: erp, delivery: deliver, items: []}
"""
    key, row = '{"number": "DE-1"}', an_order("DE-1")
    notices = [b'{"ts_ms": 1795179933100}', b'{"before": null, "after": null, "op": "t", "source": {}, "ts_ms": 1}']
    records = [
        (key, b'{"before": null, "after": %b, "op": "c"}' % row),
        (key, b'{"before": %b, "after": null, "op": "d"}' % row),
        (key, None),
        *(('{"serverName": "db"}', notice) for notice in notices),
    ]
    before = _skipped()
    await create_topic(cluster.bootstrap, topic, partitions=1)
    await produce(cluster.bootstrap, topic, records)
    async with reading(cluster.bootstrap, topic, how=", unwrap: debezium", more=gone) as bridge:
        assert {"DE-1": 1} == await delivered(["DE-1"])
        assert {"DE-1": 1} == await delivered(["DE-1"], action="order.cancelled")
        await bridge.until(lambda: _documents(bridge, "DE-1", 3), seconds=30)
        story = await bridge.settled("DE-1")
        assert ["erp_order", "tombstone", "tombstone"] == [document["kind"] for document in story.documents]

        async def skipped():
            return _skipped() >= before + len(notices)

        await bridge.until(skipped, seconds=30)
        assert not [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]


def _skipped():
    return _count("bridge_skipped_documents_total", dest="hellotext", reason="no rule")


async def test_records_of_one_order_keep_their_order(cluster, topic, reading, delivered):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    now = datetime.now(UTC)
    changes = [an_order("SO-1", changed=(now + timedelta(seconds=n)).isoformat()) for n in range(40)]
    others = list(orders("OTHER", 40).values())
    mixed = [value for pair in zip(changes, others, strict=True) for value in pair]
    await produce(cluster.bootstrap, topic, [(None, value) for value in mixed])
    async with reading(cluster.bootstrap, topic) as bridge:
        await bridge.until(lambda: _documents(bridge, "SO-1", 40), seconds=30)
        story = await bridge.settled("SO-1")
        versions = [document["version"] for document in sorted(story.documents, key=lambda each: each["seq"])]
        assert sorted(versions) == versions
        assert {"SO-1": 1} == await delivered(["SO-1"])


async def test_an_order_keeps_its_order_while_the_journal_turns_some_away(
    cluster, topic, reading, delivered, monkeypatch
):
    await create_topic(cluster.bootstrap, topic, partitions=1)
    now = datetime.now(UTC)
    changes = [an_order("SO-1", changed=(now + timedelta(seconds=n)).isoformat()) for n in range(6)]
    await produce(cluster.bootstrap, topic, [(None, value) for value in changes])
    take_in, turned_away = SqliteJournal.take_in, set()

    def sometimes(self, incoming):
        refused = [one for one in incoming if f"{topic}/0/2/" in one.envelope.id and not turned_away]
        take_in(self, [one for one in incoming if one not in refused])
        for one in refused:
            turned_away.add(one.envelope.id)
            one.failed(JournalBusy("for a moment"))

    monkeypatch.setattr(SqliteJournal, "take_in", sometimes)
    async with reading(cluster.bootstrap, topic) as bridge:
        await bridge.until(lambda: _documents(bridge, "SO-1", 6), seconds=30)
        documents = (await bridge.story("SO-1")).documents
        assert list(range(6)) == [int(each["id"].split("/")[2]) for each in sorted(documents, key=lambda d: d["seq"])]
    assert turned_away
