"""Whoever has no secret costs others nothing: their words decide nothing, their silence shuts nobody out."""

import asyncio
import resource
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import http_parser, web_protocol

from bridge import telemetry
from bridge.config import read
from tests.walks.processes import ShopProcess, an_order

CHOSEN = (
    b"X-Shopify-Webhook-Id: chosen\r\nX-Shopify-Topic: customers/update\r\n"
    b"X-Shopify-Shop-Domain: evil.myshopify.com\r\nX-Shopify-Triggered-At: 2001-01-01T00:00:00Z\r\n"
)
TRAILERS = [CHOSEN, *[line + b"\r\n" for line in CHOSEN.split(b"\r\n") if line]]
SHORT = timedelta(milliseconds=100)
REFUSED = {
    "no such path": b"POST /nowhere HTTP/1.1\r\n",
    "no signature": b"POST /webhooks/shop HTTP/1.1\r\n",
    "not posted": b"PUT /webhooks/shop HTTP/1.1\r\n",
    "wrong signature": b"POST /webhooks/shop HTTP/1.1\r\nX-Shopify-Shop-Domain: example.myshopify.com\r\n"
    b"X-Shopify-Hmac-Sha256: AAAA\r\n",
}


@pytest.fixture(params=["c", "python"])
def parser(request, monkeypatch):
    """Both parsers of aiohttp: a machine without compiled parts has the other one."""
    kind = {"c": http_parser.HttpRequestParser, "python": http_parser.HttpRequestParserPy}[request.param]
    monkeypatch.setattr(web_protocol, "HttpRequestParser", kind)
    return request.param


def _count(name, **labels):
    return telemetry.REGISTRY.get_sample_value(name, labels) or 0


def _signed(bridge, body, delivery):
    signed = bridge.settings.sources["shop"].sign(body, topic="orders/create", tenant=None, delivery_id=delivery)
    given = {"Host": "x", "Content-Length": len(body), **signed}
    lines = ["POST /webhooks/shop HTTP/1.1", *(f"{name}: {text}" for name, text in given.items())]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


