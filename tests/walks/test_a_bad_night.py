"""All of it in one night, under load: at its end every acknowledged order is accounted for.

A look with sqlite3, a backup program, a full disk, strangers at the door, a document that costs more than it may, a
database whose connections are cut, and a process that is killed.
"""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.config import read
from bridge.journal.sqlite import reading
from tests.postgres import new_place
from tests.processes import ROOT
from tests.walks.processes import ShopProcess, an_order, load, received
from tests.walks.replicas import accounted, replicas, states_of

LABELS = """
rules:
  labels:
    for: order
    at: = order.created_at
    give:
      action: order.placed
      person: {email: = order.email}
      object_parameters:
        reference: = text(order.id)
        source: shopify
        items:
          each: = order.line_items
          as: line
          give:
            product: {reference: = text(line.id), source: shopify, name: = order.name}
            quantity: = line.quantity
            price: {amount: = line.price, currency: = order.currency}
        delivery: deliver
      amount: = order.total_price
      currency: = order.currency
    fact: labels
"""
"""A rule that says the order's name beside each of its lines: a few hundred kB become a GB."""

MEBIBYTE = 1 << 20


@pytest.fixture
def ports(unused_tcp_port_factory):
    return unused_tcp_port_factory(), unused_tcp_port_factory()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 96 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def _poison():
    """A signed order whose name is long and whose lines are many."""
    number, body = an_order(with_buyer=True)
    document = json.loads(body)
    document["name"] = "n" * 200_000
    document["line_items"] = [document["line_items"][0] | {"id": line} for line in range(1_000)]
    return number, json.dumps(document).encode()


def _more_rules(process):
    """The rule that the poison is for, beside the default ones; no order waits long."""
    process.config.write_text(process.config.read_text() + LABELS)


async def _posted(process, signer, number, body):
    """The head of the answer."""
    signed = signer.sign(body, topic="orders/create", tenant=None, delivery_id=number)
    given = {"Host": "x", "Content-Length": len(body), **signed}
    head = "\r\n".join(["POST /webhooks/shop HTTP/1.1", *(f"{name}: {text}" for name, text in given.items()), "\r\n"])
    reader, writer = await asyncio.open_connection("127.0.0.1", process.port)
    writer.write(head.encode() + body)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
    writer.close()
    return answer


async def _strangers(process, stop):
    """Trailers that name somebody's delivery, announced bodies, silence, and what is no HTTP."""
    trailers = b"X-Shopify-Webhook-Id: chosen\r\nX-Shopify-Topic: customers/redact\r\n"
    shapes = (
        b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers + b"\r\n",
        b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n",
        b"POST /webhooks/shop HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    )
    while not stop.is_set():
        async with AsyncExitStack() as open_ones:
            for shape in shapes * 4:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", process.port)
                    open_ones.callback(writer.close)
                    writer.write(shape)
            await asyncio.sleep(0.3)


async def _more(acknowledged, count, *, seconds=60):
    """Until so many more were answered 200."""
    before = len(acknowledged)
    async with asyncio.timeout(seconds):
        while len(acknowledged) < before + count:
            await asyncio.sleep(0.02)


def _run(*words):
    subprocess.run([sys.executable, *words], check=True, timeout=120, capture_output=True, cwd=ROOT)


async def _others_at_the_files(process, path, folder, acknowledged):
    """A look, a copy by SQLite, and the program's own backup, between orders."""
    look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); print(c.execute(sys.argv[2]).fetchone())"
    await asyncio.to_thread(_run, "-c", look, path, "SELECT count(*) FROM envelope")
    await _more(acknowledged, 5)
    await asyncio.to_thread(_run, "-c", look, path, f"VACUUM INTO '{folder / 'copy.db'}'")
    await _more(acknowledged, 5)
    words = ("-m", "bridge", "journal", "backup", str(folder / "backup.journal"), "--config", str(process.config))
    await asyncio.to_thread(_run, *words)
    await _more(acknowledged, 5)


