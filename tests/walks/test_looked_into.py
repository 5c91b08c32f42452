"""Other programs look into the journal of a running bridge, under load, and then it is killed: nothing is lost.

Tools that people use for it: the sqlite3 command, a backup through SQLite, a copy by VACUUM INTO, a window that stays
open.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.config import read
from bridge.journal.sqlite import opened, reading
from tests.packages import NotToBeHad, libraries, unpacked
from tests.walks.processes import ShopProcess, load

_LOOKS = (
    "SELECT count(*) FROM envelope",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "VACUUM INTO '{copy}'",
    ".backup '{copy}'",
)


@pytest.fixture
def ports(unused_tcp_port_factory):
    return unused_tcp_port_factory(), unused_tcp_port_factory()


def _tool():
    """The sqlite3 command and its environment: SQLITE3, one that is installed, or a package's. Raises NotToBeHad."""
    if given := os.environ.get("SQLITE3") or shutil.which("sqlite3"):
        return given, {}
    root = unpacked("sqlite3")
    return str(root / "usr/bin/sqlite3"), libraries(root)


def _by_the_tool(path, look):
    program, environ = _tool()
    words = [program, "-cmd", ".timeout 30000", str(path), look]
    subprocess.run(words, env={**os.environ, **environ}, check=True, timeout=60, stdout=subprocess.DEVNULL)


def _by_the_module(path, look):
    does = f"c.execute({look!r}).fetchone()"
    if look.startswith(".backup"):
        does = f"c.backup(sqlite3.connect({look.split()[1]}))"
    script = f"import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); {does}; c.close()"
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=60)


@pytest.fixture(params=["module", "tool"])
def look(request):
    """Looks into a journal from another process."""
    if request.param == "module":
        return _by_the_module
    try:
        _tool()
    except NotToBeHad as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))
    return _by_the_tool


def _locked(process, path):
    """The kinds of locks that the process holds on the file, as the system tells them: POSIX, FLOCK."""
    inode = str(path.stat().st_ino)
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return {row[1] for row in rows if "->" not in row and row[4] == str(process) and row[5].split(":")[2] == inode}


async def _more(acknowledged, count):
    before = len(acknowledged)
    async with asyncio.timeout(30):
        while len(acknowledged) < before + count:
            await asyncio.sleep(0.02)


async def test_looks_under_load_lose_nothing_at_the_next_crash(sandbox, environ, tmp_path, ports, chance, look):
    process = ShopProcess(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged, stop = set(), asyncio.Event()
    path = tmp_path / "journal.db"
    await process.start()
    loads = [asyncio.create_task(load(process, signer, acknowledged, stop, chance)) for _ in range(4)]
    window = sqlite3.connect(path)  # stays open, in another process than the bridge
    window.execute("SELECT count(*) FROM envelope").fetchone()
    copies = []
    for number, asked in enumerate(_LOOKS):
        copies.append(tmp_path / f"copy-{number}.db")
        await asyncio.to_thread(look, path, asked.format(copy=copies[-1]))
        await _more(acknowledged, 5)
        locked = {
            rest: _locked(process.running.pid, path.with_name(path.name + rest)) for rest in ("", "-shm", ".lock")
        }
        assert {"": {"POSIX"}, "-shm": {"POSIX"}, ".lock": {"FLOCK"}} == locked, asked
    window.close()
    await process.end(signal.SIGKILL)
    stop.set()
    await asyncio.gather(*loads)
    async with reading(path) as journal:
        assert [] == [number for number in acknowledged if not await journal.find(number)]
    await process.start()
    assert 0 == await process.end(signal.SIGTERM)
    for name in copies[2:]:
        copy = sqlite3.connect(name)
        assert [("ok",)] == copy.execute("PRAGMA integrity_check").fetchall()
        copy.close()


async def test_a_journal_that_is_taken_away_closes_the_door_and_says_why(sandbox, environ, tmp_path, ports, chance):
    process = ShopProcess(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged, stop = set(), asyncio.Event()
    path = tmp_path / "journal.db"
    await process.start()
    loads = [asyncio.create_task(load(process, signer, acknowledged, stop, chance)) for _ in range(4)]
    async with asyncio.timeout(30):
        while len(acknowledged) < 20:
            await asyncio.sleep(0.02)
    for rest in ("", "-wal", "-shm"):
        path.with_name(path.name + rest).unlink()
    assert await asyncio.wait_for(process.running.wait(), 30) not in (0, None)
    stop.set()
    await asyncio.gather(*loads)
    log = process.log.read_text()
    assert "journal.broken" in log
    assert "was deleted or moved" in log
    path.with_name("journal.db.rescued").rename(path)
    async with reading(path) as journal:
        assert [] == [number for number in acknowledged if not await journal.find(number)]
    async with opened(path, destinations=["hellotext"]):
        pass  # as the next start does
    connection = sqlite3.connect(path)
    assert [] == connection.execute("SELECT value FROM meta WHERE name = 'doubtful'").fetchall(), "it is no copy"
    connection.close()
