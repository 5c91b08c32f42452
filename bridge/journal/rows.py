"""Convert between the bridge's values and the cells of a journal's tables, which are the same in every journal."""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeAlias

import cramjam
import msgspec

from bridge.contract import Envelope, Reason, State
from bridge.journal import (
    SKIPPED,
    WAITING,
    Entry,
    Fact,
    Kept,
    LaneNumber,
    Listed,
    Listing,
    Parked,
    ParkedGroup,
    Position,
    Selection,
    Standing,
)

Row: TypeAlias = tuple[Any, ...]
"""Cells as a database gives and takes them: None, int, float, str or bytes."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = 2**62
"""The due time of a lane whose rule is held."""

CLOCKS_APART = timedelta(hours=1)
"""A turn that was taken so much later than now was taken by a clock that was wrong: it holds nobody up."""

BUCKET = 512
"""Lanes to a bucket of aliases; the queries and the schemas know it too."""

_MARK = 1  # bytes: the first byte names the codec
_LZ4_MORE = 20
"""Bytes that a block may have more than its content, besides one for each 255: its size, and what LZ4 itself needs."""

_MICROSECOND = timedelta(microseconds=1)
_LONGEST_LANE = 18  # digits of a lane's number
_APART = 16  # hexadecimal digits that tell two deliveries of one id apart
_BETWEEN_DIGITS = re.compile(r"[\s().\-/\u2010-\u2015]+")
_NOT_FROM_ABROAD = re.compile(r"^(phone:\s*(?:\+|00)[^(]*)\(0\)")
"""+44 (0)20: the digit that is dialled at home only."""

_encode = msgspec.json.Encoder().encode
_decode_headers = msgspec.json.Decoder(dict[str, str]).decode


def micros(moment: datetime) -> int:
    """Convert a time to microseconds since 1970, exactly: without a float on the way."""
    return (moment - EPOCH) // _MICROSECOND


def micros_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def moment(cell: int) -> datetime:
    return EPOCH + timedelta(microseconds=cell)


def moment_or_none(cell: int | None) -> datetime | None:
    return None if cell is None else moment(cell)


def overdue(rows: Iterable[tuple[str, int | None]], *, now: int) -> Mapping[str, float]:
    """The longest time in seconds that something is overdue, by destination. rows: destination and due time, which may
    be None or in times to come."""
    found: dict[str, float] = {}
    for dest, due in rows:
        late = 0.0 if due is None else max(0, now - due) / 1_000_000
        found[dest] = max(late, found.get(dest, 0.0))
    return found


def packed(raw: bytes) -> bytes:
    """Pack a body as it is stored. The first byte names the codec. LZ4 takes a third of the time of zstd, at half as
    much again in size, and every delivery waits for it."""
    cell = bytearray(_MARK + len(raw) + len(raw) // 255 + _LZ4_MORE)
    cell[0] = 1
    # Compress into our own buffer: one that cramjam makes costs as much again as the compression.
    size = _MARK + cramjam.lz4.compress_block_into(raw, memoryview(cell)[_MARK:])
    return bytes(memoryview(cell)[:size]) if size <= len(raw) else b"\x00" + raw


def unpacked(cell: bytes) -> bytes:
    """The body as it came."""
    return bytes(cramjam.lz4.decompress_block(cell[1:])) if cell[:1] == b"\x01" else cell[1:]


def packed_headers(headers: Mapping[str, str]) -> bytes:
    """Pack headers as JSON. Undecodable bytes, which arrive as lone surrogates, are replaced."""
    try:
        return _encode(headers)
    except UnicodeEncodeError:
        return _encode({name: text.encode(errors="replace").decode() for name, text in headers.items()})


def alias_hash(salt: bytes, tenant: str, text: str) -> bytes:
    """What is stored of an alias: nothing can be read from it without the journal's salt and a guess."""
    return alias_hashes(salt, tenant, (text,))[0]


def alias_hashes(salt: bytes, tenant: str, texts: Iterable[str]) -> list[bytes]:
    """Hash the aliases, in their order."""
    hashes = []
    keyed = _keyed(salt, tenant)
    for text in texts:
        hashed = keyed.copy()
        hashed.update(_as_one(text).encode(errors="replace"))
        hashes.append(hashed.digest())
    return hashes


