"""Connections to the door: whatever comes over them, in whatever pieces, each request is answered once and in turn."""

import asyncio
import gc
import random
import re
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bridge import telemetry
from bridge.contract import State
from bridge.errors import JournalBusy, Refusal
from bridge.intake import watch, webhook
from bridge.intake.responses import STORED
from bridge.journal import Selection

ANSWER = re.compile(rb"HTTP/1\.[01] (\d+) [^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)


class Client:
    """One connection, spoken by hand."""

    def __init__(self, bridge, reader, writer):
        self._bridge, self._reader, self._writer = bridge, reader, writer

    def request(self, body, *, delivery="1", version="1.1", line="POST /webhooks/shop", **headers):
        signed = self._bridge.settings.sources["shop"].sign(
            body, topic="orders/create", tenant=None, delivery_id=delivery
        )
        given = {"Host": "x", "Content-Length": len(body), **signed}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        lines = [f"{line} HTTP/{version}", *(f"{name}: {text}" for name, text in given.items() if text is not None)]
        return "\r\n".join([*lines, "\r\n"]).encode() + body

    def forged(self, body=b"[]", **more):
        """A request that is refused with 401."""
        return self.request(body, X_Shopify_Hmac_Sha256="AAAA", **more)

    async def send(self, data):
        self._writer.write(data)
        await self._writer.drain()

    async def answers(self, count):
        """The statuses."""
        return [(await self.answer())[0] for _ in range(count)]

    async def answer(self):
        """The status, and the head."""
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)
        status, lines = ANSWER.fullmatch(head).groups()
        length = re.search(rb"Content-Length: (\d+)", lines)
        await self._reader.readexactly(int(length[1]))
        return int(status), lines.decode()

    async def ended(self):
        """What else comes, until the other side has closed."""
        return await asyncio.wait_for(self._reader.read(), 10)

    async def close(self):
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
def connected():
    @asynccontextmanager
    async def opened(bridge):
        client = Client(bridge, *await asyncio.open_connection("127.0.0.1", bridge.house.ports.door))
        try:
            yield client
        finally:
            await client.close()

    return opened


@pytest.fixture
def slow(monkeypatch):
    """The journal takes nothing in until it is let go on."""

    def held(bridge):
        journal, waiting = bridge.house.journal, []
        take_in = journal.take_in
        monkeypatch.setattr(journal, "take_in", waiting.extend)

        def go_on():
            monkeypatch.undo()
            take_in(waiting)

        return go_on

    return held


@pytest.fixture
def tasks(monkeypatch, served):
    """How many requests were left to aiohttp."""
    made = []
    serve = served._Server._serve

    async def counted(self, request):
        made.append(request)
        return await serve(self, request)

    monkeypatch.setattr(served._Server, "_serve", counted)
    return made


async def _stored(bridge):
    return (await bridge.house.journal.stats()).envelopes


