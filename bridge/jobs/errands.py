"""Performs errands: requests go to a client of their own, blocking calls to one thread, waits are waited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar, assert_never

from bridge.config.sections import OwnDelivery
from bridge.contract import Request, Response
from bridge.delivery.client import Client, Silence, opened_client
from bridge.delivery.from_settings import timeouts_of
from bridge.errand import Blocking, Errand, Note, Offer, Page, Step, Wait
from bridge.errors import BridgeError, ErrandFailed, NoAnswer
from bridge.generators import run_async
from bridge.telemetry import emit, frames

T = TypeVar("T")
_CONNECTIONS = 4  # connections to one host


async def _nothing(_page: Page) -> None:
    """Ignore a page: the errand asks for no documents."""


async def _all(offer: Offer) -> Collection[str]:
    return offer.versions.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """The handlers of an errand's documents. offered: chooses which of those that could be fetched are wanted."""

    page: Callable[[Page], Awaitable[None]] = _nothing
    offered: Callable[[Offer], Awaitable[Collection[str]]] = _all


class _OneThread:
    """One thread for blocking calls, one after the other. It is a daemon, unlike an executor's: a call that hangs keeps
    no process from ending."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Response], Callable[[], Response]] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def put(self, call: Callable[[], Response]) -> Future[Response]:
        if self._thread is None:
            self._thread = Thread(target=self._work, name="errands", daemon=True)
            self._thread.start()
        future: Future[Response] = Future()
        self._calls.put((future, call))
        return future

    def end(self) -> None:
        """End the thread after the call that it is in. Nobody waits for it."""
        self._calls.put(None)

    def _work(self) -> None:
        while (asked := self._calls.get()) is not None:
            future, call = asked
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as problem:  # noqa: BLE001  handed to whoever waits
                    future.set_exception(problem)


@dataclass(slots=True, kw_only=True)
class ErrandRunner:
    """A runner of errands, made by `performing`. on_note: called with what a person who waits should see."""

    client: Client
    on_note: Callable[[str], None] = lambda _text: None
    _thread: _OneThread = field(default_factory=_OneThread)

    async def perform(self, errand: Errand[T], handlers: Handlers | None = None) -> T:
        """Perform an errand to its end. Raises ErrandFailed, also for a bug in the connector's code."""
        try:
            return await self._performed(errand, handlers or Handlers())
        except BridgeError:
            raise
        except Exception as bug:  # noqa: BLE001  the boundary to connector code, as for conversations
            emit("connector.failed", problem=type(bug).__name__, frames=frames(bug))
            raise ErrandFailed(f"{type(bug).__name__} in the connector; see the log event connector.failed") from None

    async def _performed(self, errand: Errand[T], handlers: Handlers) -> T:
        return await run_async(errand, lambda step: self._answered(step, handlers), thrown=NoAnswer)

    async def _answered(self, step: Step, handlers: Handlers) -> object:
        match step:
            case Request():
                return await self._sent(step)
            case Blocking():
                return await self._called(step)
            case Wait():
                self.on_note(f"waiting {step.span.total_seconds():g} s: {step.because}")
                await asyncio.sleep(step.span.total_seconds())
            case Page():
                await handlers.page(step)
            case Offer():
                return await handlers.offered(step)
            case Note():
                emit("errand.noted", detail=step.text)
                self.on_note(step.text)
            case _:
                assert_never(step)
        return None

    async def _sent(self, request: Request) -> Response:
        answer = await self.client.send(request)
        if isinstance(answer, Silence):
            raise NoAnswer(f"{request.url}: {answer.row.happening} ({answer.detail})")
        return answer

    async def _called(self, blocking: Blocking) -> Response:
        """Call in the thread. A call that hangs keeps its thread, and the next call gets a new one."""
        call = asyncio.wrap_future(self._thread.put(blocking.call))
        try:
            return await asyncio.wait_for(call, blocking.within.total_seconds())
        except TimeoutError:
            self._thread.end()
            self._thread = _OneThread()
            raise NoAnswer("no answer in time") from None

    def close(self) -> None:
        self._thread.end()


@asynccontextmanager
async def performing(*, on_note: Callable[[str], None] = lambda _text: None) -> AsyncIterator[ErrandRunner]:
    """Open a runner with a client of its own: errands never wait for deliveries, nor deliveries for errands."""
    agent = f"attribution-bridge/{version('attribution-bridge')}"
    async with opened_client(timeouts=timeouts_of(OwnDelivery()), connections=_CONNECTIONS, user_agent=agent) as client:
        performer = ErrandRunner(client=client, on_note=on_note)
        try:
            yield performer
        finally:
            performer.close()
