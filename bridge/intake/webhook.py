"""The public door: bytes, headers and time become an arrival. It answers 200 only when the journal has the arrival.

Bytes stay as they came. Nothing is decompressed, for signatures are over the raw body.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from aiohttp import HttpVersion11, StreamReader, web

from bridge import clock
from bridge.contract import HeaderCheck, HttpArrival, Reason, Replies, WebhookSource
from bridge.deadlines import Deadlines
from bridge.errors import Answered, JournalError, Refusal, Reply
from bridge.intake.arrivals import ArrivalBatch, Delivery, rivals_of
from bridge.intake.responses import CONTINUE, STORED, refusal
from bridge.journal import Journal
from bridge.telemetry import emit, frames

PATH = "/webhooks/"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """The limits of the door: sizes in bytes, connections at once. The answer is given within `answer_within` of the
    end of the headers."""

    max_body: int
    max_bodies_in_flight: int
    max_headers: int
    max_connections: int
    answer_within: timedelta


class _TooLarge(Refusal):
    status = 413


class _TooSlow(Refusal):
    status = 408


class _NotNow(Refusal):
    status = 503


class _NotExpected(Refusal):
    status = 417


_SMALL = 1 << 20
"""Bytes of a body up to which it may use the part of the budget that is kept for small ones."""

_KEPT = 8
"""The share of the budget that only small bodies may use, as a divisor: large ones never shut them out."""


@dataclass(slots=True)
class _Budget:
    """Bytes of bodies in flight that have come, over all connections."""

    most: int
    taken: int = 0

    def has_room(self, more: int, *, of: int) -> bool:
        """Whether there is room for `more` bytes of a body of which `of` have come by then."""
        most = self.most if of <= _SMALL else self.most - self.most // _KEPT
        return self.taken + more <= most


class _Share:
    """The part of the budget that one request has taken. It is given back when the request has ended."""

    __slots__ = ("_budget", "_taken")

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._taken = 0

    def grow(self, size: int) -> None:
        """Grow to `size` bytes in all. Raises if the budget has no room."""
        more = max(0, size - self._taken)
        if not self._budget.has_room(more, of=size):
            raise _NotNow("too many bodies in flight")
        self._budget.taken += more
        self._taken += more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.taken -= self._taken


class Door:
    """Handles the requests of all webhook sources: POST /webhooks/<source name>.

    on_instruction  called when a document was stored that tells the bridge itself to do something
    """

    def __init__(
        self,
        sources: Mapping[str, WebhookSource],
        *,
        journal: Journal,
        limits: DoorLimits,
        on_instruction: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_instruction = on_instruction
        self._sources = {PATH + name: (name, source) for name, source in sources.items()}
        self._replies = {
            name: source.reply()._replace(stored=True)
            for name, source in sources.items()
            if isinstance(source, Replies)
        }
        self.limits = limits
        self._max_body = limits.max_body
        self._budget = _Budget(limits.max_bodies_in_flight)
        self._deadlines = Deadlines(limits.answer_within.total_seconds() * 0.9)
        self._gathering = ArrivalBatch(journal, rivals_of(sources))

    def take(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        payload: StreamReader,
        answered: Callable[[Reply], None],
    ) -> bool:
        """Take in a request whose body came together with its head, without a task of its own.

        `answered` is called later, once, with the reply. False: there is more to do than that, and `handle` does it.
        """
        found, query = self._sources.get(path), ""
        if found is None:
            path, _, query = path.partition("?")
            found = self._sources.get(path)
        size = payload.total_bytes
        if found is None or method != "POST" or size > self._max_body:
            return False
        if not self._budget.has_room(size, of=size):
            return False
        name, source = found
        started = clock.monotonic()
        body = payload.read_nowait()

        def answer_sender(delivery: Delivery) -> None:
            self._deadlines.close(delivery)
            self._budget.taken -= size
            reply = refusal(500)
            try:
                reply = self._reply(delivery, started)
            finally:
                answered(reply)

        self._budget.taken += size
        arrival = HttpArrival(source=name, headers=headers, body=body, received_at=clock.now(), query=query)
        delivery = Delivery(source, arrival, answer_sender)
        self._deadlines.open(delivery)
        self._gathering.add(delivery)
        return True

    async def handle(self, request: web.BaseRequest) -> Reply:
        """Handle a request, and return the reply. Never raises: what goes wrong is an answer."""
        found = self._sources.get(request.path)
        if found is None:
            return _refused("", _NoSuchPath("no source has this path"))
        name, source = found
        if request.method != "POST":
            return _refused(name, _NotPosted("deliveries are posted"))
        try:
            if isinstance(source, HeaderCheck):
                source.check_headers(request.headers)
            return await self._taken_in(request, name, source)
        except (Refusal, TimeoutError) as problem:
            return _refused(name, problem)
        except ConnectionError:
            return _refused(name, _NotHttp("the sender hung up before the end of the body"))

    async def _taken_in(self, request: web.BaseRequest, name: str, source: WebhookSource) -> Reply:
        started = clock.monotonic()
        with _Share(self._budget) as share:
            try:
                with self._deadlines.one():
                    body = await self._body(request, share)
                    query = request.raw_path.partition("?")[2]
                    arrival = HttpArrival(
                        source=name, headers=request.headers, body=body, received_at=clock.now(), query=query
                    )
                    delivery = await self._gathering.over(source, arrival)
            except TimeoutError:
                if request.content.at_eof():
                    raise
                raise _TooSlow("not all of the body came in time") from None
        return self._reply(delivery, started)

    def _reply(self, delivery: Delivery, started: float) -> Reply:
        """The reply to a delivery that is over. Logs its one line."""
        if delivery.problem is not None:
            return _refused(delivery.arrival.source, delivery.problem)
        _emit_received(delivery, clock.monotonic() - started)
        if delivery.envelope.reason is Reason.NOT_CARRIED_OUT_YET:
            self._on_instruction()
        return self._replies.get(delivery.arrival.source, STORED)

    async def _body(self, request: web.BaseRequest, share: _Share) -> bytes:
        """The raw body. If the request announces that it is too large, it is refused before it is read. Room is taken
        only for bytes that have come, so what a stranger announces costs us nothing."""
        self._check(request.content_length or 0)
        content = request.content
        if not content.is_eof():
            _send_continue(request)
        body = await _piece(content)
        while True:
            self._check(len(body))
            share.grow(len(body))
            if content.at_eof():
                return bytes(body)
            body += await _piece(content)

    def _check(self, length: int) -> None:
        if length > self._max_body:
            raise _TooLarge(f"a body of {length} bytes or more; max_body is {self._max_body}")


async def _piece(content: StreamReader) -> bytes:
    try:
        return await content.readany()
    except (ConnectionError, TimeoutError):
        raise
    except Exception as problem:
        raise _NotHttp("the body is not framed as HTTP says") from problem


def _send_continue(request: web.BaseRequest) -> None:
    """Send that the client may go on. Raises if it expects something else."""
    expected = request.headers.get("Expect")
    if expected is None or request.version != HttpVersion11:
        return
    if expected.strip().lower() != "100-continue":
        raise _NotExpected("the request expects something else than 100-continue")
    if request.transport is not None:
        request.transport.write(CONTINUE)


class _NotHttp(Refusal):
    status = 400


class _NoSuchPath(Refusal):
    status = 404


class _NotPosted(Refusal):
    status = 405


def refused(status: int, detail: str) -> None:
    """Log and count the one line of a request that no source has seen."""
    emit("delivery.refused", source="", status=status, detail=detail)


def _refused(source: str, problem: Exception) -> Reply:
    """Log one line, or two if the connector failed. Returns the reply."""
    match problem:
        case Answered():
            emit("delivery.answered", source=source, status=problem.status, detail=str(problem))
            return problem.reply
        case Refusal():
            status, detail = problem.status, str(problem)
        case JournalError():
            status, detail = 503, f"not stored: {problem}"
        case TimeoutError():
            status, detail = 503, "the journal is slow"
        case _:
            emit("connector.failed", source=source, problem=type(problem).__name__, frames=frames(problem))
            status, detail = 500, f"{type(problem).__name__} in the connector; see the log event connector.failed"
    emit("delivery.refused", source=source, status=status, detail=detail)
    return refusal(status)


def _emit_received(delivery: Delivery, seconds: float) -> None:
    """Log the one line of a delivery."""
    envelope, appended = delivery.envelope, delivery.appended
    names = envelope.names(appended.seq)
    reason = appended.reason or envelope.reason
    if reason in (Reason.UNREADABLE, Reason.TENANT_IN_DOUBT) and not appended.known:
        emit("delivery.dead", **names, reason=reason, detail=envelope.detail)
    emit(
        "delivery.duplicate" if appended.known else "delivery.received",
        **names,
        secret_number=delivery.verified.secret + 1,
        reason=reason,
        bytes=len(envelope.raw),
        seconds=round(seconds, 4),
    )
