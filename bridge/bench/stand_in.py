"""An API that is never the limit: it answers every request at once, and remembers nothing.

What it answers is the connector's to say: `at_once` in its module `sandbox`.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias, cast

AtOnce: TypeAlias = Callable[[str, str], tuple[int, bytes]]
"""A function from method and path to status and body."""

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_BACKLOG = 512  # connections that wait to be accepted


@asynccontextmanager
async def answering(at_once: AtOnce) -> AsyncIterator[int]:
    """Answer at a free port of this machine until left; gives the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(at_once), "127.0.0.1", 0, backlog=_BACKLOG)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@contextmanager
def refusing() -> Iterator[int]:
    """A port of this machine that refuses every connection until left."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


class _Connection(asyncio.Protocol):
    def __init__(self, at_once: AtOnce) -> None:
        self._at_once = at_once
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has a class of its own

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None  # noqa: S101  connection_made came before
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            method, path, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
            status, body = self._at_once(method, path)
            self._transport.write(_HEAD % (status, len(body), body))
