"""From a record's value to the document: JSON as it came, Avro as JSON, taken out of its wrapping."""

import struct
from collections.abc import Generator, Mapping
from io import BytesIO
from typing import Any, Literal, NamedTuple, TypeAlias

import fastavro
import msgspec
from fastavro.schema import SchemaParseException

from bridge.contract import Record, Request, Response
from bridge.errors import Malformed
from bridge.surrogates import decoded
from connectors.kafka.schemas import Parsed, SchemaRegistry, unframed

Values: TypeAlias = Literal["json", "avro", "json-schema"]
Unwrap: TypeAlias = Literal["none", "debezium", "cloudevents"]

_UNREADABLE = (EOFError, ValueError, LookupError, TypeError, ArithmeticError, struct.error, SchemaParseException)
_encode = msgspec.json.Encoder(decimal_format="number").encode


_NOTHING: Mapping[str, str] = {}


class Unwrapped(NamedTuple):
    """A document as JSON, None for a tombstone, and what its wrapping told of it, as headers."""

    raw: bytes | None
    told: Mapping[str, str] = _NOTHING


def document(
    record: Record, values: Values, unwrap: Unwrap, registry: SchemaRegistry | None
) -> Generator[Request, Response, Unwrapped]:
    """What the record says, out of its wrapping. Raises Malformed, NotNow."""
    value = record.value
    if value is None:
        return Unwrapped(None)
    if values == "json-schema":
        value = unframed(value)[1]
    elif values == "avro" and registry is not None:
        number, rest = unframed(value)
        value = _from_avro(rest, (yield from registry.schema_of(number)))
    if unwrap == "debezium":
        return _row(value)
    return Unwrapped(_data(value, record) if unwrap == "cloudevents" else value)


def _from_avro(value: bytes, parsed: Parsed) -> bytes:
    """Decimals as numbers, times as ISO 8601, bytes as base64."""
    parsed.walk.check(value)
    try:
        read: Any = fastavro.schemaless_reader(BytesIO(value), parsed.schema, None)
        return _encode(read)
    except _UNREADABLE as problem:
        raise Malformed(f"not what its Avro schema says ({type(problem).__name__})") from None


class _Change(msgspec.Struct):
    """Debezium's: what the row is now, what was done to it, and when."""

    after: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    op: Any = None
    ts_ms: Any = None
    source: Any = None

    def told(self) -> Mapping[str, str]:
        """As headers, by the names that Debezium's own unwrapping gives them (`add.headers`)."""
        source = self.source if isinstance(self.source, dict) else {}
        found = {"__op": self.op, "__ts_ms": self.ts_ms} | {f"__source_{name}": source.get(name) for name in _OF_SOURCE}
        return {name: str(value) for name, value in found.items() if type(value) in (str, int)}


_OF_SOURCE = ("ts_ms", "db", "schema", "table")
"""What a rule may want to know of where a row comes from: when it was committed, and what it is a row of."""


class _Event(msgspec.Struct):
    """A CloudEvent with its data inside."""

    specversion: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: bytes | msgspec.UnsetType = msgspec.UNSET


_change = msgspec.json.Decoder(_Change).decode
_event = msgspec.json.Decoder(_Event).decode


def _row(value: bytes) -> Unwrapped:
    """The row as it is now; no document where it was deleted."""
    try:
        change = decoded(_change, value)
        if change.payload is not msgspec.UNSET:
            change = decoded(_change, bytes(change.payload))
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("not a change event of Debezium") from None
    if change.after is msgspec.UNSET:
        raise Malformed("not a change event of Debezium: it has no `after`")
    after = bytes(change.after)
    return Unwrapped(None if after == b"null" else after, change.told())


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
