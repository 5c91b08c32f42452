"""Choose the connections that the door keeps: each sends what it owes in time, and there are no more than
descriptors."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypedDict

from aiohttp import web

from bridge.intake.listener import listen
from bridge.telemetry import emit

HEADERS_WITHIN = 5.0
"""Seconds for the headers of a request, from their first byte; aiohttp waits for them forever."""
IDLE = 75.0
"""Seconds that a connection may be silent between requests."""

_FOR_THE_REST = 192
"""Descriptors for the journal, the private port, streams, and requests to destinations."""

_FEWEST = 8  # connections that are open at once, whatever the system allows


class Options(TypedDict):
    """Options that aiohttp's connections are made with."""

    auto_decompress: bool
    keepalive_timeout: float
    lingering_time: float
    max_field_size: int
    max_line_size: int
    read_bufsize: int


class Connection(Protocol):
    """A connection to the door."""

    serving: bool
    """Whether a request of it is being served."""
    has_delivered: bool
    """Whether something that came over it was stored: then it is no stranger's."""

    def force_close(self) -> None:
        """End it at once."""

    def turn_away(self, status: int, detail: str) -> None:
        """Answer and close, whatever the other side still wants to say."""


class Watch:
    """Closes connections that do not send what they owe in time. It has one timer, and only while somebody owes
    something."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._owing: dict[Connection, tuple[float, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, connection: Connection, seconds: float) -> None:
        """Expect something within these seconds. A shorter time goes before a longer one: a few more bytes do not put
        off what is owed already."""
        owed = self._owing.get(connection)
        if owed is None or seconds < owed[0]:
            self._owing[connection] = (seconds, self._loop.time() + seconds)
        if self._timer is None:
            self._timer = self._loop.call_later(1.0, self._sweep)

    def forget(self, connection: Connection) -> None:
        self._owing.pop(connection, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection, (seconds, until) in list(self._owing.items()):
            if now >= until:
                del self._owing[connection]
                emit("connection.closed", detail="nothing sent" if seconds == IDLE else "half a header")
                connection.force_close()
        self._timer = self._loop.call_later(1.0, self._sweep) if self._owing else None


class OpenConnections:
    """The open connections: at most `wanted` at once, and fewer if the process may not open as many files."""

    def __init__(self, wanted: int) -> None:
        self._most = _most_connections(wanted)
        self._open: dict[Connection, None] = {}
        """The oldest first."""

    def make_room(self, connection: Connection) -> None:
        """Make room for a connection. The door never runs out of descriptors, which the journal and the private port
        need too.

        If there are too many connections, the oldest silent one goes. A stranger's goes before one that has brought
        something. If none is silent, the new one goes.
        """
        self._open[connection] = None
        if len(self._open) <= self._most:
            return
        silent = [one for one in self._open if not one.serving and one is not connection]
        gone = next((one for one in silent if not one.has_delivered), silent[0] if silent else connection)
        self.forget(gone)
        gone.turn_away(503, f"more than {self._most} connections")

    def forget(self, connection: Connection) -> None:
        self._open.pop(connection, None)


def _most_connections(wanted: int) -> int:
    """The number of connections that the process may open, less what the rest of it needs."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return wanted
    return max(_FEWEST, min(wanted, allowed - max(_FOR_THE_REST, allowed // 4)))


def options_of(max_headers: int) -> Options:
    """The options of connections to the door. max_headers: bytes of the headers of a request."""
    return Options(
        auto_decompress=False,
        keepalive_timeout=IDLE,
        lingering_time=1.0,
        max_field_size=max_headers,
        max_line_size=max_headers,
        read_bufsize=2**18,
    )


@asynccontextmanager
async def serving(server: web.Server, watch: Watch, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve connections at a port; gives it. On the way out no new one is taken, and requests in flight end."""
    runner = web.ServerRunner(server, shutdown_timeout=HEADERS_WITHIN)
    bound = await listen(runner, host=host, port=port, setting="door: {port: ...}")
    try:
        yield bound
    finally:
        watch.stop()
        await runner.cleanup()
