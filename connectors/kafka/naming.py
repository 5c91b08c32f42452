"""What a record is called: its id, its order's lane, its version and aliases; and one that nobody can read.

The id is where the record stood, when, and a digest of what it said: a topic that was deleted and made again has other
records at the same offsets.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

import msgspec

from bridge.contract import KEY, Envelope, Expression, Json, Reason, Record
from bridge.errors import Malformed
from bridge.surrogates import decoded

TOMBSTONE = "tombstone"
"""The kind of a record that says that its document is gone."""

_LONGEST = 255
_LONGEST_HEADER = 1024
_MOST_HEADERS = 64
_LONGEST_NUMBER = 40


Alias: TypeAlias = Literal["name", "email", "phone", "customer", "checkout"]


class Naming(Protocol):
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


_NOTHING: Mapping[str, str] = {}


def named(record: Record, raw: bytes | None, naming: Naming, told: Mapping[str, str] = _NOTHING) -> Envelope:
    """The envelope of a document (raw is JSON), or of a tombstone (raw None). Raises Malformed.

    told  what its wrapping said of it, which stands among its headers
    """
    key, headers = _key(record), {**_headers(record), **{name: text for name, text in told.items() if _fits(text)}}
    scope: dict[str, Json] = {"doc": None, "key": key, "headers": headers, "topic": record.topic}
    if raw is not None:
        scope["doc"] = _document(raw)
    identity = _id(record)
    return Envelope(
        source=record.source,
        id=identity,
        topic=record.topic,
        kind=TOMBSTONE if raw is None else naming.kind,
        tenant=naming.tenant,
        lane=_lane(naming, scope) or _without_lane(naming, raw, identity),
        version=naming.version(scope) if naming.version is not None and raw is not None else None,
        aliases=_aliases(naming, scope) if raw is not None else (),
        occurred_at=record.at,
        received_at=record.at,
        headers=headers if key is None else {**headers, KEY: key},
        raw=b"{}" if raw is None else raw,
    )


def unreadable(record: Record, why: str, naming: Naming) -> Envelope:
    """The raw bytes with their coordinates, parked as dead."""
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
        verdict=Reason.UNREADABLE,
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
    """Exact; what no document means stays text, so that its digits are never written out."""
    return Decimal(written) if len(written) <= _LONGEST_NUMBER and "e" not in written.lower() else written


_decode = msgspec.json.Decoder(float_hook=_number).decode


def _document(raw: bytes) -> Json:
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


def _lane(naming: Naming, scope: Mapping[str, Json]) -> str | None:
    if naming.lane is None:
        lane = scope["key"]
    else:
        lane = naming.lane(scope)
        if lane is None and scope["doc"] is None:
            lane = scope["key"]
    if lane and (len(lane) > _LONGEST or not lane.isprintable()):
        raise Malformed(f"the order's id is longer than {_LONGEST} characters, or not printable")
    text: str | None = lane
    return text


def _without_lane(naming: Naming, raw: bytes | None, identity: str) -> str:
    if raw is None:
        return f"record:{identity}"
    if naming.lane is None:
        raise Malformed("the record has no key to name its order by: say `lane: = doc....` for this topic")
    raise Malformed(f"{naming.lane.source} is empty: nothing names the order")


def _aliases(naming: Naming, scope: Mapping[str, Json]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name, expression in naming.aliases.items():
        text = expression(scope)
        if text and text.isprintable() and (text := text.strip()):
            found[text if name == "name" else f"{name}:{text.lower() if name == 'email' else text}"] = None
    return tuple(found)


def _key(record: Record) -> str | None:
    """As text; bytes that are none in hexadecimal."""
    if record.key is None:
        return None
    try:
        text = record.key.decode()
    except UnicodeDecodeError:
        text = ""
    return text if text.isprintable() and (text or not record.key) else f"0x{record.key.hex()}"


def _headers(record: Record) -> dict[str, str]:
    """Those that are text, under names in small letters; of several with one name the last."""
    headers: dict[str, str] = {}
    for name, value in record.headers[:_MOST_HEADERS]:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            continue
        if _fits(text) and name.isprintable() and not name.startswith(":"):
            headers[name.lower()] = text
    return headers


def _fits(text: str) -> bool:
    return len(text) <= _LONGEST_HEADER and text.isprintable()