async def test_whole_requests_are_answered_one_after_the_other(running, connected, order, tasks, kind):
    """The fast door makes no task for them."""
    async with running() as bridge, connected(bridge) as client:
        tasks.clear()
        for number in range(100):
            await client.send(client.request(order()[1], delivery=str(number)))
            status, head = await client.answer()
            assert 200 == status
            assert "Content-Length: 0" in head
            assert re.search(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", head)
            assert "Connection" not in head
        assert 100 == await _stored(bridge)
        assert len(tasks) == (0 if kind == "fast" else 100)
        await client.send(client.forged() * 3)
        assert [401] * 3 == await client.answers(3), "also after many, more than one is read ahead"


async def test_a_connection_that_sends_at_once_is_answered(running, connected, order, tasks, kind):
    """As a proxy does that opens a connection for each request."""
    async with running() as bridge:
        tasks.clear()
        for number in range(3):
            async with connected(bridge) as client:
                await client.send(client.request(order()[1], delivery=str(number)))
                assert 200 == (await client.answer())[0]
        assert len(tasks) == (0 if kind == "fast" else 3)


@pytest.mark.parametrize("size", [1, 7, 200, 4096])
async def test_a_request_in_pieces_is_answered_as_a_whole_one(running, connected, order, size):
    async with running() as bridge, connected(bridge) as client:
        data = client.request(order()[1])
        cut = min(len(data), 400 * size)
        for start in range(0, cut, size):
            await client.send(data[start : start + size])
            await asyncio.sleep(0)
        await client.send(data[cut:])
        assert 200 == (await client.answer())[0]
        await client.send(client.request(order()[1], delivery="2"))
        assert 200 == (await client.answer())[0]
        assert 2 == await _stored(bridge)


async def test_requests_that_come_before_the_answer_are_answered_in_their_order(running, connected, order):
    async with running() as bridge, connected(bridge) as client:
        bad, strange = client.forged(delivery="2"), client.request(b"", delivery="4", line="GET /nowhere")
        sent = [client.request(order()[1], delivery="1"), bad, client.request(order()[1], delivery="3"), strange]
        await client.send(b"".join(sent * 3))
        statuses = await client.answers(12)
        assert [200, 401, 200, 404] * 3 == statuses
        await client.send(client.request(order()[1], delivery="5"))
        assert 200 == (await client.answer())[0]


@pytest.mark.parametrize("count", [31, 32, 33, 70, 300])
async def test_more_requests_at_once_than_are_read_ahead_are_all_answered(running, connected, order, count):
    async with running() as bridge, connected(bridge) as client:
        small = [client.forged(delivery=str(number)) for number in range(count - 1)]
        await client.send(client.request(order()[1], delivery="good") + b"".join(small))
        assert [200] + [401] * (count - 1) == await client.answers(count)
        assert 1 == await _stored(bridge)
        await client.send(client.request(order()[1], delivery="later"))
        assert [200] == await client.answers(1)


async def test_a_request_behind_which_another_makes_the_reading_pause_is_answered(running, connected, order):
    async with running() as bridge, connected(bridge) as client:
        chunks = 17_000
        second = client.forged(b"x" * chunks, delivery="2", Content_Length=None, Transfer_Encoding="chunked")[:-chunks]
        await client.send(client.request(order()[1]) + second + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")
        assert [200, 401] == await client.answers(2)


@pytest.mark.parametrize("size", [200_000, 600_000])
async def test_a_large_body_is_taken(running, connected, order, size):
    async with running() as bridge, connected(bridge) as client:
        await client.send(client.request(order(note="x" * size)[1]))
        assert [200] == await client.answers(1)


async def test_what_the_door_does_not_take_at_once_is_refused_as_ever(running, settings_for, sandbox, connected, order):
    settings = settings_for(sandbox)
    small = replace(settings, door=settings.door.model_copy(update={"max_body": 4096}))
    async with running(small) as bridge:
        for body, line, status in (
            (order()[1], "POST /webhooks/shop", 413),
            (b"{}", "GET /webhooks/shop", 405),
            (b"{}", "POST /nowhere", 404),
            (b"", "POST /webhooks/shop", 200),
        ):
            async with connected(bridge) as client:
                await client.send(client.request(body, line=line))
                assert [status] == await client.answers(1)


@pytest.mark.parametrize(("path", "status"), [("/webhooks/shop", 405), ("/nowhere", 404)])
async def test_who_asks_for_the_head_only_gets_no_more(running, connected, path, status):
    async with running() as bridge, connected(bridge) as client:
        await client.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        said = await client.ended()
        assert (f"HTTP/1.1 {status}".encode(), True) == (said[:12], said.endswith(b"\r\n\r\n"))


@pytest.mark.parametrize("at_once", [200, 1], ids=["aiohttp's", "the door's"])
async def test_who_does_not_read_his_answers_gets_no_more_of_them(running, connected, at_once, monkeypatch, served):
    """Else whoever likes fills our memory."""
    made = []
    opened = served._Connection.connection_made

    def noted(self, transport):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made.append(transport)
        opened(self, transport)

    async with running() as bridge, connected(bridge) as client:
        monkeypatch.setattr(served._Connection, "connection_made", noted)
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", bridge.house.ports.door))
        many = client.forged() * at_once

        async def asking():
            while True:
                await loop.sock_sendall(deaf, many)
                await asyncio.sleep(0.002 if at_once == 1 else 0)

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asking(), 3)
        assert max(transport.get_write_buffer_size() for transport in made) < 2 * 65_536 + len(many)
        deaf.close()
        await client.send(client.forged())
        assert [401] == await client.answers(1)


async def test_a_bug_behind_the_door_is_500_and_not_silence(running, connected, order, monkeypatch):
    async with running() as bridge, connected(bridge) as client:
        monkeypatch.setattr(webhook, "_emit_received", lambda *_: 1 / 0)
        await client.send(client.request(order()[1]))
        assert [500] == await client.answers(1)
        monkeypatch.undo()
        await client.send(client.request(order()[1], delivery="2"))
        assert [200] == await client.answers(1)


@pytest.mark.parametrize("first", [b"", b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["the door's", "aiohttp's"])
async def test_a_reset_in_the_turn_of_the_answer_leaves_nothing(
    running, connected, order, slow, monkeypatch, first, served, kind
):
    made, problems = [], []
    opened = served._Connection.connection_made
    monkeypatch.setattr(
        served._Connection, "connection_made", lambda self, transport: (made.append(self), opened(self, transport))
    )
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context))
    async with running() as bridge, connected(bridge) as client:
        if first:
            await client.send(first)
            assert [404] == await client.answers(1)
        go_on = slow(bridge)
        await client.send(client.request(order()[1]) + client.request(order()[1], delivery="2"))
        await asyncio.sleep(0.05)
        if kind == "fast":  # the other one's answers are aiohttp's calls
            loop.call_soon(made[-1]._answered, STORED)
        made[-1].transport.abort()
        await asyncio.sleep(0.05)
        go_on()
        made.clear()
        gc.collect()
        await asyncio.sleep(0.05)
    assert [] == problems


