"""The client for HTTP to destinations: one aiohttp pool, and a fresh connection for what must not be repeated.

A pooled connection that the server closed a moment ago swallows a request without a trace. So pooled connections are
dropped well before servers drop them (4 s), and unrepeatable requests never use one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import aiohttp

from bridge.contract import Request, Response, Share
from bridge.delivery import plain_wire
from bridge.delivery.http import NoAuthority, NotHttp, OpensWire, Timeouts, Wire
from bridge.delivery.rate import RateLimit
from bridge.status_table import SILENCES, Row, Silent

_REMEMBERED = 20_000  # answers
_REMEMBERED_BYTES = 16 * 1024 * 1024  # bytes
_OVERHEAD = 512
"""Bytes that a remembered answer takes beside its own content."""
_SMOOTHING = 0.1  # share of the newest request in the latency
_PROBLEMS: tuple[tuple[type[Exception], Silent], ...] = (
    (NoAuthority, Silent.NO_TLS),
    (aiohttp.ConnectionTimeoutError, Silent.NO_CONNECTION_IN_TIME),
    (aiohttp.ClientConnectorDNSError, Silent.NO_NAME),
    (aiohttp.ClientSSLError, Silent.NO_TLS),
    (aiohttp.ClientConnectorError, Silent.NO_CONNECTION),
    (aiohttp.ClientConnectionResetError, Silent.NO_CONNECTION),  # raised before anything was sent
    (aiohttp.ClientResponseError, Silent.PROXY),  # of a proxy that was asked for a tunnel
    (aiohttp.SocketTimeoutError, Silent.NO_BYTE_IN_TIME),
    (TimeoutError, Silent.NOT_WHOLE_IN_TIME),
    (aiohttp.ClientPayloadError, Silent.CUT),
    (NotHttp, Silent.NOT_HTTP),
)
"""The silence of each error: the first that fits counts. Any other error means that the connection is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A request that got no whole answer."""

    silent: Silent
    detail: str

    @property
    def row(self) -> Row:
        """The row of the status table that says what it means."""
        return SILENCES[self.silent]


Leaving: TypeAlias = Callable[[], Awaitable[None]]
"""A question that is asked when a request has its turn, before it leaves."""


class Client:
    """A client, made by `opened_client`. `latency`: of the last requests, smoothed, in seconds; a silence counts for as
    long as it lasted."""

    def __init__(self, pooled: Wire, fresh: Wire, *, rate_limit: RateLimit | None = None) -> None:
        self._pooled = pooled
        self._fresh = fresh
        self._rate = rate_limit
        self._clock = asyncio.get_running_loop().time
        self.latency = 0.0
        self._answers = _Memory(most=_REMEMBERED, bytes_=_REMEMBERED_BYTES)
        self._asking: dict[str, asyncio.Future[Response | Silence]] = {}

    def available(self) -> int | None:
        """How many more conversations may begin so that none waits long for its turn; None: any number."""
        return None if self._rate is None else self._rate.available(self._clock())

    async def wait_for_rate(self) -> None:
        """Wait for a turn, where there is a rate to be kept."""
        if self._rate is not None and (wait := self._rate.delay(self._clock())) > 0:
            await asyncio.sleep(wait)

    async def send(self, request: Request, *, leaving: Leaving | None = None) -> Response | Silence:
        """Send a request. Never raises for what the network or the other side does. Every request that really leaves
        takes a turn. leaving: asked at the last moment; what it raises keeps the request from leaving."""
        if request.share is not None:
            return await self._shared(request, request.share, leaving)
        return await self._send_at_rate(request, leaving)

    async def _send_at_rate(self, request: Request, leaving: Leaving | None) -> Response | Silence:
        await self.wait_for_rate()
        if leaving is not None:
            await leaving()
        return await self._send(request)

    async def _send(self, request: Request) -> Response | Silence:
        began = self._clock()
        answer = await self._answer_or_silence(request)
        self.latency += _SMOOTHING * (self._clock() - began - self.latency)
        return answer

    async def _answer_or_silence(self, request: Request) -> Response | Silence:
        wire = self._pooled if request.repeatable else self._fresh
        try:
            return await wire.answer(request)
        except (aiohttp.ClientError, NotHttp, OSError) as problem:
            silent = next((silent for kind, silent in _PROBLEMS if isinstance(problem, kind)), Silent.LOST)
            return Silence(silent=silent, detail=_failure_detail(problem))

    # -- requests that several facts share -----------------------------------------------------------------------------

    async def _shared(self, request: Request, share: Share, leaving: Leaving | None) -> Response | Silence:
        if share.fresh:
            self._answers.forget(share.key)
        while True:
            if (known := self._answers.recall(share.key, self._clock())) is not None:
                return known
            if (asking := self._asking.get(share.key)) is None:
                return await self._ask(request, share, leaving)
            # If the task that sent the shared request is cancelled, one of those that wait sends it again.
            await asyncio.wait((asking,))
            if not asking.cancelled():
                return asking.result()

    async def _ask(self, request: Request, share: Share, leaving: Leaving | None) -> Response | Silence:
        asking = self._asking[share.key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._send_at_rate(request, leaving)
            asking.set_result(answer)
        finally:
            del self._asking[share.key]
            asking.cancel()
        if isinstance(answer, Response) and answer.is_whole and (kept := share.keep(answer)) is not None:
            self._answers.remember(share.key, kept, until=self._clock() + share.ttl.total_seconds())
        return answer


class _Memory:
    """Answers under their keys, at most so many and about so many bytes; the longest unused go first."""

    def __init__(self, *, most: int, bytes_: int) -> None:
        self._most = most
        self._bytes_left = bytes_
        self._kept: OrderedDict[str, tuple[float, int, Response]] = OrderedDict()

    def recall(self, key: str, now: float) -> Response | None:
        until, _, response = self._kept.get(key, (0.0, 0, None))
        if response is None:
            return None
        if now >= until:
            self.forget(key)
            return None
        self._kept.move_to_end(key)
        return response

    def remember(self, key: str, response: Response, *, until: float) -> None:
        self.forget(key)
        size = _OVERHEAD + len(key) + len(response.body) + sum(len(n) + len(t) for n, t in response.headers.items())
        self._kept[key] = (until, size, response)
        self._bytes_left -= size
        while len(self._kept) > self._most or self._bytes_left < 0:
            self.forget(next(iter(self._kept)))

    def forget(self, key: str) -> None:
        _, size, _ = self._kept.pop(key, (0.0, 0, None))
        self._bytes_left += size


@asynccontextmanager
async def opened_client(
    *,
    timeouts: Timeouts,
    connections: int,
    user_agent: str,
    rate: float | None = None,
    opened: OpensWire = plain_wire.opened,
) -> AsyncIterator[Client]:
    """A client with a pool of at most `connections` to each host, and at most `rate` requests a second."""
    wire = partial(opened, timeouts, connections=connections, user_agent=user_agent)
    async with wire(pooled=True) as pooled, wire(pooled=False) as fresh:
        yield Client(pooled, fresh, rate_limit=RateLimit(rate) if rate is not None else None)


def _failure_detail(problem: Exception) -> str:
    """Say how a request failed, in the system's words if it has some (a name, a certificate, a port). Add what is known
    of an answer that could not be read."""
    reason: str | None = ""
    if isinstance(problem, NoAuthority):
        return str(problem)
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        reason = getattr(problem.certificate_error, "verify_message", "")
    elif isinstance(problem, aiohttp.ClientConnectorError):
        reason = problem.os_error.strerror
    return ": ".join(filter(None, (type(problem).__name__, reason, *getattr(problem, "__notes__", ()))))
