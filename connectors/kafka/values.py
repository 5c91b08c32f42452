"""Make the document of a record's value: JSON as it came, Avro as JSON, taken out of its wrapping."""

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
Unwrap: TypeAlias = Literal["none", "debezium", "cloudevents", "eventbridge"]

_UNREADABLE = (EOFError, ValueError, LookupError, TypeError, ArithmeticError, struct.error, SchemaParseException)
_encode = msgspec.json.Encoder(decimal_format="number").encode


_NOTHING: Mapping[str, str] = {}
_NULL = b"null"


class Unwrapped(NamedTuple):
    """A document as JSON, None for a tombstone, and what its wrapping told of it, as headers.

    gone       of a tombstone: the document as it was before, as far as that is told
    key        of a tombstone: its record's key as JSON, where that is in a schema registry's frame
    is_of_row  False: the document is a notice of Debezium about no row, such as a heartbeat
    """

    raw: bytes | None
    told: Mapping[str, str] = _NOTHING
    gone: bytes | None = None
    key: bytes | None = None
    is_of_row: bool = True


def document(
    record: Record, values: Values, unwrap: Unwrap, registry: SchemaRegistry | None
) -> Generator[Request, Response, Unwrapped]:
    """Read a record's value out of its wrapping. Raises Malformed, NotNow."""
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
    if unwrap == "eventbridge":
        return _detail(value)
    return _data(value, record) if unwrap == "cloudevents" else Unwrapped(value)


def framed_key(
    key: bytes, values: Values, registry: SchemaRegistry | None
) -> Generator[Request, Response, bytes | None]:
    """Read a key in a schema registry's frame as JSON. None: it has no frame, for a key may be any bytes. Raises
    NotNow."""
    try:
        number, rest = unframed(key)
        if values == "avro" and registry is not None and number:  # none is 0, as a small number in 8 bytes looks
            return _from_avro(rest, (yield from registry.schema_of(number)))
    except Malformed:
        return None
    return rest if values == "json-schema" and rest.startswith((b"{", b'"')) else None


def _from_avro(value: bytes, parsed: Parsed) -> bytes:
    """Write an Avro value as JSON: decimals as numbers, times as ISO 8601, bytes as base64."""
    parsed.walk.check(value)
    try:
        read: Any = fastavro.schemaless_reader(BytesIO(value), parsed.schema, None)
        return _encode(read)
    except _UNREADABLE as problem:
        raise Malformed(f"not what its Avro schema says ({type(problem).__name__})") from None


class _Change(msgspec.Struct):
    """A change of Debezium: what the row was and is now, what was done to it, and when."""

    before: msgspec.Raw = msgspec.Raw(_NULL)
    after: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    payload: msgspec.Raw = msgspec.Raw(b"")
    op: Any = None
    ts_ms: Any = None
    source: Any = None

    @property
    def is_wrapped(self) -> bool:
        """Whether the payload has its schema beside it. A row may have a column `payload` too."""
        payload = bytes(self.payload)
        return payload.startswith(b"{") or (payload == _NULL and self.schema is not msgspec.UNSET)

    @property
    def is_of_no_row(self) -> bool:
        """Whether the change is of no row. A flat row may have a column `op` too."""
        has_row = self.after is not msgspec.UNSET and bytes(self.after) != _NULL
        return self.op in _OF_NO_ROW and isinstance(self.source, dict) and not has_row

    def told(self) -> Mapping[str, str]:
        """What the change says of itself, as headers, by the names that Debezium's own unwrapping gives them
        (`add.headers`)."""
        source = self.source if isinstance(self.source, dict) else {}
        found = {"__op": self.op, "__ts_ms": self.ts_ms} | {f"__source_{name}": source.get(name) for name in _OF_SOURCE}
        return {name: str(value) for name, value in found.items() if type(value) in (str, int)}


_OF_SOURCE = ("ts_ms", "db", "schema", "table")
"""The parts of `source` that a rule may want to read: when the row was committed, and what it is a row of."""

_OF_NO_ROW = ("t", "m")
"""The operations on no row: a TRUNCATE, and a message that somebody wrote into the log of Postgres."""

_TIMES = frozenset({"ts_ms", "ts_us", "ts_ns"})
_OF_TRANSACTION = frozenset({"status", "id", "event_count", "data_collections"})

