"""One request and its answer, over a connection of aiohttp's pool.

The pool (names, TLS, proxies, keep-alive, limits) and the parser of answers are aiohttp's. What `ClientSession.request`
does between them is for a client of the whole web (redirects, cookies, uploads in pieces, traces, tries of its own). It
costs three times the rest (docs/performance.md), and a conversation needs only the few lines here.

The lines stand on parts of aiohttp that it may change in a minor version. `bridge/fast_path.py` looks for these parts
at the start, and takes `plain_wire.py` if one is missing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext
from typing import cast

from aiohttp import (
    ClientConnectionResetError,
    ClientError,
    ClientRequest,
    ClientTimeout,
    ConnectionTimeoutError,
    StreamReader,
    TCPConnector,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage
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

_MOST_ENDPOINTS = 64  # endpoints
_INFORMATIONAL = range(100, 200)
_SWITCHING = 101  # status


class _Protocol(ResponseHandler):
    """Keeps the beginning of an answer: aiohttp forgets the status of an answer whose head it cannot read to the
    end."""

    began = b""

    def data_received(self, data: bytes) -> None:
        if len(self.began) < BEGINNING:
            self.began += data[:BEGINNING]
        super().data_received(data)

    @property
    def status(self) -> int:
        """The status of the final answer. 0: it has not come."""
        return final_status(self.began)


@dataclass(slots=True)
class _Endpoint:
    """One host with one set of headers' names: how aiohttp is asked for a connection, and the lines of each request.

    told  the headers that the lines were made of
    """

    connecting: ClientRequest
    lines: bytes = b""
    told: Mapping[str, str] | None = None

    def head(self, request: Request, url: URL) -> bytes:
        """The head of a request. It is built after connecting, since only then it is known whether a proxy needs its
        own form."""
        if self.told != request.headers:
            self._tell(request.headers)
        is_told_to_a_proxy = self.connecting.proxy is not None and not self.connecting.is_ssl()
        target = str(url.with_user(None).with_fragment(None)) if is_told_to_a_proxy else url.raw_path_qs
        more = f"Content-Length: {len(request.body or b'')}\r\n" if request.body or request.method != "GET" else ""
        if request.body and "Content-Type" not in self.connecting.headers:
            more += "Content-Type: application/octet-stream\r\n"
        return b"%b%b%b\r\n" % (f"{request.method} {target} HTTP/1.1\r\n".encode(), self.lines, more.encode())

    def _tell(self, headers: Mapping[str, str]) -> None:
        """Make the lines of these headers. Names that aiohttp's request has not are those that belong to the wire."""
        whole = CIMultiDict(self.connecting.headers)
        whole.update({name: text for name, text in headers.items() if name in whole})
        check(whole)
        self.lines = "".join([f"{name}: {text}\r\n" for name, text in whole.items()]).encode()
        self.told = headers


