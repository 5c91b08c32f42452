"""A real process under load, killed with a real signal again and again: nothing acknowledged is lost or repeated.

Half of the orders tell their buyer's e-mail (their events are repeatable), half only the visit (theirs are not).
"""

import asyncio
import json
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from bridge.config import read
from bridge.contract import State
from bridge.journal import Selection
from bridge.journal.sqlite import opened, reading
from tests.walks.processes import ShopProcess, an_order, load, received

ROUNDS = 6


@pytest.fixture
def ports(unused_tcp_port_factory):
    return unused_tcp_port_factory(), unused_tcp_port_factory()


async def test_kill_9_under_load_loses_nothing_acknowledged_and_repeats_nothing_unrepeatable(
    sandbox, environ, tmp_path, ports, chance
):
    process = ShopProcess(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged = set()
    for _ in range(ROUNDS):
        await process.start()
        stop = asyncio.Event()
        loads = [asyncio.create_task(load(process, signer, acknowledged, stop, chance)) for _ in range(8)]
        await asyncio.sleep(chance.uniform(0.2, 0.9))
        await process.end(signal.SIGKILL)
        stop.set()
        await asyncio.gather(*loads)
    await process.start()
    states = await _finished(process, tmp_path, acknowledged)
    assert 0 == await process.end(signal.SIGTERM)

    assert len(acknowledged) > ROUNDS
    assert not [number for number in acknowledged if set(states[number]) != {"order.placed", "order.confirmed"}]
    events = await received(sandbox)
    by_key = Counter((e["body"]["object_parameters"]["reference"], e["body"]["action"]) for e in events)
    without_profile = {
        (e["body"]["object_parameters"]["reference"], e["body"]["action"]) for e in events if "profile" not in e["body"]
    }
    assert not [key for key in without_profile if by_key[key] > 1], "an unrepeatable event was sent twice"
    for number in acknowledged:
        for action, state in states[number].items():
            assert state in ("delivered", "uncertain"), (number, action, state)
            if state == "delivered":
                assert by_key[number, action] >= 1
            else:
                assert (number, action) not in by_key or (number, action) in without_profile


async def test_a_settled_fact_is_never_sent_again_after_a_crash(sandbox, environ, tmp_path, ports):
    process = ShopProcess(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    await process.start()
    number, body = an_order(with_buyer=True)
    headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id="1")
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{process.port}/webhooks/shop"
        async with session.post(url, data=body, headers=headers) as answer:
            assert 200 == answer.status
    await _finished(process, tmp_path, {number})
    await process.end(signal.SIGKILL)
    await process.start()
    await process.end(signal.SIGTERM)
    assert ["order.placed", "order.confirmed"] == [e["body"]["action"] for e in await received(sandbox)]


async def test_sigterm_finishes_what_is_in_flight_and_exits_0(sandbox, environ, tmp_path, ports, chance):
    process = ShopProcess(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged, stop = set(), asyncio.Event()
    await process.start()
    loads = [asyncio.create_task(load(process, signer, acknowledged, stop, chance)) for _ in range(8)]
    await asyncio.sleep(0.5)
    assert 0 == await process.end(signal.SIGTERM)
    stop.set()
    await asyncio.gather(*loads)
    lines = [json.loads(line) for line in process.log.read_text().splitlines()]
    assert "service.stopped" == lines[-1]["event"]
    async with opened(tmp_path / "journal.db", destinations=["hellotext"]) as journal:
        assert [] == [fact async for fact in journal.parked(Selection(state=State.UNCERTAIN))]
        assert len(acknowledged) == (await journal.stats()).envelopes


async def _finished(process, folder, acknowledged):
    """Order to {fact: state}, when nothing waits any more."""
    until = datetime.now(UTC) + timedelta(seconds=60)
    async with reading(folder / "journal.db") as journal:
        while (stats := await journal.stats()).waiting:
            assert datetime.now(UTC) < until, stats
            assert process.running.returncode is None, process.log.read_text()[-2000:]
            await asyncio.sleep(0.1)
        states = {}
        for number in acknowledged:
            (lane,) = await journal.find(number)
            story = await journal.story(lane)
            states[number] = {fact["fact"]: fact["state"] for fact in story.facts}
        return states
