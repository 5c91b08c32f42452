"""Record what happened to claimed documents, a group in one transaction, and only if the lane is still this
process's."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bridge.contract import State
from bridge.errors import ClaimRevoked, LaneLost
from bridge.journal import Claim, Done, Postponed, Progress, Returned
from bridge.journal.postgres.append import columns
from bridge.journal.postgres.place import Connection
from bridge.journal.rows import NEVER, Row, micros
from bridge.journal.written_rows import attempt_row, begins_anew, fact_row, skip_rows, version_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The progress of a claimed document. ahead: microseconds that the clock of `now` is ahead of the database's."""

    claim: Claim
    progress: Progress
    now: int
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Released:
    """The lane was to wait for a rule that is held no longer. It is due."""


Key: TypeAlias = tuple[int, str, int, int]
"""Lease, destination, lane and claim."""

Recorded: TypeAlias = LaneLost | ClaimRevoked | Released | None

_DECIDED = "a person has decided about this order since it was claimed"


async def recorded(connection: Connection, sql: Mapping[str, str], group: Sequence[Entry]) -> Sequence[Recorded]:
    """Record a group. None for what is stored, LaneLost for what belongs to another claim now: the fence before a
    request leaves."""
    found = await _found(connection, sql, group)
    mine = found.keys()
    revoked = {_key(entry) for entry in group if found.get(_key(entry)) and _departs(entry)}
    entries = [entry for entry in group if _key(entry) in mine and not (_key(entry) in revoked and _departs(entry))]
    await _let_go(connection, sql, entries)
    free: Collection[tuple[str, int]] = ()
    for name, rows in _writings(entries).items():
        if rows:
            answers = await connection.fetch(sql[name], *columns(rows, len(rows[0])))
            if name == "postpone":
                free = {(dest, lane) for dest, lane, is_free in answers if is_free}
    return [ClaimRevoked(_DECIDED) if _key(e) in revoked and _departs(e) else _answer(e, mine, free) for e in group]


def _answer(entry: Entry, mine: Collection[Key], free: Collection[tuple[str, int]]) -> Recorded:
    if _key(entry) not in mine:
        return LaneLost("this order's lane is no longer this claim's: another may have it")
    is_free = isinstance(entry.progress.end, Postponed) and (entry.claim.dest, entry.claim.lane) in free
    return Released() if is_free else None


def _key(entry: Entry) -> Key:
    return entry.claim.lease, entry.claim.dest, entry.claim.lane, entry.claim.number


def _departs(entry: Entry) -> bool:
    return any(settled.state is State.DEPARTED for settled in entry.progress.settled)


async def _found(connection: Connection, sql: Mapping[str, str], group: Sequence[Entry]) -> Mapping[Key, bool]:
    """The claims that stand, and whether a person has revoked them. Locked until the end of the transaction."""
    found: dict[Key, bool] = {}
    for lease in sorted({entry.claim.lease for entry in group}):
        rows = {(e.claim.dest, e.claim.lane, e.claim.number) for e in group if e.claim.lease == lease}
        owned = await connection.fetch(sql["owned"], *columns(sorted(rows), 3), lease)
        found.update({(lease, dest, lane, number): revoked for dest, lane, number, revoked in owned})
    return found


async def _let_go(connection: Connection, sql: Mapping[str, str], entries: Sequence[Entry]) -> None:
    keys = [(e.claim.lane, e.claim.dest, fact, once) for e in entries for fact, once in e.progress.released]
    if keys:
        await connection.execute(sql["drop_facts"], *columns(keys, 4))


def _writings(entries: Sequence[Entry]) -> Mapping[str, Sequence[Row]]:
    """Statement to rows, in the order in which they run."""
    facts = [fact_row(entry.claim, settled, entry.now) for entry in entries for settled in entry.progress.settled]
    skips = [row for entry in entries for row in skip_rows(entry.claim, entry.progress, entry.now)]
    return {
        "put_facts": list({row[:4]: row for row in facts}.values()),
        "put_names": sorted({(row[1], row[2]) for row in facts}),
        "put_verdicts": list({row[:4] + row[4:5]: row for row in skips}.values()),
        "put_versions": [row for entry in entries for row in version_rows(entry.claim, entry.progress)],
        "first_attempts": [(e.claim.dest, e.claim.lane) for e in entries if begins_anew(e.claim, e.progress)],
        "put_attempts": [
            attempt_row(e.claim, e.progress.end, e.now) for e in entries if isinstance(e.progress.end, Postponed)
        ],
        "postpone": [_postponed(e, e.progress.end) for e in entries if isinstance(e.progress.end, Postponed)],
        "give_back": [(e.claim.dest, e.claim.lane, e.now) for e in entries if isinstance(e.progress.end, Returned)],
        "finish": [
            (e.claim.dest, e.claim.lane, e.claim.seq, e.claim.asked, e.now)
            for e in entries
            if isinstance(e.progress.end, Done)
        ],
    }


def _postponed(entry: Entry, end: Postponed) -> Row:
    due = NEVER if end.until is None else micros(end.until) - entry.ahead
    held = end.rule if end.until is None else None
    return (entry.claim.dest, entry.claim.lane, due, entry.now, held)
