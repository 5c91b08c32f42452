"""An account: what a shop has, what the journal says was accepted, and what the API lists, to the order and the cent.

The shop's documents go through the rules, and each fact that they give is looked for under its key. Nothing is sent and
nothing is written. Amounts are those of accepted requests. The API is asked only whether it lists the orders.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from bridge.config import Outlet
from bridge.contract import Envelope, Event, EventShape, Reason, State
from bridge.errand import Admin, Lists, Page
from bridge.jobs.errands import ErrandRunner, Handlers
from bridge.jobs.standings import with_standings
from bridge.journal import UNKNOWN, Erasure, Fact, Reader, Selection, Standing
from bridge.mapping.former_names import NONE, Pair
from bridge.mapping.rules import Failure, Rules

Sort: TypeAlias = Literal["waits", "missing", "not sent", "dead", "uncertain", "amount"]
Place: TypeAlias = tuple[date, str, str]
"""The day (UTC, of the fact's own time), the destination and the fact."""
_ACCEPTED = frozenset({State.DELIVERED, State.SHADOWED})
_UNREADABLE = Selection(state=State.DEAD, reason=Reason.UNREADABLE)
_STATES: Mapping[State, Sort] = {
    State.DEAD: "dead",
    State.UNCERTAIN: "uncertain",
    State.DEPARTED: "uncertain",
    State.DROPPED: "not sent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One fact in which shop and journal, or journal and API, do not agree."""

    order: str
    dest: str
    fact: str
    once: str
    sort: Sort
    detail: str


@dataclass(slots=True)
class Line:
    """The account of one place: the facts that the shop's documents give, those that were accepted, and what each
    amounts to."""

    expected: int = 0
    accepted: int = 0
    due: dict[str, Decimal] = field(default_factory=dict)
    taken: dict[str, Decimal] = field(default_factory=dict)

    def agrees(self) -> bool:
        return self.expected == self.accepted and _without_zeros(self.due) == _without_zeros(self.taken)


@dataclass(slots=True, kw_only=True)
class Account:
    """The result of an account.

    skipped     orders of which nothing is sent, as the source says, by reason
    listed      destination to how many of its accepted orders it was asked for, and how many it lists
    unreadable  documents of the tenant, of whatever time, that could not be read and are dead
    """

    orders: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    lines: dict[Place, Line] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    listed: dict[str, tuple[int, int]] = field(default_factory=dict)
    unreadable: int = 0

    def is_even(self) -> bool:
        """Everything agrees, or is on its way."""
        return not self.unreadable and all(difference.sort == "waits" for difference in self.differences)


@dataclass(slots=True, kw_only=True)
class Accountant:
    """Makes the account of one tenant of one source."""

    journal: Reader
    rules: Rules
    outlets: Mapping[str, Outlet]
    source: str
    tenant: str
    united: Mapping[str, frozenset[Pair]]
    """Names of facts that the journal remembers as one, by destination."""
    account: Account = field(default_factory=Account)
    _listed: dict[str, dict[str, tuple[str, Event]]] = field(default_factory=dict)
    """Destination and reference to the order and the event by which the API should list it."""
    _shapes: dict[str, EventShape] = field(init=False)

    def __post_init__(self) -> None:
        self._shapes = {dest: outlet.destination.shape() for dest, outlet in self.outlets.items()}

    async def made(
        self, admin: Admin, performer: ErrandRunner, *, since: datetime, until: datetime, now: datetime
    ) -> Account:
        """Make the account. Raises ErrandFailed if the shop or the API cannot be asked."""
        errand = admin.documents(self.tenant, since=since, until=until, now=now)
        await performer.perform(errand, Handlers(page=self._page))
        for dest, events in self._listed.items():
            await self._look(performer, dest, events)
        mine = (self.source, self.tenant)
        self.account.unreadable = sum([(f.source, f.tenant) == mine async for f in self.journal.parked(_UNREADABLE)])
        return self.account

    async def _page(self, page: Page) -> None:
        for document, standing in await with_standings(page, self.journal, source=self.source, tenant=self.tenant):
            await self._document(document, standing)

    async def _document(self, document: Envelope, standing: Standing | None) -> None:
        self.account.orders += 1
        if document.reason is not None:
            self.account.skipped[document.reason] += 1
            return
        # Judge max_age by when the document changed, not by today: what is too old only now was sent in its time.
        as_it_came = msgspec.structs.replace(document, received_at=document.version or document.received_at)
        for dest in self.outlets:
            for step in self.rules.apply(as_it_came, dest, sent=_sent(standing, dest)):
                if isinstance(step, Event):
                    await self._event(document, dest, step, standing)
                elif isinstance(step, Failure):
                    self._differ(document.lane, dest, step.fact, step.once or "", "dead", step.message)

    async def _event(self, document: Envelope, dest: str, event: Event, standing: Standing | None) -> None:
        line = self.account.lines.setdefault((event.at.date(), dest, event.fact), Line())
        held = self._held(dest, event, standing)
        # What cannot be compared is in neither sum.
        worth = UNKNOWN if held is not None and held.amount == UNKNOWN else self._shapes[dest].worth_of(event)
        line.expected += 1
        _add(line.due, worth)
        if held is not None and held.state in _ACCEPTED:
            line.accepted += 1
            _add(line.taken, held.amount)
            self._expect_listed(document.lane, dest, event)
            if not _equal(held.amount, worth):
                detail = f"{held.amount or 'nothing'} was accepted, the shop says {worth or 'nothing'}"
                self._differ(document.lane, dest, event.fact, event.once, "amount", detail)
            return
        sort, detail = await self._why(document, dest, event, standing, held)
        self._differ(document.lane, dest, event.fact, event.once, sort, detail)

    def _held(self, dest: str, event: Event, standing: Standing | None) -> Fact | None:
        """Find a fact under its name, or under one that is the same."""
        facts = {} if standing is None else standing.facts

        def state_of(name: str) -> State | None:
            found = facts.get((dest, name, event.once))
            return None if found is None else found.state

        name = self.rules.known_name(event.fact, dest, state_of, united=self.united.get(dest, NONE))
        return None if name is None else facts[dest, name, event.once]

    async def _why(
        self, document: Envelope, dest: str, event: Event, standing: Standing | None, held: Fact | None
    ) -> tuple[Sort, str]:
        if held is not None:
            return _STATES[held.state], f"it is {held.state}: see `attribution-bridge orders show {document.lane}`"
        if standing is None or standing.newest is None:
            return "missing", "the journal does not know the order: `reconcile` takes it in"
        if dest in standing.waiting:
            return "waits", "it is not done yet"
        if document.version is not None and standing.newest < document.version:
            return "missing", "the journal has an older document only: `reconcile` takes the newer one in"
        reason = await self._reason(document.lane, dest, event.rule)
        return ("not sent", reason) if reason else ("missing", "no key, and no reason in the history")

    async def _reason(self, lane: str, dest: str, rule: str) -> str:
        """The last reason that the history has for the rule."""
        for number in await self.journal.lanes(Erasure(tenant=self.tenant, orders=(lane,)), limit=1):
            story = await self.journal.story(number)
            # A skip of the whole document (stale, erased) names no rule and no destination.
            skips = story.skips if story is not None else ()
            said = [v["reason"] for v in skips if v["dest"] in ("", dest) and v["rule"] in ("", rule)]
            return str(said[-1]) if said else ""
        return ""

    def _differ(self, order: str, dest: str, fact: str, once: str, sort: Sort, detail: str) -> None:
        self.account.differences.append(
            Difference(order=order, dest=dest, fact=fact, once=once, sort=sort, detail=detail)
        )

    # -- the API -------------------------------------------------------------------------------------------------------

    def _expect_listed(self, order: str, dest: str, event: Event) -> None:
        outlet = self.outlets[dest]
        if isinstance(outlet.destination, Lists) and not outlet.shadow:
            reference = outlet.destination.reference_of(event)
            if reference is not None:
                self._listed.setdefault(dest, {}).setdefault(reference, (order, event))

    async def _look(self, performer: ErrandRunner, dest: str, events: Mapping[str, tuple[str, Event]]) -> None:
        destination = self.outlets[dest].destination
        if not isinstance(destination, Lists):
            return
        missing = await performer.perform(destination.missing(events.keys()))
        self.account.listed[dest] = (len(events), len(events) - len(missing))
        for reference in sorted(missing):
            order, event = events[reference]
            self._differ(
                order, dest, event.fact, event.once, "missing", "accepted, but the API does not list the order"
            )


def _sent(standing: Standing | None, dest: str) -> Sequence[tuple[str, str]]:
    """Facts that were sent of an order, or may have been. Rules may read them as `told`."""
    facts = standing.facts.items() if standing is not None else ()
    states = _ACCEPTED | {State.UNCERTAIN}
    return [(fact, once) for (to, fact, once), held in facts if to == dest and held.state in states]


def _split(worth: str) -> Iterator[tuple[str, Decimal]]:
    amount, _, currency = worth.partition(" ")
    if currency:
        yield currency, Decimal(amount)


def _add(sums: dict[str, Decimal], worth: str) -> None:
    for currency, amount in _split(worth):
        sums[currency] = sums.get(currency, Decimal(0)) + amount


def _equal(one: str, other: str) -> bool:
    return dict(_split(one)) == dict(_split(other))


def _without_zeros(sums: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    return {currency: amount for currency, amount in sums.items() if amount}


def by_day(account: Account) -> Sequence[tuple[Place, Line]]:
    """The lines, a day after the other."""
    return sorted(account.lines.items())
