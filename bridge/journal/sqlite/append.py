"""Documents on their way into the tables, a group at a time. All of it runs in the writer's thread."""

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from bridge import clock
from bridge.contract import Reason
from bridge.journal import Appended, LaneNumber
from bridge.journal.rows import (
    BUCKET,
    DEAD_ON_ARRIVAL,
    Row,
    alias_hash,
    alias_hashes,
    came_at,
    hashes_of,
    in_its_lane,
    is_one,
    is_shut_out,
    micros,
    order_alias,
    owners,
    told_apart,
    without_person,
)
from bridge.journal.sqlite import erasures
from bridge.journal.sqlite.operations import Answer, Append
from bridge.journal.sqlite.statements import Batch, fetched, run
from bridge.journal.written_rows import envelope_row, parked_on_arrival_row, skipped_on_arrival_row

_LANES_REMEMBERED = 16_384  # orders
_BLOCKED_REMEMBERED = 65_536  # hashes

_Lanes: TypeAlias = dict[tuple[str, str], LaneNumber]
"""Tenant and name to number."""

_Known: TypeAlias = dict[tuple[LaneNumber, str], tuple[int, bytes | None]]
"""Lane and id of a delivery to its number and its body as it is stored; None: the body is gone."""

_Fresh: TypeAlias = tuple[Append, LaneNumber, int]
"""The new append, the number of its lane, and its own number."""


@dataclass(slots=True)
class _Counters:
    """The last numbers given out; a number is never given twice, not even after a rollback."""

    seq: int
    lane: int


