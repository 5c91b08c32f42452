"""A real process under load, killed with a real signal again and again: nothing acknowledged is lost or repeated.

Half of the orders tell their buyer's e-mail (their events are repeatable), half only the visit (theirs are not).
"""

import asyncio
import json
import os
import random
import signal
import sys
import uuid
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from bridge.cli.sending import example, fresh
from bridge.config import read
from bridge.contract import State
from bridge.journal import Selection
from bridge.journal.sqlite import opened, reading

ROUNDS = 6
ROOT = Path(__file__).parents[2]

CONFIG = """
sources:
  shop: {{connector: shopify, shops: {{example.myshopify.com: {{secrets: [env:SHOPIFY_SECRET]}}}}}}
destinations:
  hellotext: {{connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "{url}", session_patience: 300ms}}
journal: {{path: "{path}", min_free: 0, ballast: 0}}
door: {{host: 127.0.0.1, port: {port}}}
private: {{port: {private}}}
delivery: {{first_wait: 20ms, longest_wait: 200ms, concurrency: 16, grace: 3s}}
logs: {{style: json}}
include: [shopify/default]
"""


class Process:
    """The installed program, in a process of its own."""

    def __init__(self, folder, url, environ, ports):
        self.port, self.private = ports
        self.config = folder / "bridge.yaml"
        self.log = folder / "log"
        text = CONFIG.format(url=url, path=folder / "journal.db", port=self.port, private=self.private)
        self.config.write_text(text)
        self.environ = {**os.environ, **environ}
        self.running = None

    async def start(self):
        with self.log.open("ab") as log:
            self.running = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bridge", "run", "--config", self.config, cwd=ROOT, env=self.environ, stderr=log
            )
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            while True:
                assert self.running.returncode is None, self.log.read_text()
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{self.private}/readyz") as ready:
                        if ready.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def end(self, number):
        self.running.send_signal(number)
        return await asyncio.wait_for(self.running.wait(), 20)


@pytest.fixture
def ports(unused_tcp_port_factory):
    return unused_tcp_port_factory(), unused_tcp_port_factory()


def _an_order(*, with_buyer):
    body = fresh(example("shopify", "order.json"), now=datetime.now(UTC))
    document = json.loads(body)
    document["id"] = uuid.uuid4().int % 10**15
    document["note_attributes"] = [{"name": "hello_session", "value": str(uuid.uuid4())}]
    document["line_items"][0]["properties"] = []
    if with_buyer:
        document["email"] = document["customer"]["email"] = f"buyer-{document['id']}@example.com"
    else:
        document |= {"email": "", "contact_email": None, "phone": None, "customer": None}
        document |= {"billing_address": None, "shipping_address": None}
    return str(document["id"]), json.dumps(document).encode()


async def _load(process, signer, acknowledged, stop):
    """Orders without end; those that were answered 200 are remembered."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while not stop.is_set():
            number, body = _an_order(with_buyer=bool(random.getrandbits(1)))
            headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id=number)
            try:
                url = f"http://127.0.0.1:{process.port}/webhooks/shop"
                async with session.post(url, data=body, headers=headers) as answer:
                    if answer.status == 200:
                        acknowledged.add(number)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.02)


async def _received(url):
    async with aiohttp.ClientSession() as session, session.get(f"{url}/received") as answer:
        lines = [json.loads(line) for line in (await answer.text()).splitlines()]
    return [line for line in lines if line["path"] == "/v1/attribution/events"]


async def test_kill_9_under_load_loses_nothing_acknowledged_and_repeats_nothing_unrepeatable(
    sandbox, environ, tmp_path, ports
):
    process = Process(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged = set()
    for _ in range(ROUNDS):
        await process.start()
        stop = asyncio.Event()
        loads = [asyncio.create_task(_load(process, signer, acknowledged, stop)) for _ in range(8)]
        await asyncio.sleep(random.uniform(0.2, 0.9))
        await process.end(signal.SIGKILL)
        stop.set()
        await asyncio.gather(*loads)
    await process.start()
    states = await _finished(process, tmp_path, acknowledged)
    assert 0 == await process.end(signal.SIGTERM)

    assert len(acknowledged) > ROUNDS
    assert not [number for number in acknowledged if set(states[number]) != {"order.placed", "order.confirmed"}]
    events = await _received(sandbox)
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
    process = Process(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    await process.start()
    number, body = _an_order(with_buyer=True)
    headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id="1")
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{process.port}/webhooks/shop"
        async with session.post(url, data=body, headers=headers) as answer:
            assert 200 == answer.status
    await _finished(process, tmp_path, {number})
    await process.end(signal.SIGKILL)
    await process.start()
    await process.end(signal.SIGTERM)
    assert ["order.placed", "order.confirmed"] == [e["body"]["action"] for e in await _received(sandbox)]


async def test_sigterm_finishes_what_is_in_flight_and_exits_0(sandbox, environ, tmp_path, ports):
    process = Process(tmp_path, sandbox, environ, ports)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    acknowledged, stop = set(), asyncio.Event()
    await process.start()
    loads = [asyncio.create_task(_load(process, signer, acknowledged, stop)) for _ in range(8)]
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