async def test_what_comes_while_the_door_has_a_request_waits(running, connected, order, slow):
    async with running() as bridge, connected(bridge) as client:
        go_on = slow(bridge)
        await client.send(client.request(order()[1], delivery="1"))
        await asyncio.sleep(0.05)
        await client.send(client.forged(delivery="2"))
        await asyncio.sleep(0.05)
        go_on()
        assert [200, 401] == await client.answers(2)


async def test_many_connections_at_once(running, connected, order):
    async def one(bridge, number):
        async with connected(bridge) as client:
            for turn in range(10):
                await client.send(client.request(order()[1], delivery=f"{number}-{turn}"))
                assert 200 == (await client.answer())[0]

    async with running() as bridge:
        await asyncio.gather(*(one(bridge, number) for number in range(20)))
        assert 200 == await _stored(bridge)


@pytest.mark.parametrize(
    "how",
    [{"version": "1.0"}, {"Connection": "close"}, {"version": "1.0", "Connection": "keep-alive"}],
    ids=["1.0", "close", "1.0 that would stay"],
)
async def test_a_connection_that_does_not_stay_is_closed_after_its_answer(running, connected, order, how):
    async with running() as bridge, connected(bridge) as client:
        await client.send(client.request(order()[1], **how))
        status, head = await client.answer()
        assert (200, True) == (status, "Connection: close" in head)
        assert b"" == await client.ended()


async def test_a_chunked_body_is_taken(running, connected, order):
    async with running() as bridge, connected(bridge) as client:
        body = order()[1]
        whole = client.request(body, Content_Length=None, Transfer_Encoding="chunked")
        head = whole[: -len(body)]
        half = len(body) // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
        await client.send(head + chunks + b"0\r\n\r\n")
        assert 200 == (await client.answer())[0]


async def test_a_request_to_change_the_protocol_is_a_request(running, connected, order):
    async with running() as bridge, connected(bridge) as client:
        for delivery in ("1", "2"):
            await client.send(
                client.request(order()[1], delivery=delivery, Connection="upgrade", Upgrade="websocket")
                + client.forged()
            )
            assert [200, 401] == await client.answers(2)


