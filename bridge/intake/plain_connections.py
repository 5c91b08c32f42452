"""Connections to the door by aiohttp's public interface: the twin of `connections.py` (docs/aiohttp.md).

`web.Server` makes a protocol for each connection. One of ours stands before it: it sees all bytes that come, and what
aiohttp writes goes through it. So it knows what a connection owes, and each answer is the door's own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Unpack, cast

from aiohttp import web

from bridge.errors import Reply
from bridge.intake import watch
from bridge.intake.boundaries import Boundaries
from bridge.intake.responses import CONTINUE, answer, refusal, stays
from bridge.intake.watch import OpenConnections, Watch
from bridge.intake.webhook import Door, refused

_END_OF_HEAD = b"\r\n\r\n"
_BEGINNING_OF_ANSWER = b"HTTP/"
_OF_AIOHTTP = "aiohttp."


class _Transport(asyncio.Transport):
    """The transport that aiohttp writes to: the connection writes its own answers instead."""

    def __init__(self, connection: "_Connection", real: asyncio.Transport) -> None:
        super().__init__()
        self._connection = connection
        self._real = real

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._connection.written(bytes(data))

    def writelines(self, list_of_data: Any) -> None:  # noqa: ANN401  the signature changes with Python's version
        self._connection.written(b"".join(list_of_data))

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._real.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._real.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self._real.is_closing()

    def is_reading(self) -> bool:
        return self._real.is_reading()

    def pause_reading(self) -> None:
        self._real.pause_reading()

    def resume_reading(self) -> None:
        self._real.resume_reading()

    def close(self) -> None:
        self._real.close()

    def abort(self) -> None:
        self._real.abort()


class _Connection(asyncio.Protocol):
    """Stands before aiohttp's protocol."""

    transport: asyncio.Transport

    def __init__(self, server: "_Server", inner: web.RequestHandler) -> None:
        self._server = server
        self._inner = inner
        self.serving = False
        self.has_delivered = False
        self._head = b""
        """What has come of a head, while no request is served; of a whole one, all up to its end."""
        self._head_is_whole = False
        self._has_more = False
        """Whether something came behind the head that is whole: then it is not known where the next one begins."""
        self._is_over = False
        self._boundaries = Boundaries(server.door.limits.max_headers)
        self._next: bytes | None = None
        """The answer that stands for the next one that aiohttp writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._inner.connection_made(_Transport(self, self.transport))
        self._server.watch.expect(self, watch.IDLE)
        self._server.open.make_room(self)

    def data_received(self, data: bytes) -> None:
        """Take each request for itself: a mistake must not harm those that came before it."""
        for piece in self._boundaries.pieces(data):
            self._piece_received(piece)

    def _piece_received(self, data: bytes) -> None:
        if self._is_over:
            return
        if not self.serving:
            self._server.watch.expect(self, watch.HEADERS_WITHIN)
        if self.serving or self._head_is_whole:
            self._has_more = True
        else:
            self._count_head(data)
        if not self._is_over:
            self._inner.data_received(data)

    def _count_head(self, data: bytes) -> None:
        """Refuse headers that grow too large, without waiting for their end."""
        self._head += data
        head, end, _ = self._head.partition(_END_OF_HEAD)
        if end:
            self._head, self._head_is_whole = head, True
        elif self._has_too_large_a_head():
            self.turn_away(431, "headers larger than max_headers")

    def _has_too_large_a_head(self) -> bool:
        return len(self._head) > self._server.door.limits.max_headers

    def eof_received(self) -> None:
        self._inner.eof_received()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.forget(self, self._inner)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def force_close(self) -> None:
        self._is_over = True
        self.transport.close()

    def turn_away(self, status: int, detail: str) -> None:
        refused(status, detail)
        self._server.watch.forget(self)
        self.transport.write(answer(refusal(status), keep_alive=False))
        self.force_close()

    def begin(self) -> None:
        """Begin to serve a request: nothing is owed."""
        self.serving = True
        self._server.watch.forget(self)

    def end(self, reply: Reply, *, keep_alive: bool, is_head: bool) -> None:
        self.serving = False
        self.has_delivered |= reply.stored
        self._head, self._head_is_whole, self._has_more = b"", self._has_more, False
        self._next = answer(reply, keep_alive=keep_alive, is_head=is_head)

    def written(self, data: bytes) -> None:
        """Take what aiohttp writes. An answer that the door does not know of is aiohttp's own, to what is no HTTP."""
        if self._is_over:
            return
        if data == CONTINUE:
            self.transport.write(data)
        elif data.startswith(_BEGINNING_OF_ANSWER):
            told, self._next = self._next, None
            if told is not None:
                self.transport.write(told)
            elif self._has_too_large_a_head():
                self.turn_away(431, "a line of the headers is too long")
            else:
                self.turn_away(400, "no HTTP")


class _Server(web.Server):
    """Makes connections that are watched."""

    def __init__(self, door: Door, **options: Unpack[watch.Options]) -> None:
        self.watch = Watch(asyncio.get_running_loop())
        self.door = door
        self.open = OpenConnections(door.limits.max_connections)
        self.is_ending = False
        self._connections_of: dict[web.RequestHandler, _Connection] = {}
        super().__init__(self._serve, logger=_logger(), **options)

    def __call__(self) -> web.RequestHandler:
        """The protocol of a new connection."""
        inner = super().__call__()
        connection = self._connections_of[inner] = _Connection(self, inner)
        return cast("web.RequestHandler", connection)

    def forget(self, connection: _Connection, inner: web.RequestHandler) -> None:
        """Forget a connection that is lost."""
        self.watch.forget(connection)
        self.open.forget(connection)
        self._connections_of.pop(inner, None)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = self._connections_of.get(request.protocol)
        if connection is None:
            raise ConnectionResetError("the other side has gone")
        connection.begin()
        reply = refusal(500)
        try:
            reply = await self.door.handle(request)
        except Exception as bug:  # noqa: BLE001  the sender is told 500, and the log what it was
            context = {"message": "a request at the door failed", "exception": bug}
            asyncio.get_running_loop().call_exception_handler(context)
        keep_alive = stays(request, reply.status) and not self.is_ending
        connection.end(reply, keep_alive=keep_alive, is_head=request.method == "HEAD")
        response = web.Response(status=reply.status)
        if not keep_alive:
            response.force_close()
        return response


class _WithoutStrangers(logging.Filter):
    """A filter that drops what a stranger's bytes raise in aiohttp: it was answered and counted."""

    def filter(self, record: logging.LogRecord) -> bool:
        problem = record.exc_info[1] if record.exc_info else None
        return not (isinstance(problem, ConnectionError) or type(problem).__module__.startswith(_OF_AIOHTTP))


def _logger() -> logging.Logger:
    made = logging.getLogger("bridge.door")
    if not made.filters:
        made.addFilter(_WithoutStrangers())
    return made


@asynccontextmanager
async def listening(door: Door, *, host: str, port: int) -> AsyncIterator[int]:
    """The door is open; gives its port. On the way out no new connection is taken, and requests in flight end."""
    server = _Server(door, **watch.options_of(door.limits.max_headers))
    async with watch.serving(server, server.watch, host=host, port=port) as bound:
        try:
            yield bound
        finally:
            server.is_ending = True
