"""Deliveries that arrive in one turn of the event loop are verified, named and given to the journal together: each step
for all, then the next.

If each step ran between other work, its code and data would be outside of the processor's caches, and it would take two
to five times as long (docs/performance.md). A delivery that comes alone does not wait for others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from bridge.contract import Envelope, HttpArrival, Keyed, Verified, WebhookSource, known_as
from bridge.intake.unreadable import WithoutNames, named
from bridge.journal import Appended, Journal


class Delivery:
    """One arrival on its way in. It implements bridge.journal.Incoming. When it is stored, has failed or is too
    late, `ended` is called with it, once.

    problem  why it is not stored; None: it is, and `verified`, `envelope` and `appended` say how
    until    see bridge.deadlines.Due
    """

    __slots__ = ("_ended", "_source", "appended", "arrival", "envelope", "is_over", "problem", "until", "verified")

    verified: Verified
    envelope: Envelope
    appended: Appended
    until: float

    def __init__(self, source: WebhookSource, arrival: HttpArrival, ended: Callable[["Delivery"], None]) -> None:
        self.arrival = arrival
        self.problem: Exception | None = None
        self.is_over = False
        self._source = source
        self._ended = ended

    def verify(self) -> None:
        self.verified = self._source.verify(self.arrival)

    def read(self) -> None:
        self.envelope = named(self._source, self.arrival, self.verified)

    def go_through(self, step: Callable[["Delivery"], None]) -> None:
        """Take one step. A failure of one delivery must not harm those that came with it."""
        if self.is_over:
            return
        try:
            step(self)
        except Exception as problem:  # noqa: BLE001  whoever waits for it is told
            self.failed(problem)

    def stored(self, appended: Appended) -> None:
        self.appended = appended
        self._end(None)

    def failed(self, problem: Exception) -> None:
        self._end(problem)

    def expire(self) -> None:
        """End the wait: the answer comes too late. The delivery may still be stored, and is then known when it is sent
        again."""
        self._end(TimeoutError())

    def _end(self, problem: Exception | None) -> None:
        if not self.is_over:
            self.is_over = True
            self.problem = problem
            try:
                self._ended(self)
            except Exception as bug:  # noqa: BLE001  what comes together must not suffer from one of them
                context = {"message": "who waited for a delivery failed", "exception": bug}
                asyncio.get_running_loop().call_exception_handler(context)


Rivals: TypeAlias = Mapping[tuple[str, str], tuple[str, ...]]
"""Source and tenant to the other tenants that share a secret with it, each with all its names."""


def rivals_of(sources: Mapping[str, WebhookSource]) -> Rivals:
    """Find the tenants that share a secret, in one source or in several of one connector."""
    keys = [
        _Keys(type(source), name, tenant, frozenset(own), known_as([source], tenant))
        for name, source in sources.items()
        if isinstance(source, Keyed)
        for tenant, own in source.signing_keys().items()
    ]
    found = {
        (one.source, one.tenant): dict.fromkeys(name for each in keys if one.shares(each) for name in each.names)
        for one in keys
    }
    return {place: tuple(others) for place, others in found.items() if others}


class _Keys(NamedTuple):
    connector: type
    source: str
    tenant: str
    keys: frozenset[bytes]
    names: Sequence[str]

    def shares(self, other: "_Keys") -> bool:
        return self.connector is other.connector and self.tenant != other.tenant and bool(self.keys & other.keys)


_STEPS = (Delivery.verify, Delivery.read)
_MOST_BYTES = 1024 * 1024
"""The most bytes of bodies that are gone through together. A larger body comes alone. Each step costs a few
milliseconds a megabyte."""


class ArrivalBatch:
    """The deliveries that arrive in one turn of the event loop, stored together. Make it in a running event loop."""

    def __init__(self, journal: Journal, rivals: Rivals | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._journal = journal
        self._rivals = rivals or {}
        self._arrived: list[Delivery] = []

    def add(self, delivery: Delivery) -> None:
        """Add a delivery to the others of this turn."""
        if not self._arrived:
            self._loop.call_soon(self._pass)
        self._arrived.append(delivery)

    async def over(self, source: WebhookSource, arrival: HttpArrival) -> Delivery:
        """Take in a delivery, and return it when it is stored, has failed or is too late."""
        ended: asyncio.Future[None] = self._loop.create_future()

        def end(_: Delivery) -> None:
            if not ended.done():
                ended.set_result(None)

        delivery = Delivery(source, arrival, end)
        self.add(delivery)
        await ended
        return delivery

    def _pass(self) -> None:
        arrived = self._taken()
        for step in (*_STEPS, self._mark):
            for delivery in arrived:
                delivery.go_through(step)
        self._journal.take_in([WithoutNames(each, self._journal) for each in arrived if not each.is_over])

    def _mark(self, delivery: Delivery) -> None:
        """Mark what nobody signed: the journal has to know it."""
        source, tenant = delivery.arrival.source, delivery.envelope.tenant
        delivery.envelope = msgspec.structs.replace(
            delivery.envelope, by_header=True, rivals=self._rivals.get((source, tenant), ())
        )

    def _taken(self) -> list[Delivery]:
        """Take as many deliveries as may come together. The others get another turn, after the other work that
        waits."""
        size = 0
        for count, delivery in enumerate(self._arrived):
            size += len(delivery.arrival.body)
            if size > _MOST_BYTES and count:
                arrived, self._arrived = self._arrived[:count], self._arrived[count:]
                self._loop.call_soon(self._pass)
                return arrived
        arrived, self._arrived = self._arrived, []
        return arrived