async def _full_disk(disk, acknowledged):
    """Nothing is acknowledged for a while; then it goes on."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(bytes(MEBIBYTE // 4))
    await asyncio.sleep(1.5)
    filler.unlink()
    await _more(acknowledged, 10)


async def test_a_sqlite_journal_through_all_of_it(sandbox, environ, tmp_path, ports, small_disk, chance):
    path = small_disk / "journal.db"
    kept = f'{{path: "{path}", min_free: 8388608, ballast: 4194304}}'
    process = ShopProcess(tmp_path, sandbox, environ, ports, journal=kept)
    _more_rules(process)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged, stop = set(), asyncio.Event()
    await process.start()
    loads = [asyncio.create_task(load(process, signer, acknowledged, stop, chance)) for _ in range(4)]
    strangers = asyncio.create_task(_strangers(process, stop))
    await _more(acknowledged, 20)
    await _others_at_the_files(process, path, tmp_path, acknowledged)
    poison, body = _poison()
    assert b" 200 " in await _posted(process, signer, poison, body)
    await _more(acknowledged, 20)
    await _full_disk(small_disk, acknowledged)
    await process.end(signal.SIGKILL)
    await process.start()
    await _more(acknowledged, 20)
    stop.set()
    await asyncio.gather(*loads, strangers)
    await process.settled(seconds=120)
    assert 0 == await process.end(signal.SIGTERM)

    _check(await _states(path, {*acknowledged, poison}), poison, await received(sandbox))
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert [("ok",)] == copy.execute("PRAGMA integrity_check").fetchall()
    copy.close()


async def _states(path, numbers):
    """Order to {fact: state}; nothing is kept under a stranger's name."""
    async with reading(path) as journal:
        assert [] == list(await journal.find_delivery("shop", "chosen"))
        states = {}
        for number in numbers:
            (lane,) = await journal.find(number)
            states[number] = {fact["fact"]: fact["state"] for fact in (await journal.story(lane)).facts}
        return states


def _check(states, poison, events):
    """Every order is accounted for; of the poison the one fact that costs too much is dead, with its reason."""
    assert {"order.placed", "order.confirmed", "labels"} == set(states[poison])
    assert "dead" == states[poison].pop("labels")
    for facts in states.values():
        facts.pop("labels", None)
    of_the_default = [event for event in events if "name" in event["body"]["object_parameters"]]
    assert [] == accounted(states, of_the_default)


class Proxy:
    """Before the database: cuts all connections when it is told to."""

    def __init__(self, dsn):
        host = parse_qs(urlsplit(dsn).query)["host"][0]
        self._socket = f"{host}/.s.PGSQL.5432"
        self._open = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()

    def cut(self):
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, reader, writer):
        to_reader, to_writer = await asyncio.open_unix_connection(self._socket)
        self._open.update((writer, to_writer))
        await asyncio.gather(_pumped(reader, to_writer), _pumped(to_reader, writer))


async def _pumped(reader, writer):
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


async def test_replicas_over_postgres_through_all_of_it(
    sandbox, environ, tmp_path, unused_tcp_port_factory, postgres_server, chance
):
    place = await asyncio.to_thread(new_place, postgres_server, lease=timedelta(seconds=2))
    async with Proxy(postgres_server) as proxy:
        through = type(place)(
            **{name: getattr(place, name) for name in place.__dataclass_fields__} | {"dsn": proxy.dsn}
        )
        running = replicas(2, tmp_path, sandbox, environ, unused_tcp_port_factory, through, lease=2)
        for replica in running:
            _more_rules(replica)
        signer = read(running[0].config.read_text(), environ=running[0].environ).sources["shop"]
        await asyncio.gather(*(replica.start() for replica in running))
        acknowledged, stop = set(), asyncio.Event()
        loads = [asyncio.create_task(load(running[n % 2], signer, acknowledged, stop, chance)) for n in range(4)]
        strangers = [asyncio.create_task(_strangers(replica, stop)) for replica in running]
        await _more(acknowledged, 20)
        poison, body = _poison()
        assert b" 200 " in await _posted(running[0], signer, poison, body)
        for _ in range(8):
            await asyncio.sleep(chance.uniform(0.1, 0.5))
            proxy.cut()
        await _more(acknowledged, 20)
        await running[0].end(signal.SIGKILL)
        await running[0].start()
        await _more(acknowledged, 20)
        stop.set()
        await asyncio.gather(*loads, *strangers)
        states = await states_of(place, {*acknowledged, poison}, seconds=120)
        assert [0, 0] == [await replica.end(signal.SIGTERM) for replica in running]
        _check(states, poison, await received(sandbox))
