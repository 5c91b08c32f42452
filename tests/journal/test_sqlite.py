"""The embedded journal: who owns its file, what it does when the disk fails it, and what its statements cost."""

import asyncio
import errno
import os
import re
import resource
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from bridge.contract import Reason, State
from bridge.errors import JournalBroken, JournalBusy, JournalError, JournalInUse, JournalUnreadable
from bridge.journal import Done, Erasure, Postponed, Progress, Skip
from bridge.journal.sqlite import disk, file, opened, reading
from bridge.journal.sqlite.statements import _expanded, schema, statements
from tests.journal.usual import USUAL_RETENTION

MEBIBYTE = 1 << 20


@pytest.fixture
def path(tmp_path):
    return tmp_path / "var" / "journal.db"


def _opened(path, **options):
    return opened(path, destinations=("api",), **options)


async def _made(path):
    async with _opened(path):
        pass


# -- the file ---------------------------------------------------------------------------------------------------------


async def test_a_journal_has_one_owner(path):
    async with _opened(path):
        with pytest.raises(JournalInUse, match="in use by another process"):
            await _made(path)
    await _made(path)


async def test_the_journal_is_for_its_user_only(path, desk):
    async with _opened(path) as journal:
        await journal.append(desk.document())
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db.lock"} == set(modes)
    assert {0o600} == set(modes.values())


async def test_what_is_confirmed_is_flushed_to_the_disk(path):
    async with _opened(path) as journal:
        asked = ("journal_mode", "synchronous")
        assert ["wal", 2] == [journal._writer._connection.execute(f"PRAGMA {one}").fetchone()[0] for one in asked]


async def test_a_journal_of_a_newer_version_is_refused(path):
    await _made(path)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(JournalUnreadable) as problem:
        await _made(path)
    assert f"{path} was written by a newer version of the bridge (journal version 99, " in str(problem.value)
    with pytest.raises(JournalUnreadable, match="newer version"):
        async with reading(path):
            pass


@pytest.mark.parametrize("content", [b"x", b"Dear diary, " * 1000])
async def test_a_file_that_is_no_journal_is_refused_and_left_alone(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    for way in (_opened, reading):
        with pytest.raises(JournalUnreadable, match="cannot be read as a journal"):
            async with way(path):
                pass
    assert content == path.read_bytes()


async def test_a_database_of_somebody_else_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE song (name)")
    other.close()
    for way in (_opened, reading):
        with pytest.raises(JournalUnreadable, match="not a journal of this bridge"):
            async with way(path):
                pass


async def test_reading_makes_no_journal(path):
    path.parent.mkdir()
    with pytest.raises(JournalUnreadable, match="there is no journal"):
        async with reading(path):
            pass
    path.touch()
    with pytest.raises(JournalUnreadable, match="run the bridge once"):
        async with reading(path):
            pass
    assert b"" == path.read_bytes()


async def test_a_place_where_no_file_can_be_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"file is no folder: the journal .* cannot be there; name another place"):
        await _made(tmp_path / "file" / "journal.db")
    with pytest.raises(JournalError, match="no folder /proc/no-such can be made for the journal: name another place"):
        await _made(Path("/proc/no-such/journal.db"))


async def test_a_folder_in_its_place_is_said(path):
    path.mkdir(parents=True)
    with pytest.raises(JournalError, match=rf"{path} is a folder: name a file in it, such as {path}/journal\.db"):
        await _made(path)
    assert [] == list(path.iterdir())


