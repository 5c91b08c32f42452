"""The door for streams: a record becomes an envelope, and its offset is committed only when the journal has it.

Each partition is stored in waves. The records of a wave go to the journal together and share its fsync. The next wave
begins when all of one are stored. So a position has no gaps, and an order's documents keep their order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from prometheus_client import Gauge

from bridge import clock
from bridge.contract import Envelope, Reason, Record, Renames, Request, Response, StreamSource, known_as
from bridge.errors import InstanceTaken, JournalBusy, Malformed, NotNow, NotStorable, StreamError
from bridge.generators import run_async
from bridge.intake.kafka import Consumer, PositionLost, opened, options
from bridge.intake.origin import REWOUND, Origin, Positions, may_start, origin_of
from bridge.intake.partition import Partition, Place, Portion
from bridge.intake.unreadable import WithoutNames, reason_of, storable
from bridge.journal import Appended, Journal, Position
from bridge.journal.awaited import Awaited
from bridge.telemetry import LAG, POSITION, STOPPED, STREAM_UP, emit

Ask = Callable[[Request], Awaitable[Response | str]]
"""Performs a request of a connector. A text instead of a response says why nobody answered."""

_WAVE: Final = 256  # records stored together
_POLL: Final = 1.0  # seconds
_POLL_WHILE_FULL: Final = 0.05  # seconds
_HELD: Final = 1.0  # seconds
_FIRST_GUESS: Final = 2**20  # bytes of a record
_LOOK: Final = 5.0  # seconds between two looks
_DRAIN: Final = 8.0  # seconds
_KEEPING: Final = 2.0  # seconds that a note of the positions may take
_FIRST_WAIT: Final = 0.5  # seconds
_LONGEST_WAIT: Final = 30.0  # seconds


class _Share(NamedTuple):
    """A partition's share: the records and bytes beyond which it is full, and the most records to be read at once."""

    records: int
    size: int
    most: int


class _Patience:
    """Waits that double up to a bound. A success starts them over."""

    def __init__(self, longest: float = _LONGEST_WAIT) -> None:
        self._longest = longest
        self._next = _FIRST_WAIT

    def reset(self) -> None:
        self._next = _FIRST_WAIT

    def next(self) -> float:
        wait, self._next = self._next, min(self._next * 2, self._longest)
        return wait


