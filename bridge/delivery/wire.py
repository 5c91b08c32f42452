"""One request and its answer, over a connection of aiohttp's pool.

The pool (names, TLS, proxies, keep-alive, limits) and the parser of answers are aiohttp's. What `ClientSession.request`
does between them is for a client of the whole web (redirects, cookies, uploads in pieces, traces, tries of its own) and
costs three times the rest (docs/performance.md); the few lines here are all that a conversation needs. They stand on
parts of aiohttp that it may change in a minor version: pyproject.toml holds the range that they were tested with.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import cast
from urllib.request import getproxies

from aiohttp import (
    ClientConnectionResetError,
    ClientError,
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
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawResponseMessage
from multidict import CIMultiDict
from yarl import URL

from bridge.contract import Request, Response
from bridge.deadlines import Deadlines

_MOST_WAYS = 64
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = ("Content-Length", "Transfer-Encoding")
_TRIES = 3
_INFORMATIONAL = range(100, 200)
_SWITCHING = 101
_SUCCESS = range(200, 300)
_LONGEST_LINE = 65_536
"""Bytes of an answer's status line, and of each of its headers, as other clients have it; aiohttp's own are 8,190."""
_MOST_HEADERS = 1024
_BEGINNING = 256
"""Bytes in which the status line is looked for; before it may be those of answers that are not final."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


class _Protocol(ResponseHandler):
    """Keeps how an answer begins: aiohttp forgets the status of one whose head it cannot read to the end."""

    began = b""

    def data_received(self, data: bytes) -> None:
        if len(self.began) < _BEGINNING:
            self.began += data[:_BEGINNING]
        super().data_received(data)

    @property
    def status(self) -> int:
        """Of the final answer; 0 where it has not come."""
        final = [int(code) for code in _STATUS.findall(self.began) if int(code) not in _INFORMATIONAL]
        return final[0] if final else 0


@dataclass(slots=True)
class _Endpoint:
    """To one host with one set of headers: how aiohttp is asked for a connection, and the lines of each request."""

    connecting: ClientRequest
    lines: bytes = b""

    def head(self, request: Request, url: URL) -> bytes:
        """Of a request over a connection that is there: only then it is known what a proxy wants to be told."""
        if not self.lines:
            self.lines = _lines(self.connecting.headers)
        is_told_to_a_proxy = self.connecting.proxy is not None and not self.connecting.is_ssl()
        target = str(url.with_user(None).with_fragment(None)) if is_told_to_a_proxy else url.raw_path_qs
        more = f"Content-Length: {len(request.body or b'')}\r\n" if request.body or request.method != "GET" else ""
        if request.body and "Content-Type" not in self.connecting.headers:
            more += "Content-Type: application/octet-stream\r\n"
        return b"%b%b%b\r\n" % (f"{request.method} {target} HTTP/1.1\r\n".encode(), self.lines, more.encode())


class NoAuthority(OSError):
    """The file of authorities that a request names cannot be used; nothing was sent."""


