"""Values of Avro that would end the process that reads them, and those that would not."""

import json
import signal
import subprocess
import sys
from io import BytesIO

import fastavro
import pytest
from pydantic import ValidationError

from bridge.errors import Malformed
from connectors.kafka import values
from connectors.kafka.avro_limits import DEEPEST, MOST_OF_NOTHING, Walk
from connectors.kafka.schemas import Parsed, SchemaRegistry

FIELDS = [{"name": "v", "type": "int"}, {"name": "next", "type": ["null", "N"]}]
NODE = {"type": "record", "name": "N", "fields": FIELDS}
EMPTY = {"type": "record", "name": "E", "fields": [{"name": "a", "type": "null"}]}
DEEP = b"\x02\x02" * 20_000 + b"\x02\x00"
ENDLESS = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"
BACKWARDS = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"


def parsed(schema):
    names = {}
    found = fastavro.parse_schema(schema, named_schemas=names)
    return Parsed(found, Walk(found, names))


def written(schema, value):
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return stream.getvalue()


def nested(levels):
    value = {"v": 0, "next": None}
    for number in range(levels):
        value = {"v": number, "next": value}
    return value


ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": ["null", "long"]},
        {"name": "node", "type": NODE},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "string"}}},
        {"name": "sum", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["a", "b"]}},
        {"name": "key", "type": {"type": "fixed", "name": "F", "size": 4}},
        {"name": "nothings", "type": {"type": "array", "items": "null"}},
        {"name": "rest", "type": {"type": "array", "items": ["boolean", "double", "float", "N"]}},
    ],
}


def test_whatever_a_writer_writes_is_gone_through_to_its_end():
    value = {
        "id": 7,
        "node": nested(10),
        "tags": {"x": ["a", "b"], "y": []},
        "sum": b"\x01\x00",
        "kind": "b",
        "key": b"abcd",
        "nothings": [None] * 50,
        "rest": [True, 1.5, {"v": 1, "next": None}],
    }
    of = parsed(ORDER)
    raw = written(ORDER, value)
    assert of.walk.is_needed
    of.walk.check(raw)
    assert 7 == json.loads(values._from_avro(raw, of))["id"]
    for cut in range(len(raw)):
        with pytest.raises(Malformed):
            values._from_avro(raw[:cut], of)


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (NODE, DEEP, f"nested deeper than {DEEPEST} levels"),
        ({"type": "array", "items": "null"}, ENDLESS, f"more than {MOST_OF_NOTHING} items without a byte"),
        ({"type": "array", "items": EMPTY}, ENDLESS, f"more than {MOST_OF_NOTHING} items without a byte"),
        ({"type": "array", "items": "null"}, BACKWARDS, f"more than {MOST_OF_NOTHING} items without a byte"),
        ({"type": "map", "values": {"type": "array", "items": "null"}}, b"\x02\x02a" + ENDLESS, "without a byte"),
        (NODE, b"\x02\x09", "no such branch"),
    ],
    ids=["deep", "nulls", "empty records", "a negative count", "inside of a map", "no branch"],
)
def test_what_would_end_the_process_is_malformed(schema, value, said):
    with pytest.raises(Malformed, match=said):
        values._from_avro(value, parsed(schema))


def test_without_the_walk_the_reader_ends_the_process():
    """As long as this holds the walk is needed."""
    code = (
        "import fastavro, io, json, sys; s = fastavro.parse_schema(json.loads(sys.argv[1]));"
        "fastavro.schemaless_reader(io.BytesIO(bytes.fromhex(sys.argv[2])), s, None)"
    )
    ended = subprocess.run([sys.executable, "-c", code, json.dumps(NODE), DEEP.hex()], capture_output=True, check=False)
    assert ended.returncode in (-signal.SIGSEGV, 1)


def test_a_schema_that_can_do_no_harm_is_not_walked():
    flat = {"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "int"}}]}
    assert not parsed(flat).walk.is_needed


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://user:geheim@registry.example", "a url is logged"),
        ("https://registry.example/?token=geheim", "without what follows"),
        ("http://registry.example", "not sent over plain http to another machine"),
    ],
)
def test_a_registry_with_a_secret_where_it_would_be_seen_is_refused(url, said, monkeypatch):
    monkeypatch.setenv("REGISTRY_TOKEN", "geheim-geheim")
    with pytest.raises(ValidationError, match=said) as refused:
        SchemaRegistry.model_validate({"url": url, "token": "env:REGISTRY_TOKEN"})
    assert "geheim" not in str(refused.value).replace(url, "")
