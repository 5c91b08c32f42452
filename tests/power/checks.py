"""What must hold of a disk that a power cut has left, when the program is started on it again."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from bridge.journal.dump import header_of, read_in
from bridge.journal.rows import unpacked
from bridge.journal.sqlite import dump, opened
from tests.power.truth import Known

_HELD = frozenset({"departed", "delivered", "uncertain"})


@dataclass(slots=True, kw_only=True)
class Expected:
    """What a journal must hold.

    orders     to each order its body
    erased     orders that are erased, or about to be: their names are hidden
    is_pruned  whether documents may be gone
    gone       texts that were erased for good: they stand nowhere
    is_doubtful  whether it was put back
    """

    known: Known
    orders: dict[str, bytes]
    erased: set[str] = field(default_factory=set)
    is_pruned: bool = False
    gone: set[bytes] = field(default_factory=set)
    is_doubtful: bool = False


async def check_journal(path: Path, expected: Expected) -> None:
    """Open the journal as the next start does, and look at all of it."""
    async with opened(path, destinations=["hellotext"]):
        # The last to close removes the log: until then, what is in there is on the disk.
        _check_gone(path, expected.gone)
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("PRAGMA integrity_check").fetchall()
        assert found == [("ok",)], f"the journal is not whole: {found[:3]}"
        _check_rows(connection, expected)
    finally:
        connection.close()


def _check_gone(path: Path, gone: set[bytes]) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        content = file.read_bytes() if file.is_file() else b""
        left = [text for text in gone if text in content]
        assert not left, f"{file.name} still holds what was erased: {left}"


def _check_rows(connection: sqlite3.Connection, expected: Expected) -> None:
    journal = _Rows(connection)
    for order in expected.known.answered - expected.erased:
        assert order in journal.lanes, f"order {order} was answered 200, and the journal does not know it"
        if not expected.is_pruned:
            _check_document(journal, order, expected.orders[order])
    for order, fact in expected.known.left:
        if order not in expected.erased:
            state = journal.state(order, fact)
            assert state in _HELD, f"{fact} of order {order} had left and has no mark ({state}): it is sent again"
    for order, fact in expected.known.settled:
        if order not in expected.erased:
            state = journal.state(order, fact)
            assert state in _HELD, f"{fact} of order {order} was settled, and that is forgotten ({state})"
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    assert expected.is_doubtful == ("doubtful" in meta), "whether it was put back is told wrongly"


def _check_document(journal: "_Rows", order: str, body: bytes) -> None:
    raw = journal.documents.get(order)
    assert raw is not None, f"order {order} was answered 200, and its document is gone"
    assert unpacked(raw) == body, f"the document of order {order} is another one"
    states = [journal.state(order, fact) for fact in ("order.placed", "order.confirmed")]
    assert journal.lanes[order] in journal.waiting or all(states), f"order {order} has no state: {states}"


class _Rows:
    """All rows of a journal that are looked at."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        bodies = "SELECT e.id, b.raw FROM envelope e LEFT JOIN body b ON b.seq = e.seq"
        facts = connection.execute("SELECT lane, fact, state FROM fact")
        self.lanes: dict[str, int] = dict(connection.execute("SELECT name, n FROM lane").fetchall())
        self.documents: dict[str, bytes | None] = dict(connection.execute(bodies).fetchall())
        self.waiting = {lane for (lane,) in connection.execute("SELECT lane FROM work")}
        self._facts = {(lane, fact): state for lane, fact, state in facts}

    def state(self, order: str, fact: str) -> str | None:
        return self._facts.get((self.lanes.get(order, 0), fact))


async def check_copy(file: Path, at: Path, expected: Expected) -> None:
    """Restore a backup, or import an export, to a new place, and look at that."""
    with file.open("rb") as given:
        header = header_of(given)
        with dump.importing(at) as target:
            await read_in(target, given, header, lambda _: None)
    await check_journal(at, expected)
