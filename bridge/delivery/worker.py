"""The pump of one destination: claims in bulk, keeps as many lanes in flight as its health allows, never polls."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bridge.contract import Outcome, Response
from bridge.delivery.carrying import Carrier, Document
from bridge.delivery.conversing import Road
from bridge.delivery.courier import Courier
from bridge.delivery.limits import Health, Mood, after, after_probe, allowed, probe_is_due
from bridge.delivery.trouble import mark, noted
from bridge.delivery.window import Window
from bridge.errors import JournalBusy
from bridge.journal import Claim, Journal
from bridge.mapping.rulebook import Rulebook
from bridge.telemetry import BREAKER, LIMIT, UP, emit

_BUDGET = 16 * 1024 * 1024
_JOURNAL_AGAIN = 0.5

LIGHT = 64 * 1024
"""Bytes of a document that is mapped in the event loop: a larger one would keep everybody waiting."""
SLICE = 0.005
"""Seconds of mapping after which the event loop has its turn."""
_MOST_HEAVY = 4
"""Documents that are not light, on their way at once: what they give is large too."""


class Worker:
    """Runs until told to stop; then finishes what is in flight."""

    def __init__(self, road: Road, *, journal: Journal, book: Rulebook, courier: Courier) -> None:
        self._road = road
        self._journal = journal
        self._courier = courier
        self._carrier = Carrier(road, journal=journal, book=book, courier=courier, feel=self._feel)
        self._health = Health()
        self._window = Window(road.bounds)
        self._ready: deque[Claim] = deque()
        self._in_flight = 0
        self._heavy = asyncio.Semaphore(_MOST_HEAVY)
        self._stopping = False
        self._maybe_due = True
        self._next_due: datetime | None = None
        self._since: datetime | None = None
        self._note = ""
        self._remembered: str | None = None
        self._wake = asyncio.Event()
        journal.watch(road.name, self._something_due)
        UP.labels(road.name).set(1)
        BREAKER.labels(road.name).set(0)
        LIMIT.labels(road.name).set(self._window.limit)

    @property
    def name(self) -> str:
        return self._road.name

    @property
    def mood(self) -> str:
        return self._health.mood.value

    @property
    def reason(self) -> str:
        """Why it is not well; empty where it is."""
        return self._health.reason

    @property
    def since(self) -> datetime | None:
        """When the mood became what it is; None: it never was another."""
        return self._since

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def limit(self) -> int:
        """How many may be in flight at once, as the destination's answers have taught."""
        return self._window.limit

    @property
    def latency(self) -> float:
        """Of the last requests, in seconds."""
        return self._courier.latency

    @property
    def held_rules(self) -> Sequence[str]:
        return sorted(self._carrier.held)

    def release(self, rule: str) -> None:
        """A person released the rule; the journal makes its lanes due."""
        self._carrier.release(rule)

    async def learn_holds(self) -> None:
        """The rules have changed: those that were held and are others now go on."""
        await self._carrier.learn_holds()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping = True
        self._wake.set()

    def _something_due(self) -> None:
        self._maybe_due = True
        self._wake.set()

    async def run(self) -> None:
        """Returns after `stop`, when the last lane in flight has ended."""
        await self._carrier.learn_holds()
        async with asyncio.TaskGroup() as lanes:
            while not self._stopping:
                self._wake.clear()
                self._give_back(lanes)
                await self._refill()
                await self._start(lanes)
                await self._remember()
                if probe_is_due(self._health, _now()):
                    await self._probe()
                else:
                    await self._sleep()

    async def _remember(self) -> None:
        """The journal knows why nothing is sent. It may be busy: then it is told later."""
        if self._is_remembered():
            return
        told = self._note
        try:
            if self._remembered is None:
                self._remembered = await self._journal.recall(mark(self.name)) or ""
            if self._remembered != told:
                await self._journal.remember(mark(self.name), told)
                self._remembered = told
        except JournalBusy as problem:
            emit("journal.busy", dest=self.name, detail=str(problem))

    def _is_remembered(self) -> bool:
        return self._remembered == self._note

    def _has_room(self) -> bool:
        room = self._window.limit - len(self._ready)
        return self._health.mood is not Mood.DOWN and room >= (self._window.limit + 1) // 2

    def _give_back(self, lanes: asyncio.TaskGroup) -> None:
        """What waits here, and a person has decided about: whoever asks the journal is not to find it in flight."""
        if not self._ready or not (revoked := self._journal.revoked(self.name)):
            return
        back = [claim for claim in self._ready if (claim.lane, claim.number) in revoked]
        self._ready = deque(claim for claim in self._ready if (claim.lane, claim.number) not in revoked)
        for claim in back:
            lanes.create_task(self._carrier.give_back(claim))

    async def _refill(self) -> None:
        """Claim in bulk: one question to the journal serves many lanes."""
        overdue = self._next_due is not None and _now() >= self._next_due
        if not self._has_room() or not (self._maybe_due or overdue):
            return
        self._maybe_due = False
        try:
            claims = await self._claimed()
            self._next_due = None if self._maybe_due else await self._journal.next_due(self._road.name)
        except JournalBusy as problem:
            emit("journal.busy", dest=self._road.name, detail=str(problem))
            self._next_due = _now() + timedelta(seconds=_JOURNAL_AGAIN)
            return
        self._ready.extend(claims)

    async def _claimed(self) -> Sequence[Claim]:
        room = self._window.limit - len(self._ready)
        claims = await self._journal.claim(self._road.name, now=_now(), limit=room, budget=_BUDGET)
        self._maybe_due |= bool(claims)
        return claims

    async def _start(self, lanes: asyncio.TaskGroup) -> None:
        """Slice by slice, so that the event loop has its turn, and what was mapped is stored before there is more."""
        while self._ready and not (self._carrier.unstored or self._stopping):
            claims = [self._ready.popleft() for _ in range(min(self._free(), len(self._ready)))]
            if not claims:
                return
            self._in_flight += len(claims)
            # All of a slice are mapped before the first is sent: in a row it costs half of what it costs apart.
            began = time.perf_counter()
            documents = self._slice(claims, lanes)
            self._ready.extendleft(reversed(claims))
            self._in_flight -= len(claims)
            for document in documents:
                lanes.create_task(self._carry(document))
            # A request at the door needs some turns: after a slice that took too long others have as long. Also after
            # the last one, for what was claimed meanwhile begins at once.
            await asyncio.sleep(max(0.0, time.perf_counter() - began - SLICE))

    def _slice(self, claims: list[Claim], lanes: asyncio.TaskGroup) -> Sequence[Document]:
        """As many as can be mapped in a slice of time, taken from the claims. What is heavy goes its own way."""
        documents, until = [], time.perf_counter() + SLICE
        while claims:
            claim = claims.pop(0)
            if len(claim.envelope.raw) > LIGHT:
                lanes.create_task(self._carry_heavy(claim))
            else:
                documents.append(self._carrier.mapped(claim))
            if time.perf_counter() > until:
                break
        return documents

    async def _carry_heavy(self, claim: Claim) -> None:
        try:
            async with self._heavy:
                if not self._stopping:
                    await self._carrier.carry(await self._carrier.mapped_apart(claim))
        finally:
            self._in_flight -= 1
            self._wake.set()

    def _free(self) -> int:
        """How many more may start: as many as the breaker, the window and the rate allow."""
        now = _now()
        if now < self._window.rests_until:
            return 0
        free = allowed(self._health, in_flight=self._in_flight, concurrency=self._window.limit, now=now)
        room = self._courier.room()
        return free if room is None else min(free, room)

    async def _carry(self, document: Document) -> None:
        try:
            await self._carrier.carry(document)
        finally:
            self._in_flight -= 1
            self._wake.set()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds_to_sleep()):
                await self._wake.wait()

    def _seconds_to_sleep(self) -> float | None:
        """Until a lane is due or a probe is; None: until something happens (a lane that ends, an append)."""
        if self._carrier.unstored or not self._is_remembered():
            return _JOURNAL_AGAIN
        moments = []
        if self._next_due is not None and self._has_room():
            moments.append(self._next_due)
        if self._health.probe_at is not None and (self._health.mood is Mood.DOWN or self._can_probe_with_a_lane()):
            moments.append(self._health.probe_at)
        if self._ready and self._window.rests_until > _now():
            moments.append(self._window.rests_until)
        return max(0.001, (min(moments) - _now()).total_seconds()) if moments else None

    def _can_probe_with_a_lane(self) -> bool:
        return bool(self._ready) and not self._in_flight

    async def _probe(self) -> None:
        answer = await self._courier.send(self._road.destination.probe())
        answered = isinstance(answer, Response) and self._road.destination.is_answer(answer)
        self._become(after_probe(self._health, answered=answered, now=_now()))

    def _feel(self, outcome: Outcome, began: datetime) -> None:
        now, before = _now(), self._window.limit
        self._become(after(self._health, outcome, now))
        reason = self._window.felt(
            outcome, began=began, now=now, latency=self._courier.latency, in_flight=self._in_flight
        )
        if reason:
            LIMIT.labels(self._road.name).set(self._window.limit)
            emit("concurrency.changed", dest=self._road.name, before=before, limit=self._window.limit, reason=reason)

    def _become(self, health: Health) -> None:
        before, self._health = self._health, health
        if health.mood is before.mood:
            return
        self._since = _now()
        self._note = noted(health, self._since)
        self._wake.set()
        blocked = health.mood in (Mood.PAUSED, Mood.DOWN)
        UP.labels(self._road.name).set(0 if blocked else 1)
        BREAKER.labels(self._road.name).set(2 if blocked else int(health.mood is Mood.SUSPICIOUS))
        if blocked:
            emit("destination.paused", dest=self._road.name, reason=health.mood, detail=health.reason)
        elif health.mood is Mood.WELL:
            emit("destination.resumed", dest=self._road.name)
        else:
            emit("destination.suspicious", dest=self._road.name, reason=health.reason)


def _now() -> datetime:
    return datetime.now(UTC)
