"""Every row of the table of verdicts, provoked with a real socket, and what became of the fact in the journal.

Each row is met twice: by an order whose buyer is known, whose event may be repeated, and by one of which only the visit
is known, whose event may not.
"""

import asyncio
import json
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from tempfile import TemporaryDirectory

import pytest

from bridge.status_table import TABLE, Fate

EVENTS = b"/v1/attribution/events"
ERRORS = b'{"errors":[{"type":"invalid","message":"x","parameter":"amount"}]}'
GOOD = {
    b"/v1/profiles": (201, b'{"id":"p1"}'),
    b"/v1/sessions": (200, b'{"id":"s1"}'),
    EVENTS: (200, b'{"status":"received"}'),
}


def _http(status, body=ERRORS, headers=b""):
    length = str(len(body)).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %b\r\n%b\r\n%b" % (status, length, headers, body)


class Api:
    """Answers whole requests well, and events by `how(writer)`, until it is told to be well again."""

    def __init__(self, how) -> None:
        self.how = how
        self.asked = []

    async def talk(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head, reader, writer):
        path = head.split(b" ")[1]
        self.asked.append(path)

        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if path == EVENTS and self.how is not None and self.how in EARLY:
            await self.how(writer)
            return
        await reader.readexactly(length)
        if path == EVENTS and self.how is not None:
            await self.how(writer)
            return
        status, body = next(good for start, good in GOOD.items() if path.startswith(start))
        writer.write(_http(status, body))
        await writer.drain()


def says(data):
    """Answers these bytes, and closes."""

    async def how(writer):
        writer.write(data)
        await writer.drain()
        writer.close()

    return how


async def resets(writer):
    writer.transport.abort()


async def resets_early(writer):
    writer.transport.abort()


async def hangs(writer):
    await asyncio.sleep(5)


async def reads_nothing(writer):
    writer.transport.pause_reading()
    await asyncio.sleep(5)