_change = msgspec.json.Decoder(_Change).decode
_columns = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_scalar = msgspec.json.Decoder(str | int | bool).decode
_base64 = msgspec.json.Decoder(bytes).decode


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
    except (ValueError, RecursionError):
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
    told = _texts({name: raw for name, raw in columns.items() if name.startswith("__")})
    if told.get("__op") == "d" or columns.get("__deleted") in (b'"true"', b"true"):
        return Unwrapped(None, told, value)
    return Unwrapped(value, told)


def _is_notice(columns: Mapping[str, bytes]) -> bool:
    """Whether it is a heartbeat, a mark of a transaction, or a change of a schema. A row with columns of these names
    has more."""
    names = columns.keys()
    if names <= _TIMES:
        return "ts_ms" in names and all(raw.isdigit() for raw in columns.values())
    if _OF_TRANSACTION <= names <= _OF_TRANSACTION | _TIMES:
        return columns["status"] in (b'"BEGIN"', b'"END"')
    is_of_schema = {"source", "databaseName"} <= names and not names.isdisjoint({"ddl", "tableChanges"})
    return is_of_schema and columns["source"].startswith(b"{")


def _data(value: bytes, record: Record) -> Unwrapped:
    """The data, and of an event that is in the value its attributes, as they stand in headers where it is not."""
    if _is_in_headers(record):
        return Unwrapped(value)
    if value.lstrip().startswith(b"["):
        raise Malformed("a batch of CloudEvents: each event must be a record of its own")
    try:
        event = {name: bytes(raw) for name, raw in decoded(_columns, value).items()}
    except (ValueError, RecursionError):
        event = {}
    if not event.get("specversion", b"").startswith(b'"'):
        raise Malformed("not a CloudEvent: neither ce_ headers nor a `specversion`")
    data = _within(event)
    told = {f"ce_{name}": text for name, text in _texts(event).items() if name not in _OF_DATA}
    if "ce_datacontenttype" in told:
        told["content-type"] = told.pop("ce_datacontenttype")
    return Unwrapped(None if data in (b"", _NULL) else data, told)


_OF_DATA = ("data", "data_base64")


def _within(event: Mapping[str, bytes]) -> bytes:
    in_base64 = event.get("data_base64", _NULL)
    if in_base64 == _NULL:
        if "data" not in event:
            raise Malformed("a CloudEvent without data")
        return event["data"]
    try:
        return _base64(in_base64)
    except msgspec.DecodeError:
        raise Malformed("a CloudEvent whose data_base64 is not base64") from None


_OF_AN_EVENT = ("detail-type", "source", "time")
_OF_A_PARTNER = {"payload", "metadata"}


def _detail(value: bytes) -> Unwrapped:
    """The detail of an event of Amazon EventBridge; of Shopify's the payload in it, and the webhook's headers."""
    try:
        event = {name: bytes(raw) for name, raw in decoded(_columns, value).items()}
        detail = {name: bytes(raw) for name, raw in decoded(_columns, event["detail"]).items()}
        told = _texts({name: event[name] for name in _OF_AN_EVENT if name in event})
        if detail.keys() != _OF_A_PARTNER:
            return Unwrapped(event["detail"], told)
        headers = _texts(decoded(_columns, detail["metadata"]))
    except (ValueError, LookupError, RecursionError):
        raise Malformed("not an event of EventBridge: it has no `detail` that is an object") from None
    named = {name.lower(): text for name, text in headers.items() if not name.lower().endswith("hmac-sha256")}
    return Unwrapped(detail["payload"], {**told, **named})


def _is_in_headers(record: Record) -> bool:
    """Whether the attributes stand in headers, so that the value is the data. The content type has the last word."""
    headers = {name.lower(): value for name, value in record.headers}
    if headers.get("content-type", b"").lower().startswith(b"application/cloudevents"):
        return False
    return "ce_specversion" in headers or "ce-specversion" in headers


def _texts(columns: Mapping[str, bytes]) -> dict[str, str]:
    """The columns that are text, whole numbers, true or false, as texts."""
    found = {}
    for name, raw in columns.items():
        try:
            value = decoded(_scalar, raw)
        except (ValueError, RecursionError):
            continue
        found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
