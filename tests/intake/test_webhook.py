"""The public door, over real sockets."""

import asyncio
import gzip
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from bridge import service, telemetry
from bridge.config import read
from bridge.contract import State
from bridge.errors import JournalBusy
from bridge.intake import watch
from bridge.intake.listener import NotListening
from bridge.journal import Selection

POSTED = (
    b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nX-Shopify-Shop-Domain: example.myshopify.com\r\n"
    b"X-Shopify-Hmac-Sha256: AAAA\r\n"
)
"""The head of a delivery that may be authentic, but for its length."""

USUAL = 3.5
"""Seconds in which the door's usual watch, which is for 4 s, would not have closed it."""


def _count(name, **labels):
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0


async def _raw(port, data, *, then_wait=True):
    """What comes back for these bytes, until the door closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read() if then_wait else reader.read(4096), 10)
    writer.close()
    return answer


async def test_other_paths_are_404_and_other_methods_405(running):
    async with running() as bridge:
        async with bridge.session.post(f"http://127.0.0.1:{bridge.house.ports.door}/webhooks/other") as answer:
            assert 404 == answer.status
        async with bridge.session.get(bridge.door) as answer:
            assert (405, "POST") == (answer.status, answer.headers["Allow"])


async def test_a_port_that_is_taken_is_said_with_the_setting_that_chooses_another(running, settings_for, sandbox):
    async with running() as bridge:
        settings = _with_door(settings_for(sandbox, path=bridge.settings.journal.path.with_name("2.db")))
        taken = replace(settings, door=settings.door.model_copy(update={"port": bridge.house.ports.door}))
        said = pytest.RaisesExc(NotListening, match=r"already in use; .* choose another with `door: \{port: ...\}`")
        with pytest.RaisesGroup(said):
            await service.serve(taken, service.Shutdown())


@pytest.mark.parametrize(
    "signature",
    ["", "AAAA", "not base64!", "\udcff\udcfe", "Zm9v" * 400],
    ids=["none", "wrong", "words", "bytes", "long"],
)
async def test_a_forged_signature_is_401_whatever_it_is(running, order, signature):
    _, body = order()
    head = (
        f"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nX-Shopify-Shop-Domain: example.myshopify.com\r\n"
        f"X-Shopify-Topic: orders/create\r\nX-Shopify-Hmac-Sha256: {signature}\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with running() as bridge:
        answer = await _raw(bridge.house.ports.door, head.encode(errors="surrogateescape") + body)
        assert b"HTTP/1.1 401" == answer[:12]
        assert 0 == (await bridge.house.journal.stats()).envelopes


async def test_a_shop_that_is_not_configured_is_401(running, order):
    _, body = order()
    async with running() as bridge:
        assert 401 == (await bridge.post(body, headers={"X-Shopify-Shop-Domain": "other.myshopify.com"}))[0]


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b"", b'"x"', b"7", b'{"id": "text"}', b'{"id": 7, "x": ' + b"[" * 50_000, b"\xff{}"],
    ids=["list", "cut", "empty", "text", "number", "no order", "deep", "no utf-8"],
)
async def test_what_is_signed_but_no_document_of_its_topic_is_kept_as_it_came_and_dead(running, log, body):
    async with running() as bridge:
        assert 200 == (await bridge.post(body, delivery_id="odd"))[0]
        (fact,) = [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]
        assert ("unreadable", "orders/create", "odd") == (fact.reason, fact.topic, fact.id)
        assert body == (await bridge.house.journal.document(fact.seq)).raw
    lines = [line for line in log() if line["event"].startswith("delivery.")]
    assert [("delivery.dead", "odd"), ("delivery.received", "odd")] == [(line["event"], line["id"]) for line in lines]


async def test_the_body_is_taken_as_it_came_and_never_unpacked(running, order):
    _, body = order()
    packed = gzip.compress(body)
    async with running() as bridge:
        for came in (packed, body):
            assert 200 == (await bridge.post(came, headers={"Content-Encoding": "gzip"}))[0]
        assert [packed, body] == [(await bridge.house.journal.document(seq)).raw for seq in (1, 2)]


async def test_a_body_that_says_it_is_too_large_is_413_before_it_is_sent(running, settings_for, sandbox):
    async with running(_with_door(settings_for(sandbox), max_body=4096)) as bridge:
        head = POSTED + b"Content-Length: 999999999\r\n\r\n"
        assert b"HTTP/1.1 413" == (await _raw(bridge.house.ports.door, head))[:12]


async def test_a_chunked_body_is_cut_off_where_it_gets_too_large(running, settings_for, sandbox):
    async with running(_with_door(settings_for(sandbox), max_body=4096)) as bridge:
        head = POSTED + b"Transfer-Encoding: chunked\r\n\r\n"
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        assert b"HTTP/1.1 413" == (await _raw(bridge.house.ports.door, head + chunk * 2, then_wait=False))[:12]


async def test_bodies_in_flight_share_one_budget_and_beyond_it_there_is_503(running, settings_for, sandbox, order):
    settings = _with_door(settings_for(sandbox), max_bodies_in_flight=20_000)
    _, body = order()
    async with running(settings) as bridge:
        _, writer = await asyncio.open_connection("127.0.0.1", bridge.house.ports.door)
        writer.write(POSTED + b"Content-Length: 19000\r\n\r\n" + b"x" * 15_000)
        await writer.drain()
        await asyncio.sleep(0.05)
        status, _ = await bridge.post(body)
        assert 503 == status
        writer.close()

        async def taken():
            return (await bridge.post(body))[0] == 200

        assert await bridge.until(taken)


async def test_a_body_that_drips_is_closed_within_the_time_of_an_answer(running, settings_for, sandbox):
    async with running(_with_door(settings_for(sandbox), answer_within=timedelta(milliseconds=400))) as bridge:
        started = time.monotonic()
        head = POSTED + b"Content-Length: 100\r\n\r\nabc"
        assert b"HTTP/1.1 408" == (await _raw(bridge.house.ports.door, head))[:12]
        assert time.monotonic() - started < USUAL


async def test_half_a_header_is_closed_by_the_watchdog(running, monkeypatch):
    monkeypatch.setattr(watch, "HEADERS_WITHIN", 0.2)
    before = _count("bridge_door_slow_connections_total")
    async with running() as bridge:
        assert b"" == await _raw(bridge.house.ports.door, b"POST /webhooks/shop HTTP/1.1\r\nHost:")
        assert before + 1 == _count("bridge_door_slow_connections_total")


async def test_a_journal_that_cannot_write_is_503_with_retry_after_and_not_ready(running, order, monkeypatch):
    _, body = order()
    async with running() as bridge:
        monkeypatch.setattr(bridge.house.journal._disk_guard, "refuses_appends", lambda: JournalBusy("full"))
        assert 503 == (await bridge.post(body))[0]
        async with bridge.session.get(f"{bridge.private}/readyz") as answer:
            assert 503 == answer.status
        monkeypatch.undo()
        assert 200 == (await bridge.post(body))[0]
        async with bridge.session.get(f"{bridge.private}/readyz") as answer:
            assert 200 == answer.status


async def test_a_journal_that_is_slow_is_503_in_time(running, settings_for, sandbox, order, monkeypatch):
    _, body = order()
    async with running(_with_door(settings_for(sandbox), answer_within=timedelta(milliseconds=300))) as bridge:
        monkeypatch.setattr(bridge.house.journal._writer, "submit", lambda _: None)
        started = time.monotonic()
        assert 503 == (await bridge.post(body))[0]
        assert time.monotonic() - started < USUAL
        monkeypatch.undo()


async def test_which_secret_matched_is_counted_so_that_a_rotation_is_visible(running, settings_for, environ, order):
    text = """