async def test_a_place_that_is_not_ours_says_whose_it_has_to_be(path, monkeypatch):
    """Root may write everywhere, so the refusal itself is played; a disk that fails is another matter."""

    def refused(number):
        def refuse(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("bridge.journal.sqlite.file.os.open", refuse)

    for number in (errno.EACCES, errno.EROFS):
        refused(number)
        with pytest.raises(
            JournalError, match=rf"user \d+ may not write the journal {path}: .*; give this user"
        ) as told:
            await _made(path)
        assert not isinstance(told.value, JournalBroken)
    refused(errno.EIO)
    with pytest.raises(JournalBroken, match="cannot open the journal"):
        await _made(path)


async def test_an_older_journal_is_upgraded_in_one_piece(path, desk, monkeypatch):
    async with _opened(path) as journal:
        appended = await journal.append(desk.document())
    monkeypatch.setattr(file, "VERSION", file.VERSION + 2)
    monkeypatch.setattr(sys.modules["bridge.journal.sqlite.reader"], "VERSION", file.VERSION)
    last = file.VERSION
    scripts = {last - 1: "CREATE TABLE two (a);", last: "CREATE TABLE three (a); SELECT * FROM nowhere;"}
    monkeypatch.setattr(file, "upgrade", scripts.get)
    with pytest.raises(JournalUnreadable, match="run the bridge once"):
        async with reading(path):
            pass
    with pytest.raises(JournalBroken, match="nowhere"):
        await _made(path)
    assert ({"two"}, last - 1) == _tables_beyond_the_schema(path)  # each step is whole, or not at all
    scripts[last] = "CREATE TABLE three (a);"
    async with _opened(path) as journal:
        assert appended.seq == (await desk.claim(journal)).seq
    assert ({"two", "three"}, last) == _tables_beyond_the_schema(path)


async def test_a_journal_of_the_first_version_is_upgraded_with_all_that_is_in_it(path, desk):
    async with _opened(path) as journal:
        appended = await journal.append(desk.document())
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE fact DROP COLUMN amount; DROP TABLE memory; DROP TABLE blocked; DROP TABLE former; "
        "DROP TABLE position; ALTER TABLE envelope DROP COLUMN came; "
        "PRAGMA user_version = 1;"
    )
    connection.close()
    async with _opened(path) as journal:
        assert appended.seq == (await desk.claim(journal)).seq
        await journal.remember("upgraded", "yes")
        assert "yes" == await journal.recall("upgraded")


def _tables_beyond_the_schema(path):
    connection = sqlite3.connect(path)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return names & {"two", "three"}, version


async def test_aliases_are_stored_as_salted_hashes_only(path, tmp_path, desk):
    email = "canary.ann@shop.example"
    document = desk.document(aliases=(f"email:{email}", "phone:+34600111222"))
    async with _opened(path) as journal, _opened(tmp_path / "other.db") as other:
        for one in (journal, other):
            await one.append(document)
            assert 1 == len(await one.find(email))
    for one in (path, tmp_path / "other.db"):
        stored = one.read_bytes()
        assert document.id.encode() in stored
        assert [] == [text for text in (b"canary", b"600111222") if text in stored]
    hashes = []
    for one in (path, tmp_path / "other.db"):
        with closing(sqlite3.connect(one)) as connection:
            hashes.append(set(connection.execute("SELECT hash FROM alias")))
    assert (3, 3, set()) == (len(hashes[0]), len(hashes[1]), hashes[0] & hashes[1])


# -- the disk is full -------------------------------------------------------------------------------------------------


@pytest.fixture
def looking(monkeypatch):
    """The free room is looked at before every group, not twice a second."""
    monkeypatch.setattr(disk, "_LOOK_EVERY", 0)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@contextmanager
