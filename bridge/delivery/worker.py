"""The pump of one destination: it claims in bulk, keeps as many lanes in flight as the breaker allows, and never
polls."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from bridge import clock
from bridge.contract import Outcome, Response
from bridge.delivery.breaker import Breaker, BreakerState, after, after_probe, allowed, probe_is_due
from bridge.delivery.client import Client
from bridge.delivery.concurrency import ConcurrencyLimit
from bridge.delivery.conversation import Route
from bridge.delivery.document import LIGHT, ClaimedDocument, DocumentDelivery
from bridge.delivery.fetching import Fetcher
from bridge.delivery.outage import mark, noted
from bridge.delivery.policy import LONGEST_REST
from bridge.delivery.send_queue import SendQueue
from bridge.errors import JournalBusy
from bridge.journal import Claim, Hold, Journal
from bridge.mapping.rulebook import Rulebook
from bridge.telemetry import BREAKER, LIMIT, UP, emit

_BUDGET = 16 * 1024 * 1024  # bytes of documents in one claim
_JOURNAL_AGAIN = 0.5  # seconds until a busy journal is asked again
_PROBE_AGAIN = 0.05  # seconds
_LONGEST_SLEEP = 60.0  # seconds
_ANOTHER_AGAIN = 1.0
"""Seconds between facts that are tried before a pause has ended: repeated denials must not become a storm."""

SLICE = 0.005
"""Seconds of mapping after which the event loop has its turn."""
_MOST_HEAVY = 4
"""The most heavy documents on their way at once: what they give is large too."""


class Worker:
    """Sends the documents of one destination until it is stopped. Then it finishes what is in flight."""

    def __init__(
        self, route: Route, *, journal: Journal, book: Rulebook, client: Client, fetcher: Fetcher | None = None
    ) -> None:
        self._route = route
        self._journal = journal
        self._client = client
        self._clock = asyncio.get_running_loop().time
        self._delivery = DocumentDelivery(
            route, journal=journal, book=book, client=client, on_outcome=self._on_outcome, fetcher=fetcher
        )
        self._breaker = Breaker()
        self._concurrency = ConcurrencyLimit(route.bounds)
        self._queue = SendQueue(self._delivery.first_rule)
        self._tries_another = self._another_waits = False
        self._another_at = -_ANOTHER_AGAIN
        self._in_flight = 0
        self._heavy = asyncio.Semaphore(_MOST_HEAVY)
        self._stopping = self._knows_holds = False
        self._maybe_due = True
        self._times_set: int | None = None
        self._next_due: datetime | None = None
        self._since: datetime | None = None
        self._note = ""
        self._remembered: str | None = None
        self._wake = asyncio.Event()
        journal.watch(route.name, self._something_due)
        UP.labels(route.name).set(1)
        BREAKER.labels(route.name).set(0)
        LIMIT.labels(route.name).set(self._concurrency.limit)

    @property
    def name(self) -> str:
        return self._route.name

    @property
    def is_shadow(self) -> bool:
        """Whether its facts are kept and not sent."""
        return self._route.shadow

    @property
    def state(self) -> str:
        return self._breaker.state.value

    @property
    def reason(self) -> str:
        """The reason why the destination is not well; empty if it is."""
        return self._breaker.reason

    @property
    def since(self) -> datetime | None:
        """The time at which the state last changed. None: it has always been the same."""
        return self._since

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def limit(self) -> int:
        """The number of lanes that may be in flight at once, as learned from the destination's answers."""
        return self._concurrency.limit

    @property
    def latency(self) -> float:
        """The latency of the last requests, in seconds."""
        return self._client.latency

    @property
    def asks_again_in(self) -> float:
        """Seconds until the destination is asked again, while nothing is sent; else 0.0."""
        return self._breaker.rest(self._clock())

    @property
    def holds(self) -> Sequence[Hold]:
        """The rules that are held, and why."""
        return sorted(self._delivery.held.values(), key=lambda hold: hold.rule)

    def release(self, rule: str) -> None:
        """Release a rule, as a person decided. The journal makes its lanes due."""
        self._delivery.release(rule)

    def learn_holds(self) -> None:
        """Learn the holds again, since the rules have changed. Held rules that have changed go on. Nothing begins until
        this is known."""
        self._knows_holds = False
        self._wake.set()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopping = True
        self._wake.set()

    def _something_due(self) -> None:
        self._maybe_due = True
        self._wake.set()

    async def run(self) -> None:
        """Run until the last lane in flight has ended, after `stop`."""
        async with asyncio.TaskGroup() as lanes:
            while not self._stopping:
                self._wake.clear()
                if not (self._knows_holds or await self._learned()):
                    await asyncio.sleep(_JOURNAL_AGAIN)
                    continue
                self._give_back(lanes)
                await self._hasten()
                await self._refill()
                await self._look_ahead()
                await self._start(lanes)
                await self._remember()
                if probe_is_due(self._breaker, self._clock()):
                    await self._probe()
                else:
                    await self._sleep()

    async def _learned(self) -> bool:
        self._knows_holds = True  # said before the question: rules that change meanwhile are asked for again
        try:
            await self._delivery.learn_holds()
        except JournalBusy as problem:
            emit("journal.busy", dest=self.name, detail=str(problem))
            self._knows_holds = False
        return self._knows_holds

    async def _hasten(self) -> None:
        """Make lanes due that wait for a time that no wait of ours gives. This is done at the start, and after this
        machine's clock was set."""
        times = clock.times_set()
        if times == self._times_set:
            return
        now, longest = clock.now(), max(self._route.retry.longest_wait, LONGEST_REST)
        try:
            count = await self._journal.hasten(self.name, beyond=now + longest, now=now)
        except JournalBusy as problem:
            emit("journal.busy", dest=self.name, detail=str(problem))
            return
        self._times_set = times
        self._maybe_due = True
        if count:
            emit("lanes.hastened", dest=self.name, count=count, detail="they waited for a time that a wrong clock gave")

    async def _remember(self) -> None:
        """Remember in the journal why nothing is sent. If the journal is busy, this is done later."""
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

    def _has_capacity(self) -> bool:
        capacity = self._concurrency.limit - len(self._queue)
        return self._breaker.state is not BreakerState.DOWN and capacity >= (self._concurrency.limit + 1) // 2

    def _give_back(self, lanes: asyncio.TaskGroup) -> None:
        """Give back claims that wait here and that a person has decided about: commands must not find them in
        flight."""
        if not self._queue or not (revoked := self._journal.revoked(self.name)):
            return
        for claim in self._queue.taken_out(revoked):
            lanes.create_task(self._delivery.give_back(claim))

    async def _refill(self) -> None:
        """Claim in bulk: one question to the journal serves many lanes."""
        if not self._has_capacity() or not self._is_due():
            return
        self._maybe_due = False
        try:
            claims = await self._claimed()
            self._next_due = None if self._maybe_due else await self._journal.next_due(self._route.name)
        except JournalBusy as problem:
            emit("journal.busy", dest=self._route.name, detail=str(problem))
            self._next_due = clock.now() + timedelta(seconds=_JOURNAL_AGAIN)
            return
        self._queue.claims.extend(claims)

    async def _claimed(self) -> Sequence[Claim]:
        capacity = self._concurrency.limit - len(self._queue)
        claims = await self._journal.claim(self._route.name, now=clock.now(), limit=capacity, budget=_BUDGET)
        self._maybe_due |= bool(claims)
        return claims

    async def _look_ahead(self) -> None:
        """Try at once, during a pause, a fact of a rule that was not denied: the pause may not be about that rule."""
        self._tries_another = self._another_waits = False
        if self._breaker.state is not BreakerState.PAUSED:
            self._queue.resume()
            return
        denied = self._delivery.denied
        if not denied or self._in_flight or not self._queue:
            return
        is_another = await self._queue.put_first(denied, self._claim_further)
        if is_another and not self._breaker.is_costly:
            self._another_waits = True
            if self._another_in() <= 0:
                self._tries_another, self._another_waits, self._another_at = True, False, self._clock()
                self._queue.try_first()
        elif not is_another and self._free() > 0:
            await self._delivery.step_back(self._queue.cut())

    def _another_in(self) -> float:
        return self._another_at + _ANOTHER_AGAIN - self._clock()

    async def _claim_further(self) -> bool:
        """Claim more than may be in flight, to find a fact that can be tried."""
        if not self._is_due() or self._queue.is_full:
            return False
        self._maybe_due = False
        try:
            claims = await self._journal.claim(
                self.name, now=clock.now(), limit=self._concurrency.limit, budget=_BUDGET
            )
        except JournalBusy as problem:
            emit("journal.busy", dest=self.name, detail=str(problem))
            self._maybe_due = True
            return False
        self._maybe_due |= bool(claims)
        self._queue.claims.extend(claims)
        return bool(claims)

    def _is_due(self) -> bool:
        return self._maybe_due or (self._next_due is not None and clock.now() >= self._next_due)

    async def _start(self, lanes: asyncio.TaskGroup) -> None:
        """Start claims slice by slice, so that the event loop has its turn. What was mapped is stored before more is
        mapped."""
        while self._queue and not (self._delivery.unstored or self._stopping):
            claims = [self._queue.claims.popleft() for _ in range(min(self._free(), len(self._queue)))]
            if not claims:
                return
            self._in_flight += len(claims)
            # Map the whole slice before the first fact is sent: mapping in a row costs half of mapping one by one.
            began = clock.monotonic()
            documents = self._slice(claims, lanes)
            self._queue.claims.extendleft(reversed(claims))
            self._in_flight -= len(claims)
            for document in documents:
                lanes.create_task(self._carry(document))
            # A request at the door needs some turns of the loop. After a slice that took too long, others get as long.
            # This holds after the last slice too: what was claimed meanwhile begins at once.
            await asyncio.sleep(max(0.0, clock.monotonic() - began - SLICE))

    def _slice(self, claims: list[Claim], lanes: asyncio.TaskGroup) -> Sequence[ClaimedDocument]:
        """Map as many claims as a slice of time allows, and take them out of `claims`. A heavy document is carried in a
        task of its own."""
        documents, until = [], clock.monotonic() + SLICE
        while claims:
            claim = claims.pop(0)
            if len(claim.envelope.raw) > LIGHT:
                lanes.create_task(self._carry_heavy(claim))
            else:
                documents.append(self._delivery.mapped(claim))
            if clock.monotonic() > until:
                break
        return documents

    async def _carry_heavy(self, claim: Claim) -> None:
        try:
            async with self._heavy:
                if not self._stopping:
                    await self._delivery.carry(await self._delivery.mapped_apart(claim))
        finally:
            self._in_flight -= 1
            self._wake.set()

    def _free(self) -> int:
        """The number of lanes that may start now, by the breaker, the concurrency limit and the rate."""
        now = self._clock()
        free = allowed(self._breaker, in_flight=self._in_flight, concurrency=self._concurrency.limit, now=now)
        if self._tries_another and not self._in_flight:
            free = 1
        available = self._client.available()
        return free if available is None else min(free, available)

    async def _carry(self, document: ClaimedDocument) -> None:
        try:
            await self._delivery.carry(document)
        finally:
            self._in_flight -= 1
            self._wake.set()

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds_to_sleep()):
                await self._wake.wait()

    def _seconds_to_sleep(self) -> float | None:
        """Seconds until a lane or a probe is due. None: until something happens (a lane that ends, an append)."""
        if self._delivery.unstored or not self._is_remembered():
            return _JOURNAL_AGAIN
        waits = [max(_PROBE_AGAIN, self.asks_again_in)] if self._awaits_a_probe() else []
        if self._another_waits:
            waits.append(self._another_in())
        if self._next_due is not None and self._has_capacity():
            # The journal's times come from a clock that can be set, so look at them now and then.
            waits.append(min((self._next_due - clock.now()).total_seconds(), _LONGEST_SLEEP))
        return max(0.001, min(waits)) if waits else None

    def _awaits_a_probe(self) -> bool:
        """Whether time alone brings a probe: a read, or a waiting fact that may go when the last one has ended."""
        breaker = self._breaker
        reads = breaker.state is BreakerState.DOWN or (breaker.is_costly and not breaker.has_read)
        return breaker.state.sends_nothing and (reads or self._can_probe_with_a_lane())

    def _can_probe_with_a_lane(self) -> bool:
        return bool(self._queue) and not self._in_flight

    async def _probe(self) -> None:
        answer = await self._client.send(self._route.destination.probe())
        answered = isinstance(answer, Response) and self._route.destination.is_answer(answer)
        self._become(after_probe(self._breaker, answered=answered, now=self._clock()))

    def _on_outcome(self, outcome: Outcome, began: float) -> None:
        now, before = self._clock(), self._concurrency.limit
        self._become(after(self._breaker, outcome, began=began, now=now))
        reason = self._concurrency.on_outcome(
            outcome, began=began, now=now, latency=self._client.latency, in_flight=self._in_flight
        )
        if reason:
            LIMIT.labels(self._route.name).set(self._concurrency.limit)
            emit(
                "concurrency.changed",
                dest=self._route.name,
                before=before,
                limit=self._concurrency.limit,
                reason=reason,
            )

    def _become(self, breaker: Breaker) -> None:
        before, self._breaker = self._breaker, breaker
        is_new = breaker.state is not before.state
        if is_new:
            self._since = clock.now()
            self._publish_state()
        if is_new or breaker.state.sends_nothing:
            self._note = noted(breaker, self._since, self._clock())
            self._wake.set()

    def _publish_state(self) -> None:
        """Publish the state of the destination as gauges and a log line."""
        state, reason = self._breaker.state, self._breaker.reason
        UP.labels(self.name).set(0 if state.sends_nothing else 1)
        BREAKER.labels(self.name).set(2 if state.sends_nothing else int(state is BreakerState.SUSPICIOUS))
        match state:
            case BreakerState.PAUSED | BreakerState.DOWN:
                emit("destination.paused", dest=self.name, reason=state, detail=reason)
            case BreakerState.RESTING:
                emit("destination.resting", dest=self.name, seconds=round(self.asks_again_in, 1), detail=reason)
            case BreakerState.SUSPICIOUS:
                emit("destination.suspicious", dest=self.name, reason=reason)
            case BreakerState.WELL:
                emit("destination.resumed", dest=self.name)