@pytest.mark.parametrize("wrong", [b"hello", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nA b\r\n\r\n"])
@pytest.mark.parametrize("count", [1, 3])
async def test_a_mistake_is_not_the_answer_to_the_good_requests_before_it(running, connected, order, wrong, count):
    async with running() as bridge, connected(bridge) as client:
        good = [client.request(order()[1], delivery=str(number)) for number in range(count)]
        await client.send(b"".join(good) + wrong)
        assert [200] * count + [400] == await client.answers(count + 1)
        assert b"" == await client.ended()
        assert count == await _stored(bridge)


@pytest.mark.parametrize("how", [{"version": "1.0"}, {"Connection": "close"}], ids=["1.0", "close"])
async def test_what_comes_behind_the_last_request_is_not_its_answer(running, connected, order, how):
    async with running() as bridge, connected(bridge) as client:
        await client.send(client.request(order()[1], **how) + client.request(order()[1], delivery="2"))
        assert [200] == await client.answers(1)
        assert b"" == await client.ended()
        assert 1 == await _stored(bridge)


async def test_a_request_behind_one_for_a_protocol_that_nobody_knows_is_answered(running, connected, order):
    async with running() as bridge, connected(bridge) as client:
        asking = client.request(order()[1], Connection="upgrade, HTTP2-Settings", Upgrade="h2c")
        await client.send(asking + client.request(order()[1], delivery="2"))
        assert [200, 200] == await client.answers(2)
        assert 2 == await _stored(bridge)


async def test_a_reset_that_is_seen_in_writing_the_answer_leaves_nothing(
    running, connected, slow, order, monkeypatch, served, kind
):
    """What waits behind the answer is not begun any more."""
    made, problems = [], []
    opened = served._Connection.connection_made
    monkeypatch.setattr(
        served._Connection, "connection_made", lambda self, transport: (made.append(self), opened(self, transport))
    )
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with running() as bridge, connected(bridge) as client:
        go_on = slow(bridge)
        sender = socket.create_connection(("127.0.0.1", bridge.house.ports.door))
        sender.sendall(client.request(order()[1]) + client.request(b"", line="GET /nowhere"))
        await asyncio.sleep(0.1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sender.close()  # a reset, which the loop has not seen yet
        if kind == "fast":
            made[-1]._answered(STORED)
        await asyncio.sleep(0.05)
        go_on()
        made.clear()
        gc.collect()
        await asyncio.sleep(0.05)
    assert [] == problems


async def test_what_is_no_http_is_400_and_the_end_also_after_good_requests(running, connected, order):
    async with running() as bridge, connected(bridge) as client:
        await client.send(client.request(order()[1]))
        assert 200 == (await client.answer())[0]
        await client.send(b"what is this\r\n\r\n")
        assert 400 == (await client.answer())[0]
        assert b"" == await client.ended()


async def test_a_503_ends_the_connection_and_the_next_one_is_taken(running, connected, order, monkeypatch):
    async with running() as bridge:
        async with connected(bridge) as client:
            monkeypatch.setattr(bridge.house.journal._disk_guard, "refuses_appends", lambda: JournalBusy("full"))
            await client.send(client.request(order()[1]) * 2)
            status, head = await client.answer()
            assert (503, True, True) == (status, "Retry-After: 10" in head, "Connection: close" in head)
            assert b"" == await client.ended()
        monkeypatch.undo()
        async with connected(bridge) as client:
            await client.send(client.request(order()[1]))
            assert 200 == (await client.answer())[0]


async def test_a_bug_in_a_connector_is_told_and_what_was_signed_is_kept(running, connected, order, monkeypatch):
    count = telemetry.REGISTRY.get_sample_value
    before = count("bridge_connector_failures_total") or 0
    async with running() as bridge, connected(bridge) as client:
        kind = type(bridge.settings.sources["shop"])
        monkeypatch.setattr(kind, "read", lambda *_: 1 / 0)
        await client.send(client.request(order()[1]))
        assert 200 == (await client.answer())[0]
        await client.send(client.request(order()[1])[:-1])  # its last byte later: this one is aiohttp's
        await asyncio.sleep(0.05)
        await client.send(b"}")
        assert 200 == (await client.answer())[0]
        parked = [fact async for fact in bridge.house.journal.parked(Selection(state=State.DEAD))]
        assert ["the connector failed (ZeroDivisionError)"] * 2 == [fact.detail for fact in parked]
        monkeypatch.setattr(kind, "verify", lambda *_: 1 / 0)
        await client.send(client.request(order()[1]))
        assert 500 == (await client.answer())[0], "who signed it is not known"
        assert before + 3 == count("bridge_connector_failures_total")
        monkeypatch.undo()
        await client.send(client.request(order()[1]))
        assert 200 == (await client.answer())[0]


async def test_a_connector_may_refuse_with_a_status_of_its_own(running, connected, order, monkeypatch):
    class Teapot(Refusal):
        status = 499

    def refuse(*_):
        raise Teapot("no coffee")

    async with running() as bridge, connected(bridge) as client:
        monkeypatch.setattr(type(bridge.settings.sources["shop"]), "read", refuse)
        await client.send(client.request(order()[1]))
        assert [499] == await client.answers(1)
        await client.send(client.request(order()[1])[:-1])
        await asyncio.sleep(0.05)
        await client.send(b"}")
        assert [499] == await client.answers(1)


async def test_who_has_gone_before_the_answer_is_stored_and_leaves_nothing(running, connected, order, slow):
    async with running() as bridge:
        go_on = slow(bridge)
        async with connected(bridge) as client:
            await client.send(client.request(order()[1]))
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        go_on()

        async def gone():
            return not any(task.get_coro().__qualname__ == "_Connection.start" for task in asyncio.all_tasks())

        async def stored():
            return await _stored(bridge)

        assert 1 == await bridge.until(stored)
        assert await bridge.until(gone)


async def test_what_the_door_has_when_the_bridge_ends_is_answered_and_then_the_connection_ends(
    running, connected, order, slow
):
    async with running() as bridge, connected(bridge) as idle, connected(bridge) as client:
        await idle.send(idle.request(order()[1], delivery="0"))
        assert 200 == (await idle.answer())[0]
        go_on = slow(bridge)
        await client.send(client.request(order()[1]))
        await asyncio.sleep(0.05)
        bridge.ending.stop.set()
        assert b"" == await idle.ended()
        go_on()
        status, head = await client.answer()
        assert (200, True) == (status, "Connection: close" in head)
        assert b"" == await client.ended()


async def test_an_idle_connection_ends_and_one_that_is_waited_for_does_not(
    running, connected, order, slow, monkeypatch
):
    monkeypatch.setattr(watch, "IDLE", 0.3)
    async with running() as bridge, connected(bridge) as client:
        go_on = slow(bridge)
        await client.send(client.request(order()[1]))
        await asyncio.sleep(1)
        go_on()
        assert 200 == (await client.answer())[0]
        await client.send(client.request(order()[1], delivery="2"))
        assert 200 == (await client.answer())[0]
        assert b"" == await client.ended()


async def test_the_budget_is_given_back_after_each_answer_whatever_it_was(
    running, connected, order, monkeypatch, served
):
    doors = []
    listening = served.listening
    monkeypatch.setattr(served, "listening", lambda door, **where: (doors.append(door), listening(door, **where))[1])
    async with running() as bridge, connected(bridge) as client:
        door = doors[-1]
        for body, status in ((order()[1], 200), (b"[]", 200), (order()[1], 200)):
            await client.send(client.request(body, delivery=str(status)))
            assert status == (await client.answer())[0]
        assert 0 == door._budget.taken
        assert {} == door._deadlines._open


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_comes_in_whatever_pieces_is_answered_once_and_in_turn(
    running, connected, order, monkeypatch, seed
):
    chance = random.Random(seed)
    problems = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context))

    def lagging(incoming):
        loop.call_later(chance.choice((0, 0.001, 0.02)), take_in, incoming)

    async def one(bridge, number, count):
        """Over one connection, and over another when it ends."""
        async with connected(bridge) as client:
            requests = []
            while count and not (requests and _may_end(requests[-1][0])):
                requests.append(_made(client, order, f"{number}-{count}", chance))
                count -= 1
            data = b"".join(request for request, _ in requests)
            sending = asyncio.create_task(_in_pieces(client, data, chance))
            assert [status for _, status in requests] == await client.answers(len(requests))
            await sending
            if b"chunked" in requests[-1][0]:
                assert b"" == await client.ended()
            elif not _may_end(requests[-1][0]):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.answer(), 0.02)
        if count:
            await one(bridge, number, count)

    async with running() as bridge:
        take_in = bridge.house.journal.take_in
        monkeypatch.setattr(bridge.house.journal, "take_in", lagging)
        await asyncio.gather(*(one(bridge, number, chance.randrange(5, 90)) for number in range(4)))
        monkeypatch.undo()
    assert [] == problems


def _made(client, order, delivery, chance):
    """A request, and the status that it is answered with."""
    body = order()[1]
    chunked = {"Content_Length": None, "Transfer_Encoding": "chunked"}
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:900], body[900:])) + b"0\r\n\r\n"
    return chance.choice(
        [
            (client.request(body, delivery=delivery), 200),
            (client.request(body, delivery=delivery, Connection="upgrade", Upgrade="websocket"), 200),
            (client.request(body, delivery=delivery, **chunked)[: -len(body)] + chunks, 200),
            (client.forged(delivery=delivery), 401),
            (client.request(b"", delivery=delivery), 200),
            (client.request(b"z" * 3000, line="POST /nowhere"), 404),
            (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ]
    )


def _may_end(request):
    """What was refused before its end ends the connection, and so does whatever is chunked."""
    return b"chunked" in request or b"POST /nowhere" in request


async def _in_pieces(client, data, chance):
    while data:
        size = chance.choice((1, 7, 100, 3_000, 20_000, 200_000))
        await client.send(data[:size])
        data = data[size:]
        await asyncio.sleep(chance.choice((0, 0, 0.002)))
