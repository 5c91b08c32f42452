"""The public door: bytes, headers and time become an arrival; 200 is said only when the journal has it.

Bytes stay as they came: nothing is decompressed, for signatures are over the raw body.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, TypedDict, Unpack, cast

from aiohttp import HttpVersion11, web
from aiohttp.web_protocol import RequestHandler

from bridge.contract import Envelope, HttpArrival, Reason, Verified, WebhookSource
from bridge.errors import JournalError, Malformed, Refusal
from bridge.intake.site import listen
from bridge.journal import Appended, Journal
from bridge.telemetry import emit

PATH = "/webhooks/"
_HEADERS_WITHIN = 5.0
_IDLE = 75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """Sizes in bytes. The answer is given within `answer_within` of the end of the headers."""

    max_body: int
    max_bodies_in_flight: int
    answer_within: timedelta


class _TooLarge(Refusal):
    status = 413


class _TooSlow(Refusal):
    status = 408


class _NotNow(Refusal):
    status = 503


@dataclass(slots=True)
class _Budget:
    """Bytes of bodies in flight, over all connections."""

    most: int
    taken: int = 0


class _Share:
    """What one request has taken of the budget; given back when the request has ended."""

    __slots__ = ("_budget", "_taken")

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._taken = 0

    def grow(self, size: int) -> None:
        """To `size` bytes in all. Raises where the budget has no room."""
        more = max(0, size - self._taken)
        if self._budget.taken + more > self._budget.most:
            raise _NotNow("too many bodies in flight")
        self._budget.taken += more
        self._taken += more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.taken -= self._taken


class Door:
    """Handles the requests of all webhook sources: POST /webhooks/<source name>.

    told  called when a document was stored that tells the bridge itself to do something
    """

    def __init__(
        self,
        sources: Mapping[str, WebhookSource],
        *,
        journal: Journal,
        limits: DoorLimits,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self._told = told
        self._sources = {PATH + name: (name, source) for name, source in sources.items()}
        self._journal = journal
        self._max_body = limits.max_body
        self._budget = _Budget(limits.max_bodies_in_flight)
        self._seconds = limits.answer_within.total_seconds() * 0.9

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Never raises: what goes wrong is an answer."""
        found = self._sources.get(request.path)
        if found is None:
            return _refused("", _NoSuchPath("no source has this path"))
        name, source = found
        if request.method != "POST":
            return _refused(name, _NotPosted("deliveries are posted"))
        try:
            return await self._taken_in(request, name, source)
        except Refusal as refusal:
            return _refused(name, refusal)
        except JournalError as problem:
            return _refused(name, _NotNow(f"not stored: {problem}"))

    async def _taken_in(self, request: web.BaseRequest, name: str, source: WebhookSource) -> web.StreamResponse:
        started = time.perf_counter()
        with _Share(self._budget) as share:
            try:
                async with asyncio.timeout(self._seconds):
                    body = await self._body(request, share)
                    arrival = HttpArrival(
                        source=name, headers=request.headers, body=body, received_at=datetime.now(UTC)
                    )
                    verified = source.verify(arrival)
                    envelope = _storable(source.read(arrival, verified))
                    appended = await self._journal.append(envelope)
            except TimeoutError:
                if request.content.at_eof():
                    raise _NotNow("the journal is slow") from None
                raise _TooSlow("not all of the body came in time") from None
        _tell(envelope, verified, appended, time.perf_counter() - started)
        if envelope.verdict is Reason.NOT_CARRIED_OUT_YET:
            self._told()
        return _Stored() if request.keep_alive and request.version == HttpVersion11 else web.Response()

    async def _body(self, request: web.BaseRequest, share: _Share) -> bytes:
        """The raw body. What is too large is refused before it is read; one without a length is counted as it comes."""
        declared = request.content_length or 0
        self._check(declared)
        share.grow(declared)
        content = request.content
        body = await content.readany()
        while True:
            self._check(len(body))
            share.grow(len(body))
            if content.at_eof():
                return bytes(body)
            body += await content.readany()

    def _check(self, length: int) -> None:
        if length > self._max_body:
            raise _TooLarge(f"a body of {length} bytes or more; max_body is {self._max_body}")


class _Stored(web.StreamResponse):
    """The 200 of nearly every request, written in one piece: HTTP asks for no more headers than this."""

    _WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def __init__(self) -> None:
        """None of the parts from which other answers are put together."""
        self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> None:
        if request.transport is None:
            raise ConnectionResetError("the other side has gone")
        request.transport.write(self._WHOLE)

    async def write_eof(self, data: bytes = b"") -> None:
        """All of it is written."""


class _NoSuchPath(Refusal):
    status = 404


class _NotPosted(Refusal):
    status = 405


_CLOSING = frozenset({408, 413, 503})
_HEADERS = {405: {"Allow": "POST"}, 503: {"Retry-After": "10"}}


def _refused(source: str, refusal: Refusal) -> web.StreamResponse:
    """One line, and an answer that says what to do without telling anything of us. What was not read is not awaited."""
    emit("delivery.refused", source=source, status=refusal.status, detail=str(refusal))
    response = web.Response(
        status=refusal.status, text=f"{_ANSWERS[refusal.status]}\n", headers=_HEADERS.get(refusal.status)
    )
    if refusal.status in _CLOSING:
        response.force_close()
    return response


_ANSWERS = {
    400: "not a document of its topic",
    401: "no configured secret made this signature",
    404: "no source has this path",
    405: "deliveries are posted",
    408: "not all of the body came in time",
    413: "the body is too large",
    503: "not stored: send it again later",
}


def _storable(envelope: Envelope) -> Envelope:
    """Headers are not signed: bytes in them that are no text must not reach the journal."""
    try:
        f"{envelope.id}{envelope.topic}{envelope.tenant}{envelope.lane}".encode()
    except UnicodeEncodeError:
        raise Malformed("a header that names the delivery is no text") from None
    return envelope


def _tell(envelope: Envelope, verified: Verified, appended: Appended, seconds: float) -> None:
    """The one line of a delivery."""
    emit(
        "delivery.duplicate" if appended.known else "delivery.received",
        source=envelope.source,
        tenant=envelope.tenant,
        topic=envelope.topic,
        id=envelope.id,
        lane=envelope.lane,
        seq=appended.seq,
        secret=verified.secret + 1,
        verdict=envelope.verdict,
        bytes=len(envelope.raw),
        seconds=round(seconds, 4),
    )


# -- connections -------------------------------------------------------------------------------------------------------


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
