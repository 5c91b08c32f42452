"""A group of envelopes, stored in one transaction: lanes, documents, and the work for each destination."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from bridge.contract import Envelope, Reason, State
from bridge.journal import Appended
from bridge.journal.cells import Row, came_at, is_shut_out, micros, micros_or_none, without_person
from bridge.journal.postgres.database import Connection

_DEAD_ON_ARRIVAL = frozenset({Reason.NOT_CARRIED_OUT_YET, Reason.UNREADABLE})
Name = tuple[str, str]
Delivery = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """An envelope to store, packed before it is queued; texts are such as Postgres can hold. raw: empty where no
    body is kept. aliases: the last is that of the delivery, which is nobody's name."""

    envelope: Envelope
    lane: Name
    id: str
    headers: bytes
    raw: bytes
    aliases: Sequence[bytes]
    order: bytes


def columns(rows: Sequence[Row], count: int) -> list[list[object]]:
    """Rows as one list a column."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


async def appended(
    connection: Connection, sql: Mapping[str, str], destinations: Sequence[str], group: Sequence[Append]
) -> Sequence[Appended]:
    """Where each is kept, in their order."""
    lanes, blocked = await _lanes(connection, sql, group)
    group = [_shut_out(append, blocked) for append in group] if blocked else group
    wanted: dict[Delivery, Append] = {}
    for append in group:
        wanted.setdefault((lanes[append.lane][0], append.id), append)
    fresh = await _envelopes(connection, sql, wanted)
    known = [key for key in wanted if key not in fresh]
    seqs = dict(fresh)
    if known:
        rows = await connection.fetch(sql["known"], *columns(known, 2))
        seqs.update({(lane, delivery): seq for lane, delivery, seq in rows})
    await _documents(connection, sql, destinations, [(key, wanted[key], seq) for key, seq in fresh.items()])
    return _answers(group, lanes, seqs, set(fresh))


def _answers(
    group: Sequence[Append], lanes: Mapping[Name, tuple[int, bool]], seqs: Mapping[Delivery, int], fresh: set[Delivery]
) -> Sequence[Appended]:
    """Of two equal deliveries in one group the first is new, the second is known."""
    answers = []
    for append in group:
        lane, opened = lanes[append.lane]
        key = (lane, append.id)
        answers.append(Appended(seq=seqs[key], lane=lane, known=key not in fresh, opened=opened))
        fresh.discard(key)
    return answers


def _shut_out(append: Append, blocked: set[bytes]) -> Append:
    if not is_shut_out(append.envelope, (*append.aliases, append.order), blocked):
        return append
    return replace(append, envelope=without_person(append.envelope), raw=b"", aliases=append.aliases[-1:])


async def _lanes(
    connection: Connection, sql: Mapping[str, str], group: Sequence[Append]
) -> tuple[Mapping[Name, tuple[int, bool]], set[bytes]]:
    """Number of each lane, and whether it was made now; and which of the group's hashes are blocked. A lane that
    another process is making, or has just removed, is seen the next time."""
    found: dict[Name, tuple[int, bool]] = {}
    hashes = [one for append in group for one in (*append.aliases, append.order)]
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
    """Those that were not known, with their numbers: in the order in which they came."""
    rows = [
        (
            lane,
            append.id,
            append.envelope.source,
            append.envelope.topic,
            append.envelope.kind,
            micros_or_none(append.envelope.version),
            micros_or_none(append.envelope.occurred_at),
            micros(append.envelope.received_at),
            len(append.envelope.raw),
            micros(append.envelope.came_at) if append.envelope.came_at is not None else 0,
        )
        for (lane, _), append in wanted.items()
    ]
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
        if append.envelope.verdict is None
    ]
    await connection.execute(
        sql["add_documents"], *columns(bodies, 4), *columns(aliases, 2), *columns(work, 3), list(destinations)
    )
    ended = [(lane, append, seq) for (lane, _), append, seq in fresh if append.envelope.verdict is not None]
    if facts := [_parked(*one) for one in ended if one[1].envelope.verdict in _DEAD_ON_ARRIVAL]:
        await connection.execute(sql["put_facts"], *columns(facts, 13))
    if verdicts := [_skipped(*one) for one in ended if one[1].envelope.verdict not in _DEAD_ON_ARRIVAL]:
        await connection.execute(sql["put_verdicts"], *columns(verdicts, 7))


def _parked(lane: int, append: Append, seq: int) -> Row:
    envelope = append.envelope
    once = msgspec.json.encode([append.id]).decode()
    received, occurred = micros(envelope.received_at), micros_or_none(envelope.occurred_at)
    reason = str(envelope.verdict)
    end = (seq, "", occurred, received, 0, reason, envelope.detail, "")
    return (lane, "", envelope.topic, once, State.DEAD.value, *end)


def _skipped(lane: int, append: Append, seq: int) -> Row:
    return (lane, seq, "", "", str(append.envelope.verdict), "", micros(append.envelope.received_at))
