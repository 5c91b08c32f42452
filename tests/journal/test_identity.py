"""Other programs at the files of the embedded journal: a look is harmless, and what is taken away is noticed."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from bridge.errors import JournalBroken, JournalBusy, JournalError, JournalInUse, JournalUnreadable
from bridge.journal import Progress
from bridge.journal.sqlite import opened, reading
from bridge.journal.sqlite.dump import exporting, importing
from bridge.journal.sqlite.file import writable

_OPENED = []
"""Names that Python opened, while a test listens."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "var" / "journal.db"


@pytest.fixture
def opened_files():
    """Names of the files that Python opens in this process: SQLite's own opening is not among them."""
    if not hasattr(test_nothing_but_sqlite_opens_the_file, "hook"):
        sys.addaudithook(lambda event, given: _OPENED.append(str(given[0])) if event == "open" else None)
        test_nothing_but_sqlite_opens_the_file.hook = True  # a hook stays for the life of the process
    _OPENED.clear()
    return _OPENED


@pytest.fixture
def emitted(monkeypatch):
    """Names of the events that the writer tells."""
    names = []
    monkeypatch.setattr(sys.modules["bridge.journal.sqlite.writer"], "emit", lambda name, **_: names.append(name))
    return names


def _opened(path):
    return opened(path, destinations=("api",))


def _seen(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as other:
        seen = other.execute("SELECT count(*) FROM envelope").fetchone()[0]
    other.close()
    return seen


_LOOK = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute(sys.argv[2]).fetchone()); c.close()"


def _look(path, query="SELECT count(*) FROM envelope"):
    """Another process opens the journal, and closes it as if it were the last."""
    return subprocess.run([sys.executable, "-c", _LOOK, path, query], check=True, capture_output=True, text=True).stdout


def _copy(path, target):
    """By another process, for whoever closes a file of the journal in this one takes SQLite's locks away."""
    subprocess.run(["cp", path, target], check=True)


async def test_nothing_but_sqlite_opens_the_file(path, desk, opened_files, tmp_path):
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        await desk.claim(journal)
        async with reading(path) as beside:
            await beside.stats()
        with exporting(path) as source:
            await source.count()
    async with _opened(path) as journal:
        await journal.stats()
        journal.refuses()
    touched = {name for name in opened_files if name.startswith(str(path))}
    assert {f"{path}.lock"} == touched


