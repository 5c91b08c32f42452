"""A document that ends the process when it is mapped ends two: a real process, killed by the system while it maps."""

import json
from contextlib import suppress

import aiohttp
import pytest

from bridge.config import read
from bridge.journal.sqlite import reading
from tests.walks.processes import ShopProcess, an_order, received

POISON = """
import glob, os, signal
from bridge.mapping.rules import Rules

applied = Rules.apply


def apply(self, envelope, *given, **named):
    left = int(os.environ["ENDS"]) - len(glob.glob("ended-*"))
    if b'"poison"' in envelope.raw and left:
        open(f"ended-{left}", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return applied(self, envelope, *given, **named)


Rules.apply = apply
"""
"""What the system does where a container has no memory left, at the same document each time."""


@pytest.fixture
def process(sandbox, environ, tmp_path, unused_tcp_port_factory):
    """Makes a process that ends so many times."""
    (tmp_path / "sitecustomize.py").write_text(POISON.replace('"ended-', f'"{tmp_path}/ended-'))
    ports = unused_tcp_port_factory(), unused_tcp_port_factory()
    return lambda ends: ShopProcess(
        tmp_path, sandbox, environ | {"PYTHONPATH": str(tmp_path), "ENDS": str(ends)}, ports
    )


async def _post(process, signer, number, body):
    headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id=number)
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{process.port}/webhooks/shop"
        async with session.post(url, data=body, headers=headers) as answer:
            assert 200 == answer.status


async def test_a_document_with_which_two_processes_ended_is_dead_at_the_next_start(process, sandbox, environ, tmp_path):
    process = process(99)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    number, body = an_order(with_buyer=True)
    poison = json.dumps(json.loads(body) | {"note": "poison", "tags": "x" * 100_000}).encode()
    good, other = an_order(with_buyer=True)
    await process.start()
    with suppress(aiohttp.ClientError):  # it is stored, and may not have been answered yet
        await _post(process, signer, number, poison)
    assert -9 == await process.running.wait()
    with suppress(AssertionError):  # it may end before it is ready
        await process.start()
    assert -9 == await process.running.wait()
    await process.start()
    await _post(process, signer, good, other)
    await process.settled()
    assert 0 == await process.end()
    async with reading(tmp_path / "journal.db") as journal:
        (lane,) = await journal.find(number)
        facts = (await journal.story(lane)).facts
        (lane,) = await journal.find(good)
        delivered = (await journal.story(lane)).facts
    assert {("dead", "rule failed")} == {(fact["state"], fact["reason"]) for fact in facts}
    assert all("ended while they mapped this document" in fact["detail"] for fact in facts)
    assert {"order.placed": "delivered", "order.confirmed": "delivered"} == {
        fact["fact"]: fact["state"] for fact in delivered
    }
    assert {good} == {event["body"]["object_parameters"]["reference"] for event in await received(sandbox)}


async def test_a_document_that_was_being_mapped_when_the_power_went_is_sent(process, sandbox, environ):
    """Whoever was at work when a process ended for another reason has done nothing wrong."""
    process = process(1)
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    number, body = an_order(with_buyer=True)
    large = json.dumps(json.loads(body) | {"note": "poison", "tags": "x" * 100_000}).encode()
    await process.start()
    with suppress(aiohttp.ClientError):
        await _post(process, signer, number, large)
    assert -9 == await process.running.wait()
    await process.start()
    await process.settled()
    assert 0 == await process.end()
    assert [number] * 2 == [event["body"]["object_parameters"]["reference"] for event in await received(sandbox)]