sources: {shop: {connector: shopify, shops: {example.myshopify.com: {secrets: [env:NEW, env:SHOPIFY_SECRET]}}}}
destinations: {hellotext: {connector: hellotext, token: env:HELLOTEXT_TOKEN, url: "http://127.0.0.1:1"}}
journal: {path: "%s", min_free: 0, ballast: 0}
door: {host: 127.0.0.1, port: 0}
private: {port: 0}
include: [shopify/default]
"""
    old = settings_for("http://127.0.0.1:1").sources["shop"]
    path = settings_for("http://127.0.0.1:1").journal.path
    both = read(text % path, environ={**environ, "NEW": "new secret"})
    _, body = order()
    labels = {"source": "shop"}
    before = [_count("bridge_deliveries_total", **labels, secret_number=which) for which in "12"]
    async with running(both) as bridge:
        assert 200 == (await bridge.post(body))[0]
        signed = old.sign(body, topic="orders/create", tenant=None, delivery_id="by the old one")
        async with bridge.session.post(bridge.door, data=body, headers=signed) as answer:
            assert 200 == answer.status
    after = [_count("bridge_deliveries_total", **labels, secret_number=which) for which in "12"]
    assert [before[0] + 1, before[1] + 1] == after


def _with_door(settings, **changes):
    return replace(settings, door=settings.door.model_copy(update=changes))