@lru_cache(maxsize=64)
def _keyed(salt: bytes, tenant: str) -> "hashlib.blake2b":
    """A hash that has taken in its key and the tenant: a copy of it costs half of a new one."""
    hashed = hashlib.blake2b(key=salt, digest_size=9, usedforsecurity=True)
    hashed.update(f"{tenant}\0".encode(errors="replace"))
    return hashed


def _as_one(alias: str) -> str:
    """Write an alias in one form. Orders have a phone number as it was typed, requests to erase have it as E.164;
    addresses differ in case."""
    if alias.startswith("phone:"):
        return _BETWEEN_DIGITS.sub("", _NOT_FROM_ABROAD.sub(r"\1", alias)).replace("phone:00", "phone:+", 1)
    if alias.startswith("email:"):
        return (alias if alias.isascii() else unicodedata.normalize("NFC", alias)).lower()
    return alias


def order_alias(order: str) -> str:
    """The alias by which an order is blocked: later documents of it may not name its buyer."""
    return f"order:{order}"


def came_at(envelope: Envelope) -> datetime:
    """The time at which the bridge took the envelope in. Retention counts from then."""
    return envelope.came_at or envelope.received_at


def without_person(envelope: Envelope) -> Envelope:
    """What is kept of a document of somebody who was erased."""
    return msgspec.structs.replace(envelope, reason=Reason.ERASED, raw=b"", aliases=(), headers={}, detail="")


DEAD_ON_ARRIVAL = frozenset({Reason.NOT_CARRIED_OUT_YET, Reason.UNREADABLE, Reason.TENANT_IN_DOUBT})
"""Verdicts with which a document is parked for a person."""


def is_one(stored: bytes | None, came: bytes) -> bool:
    """Whether two deliveries with one id are one: their bodies, as they are stored, are the same. A body that is not
    kept any more cannot say that they are not."""
    return not stored or not came or stored == came or unpacked(stored) == unpacked(came)


def told_apart(delivery: str, came: bytes) -> str:
    """The id of a delivery whose id was taken by another body."""
    return f"{delivery}#{hashlib.blake2b(unpacked(came), digest_size=_APART // 2).hexdigest()}"


def is_delivery(stored: str, delivery: str) -> bool:
    """Whether a stored id is that of the delivery which people know by its own."""
    return stored == delivery or (stored.startswith(f"{delivery}#") and len(stored) == len(delivery) + 1 + _APART)


def owners(envelope: Envelope) -> Iterable[tuple[str, str]]:
    """The lanes in which the document may belong, its own first: one for each name of its tenant, and for each tenant
    that has its secret."""
    return ((tenant, envelope.lane) for tenant in (envelope.tenant, *envelope.also, *envelope.rivals))


def in_its_lane(envelope: Envelope, there: set[tuple[str, str]]) -> Envelope:
    """Put the document into the lane in which its order came first. That may be a lane of another name of its tenant.
    If the order first came for another tenant with the same secret, the document is set apart. there: lanes that are
    stored; its own is one of them afterwards."""
    own, *others = owners(envelope)
    owner = None if own in there else next((tenant for tenant, lane in others if (tenant, lane) in there), None)
    if owner is None:
        there.add(own)
        return envelope
    if owner in envelope.also:
        also = (envelope.tenant, *(name for name in envelope.also if name != owner))
        return msgspec.structs.replace(envelope, tenant=owner, also=also)
    return msgspec.structs.replace(
        envelope,
        lane=f"in doubt:{envelope.lane}",
        reason=Reason.TENANT_IN_DOUBT,
        detail=f"the order came for {owner} first, which has the same secret: whose it is, only a header says",
    )


def hashes_of(salt: bytes, envelope: Envelope, tenant: str) -> list[bytes]:
    """The hashes by which erased persons and orders are recognised, as they are under a name of the tenant. The order's
    hash is the last."""
    return alias_hashes(salt, tenant, (*envelope.aliases, order_alias(envelope.lane)))


