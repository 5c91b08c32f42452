"""Requests by aiohttp's public interface: the twin of `wire.py`, for any aiohttp of the range (docs/aiohttp.md).

`ClientSession` is made for the whole web. What a conversation must not have is switched off, and two things are added:
a middleware that sends once, and a look at the bytes of a connection between its transport and aiohttp's protocol.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, cast

from aiohttp import (
    ClientConnectionResetError,
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientResponseError,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    SocketTimeoutError,
    TCPConnector,
)
from multidict import CIMultiDict
from yarl import URL

from bridge.contract import Request, Response
from bridge.deadlines import Deadlines
from bridge.delivery.http import (
    BEGINNING,
    LONGEST_LINE,
    MOST_HEADERS,
    TRIES,
    Authorities,
    NotHttp,
    Timeouts,
    address_of,
    check,
    final_status,
    headers_of,
    is_no,
    proxy_of,
    with_notes,
)

_MOST_HOSTS = 64  # hosts


class _Watched(asyncio.Protocol):
    """Stands before aiohttp's protocol and keeps how an answer begins."""

    def __init__(self, inner: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self._inner = inner
        self.transport = transport
        self.connection: Any = None
        """The handle of aiohttp for the request that has the connection. It is closed when the request is over."""
        self.attempt: _Attempt | None = None
        self.began = b""
        self.is_spoken_on = False
        """Whether something came that nobody asked for: it would be taken for the next answer."""

    def data_received(self, data: bytes) -> None:
        if self.attempt is None or self.connection.closed:
            self.is_spoken_on = True
        else:
            self.attempt.wait_on()
            if len(self.began) < BEGINNING:
                self.began += data[:BEGINNING]
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class _Attempt:
    """A request on its way. As a middleware it lets aiohttp send once: it would send a PUT again on a lost connection.

    watched  the connection; None: there is none yet, and nothing was sent
    is_late  no byte came in time, also where the other side does not read what is sent: aiohttp would wait on
    """

    until: float

    def __init__(self, pieces: Deadlines) -> None:
        self.watched: _Watched | None = None
        self.is_late = False
        self._pieces = pieces
        self._is_tried = False
        self._problem: ClientError | None = None

    def begin(self, connection: object, watched: _Watched) -> None:
        """Begin on a connection: from now on each piece of the answer has its time."""
        self.watched = watched
        watched.attempt, watched.connection, watched.began = self, connection, b""
        self._pieces.open(self)

    def wait_on(self) -> None:
        """Restart the time for the next piece: something came."""
        self._pieces.close(self)
        self._pieces.open(self)

    def end(self) -> None:
        self._pieces.close(self)
        if self.watched is not None:
            self.watched.attempt = None

    def expire(self) -> None:
        self.is_late = True
        if self.watched is not None:
            self.watched.transport.abort()

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        if self._is_tried:
            raise self._problem or ServerDisconnectedError
        self._is_tried = True
        try:
            return await handler(request)
        except ClientError as problem:
            self._problem = problem
            raise

    @property
    def began(self) -> bytes:
        return self.watched.began if self.watched is not None else b""


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


class _Connector(TCPConnector):
    """aiohttp's pool, which watches the connections that it gives."""

    async def connect(self, req: ClientRequest, traces: list[Any], timeout: ClientTimeout) -> Any:  # noqa: ANN401, ASYNC109  aiohttp's signature, whose types have no public names
        for _ in range(TRIES):
            connection = await super().connect(req, traces, timeout)
            watched = _watched(connection.transport)
            if watched is not None:
                _attempt.get().begin(connection, watched)
                return connection
            connection.close()
        raise ClientConnectionResetError("connections were closed, or spoken on, before the request")


def _watched(transport: asyncio.Transport | None) -> _Watched | None:
    """The watched protocol of a transport. None: nothing can be asked over it."""
    if transport is None or transport.is_closing():
        return None
    protocol = transport.get_protocol()
    if not isinstance(protocol, _Watched):
        protocol = _Watched(cast("asyncio.Protocol", protocol), transport)
        transport.set_protocol(protocol)
    return None if protocol.is_spoken_on else protocol


class PlainWire:
    """A wire by aiohttp's public interface. Make it in a running event loop. The caller closes the connector."""

    def __init__(self, connector: _Connector, timeouts: Timeouts, *, user_agent: str) -> None:
        self._connector = connector
        self._deadlines = Deadlines(timeouts.total.total_seconds())
        self._own = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._authorities = Authorities()
        self._proxy_of = lru_cache(_MOST_HOSTS)(proxy_of)
        """The proxy of each host. It is remembered, since a look through the environment takes longer than to build a
        request."""
        self._pieces = Deadlines(timeouts.read.total_seconds())
        connect = timeouts.connect.total_seconds()
        self._session = ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, connect=connect, sock_connect=connect),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )

    async def answer(self, request: Request) -> Response:
        """Answer as Wire says."""
        attempt = _Attempt(self._pieces)
        token = _attempt.set(attempt)
        try:
            with self._deadlines.one():
                return await self._answer(request, attempt)
        finally:
            _attempt.reset(token)
            attempt.end()

    async def _answer(self, request: Request, attempt: _Attempt) -> Response:
        """The answer to a request. If the rest cannot be read, a status that says no is enough."""
        url = address_of(request)
        trusted = self._authorities.context(request.ca) if request.ca else True
        headers = headers_of(request, url, own=self._own)
        check(headers)
        said: dict[str, str] = {}
        try:
            response = await self._sent(request, url, headers, trusted, attempt)
            said.update((name.lower(), text) for name, text in response.headers.items())
            return await self._read(response, said, request.longest, attempt)
        except (ClientError, TimeoutError) as problem:
            if attempt.watched is None:
                raise
            status = final_status(attempt.began)
            if is_no(status):
                return Response(status=status, headers=said, is_whole=False)
            told = SocketTimeoutError() if attempt.is_late else _told(problem)
            raise with_notes(told, status) from (None if told is problem else problem)

    async def _sent(
        self, request: Request, url: URL, headers: CIMultiDict[str], trusted: object, attempt: _Attempt
    ) -> ClientResponse:
        """The answer's head. An answer of which nothing came after the request is nobody's."""
        response = await self._session.request(
            request.method,
            url,
            headers=headers,
            data=request.body or None,
            skip_auto_headers=() if request.body else ("Content-Type",),
            allow_redirects=False,
            ssl=cast("bool", trusted),
            proxy=self._proxy_of(url.origin()),
            middlewares=(attempt,),
        )
        if not attempt.began.startswith(b"HTTP/"):
            response.close()
            raise ServerDisconnectedError("an answer came before the request")
        return response

    async def _read(
        self, response: ClientResponse, headers: Mapping[str, str], longest: int, attempt: _Attempt
    ) -> Response:
        body = b""
        try:
            while not response.content.at_eof() and len(body) <= longest:
                body += await response.content.readany()
        except BaseException:
            response.close()
            raise
        is_whole = len(body) <= longest
        transport = attempt.watched.transport if attempt.watched is not None else None
        if not is_whole or (transport is not None and transport.get_write_buffer_size()):
            response.close()
            if transport is not None:
                transport.close()
        else:
            response.release()
        return Response(status=response.status, headers=headers, body=body[:longest], is_whole=is_whole)


def _told(problem: ClientError | TimeoutError) -> Exception:
    """The error as the fast wire raises it: by what it means for a request that may have been sent."""
    match problem:
        case ClientConnectionResetError():
            told: Exception = ServerDisconnectedError("the connection was lost while the request was sent")
        case ClientResponseError():
            told = NotHttp("no answer as HTTP has it")
        case _:
            return problem
    told.__cause__ = problem
    return told


@asynccontextmanager
async def opened(timeouts: Timeouts, *, connections: int, user_agent: str, pooled: bool) -> AsyncIterator[PlainWire]:
    """Open a wire, as OpensWire says."""
    keep_alive = timeouts.keep_alive.total_seconds()
    connector = (
        _Connector(limit=0, limit_per_host=connections, keepalive_timeout=keep_alive)
        if pooled
        else _Connector(limit=0, limit_per_host=connections, force_close=True)
    )
    async with connector:
        yield PlainWire(connector, timeouts, user_agent=user_agent)