class Stream:
    """Reads one source until it is stopped. Failures of the brokers are logged, and tried again.

    The constructor raises WrongSecurity for certificates that cannot be used.
    """

    def __init__(
        self, name: str, source: StreamSource, *, journal: Journal, ask: Ask, renames: Sequence[Renames] = ()
    ) -> None:
        self.name = name
        self._source = source
        self._renames = renames
        self._subscription = source.subscription()
        options(self._subscription)
        self._journal = journal
        self._ask = ask
        self._stop = asyncio.Event()
        self._dirty = asyncio.Event()
        self._partitions: dict[Place, Partition] = {}
        self._measured: set[Place] = set()
        self._consumer: Consumer | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._largest = _FIRST_GUESS
        self._shares_its_group = False
        self._yields = False
        self._is_throttled = False
        self.trouble = "not connected yet"

    def stop(self) -> None:
        """Stop reading. What is on its way into the journal is finished, and committed."""
        self._stop.set()

    @property
    def partitions(self) -> Sequence[Partition]:
        """The partitions that are ours."""
        return tuple(self._partitions.values())

    async def run(self) -> None:
        """Run until stopped. Raises JournalBroken, in a group."""
        patience = _Patience()
        while not self._stop.is_set():
            try:
                await self._connected(patience)
            except* StreamError as group:
                taken = [each for each in group.exceptions if isinstance(each, InstanceTaken)]
                problem = (taken or group.exceptions)[0]
                if not self._stop.is_set():
                    await (self._yield(problem) if taken else self._wait_out(problem, patience.next()))
        STREAM_UP.labels(self.name).set(0)

    async def _yield(self, taken: Exception) -> None:
        """Yield to the member that has the instance. This is logged once, since it may last long."""
        if not self._yields:
            emit("stream.fenced", source=self.name, group=self._subscription.group, detail=str(taken))
        self._yields = True
        self.trouble = str(taken)
        STREAM_UP.labels(self.name).set(0)
        await self._stopped_within(_LONGEST_WAIT)

    async def _wait_out(self, problem: Exception, seconds: float) -> None:
        self.trouble = str(problem)
        STREAM_UP.labels(self.name).set(0)
        emit("stream.disconnected", source=self.name, detail=str(problem), again_in=seconds)
        await self._stopped_within(seconds)

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    async def _connected(self, patience: _Patience) -> None:
        joining = opened(self._subscription, self.name, self, yields=self._yields)
        async with joining as consumer, asyncio.TaskGroup() as tasks:
            self._consumer, self._tasks, self._yields = consumer, tasks, False
            helpers = [
                tasks.create_task(self._committing(consumer)),
                tasks.create_task(self._looking(consumer, patience)),
            ]
            try:
                await self._pump(consumer)
                await self.let_go()
            finally:
                self._forget()
                for task in helpers:
                    task.cancel()
                self._consumer = self._tasks = None

    def _forget(self) -> None:
        """Forget all partitions: none is ours any more. What was measured of them stays until the group has given them
        to another. An alarm for their lag must not fall silent because the brokers are away."""
        for partition in self._partitions.values():
            partition.close()
        self._partitions = {}

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _pump(self, consumer: Consumer) -> None:
        stopping = asyncio.ensure_future(self._stop.wait())
        reading: asyncio.Future[Mapping[Place, Portion]] | None = None
        try:
            while not self._stop.is_set():
                share = self._share()
                asked = self._regulate(consumer, share)
                wanted = {place: partition.next for place, partition in asked.items()}
                full = any(each.full is not None for each in self._partitions.values())
                seconds = _POLL_WHILE_FULL if full else _POLL
                reading = asyncio.ensure_future(consumer.batch(wanted, seconds=seconds, most=share.most))
                await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    return
                self._take(reading, asked, consumer)
        finally:
            stopping.cancel()
            if reading is not None and not reading.cancel() and not reading.cancelled():
                reading.exception()  # we leave for another failure: this one has been heard

    def _take(
        self,
        reading: "asyncio.Future[Mapping[Place, Portion]]",
        asked: Mapping[Place, Partition],
        consumer: Consumer,
    ) -> None:
        """Take what was read. What was asked for a partition that was given back or begun anew meanwhile is dropped."""
        try:
            portions = reading.result()
        except PositionLost as lost:
            for place in lost.places:
                self._place_anew(place, consumer)
            return
        largest = 0
        for place, portion in portions.items():
            partition = asked[place]
            if self._partitions.get(place) is partition:
                largest = max(largest, partition.add(portion))
                self._judge(partition, portion)
                self._work(partition)
        if largest:
            self._largest = max(largest, self._largest // 2)

    def _judge(self, partition: Partition, portion: Portion) -> None:
        """Log that a partition cannot be read, each time it was tried, and when it can be read again."""
        if portion.broken:
            partition.broken = portion.broken
            partition.again = asyncio.get_running_loop().time() + _LONGEST_WAIT
            self._gauge(STOPPED, partition.place, 1)
            self._emit_of_partition("partition.stopped", partition.place, offset=partition.next, detail=portion.broken,
                                 again_in=_LONGEST_WAIT)  # fmt: skip
        elif partition.broken and portion.records:
            partition.broken = ""
            self._gauge(STOPPED, partition.place, 0)
            self._emit_of_partition("partition.resumed", partition.place, offset=portion.records[0].offset)
        if partition.is_uncommitted:
            self._dirty.set()

    def _share(self) -> "_Share":
        """The share of each partition: a topic that waits takes no memory from others."""
        parts = max(1, len(self._partitions))
        records = max(1, self._subscription.in_flight // parts)
        size = self._subscription.bytes_in_flight // parts
        most = max(1, min(records // 2, size // 2 // self._largest))
        return _Share(records=records // 2, size=size // 2, most=most)

    def _regulate(self, consumer: Consumer, share: "_Share") -> Mapping[Place, Partition]:
        """Choose the partitions that are asked for records. What the client holds of a full partition stays there for a
        moment, so that it need not be fetched again each time. If the partition stays full, it is thrown away."""
        asked: dict[Place, Partition] = {}
        now = asyncio.get_running_loop().time()
        for place, partition in self._partitions.items():
            enough = partition.records > share.records or (partition.bytes > share.size and partition.records > 0)
            partition.full = (partition.full or now) if enough else None
            unfit = partition.position is None or bool(partition.stopped) or now < partition.again
            pause = unfit or (partition.full is not None and now - partition.full > _HELD)
            if pause != partition.paused:
                partition.paused = pause
                (consumer.pause if pause else consumer.resume)(place)
            if partition.position is not None and (pause or not enough):
                asked[place] = partition
        return asked

    # -- storing -------------------------------------------------------------------------------------------------------

    def _work(self, partition: Partition) -> None:
        if partition.waiting and partition.storing is None and self._tasks is not None:
            partition.storing = self._tasks.create_task(self._store(partition))

    async def _store(self, partition: Partition) -> None:
        try:
            carried: Envelope | None = None
            while partition.waiting:
                wave, records, carried = await self._wave(partition, carried)
                if not wave or not await self._stored(wave, partition):
                    return
                partition.stored(records)
                self._dirty.set()
        finally:
            partition.storing = None
            partition.waits = ""

    async def _wave(
        self, partition: Partition, carried: Envelope | None
    ) -> tuple[Sequence[Envelope], Sequence[Record], Envelope | None]:
        """The next documents, each of another order; their records; the document that must wait for them."""
        wave: list[Envelope] = []
        records: list[Record] = []
        lanes: set[tuple[str, str]] = set()
        while partition.waiting and len(wave) < _WAVE:
            envelope, carried = carried or await self._read(partition.waiting[0], partition), None
            if envelope is None or not partition.waiting:
                break
            if (envelope.tenant, envelope.lane) in lanes:
                return wave, records, envelope
            lanes.add((envelope.tenant, envelope.lane))
            wave.append(envelope)
            records.append(partition.waiting.popleft())
        return wave, records, None

    async def _read(self, record: Record, partition: Partition) -> Envelope | None:
        """Read one record, and wait as long as it cannot be read now. None: we stop meanwhile."""
        patience = _Patience()
        while True:
            try:
                envelope = await self._conversed(record)
            except NotNow as problem:
                wait = patience.next()
                self._wait(partition, str(problem), again_in=wait, offset=record.offset)
                if await self._stopped_within(wait) or partition.leaving:
                    return None
                continue
            except Exception as problem:  # noqa: BLE001 - the boundary to connector code
                envelope = self._source.unreadable(record, reason_of(problem, self.name))
            partition.waits = ""
            return msgspec.structs.replace(envelope, came_at=clock.now(), **self._names(envelope.tenant))

    def _names(self, tenant: str) -> Mapping[str, Any]:
        """The names of a tenant. If another source knows the tenant by several names, they count here too."""
        names = known_as(self._renames, tenant)
        return {"tenant": names[0], "also": tuple(names[1:])} if len(names) > 1 else {}

    def _wait(self, partition: Partition, why: str, **fields: object) -> None:
        partition.waits = why
        self._emit_of_partition("record.waits", partition.place, detail=why, **fields)

    async def _conversed(self, record: Record) -> Envelope:
        if record.fault:
            raise Malformed(record.fault)
        return storable(await run_async(self._source.read(record), self._answered))

    async def _answered(self, request: Request) -> Response:
        answer = await self._ask(request)
        if isinstance(answer, str):
            raise NotNow(f"no answer from {request.url.partition('?')[0]}: {answer}")
        return answer

    async def _stored(self, wave: Sequence[Envelope], partition: Partition) -> bool:
        """Store a wave, and try again until the journal has all of it: a journal that is full or slow makes the
        partition wait. False: we left."""
        patience = _Patience(longest=5)
        while wave := await self._refused(wave, partition, again_in=(wait := patience.next())):
            if await self._stopped_within(wait) or partition.leaving:
                return False
        partition.waits = ""
        return True

    async def _refused(self, wave: Sequence[Envelope], partition: Partition, *, again_in: float) -> Sequence[Envelope]:
        """Store a wave, and return the envelopes that the journal cannot take now. It has the others. One log line
        covers all of them."""
        started = clock.monotonic()
        incoming = [Awaited(envelope) for envelope in wave]
        self._journal.take_in([WithoutNames(one, self._journal) for one in incoming])
        refused: list[Envelope] = []
        why = ""
        answers = await asyncio.gather(*(one.answer for one in incoming), return_exceptions=True)
        for one, answer in zip(incoming, answers, strict=True):
            if isinstance(answer, JournalBusy | NotStorable):
                refused.append(one.envelope)
                why = str(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                _emit_stored(one.envelope, answer, clock.monotonic() - started)
        if refused:
            self._wait(partition, why, again_in=again_in, records=len(refused), id=refused[0].id)
        return refused

    # -- positions -----------------------------------------------------------------------------------------------------

    async def _committing(self, consumer: Consumer) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(self._subscription.commit_every.total_seconds())
            self._dirty.clear()
            await self._commit(consumer)

    async def _commit(self, consumer: Consumer) -> None:
        """Commit what is stored, of partitions that are ours. If the group has forgotten a position, its topic was
        deleted."""
        positions: dict[Place, int] = {}
        for partition in [each for each in self._partitions.values() if each.is_uncommitted]:
            if partition.committed is not None and await consumer.committed(partition.place) is None:
                self._place_anew(partition.place, consumer)
            elif partition.position is not None:
                positions[partition.place] = partition.position
        if not positions:
            return
        await self._keep_all(positions)
        if await consumer.commit(positions):
            for place, offset in positions.items():
                if (kept := self._partitions.get(place)) is not None:
                    kept.committed = offset

    async def _keep_all(self, positions: Mapping[Place, int]) -> None:
        """Keep the positions in the journal too: a restored copy of the journal is read on from there. If the journal
        cannot take them now, they are behind what is stored, and more is read again than must be."""
        offsets = {(topic, number): offset for (topic, number), offset in positions.items()}
        with suppress(JournalBusy, TimeoutError):
            async with asyncio.timeout(_KEEPING):
                await self._journal.keep_positions(self.name, offsets)

    def _place_anew(self, place: Place, consumer: Consumer) -> None:
        """Place a partition again: its position is not in the log any more. A partition that is not placed yet is about
        to be."""
        old = self._partitions.get(place)
        if old is None or old.position is None or self._tasks is None:
            return
        old.close()
        self._add(place, consumer, self._tasks.create_task(self._kept()))

    def _add(self, place: Place, consumer: Consumer, kept: "asyncio.Task[Positions | None]") -> None:
        consumer.pause(place)
        partition = self._partitions[place] = Partition(place)
        if self._tasks is not None:
            self._tasks.create_task(self._place(partition, consumer, kept))

    async def _kept(self) -> "Positions | None":
        """The positions that the journal has. None: we stop before it can say so."""
        patience = _Patience(longest=5)
        while not self._stop.is_set():
            try:
                return await self._journal.positions(self.name)
            except JournalBusy as busy:
                wait = patience.next()
                for partition in [each for each in self._partitions.values() if each.position is None]:
                    self._wait(partition, str(busy), again_in=wait)
                await self._stopped_within(wait)
        return None

    async def _place(self, partition: Partition, consumer: Consumer, kept: "asyncio.Task[Positions | None]") -> None:
        """Begin where the group is, or where the configuration says, and nowhere else. If the journal was put back,
        begin at its own position, if that is earlier."""
        place, positions = partition.place, await kept
        if positions is None:
            return
        committed = await consumer.committed(place)
        first, end = await consumer.bounds(place)
        start = await self._start(place, first, end, consumer) if may_start(place, committed, positions) else end
        origin = origin_of(place, positions, committed=committed, start=start, end=end)
        offset = origin.offset
        if not (first <= offset <= end or (offset > end and await consumer.reaches(place, offset))):
            if self._subscription.lost == "stop":
                self._stop_partition(partition, origin, first, end)
                return
            offset = first if self._subscription.lost == "earliest" else end
            self._emit_of_partition("partition.placed", place, offset=offset, detail="its position was lost",
                                 position=origin.offset, first=first, end=end)  # fmt: skip
        elif origin.event and (committed is None or committed > first):
            self._emit_of_partition(origin.event, place, offset=offset, position=committed, detail=origin.detail)
        if origin.event == REWOUND:
            if not await consumer.commit({place: offset}):
                return
            committed = offset
        if positions.get(place) == Position(offset=offset) or await self._keep(partition, offset):
            self._begin(partition, consumer, offset, committed)

    def _begin(self, partition: Partition, consumer: Consumer, offset: int, committed: int | None) -> None:
        if not partition.closed and consumer.seek(partition.place, offset):
            partition.waits = ""
            partition.begin(offset, committed)
            self._gauge(STOPPED, partition.place, 0)
            self._dirty.set()

    async def _keep(self, partition: Partition, offset: int) -> bool:
        """Keep in the journal where the partition begins, before a record of it is stored. False: we stopped or left
        before."""
        patience = _Patience(longest=5)
        while not partition.leaving:
            try:
                await self._journal.keep_positions(self.name, {partition.place: offset})
            except JournalBusy as busy:
                wait = patience.next()
                self._wait(partition, str(busy), again_in=wait)
                if await self._stopped_within(wait):
                    return False
                continue
            partition.waits = ""
            return True
        return False

    def _stop_partition(self, partition: Partition, origin: Origin, first: int, end: int) -> None:
        lost = {"position": origin.offset, "first": first, "end": end}
        text = _LOST_BY_JOURNAL if origin.event == REWOUND else _LOST
        partition.stopped = text.format(**lost, last=first - 1) + _CHOICE
        partition.committed = origin.offset
        self._gauge(STOPPED, partition.place, 1)
        self._emit_of_partition("partition.stopped", partition.place, detail=partition.stopped, **lost)

    def _gauge(self, gauge: Gauge, place: Place, value: float) -> None:
        self._measured.add(place)
        gauge.labels(self.name, place.topic, str(place.partition)).set(value)

    def _emit_of_partition(self, event: str, place: Place, **fields: object) -> None:
        emit(event, source=self.name, topic=place.topic, partition=place.partition, **fields)

    async def _start(self, place: Place, first: int, end: int, consumer: Consumer) -> int:
        match self._subscription.start:
            case "earliest":
                return first
            case "latest":
                return end
            case datetime() as at:
                found = await consumer.offset_at(place, at)
                return end if found is None else found

    # -- the group -----------------------------------------------------------------------------------------------------

    async def taken(self, places: Sequence[Place]) -> None:
        """Take these partitions. The client calls this when the group has given them to us."""
        if self._consumer is None:
            return
        for place in self._measured.difference(places):
            self._measured.remove(place)
            for gauge in (LAG, POSITION, STOPPED):
                with suppress(KeyError):
                    gauge.remove(self.name, place.topic, str(place.partition))
        if self._tasks is not None:
            kept = self._tasks.create_task(self._kept())
            for place in places:
                self._add(place, self._consumer, kept)
        emit("stream.assigned", source=self.name, partitions=[f"{topic}/{number}" for topic, number in sorted(places)])

    async def let_go(self) -> None:
        """Let all partitions go. The client calls this before the group takes them back. What is on its way is stored
        and committed."""
        partitions = list(self._partitions.values())
        for partition in partitions:
            partition.leave()
        storing = [partition.storing for partition in partitions if partition.storing is not None]
        for partition in partitions:
            if partition.waits and partition.storing is not None:
                partition.storing.cancel()  # it could wait for as long as the journal or a registry does
        if storing:
            _, late = await asyncio.wait(storing, timeout=_DRAIN)
            for task in late:
                task.cancel()
        if self._consumer is not None:
            with suppress(StreamError):
                await self._commit(self._consumer)
        if partitions:
            emit("stream.revoked", source=self.name, partitions=len(partitions))
        self._forget()

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _looking(self, consumer: Consumer, patience: _Patience) -> None:
        """Look at the lag for gauges, at topics that are not there, and whether the brokers still answer."""
        missing: Sequence[str] = ()
        elsewhere = [0, 0]
        while True:
            elsewhere = [elsewhere[-1], consumer.elsewhere()]
            # Look twice: while the group is forming, no member has a partition.
            if not self._journal.is_shared and min(elsewhere) and not self._shares_its_group:
                self._shares_its_group = True
                emit("stream.group_shared", source=self.name, group=self._subscription.group, detail=_SHARED)
            missing = await self._unless_throttled(consumer, self._look(consumer, missing), missing)
            if self.trouble:
                emit("stream.connected", source=self.name, group=self._subscription.group)
            self.trouble = ""
            STREAM_UP.labels(self.name).set(1)
            await asyncio.sleep(_LOOK)
            patience.reset()  # who is refused as soon as he reads has not lasted so long

    async def _look(self, consumer: Consumer, missing: Sequence[str]) -> Sequence[str]:
        """The topics that are not there, and that were not reported before."""
        found = () if self._subscription.pattern else await consumer.missing(self._subscription.topics)
        if found and found != missing:
            detail = "they are read as soon as they are there; check their names and what this user may see"
            emit("stream.topics_missing", source=self.name, topics=found, detail=detail)
        await self._measure(consumer)
        return found

    async def _unless_throttled(
        self, consumer: Consumer, look: Awaitable[Sequence[str]], before: Sequence[str]
    ) -> Sequence[str]:
        """A member that a quota makes wait has not failed, whatever a look at the brokers says."""
        if seconds := consumer.throttled:
            if not self._is_throttled:
                emit("stream.throttled", source=self.name, seconds=round(seconds, 1), detail=_THROTTLED)
            self._is_throttled = True
        else:
            self._is_throttled = False
        try:
            return await look
        except StreamError:
            if not consumer.throttled:
                raise
            return before

    async def _measure(self, consumer: Consumer) -> None:
        """Measure the lag. The lag of a partition that has stopped counts from its committed position: it grows until
        somebody comes."""
        placed = {place: each for place, each in self._partitions.items() if each.position is not None or each.stopped}
        ends = await consumer.ends(list(placed)) if placed else {}
        for place, end in ends.items():
            partition = placed[place]
            position = partition.committed if partition.position is None else partition.position
            if not partition.closed and position is not None:
                partition.lag = max(0, end - position)
                self._gauge(LAG, place, partition.lag)
                self._gauge(POSITION, place, position)


_SHARED = (
    "another bridge reads in this group, and a SQLite journal knows only what its own bridge took: after a crash an "
    "order could be sent by both. Give each bridge a group of its own, or keep one journal for all in Postgres"
)
_THROTTLED = (
    "the brokers slow this client down by a quota, and are heeded; if the lag grows, give it a larger one "
    "(consumer_byte_rate, request_percentage)"
)
_LOST = (
    "the log has no record at the committed position {position}: it goes from {first} to {end}. Records may be "
    "missing, so nothing more is read of this partition. "
)
_LOST_BY_JOURNAL = (
    "the journal was put back and has this partition up to offset {position}, but the log goes from {first} to {end}: "
    "records {position} to {last} may be missing, so nothing more is read of this partition. "
)
_CHOICE = (
    "Decide, write `on_lost_position: earliest` (all that the log still has) or `latest` (only what comes from now on) "
    "in the source, and restart"
)


def _emit_stored(envelope: Envelope, appended: Appended, seconds: float) -> None:
    """Log the one line of a record."""
    names = envelope.names(appended.seq)
    if envelope.reason is Reason.UNREADABLE and not appended.known:
        emit("record.dead", **names, reason=envelope.reason, detail=envelope.detail)
    result = "known" if appended.known else "dead" if envelope.reason is Reason.UNREADABLE else "stored"
    emit("record.received", **names, result=result, bytes=len(envelope.raw), seconds=round(seconds, 4))
