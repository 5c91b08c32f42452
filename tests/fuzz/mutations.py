"""Bytes that went wrong, and the smallest part of them that still does."""

from collections.abc import Awaitable, Callable, Sequence

ODD = [
    b"", b"\x00", b"\n", b"\r", b"\r\n", b"\r\n\r\n", b"\n\n", b" ", b"\t", b":", b"\xff", b"\xc3\x28", b"\xed\xa0\x80",
    b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"0", b"-1", b"-0", b"1e400", b"9" * 30, b"9" * 5000, b"[" * 300, b'{"a":' * 300,
    b'"', b"\\", rb"\u0000", rb"\ud83d", rb"\uffff", b"null", b"true", b"{}", b"[]", b"'", b"%", b"%00", b"%73",
    b"\x7f", b"\x80" * 12, b"\xff" * 12,
]  # fmt: skip
"""Pieces that parsers stumble over."""


def flip(data, chance):
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def put(data, chance):
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def cut(data, chance):
    start = chance.randrange(len(data))
    return data[:start] + data[start + _length(data, chance) :]


def end(data, chance):
    return data[: chance.randrange(len(data))]


def repeat(data, chance):
    start = chance.randrange(len(data))
    stop = start + _length(data, chance)
    return data[:stop] + data[start:stop] * chance.choice((1, 1, 2, 50)) + data[stop:]


def move(data, chance):
    start, to = chance.randrange(len(data)), chance.randrange(len(data))
    piece = data[start : start + _length(data, chance)]
    return data[:to] + piece + data[to:]


def insert(data, chance):
    at = chance.randrange(len(data))
    return data[:at] + chance.choice(ODD) + data[at:]


WAYS = (flip, put, cut, end, repeat, move, insert, insert)


def mutated(data, chance, *, others=()):
    """The same bytes with one to four mistakes. others: bytes of which a part may be spliced in."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        if not data:
            return chance.choice(ODD)
        if others and chance.random() < 0.1:
            other = chance.choice(others)
            data = end(data, chance) + other[chance.randrange(len(other) or 1) :]
        else:
            data = chance.choice(WAYS)(data, chance)
    return data


def _length(data, chance):
    return chance.choice((1, 1, 2, 4, chance.randrange(1, 64), chance.randrange(len(data)) + 1))


async def shrunk(data: Sequence, fails: Callable[[Sequence], Awaitable[bool]], *, tries: int = 60) -> Sequence:
    """A shorter part of something that fails, which fails too: chunks are left out as long as it does."""
    size = len(data) // 2
    while size and tries > 0:
        start = 0
        while start < len(data) and tries > 0:
            shorter = data[:start] + data[start + size :]
            tries -= 1
            if await fails(shorter):
                data = shorter
            else:
                start += size
        size //= 2
    return data


def shown(data) -> str:
    """An input, for the message of a failure."""
    text = repr(data)
    return text if len(text) <= 4000 else f"{text[:2000]} ... ({len(text)} characters) ... {text[-1000:]}"
