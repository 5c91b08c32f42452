"""Bytes that are not what the topic was said to have are called by their name."""

import json
from datetime import UTC, datetime

import pytest

from bridge.config import read
from bridge.contract import Record
from bridge.errors import Malformed

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
CONFIG = """
sources:
  db:
    connector: kafka
    brokers: [127.0.0.1:9092]
    group: bridge
    registry: {url: "http://127.0.0.1:1"}
    topics: {rows: {tenant: shop.example, values: VALUES, unwrap: UNWRAP, lane: = doc.id}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
include: [shopify/default]
"""
ORDER = json.dumps({"id": 7}).encode()
FRAME = b"\0" + (41).to_bytes(4, "big")
PROTOBUF = FRAME + b"\0\x08\x07\x12\x03abc"
GLUE = b"\x03\0" + bytes(range(16)) + b"\x0e"


def _refusal(values, value, unwrap):
    source = read(CONFIG.replace("VALUES", values).replace("UNWRAP", unwrap), environ={"T": "t"}).sources["db"]
    record = Record(
        source="db", topic="rows", partition=0, offset=1, timestamp=1, at=AT, key=None, value=value, headers=()
    )
    with pytest.raises(Malformed) as problem:
        list(source.read(record))
    return source.unreadable(record, str(problem.value)).detail


@pytest.mark.parametrize("unwrap", ["none", "debezium", "cloudevents"])
@pytest.mark.parametrize(
    ("values", "value", "said"),
    [
        ("json", FRAME + ORDER, "wire format of a schema registry (schema 41): write `values: avro` or `values: json-"),
        ("json", PROTOBUF, "wire format of a schema registry (schema 41)"),
        ("json-schema", PROTOBUF, "(schema 41), and what is in it is no JSON: Avro is read with `values: avro`, Proto"),
        ("json", GLUE, "AWS Glue's schema registry"),
        ("json-schema", GLUE, "AWS Glue's schema registry"),
        ("avro", GLUE, "AWS Glue's schema registry"),
    ],
)
def test_a_frame_that_was_not_named_is_named(values, value, said, unwrap):
    assert said in _refusal(values, value, unwrap)


@pytest.mark.parametrize("value", [b"{", b"[1]", b"\0", b"\0\0", b"\x03", b"\xff\xfe"])
def test_what_is_no_frame_is_called_none(value):
    assert "registry" not in _refusal("json", value, "none")
