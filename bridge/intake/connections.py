"""Connections to the door: watched, for aiohttp waits forever for the rest of a header."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict, Unpack, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

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
    """Knows whether it owes us the rest of its headers, for aiohttp waits for them forever."""

    __slots__ = ("serving", "watch")

    def __init__(self, manager: "_Server", *, loop: asyncio.AbstractEventLoop, **options: Unpack[_Options]) -> None:
        super().__init__(manager, loop=loop, **options)
        self.serving = False
        self.watch = manager.watch

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.watch.expect(self, _IDLE)

    def data_received(self, data: bytes) -> None:
        if not self.serving:
            self.watch.expect(self, _HEADERS_WITHIN)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.watch.forget(self)
        super().connection_lost(exc)


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
        self._door = door
        super().__init__(self._serve, **options)

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("_Connection", request.protocol)
        connection.serving = True
        self.watch.forget(connection)
        try:
            return await self._door.handle(request)
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