class AppendBatch:
    """Knows the last numbers, the lanes that were asked for last, and who is blocked."""

    def __init__(self, connection: sqlite3.Connection, *, salt: bytes, destinations: Sequence[str]) -> None:
        self._connection = connection
        self._salt = salt
        self._destinations = tuple(destinations)
        self._lanes: OrderedDict[tuple[str, str], LaneNumber] = OrderedDict()
        sequences = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
        self._counters = _Counters(seq=sequences.get("envelope", 0), lane=sequences.get("lane", 0))
        self._blocked: set[bytes] | None = None
        """The blocked hashes. None: they are too many to be remembered."""
        self.reload_blocked()

    def remember(self, lanes: _Lanes) -> None:
        """What a group has found and made, when it is committed."""
        self._lanes.update(lanes)
        while len(self._lanes) > _LANES_REMEMBERED:
            self._lanes.popitem(last=False)

    def forget_lanes(self) -> None:
        """Forget the lanes that are remembered, after lanes were deleted."""
        self._lanes.clear()

    def reload_blocked(self) -> None:
        """Read the blocked hashes again, after they were changed or their change was rolled back."""
        blocked = erasures.blocked(self._connection, most=_BLOCKED_REMEMBERED + 1)
        self._blocked = blocked if len(blocked) <= _BLOCKED_REMEMBERED else None

    def _shut_out(self, appends: Sequence[Append]) -> None:
        hashes = [self._hashes(append) for append in appends]
        blocked = self._blocked
        if blocked is None:
            blocked = {
                one for (one,) in fetched(self._connection, "blocked_of", [(one,) for own in hashes for one in own])
            }
        for append, own in zip(appends, hashes, strict=True):
            if is_shut_out(append.envelope, own, blocked):
                append.envelope = without_person(append.envelope)
                append.raw, append.aliases = b"", append.aliases[-1:]

    def _hashes(self, append: Append) -> Sequence[bytes]:
        """The hashes that show whether it is of somebody who was erased, under any name of its tenant."""
        envelope = append.envelope
        others = [one for name in envelope.also for one in hashes_of(self._salt, envelope, name)]
        return (*append.aliases, alias_hash(self._salt, envelope.tenant, order_alias(envelope.lane)), *others)

    def append(self, appends: Sequence[Append]) -> tuple[list[Answer], _Lanes]:
        """Append a group, and return where each is kept and the lanes to be remembered. Both are true once the group is
        committed."""
        seen: _Lanes = {}
        if any(append.envelope.rivals or append.envelope.also for append in appends):
            self._set_apart(appends)
        if self._blocked is None or self._blocked:
            self._shut_out(appends)
        last_lane = self._counters.lane
        lanes = self._lanes_of(appends, seen)
        known = self._known(appends, lanes, last_lane)
        fresh: list[_Fresh] = []
        answers: list[Answer] = []
        filled: set[LaneNumber] = set()
        for append in appends:
            lane = lanes[append.envelope.tenant, append.envelope.lane]
            seq = self._seq_of(append, lane, known)
            opened = lane > last_lane and lane not in filled
            filled.add(lane)
            is_known, seq = seq is not None, seq or self._counters.seq + 1
            reason = append.envelope.reason
            answers.append((append, Appended(seq=seq, lane=lane, known=is_known, opened=opened, reason=reason)))
            if not is_known:
                self._counters.seq = seq
                known[lane, append.envelope.id] = seq, append.raw
                fresh.append((append, lane, seq))
        self._add(fresh)
        if erased := {lane for append, lane, _ in fresh if append.envelope.reason is Reason.ERASED}:
            run(self._connection, "hide_names", [(lane,) for lane in erased])
        return answers, seen

    def _seq_of(self, append: Append, lane: LaneNumber, known: _Known) -> int | None:
        """The number of the delivery that is known already. One with its id and another body is another delivery."""
        seq, raw = known.get((lane, append.envelope.id), (None, None))
        if seq is None or not append.envelope.by_header or is_one(raw, append.raw):
            return seq
        append.envelope = msgspec.structs.replace(append.envelope, id=told_apart(append.envelope.id, append.raw))
        key = (lane, append.envelope.id)
        known.update(self._stored([key] if key not in known else []))
        return known.get(key, (None, None))[0]

    def _set_apart(self, appends: Sequence[Append]) -> None:
        """Set apart orders that first came for another tenant with the same secret, or under another name of their
        tenant. An order whose lane is remembered is its own."""
        doubted = [each for each in appends if (each.envelope.tenant, each.envelope.lane) not in self._lanes]
        wanted = {lane for append in doubted for lane in owners(append.envelope)}
        there = {(tenant, name) for tenant, name, _ in fetched(self._connection, "lanes", list(wanted))}
        for append in doubted:
            found = in_its_lane(append.envelope, there)
            if found.tenant != append.envelope.tenant:
                append.aliases = [*alias_hashes(self._salt, found.tenant, found.aliases), append.aliases[-1]]
            append.envelope = found

    def _lanes_of(self, appends: Sequence[Append], seen: _Lanes) -> _Lanes:
        names = {(append.envelope.tenant, append.envelope.lane): came_at(append.envelope) for append in appends}
        lanes = {name: self._lanes[name] for name in names if name in self._lanes}
        for tenant, name, lane in fetched(self._connection, "lanes", [name for name in names if name not in lanes]):
            lanes[tenant, name] = seen[tenant, name] = lane
        fresh: list[Row] = []
        for name, came in names.items():
            if name not in lanes:
                self._counters.lane += 1
                made = lanes[name] = seen[name] = LaneNumber(self._counters.lane)
                fresh.append((made, *name, micros(came)))
        run(self._connection, "add_lanes", fresh)
        return lanes

    def _known(self, appends: Sequence[Append], lanes: _Lanes, last_lane: int) -> _Known:
        """Deliveries that are stored already. Lanes after last_lane were made just now: nothing is asked for them."""
        keys = {
            (lane, append.envelope.id)
            for append in appends
            if (lane := lanes[append.envelope.tenant, append.envelope.lane]) <= last_lane
        }
        return self._stored(list(keys))

    def _stored(self, keys: Sequence[tuple[LaneNumber, str]]) -> _Known:
        return {(lane, delivery): (seq, raw) for lane, delivery, seq, raw in fetched(self._connection, "known", keys)}

    def _add(self, fresh: Sequence[_Fresh]) -> None:
        batch = Batch()
        batch.extend(
            "add_envelopes",
            [(seq, *envelope_row(append.envelope, lane, append.envelope.id)) for append, lane, seq in fresh],
        )
        batch.extend("add_bodies", [(seq, append.headers, append.raw) for append, _, seq in fresh if append.raw])
        batch.extend(
            "add_aliases", [(lane // BUCKET, alias, lane) for append, lane, _ in fresh for alias in append.aliases]
        )
        now = clock.microseconds()
        for append, lane, seq in fresh:
            envelope = append.envelope
            if envelope.reason is None:
                due = min(micros(envelope.received_at), now)  # the clock may have been set back since it came
                for dest in self._destinations:
                    batch.add("add_work", (dest, lane, seq))
                    batch.add("add_turns", (dest, lane, due))
            elif envelope.reason in DEAD_ON_ARRIVAL:
                batch.add("put_facts", parked_on_arrival_row(envelope, lane, seq, envelope.id))
            else:
                batch.add("put_verdicts", skipped_on_arrival_row(envelope, lane, seq))
        batch.write(self._connection)
