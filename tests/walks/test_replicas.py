"""Replicas over one database: killed, frozen past their lease and woken, the database restarted under load.

Afterwards every acknowledged order is delivered or uncertain, and nothing that may not be repeated was sent twice.
"""

import asyncio
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

from bridge.config import read
from bridge.journal.postgres import reading
from tests.conftest import new_place
from tests.walks.processes import Process, load, received

LEASE = 2


def _replicas(count, folder, url, environ, ports, place):
    journal = f"{{kind: postgres, url: env:DATABASE, schema: {place.schema}, lease: {LEASE}s, poll: 1s, timeout: 3s}}"
    environ = {**environ, "DATABASE": place.dsn}
    return [Process(folder, url, environ, (ports(), ports()), journal=journal) for _ in range(count)]


async def _states(place, acknowledged, *, seconds=60):
    """Order to {fact: state}, when nothing waits any more."""
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    async with reading(place) as journal:
        while (stats := await journal.stats()).waiting:
            assert datetime.now(UTC) < until, stats
            await asyncio.sleep(0.2)
        states = {}
        for number in acknowledged:
            (lane,) = await journal.find(number)
            states[number] = {fact["fact"]: fact["state"] for fact in (await journal.story(lane)).facts}
        return states


def _account(states, events):
    """Every order has both facts, each delivered or in doubt; only what is repeatable may have come twice."""
    by_key = Counter((e["body"]["object_parameters"]["reference"], e["body"]["action"]) for e in events)
    repeated = {key for key, count in by_key.items() if count > 1}
    unrepeatable = {
        (e["body"]["object_parameters"]["reference"], e["body"]["action"]) for e in events if "profile" not in e["body"]
    }
    assert not repeated & unrepeatable
    for number, facts in states.items():
        assert {"order.placed", "order.confirmed"} == set(facts), (number, facts)
        for action, state in facts.items():
            assert state in ("delivered", "uncertain"), (number, action, state)
            assert state == "uncertain" or by_key[number, action] >= 1


async def test_replicas_that_die_or_freeze_lose_nothing_and_repeat_nothing_unrepeatable(
    sandbox, environ, tmp_path, unused_tcp_port_factory, postgres_server
):
    place = await asyncio.to_thread(new_place, postgres_server, lease=timedelta(seconds=LEASE))
    replicas = _replicas(3, tmp_path, sandbox, environ, unused_tcp_port_factory, place)
    signer = read(replicas[0].config.read_text(), environ=replicas[0].environ).sources["shop"]
    await asyncio.gather(*(replica.start() for replica in replicas))
    acknowledged, stop = set(), asyncio.Event()
    loads = [asyncio.create_task(load(replicas[n % 3], signer, acknowledged, stop)) for n in range(9)]
    await asyncio.sleep(0.7)
    await replicas[0].end(signal.SIGKILL)
    replicas[1].running.send_signal(signal.SIGSTOP)
    await asyncio.sleep(2 * LEASE)
    replicas[1].running.send_signal(signal.SIGCONT)
    await asyncio.sleep(0.5)
    await replicas[0].start()
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*loads)
    states = await _states(place, acknowledged)
    assert [0, 0, 0] == [await replica.end(signal.SIGTERM) for replica in replicas]
    assert len(acknowledged) > 50
    _account(states, await received(sandbox))
    assert "lease.lost" in replicas[1].log.read_text()


async def test_a_database_that_is_killed_under_load_comes_back_with_all_that_was_acknowledged(
    sandbox, environ, tmp_path, unused_tcp_port_factory, make_postgres
):
    server = await asyncio.to_thread(make_postgres)
    place = await asyncio.to_thread(new_place, server.dsn, lease=timedelta(seconds=LEASE))
    replicas = _replicas(2, tmp_path, sandbox, environ, unused_tcp_port_factory, place)
    signer = read(replicas[0].config.read_text(), environ=replicas[0].environ).sources["shop"]
    await asyncio.gather(*(replica.start() for replica in replicas))
    acknowledged, stop = set(), asyncio.Event()
    loads = [asyncio.create_task(load(replicas[n % 2], signer, acknowledged, stop)) for n in range(6)]
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
    states = await _states(place, acknowledged)
    assert [0, 0] == [await replica.end(signal.SIGTERM) for replica in replicas]
    _account(states, await received(sandbox))
