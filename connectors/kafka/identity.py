"""Name a record: its id, its order's lane, its version and aliases. A record that nobody can read has a name too.

The id is made of the record's place, its time, and a digest of its content: a topic that was deleted and made again has
other records at the same offsets.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from bridge.contract import KEY, Envelope, Json, Reason, Record
from bridge.errors import Malformed
from bridge.setting_types import Expression
from bridge.surrogates import decoded
from connectors.kafka.values import Unwrapped

TOMBSTONE = "tombstone"
"""The kind of a record that says that its document is gone."""

NO_ROW = "no_row"
"""The kind of the records that Debezium writes beside rows: heartbeats, marks of transactions, changes of schemas, a
TRUNCATE."""

_LONGEST = 255  # characters
_LONGEST_HEADER = 1024  # characters
_MOST_HEADERS = 64  # headers
_LONGEST_NUMBER = 40  # digits


Alias: TypeAlias = Literal["name", "email", "phone", "customer", "checkout"]


class Names(Protocol):
    """The part of a topic's settings that names its records."""

    @property
    def tenant(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def lane(self) -> Expression | None: ...
    @property
    def version(self) -> Expression | None: ...
    @property
    def aliases(self) -> Mapping[Alias, Expression]: ...


class _Parts(NamedTuple):
    """The parts that an envelope has of its document.

    lane  None: one of its own
    """

    kind: str
    lane: str | None
    raw: bytes
    version: datetime | None = None
    aliases: tuple[str, ...] = ()


def named(record: Record, found: Unwrapped, naming: Names) -> Envelope:
    """The envelope of a document, of a tombstone, or of a notice about no row. Raises Malformed."""
    key, identity = _key(record), _id(record)
    headers = {**_headers(record), **_headers_of(found)}
    scope: dict[str, Json] = {"doc": None, "key": key, "headers": headers, "topic": record.topic}
    parts = _parts(record, found, naming, scope)
    return Envelope(
        source=record.source,
        id=identity,
        topic=record.topic,
        kind=parts.kind,
        tenant=naming.tenant,
        lane=parts.lane or f"record:{identity}",
        version=parts.version,
        aliases=parts.aliases,
        occurred_at=record.at,
        received_at=record.at,
        headers=headers if key is None else {**headers, KEY: key},
        raw=parts.raw,
    )


def _parts(record: Record, found: Unwrapped, naming: Names, scope: dict[str, Json]) -> _Parts:
    if found.raw is None:
        if found.key is not None:
            record = replace(record, key=found.key)
        return _of_gone(record, found.gone or b"", naming, scope)
    scope["doc"] = document = _document(found.raw)
    if not found.is_of_row:
        return _Parts(NO_ROW, None, found.raw)
    if document.keys() == _WITH_SCHEMA and document["payload"] is None:
        return _of_gone(record, b"", naming, scope)
    return _Parts(
        naming.kind,
        _lane(record, naming, scope) or _without_lane(naming),
        found.raw,
        naming.version(scope) if naming.version is not None else None,
        _aliases(naming, scope),
    )


def _of_gone(record: Record, gone: bytes, naming: Names, scope: dict[str, Json]) -> _Parts:
    """Make the parts of a document that is gone, of what remains: the columns as they were, and those of its key. The
    columns of the key are never placeholders.

    If the columns name no order, the key of the record does.
    """
    raw = _encode({**_columns(gone), **_columns(record.key or b"")})
    scope["doc"] = _document(raw)
    try:
        lane = _lane(record, naming, scope)
    except Malformed:
        lane = None
    return _Parts(TOMBSTONE, lane or _fit(_text_of(record)), raw, aliases=_aliases(naming, scope, is_gone=True))


def _columns(written: bytes) -> Mapping[str, msgspec.Raw]:
    """The columns of a row, or of a key that is JSON, without the schema around them. Empty: it is something else."""
    try:
        _document(written)
        columns = decoded(_decode_columns, written)
        if columns.keys() != _WITH_SCHEMA:
            return columns
        return decoded(_decode_columns, bytes(columns["payload"]))
    except (Malformed, ValueError):
        return {}


def unreadable(record: Record, why: str, naming: Names) -> Envelope:
    """An envelope of the raw bytes with their coordinates, parked as dead."""
    identity, key = _id(record), _key(record)
    return Envelope(
        source=record.source,
        id=identity,
        topic=record.topic,
        kind=naming.kind,
        tenant=naming.tenant,
        lane=f"record:{identity}",
        occurred_at=record.at,
        received_at=record.at,
        headers=_headers(record) if key is None else {**_headers(record), KEY: key},
        raw=record.value or b"",
        reason=Reason.UNREADABLE,
        detail=f"{record.topic} partition {record.partition} offset {record.offset}: {why}",
    )


def instant(text: str) -> datetime | None:
    """ISO 8601 with an offset as an instant in UTC; all else is None."""
    try:
        read = datetime.fromisoformat(text)
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _id(record: Record) -> str:
    digest = hashlib.blake2b(record.value or b"", digest_size=6).hexdigest()
    return f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}/{digest}"


