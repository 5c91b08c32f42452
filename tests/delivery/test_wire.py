"""What goes over the wire, byte by byte, and when a connection serves again."""

import asyncio
import contextlib
import gzip
import random
import re
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bridge.contract import Request, Response
from bridge.delivery.http import Timeouts
from bridge.status_table import Fate, Silent

QUICK = Timeouts(
    connect=timedelta(seconds=5), read=timedelta(seconds=5), total=timedelta(seconds=5), keep_alive=timedelta(seconds=4)
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each whole request with the next of these bytes; keeps what came, by connection."""

    def __init__(self, answers) -> None:
        self.answers = list(answers)
        self.connections = []
        self.writers = []
        self.hangs_up = False

    async def talk(self, reader, writer):
        came = []
        self.connections.append(came)
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                came.append((head, await reader.readexactly(int(length[1]) if length else 0)))
                writer.write(self.answers.pop(0) if self.answers else OK)
                await writer.drain()
                if self.hangs_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


@asynccontextmanager
async def listening(talk):
    """A port; in the end every connection is closed and every talk has ended."""
    talks = set()

    async def noted(reader, writer):
        talks.add(asyncio.current_task())
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(noted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


@asynccontextmanager
async def serving(*answers):
    told = Server(answers)
    async with listening(told.talk) as told.port:
        yield told


@pytest.fixture
async def client(opened):
    async with opened(timeouts=QUICK, connections=8, user_agent="tests/1") as made:
        yield made


def _post(port, path="/v1/events", *, repeatable=True, headers=(), host="127.0.0.1", **more):
    return Request(
        method="POST",
        url=f"http://{host}:{port}{path}",
        headers=dict(headers),
        body=b"{}",
        repeatable=repeatable,
        **more,
    )


def _lines(head):
    first, *lines = head.decode().rstrip().split("\r\n")
    return first, dict(line.split(": ", 1) for line in lines)


async def test_a_request_has_its_own_headers_and_ours_and_its_body(client):
    async with serving() as server:
        headers = {"Authorization": "Bearer x", "Content-Type": "application/json", "user-agent": "mine"}
        answer = await client.send(_post(server.port, "/v1/caf\u00e9?a=b c#end", headers=headers))
        assert (200, b"ok") == (answer.status, answer.body)
        ((head, body),) = server.connections[0]
        first, lines = _lines(head)
        assert ("POST /v1/caf%C3%A9?a=b+c HTTP/1.1", b"{}") == (first.replace("%20", "+"), body)
        assert f"127.0.0.1:{server.port}" == lines["Host"]
        assert ("Bearer x", "application/json", "2") == tuple(
            lines[name] for name in ("Authorization", "Content-Type", "Content-Length")
        )
        assert ["mine"] == [text for name, text in lines.items() if name.lower() == "user-agent"]
        assert "Connection" not in lines


async def test_each_request_has_its_own_values_of_the_same_headers(client):
    async with serving() as server:
        values = ["k1", "k2", "k2", "k3"]
        for value in values:
            headers = {"Idempotency-Key": value, "user-agent": value, "content-length": "7"}
            assert 200 == (await client.send(_post(server.port, headers=headers))).status
        lines = [_lines(head)[1] for came in server.connections for head, _ in came]
        assert values == [each["Idempotency-Key"] for each in lines]
        assert [(value, "2") for value in values] == [
            (each.get("User-Agent") or each["user-agent"], each["Content-Length"]) for each in lines
        ]
        with pytest.raises(ValueError, match="Idempotency-Key"):
            await client.send(_post(server.port, headers={**headers, "Idempotency-Key": "a\r\nb: c"}))
        assert 1 == len([came for came in server.connections if came])


async def test_secret_parameters_are_added_to_the_address_on_the_way(client):
    async with serving() as server:
        for query in ("", "?a=1"):
            request = _post(server.port, f"/v1/events{query}", secret_query={"key": "s3&cret"})
            assert 200 == (await client.send(request)).status
            assert "s3" not in f"{request!r}"
        targets = [_lines(head)[0] for came in server.connections for head, _ in came]
        assert [f"POST /v1/events?{more}key=s3%26cret HTTP/1.1" for more in ("", "a=1&")] == targets


async def test_a_request_without_a_body(client):
    async with serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        await client.send(Request(method="GET", url=url, repeatable=True))
        await client.send(Request(method="POST", url=url, repeatable=True))
        heads = [_lines(head) for came in server.connections for head, _ in came]
        assert ["GET / HTTP/1.1", "POST / HTTP/1.1"] == [first for first, _ in heads]
        assert [None, "0"] == [lines.get("Content-Length") for _, lines in heads]
        assert {"tests/1"} == {lines["User-Agent"] for _, lines in heads}


async def test_repeatable_requests_share_a_connection_and_others_have_one_each_that_is_closed(client):
    async with serving() as server:
        for repeatable in (True, True, False, False):
            assert 200 == (await client.send(_post(server.port, repeatable=repeatable))).status
        assert [2, 1, 1] == [len(came) for came in server.connections]
        closing = [[_lines(head)[1].get("Connection") for head, _ in came] for came in server.connections]
        assert [[None, None], ["close"], ["close"]] == closing


@pytest.mark.parametrize(
    ("answer", "serves_again"),
    [
        (OK, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (OK + b"HTTP/1.1 500 left over\r\nContent-Length: 0\r\n\r\n", False),
    ],
    ids=["length", "204", "304", "chunked", "103 before", "close", "1.0", "left over"],
)
async def test_a_connection_serves_again_if_nothing_is_left_on_it(client, answer, serves_again):
    async with serving(answer) as server:
        first, second = [await client.send(_post(server.port)) for _ in range(2)]
        assert isinstance(first, Response)
        assert first.body in (b"ok", b"")
        assert (200, b"ok") == (second.status, second.body)
        assert (1 if serves_again else 2) == len(server.connections)


async def test_a_packed_answer_is_unpacked_and_cut(client):
    packed = gzip.compress(b"x" * 1_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with serving(head + packed) as server:
        answer = await client.send(_post(server.port, longest=1000))
        assert b"x" * 1000 == answer.body
        assert 200 == (await client.send(_post(server.port))).status
        assert 2 == len(server.connections)


@pytest.mark.parametrize(
    "headers",
    [b"X-Policy: " + b"x" * 60_000 + b"\r\n", b"".join(b"X-%d: x\r\n" % number for number in range(500))],
    ids=["a long one", "many"],
)
async def test_an_answer_is_read_whatever_headers_a_gateway_adds(client, headers):
    async with serving(b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: 2\r\n\r\nok") as server:
        answer = await client.send(_post(server.port))
        assert (200, b"ok") == (answer.status, answer.body)
        assert 200 == (await client.send(_post(server.port))).status
        assert 1 == len(server.connections)


async def test_nobody_is_asked_to_pack_an_answer(client):
    async with serving() as server:
        await client.send(_post(server.port))
        assert "identity" == _lines(server.connections[0][0][0])[1]["Accept-Encoding"]


async def test_who_is_cancelled_gives_no_connection_back(client):
    async with serving(b"") as server:
        task = asyncio.create_task(client.send(_post(server.port)))
        async with asyncio.timeout(10):
            while not (server.connections and server.connections[0]):
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 200 == (await client.send(_post(server.port))).status
        assert [1, 1] == [len(came) for came in server.connections]


async def test_what_is_said_before_it_was_asked_is_nobodys_answer(client):
    async with serving() as server:
        for _ in range(2):
            assert 200 == (await client.send(_post(server.port))).status
            server.writers[-1].write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale")
            await server.writers[-1].drain()
            await asyncio.sleep(0.05)  # it must have come, and nothing tells
        assert b"ok" == (await client.send(_post(server.port))).body
        assert [1, 1, 1] == [len(came) for came in server.connections]


async def test_the_body_of_a_get_is_no_request_of_its_own(client):
    async with serving() as server:
        body = b"POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        url = f"http://127.0.0.1:{server.port}/search"
        assert 200 == (await client.send(Request(method="GET", url=url, body=body, repeatable=True))).status
        assert [[body]] == [[body for _, body in came] for came in server.connections]


async def test_an_unrepeatable_request_arrives_once_whatever_its_method(client):
    async with serving(b"") as server:
        server.hangs_up = True
        request = Request(method="PUT", url=f"http://127.0.0.1:{server.port}/", body=b"{}")
        assert Silent.LOST is (await client.send(request)).silent
        assert [1] == [len(came) for came in server.connections]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_request_on_a_used_connection_that_is_lost_arrives_once(client, method):
    """Whoever sends it again knows the rate and the tries that are left."""
    async with serving(OK, b"") as server:
        request = Request(method=method, url=f"http://127.0.0.1:{server.port}/", repeatable=True)
        assert 200 == (await client.send(request)).status
        server.hangs_up = True
        assert Silent.LOST is (await client.send(request)).silent
        assert [2] == [len(came) for came in server.connections]


async def test_a_request_that_was_half_sent_may_have_arrived(client):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with listening(talk) as port:
        body = b"x" * 1_000_000
        silence = await client.send(Request(method="POST", url=f"http://127.0.0.1:{port}/", body=body))
    assert (Silent.LOST, Fate.UNCERTAIN) == (silence.silent, silence.row.other)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_who_does_not_read_the_request_is_not_waited_for_longer_than_for_an_answer(opened):
    over = asyncio.Event()

    async def talk(_, writer):
        writer.transport.pause_reading()
        await over.wait()

    async with listening(talk) as port, _impatient(opened) as client:
        body = b"x" * 20_000_000
        began = asyncio.get_running_loop().time()
        request = Request(method="POST", url=f"http://127.0.0.1:{port}/", body=body)
        silence = await client.send(request)
        assert asyncio.get_running_loop().time() - began < 5
        over.set()
    assert (Silent.NO_BYTE_IN_TIME, Fate.UNCERTAIN) == (silence.silent, silence.row.other)


def _impatient(opened):
    long = timedelta(seconds=30)
    timeouts = Timeouts(connect=long, read=timedelta(milliseconds=300), total=long, keep_alive=long)
    return opened(timeouts=timeouts, connections=8, user_agent="tests/1")


async def test_how_long_a_request_is_and_what_it_holds_is_said_once(client):
    async with serving() as server:
        headers = {"content-length": "7", "transfer-encoding": "chunked", "host": "other.example"}
        assert 200 == (await client.send(_post(server.port, headers=headers))).status
        ((head, body),) = server.connections[0]
        names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")]
        assert b"{}" == body
        assert [1, 0, 1, 1] == [
            names.count(name) for name in (b"content-length", b"transfer-encoding", b"host", b"content-type")
        ]
        assert b"other.example" in head


@pytest.mark.parametrize(
    ("name", "text"), [("X-Note", "a\r\nX-Other: b"), ("X-Note", "a\0"), ("X Note", "a"), ("", "")]
)
async def test_a_header_cannot_hold_another_line(client, name, text):
    async with serving() as server:
        with pytest.raises(ValueError, match="cannot be sent"):
            await client.send(_post(server.port, headers={name: text}))
        assert not any(server.connections)


async def test_a_proxy_is_told_the_address_without_what_is_secret(opened, monkeypatch):
    async with serving() as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:word@127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        async with opened(timeouts=QUICK, connections=8, user_agent="tests/1") as client:
            url = "http://you:secret@dest.example/p?q=1#part"
            assert 200 == (await client.send(Request(method="POST", url=url, body=b"x"))).status
        first, lines = _lines(proxy.connections[0][0][0])
        assert "POST http://dest.example/p?q=1 HTTP/1.1" == first
        assert "dest.example" == lines["Host"]
        assert lines["Proxy-Authorization"].startswith("Basic ")


async def test_requests_that_are_cancelled_or_late_leave_nothing_behind_and_cross_no_answer(client):
    chance = random.Random(7)

    async def talk(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                number = head.split(b" ")[1][1:]
                await reader.readexactly(2)
                await asyncio.sleep(chance.choice((0, 0, 0.01, 0.1)))
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(number), number)
                writer.write(answer[: chance.choice((len(answer), len(answer), len(answer), 20))])
                if chance.random() < 0.1:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def one(number):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(chance.choice((0.005, 0.05, 3))):
                answer = await client.send(_post(port, f"/{number}"))
                assert not isinstance(answer, Response) or str(number).encode() == answer.body

    async with listening(talk) as port:
        await asyncio.gather(*(one(number) for number in range(300)))
    wire = client._pooled
    assert not wire._connector._acquired
    assert not wire._deadlines._open
    assert not wire._pieces._open


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "http:///nowhere", "http://[::1", "nothing"])
async def test_what_is_no_address_of_the_web(client, url):
    silence = await client.send(Request(method="GET", url=url, repeatable=True))
    assert Silent.LOST is silence.silent


async def test_a_pooled_connection_that_the_server_has_closed_is_not_used(client):
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        assert 200 == (await client.send(_post(server.port))).status
    async with serving() as server:
        assert 200 == (await client.send(_post(server.port))).status
