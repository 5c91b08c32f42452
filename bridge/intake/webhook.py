"""The public door: bytes, headers and time become an arrival; 200 is said only when the journal has it.

Bytes stay as they came: nothing is decompressed, for signatures are over the raw body.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from aiohttp import HttpVersion11, web

from bridge.contract import Envelope, HttpArrival, Reason, Verified, WebhookSource
from bridge.deadlines import Deadlines
from bridge.errors import JournalError, Refusal
from bridge.intake.gathering import Gathering
from bridge.journal import Appended, Journal
from bridge.telemetry import emit

PATH = "/webhooks/"


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
        self._deadlines = Deadlines(limits.answer_within.total_seconds() * 0.9)
        self._gathering = Gathering()

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
                with self._deadlines.one():
                    body = await self._body(request, share)
                    arrival = HttpArrival(
                        source=name, headers=request.headers, body=body, received_at=datetime.now(UTC)
                    )
                    verified, envelope = await self._gathering.read(source, arrival)
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
