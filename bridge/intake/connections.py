"""Connections to the door, fast. A request that comes whole goes to the door by a call, and is answered by one.

They stand on the inside of aiohttp: `bridge/fast_path.py` looks for its parts at the start, and takes
`plain_connections.py` if one is missing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack, cast

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from bridge.errors import Reply
from bridge.intake import watch
from bridge.intake.boundaries import Boundaries
from bridge.intake.responses import answer, closes, refusal, stays
from bridge.intake.watch import OpenConnections, Watch
from bridge.intake.webhook import Door, refused


class _Connection(RequestHandler):
    """Knows whether it owes us the rest of its headers, for aiohttp waits for them forever.

    A request whose body has come together with its head goes to the door at once and is answered by a call: the task
    that aiohttp makes for a request, and what comes with it, cost more than storing what it brings
    (docs/performance.md). All other requests are aiohttp's.

    While the door has a request, aiohttp's future `_waiter`, by which it awaits the next one, is put aside as `_idle`:
    without it a connection is busy for aiohttp too, and what comes in the meantime waits.
    """

    __slots__ = ("_boundaries", "_first", "_head", "_idle", "has_delivered", "serving", "watch")

    _manager: "_Server"
    _first: asyncio.Future[None]

    def __init__(
        self, manager: "_Server", *, loop: asyncio.AbstractEventLoop, **options: Unpack[watch.Options]
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self.serving = False
        self.has_delivered = False
        """Whether something that came over it was stored: then it is no stranger's."""
        self.watch = manager.watch
        self._head = 0
        """Bytes of headers that are not whole yet."""
        self._boundaries = Boundaries(manager.door.limits.max_headers)
        self._idle: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._waiter = self._first = self._loop.create_future()
        super().connection_made(transport)
        self.watch.expect(self, watch.IDLE)
        self._manager.open.make_room(self)

    async def start(self) -> None:
        """Wait for the first request that the door does not take at once: aiohttp's own loop over requests begins with
        it."""
        try:
            await self._first
        finally:
            self._waiter = None
        await super().start()

    def _wake(self, idle: asyncio.Future[None]) -> None:
        """Wake aiohttp's own loop over requests, but never after the connection: it would look for what is gone."""
        if self.transport is None or self.transport.is_closing():
            idle.cancel()
        else:
            idle.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take each request for itself: a mistake must not harm those that came before it."""
        for piece in self._boundaries.pieces(data):
            self._piece_received(piece)

    def _piece_received(self, data: bytes) -> None:
        idle = self._waiter
        if idle is None or idle.done():
            self._owed()
            super().data_received(data)
            self._end_what_is_not_framed()
            return
        # While super() parses, aiohttp must not see a waiter: it would wake its own task for a request that the door
        # takes. Reading a body can call this method again, with the next request.
        self._waiter = None
        try:
            super().data_received(data)
            if not self._messages:
                self._owed()
                self._count_head(len(data))
            elif self._is_taken(*self._messages[0]):
                self._messages.popleft()
                self._idle = idle
        finally:
            if self._idle is None:
                self._waiter = idle
        if self._waiter is not None and self._messages:
            self._wake(idle)

    def _end_what_is_not_framed(self) -> None:
        """End a body whose end cannot come any more, instead of waiting for it: aiohttp's C parser reports only the
        next request."""
        serving = self._current_request
        if serving is None or not self._messages or isinstance(self._messages[-1][0], RawRequestMessage):
            return
        if not serving.content.is_eof():
            serving.content.set_exception(web.RequestPayloadError("what follows is no part of a body"))

    def _count_head(self, size: int) -> None:
        """Refuse headers that grow too large, without waiting for their end."""
        self._head += size
        if self._head > self._manager.door.limits.max_headers:
            self.turn_away(431, "headers larger than max_headers")

    def turn_away(self, status: int, detail: str) -> None:
        """Answer and close, whatever the other side still wants to say."""
        refused(status, detail)
        self.watch.forget(self)
        if self.transport is not None:
            self.transport.write(answer(refusal(status), keep_alive=False))
        self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.watch.forget(self)
        self._manager.open.forget(self)
        super().connection_lost(exc)

    def log_exception(self, *args: object, **kw: object) -> None:
        """Log nothing that a stranger's bytes raise while the rest of the request is thrown away: it was answered and
        counted."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError | HttpProcessingError | ConnectionError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  aiohttp's signature
    ) -> web.StreamResponse:
        """Answer for the door, with its one log line, what is no HTTP, or a bug behind the door."""
        if isinstance(exc, LineTooLong):
            status = 431
        refused(status, "a line of the headers is too long" if status == 431 else f"no HTTP: {type(exc).__name__}")  # noqa: PLR2004
        if request.writer.output_size > 0:
            raise ConnectionError("something of another answer was sent already")
        return _Answer(refusal(status), keep_alive=False)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  aiohttp's signature
        """Resume reading. aiohttp calls this whenever a body is read. If nothing was paused there is nothing to parse
        again."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def begin(self) -> None:
        """Begin to serve a request: nothing is owed."""
        self._head = 0
        self.serving = True
        self.watch.forget(self)

    def end(self, *, has_delivered: bool) -> None:
        self.serving = False
        self.has_delivered |= has_delivered

    def _owed(self) -> None:
        if not self.serving:
            self.watch.expect(self, watch.HEADERS_WITHIN)

    def _is_taken(self, message: object, payload: StreamReader) -> bool:
        """Whether the door takes the request and will call `_answered`. If the client does not read its answers,
        aiohttp takes the request, and waits for the client."""
        if not (
            isinstance(message, RawRequestMessage)  # else it is an error
            and self._parser is not None
            and payload.is_eof()
            and message.version == HttpVersion11
            and not (message.should_close or message.upgrade or message.chunked or self._paused)
            and self._manager.door.take(message.method, message.path, message.headers, payload, self._answered)
        ):
            return False
        self._parser.message_consumed()
        self._head = 0
        self.serving = True
        self.watch.forget(self)
        return True

    def _answered(self, reply: Reply) -> None:
        """End a request that the door took, as aiohttp ends its own."""
        self.serving = False
        self.has_delivered |= reply.stored
        idle, self._idle = self._idle, None
        if idle is None or idle.done():
            return
        self._waiter = idle
        if self.transport is None or self.transport.is_closing():  # the other side has gone
            idle.cancel()
            return
        keep_alive = not (self._close or self._force_close or closes(reply.status))
        self.transport.write(answer(reply, keep_alive=keep_alive))
        if not keep_alive:
            self.transport.close()
        elif self._messages:
            self._wake(idle)
        else:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)


class _Answer(web.StreamResponse):
    """The door's answer to aiohttp's requests. A client that asked for the head only gets no more."""

    def __init__(self, reply: Reply, *, keep_alive: bool) -> None:
        """Keep the reply only: aiohttp's own parts of an answer are not needed."""
        self._keep_alive = keep_alive
        self._reply = reply

    async def prepare(self, request: web.BaseRequest) -> None:
        if request.transport is None:
            raise ConnectionResetError("the other side has gone")
        is_head = request.method == "HEAD"
        request.transport.write(answer(self._reply, keep_alive=bool(self._keep_alive), is_head=is_head))
        await request.writer.drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing more: all of it is written."""


class _Server(web.Server):
    """Makes connections that are watched."""

    def __init__(self, door: Door, **options: Unpack[watch.Options]) -> None:
        self.watch = Watch(asyncio.get_running_loop())
        self.door = door
        self.open = OpenConnections(door.limits.max_connections)
        super().__init__(self._serve, **options)

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("_Connection", request.protocol)
        connection.begin()
        has_delivered = False
        try:
            reply = await self.door.handle(request)
            has_delivered = reply.stored
            return _Answer(reply, keep_alive=stays(request, reply.status))
        finally:
            connection.end(has_delivered=has_delivered)


@asynccontextmanager
async def listening(door: Door, *, host: str, port: int) -> AsyncIterator[int]:
    """The door is open; gives its port. On the way out no new connection is taken, and requests in flight end."""
    server = _Server(door, **watch.options_of(door.limits.max_headers))
    async with watch.serving(server, server.watch, host=host, port=port) as bound:
        yield bound
