"""The proxy does to connections what it says."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tests.replicas.proxy import CLAIM, COMMIT, READ, WRITE, Frontend, Lost, Proxy

_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


@pytest.fixture
async def proxy(postgres_server):
    host = parse_qs(urlsplit(postgres_server).query).get("host", [""])[0]
    if not host.startswith("/"):
        pytest.skip("the server of POSTGRES_URL is not on this machine")
    async with Proxy(lambda: asyncio.open_unix_connection(f"{host}/.s.PGSQL.5432")) as proxy:
        yield proxy


@pytest.fixture
async def connection(proxy, postgres_server):
    """A connection by way of the proxy, and an empty table."""
    await _directly(postgres_server, "DROP TABLE IF EXISTS proxied; CREATE TABLE proxied (n int)")
    made = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable")
    yield made
    made.terminate()


async def _directly(dsn, text):
    made = await asyncpg.connect(dsn)
    try:
        return await made.fetchval(text) if text.startswith("SELECT") else await made.execute(text)
    finally:
        await made.close()


async def _counted(dsn, count):
    async with asyncio.timeout(20):
        while await _directly(dsn, "SELECT count(*) FROM proxied") != count:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("is_done", [True, False])
async def test_an_answer_to_a_commit_is_lost_and_the_commit_is_not(proxy, connection, postgres_server, is_done):
    proxy.lost.append(Lost(kind=COMMIT, count=1, is_done=is_done))
    with pytest.raises(_LOST):
        async with connection.transaction():
            await connection.execute("INSERT INTO proxied VALUES ($1)", 1)
    await _counted(postgres_server, 1)
    assert [] == proxy.lost


async def test_an_answer_to_a_write_outside_of_a_transaction_is_lost(proxy, connection, postgres_server):
    proxy.lost.append(Lost(kind=WRITE, count=1, is_done=True))
    async with connection.transaction():
        await connection.fetch("INSERT INTO proxied VALUES ($1)", 1)
    with pytest.raises(_LOST):
        await connection.fetch("INSERT INTO proxied VALUES ($1)", 2)
    await _counted(postgres_server, 2)


async def test_what_is_held_back_arrives_when_it_may(proxy, connection, postgres_server):
    proxy.to_server.clear()
    # No timeout of the driver's: it would send a request to cancel, which may overtake the statement.
    asked = asyncio.create_task(connection.execute("INSERT INTO proxied VALUES (3)"))
    await asyncio.wait((asked,), timeout=0.2)
    assert not asked.done()
    assert 0 == await _directly(postgres_server, "SELECT count(*) FROM proxied")
    proxy.to_server.set()
    await asked
    assert 1 == await _directly(postgres_server, "SELECT count(*) FROM proxied")


async def test_connections_are_cut_and_half_closed(proxy, connection, postgres_server):
    assert 1 == proxy.cut()
    with pytest.raises(_LOST):
        await connection.fetchval("SELECT 1")
    other = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable")
    proxy.half_close(to_server=True)
    with pytest.raises(_LOST):
        await other.fetchval("SELECT 1")
    other.terminate()


def test_statements_are_told_apart_in_pieces_of_any_size():
    def message(letter, body):
        return letter + (len(body) + 4).to_bytes(4) + body

    said = b"".join(
        [
            message(b"", b"\0\3\0\0user\0x\0\0"),
            message(b"P", b"one\0UPDATE t SET n = 1\0\0\0"),
            message(b"P", b"two\0SELECT 1\0\0\0"),
            message(b"P", b"three\0SELECT n FROM t FOR UPDATE SKIP LOCKED; UPDATE t SET n = 1\0\0\0"),
            message(b"B", b"\0one\0"),
            message(b"B", b"\0two\0"),
            message(b"B", b"\0three\0"),
            message(b"Q", b"BEGIN;\0"),
            message(b"B", b"\0one\0"),
            message(b"Q", b"COMMIT;\0"),
        ]
    )
    for size in (1, 3, len(said)):
        frontend = Frontend()
        kinds = [kind for at in range(0, len(said), size) for kind in frontend.feed(said[at : at + size])]
        assert [WRITE, READ, CLAIM, READ, COMMIT] == kinds
