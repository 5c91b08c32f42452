"""What stands before aiohttp's protocol, without a socket: what it counts, and what it lets through."""

from types import SimpleNamespace

import pytest

from bridge.intake.plain_connections import _Connection
from bridge.intake.responses import CONTINUE, STORED, answer, refusal

HEAD = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


class Recorder:
    """Takes any call; keeps those that it is asked for."""

    def __init__(self):
        self.came, self.written, self.is_closed = [], [], False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.came.append(data)

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.is_closed = True


@pytest.fixture
def connection():
    keeper = SimpleNamespace(expect=lambda *_: None, forget=lambda *_: None, make_room=lambda *_: None)
    limits = SimpleNamespace(max_headers=65_536)
    made = _Connection(SimpleNamespace(watch=keeper, open=keeper, door=SimpleNamespace(limits=limits)), Recorder())
    made.connection_made(Recorder())
    return made


def test_a_body_behind_a_request_that_was_answered_is_no_head(connection):
    connection.data_received(b"GET / HTTP/1.1\r\n\r\n")
    connection.begin()
    connection.data_received(HEAD)
    connection.end(refusal(404), keep_alive=True, is_head=False)
    connection.data_received(b"x" * 100_000)
    assert not connection.transport.is_closed
    assert b"x" * 100_000 == connection._inner.came[-1]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_head_that_grows_too_large_is_refused_also_after_other_requests(connection, before):
    for _ in range(before):
        connection.data_received(HEAD)
        connection.begin()
        connection.end(STORED, keep_alive=True, is_head=False)
    connection.data_received(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert connection.transport.is_closed
    assert b"HTTP/1.1 431" == connection.transport.written[-1][:12]


def test_each_answer_is_the_doors_own_whatever_aiohttp_writes_and_in_how_many_pieces(connection):
    connection.data_received(HEAD)
    connection.begin()
    connection._inner.transport.write(CONTINUE)
    connection.end(STORED, keep_alive=True, is_head=False)
    connection._inner.transport.writelines([b"HTTP/1.1 200 OK\r\nServer: aiohttp\r\n", b"\r\n"])
    connection._inner.transport.write(b"and more")
    assert [CONTINUE, answer(STORED, keep_alive=True)] == connection.transport.written


def test_an_answer_that_the_door_does_not_know_of_is_a_refusal(connection):
    connection.data_received(b"no http\r\n\r\n")
    connection._inner.transport.write(b"HTTP/1.0 400 Bad Request\r\n\r\naiohttp")
    connection._inner.transport.write(b"HTTP/1.0 400 Bad Request\r\n\r\naiohttp")
    assert [answer(refusal(400), keep_alive=False)] == connection.transport.written
    assert connection.transport.is_closed
