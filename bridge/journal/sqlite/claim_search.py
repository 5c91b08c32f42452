"""Search the tables for what is due, and for what a claim says of it."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from bridge.contract import State
from bridge.journal import Key, LaneNumber
from bridge.journal.rows import NEVER, Row, moment
from bridge.journal.sqlite.statements import fetched, statements

Held: TypeAlias = dict[int, dict[Key, tuple[State, int]]]
"""The keys of each lane, each with its state and the document that made it."""

Newest: TypeAlias = dict[tuple[int, str, str], int]
"""The newest version that was mapped, by lane, source and kind."""


@dataclass(frozen=True, slots=True)
class Details:
    """What claims tell beside their documents. united: names of facts that are one."""

    documents: Sequence[Row]
    held: Held
    newest: Newest
    united: frozenset[tuple[str, str]]


NOTHING_KNOWN: Final = Details(documents=(), held={}, newest={}, united=frozenset())
"""The details of a lane that was opened by its document."""


@dataclass(frozen=True, slots=True)
class Due:
    """What a search found. whole: nothing else was due; next: when the next lane will be, if that is known."""

    rows: Sequence[Row]
    whole: bool
    next: datetime | None


def due(
    connection: sqlite3.Connection, *, dest: str, now: int, limit: int, budget: int, in_flight: frozenset[LaneNumber]
) -> Due:
    most = limit + len(in_flight)
    rows = connection.execute(statements()["due"], (dest, now, most)).fetchall()
    waiting = [row for row in rows if row[0] not in in_flight]
    chosen = _within(budget, waiting[:limit])
    whole = len(rows) < most and len(chosen) == len(waiting)
    taken = in_flight | {row[0] for row in chosen}
    return Due(rows=chosen, whole=whole, next=next_due(connection, dest, taken) if whole else None)


def next_due(connection: sqlite3.Connection, dest: str, in_flight: frozenset[LaneNumber]) -> datetime | None:
    rows = connection.execute(statements()["next_due"], (dest, len(in_flight) + 1)).fetchall()
    waiting = [at for at, lane in rows if lane not in in_flight and at != NEVER]
    return moment(waiting[0]) if waiting else None


def _within(budget: int, rows: Sequence[Row]) -> list[Row]:
    """Choose as many rows as the budget allows for their documents' bytes, but at least one."""
    chosen: list[Row] = []
    for row in rows:
        budget -= row[5]
        if chosen and budget < 0:
            break
        chosen.append(row)
    return chosen


def details(connection: sqlite3.Connection, dest: str, cold: Sequence[Row], lanes: Sequence[Row]) -> Details:
    held: Held = {}
    united: set[tuple[str, str]] = set()
    for lane, fact, once, state, seq in fetched(connection, "held_facts", lanes, before=(dest,), after=(dest,)):
        if lane is None:
            united.add((fact, once))
        else:
            held.setdefault(lane, {})[fact, once] = (State(state), seq)
    newest = fetched(connection, "newest", lanes, before=(dest,))
    return Details(
        documents=fetched(connection, "documents", cold),
        held=held,
        newest={(lane, source, kind): version for lane, source, kind, version in newest},
        united=frozenset(united),
    )
