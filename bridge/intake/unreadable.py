"""Authentic documents that cannot be read. They are stored with their bytes, parked as dead, and read again when a
person says so.

This is the one place for all sources. A platform that is answered with 400 sends the same again until it gives up, and
then nobody has the document. So all that a configured secret signed is taken in. Only the rules that read it are
strict.
"""

from collections.abc import Generator, Mapping
from typing import Any, Final, Protocol

import msgspec
from multidict import CIMultiDict

from bridge import clock
from bridge.contract import (
    EXAMINATION,
    KEY,
    QUERY,
    Envelope,
    HttpArrival,
    Label,
    Labels,
    Reason,
    Record,
    Source,
    StreamSource,
    Verified,
    WebhookSource,
)
from bridge.errors import BridgeError, Examined, JournalError, Malformed, NotStorable, Refusal
from bridge.journal import Appended, Incoming, Journal
from bridge.signatures import digest
from bridge.telemetry import emit, frames

KIND: Final = "unreadable"
"""The kind of a delivery that cannot be read, and the beginning of its lane's name."""

_LONGEST = 1024  # characters
_MOST_HEADERS = 64  # headers
_SECRETS = ("signature", "hmac", "authorization", "cookie", "token", "secret", "key")
"""Words in the names of headers that are not stored, if a source does not say which ones it needs."""


def named(source: WebhookSource, arrival: HttpArrival, verified: Verified) -> Envelope:
    """Name the document of a verified delivery. If the source cannot read it, it is parked with the reason UNREADABLE.

    Raises a Refusal that has another status than 400: with such a status the source says more than that. Raises
    Examined for the body by which a person examines the door.
    """
    if arrival.body == EXAMINATION:
        raise Examined("an examination of the door: the signature holds, and nothing is stored")
    try:
        return storable(source.read(arrival, verified))
    except Refusal as problem:
        if problem.status != Malformed.status:
            raise
        return _parked(source, arrival, verified, str(problem))
    except Exception as problem:  # noqa: BLE001  the boundary to connector code
        return _parked(source, arrival, verified, reason_of(problem, arrival.source))


def reason_of(problem: Exception, source: str) -> str:
    """The reason for people. A bug of the connector has its line in the log."""
    if isinstance(problem, Refusal):
        return str(problem)
    emit("connector.failed", source=source, problem=type(problem).__name__, frames=frames(problem))
    return f"the connector failed ({type(problem).__name__})"


def storable(envelope: Envelope) -> Envelope:
    """The same envelope. Raises Malformed if its names are no text, or too long for a journal's keys."""
    names = (envelope.id, envelope.topic, envelope.kind, envelope.tenant, envelope.lane)
    try:
        size = len("".join(names).encode())
    except UnicodeEncodeError:
        raise Malformed("a header that names the delivery is no text") from None
    if size > _LONGEST:
        raise Malformed(f"the names of the delivery and its order are longer than {_LONGEST} bytes")
    return envelope


def _parked(source: WebhookSource, arrival: HttpArrival, verified: Verified, detail: str) -> Envelope:
    """Make an envelope of a delivery that cannot be read, by what the source says of its headers. If that cannot be
    stored either, only its bytes name it."""
    of_body = digest(arrival.body)

    def made(label: Label) -> Envelope:
        return storable(
            Envelope(
                source=arrival.source,
                id=label.id,
                topic=label.topic,
                kind=KIND,
                tenant=verified.tenant,
                lane=f"{KIND}:{of_body}",
                received_at=arrival.received_at,
                headers=label.headers,
                raw=arrival.body,
                reason=Reason.UNREADABLE,
                detail=detail,
            )
        )

    plain = Label(id=of_body, topic="", headers=_open_headers(arrival.headers))
    if not isinstance(source, Labels):
        return made(plain)
    try:
        return made(source.label(arrival, verified))
    except Exception as problem:  # noqa: BLE001  the boundary to connector code
        reason_of(problem, arrival.source)
        return made(plain)


