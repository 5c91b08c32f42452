"""The only room that knows HTTP going out, against real servers and against none."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web

from bridge.contract import Request, Response, Share
from bridge.delivery.http import Timeouts
from bridge.status_table import Fate, Silent
from tests import certificates


@pytest.fixture
def client_with(opened):
    def made(*, read):
        patient = timedelta(seconds=30)
        timeouts = Timeouts(connect=patient, read=read, total=patient, keep_alive=timedelta(seconds=4))
        return opened(timeouts=timeouts, connections=8, user_agent="tests")

    return made


@pytest.fixture
async def client(client_with):
    async with client_with(read=timedelta(seconds=30)) as made:
        yield made


@pytest.fixture
async def serve():
    """Serves a handler; its address."""
    runners = []

    async def start(handler):
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/"

    yield start
    for runner in runners:
        await runner.cleanup()


@asynccontextmanager
async def _bytes_server(answer):
    """A server that answers these bytes to whatever comes, and closes."""

    async def talk(reader, writer):
        await reader.read(65536)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def _get(url, **more):
    return Request(method="GET", url=url, repeatable=True, **more)


def _good(response):
    """A body is kept of a 200, and nothing else."""
    return Response(status=200, body=response.body) if response.status == 200 else None


def _share(key="k", *, ttl=timedelta(hours=1), keep=_good, **more):
    return Share(key=key, ttl=ttl, keep=keep, **more)


async def test_an_answer_comes_back_with_status_headers_and_body(client, serve):
    async def handler(request):
        return web.Response(status=418, body=await request.read(), headers={"X-Tea": "yes"})

    url = await serve(handler)
    answer = await client.send(Request(method="POST", url=url, body=b"pot", headers={"A": "b"}))
    assert (418, "yes", b"pot") == (answer.status, answer.headers["x-tea"], answer.body)


async def test_a_redirect_is_not_followed(client, serve):
    async def handler(_):
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    assert 302 == (await client.send(_get(await serve(handler)))).status


async def test_a_body_is_cut_at_64_kib(client, serve):
    async def handler(_):
        return web.Response(body=b"x" * 1_000_000)

    assert 65_536 == len((await client.send(_get(await serve(handler)))).body)


async def test_a_port_that_nobody_listens_at(client, unused_tcp_port):
    silence = await client.send(_get(f"http://127.0.0.1:{unused_tcp_port}/"))
    assert (Silent.NO_CONNECTION, Fate.POSTPONED) == (silence.silent, silence.row.other)


async def test_a_name_that_does_not_resolve(client):
    silence = await client.send(_get("http://no-such-host.invalid/"))
    assert (Silent.NO_NAME, Fate.POSTPONED) == (silence.silent, silence.row.other)


async def test_tls_to_a_server_without_it(client, serve):
    async def handler(_):
        return web.Response()

    silence = await client.send(_get((await serve(handler)).replace("http://", "https://")))
    assert (Silent.NO_TLS, Fate.POSTPONED) == (silence.silent, silence.row.other)


async def test_an_answer_that_does_not_come_in_time_may_have_arrived(client_with, serve):
    async def handler(_):
        await asyncio.sleep(2)
        return web.Response()

    async with client_with(read=timedelta(milliseconds=200)) as client:
        silence = await client.send(_get(await serve(handler)))
    assert (Silent.NO_BYTE_IN_TIME, Fate.UNCERTAIN) == (silence.silent, silence.row.other)


@pytest.mark.parametrize(
    ("silent", "answer"),
    [
        (Silent.LOST, b""),
        (Silent.CUT, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off"),
        (Silent.NOT_HTTP, b"this is not http\r\n\r\n"),
        (Silent.LOST, b"HTTP/1.1 200 OK\r\nX"),
    ],
    ids=["closed", "cut body", "no http", "half a header"],
)
async def test_half_an_answer_is_none_and_may_have_arrived(client, silent, answer):
    async with _bytes_server(answer) as url:
        silence = await client.send(Request(method="POST", url=url, body=b"x"))
    assert (silent, Fate.UNCERTAIN) == (silence.silent, silence.row.other)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 100\r\n\r\ncut off",
        b"HTTP/1.1 422 Unprocessable Entity\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 422 Unprocessable Entity\r\nX",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 422 Unprocessable Entity\r\nContent-Length: x\r\n\r\n",
    ],
    ids=["cut body", "a long header", "half a header", "no length"],
)
async def test_a_no_counts_by_its_status_though_the_rest_cannot_be_read(client, answer):
    async with _bytes_server(answer) as url:
        found = await client.send(Request(method="POST", url=url, body=b"x"))
    assert (422, b"", False) == (found.status, found.body, found.is_whole)


async def test_a_yes_that_cannot_be_read_is_told_with_its_status_and_the_limit(client):
    async with _bytes_server(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n") as url:
        silence = await client.send(Request(method="POST", url=url, body=b"x"))
    assert (Silent.NOT_HTTP, Fate.UNCERTAIN) == (silence.silent, silence.row.other)
    assert "a line of its head is longer than 65536 bytes: after the status 200" in silence.detail


async def test_what_must_not_be_repeated_never_takes_a_used_connection(client, serve):
    peers = []

    async def handler(request):
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response()

    url = await serve(handler)
    for _ in range(3):
        await client.send(Request(method="POST", url=url, repeatable=False))
    assert 3 == len(set(peers))
    for _ in range(3):
        await client.send(Request(method="POST", url=url, repeatable=True))
    assert 4 == len(set(peers))


class _Counting:
    """Answers with how many requests there were, slowly."""

    def __init__(self, *statuses):
        self.asked = 0
        self.statuses = list(statuses)

    async def __call__(self, _):
        self.asked += 1
        await asyncio.sleep(0.02)
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200, text=str(self.asked))


async def test_who_asks_the_same_shares_one_request_in_flight_and_its_answer(client, serve):
    handler = _Counting()
    request = _get(await serve(handler), share=_share())
    answers = await asyncio.gather(*[client.send(request) for _ in range(20)])
    answers.append(await client.send(request))
    assert (1, {b"1"}) == (handler.asked, {answer.body for answer in answers})


async def test_a_failure_is_told_to_all_who_wait_and_not_remembered(client, serve):
    handler = _Counting(503)
    request = _get(await serve(handler), share=_share())
    answers = await asyncio.gather(*[client.send(request) for _ in range(3)])
    assert [503, 503, 503] == [answer.status for answer in answers]
    assert Response(status=200, headers={}, body=b"2").status == (await client.send(request)).status


async def test_an_answer_is_remembered_no_longer_than_it_may_be(client, serve):
    handler = _Counting()
    request = _get(await serve(handler), share=_share(ttl=timedelta()))
    await client.send(request)
    await client.send(request)
    assert 2 == handler.asked


async def _asked(client_with, serve, monkeypatch, *, keys, body=b"", **bounds):
    """How many requests a client with these bounds sends for these keys."""
    asked = []

    async def handler(request):
        asked.append(request.path)
        return web.Response(body=body)

    url = await serve(handler)
    for name, value in bounds.items():
        monkeypatch.setattr(f"bridge.delivery.client.{name}", value)
    async with client_with(read=timedelta(seconds=30)) as client:
        for key in keys:
            await client.send(_get(url, share=_share(key)))
    return len(asked)


async def test_what_is_remembered_is_bounded_and_the_longest_unused_goes_first(client_with, serve, monkeypatch):
    assert 4 == await _asked(client_with, serve, monkeypatch, keys="abacab", _REMEMBERED=2)


@pytest.mark.parametrize(("asked", "keys", "size"), [(4, "abacab", 10_000), (6, "aaaaaa", 30_000)])
async def test_what_is_remembered_is_bounded_in_bytes(client_with, serve, monkeypatch, asked, keys, size):
    body = b"x" * size
    assert asked == await _asked(client_with, serve, monkeypatch, keys=keys, body=body, _REMEMBERED_BYTES=25_000)


async def test_only_what_was_understood_is_remembered_and_no_more_of_it_than_is_needed(client, serve):
    answers = ["garbage", "good: id 1, and much more"]

    async def handler(_):
        return web.Response(text=answers.pop(0))

    def keep(response):
        return Response(status=200, body=b"id 1") if response.body.startswith(b"good") else None

    request = _get(await serve(handler), share=_share(keep=keep))
    bodies = [(await client.send(request)).body for _ in range(3)]
    assert [b"garbage", b"good: id 1, and much more", b"id 1"] == bodies


async def test_what_was_cut_is_not_remembered_and_says_so(client, serve):
    handler = _Counting()
    request = _get(await serve(handler), share=_share(), longest=0)
    assert [False, False] == [(await client.send(request)).is_whole for _ in range(2)]
    assert 2 == handler.asked


async def test_a_fresh_request_replaces_what_was_remembered(client, serve):
    handler = _Counting()
    url = await serve(handler)
    known = _get(url, share=_share())
    anew = _get(url, share=_share(fresh=True))
    assert [b"1", b"2", b"2"] == [(await client.send(request)).body for request in (known, anew, known)]


async def test_when_the_one_who_asks_is_cancelled_somebody_who_waits_asks_anew(client, serve):
    asked, answers = asyncio.Semaphore(0), asyncio.Event()

    async def handler(_):
        asked.release()
        await answers.wait()
        return web.Response()

    request = _get(await serve(handler), share=_share())
    first = asyncio.create_task(client.send(request))
    await asked.acquire()
    second = asyncio.create_task(client.send(request))
    await asyncio.sleep(0)  # it waits for the first one's answer
    first.cancel()
    await asked.acquire()
    answers.set()
    assert 200 == (await second).status
    assert asked.locked()


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A folder with certificates of an authority that no machine trusts."""
    folder = tmp_path_factory.mktemp("certificates")
    certificates.make(folder, "api", "another")
    return folder


