"""One claimed document: it is mapped, its facts are sent in rule order, and all that became of it is stored."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from msgspec import structs

from bridge import chance, clock
from bridge.contract import Attempt, Envelope, Event, Outcome, Paused, Reason, Rejected, Retry, Skipped, State
from bridge.delivery.client import Client
from bridge.delivery.conversation import BeforeSending, Conversation, Route
from bridge.delivery.doubt import NONE, doubted
from bridge.delivery.evidence import Evidence, Scope
from bridge.delivery.fetching import Fetcher
from bridge.delivery.policy import LONGEST_REST, Pass, Postpone, Settle, decide
from bridge.errors import ClaimRevoked, JournalBusy, LaneLost, NotStorable
from bridge.journal import Claim, Done, Hold, Journal, Key, Postponed, Progress, Returned, Settled, Skip
from bridge.mapping.rule import LONGEST_MESSAGE
from bridge.mapping.rulebook import Rulebook
from bridge.mapping.rules import Failure, Passed, Rules, Step
from bridge.signatures import name_of
from bridge.telemetry import emit

LIGHT = 64 * 1024
"""The most bytes of a document that is mapped in the event loop: a larger one would keep everybody waiting."""
_REST = timedelta(seconds=10)
"""The rest of a rule that alone was asked to wait, if the API does not say for how long."""
_SENT = frozenset({State.DELIVERED, State.SHADOWED, State.UNCERTAIN})
_LINES_IN_A_ROW = 100  # log lines
_MARKS = 64
"""The names in the journal, for each destination, of documents that are being mapped. Several replicas may map at
once."""
_ENDED = "two processes of the bridge ended while they mapped this document: it is not tried again by itself"
_STORE_AGAIN = (0.2, 0.5, 1.0, 2.0, 5.0)  # seconds to wait, the last one again and again


FETCHED = "fetched"
"""The name that the fetching of a document has where facts have theirs: in what waits, and in what is parked."""
_Found = TypeVar("_Found")


@dataclass(slots=True)
class ClaimedDocument:
    """A claimed document on its way: the events to be sent, and what is known of it and not stored yet."""

    claim: Claim
    rules: Rules
    events: Sequence[Event] = ()
    doubted: frozenset[Key] = NONE
    settled: list[Settled] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    released: list[Key] = field(default_factory=list)
    is_thin: bool = False
    """Whether it only names a document, which is fetched instead of mapping it."""
    ended: bool = False
    """Whether a fact of it was sent and became final in this claim. The next fact then begins with its own patience."""

    def has_ended(self, key: Key) -> bool:
        """Whether this document made the fact dead when it was claimed before. Only a later document, or a person,
        tries it again."""
        return not self.claim.asked and key in self.claim.own and self.claim.held[key] is State.DEAD

    def attempt(self, now: datetime, event: Event) -> Attempt:
        """The attempt that a conversation about the event is given."""
        tried = 0 if self.ended else self.claim.attempt
        first = None if self.ended else self.claim.first_tried_at
        envelope = self.claim.envelope
        key = name_of(self.claim.dest, envelope.tenant, envelope.lane, event.fact, event.once)
        return Attempt(now=now, first_tried_at=first or now, number=tried + 1, key=key)


class DocumentDelivery:
    """Delivers the documents of one destination.

    fetcher     of documents that thin webhooks name; None: no source has such
    on_outcome  called with the outcome of every conversation that may say something of the whole destination, and with
                when it began, in seconds of the event loop's clock
    held        rules whose facts wait, and why
    """

    def __init__(
        self,
        route: Route,
        *,
        journal: Journal,
        book: Rulebook,
        client: Client,
        on_outcome: Callable[[Outcome, float], None],
        fetcher: Fetcher | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._route = route
        self._journal = journal
        self._book = book
        self._client = client
        self._on_outcome = on_outcome
        self._shape = route.destination.shape()
        self._clock = asyncio.get_running_loop().time
        self._began = clock.now() - timedelta(seconds=self._clock())
        self._rests: dict[str, float] = {}
        """The rules that alone are left alone for a while, and until when, in seconds of the event loop's clock."""
        self.evidence = Evidence()
        self.held: dict[str, Hold] = {}
        self.unstored = 0
        self._apart = asyncio.Lock()

    async def learn_holds(self) -> None:
        """Learn the rules that the journal says are held. A rule that has changed since is released."""
        for hold in await self._journal.holds():
            if hold.dest != self._route.name:
                continue
            if hold.digest == self._book.rules.digest_of(hold.rule):
                self.held[hold.rule] = hold
            else:
                self.release(hold.rule)
                await self._journal.release(hold.dest, hold.rule)
                emit("rule.released", dest=hold.dest, rule=hold.rule, detail="the rule has changed")

    def _now(self) -> datetime:
        """The time now, with a note of how far back this machine's clock has been: a first try may have that time."""
        now = clock.now()
        self._began = min(self._began, now - timedelta(seconds=self._clock()))
        return now

    def _set_ahead(self) -> timedelta:
        """The time by which this machine's clock was set ahead since it was furthest back, compared with the clock that
        nobody sets. Nothing is given up for a time that has not passed."""
        moved = self._now() - timedelta(seconds=self._clock()) - self._began
        return moved if moved > clock.WAS_SET else timedelta()

    def release(self, rule: str) -> None:
        """Forget the hold of a rule: a person released it."""
        self.held.pop(rule, None)
        self._rests.pop(rule, None)
        self.evidence.forget(rule)

    def mapped(self, claim: Claim) -> ClaimedDocument:
        """Map a document by the rules of now. What they give is still to be sent."""
        document = ClaimedDocument(claim, self._book.rules)
        if self._fetcher is not None and self._fetcher.is_thin(claim.envelope):
            document.is_thin = True
            return document
        sent = [key for key, state in claim.held.items() if state in _SENT] if document.rules.reads_told else ()
        steps = document.rules.apply(claim.envelope, self._route.name, stale=claim.is_stale, sent=sent)
        return self._given(document, steps)

    def _given(self, document: ClaimedDocument, steps: Sequence[Step]) -> ClaimedDocument:
        claim = document.claim
        document.events = self._free_events(document, steps)
        if claim.doubtful or claim.restored is not None:
            document.doubted = doubted(claim, document.rules, steps)
        return document

    async def mapped_apart(self, claim: Claim) -> ClaimedDocument:
        """Map a document as `mapped` does, but beside the event loop, one document at a time.

        The journal marks the document meanwhile, since what rules make of it may need more memory than a container may
        have. If a second process ends while the document has its mark, the document is dead until a person has it tried
        again. Otherwise it would end every process after those.
        """
        once = str(claim.seq)
        again = f"{once} again"
        mark = f"mapping:{self._route.name}:{claim.seq % _MARKS}"
        async with self._apart:
            before = await self._until_stored(lambda: self._journal.recall(mark))
            if before == again:
                document = ClaimedDocument(claim, self._book.rules)
                self._given(document, document.rules.unmapped(claim.envelope, self._route.name, _ENDED))
            else:
                told = again if before == once else once
                await self._until_stored(lambda: self._journal.remember(mark, told))
                document = await asyncio.to_thread(self.mapped, claim)
            await self._until_stored(lambda: self._journal.remember(mark, ""))
        return document

    @property
    def denied(self) -> Mapping[str, float]:
        """Rules that were denied and still ask, each with the last time it was denied."""
        return {rule: at for rule, at in self.evidence.denied.items() if rule not in self.held}

    def first_rule(self, claim: Claim) -> str | None:
        """The rule of the first fact that would be sent of the document now. None: nothing would be sent, or it is
        costly to know."""
        if len(claim.envelope.raw) > LIGHT:
            return None
        return next((event.rule for event in self.mapped(claim).events), None)

    async def step_back(self, claims: Sequence[Claim]) -> None:
        """Put the lanes of these claims behind all others that are due."""
        detail = "while nothing is sent, others are looked at first"
        end = Postponed(until=self._now(), fact="", reason=Reason.NOT_ALLOWED, detail=detail)
        await asyncio.gather(*[self._end(ClaimedDocument(claim, self._book.rules), end) for claim in claims])

    async def carry(self, document: ClaimedDocument) -> None:
        """Carry the document to the end, or until it must wait. All is stored when this returns."""
        try:
            end = await self._delivered(document)
        except LaneLost as lost:
            self._lose(document.claim, lost)
        else:
            await self._end(document, end)

    async def _end(self, document: ClaimedDocument, end: Done | Postponed | Returned) -> None:
        try:
            await self._store(document, end=end)
            if isinstance(end, Postponed) and end.rule and end.rule not in self.held:
                await self._journal.release(self._route.name, end.rule)  # it was released while this was stored
        except LaneLost as lost:
            self._lose(document.claim, lost)

    def _lose(self, claim: Claim, lost: LaneLost) -> None:
        """Log that the lane was lost. The process that has the lane now decides: what departed is uncertain there, all
        else is sent from the start."""
        emit("lane.lost", **_names(claim), dest=self._route.name, detail=str(lost))

    async def give_back(self, claim: Claim) -> None:
        """Give back a claim of which nothing was begun."""
        with suppress(LaneLost):
            await self._store(ClaimedDocument(claim, self._book.rules), end=Returned())

    async def _delivered(self, document: ClaimedDocument) -> Done | Postponed | Returned:
        try:
            await self._confirm(document.claim)
            return await self._deliver(document)
        except ClaimRevoked:
            # It is mapped again by what the journal says then, if anything of it is still to be sent.
            document.settled, document.skips = [], []
            return Returned()

    async def _deliver(self, document: ClaimedDocument) -> Done | Postponed:
        if document.is_thin and self._fetcher is not None:
            return await self._fetch(document, self._fetcher)
        for event in document.events:
            if event.rule in self.held:
                return Postponed(until=None, fact=event.fact, reason=Reason.RULE_HELD, rule=event.rule)
            if (resting := self._resting(event)) is not None:
                return resting
            if document.settled:
                await self._store(document, end=None)
            postponed = await self._send(document, event)
            if postponed is not None:
                return postponed
        if document.claim.asked and not document.settled and not document.events:
            document.skips.append(Skip(reason=Reason.NO_SUCH_KEY))
        return Done()

    async def _fetch(self, document: ClaimedDocument, fetcher: Fetcher) -> Done | Postponed:
        """Fetch the document that this one names, and append it to the lane. Until then the lane waits. It has the same
        id at every attempt, so it is in the lane once, also after a crash and for several destinations."""
        claim = document.claim
        key = (FETCHED, once_of(claim.envelope.id))
        if document.has_ended(key):
            return Done()
        now = self._now()
        found = await fetcher.fetch(claim.envelope, now=now, fresh=bool(claim.asked))
        if isinstance(found, Envelope):
            fetched = found
            await self._until_stored(lambda: self._journal.append(fetched))
            found = Skipped(Reason.FETCHED, f"as {fetched.id}")
        decision = decide(
            found,
            attempt=claim.attempt + 1,
            now=now,
            first_tried_at=(claim.first_tried_at or now) + self._set_ahead(),
            retry=self._route.retry,
            chance=chance.fraction(),
        )
        match decision:
            case Postpone():
                return self._postponed(claim, FETCHED, "", decision)
            case Pass(reason=reason, detail=detail):
                document.skips.append(Skip(reason=reason, detail=detail))
                dead = [held for held, state in claim.held.items() if held[0] == FETCHED and state is State.DEAD]
                document.released += dead
                document.skips += [Skip(reason=Reason.HEALED) for _ in dead]
            case Settle():
                _note(document, key, "", decision)
        return Done()

    def _free_events(self, document: ClaimedDocument, steps: Sequence[Step]) -> list[Event]:
        """The events whose key is free. All other steps are noted in the document."""
        events: list[Event] = []
        for step in steps:
            match step:
                case Passed():
                    document.skips.append(Skip(reason=step.reason, rule=step.rule or ""))
                case Failure() | Event() if document.has_ended((step.fact, step.once or "")):
                    pass
                case Failure() | Event() if self._is_held(document, step.fact, step.once or ""):
                    document.skips.append(Skip(reason=Reason.ALREADY, rule=step.rule))
                case Failure():
                    failed = Settle(state=State.DEAD, reason=Reason.RULE_FAILED, detail=step.message)
                    _note(document, (step.fact, step.once or ""), step.rule, failed)
                case Event():
                    events.append(step)
        return events

    def _is_held(self, document: ClaimedDocument, fact: str, once: str) -> bool:
        """Whether the key is held, under the fact's name or under one that is the same."""
        claim = document.claim
        return bool(claim.held) and document.rules.is_held(
            fact, self._route.name, lambda name: claim.held.get((name, once)), united=claim.united
        )

    async def _send(self, document: ClaimedDocument, event: Event) -> Postponed | None:
        """Send one fact. What is final is noted in the document; what must wait postpones the lane."""
        claim, attempt = document.claim, document.attempt(self._now(), event)
        key = (event.fact, event.once)
        before_sending = BeforeSending(
            confirm=lambda: self._confirm(claim), mark_departed=lambda: self._mark_departed(claim, event)
        )
        conversation = Conversation(self._route, self._client, event, before_sending, doubtful=key in document.doubted)
        began = self._clock()
        try:
            outcome = await conversation.run(attempt)
        except ClaimRevoked:
            if conversation.departed:
                document.released.append(key)
            raise
        outcome = await self._in_scope(document, event, outcome, began)
        decision = decide(
            outcome,
            attempt=attempt.number,
            now=self._now(),
            first_tried_at=attempt.first_tried_at + self._set_ahead(),
            retry=self._route.retry,
            chance=chance.fraction(),
        )
        if conversation.departed and not isinstance(decision, Settle):
            document.released.append((event.fact, event.once))
        match decision:
            case Postpone():
                return self._postponed(claim, event.fact, event.rule, decision)
            case Pass(reason=reason, detail=detail):
                document.skips.append(Skip(reason=reason, rule=event.rule, detail=detail))
            case Settle():
                self._settle(document, event, decision)
        return None

    def _resting(self, event: Event) -> Postponed | None:
        """The postponement of an event whose rule alone was asked to wait; None if it was not."""
        rest = self._rests.get(event.rule, 0.0) - self._clock()
        if rest <= 0:
            return None
        detail = f"facts of the rule {event.rule} alone are told to wait"
        return Postponed(
            until=self._now() + timedelta(seconds=rest), fact=event.fact, reason=Reason.THROTTLED, detail=detail
        )

    async def _in_scope(self, document: ClaimedDocument, event: Event, outcome: Outcome, began: float) -> Outcome:
        """The outcome as it concerns this fact. What it may say of the whole destination is passed on."""
        fact = (document.claim.lane, event.fact, event.once)
        scope = self.evidence.scope(outcome, event.rule, fact, began=began, now=self._clock())
        if scope is Scope.ALL or isinstance(outcome, Rejected):
            self._on_outcome(outcome, began)
        match outcome:
            case Retry() if scope is Scope.RULE:
                rest = min(outcome.after or _REST, LONGEST_REST)
                self._rests[event.rule] = self._clock() + rest.total_seconds()
            case Paused(detail=detail) if scope is Scope.FACT:
                return Rejected(Reason.NOT_ALLOWED, f"{detail}, while others of the rule are accepted")
            case _ if scope is Scope.RULE:
                others = "" if isinstance(outcome, Rejected) else ", while those of other rules are accepted"
                await self._hold(document.rules, event.rule, f"{outcome.detail}{others}")
        return outcome

    def _postponed(self, claim: Claim, fact: str, rule: str, decision: Postpone) -> Postponed:
        if rule in self.held:
            return Postponed(until=None, fact=fact, reason=Reason.RULE_HELD, detail=decision.detail, rule=rule)
        emit(
            "fact.postponed",
            **_names(claim),
            dest=self._route.name,
            fact=fact,
            rule=rule,
            reason=decision.reason,
            detail=decision.detail,
            attempt=claim.attempt + 1,
            until=decision.until.isoformat(timespec="milliseconds"),
        )
        return Postponed(until=decision.until, fact=fact, reason=decision.reason, detail=decision.detail)

    def _settle(self, document: ClaimedDocument, event: Event, decision: Settle) -> None:
        if event.left_out:
            detail = "; ".join(filter(None, (decision.detail, *(f"left out: {each}" for each in event.left_out))))
            decision = structs.replace(decision, detail=detail[:LONGEST_MESSAGE])
        if self._route.shadow and decision.state is State.DELIVERED:
            decision = Settle(state=State.SHADOWED, detail=decision.detail)
        document.ended = True
        amount = self._shape.worth_of(event) if decision.state in _SENT else ""
        _note(document, (event.fact, event.once), event.rule, decision, occurred_at=event.at, amount=amount)
        if decision.state is State.DEAD:
            return
        held = document.claim.held
        names = document.rules.names_of(event.fact, self._route.name, document.claim.united) if held else ()
        for name in names:
            # A rule that failed before its once was known: the next success of the fact in the lane ends its letter.
            for key in dict.fromkeys(((name, event.once), (name, ""))):
                if held.get(key) is State.DEAD:
                    document.skips.append(Skip(reason=Reason.HEALED, rule=event.rule))
                    if key != (event.fact, event.once):
                        document.released.append(key)

    async def _hold(self, rules: Rules, rule: str, detail: str) -> None:
        """Hold a rule. Refusals of the rules of before say nothing of a rule that has changed since."""
        digest = self._book.rules.digest_of(rule)
        if rule in self.held or rules.digest_of(rule) != digest:
            return
        hold = Hold(dest=self._route.name, rule=rule, digest=digest, since=self._now(), detail=detail)
        await self._until_stored(lambda: self._journal.hold(hold))
        if rule in self.held:  # by another fact meanwhile
            return
        self.held[rule] = hold  # not before: the journal would say of what waits for it that nobody holds it
        emit("rule.held", dest=self._route.name, rule=rule, detail=detail)

    # -- the journal ---------------------------------------------------------------------------------------------------

    async def _confirm(self, claim: Claim) -> None:
        await self._until_stored(lambda: self._journal.confirm(claim))

    async def _store(self, document: ClaimedDocument, *, end: Done | Postponed | Returned | None) -> None:
        """Store what became of the document. It is durable when this returns, and is logged only then."""
        progress = Progress(
            settled=tuple(document.settled),
            skips=tuple(document.skips),
            released=tuple(document.released),
            end=end,
        )
        document.settled, document.skips, document.released = [], [], []
        await self._recorded(document.claim, progress)
        await self._emit_settled(document.claim, progress)

    async def _recorded(self, claim: Claim, progress: Progress) -> None:
        """Record the progress of a claim. If the journal refuses its content, keep what must be known of each fact: its
        key and state.

        If the journal refuses that too, the journal itself is the cause: it is treated as one that is busy.
        """
        try:
            await self._until_stored(lambda: self._journal.record(claim, progress, now=self._now()))
        except NotStorable as problem:
            emit("journal.refused", **_names(claim), dest=self._route.name, detail=str(problem))
            bare = _bare(progress, str(problem))
            await self._until_stored(lambda: self._stored_bare(claim, bare))

    async def _stored_bare(self, claim: Claim, progress: Progress) -> None:
        try:
            await self._journal.record(claim, progress, now=self._now())
        except NotStorable as problem:
            raise JournalBusy(f"it refuses what must be known of an order: {problem}") from None

    async def _until_stored(self, store: Callable[[], Awaitable[_Found]]) -> _Found:
        """Try again and again while the journal cannot take it: `unstored` makes the worker send nothing more."""
        tries = 0
        while True:
            try:
                return await store()
            except JournalBusy as problem:
                emit("journal.busy", dest=self._route.name, detail=str(problem))
                self.unstored += 1
                await asyncio.sleep(_STORE_AGAIN[min(tries, len(_STORE_AGAIN) - 1)])
                self.unstored -= 1
                tries += 1

    async def _mark_departed(self, claim: Claim, event: Event) -> None:
        departed = Settled(
            fact=event.fact,
            once=event.once,
            rule=event.rule,
            state=State.DEPARTED,
            occurred_at=event.at,
            amount=self._shape.worth_of(event),
        )
        await self._recorded(claim, Progress(settled=(departed,)))
        emit("fact.departed", **_names(claim), dest=self._route.name, fact=event.fact, once=event.once)

    async def _emit_settled(self, claim: Claim, progress: Progress) -> None:
        seconds = round((self._now() - claim.envelope.received_at).total_seconds(), 3)
        for number, settled in enumerate(progress.settled, 1):
            if number % _LINES_IN_A_ROW == 0:
                await asyncio.sleep(0)
            emit(
                "fact.settled",
                **_names(claim),
                dest=self._route.name,
                rule=settled.rule,
                fact=settled.fact,
                once=settled.once,
                state=settled.state,
                reason=settled.reason,
                detail=settled.detail,
                attempt=claim.attempt + 1,
                seconds=seconds,
            )
        if isinstance(progress.end, Done) and not progress.settled and progress.skips:
            reasons = {skip.reason for skip in progress.skips}
            reason = Reason.ALREADY if Reason.ALREADY in reasons else progress.skips[0].reason
            emit("document.skipped", **_names(claim), dest=self._route.name, reason=reason, seconds=seconds)


def once_of(delivery: str) -> str:
    """The `once` of the fetching of what a delivery names: a JSON array, as all are."""
    return msgspec.json.encode([delivery]).decode()


def _bare(progress: Progress, why: str) -> Progress:
    """The same facts and skips, without what documents and others said."""
    end = progress.end
    return structs.replace(
        progress,
        settled=[structs.replace(each, detail=why, amount="", occurred_at=None) for each in progress.settled],
        skips=[structs.replace(each, detail=why) for each in progress.skips],
        end=replace(end, detail=why) if isinstance(end, Postponed) else end,
    )


def _note(
    document: ClaimedDocument,
    key: Key,
    rule: str,
    decision: Settle,
    *,
    occurred_at: datetime | None = None,
    amount: str = "",
) -> None:
    fact, once = key
    document.settled.append(
        Settled(
            fact=fact,
            once=once,
            rule=rule,
            state=decision.state,
            reason=decision.reason,
            detail=decision.detail,
            occurred_at=occurred_at,
            amount=amount,
        )
    )


def _names(claim: Claim) -> Mapping[str, object]:
    return claim.envelope.names(claim.seq)
