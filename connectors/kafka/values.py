"""From a record's value to the document: JSON as it came, Avro as JSON, taken out of its wrapping."""

import struct
from collections.abc import Generator
from io import BytesIO
from typing import Any, Literal, TypeAlias

import fastavro
import msgspec
from fastavro.schema import SchemaParseException

from bridge.contract import Record, Request, Response
from bridge.errors import Malformed
from bridge.surrogates import decoded
from connectors.kafka.schemas import Schema, SchemaRegistry, unframed

Values: TypeAlias = Literal["json", "avro", "json-schema"]
Unwrap: TypeAlias = Literal["none", "debezium", "cloudevents"]

_UNREADABLE = (EOFError, ValueError, LookupError, TypeError, ArithmeticError, struct.error, SchemaParseException)
_encode = msgspec.json.Encoder(decimal_format="number").encode


def document(
    record: Record, values: Values, unwrap: Unwrap, registry: SchemaRegistry | None
) -> Generator[Request, Response, bytes | None]:
    """The document as JSON, or None for a tombstone. Raises Malformed, NotNow."""
    value = record.value
    if value is None:
        return None
    if values == "json-schema":
        value = unframed(value)[1]
    elif values == "avro" and registry is not None:
        number, rest = unframed(value)
        schema = yield from registry.schema_of(number)
        value = _from_avro(rest, schema)
    if unwrap == "debezium":
        return _row(value)
    return _data(value, record) if unwrap == "cloudevents" else value


def _from_avro(value: bytes, schema: Schema) -> bytes:
    """Decimals as numbers, times as ISO 8601, bytes as base64."""
    stream = BytesIO(value)
    try:
        read: Any = fastavro.schemaless_reader(stream, schema, None)
        return _encode(read)
    except _UNREADABLE as problem:
        raise Malformed(f"not what its Avro schema says ({type(problem).__name__})") from None


class _Change(msgspec.Struct):
    """Debezium's: what the row was and is."""

    after: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Event(msgspec.Struct):
    """A CloudEvent with its data inside."""

    specversion: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: bytes | msgspec.UnsetType = msgspec.UNSET


_change = msgspec.json.Decoder(_Change).decode
_event = msgspec.json.Decoder(_Event).decode


def _row(value: bytes) -> bytes | None:
    """The row as it is now; None where it was deleted."""
    try:
        change = decoded(_change, value)
        if change.payload is not msgspec.UNSET:
            change = decoded(_change, bytes(change.payload))
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("not a change event of Debezium") from None
    if change.after is msgspec.UNSET:
        raise Malformed("not a change event of Debezium: it has no `after`")
    after = bytes(change.after)
    return None if after == b"null" else after


def _data(value: bytes, record: Record) -> bytes:
    """The data, whether the event is around it or in the headers."""
    if any(name.lower() in ("ce_specversion", "ce-specversion") for name, _ in record.headers):
        return value
    try:
        event = decoded(_event, value)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("not a CloudEvent: neither ce_ headers nor a `specversion`") from None
    if event.data_base64 is not msgspec.UNSET:
        return event.data_base64
    if event.data is msgspec.UNSET:
        raise Malformed("a CloudEvent without data")
    return bytes(event.data)
