"""Record what became of claimed documents, a group at a time. All of it runs in the writer's thread."""

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

from bridge.journal import Done, Postponed, Returned
from bridge.journal.rows import NEVER, Row, micros_or_none, text
from bridge.journal.sqlite.operations import Entry
from bridge.journal.sqlite.statements import Batch, run, statements
from bridge.journal.written_rows import attempt_row, begins_anew, fact_row, skip_rows, version_rows

_Names: TypeAlias = set[tuple[str, str]]
"""Destination and fact."""


class ProgressBatch:
    """Knows the names of the facts that have keys."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._names = {(dest, fact) for dest, fact in connection.execute(statements()["names"])}

    def remember(self, names: _Names) -> None:
        """Remember the names that are new, when their group is committed."""
        self._names |= names

    def record(self, entries: Sequence[Entry]) -> _Names:
        """Record a group. Returns the names that are new to this journal."""
        batch = Batch()
        done: list[Entry] = []
        for entry in entries:
            _write_down(self._connection, batch, entry)
            match entry.progress.end:
                case Postponed() as end:
                    _postpone(self._connection, batch, entry, end)
                case Done():
                    done.append(entry)
                case Returned() | None:
                    pass
        told = {(entry.claim.dest, settled.fact) for entry in entries for settled in entry.progress.settled}
        fresh = told - self._names
        batch.extend("add_names", fresh)
        batch.write(self._connection)
        if done:
            self._finish(done)
        return fresh

    def _finish(self, done: Sequence[Entry]) -> None:
        groups: dict[tuple[str, int], list[Entry]] = {}
        for entry in done:
            groups.setdefault((entry.claim.dest, entry.claim.asked), []).append(entry)
        for (dest, asked), entries in groups.items():
            lanes: list[Row] = [(entry.claim.lane,) for entry in entries]
            # Keep what a person asked for again since the claim: that request must not get lost.
            run(self._connection, "end_work", [(e.claim.lane, e.claim.seq) for e in entries], before=(dest, asked))
            if run(self._connection, "end_turns", lanes, before=(dest,)) < len(lanes):
                run(self._connection, "next_turns", lanes, before=(max(e.now for e in entries), dest))


def _write_down(connection: sqlite3.Connection, batch: Batch, entry: Entry) -> None:
    claim, progress, now = entry.claim, entry.progress, entry.now
    for fact, once in progress.released:
        connection.execute(statements()["drop_facts"], (claim.lane, claim.dest, fact, text(once)))
    for settled in progress.settled:
        batch.add("put_facts", fact_row(claim, settled, now))
    batch.extend("put_verdicts", skip_rows(claim, progress, now))
    if begins_anew(claim, progress):
        connection.execute(statements()["first_attempt"], (claim.dest, claim.lane))
    batch.extend("put_versions", version_rows(claim, progress))


def _postpone(connection: sqlite3.Connection, batch: Batch, entry: Entry, end: Postponed) -> None:
    claim = entry.claim
    until = micros_or_none(end.until)
    batch.add("add_attempts", attempt_row(claim, end, entry.now))
    connection.execute(
        statements()["postpone"], (entry.now if until is None else until, entry.now, claim.dest, claim.lane)
    )
    # The hold's row decides, not what the process remembers of it: without one the lane is due.
    if until is None and connection.execute(statements()["hold"], (claim.dest, end.rule)).fetchone():
        connection.execute(statements()["hold_lane"], (NEVER, end.rule, claim.dest, claim.lane))
