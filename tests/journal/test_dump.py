"""A journal as one file: from any journal to any, with a proof; and a backup that sends nothing twice."""

import io
import sqlite3
import struct

import msgspec
import pytest

from bridge.contract import State
from bridge.errors import JournalError
from bridge.journal.dump import _OLDER, FORMAT, TABLES, Summing, header_of, sums_of
from bridge.journal.postgres.database import connected
from bridge.journal.sqlite.statements import schema
from tests.journal.conftest import KINDS, PAIRS, lived_in


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_a_journal_that_is_moved_is_all_there_and_works_on(kinds, desk, source, target):
    here, there = await kinds(source), await kinds(target)
    await lived_in(here, desk)
    content, written = await here.read_out(here.here)
    assert written == await there.fill(there.there, content)
    assert all(written[table].count for table in TABLES)
    _, again = await there.read_out(there.there)
    assert {"fact"} >= {table for table in TABLES if again[table] != written[table]}  # one may have departed
    async with there.package.opened(there.there, destinations=("api", "other")) as journal:
        (lane,) = await journal.find("0@example.com")
        assert {"placed": "delivered", "refund": "delivered"} == await desk.states(journal, lane)
        (held,) = [claim for claim in await desk.claims(journal) if claim.envelope.lane == "4"]
        assert {("placed", "[]"): State.UNCERTAIN} == dict(held.held)
        assert b"document" in held.envelope.raw
        assert {"a": "ü"} == held.envelope.headers
        assert not held.doubtful
        assert 20 == len(await desk.claims(journal, "other"))
        appended = await journal.append(desk.document("new"))
        assert (await journal.stats()).envelopes == appended.seq


WIDTHS = {
    "attribution-bridge journal 1": {
        "meta": 2, "lane": 4, "envelope": 10, "body": 4, "work": 4, "turn": 6, "fact": 12, "name": 2, "verdict": 7,
        "attempt": 8, "version": 5, "alias": 3, "hold": 5,
    },
    "attribution-bridge journal 2": {
        "meta": 2, "lane": 4, "envelope": 10, "body": 4, "work": 4, "turn": 6, "fact": 13, "name": 2, "verdict": 7,
        "attempt": 8, "version": 5, "alias": 3, "hold": 5, "memory": 3, "blocked": 2,
    },
    "attribution-bridge journal 3": {
        "meta": 2, "lane": 4, "envelope": 11, "body": 4, "work": 4, "turn": 6, "fact": 13, "name": 2, "verdict": 7,
        "attempt": 8, "version": 5, "alias": 3, "hold": 5, "memory": 3, "blocked": 2, "former": 3, "position": 5,
    },
}  # fmt: skip
"""How many columns each table has in each format. A format that is out never changes: add the next one below."""
OLDER = [name for name in WIDTHS if name != FORMAT]


def test_the_columns_of_each_format_are_known():
    """Where the newest is not as it says here, raise FORMAT; where an older one is not, mend `_OLDER`."""
    assert WIDTHS[FORMAT] == {name: len(table.columns) for name, table in TABLES.items()}
    read = {
        name: {table: width for table in TABLES if (width := _OLDER[name].get(table, len(TABLES[table].columns)))}
        for name in OLDER
    }
    assert {name: WIDTHS[name] for name in OLDER} == read


def _as_of(name, content):
    """The same journal as a bridge of an older format would have written it."""
    file, out = io.BytesIO(content), io.BytesIO()
    summing, widths = Summing(), WIDTHS[name]
    while frame := file.read(int.from_bytes(file.read(4), "big")):
        match msgspec.msgpack.decode(frame):
            case {"format": _} as header:
                value = {**header, "format": name}
            case [table, _] if table not in widths:
                continue
            case [table, rows]:
                value = [table, [row[: widths[table]] for row in rows]]
                summing.add(table, value[1])
            case _:
                value = {table: sums for table, sums in summing.sums().items() if table in widths}
        frame = msgspec.msgpack.encode(value)
        out.write(struct.pack(">I", len(frame)) + frame)
    return out.getvalue()