@pytest.mark.parametrize(
    "query", ["SELECT count(*) FROM envelope", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA integrity_check"]
)
async def test_a_look_from_another_process_leaves_the_log_in_place(path, desk, query):
    log = path.with_name("journal.db-wal")
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        before = log.stat().st_ino
        await asyncio.to_thread(_look, path, query)
        assert before == log.stat().st_ino
        await journal.append(desk.document("2"))
        assert "(2,)\n" == await asyncio.to_thread(_look, path)
        assert journal.refuses() is None


async def test_a_reader_in_the_owners_process_takes_no_lock_away(path, desk):
    log = path.with_name("journal.db-wal")
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        async with reading(path):
            await asyncio.to_thread(_look, path)
        await asyncio.to_thread(_look, path)
        assert log.exists()
        await journal.append(desk.document("2"))


async def _breaks(journal, desk, match):
    """What comes now is not stored, and the journal says that it is broken, why, and where its content is."""
    assert journal.refuses() is not None
    with pytest.raises((JournalBroken, JournalBusy), match="nothing is taken in any more"):
        await journal.append(desk.document("lost"))
    with pytest.raises(JournalBroken, match=match):
        await asyncio.wait_for(journal.broken, 10)


async def test_a_log_that_is_deleted_ends_the_work_and_loses_nothing(path, desk):
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        path.with_name("journal.db-wal").unlink()
        await _breaks(journal, desk, r"-wal, the journal's log, was deleted .* is in the journal's file")
    assert 1 == _seen(path)
    async with _opened(path) as journal:
        assert 1 == (await journal.stats()).envelopes


async def test_a_log_that_is_deleted_is_noticed_without_work(path, desk, monkeypatch):
    monkeypatch.setattr(sys.modules["bridge.journal.sqlite.writer"], "_LOOK_EVERY", 0.01)
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        path.with_name("journal.db-wal").unlink()
        with pytest.raises(JournalBroken, match="the journal's log, was deleted"):
            await asyncio.wait_for(journal.broken, 10)
    assert 1 == _seen(path)


async def test_what_was_settled_in_a_log_that_is_deleted_is_not_claimed_again(path, desk):
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        claim = await desk.claim(journal)
        path.with_name("journal.db-wal").unlink()
        with pytest.raises(JournalBusy, match="the journal's log"):
            await journal.record(claim, Progress(), now=claim.envelope.received_at)


async def test_a_journal_that_is_deleted_is_written_anew_beside(path, desk):
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        for file in (path, path.with_name("journal.db-wal"), path.with_name("journal.db-shm")):
            file.unlink()
        await _breaks(journal, desk, r"journal.db, the journal, was deleted .* is in .*journal.db.rescued")
    rescued = path.with_name("journal.db.rescued")
    assert 0o600 == rescued.stat().st_mode & 0o777
    with pytest.raises(JournalError, match=r"there is no journal .*journal.db.rescued of an earlier one"):
        async with _opened(path):
            pass
    rescued.rename(path)
    async with _opened(path) as journal:
        assert 1 == (await journal.stats()).envelopes


async def test_a_journal_that_is_replaced_leaves_the_log_of_the_other_alone(path, desk, tmp_path):
    other = tmp_path / "other" / "journal.db"
    other.parent.mkdir()
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        for rest in ("", "-wal", "-shm"):
            file = path.with_name(path.name + rest)
            file.rename(other.with_name(file.name))
        foreign = sqlite3.connect(path)
        foreign.execute("PRAGMA journal_mode = WAL")
        foreign.execute("CREATE TABLE theirs (n)")
        await _breaks(journal, desk, r"journal.db, the journal, was replaced")
    assert path.with_name("journal.db-wal").exists()
    assert [("theirs",)] == foreign.execute("SELECT name FROM sqlite_schema").fetchall()
    foreign.close()
    assert 1 == _seen(other)


async def test_an_owner_whose_lock_was_taken_away_ends(path, desk):
    lock = path.with_name("journal.db.lock")
    async with _opened(path) as journal:
        lock.unlink()
        async with _opened(path):  # nothing kept it out
            await _breaks(journal, desk, r"the lock of the journal's owner, was replaced")


async def test_a_folder_that_is_moved_away_ends_the_work(path, desk):
    moved = path.parent.with_name("moved")
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        path.parent.rename(moved)
        await _breaks(journal, desk, r"was deleted or moved .* is in .*moved/journal.db and its log")
    assert 1 == _seen(moved / "journal.db")


async def test_a_folder_that_is_deleted_is_made_again_for_what_was_in_it(path, desk):
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        shutil.rmtree(path.parent)
        await _breaks(journal, desk, r"was deleted or moved .* is in .*var/journal.db.rescued")
    assert 1 == _seen(path.with_name("journal.db.rescued"))


async def test_a_journal_that_is_moved_without_its_log_gets_what_the_log_had(path, desk):
    moved = path.with_name("moved.db")
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        path.rename(moved)
        await _breaks(journal, desk, r"journal.db, the journal, was deleted or moved .* is in .*moved.db")
    assert 1 == _seen(moved)


async def test_an_index_that_is_deleted_ends_the_work_and_loses_nothing(path, desk):
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        path.with_name("journal.db-shm").unlink()
        await _breaks(journal, desk, r"-shm, the index of the journal's log, was deleted .* is in .* and its log")
    async with _opened(path) as journal:
        assert 1 == (await journal.stats()).envelopes


async def test_a_log_that_somebody_else_began_is_not_written_into_the_file(path, desk):
    log = path.with_name("journal.db-wal")
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        log.unlink()
        log.write_bytes(b"another log")
        await _breaks(journal, desk, r"-wal, the journal's log, was replaced .* is in .*journal.db.rescued")
        before = path.read_bytes()
    assert (b"another log", before) == (log.read_bytes(), path.read_bytes())
    assert 1 == _seen(path.with_name("journal.db.rescued"))
    with pytest.raises(JournalError, match=r"there is a journal at .*, and also .*journal.db.rescued"):
        async with _opened(path):
            pass


async def test_a_copy_over_the_file_ends_the_work(path, desk, tmp_path):
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
    old = shutil.copy(path, tmp_path / "old.db")
    async with _opened(path) as journal:
        for order in range(100):
            await journal.append(desk.document(str(order), raw=bytes(2000)))
        await asyncio.to_thread(_look, path, "PRAGMA wal_checkpoint(TRUNCATE)")
        await journal.append(desk.document("2"))
        shutil.copy(old, path)
        assert "was written over" in journal.refuses()
        with pytest.raises(JournalBusy, match="was written over"):
            await journal.append(desk.document("3"))
    with pytest.raises(JournalError, match=r"is not the file that its log|journal.db.rescued of an earlier one"):
        async with _opened(path):
            pass


async def test_what_cannot_be_saved_is_tried_again_and_the_process_stays(path, desk, monkeypatch, emitted):
    monkeypatch.setattr(sys.modules["bridge.journal.sqlite.writer"], "_SAVE_EVERY", 0.01)
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        shutil.rmtree(path.parent)
        path.parent.write_bytes(b"in the way")
        with pytest.raises(JournalBusy, match="nothing is taken in any more"):
            await journal.append(desk.document("2"))
        async with asyncio.timeout(10):
            while "journal.unsaved" not in emitted:
                await asyncio.sleep(0.01)
        assert not journal.broken.done()
        assert journal.refuses() is not None
        path.parent.unlink()
        with pytest.raises(JournalBroken, match=r"is in .*journal.db.rescued"):
            await asyncio.wait_for(journal.broken, 10)
    assert 1 == _seen(path.with_name("journal.db.rescued"))


async def test_a_link_to_a_journal_has_the_same_owner_and_the_same_log(path, desk, tmp_path):
    link = tmp_path / "link.db"
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        link.symlink_to(path)
        with pytest.raises(JournalInUse):
            async with _opened(link):
                pass
    async with _opened(link) as journal:
        await journal.append(desk.document("2"))
        link.unlink()
        link.symlink_to(tmp_path / "elsewhere.db")
        await _breaks(journal, desk, r"link.db, the journal, was deleted or moved")
    assert 2 == _seen(path)


# -- a log that is left alone -----------------------------------------------------------------------------------------


async def _left_log(path, desk):
    """A journal that was killed and moved away, its log left behind."""
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        log = path.with_name("journal.db-wal")
        shutil.copy(log, path.with_name("kept"))
    path.unlink()
    path.with_name("kept").rename(log)
    return log


async def test_a_journal_is_not_made_beside_an_old_log(path, desk):
    log = await _left_log(path, desk)
    before = log.read_bytes()
    with pytest.raises(JournalError, match=r"there is no journal at .*, but .*-wal of an earlier one"):
        async with _opened(path):
            pass
    assert before == log.read_bytes()
    assert not path.exists()


async def test_a_journal_is_not_restored_beside_an_old_log(path, desk):
    log = await _left_log(path, desk)
    before = log.read_bytes()
    with pytest.raises(JournalError, match=r"-wal of an earlier one"), importing(path):
        pass
    assert before == log.read_bytes()
    log.unlink()
    with importing(path):
        pass
    assert path.exists()


async def test_another_file_is_not_put_beside_the_log_of_the_last_owner(path, desk, tmp_path):
    other = tmp_path / "other.db"
    async with _opened(path) as journal:
        await journal.append(desk.document("1"))
        for end in ("", "-wal"):
            await asyncio.to_thread(_copy, path.with_name(path.name + end), other.with_name(other.name + end))
        await asyncio.to_thread(_look, path, f"VACUUM INTO '{tmp_path / 'backup.db'}'")
        log = path.with_name("journal.db-wal")
        log.rename(tmp_path / "log")  # that its owner does not remove it
    (tmp_path / "log").rename(log)
    path.unlink()
    (tmp_path / "backup.db").rename(path)
    before = log.read_bytes()
    for way in (_opened, exporting):
        with pytest.raises(JournalError, match=r"is not the file that its log .* belongs to"):
            async with _entered(way(path)):
                pass
    assert before == log.read_bytes()
    async with _opened(other) as journal:  # all files together came from elsewhere
        assert 1 == (await journal.stats()).envelopes


@asynccontextmanager
async def _entered(context):
    """Either kind of context."""
    if hasattr(context, "__aenter__"):
        async with context as found:
            yield found
    else:
        with context as found:
            yield found


async def test_what_a_killed_restore_left_is_not_played_into_the_next(path):
    path.parent.mkdir()
    part = path.with_name("journal.db.part")
    with writable(part) as connection:
        connection.execute("INSERT INTO lane VALUES (7, 'a', 'b', 1)")
        shutil.copy(part.with_name(part.name + "-wal"), path.with_name("log"))
    path.with_name("log").rename(part.with_name(part.name + "-wal"))
    with importing(path):
        pass
    with sqlite3.connect(path) as made:
        assert [] == made.execute("SELECT * FROM lane").fetchall()
    made.close()
    assert {"journal.db", "journal.db.lock"} == {each.name for each in path.parent.iterdir()}


async def test_a_file_of_one_byte_is_no_journal(path):
    path.parent.mkdir()
    path.write_bytes(b"x")
    with pytest.raises(JournalUnreadable, match="not a SQLite file"):
        async with _opened(path):
            pass
    assert b"x" == path.read_bytes()