def _filled(disk):
    """Not a byte is free."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            yield filler
    filler.unlink(missing_ok=True)


async def _until_busy(journal, desk):
    """Takes in until the disk is full; how many were stored."""
    for count in range(10_000):
        try:
            await journal.append(desk.document(f"more-{count}", raw=os.urandom(3000)))
        except JournalBusy:
            return count
    pytest.fail("the disk was never full")


async def test_a_full_disk_turns_appends_away_and_what_is_known_is_still_settled(small_disk, desk, looking):
    path = small_disk / "journal.db"
    async with _opened(path, ballast=MEBIBYTE) as journal:
        for order in range(20):
            await journal.append(desk.document(str(order)))
        ballast = path.with_name("journal.db.ballast")
        assert MEBIBYTE == ballast.stat().st_size
        claims = await desk.claims(journal)
        with _filled(small_disk):
            stored = await _until_busy(journal, desk)
            assert not ballast.exists()
            assert None is not journal.refuses()
            for claim in claims:
                await desk.done(journal, claim, desk.fact())
            with pytest.raises(JournalBusy):
                await journal.append(desk.document())
        assert not (await journal.append(desk.document("afterwards"))).known
        assert None is journal.refuses()
        assert ballast.exists()
        assert {("api", "delivered"): 20} == dict((await journal.stats()).facts)
    async with _opened(path) as journal:
        assert stored + 1 == len(await desk.claims(journal))


async def test_without_a_ballast_a_full_disk_loses_nothing_that_was_confirmed(small_disk, desk, looking):
    path = small_disk / "journal.db"
    async with _opened(path) as journal:
        for order in range(20):
            await journal.append(desk.document(str(order)))
        claims = list(await desk.claims(journal))
        with _filled(small_disk):
            stored = await _until_busy(journal, desk)
            confirmed = 0
            for claim in claims:
                try:
                    await desk.done(journal, claim, desk.fact(detail="x" * 3000))
                except JournalBusy:
                    break
                confirmed += 1
        for claim in claims[confirmed:]:
            await desk.done(journal, claim, desk.fact())
    async with _opened(path) as journal:
        assert {("api", "delivered"): 20} == dict((await journal.stats()).facts)
        assert stored == len(await desk.claims(journal))


@pytest.fixture
def disk_of_64(tmp_path):
    """A real file system of 64 MiB."""
    place = tmp_path / "disk64"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("size", [7_000, 1_200_000])
async def test_a_disk_that_was_full_takes_in_as_much_again_once_it_is_pruned(
    disk_of_64, desk, looking, monkeypatch, size
):
    """What is free inside the file is room; and a step of pruning needs little room itself, whatever it forgets."""
    monkeypatch.setattr(disk, "_FOR_THE_LOG", 4 * MEBIBYTE)
    path = disk_of_64 / "journal.db"

    async def fill(journal):
        for stored in range(20_000):
            try:
                await journal.append(desk.document(f"{stored}-{os.urandom(4).hex()}", raw=os.urandom(size)))
            except JournalBusy:
                return stored
        pytest.fail("the disk was never full")

    async def settle(journal):
        while claims := await desk.claims(journal, limit=50):
            for claim in claims:
                await desk.done(journal, claim, desk.fact(), at=claim.envelope.received_at)

    async with _opened(path, min_free=20 * MEBIBYTE, ballast=2 * MEBIBYTE) as journal:
        first = await fill(journal)
        await settle(journal)
        while (step := await journal.prune(USUAL_RETENTION, now=desk.now + timedelta(days=31))).more:
            pass
        assert step.inside > 10 * MEBIBYTE
        assert step.inside == (await journal.stats()).inside
        assert journal.refuses() is None
        assert 0.6 * first < await fill(journal)


async def test_below_min_free_nothing_is_taken_in_and_all_else_goes_on(path, desk, looking, monkeypatch):
    free = 10 * MEBIBYTE
    monkeypatch.setattr(disk.DiskGuard, "free", lambda _: free)
    async with _opened(path, min_free=MEBIBYTE, ballast=MEBIBYTE) as journal:
        await journal.append(desk.document())
        claim = await desk.claim(journal)
        free = MEBIBYTE - 1
        assert "min_free" in journal.refuses()
        with pytest.raises(JournalBusy, match="min_free"):
            await journal.append(desk.document())
        await desk.done(journal, claim, desk.fact())
        free = MEBIBYTE  # not before there is room for the ballast too: it does not flap
        with pytest.raises(JournalBusy):
            await journal.append(desk.document())
        free = 3 * MEBIBYTE
        assert not (await journal.append(desk.document())).known


# -- a failing disk ---------------------------------------------------------------------------------------------------


@contextmanager
def _no_file_may_grow():
    """Every write beyond the size that the journal's log has fails, as a failing disk fails it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_an_io_error_breaks_the_journal_and_what_was_confirmed_is_kept(path, desk):
    async with _opened(path) as journal:
        appended = await journal.append(desk.document())
        with _no_file_may_grow(), pytest.raises(JournalBroken, match="disk I/O error"):
            await journal.append(desk.document())
        with pytest.raises(JournalBroken):
            await journal.broken
        assert "the journal is broken" == journal.refuses()
    async with _opened(path) as journal:
        assert [appended.seq] == [claim.seq for claim in await desk.claims(journal)]


