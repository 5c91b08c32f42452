"""A group of envelopes, stored in one transaction: lanes, documents, and the work for each destination."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from bridge.contract import Envelope
from bridge.journal import Appended, LaneNumber
from bridge.journal.postgres.place import Connection
from bridge.journal.rows import (
    DEAD_ON_ARRIVAL,
    Row,
    came_at,
    in_its_lane,
    is_one,
    is_shut_out,
    micros,
    owners,
    text,
    told_apart,
    without_person,
)
from bridge.journal.written_rows import envelope_row, parked_on_arrival_row, skipped_on_arrival_row

Name = tuple[str, str]
Delivery = tuple[LaneNumber, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """An envelope to store, packed before it is queued. Its texts are such as Postgres can hold.

    raw        empty if no body is kept
    aliases    the last is that of the delivery, which is nobody's name
    elsewhere  the hashes of aliases and order under each other name of the tenant, the order last
    """

    envelope: Envelope
    lane: Name
    id: str
    headers: bytes
    raw: bytes
    aliases: Sequence[bytes]
    order: bytes
    elsewhere: Mapping[str, Sequence[bytes]] = field(default_factory=dict)

    @property
    def hashes(self) -> Sequence[bytes]:
        """The hashes that show whether it is of somebody who was erased, under any name of its tenant."""
        return (*self.aliases, self.order, *(one for others in self.elsewhere.values() for one in others))


def columns(rows: Sequence[Row], count: int) -> list[list[object]]:
    """Rows as one list a column. Every text that is written for an order goes through here."""
    return [_column(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


def _column(cells: Sequence[object]) -> list[object]:
    return [text(cell) if type(cell) is str else cell for cell in cells]


async def appended(
    connection: Connection, sql: Mapping[str, str], destinations: Sequence[str], group: Sequence[Append]
) -> Sequence[Appended]:
    """Append a group, and return where each is kept, in their order. If several bodies have one id, the first is stored
    before the others."""
    if any(append.envelope.rivals or append.envelope.also for append in group):
        group = await _set_apart(connection, sql, group)
    first: dict[tuple[Name, str], Append] = {}
    for append in group:
        first.setdefault((append.lane, append.id), append)
    later = {place for place, each in enumerate(group) if not _is_one(each, first[each.lane, each.id].raw)}
    now = iter(await _appended(connection, sql, destinations, [a for p, a in enumerate(group) if p not in later]))
    others = [group[place] for place in sorted(later)]
    then = iter(await appended(connection, sql, destinations, others) if others else ())
    return [next(then if place in later else now) for place in range(len(group))]


async def _appended(
    connection: Connection, sql: Mapping[str, str], destinations: Sequence[str], group: Sequence[Append]
) -> Sequence[Appended]:
    lanes, blocked = await _lanes(connection, sql, group)
    if blocked:
        came = group
        group = [_shut_out(append, blocked) for append in group]
        shut_out = [lanes[now.lane][0] for before, now in zip(came, group, strict=True) if before is not now]
        await connection.execute(sql["hide_names"], shut_out)
    wanted: dict[Delivery, Append] = {}
    for append in group:
        wanted.setdefault((lanes[append.lane][0], append.id), append)
    fresh = await _envelopes(connection, sql, wanted)
    stored = await _stored(connection, sql, [key for key in wanted if key not in fresh])
    others = {key for key, (_, raw) in stored.items() if not _is_one(wanted[key], raw)}
    if others:
        group = [_renamed(each) if (lanes[each.lane][0], each.id) in others else each for each in group]
        # None of them is stored under its new name with another body: the name has a digest of it.
        renamed = [(lane, _renamed(wanted[lane, delivery])) for lane, delivery in others]
        again = {(lane, append.id): append for lane, append in renamed}
        wanted |= again
        fresh |= await _envelopes(connection, sql, again)
        stored |= await _stored(connection, sql, [key for key in again if key not in fresh])
    await _documents(connection, sql, destinations, [(key, wanted[key], seq) for key, seq in fresh.items()])
    seqs = {key: seq for key, (seq, _) in stored.items()} | fresh
    return _answers(group, lanes, seqs, set(fresh))


async def _stored(
    connection: Connection, sql: Mapping[str, str], keys: Sequence[Delivery]
) -> dict[Delivery, tuple[int, bytes | None]]:
    """Numbers of the deliveries that are known, and their bodies as they are stored."""
    rows = await connection.fetch(sql["known"], *columns(keys, 2)) if keys else []
    return {(lane, delivery): (seq, raw) for lane, delivery, seq, raw in rows}


def _is_one(append: Append, stored: bytes | None) -> bool:
    return not append.envelope.by_header or is_one(stored, append.raw)


def _renamed(append: Append) -> Append:
    """An append with another id: it is another delivery than the one that has its id."""
    delivery = told_apart(append.id, append.raw)
    return replace(append, id=delivery, envelope=msgspec.structs.replace(append.envelope, id=delivery))


async def _set_apart(connection: Connection, sql: Mapping[str, str], group: Sequence[Append]) -> Sequence[Append]:
    """Set apart orders that first came for another tenant with the same secret: they are in doubt. Orders that first
    came under another name of their tenant go to the lane of that name."""
    wanted = {lane for append in group for lane in owners(append.envelope)}
    there = {(tenant, name) for tenant, name in await connection.fetch(sql["lanes_there"], *columns(list(wanted), 2))}
    return [_in_its_lane(append, there) for append in group]


def _in_its_lane(append: Append, there: set[Name]) -> Append:
    found = in_its_lane(append.envelope, there)
    if found is append.envelope:
        return append
    moved = replace(append, envelope=found, lane=(text(found.tenant), text(found.lane)))
    own = append.elsewhere.get(found.tenant)
    if own is None:
        return moved
    before = {append.envelope.tenant: (*append.aliases[:-1], append.order)}
    elsewhere = {name: append.elsewhere.get(name) or before[name] for name in found.also}
    return replace(moved, aliases=(*own[:-1], append.aliases[-1]), order=own[-1], elsewhere=elsewhere)


def _answers(
    group: Sequence[Append],
    lanes: Mapping[Name, tuple[LaneNumber, bool]],
    seqs: Mapping[Delivery, int],
    fresh: set[Delivery],
) -> Sequence[Appended]:
    """Answer for each append. Of two equal deliveries in one group the first is new, the second is known."""
    answers = []
    for append in group:
        lane, opened = lanes[append.lane]
        key = (lane, append.id)
        reason = append.envelope.reason
        answers.append(Appended(seq=seqs[key], lane=lane, known=key not in fresh, opened=opened, reason=reason))
        fresh.discard(key)
    return answers


def _shut_out(append: Append, blocked: set[bytes]) -> Append:
    if not is_shut_out(append.envelope, append.hashes, blocked):
        return append
    return replace(append, envelope=without_person(append.envelope), raw=b"", aliases=append.aliases[-1:])


async def _lanes(
    connection: Connection, sql: Mapping[str, str], group: Sequence[Append]
) -> tuple[Mapping[Name, tuple[LaneNumber, bool]], set[bytes]]:
    """Number of each lane, and whether it was made now; and which of the group's hashes are blocked. A lane that
    another process is making, or has just removed, is seen the next time."""
    found: dict[Name, tuple[LaneNumber, bool]] = {}
    hashes = [one for append in group for one in append.hashes]
    blocked: set[bytes] = set()
    missing = {append.lane: micros(came_at(append.envelope)) for append in reversed(group)}
    while missing:
        rows = [(tenant, name, seen) for (tenant, name), seen in missing.items()]
        for number, tenant, name, opened, hashed in await connection.fetch(sql["lanes"], *columns(rows, 3), hashes):
            if number is None:
                blocked.add(bytes(hashed))
                continue
            found[tenant, name] = (number, opened)
            missing.pop((tenant, name), None)
    return found, blocked


async def _envelopes(
    connection: Connection, sql: Mapping[str, str], wanted: Mapping[Delivery, Append]
) -> dict[Delivery, int]:
    """Add the envelopes that were not known, in the order in which they came. Returns their numbers."""
    rows = [envelope_row(append.envelope, lane, append.id) for (lane, _), append in wanted.items()]
    found = await connection.fetch(sql["add_envelopes"], *columns(rows, 10))
    return {(lane, delivery): seq for lane, delivery, seq in found}


async def _documents(
    connection: Connection,
    sql: Mapping[str, str],
    destinations: Sequence[str],
    fresh: Sequence[tuple[Delivery, Append, int]],
) -> None:
    if not fresh:
        return
    bodies = [(lane, seq, append.headers, append.raw) for (lane, _), append, seq in fresh if append.raw]
    aliases = [(alias, lane) for (lane, _), append, _ in fresh for alias in append.aliases]
    work = [
        (lane, seq, micros(append.envelope.received_at))
        for (lane, _), append, seq in fresh
        if append.envelope.reason is None
    ]
    await connection.execute(
        sql["add_documents"], *columns(bodies, 4), *columns(aliases, 2), *columns(work, 3), list(destinations)
    )
    ended = [(lane, append, seq) for (lane, _), append, seq in fresh if append.envelope.reason is not None]
    if facts := [
        parked_on_arrival_row(append.envelope, lane, seq, append.id)
        for lane, append, seq in ended
        if append.envelope.reason in DEAD_ON_ARRIVAL
    ]:
        await connection.execute(sql["put_facts"], *columns(facts, 13))
    if skips := [
        skipped_on_arrival_row(append.envelope, lane, seq)
        for lane, append, seq in ended
        if append.envelope.reason not in DEAD_ON_ARRIVAL
    ]:
        await connection.execute(sql["put_verdicts"], *columns(skips, 7))