def _number(written: str) -> Decimal | str:
    """Read a number exactly. A number that no document means stays text, so that its digits are never written out."""
    return Decimal(written) if len(written) <= _LONGEST_NUMBER and "e" not in written.lower() else written


_decode = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder().encode
_decode_columns = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_WITH_SCHEMA = {"schema", "payload"}
"""The keys of a value that Kafka Connect's converter for JSON writes with its schema."""


def _document(raw: bytes) -> dict[str, Json]:
    try:
        if not raw.isascii():
            raw.decode()
        document = decoded(_decode, raw)
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except (ValueError, ArithmeticError):
        raise Malformed(f"not JSON, {len(raw)} bytes") from None
    if type(document) is not dict:
        raise Malformed("not a JSON object")
    return document


def _lane(record: Record, naming: Names, scope: Mapping[str, Json]) -> str | None:
    return _fit(_text_of(record) if naming.lane is None else naming.lane(scope))


def _fit(lane: str | None) -> str | None:
    if lane and (len(lane) > _LONGEST or not lane.isprintable()):
        raise Malformed(f"the order's id is longer than {_LONGEST} characters, or not printable")
    return lane


def _without_lane(naming: Names) -> str:
    if naming.lane is None:
        raise Malformed("the record has no key to name its order by: say `lane: = doc....` for this topic")
    raise Malformed(f"{naming.lane.source} is empty: nothing names the order")


def _aliases(naming: Names, scope: Mapping[str, Json], *, is_gone: bool = False) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name, expression in naming.aliases.items():
        try:
            text = expression(scope)
        except Malformed:
            if not is_gone:
                raise
            continue
        if text and text.isprintable() and (text := text.strip()):
            found[text if name == "name" else f"{name}:{text.lower() if name == 'email' else text}"] = None
    return tuple(found)


def _text_of(record: Record) -> str | None:
    """The text of a key, whichever serializer wrote it: JSON's `"SO-7"` is SO-7, with or without a schema around it."""
    written = record.key or b""
    try:
        if written.startswith(b"{") and b'"payload"' in written:
            columns = decoded(_decode_columns, written)
            written = bytes(columns["payload"]) if columns.keys() == _WITH_SCHEMA else written
        if written == b"null":
            return None
        text = decoded(_decode_text, written) if written.startswith(b'"') else written.decode()
    except (ValueError, RecursionError):
        return _key(record)
    return text if text.isprintable() else _key(record)


def _key(record: Record) -> str | None:
    """The key as text. Bytes that are no text are written in hexadecimal."""
    if record.key is None:
        return None
    try:
        text = record.key.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and (text or not record.key) else f"0x{record.key.hex()}"


def _headers(record: Record) -> dict[str, str]:
    """The headers that are text, under names in small letters. If several have one name, the last counts."""
    headers: dict[str, str] = {}
    for name, value in record.headers[:_MOST_HEADERS]:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            continue
        if _fits(text) and name.isprintable() and not name.startswith(":"):
            headers[name.lower()] = text
    return headers


def _headers_of(found: Unwrapped) -> dict[str, str]:
    """What its wrapping told, within the same bounds."""
    fit = [name for name, text in found.told.items() if _fits(name) and _fits(text)]
    return {name: found.told[name] for name in fit[:_MOST_HEADERS]}


def _fits(text: str) -> bool:
    return len(text) <= _LONGEST_HEADER and text.isprintable()