async def _exchanged(port, *pieces):
    """All that comes back until the door closes; one that stays open is closed by the test."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            try:
                async with asyncio.timeout(0.3):
                    while part := await reader.read(65536):
                        got += part
            except TimeoutError:
                continue
            break
    except ConnectionError:
        pass
    finally:
        writer.close()
    return got


def _with_door(settings, **changes):
    return replace(settings, door=settings.door.model_copy(update=changes))


# -- one request's bytes in another's meaning ------------------------------------------------------------------------


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("in_pieces", [False, True], ids=["one piece", "two pieces"])
@pytest.mark.parametrize("trailers", TRAILERS, ids=["all", "id", "topic", "shop", "time"])
@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
async def test_trailers_are_never_headers_of_what_follows(running, order, refused, trailers, in_pieces):
    _, body = order()
    async with running() as bridge:
        strange = refused + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + trailers + b"\r\n"
        good = _signed(bridge, body, "its-own")
        pieces = (strange, good) if in_pieces else (strange + good,)
        answers = await _exchanged(bridge.house.ports.door, *pieces)
        assert b"Connection: close" in answers.partition(b"\r\n\r\n")[0]
        assert 1 == answers.count(b"HTTP/1.1")
        assert [] == list(await bridge.house.journal.find_delivery("shop", "chosen"))
        assert 0 == (await bridge.house.journal.stats()).envelopes
        assert b" 200 OK" in await _exchanged(bridge.house.ports.door, good)
        (lane,) = await bridge.house.journal.find_delivery("shop", "its-own")
        (document,) = (await bridge.house.journal.story(lane)).documents
        assert "orders/create" == document["topic"]


@pytest.mark.usefixtures("parser")
async def test_what_is_refused_before_its_end_ends_the_connection(running, order):
    _, body = order()
    async with running() as bridge:
        good = _signed(bridge, body, "inner")
        announced = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (len(good) + 10)
        answers = await _exchanged(bridge.house.ports.door, announced + good)
        assert 1 == answers.count(b"HTTP/1.1")
        assert b"404" in answers[:20]
        assert b"Connection: close" in answers
        assert 0 == (await bridge.house.journal.stats()).envelopes


# -- what is announced costs nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["nothing", "a signature"])
async def test_announced_bodies_shut_nobody_out(running, order, head):
    given = b"" if head == "nothing" else b"X-Shopify-Hmac-Sha256: AAAA\r\n"
    async with running() as bridge, AsyncExitStack() as strangers:
        for _ in range(32):
            _, writer = await asyncio.open_connection("127.0.0.1", bridge.house.ports.door)
            strangers.callback(writer.close)
            writer.write(
                b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nX-Shopify-Shop-Domain: example.myshopify.com\r\n"
                + given
                + b"Content-Length: 8388608\r\n\r\n"
            )
            await writer.drain()
        statuses = [(await bridge.post(order()[1], delivery_id=str(number)))[0] for number in range(40)]
        assert [200] * 40 == statuses


async def test_large_bodies_that_came_leave_room_for_small_ones(running, settings_for, sandbox, order):
    settings = _with_door(settings_for(sandbox), max_bodies_in_flight=8 * 1024 * 1024)
    async with running(settings) as bridge, AsyncExitStack() as strangers:
        for _ in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", bridge.house.ports.door)
            strangers.callback(writer.close)
            writer.write(
                b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nX-Shopify-Shop-Domain: example.myshopify.com\r\n"
                b"X-Shopify-Hmac-Sha256: AAAA\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 2_000_000
            )
        async with asyncio.timeout(10):
            while not _count("bridge_door_refusals_total", source="shop", status="503"):
                await asyncio.sleep(0.02)
        statuses = [(await bridge.post(order()[1], delivery_id=str(number)))[0] for number in range(20)]
        assert [200] * 20 == statuses


# -- connections -----------------------------------------------------------------------------------------------------


async def test_silent_connections_make_room_for_others(running, settings_for, sandbox, order):
    settings = _with_door(settings_for(sandbox), max_connections=8)
    async with running(settings) as bridge, AsyncExitStack() as strangers:
        before = _count("bridge_door_refusals_total", source="", status="503")
        readers = []
        for number in range(40):
            reader, writer = await asyncio.open_connection("127.0.0.1", bridge.house.ports.door)
            strangers.callback(writer.close)
            readers.append(reader)
            if number % 2:
                writer.write(b"POST /webhooks/shop HTTP/1.1\r\n")
            assert 200 == (await bridge.post(order()[1], delivery_id=str(number)))[0]
        assert before + 32 <= _count("bridge_door_refusals_total", source="", status="503")
        assert b"HTTP/1.1 503" == (await readers[0].read())[:12]


@contextmanager
def _few_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_process_with_few_descriptors_stays_healthy_under_silent_connections(
    sandbox, environ, tmp_path, unused_tcp_port_factory, kind
):
    ports = unused_tcp_port_factory(), unused_tcp_port_factory()
    process = ShopProcess(tmp_path, sandbox, environ, ports, fast=kind == "fast")
    signer = read(process.config.read_text(), environ=environ).sources["shop"]
    with _few_files(320):
        await process.start()
    async with AsyncExitStack() as strangers, aiohttp.ClientSession() as session:
        for _ in range(600):
            _, writer = await asyncio.open_connection("127.0.0.1", process.port)
            strangers.callback(writer.close)
        for _ in range(10):
            for path in ("healthz", "readyz"):
                async with session.get(f"http://127.0.0.1:{process.private}/{path}") as answer:
                    assert 200 == answer.status
            number, body = an_order(with_buyer=True)
            headers = signer.sign(body, topic="orders/create", tenant=None, delivery_id=number)
            async with session.post(
                f"http://127.0.0.1:{process.port}/webhooks/shop", data=body, headers=headers
            ) as answer:
                assert 200 == answer.status
    await process.end()
    assert "connections" in process.log.read_text()


# -- every answer is the door's own ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (b"POST /webhooks/shop HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nCookie: " + b"c" * 66_000 + b"\r\n\r\n", 431),
        (b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 400 + b"\r\n", 400),
        (b"POST /" + b"x" * 66_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
    ],
    ids=["tls", "words", "no colon", "length", "a long line", "many lines", "a long path"],
)
async def test_what_is_no_request_is_answered_counted_and_told_by_the_door(running, sent, status, log):
    async with running() as bridge:
        before = _count("bridge_door_refusals_total", source="", status=str(status))
        answer = await _exchanged(bridge.house.ports.door, sent)
        assert f"HTTP/1.1 {status}".encode() == answer[:12]
        assert b"aiohttp" not in answer
        assert b"Connection: close" in answer
        assert before + 1 == _count("bridge_door_refusals_total", source="", status=str(status))
    assert not [line for line in log() if line["level"] == "error" or line["event"] == "log"]


async def test_headers_of_a_proxy_are_taken_up_to_their_limit(running, order):
    async with running() as bridge:
        answer = await bridge.post(order()[1], headers={"X-Forwarded-Client-Cert": "c" * 60_000})
        assert 200 == answer[0]


async def test_a_body_that_is_not_framed_as_it_says_is_refused_without_a_trace(
    running, settings_for, sandbox, parser, kind, log
):
    """aiohttp's C parser does not tell who reads the body; its public interface shows nothing else of it in time."""
    is_told = kind == "fast" or parser == "python"
    settings = settings_for(sandbox) if is_told else _with_door(settings_for(sandbox), answer_within=SHORT)
    async with running(settings) as bridge:
        head = REFUSED["wrong signature"] + b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await _exchanged(bridge.house.ports.door, head, b"zz\r\nabc\r\n", b"", b"")
        assert (b"HTTP/1.1 400" if is_told else b"HTTP/1.1 408") == answer[:12]
    assert not [line for line in log() if line["level"] == "error" or line["event"] == "log"]


