"""The parts that are measured alone, in a process of their own: the disk, the rules, the requests."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from multidict import CIMultiDict

from bridge import chance, clock, fast_path
from bridge.bench import AT_ONCE, Figures, figures
from bridge.bench.orders import Order
from bridge.bench.plan import concurrency_of
from bridge.config import Settings
from bridge.contract import Attempt, Delivered, Envelope, Event, HttpArrival, Outcome, WebhookSource
from bridge.delivery.client import Client
from bridge.delivery.conversation import BeforeSending, Conversation, Route
from bridge.service import client_of, route_of

_Facts: TypeAlias = Sequence[tuple[str, Event]]
"""The facts of an order, each with its destination."""
_Ways: TypeAlias = Mapping[str, tuple[Route, Client]]
"""The way to each destination, and the client that goes it."""
_BLOCK = b"\0" * 4096
"""What is written before each fsync: a page of the journal."""
_DIFFERENT = 64  # orders that are mapped in turn
_AT_A_TIME = 1024  # orders that are mapped beforehand, and then sent


def fsync(folder: Path, seconds: float) -> Figures:
    """Append a block to a file and wait until the disk has it, again and again."""
    took: list[float] = []
    descriptor = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        began = clock.monotonic()
        until = began + seconds
        while not took or clock.monotonic() < until:
            at = clock.monotonic()
            os.write(descriptor, _BLOCK)
            os.fsync(descriptor)
            took.append(clock.monotonic() - at)
        return figures(took, clock.monotonic() - began)
    finally:
        os.close(descriptor)


def mapping(settings: Settings, source: str, orders: Iterator[Order], seconds: float) -> Figures:
    """Apply the rules to one order after the other."""
    envelopes = [_envelope(settings, source, order) for order in islice(orders, _DIFFERENT)]
    for envelope in envelopes:
        _facts(settings, envelope)  # warm
    took: list[float] = []
    began = clock.monotonic()
    until = began + seconds
    while not took or clock.monotonic() < until:
        at = clock.monotonic()
        _facts(settings, envelopes[len(took) % _DIFFERENT])
        took.append(clock.monotonic() - at)
    return figures(took, clock.monotonic() - began)


async def delivery(settings: Settings, source: str, orders: Iterator[Order], seconds: float) -> tuple[Figures, int]:
    """Send the facts of many orders at once, without a journal, and count those that were not delivered.

    As many orders are under way as the settings allow, and not more than AT_ONCE. Orders are mapped beforehand, some at
    a time, and that time is not counted.
    """
    took: list[float] = []
    spent, failed = 0.0, 0
    at_once = min(AT_ONCE, concurrency_of(settings))
    async with _ways(settings) as ways:
        await _send(ways, _mapped(settings, source, orders, AT_ONCE), [], at_once=at_once)  # warm
        until = clock.monotonic() + seconds
        while not took or clock.monotonic() < until:
            mapped = _mapped(settings, source, orders, _AT_A_TIME)
            began = clock.monotonic()
            failed += await _send(ways, mapped, took, at_once=at_once)
            spent += clock.monotonic() - began
    return figures(took, spent), failed


@asynccontextmanager
async def _ways(settings: Settings) -> AsyncIterator[_Ways]:
    """The way to each destination, with a client of its own, as `run` has them."""
    wire = await fast_path.wire(wanted=settings.delivery.fast)
    async with AsyncExitStack() as stack:
        ways = {}
        for name, outlet in settings.destinations.items():
            client = await stack.enter_async_context(client_of(settings.delivery.of(outlet.delivery), wire))
            ways[name] = (route_of(settings, name), client)
        yield ways


async def _send(ways: _Ways, mapped: Sequence[_Facts], took: list[float], *, at_once: int) -> int:
    """Send the facts of these orders, and note how long each order took. Returns how many were not delivered."""
    left = iter(mapped)

    async def one_after_another() -> int:
        failed = 0
        for facts in left:
            at = clock.monotonic()
            for name, event in facts:
                failed += not isinstance(await _sent(*ways[name], event), Delivered)
            took.append(clock.monotonic() - at)
        return failed

    return sum(await asyncio.gather(*(one_after_another() for _ in range(at_once))))


async def _sent(route: Route, client: Client, event: Event) -> Outcome:
    now = clock.now()
    conversation = Conversation(route, client, event, BeforeSending(confirm=_nothing, mark_departed=_nothing))
    return await conversation.run(Attempt(now=now, first_tried_at=now, number=1, key=f"{chance.number(64):x}"))


async def _nothing() -> None:
    """Ask no journal: there is none."""


def _mapped(settings: Settings, source: str, orders: Iterator[Order], count: int) -> Sequence[_Facts]:
    return [_facts(settings, _envelope(settings, source, order)) for order in islice(orders, count)]


def _facts(settings: Settings, envelope: Envelope) -> _Facts:
    """The facts that the rules give, each with its destination."""
    return [
        (name, step)
        for name in settings.destinations
        for step in settings.rules.apply(envelope, name)
        if isinstance(step, Event)
    ]


def _envelope(settings: Settings, source: str, order: Order) -> Envelope:
    """The document as the door would hand it to the journal."""
    found = settings.sources[source]
    assert isinstance(found, WebhookSource)  # noqa: S101  plan.source_of takes no other
    arrival = HttpArrival(source=source, headers=CIMultiDict(order.headers), body=order.body, received_at=clock.now())
    return found.read(arrival, found.verify(arrival))
