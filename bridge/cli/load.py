"""Post many deliveries at once, and count how they were answered."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from bridge import chance, clock
from bridge.cli.sender import Delivery, Sender, fresh, paced
from bridge.contract import Payload

_AT_ONCE = 32  # requests at a time
_UNANSWERED_AT_FIRST = 10  # requests: then nobody listens there
_UNANSWERED_IN_A_ROW = 1000  # requests: then it is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order for deliveries to be posted. delivery_id: that of all of them; empty: a new one for each."""

    payloads: Sequence[Payload]
    repeat: int
    rate: float | None
    as_new: bool
    tenant: str | None
    delivery_id: str


@dataclass(slots=True)
class Answers:
    """How often each status was answered (0: nobody answered), with the reason that was given.

    taken    ids of the deliveries that were answered with 200
    stopped  nobody answered for so many in a row that the rest was left
    """

    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    taken: list[str] = field(default_factory=list)
    unanswered: int = 0
    stopped: bool = False

    def note(self, status: int, reason: str, delivery_id: str) -> None:
        self.counts[status, reason] += 1
        self.unanswered = 0 if status else self.unanswered + 1
        if status == 200:  # noqa: PLR2004  the one that says: stored
            self.taken.append(delivery_id)
        has_answered = any(found for found, _ in self.counts)
        self.stopped = self.stopped or self.unanswered >= (
            _UNANSWERED_IN_A_ROW if has_answered else _UNANSWERED_AT_FIRST
        )


async def post(sender: Sender, order: Order) -> Answers:
    """Post all of it, until it is done or nobody listens."""
    answers = Answers()
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(payload: Payload) -> None:
        try:
            if not answers.stopped:
                delivery = _delivery(order, payload)
                answers.note(*await _posted(sender, delivery), delivery.delivery_id)
        finally:
            places.release()

    async with asyncio.TaskGroup() as posts:
        async for number in paced(order.repeat * len(order.payloads), order.rate):
            await places.acquire()  # no more tasks than can be on their way
            if answers.stopped:
                break
            posts.create_task(one(order.payloads[number % len(order.payloads)]))
    return answers


def _delivery(order: Order, payload: Payload) -> Delivery:
    return Delivery(
        body=fresh(payload.body, now=clock.now()) if order.as_new else payload.body,
        topic=payload.topic,
        tenant=order.tenant,
        delivery_id=order.delivery_id or chance.uuid(),
    )


async def _posted(sender: Sender, delivery: Delivery) -> tuple[int, str]:
    try:
        return await sender.post(delivery)
    except (aiohttp.ClientError, TimeoutError):
        return 0, ""