async def test_who_hangs_up_in_a_body_is_counted_and_no_error(running, log):
    async with running() as bridge:
        before = _count("bridge_door_refusals_total", source="shop", status="400")
        reader, writer = await asyncio.open_connection("127.0.0.1", bridge.house.ports.door)
        writer.write(REFUSED["wrong signature"] + b"Host: x\r\nContent-Length: 100\r\n\r\nabc")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        async with asyncio.timeout(10):
            while _count("bridge_door_refusals_total", source="shop", status="400") == before:
                await asyncio.sleep(0.02)
        assert reader is not None
    assert not [line for line in log() if line["level"] == "error" or line["event"] == "log"]


# -- Expect: 100-continue --------------------------------------------------------------------------------------------


async def test_who_waits_for_100_is_told_to_go_on(running, order):
    _, body = order()
    async with running() as bridge:
        head, _, _ = _signed(bridge, body, "1").partition(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", bridge.house.ports.door)
        writer.write(head + b"\r\nExpect: 100-Continue\r\n\r\n")
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.write(body)
        assert b"HTTP/1.1 200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.close()


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"POST /nowhere", 404), (b"POST /webhooks/shop", 401), (b"GET /webhooks/shop", 405)],
    ids=["404", "401", "405"],
)
async def test_who_is_refused_anyway_need_not_send_the_body(running, line, status):
    async with running() as bridge:
        sent = line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        answer = await _exchanged(bridge.house.ports.door, sent)
        assert f"HTTP/1.1 {status}".encode() == answer[:12]


async def test_another_expectation_is_417(running):
    async with running() as bridge:
        sent = REFUSED["wrong signature"] + b"Host: x\r\nContent-Length: 5\r\nExpect: a miracle\r\n\r\n"
        assert b"HTTP/1.1 417" == (await _exchanged(bridge.house.ports.door, sent))[:12]
