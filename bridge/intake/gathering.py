"""What arrived in one turn of the event loop, verified and named together: each step for all, then the next.

Between other work each step finds its code and data outside of the processor's caches, and costs two to five times as
much (docs/performance.md). Who comes alone does not wait for others.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from bridge.contract import Envelope, HttpArrival, Verified, WebhookSource
from bridge.errors import Malformed

Read: TypeAlias = tuple[Verified, Envelope]


@dataclass(slots=True)
class _Arrived:
    """One arrival on its way through the steps; `told` ends with the first that fails."""

    source: WebhookSource
    arrival: HttpArrival
    told: asyncio.Future[Read]
    verified: Verified = field(init=False)
    envelope: Envelope = field(init=False)

    def verify(self) -> None:
        self.verified = self.source.verify(self.arrival)

    def read(self) -> None:
        self.envelope = _storable(self.source.read(self.arrival, self.verified))

    def tell(self) -> None:
        self.told.set_result((self.verified, self.envelope))

    def go_through(self, step: Callable[["_Arrived"], None]) -> None:
        if self.told.done():  # refused, or nobody waits any more
            return
        try:
            step(self)
        except StopIteration:  # a future cannot hold it, and what comes together must not suffer from one of them
            self.told.set_exception(RuntimeError("the connector raised StopIteration"))
        except Exception as problem:  # noqa: BLE001  handed to who waits
            self.told.set_exception(problem)


_STEPS = (_Arrived.verify, _Arrived.read, _Arrived.tell)


class Gathering:
    """Made in a running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: list[_Arrived] = []

    async def read(self, source: WebhookSource, arrival: HttpArrival) -> Read:
        """Whose it is, and the document that it brings. Raises NotAuthentic and Malformed."""
        if not self._arrived:
            self._loop.call_soon(self._pass)
        arrived = _Arrived(source, arrival, self._loop.create_future())
        self._arrived.append(arrived)
        return await arrived.told

    def _pass(self) -> None:
        arrived, self._arrived = self._arrived, []
        for step in _STEPS:
            for one in arrived:
                one.go_through(step)


def _storable(envelope: Envelope) -> Envelope:
    """Headers are not signed: bytes in them that are no text must not reach the journal."""
    try:
        f"{envelope.id}{envelope.topic}{envelope.tenant}{envelope.lane}".encode()
    except UnicodeEncodeError:
        raise Malformed("a header that names the delivery is no text") from None
    return envelope