class FastWire:
    """A wire on the inside of aiohttp. Make it in a running event loop. The caller closes the connector."""

    def __init__(
        self,
        connector: TCPConnector,
        timeouts: Timeouts,
        *,
        user_agent: str,
        proxy_of: Callable[[URL], URL | None] = proxy_of,
    ) -> None:
        self._connector = connector
        made = cast("partial[ResponseHandler]", partial(_Protocol, loop=asyncio.get_running_loop()))
        connector._factory = made  # noqa: SLF001  there is no other way to have one's own
        connect = timeouts.connect.total_seconds()
        self._timeout = ClientTimeout(connect=connect, sock_connect=connect)
        self._deadlines = Deadlines(timeouts.total.total_seconds())
        self._pieces = Deadlines(timeouts.read.total_seconds())
        self._own = {
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",
            **({"Connection": "close"} if connector.force_close else {}),
        }
        self._endpoints: dict[object, _Endpoint] = {}
        self._authorities = Authorities()
        self._proxy_of = proxy_of

    async def answer(self, request: Request) -> Response:
        """Answer as Wire says."""
        with self._deadlines.one():
            url = address_of(request)
            endpoint = self._endpoint(request, url)
            connection, protocol, transport = await self._connected(endpoint)
            try:
                protocol.began = b""
                protocol.set_response_params(
                    read_until_eof=True,
                    max_line_size=LONGEST_LINE,
                    max_field_size=LONGEST_LINE,
                    max_headers=MOST_HEADERS,
                )
                transport.write(endpoint.head(request, url) + (request.body or b""))
                response = await self._read(protocol, request.longest)
            except BaseException:
                connection.close()
                raise
            if response.is_whole and not transport.get_write_buffer_size():
                connection.release()  # it closes those on which something is left to be read
            else:
                connection.close()
            return response

    def _endpoint(self, request: Request, url: URL) -> _Endpoint:
        trusted = self._authorities.context(request.ca) if request.ca else None
        key = (url.scheme, url.raw_authority, trusted, *request.headers)
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            if len(self._endpoints) >= _MOST_ENDPOINTS:
                del self._endpoints[next(iter(self._endpoints))]
            headers = headers_of(request, url, own=self._own)
            endpoint = self._endpoints[key] = _Endpoint(self._connecting(url, headers, trusted))
        return endpoint

    def _connecting(self, url: URL, headers: CIMultiDict[str], trusted: SSLContext | None) -> ClientRequest:
        loop = asyncio.get_running_loop()
        tls = True if trusted is None else trusted
        return ClientRequest("GET", url, headers=headers, loop=loop, proxy=self._proxy_of(url), ssl=tls)

    async def _connected(self, endpoint: _Endpoint) -> tuple[Connection, _Protocol, asyncio.Transport]:
        """Find a connection on which nothing has come that nobody asked for: it would be taken for the answer."""
        for _ in range(TRIES):
            try:
                connection = await self._connector.connect(endpoint.connecting, [], self._timeout)
            except TimeoutError as problem:
                raise ConnectionTimeoutError("no connection in time") from problem
            protocol, transport = cast("_Protocol | None", connection.protocol), connection.transport
            if protocol is not None and transport is not None and not (protocol.should_close or transport.is_closing()):
                return connection, protocol, transport
            connection.close()
        raise ClientConnectionResetError("connections were closed, or spoken on, before the request")

    async def _read(self, protocol: _Protocol, longest: int) -> Response:
        """Read the answer. If the rest cannot be read, a status that says no is enough."""
        headers: dict[str, str] = {}
        try:
            message, payload = await self._answered(protocol)
            headers.update((name.lower(), text) for name, text in message.headers.items())
            body, is_whole = await self._body(payload, longest)
        except (ClientError, HttpProcessingError, TimeoutError) as problem:
            status = protocol.status
            if is_no(status):
                return Response(status=status, headers=headers, is_whole=False)
            told = NotHttp("no answer as HTTP has it") if isinstance(problem, HttpProcessingError) else problem
            if told is not problem:
                told.__cause__ = problem
            raise with_notes(told, status) from problem
        return Response(status=message.code, headers=headers, body=body, is_whole=is_whole)

    async def _answered(self, protocol: ResponseHandler) -> tuple[RawResponseMessage, StreamReader]:
        while True:
            with self._pieces.one():
                message, payload = await protocol.read()
            if message.code not in _INFORMATIONAL or message.code == _SWITCHING:
                return message, payload

    async def _body(self, payload: StreamReader, longest: int) -> tuple[bytes, bool]:
        """The body, and whether it is whole. Mostly it has come together with the head."""
        body = payload.read_nowait() if payload.is_eof() else b""
        while not payload.at_eof() and len(body) <= longest:
            with self._pieces.one():
                body += await payload.readany()
        return body[:longest], len(body) <= longest


@asynccontextmanager
async def opened(timeouts: Timeouts, *, connections: int, user_agent: str, pooled: bool) -> AsyncIterator[FastWire]:
    """Open a wire, as OpensWire says."""
    keep_alive = timeouts.keep_alive.total_seconds()
    connector = (
        TCPConnector(limit=0, limit_per_host=connections, keepalive_timeout=keep_alive)
        if pooled
        else TCPConnector(limit=0, limit_per_host=connections, force_close=True)
    )
    async with connector:
        yield FastWire(connector, timeouts, user_agent=user_agent)