async def test_a_corrupt_file_breaks_the_journal(path, desk, chance):
    async with _opened(path) as journal:
        await asyncio.gather(*(journal.append(desk.document(str(order))) for order in range(2000)))
    async with _opened(path) as journal:
        with path.open("r+b") as broken:
            broken.seek(2 * 4096)
            broken.write(chance.randbytes(path.stat().st_size - 2 * 4096))
        with pytest.raises(JournalBroken, match="malformed"):
            await journal.append(desk.document())
        with pytest.raises(JournalBroken):
            await journal.broken
    with pytest.raises((JournalBroken, JournalUnreadable), match="malformed"):
        await _made(path)


async def test_another_program_that_holds_a_lock_makes_the_journal_busy(path, desk):
    async with _opened(path) as journal:
        journal._writer._connection.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalBusy, match="another program"):
            await journal.append(desk.document())
        other.execute("ROLLBACK")
        other.close()
        assert not (await journal.append(desk.document())).known
        assert not journal.broken.done()


async def test_nobody_waits_where_an_erasure_or_a_prune_stands_beside_a_long_reader(path, desk):
    """What must wait for the reader waits outside of the writer: the writer would wait for it again and again."""
    person = Erasure(tenant="shop.example", aliases=("customer:7",))
    async with _opened(path) as journal, asyncio.timeout(20):
        journal._writer._connection.execute("PRAGMA busy_timeout = 5000")
        for order in range(3):
            await desk.carry(journal, desk.document(str(order), aliases=("customer:7",)), desk.fact())
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM envelope").fetchone()
        erasing = asyncio.create_task(journal.erase(person))
        for order in range(20):
            await journal.append(desk.document(f"beside-{order}"))
        erased = await erasing
        assert (3, False) == (erased.orders, erased.is_lasting)
        await journal.prune(USUAL_RETENTION, now=desk.now)
        reader.close()
        await journal.prune(USUAL_RETENTION, now=desk.now)
        assert (await journal.erase(person)).is_lasting
        assert 5000 == journal._writer._connection.execute("PRAGMA busy_timeout").fetchone()[0]


async def test_however_many_are_blocked_few_are_remembered_and_none_is_forgotten(path, desk, monkeypatch):
    """A request may name some 100,000 orders."""
    monkeypatch.setattr("bridge.journal.sqlite.append._BLOCKED_REMEMBERED", 10)
    async with _opened(path) as journal:
        await journal.block(Erasure(tenant="shop.example", orders=tuple(str(order) for order in range(50))))
        assert None is journal._writer.appending._blocked
        for order in (30, 60):
            await journal.append(desk.document(str(order)))
        assert 1 == (await journal.stats()).bodies
        await journal.allow(Erasure(tenant="shop.example", orders=tuple(str(order) for order in range(45))))
        assert 5 == len(journal._writer.appending._blocked)
        for order in (31, 48):
            await journal.append(desk.document(str(order)))
        assert 2 == (await journal.stats()).bodies


