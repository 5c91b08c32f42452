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
_NULL = b"null"


class Unwrapped(NamedTuple):
    """A document as JSON, None for a tombstone, and what its wrapping told of it, as headers.

    gone       of a tombstone: the document as it was before, as far as that is told
    is_of_row  False: the document is a notice of Debezium about no row, such as a heartbeat
    """

    raw: bytes | None
    told: Mapping[str, str] = _NOTHING
    gone: bytes | None = None
    is_of_row: bool = True


def document(
    record: Record, values: Values, unwrap: Unwrap, registry: SchemaRegistry | None
) -> Generator[Request, Response, Unwrapped]:
    """What the record says, out of its wrapping. Raises Malformed, NotNow."""
    value = record.value
    if not value:
        return Unwrapped(None)
    if values == "json-schema":
        value = unframed(value)[1]
    elif values == "avro" and registry is not None:
        number, rest = unframed(value)
        value = _from_avro(rest, (yield from registry.schema_of(number)))
    if value.strip() == _NULL:  # Kafka Connect's converter for JSON writes it where there is nothing to convert
        return Unwrapped(None)
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
    """Debezium's: what the row was and is now, what was done to it, and when."""

    before: msgspec.Raw = msgspec.Raw(_NULL)
    after: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload: msgspec.Raw = msgspec.Raw(b"")
    op: Any = None
    ts_ms: Any = None
    source: Any = None

    @property
    def is_wrapped(self) -> bool:
        """With its schema beside it; a row may have a column `payload` too."""
        payload = bytes(self.payload)
        return payload.startswith(b"{") or (payload == _NULL and self.schema is not msgspec.UNSET)

    @property
    def is_of_no_row(self) -> bool:
        """A flat row may have a column `op` too."""
        has_row = self.after is not msgspec.UNSET and bytes(self.after) != _NULL
        return self.op in _OF_NO_ROW and isinstance(self.source, dict) and not has_row

    def told(self) -> Mapping[str, str]:
        """As headers, by the names that Debezium's own unwrapping gives them (`add.headers`)."""
        source = self.source if isinstance(self.source, dict) else {}
        found = {"__op": self.op, "__ts_ms": self.ts_ms} | {f"__source_{name}": source.get(name) for name in _OF_SOURCE}
        return {name: str(value) for name, value in found.items() if type(value) in (str, int)}


_OF_SOURCE = ("ts_ms", "db", "schema", "table")
"""What a rule may want to know of where a row comes from: when it was committed, and what it is a row of."""

_OF_NO_ROW = ("t", "m")
"""What was done to no row: a TRUNCATE, and a message that somebody wrote into the log of Postgres."""

_TIMES = frozenset({"ts_ms", "ts_us", "ts_ns"})
_OF_TRANSACTION = frozenset({"status", "id", "event_count", "data_collections"})


class _Event(msgspec.Struct):
    """A CloudEvent with its data inside."""

    specversion: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: bytes | msgspec.UnsetType = msgspec.UNSET


_change = msgspec.json.Decoder(_Change).decode
_event = msgspec.json.Decoder(_Event).decode
_columns = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_scalar = msgspec.json.Decoder(str | int).decode


def _row(value: bytes) -> Unwrapped:
    """The row as it is now, a tombstone where it was deleted, or a notice about no row."""
    try:
        change = decoded(_change, value)
        if change.is_wrapped:
            value = bytes(change.payload)
            if value == _NULL:
                return Unwrapped(None)
            change = decoded(_change, value)
        return _changed(value, change)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("not a change event of Debezium") from None


def _changed(value: bytes, change: _Change) -> Unwrapped:
    if change.is_of_no_row:
        return Unwrapped(value, change.told(), is_of_row=False)
    if change.after is msgspec.UNSET:
        return _flat(value, {name: bytes(raw) for name, raw in decoded(_columns, value).items()})
    after = bytes(change.after)
    if after != _NULL:
        return Unwrapped(after, change.told())
    return Unwrapped(None, change.told(), bytes(change.before))


def _flat(value: bytes, columns: Mapping[str, bytes]) -> Unwrapped:
    """A row that Debezium's own unwrapping has left flat, known by the columns that it adds; or a notice."""
    if _is_notice(columns):
        return Unwrapped(value, is_of_row=False)
    if not {"__op", "__deleted"} & columns.keys():
        raise Malformed("not a change event of Debezium: it has no `after`, and neither `__op` nor `__deleted`")
    added = {name: raw for name, raw in columns.items() if name.startswith("__") and _is_scalar(raw)}
    told = {name: str(_scalar(raw)) for name, raw in added.items()}
    if told.get("__op") == "d" or columns.get("__deleted") in (b'"true"', b"true"):
        return Unwrapped(None, told, value)
    return Unwrapped(value, told)


def _is_scalar(raw: bytes) -> bool:
    try:
        _scalar(raw)
    except ValueError:
        return False
    return True


def _is_notice(columns: Mapping[str, bytes]) -> bool:
    """A heartbeat, a mark of a transaction, or a change of a schema. A row with columns of these names has more."""
    names = columns.keys()
    if names <= _TIMES:
        return "ts_ms" in names and all(raw.isdigit() for raw in columns.values())
    if _OF_TRANSACTION <= names <= _OF_TRANSACTION | _TIMES:
        return columns["status"] in (b'"BEGIN"', b'"END"')
    is_of_schema = {"source", "databaseName"} <= names and not names.isdisjoint({"ddl", "tableChanges"})
    return is_of_schema and columns["source"].startswith(b"{")


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