@pytest.mark.parametrize("name", OLDER)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_backup_of_an_older_format_is_read_and_proved_too(kinds, desk, kind, name):
    one = await kinds(kind)
    await lived_in(one, desk)
    content, written = await one.read_out(one.here)
    read = await one.fill(one.there, _as_of(name, content))
    assert written["fact"].count == read["fact"].count > 0


async def test_a_changed_row_of_an_older_format_is_found(kinds, desk, tmp_path):
    one = await kinds("sqlite")
    await lived_in(one, desk)
    content, _ = await one.read_out(one.here)
    with pytest.raises(JournalError, match="differs from the file in: fact"):
        await one.fill(one.there, _as_of(OLDER[0], content).replace(b"refused", b"refuse!"))


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_what_waits_in_a_restored_backup_is_in_doubt_until_a_person_speaks(kinds, desk, source, target):
    here, there = await kinds(source), await kinds(target)
    await lived_in(here, desk)
    content, _ = await here.read_out(here.here)
    await there.fill(there.there, content, doubt=True)
    async with there.package.opened(there.there, destinations=("api", "other")) as journal:
        claims = await desk.claims(journal)
        assert {True} == {claim.doubtful for claim in claims}
        (dead,) = await desk.parked(journal, dest="api")
        await journal.retry([dead.ref])
        (asked,) = await desk.claims(journal)
        assert (dead.lane, False) == (asked.lane, asked.doubtful)
        await journal.append(desk.document("new"))
        assert not (await desk.claim(journal)).doubtful


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_that_is_cut_or_changed_makes_no_journal(kinds, desk, kind):
    kind = await kinds(kind)
    await lived_in(kind, desk)
    content, _ = await kind.read_out(kind.here)
    changed = content.replace(b"delivered", b"delivexed", 1)
    for wrong, why in ((content[:-10], "not whole"), (content[: len(content) // 2], "not whole"), (changed, "fact")):
        with pytest.raises(JournalError, match=why):
            await kind.fill(kind.there, wrong)
    assert await kind.fill(kind.there, content)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_that_holds_something_is_not_filled(kinds, desk, kind):
    kind = await kinds(kind)
    await lived_in(kind, desk)
    content, _ = await kind.read_out(kind.here)
    with pytest.raises(JournalError, match="already"):
        await kind.fill(kind.here, content)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_journal_at_work_can_be_backed_up_and_is_not_whole(kinds, desk, kind):
    kind = await kinds(kind)
    async with kind.package.opened(kind.here, destinations=("api",)) as journal:
        await journal.append(desk.document())
        content, sums = await kind.read_out(kind.here)
        await desk.done(journal, await desk.claim(journal), desk.fact())
    assert not header_of(io.BytesIO(content)).whole
    assert (1, 1, 0) == (sums["envelope"].count, sums["work"].count, sums["fact"].count)
    assert sums != await kind._in(kind.exporting(kind.here), sums_of)


def test_another_file_is_refused():
    for content in (b"", b"SQLite format 3\0", b"\0\0\0\x01\xc0"):
        with pytest.raises(JournalError, match="no file of"):
            header_of(io.BytesIO(content))


def test_every_table_and_column_of_a_sqlite_journal_is_in_the_dump():
    """A column that is forgotten there would be lost by a backup."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(schema())
    made = {
        name: {column for _, column, *_ in connection.execute(f"PRAGMA table_info({name})")}
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    }
    connection.close()
    assert made == {
        name: set(table.columns) - ({"lane"} if name == "body" else set())  # written beside its body, for Postgres
        for name, table in TABLES.items()
    }


async def test_every_table_and_column_of_the_dump_is_in_a_postgres_journal(postgres_place):
    async with connected(postgres_place) as database, database.connection() as connection:
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = $1",
            postgres_place.schema,
        )
    made = {(table, column) for table, column in rows}
    wanted = {(name, column) for name, table in TABLES.items() for column in table.columns}
    assert {(table, column) for table, column in wanted if table != "alias"} <= made
    of_one_process = {("owner", column) for table, column in made if table == "owner"}
    own = {
        ("turn", "owner"), ("turn", "docs"), ("turn", "claim"), ("turn", "revoked"), ("turn", "claimed"),
        ("alias", "hash"), ("alias", "lane"), ("alias", "bucket"),
    }  # fmt: skip
    assert made - wanted <= of_one_process | own