async def test_a_step_of_an_erasure_is_bounded_in_bytes(path, desk):
    """All that it overwrites goes through the log, and appends wait for it."""
    person = Erasure(tenant="shop.example", aliases=("customer:7",))
    async with _opened(path) as journal:
        for order in range(8):
            large = desk.document(str(order), aliases=("customer:7",), raw=os.urandom(MEBIBYTE))
            await desk.carry(journal, large, desk.fact())
        steps = [await journal.erase(person)]
        while steps[-1].more:
            steps.append(await journal.erase(replace(person, after=steps[-1].last)))
        assert [4, 4] == [step.bodies for step in steps]
        assert [4, 4] == [step.orders for step in steps]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_a_writer_that_a_bug_has_ended(path, desk, monkeypatch):
    async with _opened(path) as journal:
        monkeypatch.setattr(journal._writer, "_committed", lambda _: {}["a bug"])
        answers = await asyncio.gather(*(journal.append(desk.document()) for _ in range(9)), return_exceptions=True)
        assert {JournalBroken} == {type(answer) for answer in answers}
        with pytest.raises(JournalBroken):
            await journal.append(desk.document())
        with pytest.raises(JournalBroken):
            await journal.broken


async def test_a_journal_that_is_closed_says_so(path, desk):
    async with _opened(path) as journal:
        pass
    await asyncio.sleep(0)
    with pytest.raises(JournalBroken, match="has ended"):
        await journal.append(desk.document())


@pytest.mark.parametrize(
    "poison",
    [
        {"id": "half a \ud800 character"},
        {"topic": "\ud800"},
        {"version": datetime(2026, 3, 1)},  # noqa: DTZ001  the poison is that it has no zone
        {"id": ["a list"]},
    ],
    ids=["id", "topic", "naive time", "no text"],
)
async def test_what_cannot_be_stored_fails_alone(path, desk, poison):
    async with _opened(path) as journal:
        documents = [desk.document(str(order)) for order in range(20)]
        documents[7] = structs.replace(documents[7], **poison)
        claimable = desk.document("before")
        await journal.append(claimable)
        claim = await desk.claim(journal)
        answers = await asyncio.gather(
            *(journal.append(document) for document in documents),
            journal.record(claim, Progress(settled=[desk.fact(detail="\ud800")]), now=desk.now),
            journal.record(claim, Progress(settled=[desk.fact()], end=Done()), now=desk.now),
            return_exceptions=True,
        )
        assert [7] == [place for place, answer in enumerate(answers) if isinstance(answer, Exception)]
        assert 19 == len(await desk.claims(journal))
        assert not journal.broken.done()


# -- cost -------------------------------------------------------------------------------------------------------------


async def test_what_comes_together_is_committed_together(path, desk):
    async with _opened(path) as journal:
        commits = []
        journal._writer._connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        appended = await asyncio.gather(*(journal.append(desk.document(str(order))) for order in range(1000)))
        assert 1000 == len({one.seq for one in appended})
        assert len(commits) < 20


@pytest.fixture
def empty():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(schema())
    yield connection
    connection.close()


EXEMPT = {
    # Over what waits, what is parked or what is all of it, for people and gauges: once when asked, never per event.
    "waiting", "fact_counts", "parked_counts", "parked_groups", "sizes", "names", "united", "holds", "blocked",
    # Over the partitions of streams: once, when the journal was put back.
    "doubt_positions",
    # Over the lanes that wait for a rule, when the journal is opened, and for gauges.
    "free_held", "stuck",
    # A handful of rows.
    "meta",
    # Over the rows of one order, or the lanes of one retention step.
    "lane_documents", "lane_facts", "lane_verdicts", "lane_attempts", "newest_document", "lanes_with_envelopes",
}  # fmt: skip

HOT = {
    "lanes", "known", "add_lanes", "add_envelopes", "add_bodies", "add_work", "add_turns", "add_aliases",
    "due", "next_due", "documents", "held_facts", "newest",
    "put_facts", "add_names", "put_verdicts", "put_versions", "add_attempts", "drop_facts", "end_work", "end_turns",
    "next_turns", "postpone", "first_attempt",
}  # fmt: skip


def _plan(connection, sql):
    """What is done, step by step, without the rows that the statement itself brings."""
    numbered = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    values = (None,) * (max(numbered) if numbered else sql.count("?"))
    steps = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    return [step[3] for step in steps]