class Wire:
    """Made in a running event loop. connect, read, total: see Timeouts."""

    def __init__(
        self, connector: TCPConnector, *, connect: timedelta, read: timedelta, total: timedelta, user_agent: str
    ) -> None:
        self._connector = connector
        made = cast("partial[ResponseHandler]", partial(_Protocol, loop=asyncio.get_running_loop()))
        connector._factory = made  # noqa: SLF001  there is no other way to have one's own
        self._timeout = ClientTimeout(connect=connect.total_seconds(), sock_connect=connect.total_seconds())
        self._deadlines = Deadlines(total.total_seconds())
        self._pieces = Deadlines(read.total_seconds())
        self._own = {
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",
            **({"Connection": "close"} if connector.force_close else {}),
        }
        self._endpoints: dict[object, _Endpoint] = {}
        self._authorities: dict[str, tuple[int, ssl.SSLContext]] = {}
        self._is_proxied = bool(getproxies())

    async def answer(self, request: Request) -> Response:
        """Sent once, whatever happens. Raises aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError."""
        with self._deadlines.one():
            url = _url(request.url)
            endpoint = self._endpoint(request, url)
            connection, protocol, transport = await self._connected(endpoint)
            try:
                protocol.began = b""
                protocol.set_response_params(
                    read_until_eof=True,
                    max_line_size=_LONGEST_LINE,
                    max_field_size=_LONGEST_LINE,
                    max_headers=_MOST_HEADERS,
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
        trusted = self._trusted(request.ca) if request.ca else None
        key = (url.scheme, url.raw_authority, trusted, *request.headers.items())
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            if len(self._endpoints) >= _MOST_WAYS:
                del self._endpoints[next(iter(self._endpoints))]
            headers = CIMultiDict(self._own)
            headers.update(request.headers)
            endpoint = self._endpoints[key] = _Endpoint(self._connecting(url, headers, trusted))
        return endpoint

    def _trusted(self, ca: str) -> ssl.SSLContext:
        """One for each state of the file: it is renewed while the process lives."""
        try:
            renewed = Path(ca).stat().st_mtime_ns
            made, context = self._authorities.get(ca, (0, None))
            if context is None or made != renewed:
                context = ssl.create_default_context(cafile=ca)
                self._authorities[ca] = (renewed, context)
        except (OSError, ValueError) as problem:
            said = getattr(problem, "strerror", None) or type(problem).__name__
            reason = "no certificates in PEM" if isinstance(problem, ssl.SSLError) else said
            raise NoAuthority(f"{ca} cannot be used: {reason}") from None
        return context

    def _connecting(self, url: URL, headers: CIMultiDict[str], trusted: ssl.SSLContext | None) -> ClientRequest:
        """By the proxy that the environment names for the host, if it names one."""
        if url.user is not None and "Authorization" in headers:
            raise ValueError("credentials are given in the URL and in a header")
        for name in _OURS:
            headers.popall(name, None)
        proxy, auth = None, None
        if self._is_proxied:
            with suppress(LookupError):
                proxy, auth = get_env_proxy_for_url(url)
        loop = asyncio.get_running_loop()
        tls = True if trusted is None else trusted
        return ClientRequest("GET", url, headers=headers, loop=loop, proxy=proxy, proxy_auth=auth, ssl=tls)

    async def _connected(self, endpoint: _Endpoint) -> tuple[Connection, _Protocol, asyncio.Transport]:
        """One on which nothing has come that nobody asked for: it would be taken for the answer."""
        for _ in range(_TRIES):
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
        """By its status, where that says no and the rest cannot be read: whoever says no need not say it well."""
        headers: dict[str, str] = {}
        try:
            message, payload = await self._answered(protocol)
            headers.update((name.lower(), text) for name, text in message.headers.items())
            body, is_whole = await self._body(payload, longest)
        except (ClientError, HttpProcessingError, TimeoutError) as problem:
            status = protocol.status
            if status and status not in _SUCCESS:
                return Response(status=status, headers=headers, is_whole=False)
            raise _with_notes(problem, status) from problem
        return Response(status=message.code, headers=headers, body=body, is_whole=is_whole)

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


def _with_notes(problem: Exception, status: int) -> Exception:
    """The same, with what is known beside it in its notes."""
    noted = SocketTimeoutError("no byte in time") if isinstance(problem, TimeoutError) else problem
    if isinstance(problem.__cause__, LineTooLong):
        noted.add_note(f"a line of its head is longer than {_LONGEST_LINE} bytes")
    if status:
        noted.add_note(f"after the status {status}")
    return noted


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


def _lines(headers: Mapping[str, str]) -> bytes:
    for name, text in headers.items():
        if not _TOKEN.fullmatch(name) or _CONTROL.search(text):
            raise ValueError(f"the header {name!r} cannot be sent: its name or its text has characters that end a line")
    return "".join([f"{name}: {text}\r\n" for name, text in headers.items()]).encode()
