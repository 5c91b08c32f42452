"""Guesses where requests end: nothing of the bytes is changed, and each request is a piece of its own."""

import itertools

import pytest

from bridge.intake.boundaries import Boundaries

HEAD = b"POST /webhooks/shop HTTP/1.1\r\nHost: x\r\n"
REQUESTS = {
    "with a body": HEAD + b"Content-Length: 7\r\nA: b\r\n\r\n0123456",
    "with ends in its body": HEAD + b"content-LENGTH:\t 8 \r\n\r\n\r\n\r\n\r\n\r\n",
    "without": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


def _parted(data, sizes):
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(data):
            return
        yield data[start : start + size]
        start += size


@pytest.mark.parametrize("sizes", [(10_000,), (1,), (2,), (3,), (50,), (7, 100)], ids=str)
def test_each_request_ends_a_piece_wherever_the_network_cut(sizes):
    whole = [*REQUESTS.values()] * 3
    boundaries, found = Boundaries(1000), []
    for part in _parted(b"".join(whole), sizes):
        found.extend(boundaries.pieces(part))
    ends = set(itertools.accumulate(map(len, found)))
    assert b"".join(whole) == b"".join(found)
    assert ends >= set(itertools.accumulate(map(len, whole)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n\r\n\r\n",
        b"hello",
        HEAD + b"Content-Length: -1\r\n\r\nabc",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
        HEAD + b"Content-Length: \xb2\r\n\r\nabc",
        HEAD + b"A: " + b"x" * 5000 + b"\r\n\r\nabc",
    ],
)
def test_what_is_no_request_comes_through_as_it_is(data):
    boundaries = Boundaries(1000)
    for part in (data, *_parted(data, (1,))):
        assert part == b"".join(boundaries.pieces(part))


def test_a_head_without_end_is_not_kept():
    boundaries = Boundaries(1000)
    for _ in range(1000):
        assert [b"x" * 1000] == list(boundaries.pieces(b"x" * 1000))
    assert len(boundaries._head) <= 2000
