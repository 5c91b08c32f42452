"""A proxy between one replica and Postgres that delays, holds back, cuts and half-closes connections.

It reads what the replica says (the frontend protocol of Postgres), so that it can cut a connection when a statement was
passed on and its answer has not come back.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

COMMIT = "a commit"
CLAIM = "a claim"
WRITE = "a write outside of a transaction"
READ = "another statement"
_WRITING = (b"INSERT ", b"UPDATE ", b"DELETE ")
_AT_ONCE = 65536  # bytes


class Frontend:
    """What a client says to Postgres, statement by statement."""

    def __init__(self) -> None:
        self._buffer = b""
        self._is_started = False
        self._is_in_transaction = False
        self._prepared: dict[bytes, bytes] = {}

    def feed(self, data: bytes) -> list[str]:
        """The kinds of statements that are whole with these bytes."""
        self._buffer += data
        return [kind for message, body in self._messages() if (kind := self._kind(message, body))]

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            head = 1 if self._is_started else 0  # the first message has no letter
            if len(self._buffer) < head + 4:
                return
            (length,) = struct.unpack_from(">I", self._buffer, head)
            if len(self._buffer) < head + length:
                return
            message, body = self._buffer[:head], self._buffer[head + 4 : head + length]
            self._buffer = self._buffer[head + length :]
            self._is_started = True
            yield message, body

    def _kind(self, message: bytes, body: bytes) -> str:
        match message:
            case b"P":
                name, text, *_ = body.split(b"\0", 2)
                self._prepared[name] = text
            case b"B":
                text = self._prepared.get(body.split(b"\0", 2)[1], b"")
                if self._is_in_transaction or not any(word in text for word in _WRITING):
                    return READ
                return CLAIM if b"SKIP LOCKED" in text else WRITE
            case b"Q":
                text = body.upper()
                self._is_in_transaction = text.startswith(b"BEGIN")
                return COMMIT if text.startswith(b"COMMIT") else ""
        return ""


@dataclass
class Lost:
    """Answers to lose: of so many statements of a kind. is_done: only after the database has answered, so that it
    surely did it."""

    kind: str
    count: int
    is_done: bool


class Proxy:
    """The way of one replica to its database. connect: opens the way on."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self._links: set[_Link] = set()
        self.to_server = asyncio.Event()
        self.to_client = asyncio.Event()
        self.latency = 0.0
        """Seconds that each piece takes, in each direction."""
        self.lost: list[Lost] = []
        self.heal()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.heal()
        self.cut()
        await asyncio.sleep(0)

    def heal(self) -> None:
        """All is well, for what was held back too."""
        self.to_server.set()
        self.to_client.set()
        self.latency = 0.0
        self.lost.clear()

    def cut(self) -> int:
        """Reset all connections. How many there were."""
        links = list(self._links)
        for link in links:
            link.reset()
        return len(links)

    def half_close(self, *, to_server: bool) -> None:
        """Say on all connections, in one direction, that nothing more comes; the other goes on."""
        for link in self._links:
            link.half_close(to_server=to_server)

    def strikes(self, kinds: list[str]) -> Lost | None:
        for lost in self.lost:
            if lost.kind in kinds:
                lost.count -= 1
                if not lost.count:
                    self.lost.remove(lost)
                return lost
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, (reader, writer))
        self._links.add(link)
        try:
            await self.to_server.wait()
            with suppress(OSError):
                await link.run(await self._connect())
        finally:
            self._links.discard(link)
            link.close()


class _Link:
    """One connection."""

    def __init__(self, proxy: Proxy, client: Streams) -> None:
        self._proxy = proxy
        self._client = client
        self._server: Streams | None = None
        self._frontend = Frontend()
        self._losing = False

    async def run(self, server: Streams) -> None:
        self._server = server
        pumps = [asyncio.ensure_future(self._upwards()), asyncio.ensure_future(self._downwards())]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()

    async def _upwards(self) -> None:
        reader, writer = self._client[0], self._server[1]
        while data := await reader.read(_AT_ONCE):
            await self._held_back(self._proxy.to_server)
            lost = self._proxy.strikes(self._frontend.feed(data))
            self._losing = self._losing or lost is not None
            writer.write(data)
            await writer.drain()
            if lost is not None and not lost.is_done:
                self.reset()
        await self._held_back(self._proxy.to_server)
        writer.write_eof()

    async def _downwards(self) -> None:
        reader, writer = self._server[0], self._client[1]
        while data := await reader.read(_AT_ONCE):
            if self._losing:
                self.reset()
                return
            await self._held_back(self._proxy.to_client)
            writer.write(data)
            await writer.drain()
        await self._held_back(self._proxy.to_client)
        writer.write_eof()

    async def _held_back(self, gate: asyncio.Event) -> None:
        await gate.wait()
        if self._proxy.latency:
            await asyncio.sleep(self._proxy.latency)

    def half_close(self, *, to_server: bool) -> None:
        streams = self._server if to_server else self._client
        if streams is not None:
            with suppress(OSError, RuntimeError):
                streams[1].write_eof()

    def reset(self) -> None:
        """The client gets a reset. The database gets to read what was passed on to it."""
        own = self._client[1].get_extra_info("socket")
        with suppress(OSError):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client[1].transport.abort()
        if self._server is not None:
            self._server[1].close()

    def close(self) -> None:
        for streams in filter(None, (self._client, self._server)):
            streams[1].close()
