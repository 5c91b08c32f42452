"""Values of Kafka records: JSON, Avro with a registry, and JSON Schema, in and out of every wrapping."""

# ruff: noqa: E501 - what is drawn from reads best in long lines

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import fastavro

from bridge.config import read
from bridge.contract import Record, Response
from bridge.errors import Malformed, NotNow
from bridge.intake.unreadable import reason_of, storable
from tests.fuzz.documents import BODIES, changed
from tests.fuzz.mutations import ODD, mutated

VALUES = ("json", "avro", "json-schema")
WRAPPINGS = ("none", "debezium", "cloudevents", "eventbridge")
TOPIC = (
    "      {values}-{unwrap}: {{tenant: shop.example, kind: order, values: {values}, unwrap: {unwrap}, lane: = doc.id, "
    "version: = doc.updated_at, aliases: {{name: = doc.name, email: = doc.email, phone: = doc.customer.phone}}}}"
)
CONFIG = """
sources:
  db:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: bridge
    registry: {{url: "http://127.0.0.1:1"}}
    topics:
{topics}
destinations: {{hellotext: {{connector: hellotext, token: env:T}}}}
include: [shopify/default]
"""
AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)

NODE = {
    "type": "record",
    "name": "N",
    "fields": [{"name": "v", "type": "int"}, {"name": "next", "type": ["null", "N"]}],
}
SCHEMAS = [
    {"type": "record", "name": "O", "fields": [
        {"name": "id", "type": ["null", "long"]},
        {"name": "name", "type": "string"},
        {"name": "node", "type": NODE},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "string"}}},
        {"name": "sum", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["a", "b"]}},
        {"name": "key", "type": {"type": "fixed", "name": "F", "size": 4}},
        {"name": "nothings", "type": {"type": "array", "items": "null"}},
        {"name": "updated_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "rest", "type": {"type": "array", "items": ["boolean", "double", "float", "N"]}},
    ]},
    NODE,
    {"type": "array", "items": "null"},
    {"type": "map", "values": {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}},
    {"type": "record", "name": "T", "fields": [
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "a", "type": {"type": "int", "logicalType": "date"}},
        {"name": "b", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "c", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "d", "type": {"type": "fixed", "name": "D", "size": 16, "logicalType": "decimal", "precision": 30}},
        {"name": "before", "type": ["null", "bytes"]}, {"name": "after", "type": ["null", "string"]},
    ]},
    "long", "string", {"type": "enum", "name": "K", "symbols": ["a"]}, {"type": "fixed", "name": "F", "size": 100},
]  # fmt: skip
WRITTEN = [
    (0, {"id": 7, "name": "#7", "node": {"v": 1, "next": {"v": 2, "next": None}}, "tags": {"x": ["a", "b"], "y": []},
         "sum": b"\x01\x00", "kind": "b", "key": b"abcd", "nothings": [None] * 5, "updated_at": 1_700_000_000_000,
         "rest": [True, 1.5, {"v": 1, "next": None}]}),
    (1, {"v": 1, "next": {"v": 2, "next": {"v": 3, "next": None}}}),
    (2, [None] * 3),
    (3, {"a": [{}, {}]}),
    (4, {"id": "b8b0c0a0-0000-4000-8000-000000000000", "a": 1, "b": 2, "c": 3, "d": b"\x01" * 16, "before": None,
         "after": "x"}),
    (5, -1), (6, "text"), (7, "a"), (8, b"x" * 100),
]  # fmt: skip
HEADERS = [("ce_specversion", b"1.0"), ("content-type", b"application/cloudevents+json"), ("shop", b"a.example"),
           ("\udcff", b"\xff"), ("", b""), ("ce_id", b"\x00\xff"), ("x" * 3000, b"y" * 3000), ("shop", b"\xff")]  # fmt: skip


def _source():
    topics = "\n".join(TOPIC.format(values=values, unwrap=unwrap) for values in VALUES for unwrap in WRAPPINGS)
    return read(CONFIG.format(topics=topics), environ={"T": "t"}).sources["db"]


SOURCE = _source()
NUMBERS = itertools.count(1)


def _avro(number, value):
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMAS[number]), value, disable_tuple_notation=True)
    return stream.getvalue()


AVRO = [(number, _avro(number, value)) for number, value in WRITTEN]


def _wrapped(body, topic, chance):
    """The body in one of the wrappings, mostly that of the topic, as JSON."""
    kind = topic.rpartition("-")[2] if chance.random() < 0.9 else chance.choice(WRAPPINGS)
    if kind == "debezium":
        change = {"before": None, "after": body, "op": chance.choice("cudrtm"), "ts_ms": 1, "source": {"db": "a"}}
        return chance.choice(({"schema": {}, "payload": change}, change, {**body, "__op": "u", "__deleted": "false"}))
    if kind == "cloudevents":
        return {"specversion": "1.0", "id": "1", "type": "t", "datacontenttype": "application/json", "data": body}
    if kind == "eventbridge":
        return {"detail-type": "t", "source": "s", "time": "t", "detail": {"payload": body, "metadata": {"a": "b"}}}
    return {**body, "__op": "u"} if chance.random() < 0.3 else body


