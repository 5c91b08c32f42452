"""What became of claimed documents, written down a group at a time. All of it runs in the writer's thread."""

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

from bridge.contract import State
from bridge.journal import Claim, Done, Postponed, Returned, Settled
from bridge.journal.rows import NEVER, Row, micros, micros_or_none, text
from bridge.journal.sqlite.operations import Entry
from bridge.journal.sqlite.statements import Batch, run, statements

_Names: TypeAlias = set[tuple[str, str]]
"""Destination and fact."""


class ProgressBatch:
    """Knows the names of the facts that have keys."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._names = {(dest, fact) for dest, fact in connection.execute(statements()["names"])}

    def remember(self, names: _Names) -> None:
        """Those that are new, when their group is committed."""
        self._names |= names

    def record(self, entries: Sequence[Entry]) -> _Names:
        """The names that are new to this journal."""
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
            # What a person asked for again since it was claimed stays: that word is not lost.
            run(self._connection, "end_work", [(e.claim.lane, e.claim.seq) for e in entries], before=(dest, asked))
            if run(self._connection, "end_turns", lanes, before=(dest,)) < len(lanes):
                run(self._connection, "next_turns", lanes, before=(max(e.now for e in entries), dest))


def _write_down(connection: sqlite3.Connection, batch: Batch, entry: Entry) -> None:
    claim, record, now = entry.claim, entry.progress, entry.now
    for fact, once in record.released:
        connection.execute(statements()["drop_facts"], (claim.lane, claim.dest, fact, text(once)))
    for settled in record.settled:
        batch.add("put_facts", _fact_row(claim, settled, now))
    for skip in record.skips:
        batch.add(
            "put_verdicts",
            (claim.lane, claim.seq, claim.dest, skip.rule, skip.reason.value, text(skip.detail), now),
        )
    if claim.first_tried_at is not None and any(settled.state is not State.DEPARTED for settled in record.settled):
        # The next fact has its own patience: attempts are counted since something was final.
        connection.execute(statements()["first_attempt"], (claim.dest, claim.lane))
    version = claim.envelope.version
    if version is not None and isinstance(record.end, Done) and not claim.stale:
        envelope = claim.envelope
        batch.add("put_versions", (claim.lane, claim.dest, envelope.source, envelope.kind, micros(version)))


def _fact_row(claim: Claim, settled: Settled, now: int) -> Row:
    return (
        claim.lane,
        claim.dest,
        settled.fact,
        text(settled.once),
        settled.state.value,
        claim.seq,
        settled.rule,
        micros_or_none(settled.occurred_at),
        now,
        claim.attempt + 1,
        settled.reason.value if settled.reason is not None else "",
        text(settled.detail),
        text(settled.amount),
    )


def _postpone(connection: sqlite3.Connection, batch: Batch, entry: Entry, end: Postponed) -> None:
    claim = entry.claim
    until = micros_or_none(end.until)
    row = (claim.lane, claim.seq, claim.dest, entry.now, end.fact, end.reason.value, text(end.detail), until)
    batch.add("add_attempts", row)
    connection.execute(
        statements()["postpone"], (entry.now if until is None else until, entry.now, claim.dest, claim.lane)
    )
    # The hold's row decides, not what the process remembers of it: without one the lane is due.
    if until is None and connection.execute(statements()["hold"], (claim.dest, end.rule)).fetchone():
        connection.execute(statements()["hold_lane"], (NEVER, end.rule, claim.dest, claim.lane))