async def drips(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(100):
        await asyncio.sleep(0.05)
        writer.write(b"x")


EARLY = (resets_early, reads_nothing)


@asynccontextmanager
async def serving(how):
    """A server that does this to events; the address, and what it can be told."""
    api = Api(how)
    server = await asyncio.start_server(api.talk, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", api
    server.close()


@asynccontextmanager
async def nobody(url):
    yield url.replace(":0", f":{_unused()}"), None


@asynccontextmanager
async def full_queue(_):
    """A port whose queue of connections is full: the system lets every further one wait."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", None
        for one in waiting:
            one.close()


@asynccontextmanager
async def without_tls(_):
    async def talk(reader, writer):
        await reader.read(1)
        await says(_http(400))(writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", None
    server.close()


@asynccontextmanager
async def with_its_own_certificate(_):
    with TemporaryDirectory() as folder:
        key, certificate = f"{folder}/key.pem", f"{folder}/own.pem"
        make = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
        await asyncio.to_thread(subprocess.run, ["openssl", *make.split()], check=True, capture_output=True)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
    server = await asyncio.start_server(Api(None).talk, "127.0.0.1", 0, ssl=tls)
    yield f"https://localhost:{server.sockets[0].getsockname()[1]}", None
    server.close()


@asynccontextmanager
async def behind_a_proxy(answer):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await answer(writer)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("https_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        environ.delenv("no_proxy", raising=False)
        environ.delenv("NO_PROXY", raising=False)
        yield "https://api.invalid", None
    server.close()


def _unused():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _says(*statuses, body=ERRORS, headers=b""):
    return [(serving, says(_http(status, body, headers))) for status in statuses]


PROVOKED = {
    "2xx with the answer that the API gives": [
        *_says(200, body=b'{"status":"received"}', headers=b"Content-Type: application/json; charset=utf-8\r\n"),
        *_says(201, body=b'{"state":"ok"}'),
    ],
    "2xx or 404 with a page in HTML (a proxy's, a website's)": _says(200, 404, body=b"<!doctype html><title>x</title>"),
    "any status with a firewall's challenge to a browser": [
        *_says(202, body=b"", headers=b"x-amzn-waf-action: challenge\r\n"),
        *_says(503, body=b"<html>", headers=b"cf-mitigated: challenge\r\n"),
    ],
    "2xx with anything else: empty, not JSON, cut, with errors": [
        *_says(204, body=b""),
        *_says(200, body=b"taken, and not JSON", headers=b"Content-Type: text/plain\r\n"),
        *_says(200, body=ERRORS),
        *_says(206, body=b'{"status":"received"}'),
        *_says(200, body=b'{"status":"received"}' + b" " * 100_000),
    ],
    "1xx, or a number that is no status of HTTP": _says(999),
    "3xx: a redirect, never followed": _says(302, headers=b"Location: http://127.0.0.1:1/\r\n"),
    "400, 404, 422 and every other 4xx": _says(400, 404, 409, 422),
    "401, 403: token, subscription, plan or permission": _says(401, 403),
    "402: a subscription that has ended": _says(402),
    "405, 407: not the API, which knows our methods": _says(405, 407, body=b"<html>"),
    "408: somebody gave up waiting": _says(408),
    "425, 429: not now, Retry-After is kept": _says(425, 429, headers=b"Retry-After: 0.01\r\n"),
    "5xx": [*_says(500), *_says(502, body=b"<html>bad gateway</html>"), *_says(503, body=b"")],
    "the name does not resolve": [(nobody, "https://no-such-host.invalid")],
    "the connection is refused": [(nobody, "http://127.0.0.1:0")],
    "no connection within connect_timeout": [(full_queue, None)],
    "no TLS, or a certificate that is not trusted": [(without_tls, None), (with_its_own_certificate, None)],
    "a proxy on the way refuses the connection": [(behind_a_proxy, says(_http(403)))],
    "reset or closed without an answer": [
        (serving, how) for how in (resets_early, resets, says(b""), says(b"HTTP/1.1 200 OK\r\nConte"))
    ],
    "no byte for read_timeout": [(serving, hangs), (serving, reads_nothing)],
    "not sent and answered whole within total_timeout": [(serving, drips)],
    "a body that is cut off": [(serving, says(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nhalf"))],
    "what is answered is not HTTP": [(serving, says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))],
}
CASES = [
    pytest.param(row, *way, repeatable, id=f"{row.happening}, {number}, {'repeatable' if repeatable else 'other'}")
    for row in TABLE
    for number, way in enumerate(PROVOKED.get(row.happening, ()))
    for repeatable in (True, False)
]
LONG = {"line_items": [{"id": 1, "quantity": 1, "price": "99.00", "name": "x" * 6_000_000, "product_id": 1}]}


def _timeouts(provoking, how):
    """Short where the row is about just that; elsewhere none passes, however slow the machine."""
    return {
        "connect_timeout": timedelta(seconds=0.3 if provoking is full_queue else 20),
        "read_timeout": timedelta(seconds=0.6 if how in (hangs, reads_nothing) else 20),
        "total_timeout": timedelta(seconds=2 if how is drips else 30),
    }


def test_every_row_is_provoked():
    assert {row.happening for row in TABLE} == PROVOKED.keys()
    assert len(TABLE) == len(PROVOKED)


@pytest.mark.parametrize("fast", [True, False], ids=["inside aiohttp", "by its public interface"])
@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize(("row", "provoking", "how", "repeatable"), CASES)
async def test_what_becomes_of_a_fact(running, settings_for, order, row, provoking, how, repeatable, fast):
    async with provoking(how) as (url, api):
        settings = settings_for(url)
        settings = replace(
            settings, delivery=settings.delivery.model_copy(update=_timeouts(provoking, how) | {"fast": fast})
        )
        async with running(settings) as bridge:
            number, body = order(financial_status="pending", **(LONG if how is reads_nothing else {}))
            await bridge.post(body if repeatable else _of_nobody(body))
            fate = row.repeatable if repeatable else row.other
            assert (fate, row.reason) == await bridge.until(lambda: _became(bridge, number))
            if api is not None and fate is Fate.UNCERTAIN:
                assert 1 == api.asked.count(EVENTS)
            if api is not None and fate in (Fate.PAUSED, Fate.POSTPONED):
                api.how = None
                await bridge.settled(number)
                assert {"order.placed": "delivered"} == await bridge.states(number)


async def _became(bridge, number):
    """What has become of the order's one fact and why, or of the attempt that will be made again; None: nothing yet."""
    story = await bridge.story(number)
    settled = [(fact["state"], fact["reason"] or None) for fact in story.facts if fact["state"] != "departed"]
    if settled or not story.attempts:
        return settled[0] if settled else None
    async with bridge.session.get(f"{bridge.private}/status") as told:
        is_paused = (await told.json())["destinations"][0]["state"] == "paused"
    return "paused" if is_paused else "postponed", story.attempts[-1]["reason"]


def _of_nobody(body):
    """An order of which only the visit is known."""
    nobody = {"email": "", "contact_email": None, "phone": None, "customer": None}
    addresses = {"billing_address": None, "shipping_address": None}
    return json.dumps({**json.loads(body), **nobody, **addresses}).encode()