def _value(topic, chance):
    """The bytes of a value for the topic, and the schema that it was written with."""
    if topic.startswith("avro") == (chance.random() < 0.97):
        number, body = chance.choice(AVRO)
        return chance.choice((body, mutated(body, chance), mutated(body, chance), body + _bomb(chance))), number
    body = changed(_wrapped(chance.choice(BODIES)[1], topic, chance), chance, most=2)
    raw = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")
    return (mutated(raw, chance) if chance.random() < 0.3 else raw), 0


def _bomb(chance):
    """Counts of blocks and depths that have no end."""
    return chance.choice((b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00", b"\x02" * 9000,
                          b"\x02\x02" * 20_000, b"\x80" * 40, b"\x01\x01\x02"))  # fmt: skip


def _answer(number, chance):
    """The answer of a registry for the schema; seldom an odd one."""
    told = {"schema": json.dumps(SCHEMAS[number])}
    if chance.random() < 0.7:
        return Response(status=200, body=json.dumps(told).encode())
    schema = changed(SCHEMAS[number], chance)
    odd = chance.choice((
        mutated(json.dumps(told).encode(), chance), b"", b"[]", b"\xff", b'{"error_code": 40403}', b"[" * 9000,
        json.dumps({"schema": json.dumps(schema)}).encode(errors="surrogatepass"), b'{"schema": "\\"N\\""}',
        json.dumps({"schema": "[" * 5000}).encode(), json.dumps({**told, "schemaType": "PROTOBUF"}).encode(),
        json.dumps({**told, "references": [{"name": "N", "subject": "../s", "version": -1}] * 3}).encode(),
    ))  # fmt: skip
    return Response(status=chance.choice((200, 200, 200, 404, 401, 500, 302)), body=odd)


def inputs(chance, count):
    """Records, each with the answers of its registry."""
    topics = [*SOURCE.by_name]
    for _ in range(count):
        topic = chance.choice(topics)
        value, number = _value(topic, chance)
        if not topic.startswith(tuple(f"json-{unwrap}" for unwrap in WRAPPINGS)) and chance.random() < 0.98:
            value = b"\0" + next(NUMBERS).to_bytes(4, "big") + value
        value = chance.choice((value,) * 20 + (None, b"", chance.choice(ODD)))
        key = chance.choice(
            (None, b"1", b"\xff\x00", b"\0\0\0\0\7{}", b'{"id": 1}', mutated(b'\0\0\0\0\7{"id": 1}', chance))
        )
        headers = chance.sample(HEADERS, chance.randrange(4)) if chance.random() < 0.3 else ()
        answers = [_answer(number, chance) for _ in range(3)]
        record = Record(source="db", topic=topic, partition=0, offset=1, timestamp=1, at=AT, key=key, value=value,
                        headers=headers)  # fmt: skip
        yield record, answers


def judged(one):
    """What the record was. Raises AssertionError if something else was raised than may be."""
    record, answers = one
    reading = SOURCE.read(record)
    try:
        asked = next(reading)
        for answer in [*answers, *[Response(status=500)] * 200]:
            assert asked.url.startswith("http://127.0.0.1:1/")
            asked = reading.send(answer)
    except StopIteration as end:
        return _stored(record, end.value, "read")
    except Malformed as problem:
        return _stored(record, SOURCE.unreadable(record, str(problem)), "dead")
    except NotNow:
        return "waits"
    except BaseException as problem:
        raise AssertionError(f"{type(problem).__name__}: {problem}") from problem
    raise AssertionError("it asks for schemas without end")


def _stored(record, made, word):
    try:
        storable(made)
    except Malformed as problem:  # the stream names it by its place then
        storable(SOURCE.unreadable(record, reason_of(problem, "db")))
        return "dead"
    return word


def smaller(one):
    """A record that fails with a shorter value."""
    record, answers = one
    value, size = record.value or b"", len(record.value or b"") // 2
    while size:
        start = 0
        while start < len(value):
            shorter = value[:start] + value[start + size :]
            if _fails(_with(record, shorter), answers):
                value = shorter
            else:
                start += size
        size //= 2
    return _told(_with(record, value) if record.value else record, answers)


def _with(record, value):
    return replace(record, value=value)


def _fails(record, answers):
    SOURCE.registry._schemas.clear()
    try:
        judged((record, answers))
    except AssertionError:
        return True
    return False


def _told(record, answers):
    return {"topic": record.topic, "key": record.key, "value": record.value, "headers": record.headers,
            "answers": [(answer.status, answer.body) for answer in answers]}  # fmt: skip