def _open_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers whose names promise no secret, and whose values are short and printable."""
    found = {name.lower(): text for name, text in headers.items()}
    fit = [name for name, text in found.items() if _is_plain(text) and not any(word in name for word in _SECRETS)]
    return {name: found[name] for name in fit[:_MOST_HEADERS]}


def _is_plain(text: str) -> bool:
    return len(text) <= _LONGEST and text.isprintable() and text.isascii()


# -- refused by the journal --------------------------------------------------------------------------------------------


class Nameable(Incoming, Protocol):
    """An Incoming that may be given another envelope."""

    envelope: Envelope


class WithoutNames:
    """An Incoming that is stored whatever its names are. If the journal refuses its content, it is parked with its
    bytes, under names that any journal takes. If those are refused too, the first answer stands."""

    __slots__ = ("_incoming", "_journal", "envelope")

    def __init__(self, incoming: Nameable, journal: Journal) -> None:
        self._incoming = incoming
        self._journal = journal
        self.envelope = incoming.envelope

    def stored(self, appended: Appended) -> None:
        self._incoming.stored(appended)

    def failed(self, problem: Exception) -> None:
        if isinstance(problem, JournalError | MemoryError) and not isinstance(problem, NotStorable):
            self._incoming.failed(problem)
            return
        why = str(problem) if isinstance(problem, NotStorable) else f"it cannot be stored ({type(problem).__name__})"
        emit("journal.refused", source=self.envelope.source, id=self.envelope.id, dest="", detail=why)
        self._incoming.envelope = bare(self.envelope, why)
        self._journal.take_in([self._incoming])


def bare(envelope: Envelope, why: str) -> Envelope:
    """An envelope that is parked with its bytes, and with those of its names that cannot be what was refused."""
    of_body = digest(envelope.raw)
    return Envelope(
        source=envelope.source,
        id=envelope.id if _is_plain(envelope.id) else of_body,
        topic=envelope.topic if _is_plain(envelope.topic) else "",
        kind=KIND,
        tenant=envelope.tenant,
        lane=f"{KIND}:{of_body}",
        received_at=clock.now(),
        headers={name: text for name, text in envelope.headers.items() if _is_plain(name) and _is_plain(text)},
        raw=envelope.raw,
        reason=Reason.UNREADABLE,
        detail=why,
        by_header=envelope.by_header,
    )


# -- again -------------------------------------------------------------------------------------------------------------


def read_again(source: Source, parked: Envelope) -> Generator[Any, Any, Envelope]:
    """Read a parked envelope again, by the source as it is now. It runs as an errand: a stream may ask its registry.

    Raises BridgeError if it still cannot be read.
    """
    try:
        found = yield from _read(source, parked)
        return storable(msgspec.structs.replace(found, id=parked.id, received_at=parked.received_at))
    except BridgeError:
        raise
    except Exception as problem:  # noqa: BLE001  the boundary to connector code
        raise BridgeError(reason_of(problem, parked.source)) from None


def _read(source: Source, parked: Envelope) -> Generator[Any, Any, Envelope]:
    if isinstance(source, StreamSource):
        found: Envelope = yield from source.read(_record(parked))
        return found
    if isinstance(source, WebhookSource):
        return source.read(_arrival(parked), Verified(tenant=parked.tenant, secret=0))
    raise BridgeError(f"the source {parked.source} reads no documents")


def _arrival(parked: Envelope) -> HttpArrival:
    headers = {name: text for name, text in parked.headers.items() if name != QUERY}
    return HttpArrival(
        source=parked.source,
        headers=CIMultiDict(headers),
        body=parked.raw,
        received_at=parked.received_at,
        query=parked.headers.get(QUERY, ""),
    )


def _record(parked: Envelope) -> Record:
    """Make a record again, as far as it is known. Its place in the topic is part of the id, which it keeps."""
    key = parked.key
    return Record(
        source=parked.source,
        topic=parked.topic,
        partition=-1,
        offset=-1,
        timestamp=int(parked.received_at.timestamp() * 1000),
        at=parked.received_at,
        key=None if key is None else _key(key),
        value=parked.raw,
        headers=[(name, text.encode()) for name, text in parked.headers.items() if name != KEY],
    )


def _key(text: str) -> bytes:
    """The bytes of a key. Bytes that are no text were stored in hexadecimal."""
    try:
        return bytes.fromhex(text.removeprefix("0x")) if text.startswith("0x") else text.encode()
    except ValueError:
        return text.encode()