def _costly(connection, sql):
    """Steps over a whole table, or that sort; a walk along an index that stops at its limit is none."""
    plan = _plan(connection, sql)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    called = re.findall(r"(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)(?:\s+(\w+))?", sql)
    whole = {f"SCAN {name}" for table, other in called if table in tables for name in (table, other)}
    sorting = ("TEMP B-TREE", "AUTOMATIC")
    return [step for step in plan if " ".join(step.split()[:2]) in whole or any(word in step for word in sorting)]


@pytest.mark.parametrize("rows", [1, 4, 64])
@pytest.mark.parametrize("name", sorted(set(statements()) - EXEMPT))
def test_a_statement_searches_and_never_scans_or_sorts(empty, name, rows):
    assert [] == _costly(empty, _expanded(name, rows))


def test_a_scan_and_a_sorting_would_be_noticed(empty):
    assert 1 == len(_costly(empty, "SELECT e.seq FROM envelope e WHERE e.size > 1"))
    assert 1 == len(_costly(empty, "DELETE FROM work WHERE (lane, seq) IN (VALUES (?, ?), (?, ?))"))
    assert 1 == len(_costly(empty, "SELECT seq FROM envelope WHERE lane = ? ORDER BY size"))


def test_the_hot_path_is_not_exempt():
    assert set() == HOT & EXEMPT
    assert HOT | EXEMPT <= set(statements())


@pytest.fixture
def used(monkeypatch):
    """The names of the statements that are used from now on."""
    names = set()

    class Noting(dict):
        def __getitem__(self, name):
            names.add(name)
            return super().__getitem__(name)

    noting = Noting(statements())
    for module in ("", ".claim_search", ".progress", ".statements"):
        monkeypatch.setattr(sys.modules[f"bridge.journal.sqlite{module}"], "statements", lambda: noting)
    _expanded.cache_clear()
    yield names
    _expanded.cache_clear()


async def test_the_hot_path_is_what_an_order_uses(path, desk, used):
    postponed = Postponed(until=desk.now, fact="placed", reason=Reason.THROTTLED)
    async with _opened(path) as journal:
        await journal.append(desk.document(aliases=("#1",), version=desk.now))
    async with _opened(path) as journal:
        used.clear()  # what a start does is done once
        for _ in range(2):
            claim = await desk.claim(journal)
            await desk.record(journal, claim, desk.fact(State.DEPARTED))
            await desk.record(journal, claim, desk.fact(), released=(("placed", ""),), end=postponed)
        await journal.append(desk.document())
        verdicts = [Skip(reason=Reason.ALREADY)]
        await desk.done(journal, await desk.claim(journal), desk.fact(), skips=verdicts)
        await journal.next_due("api")
    assert HOT == used


# -- where it is ------------------------------------------------------------------------------------------------------

MOUNTS = r"""22 28 0:21 / /proc rw - proc proc rw
28 0 254:0 / / rw,relatime - ext4 /dev/vda rw
40 28 0:40 / /srv/share rw - nfs4 server:/export rw
41 40 254:1 / /srv/share/local rw - xfs /dev/vdb rw
42 28 0:42 / /mnt/with\040space rw shared:1 - cifs //server/share rw
43 28 254:2 / /var/over rw - nfs server:/x rw
44 28 254:2 / /var/over rw - ext4 /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/srv/share/a/b", "nfs4"),
        ("/srv/share/local/a", "xfs"),
        ("/srv/shared", "ext4"),
        ("/mnt/with space/a", "cifs"),
        ("/var/over", "ext4"),
    ],
)
def test_the_mount_that_a_folder_is_on_is_found(folder, kind):
    assert kind == file.mount_type(MOUNTS, Path(folder))


async def test_a_journal_on_a_network_file_system_is_refused(path, monkeypatch):
    monkeypatch.setattr(file, "mount_type", lambda _mounts, _folder: "nfs4")
    with pytest.raises(JournalUnreadable, match=r"network file system \(nfs4\).*local disk"):
        await _made(path)
