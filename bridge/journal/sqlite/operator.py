"""Acts of a person on parked facts and held rules. Each is a function that runs inside one transaction of the
writer."""

import sqlite3
from collections.abc import Sequence

from bridge.contract import Reason, State
from bridge.journal import Parked
from bridge.journal.rows import as_attempts
from bridge.journal.sqlite.reader import parked_of_lane
from bridge.journal.sqlite.statements import run, statements


def _each(connection: sqlite3.Connection, refs: Sequence[str], state: State) -> list[Parked]:
    return [fact for ref in refs for fact in parked_of_lane(connection, state=state, ref=ref)]


def _ask(connection: sqlite3.Connection, fact: Parked, seq: int, now: int) -> None:
    connection.execute(statements()["ask"], (fact.dest, fact.lane, seq))
    connection.execute(statements()["ask_turn"], (fact.dest, fact.lane, now))


def _note(connection: sqlite3.Connection, fact: Parked, reason: Reason, now: int) -> None:
    row = (fact.lane, fact.seq, fact.dest, fact.rule, reason.value, fact.fact, now)
    run(connection, "put_verdicts", [row])


def retry(connection: sqlite3.Connection, refs: Sequence[str], *, now: int) -> int:
    """Retry dead facts of destinations whose newest document is still stored. What a source parked has no
    destination."""
    retried = []
    for fact in _each(connection, refs, State.DEAD):
        newest = connection.execute(statements()["newest_document"], (fact.lane, fact.source, fact.kind)).fetchone()
        if fact.dest and newest is not None:
            _ask(connection, fact, newest[0], now)
            _note(connection, fact, Reason.RETRIED_BY_HAND, now)
            retried.append(fact)
    run(connection, "add_attempts", as_attempts(retried))
    return len(retried)


def resend(connection: sqlite3.Connection, refs: Sequence[str], *, now: int) -> int:
    """Resend uncertain facts: the key is let go and the document that made it is mapped again."""
    facts = _each(connection, refs, State.UNCERTAIN)
    for fact in facts:
        connection.execute(
            statements()["forget_fact"], (fact.lane, fact.dest, fact.fact, fact.once, State.UNCERTAIN.value)
        )
        _ask(connection, fact, fact.seq, now)
        _note(connection, fact, Reason.SENT_BY_HAND, now)
    run(connection, "add_attempts", as_attempts(facts))
    return len(facts)


def end(
    connection: sqlite3.Connection, refs: Sequence[str], *, parked: State, state: State, reason: Reason, now: int
) -> int:
    """Give parked facts a final state, as a person decided."""
    facts = _each(connection, refs, parked)
    for fact in facts:
        connection.execute(
            statements()["set_state"],
            (state.value, reason.value, now, fact.lane, fact.dest, fact.fact, fact.once, parked.value),
        )
    return len(facts)


def release(connection: sqlite3.Connection, dest: str, rule: str, *, now: int) -> int:
    """Make one page of the lanes due that wait for a held rule. With the last page the hold ends."""
    freed = connection.execute(statements()["release"], (now, dest, dest, rule)).rowcount
    if not freed:
        connection.execute(statements()["end_hold"], (dest, rule))
    return freed
