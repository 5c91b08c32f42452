"""Connections to the door: watched, for aiohttp waits forever for the rest of a header."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict, Unpack, cast

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from bridge.intake.answers import answer, answer_to, closes
from bridge.intake.site import listen
from bridge.intake.webhook import Door
from bridge.telemetry import emit

_HEADERS_WITHIN = 5.0
_IDLE = 75.0


class _Options(TypedDict):
    """What aiohttp's connections are made with."""

    auto_decompress: bool
    keepalive_timeout: float
    lingering_time: float
    read_bufsize: int


class _Connection(RequestHandler):
    """Knows whether it owes us the rest of its headers, for aiohttp waits for them forever.

    A request whose body has come together with its head goes to the door at once and is answered by a call: the task
    that aiohttp makes for a request, and what comes with it, cost more than storing what it brings
    (docs/performance.md). All other requests are aiohttp's.

    While the door has a request, aiohttp's future `_waiter`, by which it awaits the next one, is put aside as `_idle`:
    without it a connection is busy for aiohttp too, and what comes in the meantime waits.
    """

    __slots__ = ("_first", "_idle", "serving", "watch")

    _manager: "_Server"
    _first: asyncio.Future[None]

    def __init__(self, manager: "_Server", *, loop: asyncio.AbstractEventLoop, **options: Unpack[_Options]) -> None:
        super().__init__(manager, loop=loop, **options)
        self.serving = False
        self.watch = manager.watch
        self._idle: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._waiter = self._first = self._loop.create_future()
        super().connection_made(transport)
        self.watch.expect(self, _IDLE)

    async def start(self) -> None:
        """aiohttp's own loop over requests begins with the first one that the door does not take at once."""
        try:
            await self._first
        finally:
            self._waiter = None
        await super().start()

    def data_received(self, data: bytes) -> None:
        idle = self._waiter
        if idle is None or idle.done():
            self._owed()
            super().data_received(data)
            return
        # Hidden until it is known who has the request: nobody is woken for what the door takes, and reading the body
        # of one may bring in others, by a call from within.
        self._waiter = None
        try:
            super().data_received(data)
            if not self._messages:
                self._owed()
            elif self._is_taken(*self._messages[0]):
                self._messages.popleft()
                self._idle = idle
        finally:
            if self._idle is None:
                self._waiter = idle
        if self._waiter is not None and self._messages:
            idle.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.watch.forget(self)
        super().connection_lost(exc)

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  aiohttp's signature
        """Called whenever a body is read: where nothing was paused there is nothing to parse again."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def _owed(self) -> None:
        if not self.serving:
            self.watch.expect(self, _HEADERS_WITHIN)

    def _is_taken(self, message: object, payload: StreamReader) -> bool:
        """By the door, which will call `_answered`. Who does not read his answers is aiohttp's, which waits for him."""
        if not (
            isinstance(message, RawRequestMessage)  # else it is an error
            and self._parser is not None
            and payload.is_eof()
            and message.version == HttpVersion11
            and not (message.should_close or message.upgrade or self._paused)
            and self._manager.door.take(message, payload, self._answered)
        ):
            return False
        self._parser.message_consumed()
        self.serving = True
        self.watch.forget(self)
        return True

    def _answered(self, status: int) -> None:
        """Ends a request that the door took, as aiohttp ends its own."""
        self.serving = False
        idle, self._idle = self._idle, None
        if idle is None or idle.done():
            return
        self._waiter = idle
        if self.transport is None or self.transport.is_closing():  # the other side has gone
            idle.cancel()
            return
        keep_alive = not (self._close or self._force_close or closes(status))
        self.transport.write(answer(status, keep_alive=keep_alive))
        if not keep_alive:
            self.transport.close()
        elif self._messages:
            idle.set_result(None)
        else:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            if self._keepalive_handle is None:
                self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)


class _Watch:
    """Closes connections that do not send what they owe in time. One timer, and only while somebody owes something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._owing: dict[_Connection, tuple[float, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, connection: _Connection, seconds: float) -> None:
        """A shorter time goes before a longer one; what is owed already is not put off by a few more bytes."""
        owed = self._owing.get(connection)
        if owed is None or seconds < owed[0]:
            self._owing[connection] = (seconds, self._loop.time() + seconds)
        if self._timer is None:
            self._timer = self._loop.call_later(1.0, self._sweep)

    def forget(self, connection: _Connection) -> None:
        self._owing.pop(connection, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection, (seconds, until) in list(self._owing.items()):
            if now >= until:
                del self._owing[connection]
                emit("connection.closed", detail="nothing sent" if seconds == _IDLE else "half a header")
                connection.force_close()
        self._timer = self._loop.call_later(1.0, self._sweep) if self._owing else None


class _Server(web.Server):
    """Makes connections that are watched."""

    def __init__(self, door: Door, **options: Unpack[_Options]) -> None:
        self.watch = _Watch(asyncio.get_running_loop())
        self.door = door
        super().__init__(self._serve, **options)

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("_Connection", request.protocol)
        connection.serving = True
        self.watch.forget(connection)
        try:
            return answer_to(request, await self.door.handle(request))
        finally:
            connection.serving = False


@asynccontextmanager
async def listening(door: Door, *, host: str, port: int) -> AsyncIterator[int]:
    """The door is open; gives its port. On the way out no new connection is taken, and requests in flight end."""
    server = _Server(door, auto_decompress=False, keepalive_timeout=_IDLE, lingering_time=1.0, read_bufsize=2**18)
    runner = web.ServerRunner(server, shutdown_timeout=_HEADERS_WITHIN)
    bound = await listen(runner, host=host, port=port, setting="door: {port: ...}")
    try:
        yield bound
    finally:
        server.watch.stop()
        await runner.cleanup()
