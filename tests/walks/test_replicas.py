"""Replicas over one database: killed, frozen past their lease and woken, the database restarted under load.

Afterwards every acknowledged order is delivered or uncertain, and nothing that may not be repeated was sent twice.
"""

import asyncio
import signal
from datetime import timedelta

from bridge.config import read
from tests.postgres import new_place
from tests.walks.processes import load, received
from tests.walks.replicas import accounted, replicas, states_of

LEASE = 2


async def test_replicas_that_die_or_freeze_lose_nothing_and_repeat_nothing_unrepeatable(
    sandbox, environ, tmp_path, unused_tcp_port_factory, postgres_server, chance
):
    place = await asyncio.to_thread(new_place, postgres_server, lease=timedelta(seconds=LEASE))
    running = replicas(3, tmp_path, sandbox, environ, unused_tcp_port_factory, place, lease=LEASE)
    signer = read(running[0].config.read_text(), environ=running[0].environ).sources["shop"]
    await asyncio.gather(*(replica.start() for replica in running))
    acknowledged, stop = set(), asyncio.Event()
    loads = [asyncio.create_task(load(running[n % 3], signer, acknowledged, stop, chance)) for n in range(9)]
    await asyncio.sleep(0.7)
    await running[0].end(signal.SIGKILL)
    running[1].running.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2 * LEASE)
    running[1].running.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.5)
    await running[0].start()
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*loads)
    states = await states_of(place, acknowledged)
    assert [0, 0, 0] == [await replica.end(signal.SIGTERM) for replica in running]
    assert len(acknowledged) > 50
    assert [] == accounted(states, await received(sandbox))
    assert "lease.lost" in running[1].log.read_text()


async def test_a_database_that_is_killed_under_load_comes_back_with_all_that_was_acknowledged(
    sandbox, environ, tmp_path, unused_tcp_port_factory, make_postgres, chance
):
    server = await asyncio.to_thread(make_postgres)
    place = await asyncio.to_thread(new_place, server.dsn, lease=timedelta(seconds=LEASE))
    running = replicas(2, tmp_path, sandbox, environ, unused_tcp_port_factory, place, lease=LEASE)
    signer = read(running[0].config.read_text(), environ=running[0].environ).sources["shop"]
    await asyncio.gather(*(replica.start() for replica in running))
    acknowledged, stop = set(), asyncio.Event()
    loads = [asyncio.create_task(load(running[n % 2], signer, acknowledged, stop, chance)) for n in range(6)]
    await asyncio.sleep(0.7)
    await asyncio.to_thread(server.signal, signal.SIGQUIT)
    before = len(acknowledged)
    await asyncio.sleep(1)
    assert len(acknowledged) <= before + 6, "acknowledged without a database"
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(30):
        while len(acknowledged) < before + 20:
            await asyncio.sleep(0.1)
    stop.set()
    await asyncio.gather(*loads)
    states = await states_of(place, acknowledged)
    assert [0, 0] == [await replica.end(signal.SIGTERM) for replica in running]
    assert [] == accounted(states, await received(sandbox))
