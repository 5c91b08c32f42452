"""Other programs look into the journal of a running bridge, under load, and then it is killed: nothing is lost.

Tools that people use for it: the sqlite3 command, a backup through SQLite, a copy by VACUUM INTO, a window that stays
open.
"""

import asyncio
import signal
import sqlite3
import subprocess
import sys

import pytest

from bridge.config import read
from bridge.journal.sqlite import reading
from tests.walks.processes import ShopProcess, load

_LOOKS = {
    "a count": "c.execute('SELECT count(*) FROM envelope').fetchone()",
    "a checkpoint": "c.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()",
    "a copy": "c.execute('VACUUM INTO ?', (sys.argv[2],))",
    "a backup": "c.backup(sqlite3.connect(sys.argv[2]))",
}


@pytest.fixture
def ports(unused_tcp_port_factory):
    return unused_tcp_port_factory(), unused_tcp_port_factory()


def _look(path, action, target):
    script = f"import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); {action}; c.close()"
    subprocess.run([sys.executable, "-c", script, path, target], check=True, timeout=60)


async def test_looks_under_load_lose_nothing_at_the_next_crash(sandbox, environ, tmp_path, ports, chance):
    process = ShopProcess(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged, stop = set(), asyncio.Event()
    path = tmp_path / "journal.db"
    await process.start()
    loads = [asyncio.create_task(load(process, signer, acknowledged, stop, chance)) for _ in range(4)]
    window = sqlite3.connect(path)  # stays open, in another process than the bridge
    window.execute("SELECT count(*) FROM envelope").fetchone()
    for number, action in enumerate(_LOOKS.values()):
        before = len(acknowledged)
        await asyncio.to_thread(_look, path, action, tmp_path / f"copy-{number}.db")
        async with asyncio.timeout(30):
            while len(acknowledged) < before + 5:
                await asyncio.sleep(0.02)
    window.close()
    await process.end(signal.SIGKILL)
    stop.set()
    await asyncio.gather(*loads)
    async with reading(path) as journal:
        assert [] == [number for number in acknowledged if not await journal.find(number)]
    await process.start()
    assert 0 == await process.end(signal.SIGTERM)
    for number in (2, 3):
        copy = sqlite3.connect(tmp_path / f"copy-{number}.db")
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
