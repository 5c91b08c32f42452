"""A copy of the journal that `cp` takes while orders come is refused, or whole, or in doubt: it never lacks orders and
says nothing.
"""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from bridge.config import read
from bridge.errors import BridgeError
from bridge.journal.sqlite import opened
from tests.walks.processes import ShopProcess, load


@pytest.fixture
def ports(unused_tcp_port_factory):
    return unused_tcp_port_factory(), unused_tcp_port_factory()


async def _more(acknowledged, count):
    before = len(acknowledged)
    async with asyncio.timeout(30):
        while len(acknowledged) < before + count:
            await asyncio.sleep(0.02)


def _empty_the_log(path):
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=30).execute('PRAGMA wal_checkpoint(TRUNCATE)')"
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=60)


_COPIED = (("",), ("", "-wal"), ("-wal", ""))
"""Files of the journal, in the order in which they are copied one after the other."""


@pytest.mark.parametrize("rests", _COPIED, ids="+".join)
async def test_a_copy_of_files_in_motion_is_refused_or_whole_or_in_doubt(
    sandbox, environ, tmp_path, ports, chance, rests
):
    process = ShopProcess(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged, stop = set(), asyncio.Event()
    path = tmp_path / "journal.db"
    await process.start()
    loads = [asyncio.create_task(load(process, signer, acknowledged, stop, chance)) for _ in range(4)]
    copies = {}
    for number in range(8):
        await _more(acknowledged, 10)
        known = frozenset(acknowledged)
        copy = tmp_path / f"copy-{number}" / "journal.db"
        copy.parent.mkdir()
        for rest in rests:
            shutil.copyfile(path.with_name(path.name + rest), copy.with_name(copy.name + rest))
            if number % 2:
                await asyncio.to_thread(_empty_the_log, path)
                await _more(acknowledged, 3)
        copies[copy] = known
    stop.set()
    await asyncio.gather(*loads)
    await process.end(signal.SIGTERM)
    for copy, known in copies.items():
        assert await _is_refused_or_whole(copy, known), (copy.parent.name, "it lacks orders, and nobody says so")


async def _is_refused_or_whole(copy, known):
    try:
        async with opened(copy, destinations=["hellotext"]) as journal:
            lacking = [number for number in known if not await journal.find(number)]
    except BridgeError:
        return True
    connection = sqlite3.connect(copy)
    is_whole = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    connection.close()
    return is_whole and (not lacking or "doubtful" in meta)