def is_shut_out(envelope: Envelope, hashes: Iterable[bytes], blocked: set[bytes]) -> bool:
    """Whether the envelope is of somebody who was erased: then its body is not kept. What a platform asks about that
    person must still be carried out, and is not shut out."""
    return not blocked.isdisjoint(hashes) and envelope.reason is not Reason.NOT_CARRIED_OUT_YET


def as_attempts(facts: Iterable[Parked]) -> list[Row]:
    """Rows of `attempt` for facts that a person wants tried again: how they ended until then, each with a moment of its
    own."""
    rows: dict[tuple[int, int, str, int], Row] = {}
    for fact in facts:
        at = micros(fact.settled_at)
        while (fact.lane, fact.seq, fact.dest, at) in rows:
            at += 1
        key = (fact.lane, fact.seq, fact.dest, at)
        rows[key] = (*key, fact.fact, fact.reason, fact.detail, None)
    return list(rows.values())


def delivery_alias(source: str, delivery: str) -> str:
    """The alias, of no tenant, under which a delivery is found."""
    return f"delivery:{source}:{delivery}"


def envelope_of(row: Row) -> Envelope:
    """Make an envelope of a row of the query `documents`."""
    _, tenant, lane, delivery, source, topic, kind, version, occurred, received, headers, raw = row
    return Envelope(
        source=source,
        id=delivery,
        topic=topic,
        kind=kind,
        tenant=tenant,
        lane=lane,
        version=moment_or_none(version),
        occurred_at=moment_or_none(occurred),
        received_at=moment(received),
        headers=_decode_headers(headers) if headers is not None else {},
        raw=unpacked(raw) if raw is not None else b"",
    )


def standings_of(
    names: Mapping[int, str], *, newest: Sequence[Row], facts: Sequence[Row], waiting: Sequence[Row]
) -> Mapping[str, Standing]:
    """The standings by order's name; from the queries `newest_stored`, `facts_of` and `waiting_of`."""
    versions: dict[int, int | None] = dict(newest)
    return {
        name: Standing(
            newest=moment_or_none(versions.get(lane)),
            facts={
                (dest, fact, once): Fact(state=State(state), amount=amount)
                for of, dest, fact, once, state, amount in facts
                if of == lane
            },
            waiting=frozenset(dest for of, dest in waiting if of == lane),
        )
        for lane, name in names.items()
    }


def kept_of(lanes: Sequence[LaneNumber], documents: Sequence[Row], facts: Sequence[Row]) -> list[Kept]:
    """Build what is kept of each lane, from the queries `orders`, `order_documents` (lane before the columns of
    `documents`) and `order_facts`."""
    came: dict[int, list[Row]] = {lane: [] for lane in lanes}
    keys: dict[int, list[Row]] = {lane: [] for lane in lanes}
    for row in documents:
        came[row[0]].append(row)
    for row in facts:
        keys[row[0]].append(row)
    return [_kept(lane, sorted(came[lane], key=itemgetter(1)), keys[lane]) for lane in lanes]


def _kept(lane: LaneNumber, documents: Sequence[Row], facts: Sequence[Row]) -> Kept:
    parked = {seq for _, dest, _, _, _, seq in facts if not dest}
    seen = {row[1] for row in documents}
    return Kept(
        lane=lane,
        documents=[envelope_of(row[1:]) for row in documents if row[1] not in parked],
        held={(dest, fact, once): State(state) for _, dest, fact, once, state, _ in facts if dest},
        by_these=frozenset((dest, fact, once) for _, dest, fact, once, _, seq in facts if dest and seq in seen),
    )


def text(given: str) -> str:
    """Make a text that every journal can hold: U+FFFD for NUL, a question mark for half of a surrogate pair."""
    if given.isascii() and "\0" not in given:
        return given
    return given.replace("\0", "\ufffd").encode(errors="replace").decode()


def positions_of(rows: Sequence[Row]) -> dict[tuple[str, int], Position]:
    """Read positions from the query `positions`."""
    return {(topic, part): Position(offset=offset, doubtful=bool(doubtful)) for topic, part, offset, doubtful in rows}


