"""One request and its answer, over a connection of aiohttp's pool.

The pool (names, TLS, proxies, keep-alive, limits) and the parser of answers are aiohttp's. What `ClientSession.request`
does between them is for a client of the whole web (redirects, cookies, uploads in pieces, traces, tries of its own) and
costs three times the rest (docs/performance.md); the few lines here are all that a conversation needs.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import (
    ClientConnectionResetError,
    ClientRequest,
    ClientTimeout,
    ConnectionTimeoutError,
    InvalidURL,
    NonHttpUrlClientError,
    SocketTimeoutError,
    StreamReader,
    TCPConnector,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.helpers import get_env_proxy_for_url
from aiohttp.http_parser import RawResponseMessage
from yarl import URL

from bridge.contract import Request, Response
from bridge.deadlines import Deadlines

_MOST_WAYS = 64
_BREAKS_A_LINE = re.compile(r"[\r\n\0]")
_INFORMATIONAL = range(100, 200)
_SWITCHING = 101


@dataclass(slots=True)
class _Way:
    """To one host with one set of headers: how aiohttp is asked for a connection, and the lines of each request."""

    opening: ClientRequest
    lines: bytes = b""

    def head(self, request: Request, url: URL) -> bytes:
        """Of a request over a connection that is there: only then it is known what a proxy wants to be told."""
        if not self.lines:
            self.lines = _lines(self.opening.headers)
        is_told_to_a_proxy = self.opening.proxy is not None and not self.opening.is_ssl()
        target = str(url) if is_told_to_a_proxy else url.raw_path_qs
        length = f"Content-Length: {len(request.body or b'')}\r\n" if request.method != "GET" else ""
        return b"%b%b%b\r\n" % (f"{request.method} {target} HTTP/1.1\r\n".encode(), self.lines, length.encode())


class Exchange:
    """Made in a running event loop."""

    def __init__(self, connector: TCPConnector, *, timeout: ClientTimeout, user_agent: str) -> None:
        self._connector = connector
        self._timeout = timeout
        self._deadlines = Deadlines(timeout.total or 0)
        self._pieces = Deadlines(timeout.sock_read or 0)
        self._own = {"User-Agent": user_agent, **({"Connection": "close"} if connector.force_close else {})}
        self._ways: dict[object, _Way] = {}

    async def answer(self, request: Request) -> Response:
        """Sent once, whatever happens. Raises aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError."""
        with self._deadlines.one():
            url = _url(request.url)
            way = self._way(request, url)
            connection = await self._connected(way)
            try:
                response, is_whole = await self._exchanged(connection, way.head(request, url), request)
            except BaseException:
                connection.close()
                raise
            _give_back(connection, is_whole=is_whole)
            return response

    def _way(self, request: Request, url: URL) -> _Way:
        key = (url.scheme, url.raw_authority, *request.headers.items())
        way = self._ways.get(key)
        if way is None:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            way = self._ways[key] = _Way(_opening(url, {**self._own, **request.headers}))
        return way

    async def _connected(self, way: _Way) -> Connection:
        try:
            return await self._connector.connect(way.opening, [], self._timeout)
        except TimeoutError as problem:
            raise ConnectionTimeoutError("no connection in time") from problem

    async def _exchanged(self, connection: Connection, head: bytes, request: Request) -> tuple[Response, bool]:
        """The answer, and whether all of it was read."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None or transport.is_closing():
            raise ClientConnectionResetError("the connection was closed before the request")
        protocol.set_response_params(read_until_eof=True)
        transport.write(head + request.body if request.body else head)
        try:
            message, payload = await self._answered(protocol)
            body, is_whole = await self._body(payload, request.longest)
        except TimeoutError as problem:
            raise SocketTimeoutError("no byte in time") from problem
        headers = {name.lower(): text for name, text in message.headers.items()}
        return Response(status=message.code, headers=headers, body=body), is_whole

    async def _answered(self, protocol: ResponseHandler) -> tuple[RawResponseMessage, StreamReader]:
        while True:
            with self._pieces.one():
                message, payload = await protocol.read()
            if message.code not in _INFORMATIONAL or message.code == _SWITCHING:
                return message, payload

    async def _body(self, payload: StreamReader, longest: int) -> tuple[bytes, bool]:
        """And whether it is all of it. Mostly it has come together with the head."""
        body = payload.read_nowait() if payload.is_eof() else b""
        while not payload.at_eof() and len(body) <= longest:
            with self._pieces.one():
                body += await payload.readany()
        return body[:longest], len(body) <= longest


def _url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as problem:
        raise InvalidURL(text) from problem
    if not url.raw_host:
        raise InvalidURL(text)
    if url.scheme not in ("http", "https"):
        raise NonHttpUrlClientError(text)
    return url


def _opening(url: URL, headers: Mapping[str, str]) -> ClientRequest:
    """By the proxy that the environment names for the host, if it names one."""
    try:
        proxy, auth = get_env_proxy_for_url(url)
    except LookupError:
        proxy, auth = None, None
    loop = asyncio.get_running_loop()
    return ClientRequest("GET", url, headers=headers, loop=loop, proxy=proxy, proxy_auth=auth)


def _lines(headers: Mapping[str, str]) -> bytes:
    for name, text in headers.items():
        if _BREAKS_A_LINE.search(name + text):
            raise ValueError(f"the header {name!r} would end its line")
    return "".join([f"{name}: {text}\r\n" for name, text in headers.items()]).encode()


def _give_back(connection: Connection, *, is_whole: bool) -> None:
    """A connection on which nothing is left, neither to read nor to write, serves again."""
    transport = connection.transport
    if is_whole and transport is not None and not transport.get_write_buffer_size():
        connection.release()
    else:
        connection.close()
