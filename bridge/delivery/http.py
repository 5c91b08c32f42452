"""The rules for every wire: addresses, headers, trust and proxies of requests, and the status of an answer that is
broken.

A wire sends one request and gives its answer. There are two: `wire.py` is fast and stands on the inside of aiohttp,
`plain_wire.py` needs no more than its public interface (docs/aiohttp.md).
"""

import netrc
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from urllib.request import getproxies, proxy_bypass

from aiohttp import InvalidURL, NonHttpUrlClientError, SocketTimeoutError
from multidict import CIMultiDict
from yarl import URL

from bridge.contract import Request, Response

LONGEST_LINE = 65_536
"""The most bytes of an answer's status line, and of each of its headers, as in other clients. aiohttp's own limit is
8,190."""
MOST_HEADERS = 1024  # headers of one answer
BEGINNING = 256
"""The bytes in which the status line is looked for. Answers that are not final may come before it."""
SUCCESS = range(200, 300)
TRIES = 3
"""The most connections that are tried to find one on which nothing unasked has come."""

_INFORMATIONAL = range(100, 200)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = ("Content-Length", "Transfer-Encoding")
_LINE_TOO_LONG = "LineTooLong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The times for one request: to connect, between two pieces of an answer, and for all of it."""

    connect: timedelta
    read: timedelta
    total: timedelta
    keep_alive: timedelta


class Wire(Protocol):
    """Sends requests."""

    async def answer(self, request: Request) -> Response:
        """The answer to a request, which is sent once, whatever happens.

        Raises aiohttp.ClientError, NotHttp, TimeoutError, OSError; ValueError for a header that cannot be sent.
        """
        ...


class OpensWire(Protocol):
    """Opens a wire with at most `connections` to each host; without `pooled`, each request has its own connection."""

    def __call__(
        self, timeouts: Timeouts, *, connections: int, user_agent: str, pooled: bool
    ) -> AbstractAsyncContextManager[Wire]: ...


class NoAuthority(OSError):
    """The file of authorities that a request names cannot be used; nothing was sent."""


class NotHttp(Exception):
    """The answer is none as HTTP has it."""


class Authorities:
    """The authorities that requests name by a file."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[int, ssl.SSLContext]] = {}

    def context(self, ca: str) -> ssl.SSLContext:
        """Make a context for each state of the file: it is renewed while the process lives. Raises NoAuthority."""
        try:
            renewed = Path(ca).stat().st_mtime_ns
            made, context = self._made.get(ca, (0, None))
            if context is None or made != renewed:
                context = ssl.create_default_context(cafile=ca)
                self._made[ca] = (renewed, context)
        except (OSError, ValueError) as problem:
            said = getattr(problem, "strerror", None) or type(problem).__name__
            reason = "no certificates in PEM" if isinstance(problem, ssl.SSLError) else said
            raise NoAuthority(f"{ca} cannot be used: {reason}") from None
        return context


def address(text: str) -> URL:
    """The address of a request. Raises aiohttp.InvalidURL and NonHttpUrlClientError."""
    try:
        url = URL(text)
    except ValueError as problem:
        raise InvalidURL(text) from problem
    if not url.raw_host:
        raise InvalidURL(text)
    if url.scheme not in ("http", "https"):
        raise NonHttpUrlClientError(text)
    return url


def address_of(request: Request) -> URL:
    """The whole address of a request, with the parameters that are secret. Raises as `address` does, which was not told
    them."""
    url = address(request.url)
    return url.extend_query(request.secret_query) if request.secret_query else url


def headers_of(request: Request, url: URL, *, own: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers of a request beside ours, without those that say how long it is: these belong to the wire."""
    headers = CIMultiDict(own)
    headers.update(request.headers)
    if url.user is not None and "Authorization" in headers:
        raise ValueError("credentials are given in the URL and in a header")
    for name in _OURS:
        headers.popall(name, None)
    return headers


def check(headers: Mapping[str, str]) -> None:
    """Raises ValueError for a header that would become several lines."""
    for name, text in headers.items():
        if not _TOKEN.fullmatch(name) or _CONTROL.search(text):
            raise ValueError(f"the header {name!r} cannot be sent: its name or its text has characters that end a line")


def proxy_of(url: URL) -> URL | None:
    """The proxy that the environment names for the host, with its credentials. None: it names none."""
    if url.host is None or proxy_bypass(url.host):
        return None
    named = getproxies().get(url.scheme)
    proxy = URL(named) if named else None
    if proxy is None or proxy.scheme == "https":  # aiohttp speaks no TLS to a proxy
        return None
    return proxy if proxy.user or proxy.host is None else _with_credentials(proxy, proxy.host)


def _with_credentials(proxy: URL, host: str) -> URL:
    """Add the credentials that the file .netrc has for the proxy."""
    with suppress(OSError, netrc.NetrcParseError):
        found = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
        if found is not None:
            return proxy.with_user(found[0] or found[1] or None).with_password(found[2])
    return proxy


def final_status(began: bytes) -> int:
    """The status of the final answer that begins in this way. 0: it has not come."""
    final = (int(code) for code in _STATUS.findall(began) if int(code) not in _INFORMATIONAL)
    return next(final, 0)


def is_no(status: int) -> bool:
    """Whether the status is a no. Such a status counts even if the rest of the answer cannot be read."""
    return status != 0 and status not in SUCCESS


def with_notes(problem: Exception, status: int) -> Exception:
    """The same problem, with what is known beside it in its notes."""
    noted = SocketTimeoutError("no byte in time") if isinstance(problem, TimeoutError) else problem
    if any(type(cause).__name__ == _LINE_TOO_LONG for cause in _causes(problem)):
        noted.add_note(f"a line of its head is longer than {LONGEST_LINE} bytes")
    if status:
        noted.add_note(f"after the status {status}")
    return noted


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    while problem is not None:
        yield problem
        problem = problem.__cause__