@pytest.fixture
async def over_tls(signed):
    """An address behind TLS that answers 200; how many connections and requests came."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(signed / "api.pem")
    peers = []

    async def handler(request):
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(text="over tls")

    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/", peers
    await runner.cleanup()


async def test_an_authority_that_a_request_names_is_trusted_and_its_connection_used_again(client, over_tls, signed):
    url, peers = over_tls
    answers = [await client.send(_get(url, ca=str(signed / "ca.pem"))) for _ in range(3)]
    assert [(200, b"over tls")] * 3 == [(answer.status, answer.body) for answer in answers]
    assert 1 == len(set(peers))


async def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(client, over_tls, signed):
    url, peers = over_tls
    unknown = await client.send(_get(url))
    wrong = await client.send(_get(url, ca=str(signed / "another.crt")))
    assert [Silent.NO_TLS, Silent.NO_TLS] == [unknown.silent, wrong.silent]
    assert [] == peers


async def test_a_body_of_many_pieces_comes_whole_over_tls(client_with, signed):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(signed / "api.pem")

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        for _ in range(60):
            writer.write(b"x" * 1000)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    async with server, client_with(read=timedelta(seconds=30)) as client:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        answer = await client.send(_get(url, ca=str(signed / "ca.pem")))
    assert (200, 60_000, True) == (answer.status, len(answer.body), answer.is_whole)