def reference(lane: LaneNumber, dest: str, fact: str, once: str) -> str:
    """A short name of a fact, for commands: its lane, and a checksum that tells it from the lane's others."""
    return f"{lane}-{zlib.crc32(chr(0).join((dest, fact, once)).encode()):08x}"


def lane_of(ref: str) -> LaneNumber | None:
    """The lane of a reference; None for a text that is none."""
    number = ref.partition("-")[0]
    is_number = number.isascii() and number.isdigit() and len(number) <= _LONGEST_LANE
    return LaneNumber(int(number)) if is_number else None


def parked_of(row: Row) -> Parked:
    """Make a parked fact of a row of the queries `parked` and `parked_of_lane`."""
    lane, tenant, order, dest, fact, once, state, rule, reason, detail, seq, settled, source, kind, topic, delivery = (
        row
    )
    return Parked(
        ref=reference(lane, dest, fact, once),
        lane=lane,
        tenant=tenant,
        order=order,
        dest=dest,
        fact=fact,
        once=once,
        state=state,
        rule=rule,
        reason=reason,
        detail=detail,
        seq=seq,
        source=source or "",
        kind=kind or "",
        topic=topic or "",
        id=delivery or "",
        settled_at=moment(settled),
    )


def parked_group_of(row: Row) -> ParkedGroup:
    """Make a group of a row of the query `parked_groups`."""
    state, dest, rule, reason, count, since = row
    return ParkedGroup(state=state, dest=dest, rule=rule, reason=reason, count=count, since=moment(since))


def newest_of(listed: Sequence[Row]) -> list[LaneNumber]:
    """The lanes of rows of the query `listed` that are the newest of their lanes."""
    return [lane for _, lane, *_, has_newer in listed if not has_newer]


def listing_of(listed: Sequence[Row], *, facts: Sequence[Row], skips: Sequence[Row], waiting: Sequence[Row]) -> Listing:
    """Make a page of rows of the queries `listed`, `listed_facts`, `listed_skips` and `waiting_of`."""
    entries: dict[int, list[Entry]] = {lane: [] for lane in newest_of(listed)}
    for lane, dest in waiting:
        entries[lane].append(Entry(dest=dest, state=WAITING))
    for lane, dest, state, reason, rule, fact, once, detail in facts:
        entries[lane].append(
            Entry(dest=dest, state=state, reason=reason, rule=rule, fact=fact, once=once, detail=detail)
        )
    for lane, dest, rule, reason, detail in skips:
        entries[lane].append(Entry(dest=dest, state=SKIPPED, reason=reason, rule=rule, detail=detail))
    return Listing(
        orders=[_listed(row, entries[row[1]]) for row in listed if not row[-1]],
        last=listed[-1][0] if listed else None,
        newest=max((moment(row[6]) for row in listed), default=None),
    )


def _listed(row: Row, entries: Sequence[Entry]) -> Listed:
    seq, lane, tenant, order, source, topic, came, _ = row
    return Listed(
        seq=seq,
        lane=lane,
        tenant=tenant,
        order=order,
        source=source,
        topic=topic,
        came_at=moment(came),
        entries=entries,
    )


ALIAS_FORMS = ("{0}", "#{0}", "email:{1}", "phone:{0}", "customer:{0}", "checkout:{0}")
"""What a person may mean by a text; {1} is in lower case."""


def is_selected(fact: Parked, selection: Selection) -> bool:
    """Whether a person meant this one, its state apart."""
    wanted = ((selection.dest, fact.dest), (selection.fact, fact.fact), (selection.rule, fact.rule))
    return all(not want or want == have for want, have in (*wanted, (selection.reason, fact.reason)))


_TIMES = frozenset({"version", "occurred", "received", "settled", "at", "until", "due"})


def row_as_dict(names: Sequence[str], row: Sequence[object]) -> dict[str, object]:
    """Show a row to people: times are times, and a lane that waits for no time has none."""
    return {name: _readable(name, cell) for name, cell in zip(names, row, strict=True)}


def _readable(name: str, cell: object) -> object:
    if name in _TIMES and isinstance(cell, int):
        return None if cell == NEVER else moment_or_none(cell)
    return bool(cell) if name == "body" else cell
