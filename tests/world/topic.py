"""The topic of a world, and the brokers that have it: two partitions, one group, one member at a time.

The member is given its partitions, reads, commits, and may lose them at any moment. A position that was committed is a
promise: all before it is in the journal.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from random import Random
from typing import Any

from bridge.contract import Record
from bridge.errors import StreamError
from bridge.intake.partition import Place, Portion
from tests.world.loop import Schedule
from tests.world.shop import Document

TOPIC = "shopify.orders"
_PARTITIONS = 2


class Brokers:
    """The brokers of a world. committed: called with each document whose offset was committed."""

    def __init__(self, schedule: Schedule, chance: Random, *, committed: Callable[[Document, str], None]) -> None:
        self._schedule = schedule
        self._chance = chance
        self._on_committed = committed
        self._logs: dict[Place, list[tuple[float, Document]]] = {Place(TOPIC, n): [] for n in range(_PARTITIONS)}
        self._positions: dict[Place, int] = {}
        self._member: WorldConsumer | None = None
        self.away_until = 0.0
        self.is_empty = True

    def write(self, document: Document) -> None:
        """A producer writes a document: those of an order go to one partition."""
        self.is_empty = False
        place = Place(TOPIC, int(document.order.id) % _PARTITIONS)
        self._logs[place].append((self._schedule.clock.time_ns() / 1e9, document))
        if self._member is not None:
            self._member.woken.set()

    def are_done(self) -> bool:
        """Whether all that was written is committed."""
        return all(self._positions.get(place, 0) == len(log) for place, log in self._logs.items())

    def take_back(self, seconds: float) -> None:
        """Take the partitions from the member, and give them back a while later."""
        if self._member is not None:
            self._member.rebalance(seconds)

    @asynccontextmanager
    async def opened(
        self, subscription: Any, source: str, rebalancing: Any, *, yields: bool = False
    ) -> AsyncIterator["WorldConsumer"]:
        await self.asked("connecting")
        member = self._member = WorldConsumer(self, source, rebalancing)
        member.rebalance(self._chance.uniform(0.0, 3.0))
        try:
            yield member
        finally:
            if self._member is member:
                self._member = None
            member.leave()

    async def asked(self, doing: str) -> None:
        """A question to the brokers takes its time, and fails while they are away."""
        await asyncio.sleep(self._chance.expovariate(100))
        if self._schedule.clock.at < self.away_until:
            raise StreamError(f"{doing}: no answer from the brokers")

    def end(self, place: Place) -> int:
        return len(self._logs[place])

    def position(self, place: Place) -> int | None:
        return self._positions.get(place)

    def commit(self, place: Place, offset: int) -> None:
        before = self._positions.get(place, 0)
        self._positions[place] = offset
        for number in range(before, offset):
            document = self._logs[place][number][1]
            self._on_committed(document, f"{place.topic}/{place.partition}/{number}")

    def records(self, place: Place, begin: int, most: int, source: str) -> list[Record]:
        found = self._logs[place][begin : begin + most]
        return [_record(source, place, begin + n, at, document) for n, (at, document) in enumerate(found)]

    def places(self) -> Sequence[Place]:
        return list(self._logs)


def _record(source: str, place: Place, offset: int, at: float, document: Document) -> Record:
    return Record(
        source=source,
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        timestamp=int(at * 1000),
        at=datetime.fromtimestamp(at, UTC),
        key=document.order.id.encode(),
        value=document.body,
        headers=[],
        fault="",
    )


class WorldConsumer:
    """Stands where bridge.intake.kafka.Consumer stands."""

    throttled = 0.0

    def __init__(self, brokers: Brokers, source: str, rebalancing: Any) -> None:
        self._brokers = brokers
        self._source = source
        self._rebalancing = rebalancing
        self._ours: set[Place] = set()
        self._next: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()

    def rebalance(self, seconds: float) -> None:
        if self._loop.is_closed() or not self._loop.is_running():
            return
        task = self._loop.create_task(self._rebalanced(seconds), name="the client's own work")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _rebalanced(self, seconds: float) -> None:
        async with self._turn:
            await self._rebalancing.let_go()
            self._ours.clear()
            self._next.clear()
            self._paused.clear()
            await asyncio.sleep(seconds)
            self._ours.update(self._brokers.places())
            await self._rebalancing.taken(list(self._brokers.places()))

    def leave(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    async def batch(self, asked: Mapping[Place, int], *, seconds: float, most: int) -> Mapping[Place, Portion]:
        await self._brokers.asked("reading")
        if not any(self._has_more(place) for place in asked):
            self.woken.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.woken.wait()
        await self._brokers.asked("reading")
        return {place: self._portion(place, most) for place in asked}

    def _has_more(self, place: Place) -> bool:
        is_read = place in self._ours and place not in self._paused and place in self._next
        return is_read and self._next[place] < self._brokers.end(place)

    def _portion(self, place: Place, most: int) -> Portion:
        if not self._has_more(place):
            return Portion((), self._next.get(place))
        records = self._brokers.records(place, self._next[place], most, self._source)
        self._next[place] += len(records)
        return Portion(records, self._next[place])

    def ours(self) -> frozenset[Place]:
        return frozenset(self._ours)

    async def commit(self, positions: Mapping[Place, int]) -> bool:
        await self._brokers.asked("committing")
        live = {place: offset for place, offset in positions.items() if place in self._ours}
        for place, offset in live.items():
            self._brokers.commit(place, offset)
        await self._brokers.asked("committing")
        return bool(live)

    async def committed(self, place: Place) -> int | None:
        await self._brokers.asked("asking for the position")
        return self._brokers.position(place)

    async def bounds(self, place: Place) -> tuple[int, int]:
        await self._brokers.asked("asking for the first record")
        return 0, self._brokers.end(place)

    async def reaches(self, place: Place, offset: int) -> bool:
        return self._brokers.end(place) >= offset

    async def ends(self, places: Sequence[Place]) -> Mapping[Place, int]:
        await self._brokers.asked("asking for the last records")
        return {place: self._brokers.end(place) for place in places}

    async def offset_at(self, place: Place, at: Any) -> int | None:
        return 0

    def elsewhere(self) -> int:
        return 0

    async def missing(self, topics: Sequence[str]) -> Sequence[str]:
        return []

    def seek(self, place: Place, offset: int) -> bool:
        if place not in self._ours:
            return False
        self._next[place] = offset
        self.woken.set()
        return True

    def pause(self, place: Place) -> None:
        self._paused.add(place)

    def resume(self, place: Place) -> None:
        self._paused.discard(place)
        self.woken.set()
