"""The journal: what was acknowledged, what became of it, and which facts are held.

There is one protocol with two implementations. They have the same tables and one conformance suite. The unit is the raw
envelope. For each destination it is work until its facts are final. A lane has one document in flight per destination,
oldest first.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NewType, Protocol

from bridge.contract import Envelope, Plain, Reason, State

LaneNumber = NewType("LaneNumber", int)
"""The number of an order in a journal. `Envelope.lane` is the order's name, as its source gives it."""

Key = tuple[str, str]
"""(fact, once) within a lane and destination. An `once` of "" is a rule that failed before its once was known."""

ENDS = frozenset({State.DELIVERED, State.DROPPED})
"""The states in which a person may end an uncertain fact."""


class Appended(Plain, frozen=True, kw_only=True):
    """The place where the journal keeps an envelope.

    known   it had this id in this lane already
    opened  the lane was made for it: nothing waits or is held there
    reason  why no rule sees it, where that was known on arrival: the journal may know one that its source did not
    """

    seq: int
    lane: LaneNumber
    known: bool
    opened: bool = False
    reason: Reason | None = None


class Claim(Plain, frozen=True, kw_only=True):
    """One document to be mapped and sent to one destination. Its lane belongs to this worker until `record` ends it.

    attempt         how often the lane was postponed since something of it was final
    first_tried_at  when the lane's document was first claimed in vain; None: never
    held            the facts of this lane and destination that have a state
    own             those of them that have it by this very document
    newest          the newest version mapped in this lane for this source and kind
    asked           how often a person asked for it (`dead retry`): if at all, it is mapped even if it is stale. Asked
                    once more while it is in flight, it is due again when it is done.
    lease           under which it was claimed, where several processes share a journal
    number          of this claim among those of the lease
    doubtful        it was restored from a backup: what it says may have been sent since the backup was made
    restored        the journal was put back: facts that happened until then may have been sent though it has no keys
                    of them
    united          names of facts of this destination that were ever said to be one: (fact, former)
    """

    dest: str
    lane: LaneNumber
    seq: int
    attempt: int
    first_tried_at: datetime | None
    envelope: Envelope
    held: Mapping[Key, State]
    own: frozenset[Key]
    newest: datetime | None
    asked: int
    lease: int = 0
    number: int = 0
    doubtful: bool = False
    restored: datetime | None = None
    united: frozenset[tuple[str, str]] = frozenset()

    @property
    def is_stale(self) -> bool:
        """Whether a newer full document of the same source and kind was mapped already."""
        return not self.asked and self.envelope.is_stale(self.newest)


class Settled(Plain, frozen=True, kw_only=True):
    """The state that a fact has from now on. amount: that of the request, such as `99.00 EUR`."""

    fact: str
    once: str
    rule: str
    state: State
    reason: Reason | None = None
    detail: str = ""
    occurred_at: datetime | None = None
    amount: str = ""


class Skip(Plain, frozen=True, kw_only=True):
    """A step that gave no new fact, for the history."""

    reason: Reason
    rule: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The document is finished for this destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """The lane waits until a time. until None: it waits until its rule is no longer held."""

    until: datetime | None
    fact: str
    reason: Reason
    detail: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The lane is given back as it was claimed: a person's decision must be seen first."""


class Progress(Plain, frozen=True, kw_only=True):
    """What happened to a claimed document, stored in one piece.

    released    keys that are let go: of a departed fact whose request was definitely refused, of a healed dead letter
    end         Done, Postponed and Returned give the lane back; None keeps it
    """

    settled: Sequence[Settled] = ()
    skips: Sequence[Skip] = ()
    released: Sequence[Key] = ()
    end: Done | Postponed | Returned | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A fact that waits for a person: dead or uncertain. `ref` names it for commands."""

    ref: str
    lane: LaneNumber
    tenant: str
    order: str
    dest: str
    fact: str
    once: str
    state: str
    rule: str
    reason: str
    detail: str
    seq: int
    source: str
    kind: str
    topic: str
    id: str
    settled_at: datetime

    @property
    def is_unread(self) -> bool:
        """Whether it was parked when its document came: it could not be read, or a person has to say whose it is."""
        return not self.dest and self.reason in (Reason.UNREADABLE, Reason.TENANT_IN_DOUBT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The parked facts that a person means. Empty fields select all."""

    state: State
    dest: str = ""
    fact: str = ""
    rule: str = ""
    reason: str = ""
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A rule whose facts wait, because the same refusal came too often. Ends by hand or when the rule changes."""

    dest: str
    rule: str
    digest: str
    since: datetime
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Counts for people and for gauges. `oldest_due` is the due time of the longest waiting lane.

    free    bytes free on the disk; None: not known here
    inside  bytes free inside the journal's own file, which are used before it grows; None: not known here
    """

    waiting: Mapping[str, int]
    oldest_due: Mapping[str, datetime]
    facts: Mapping[tuple[str, str], int]
    envelopes: int
    lanes: int
    bodies: int
    bytes: int
    free: int | None
    inside: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Levels for gauges.

    waiting  lanes with work, by destination
    overdue  how long the oldest of them is overdue, in seconds, by destination. A lane whose rule is held is overdue
             since it was tried first.
    held     destination and name of each rule that is held
    parked   parked facts, by destination and state
    free     free bytes on the disk (None: not known here)
    """

    waiting: Mapping[str, int]
    overdue: Mapping[str, float]
    held: frozenset[tuple[str, str]]
    parked: Mapping[tuple[str, str], int]
    free: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedGroup:
    """Parked facts of one state, destination, rule and reason. since: when the oldest of them was parked."""

    state: str
    dest: str
    rule: str
    reason: str
    count: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A small thing that the journal remembers. at: when it was remembered last."""

    name: str
    value: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long things are kept: bodies from the last final state, history and keys from when they came."""

    bodies: timedelta
    history: timedelta
    keys: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The rows that one call removed. more: there is more to remove. inside: as in Stats, after the call."""

    bodies: int = 0
    envelopes: int = 0
    lanes: int = 0
    more: bool = False
    inside: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything that is known of one lane, for `orders show` and `/status`."""

    tenant: str
    order: str
    documents: Sequence[Mapping[str, object]]
    facts: Sequence[Mapping[str, object]]
    skips: Sequence[Mapping[str, object]]
    attempts: Sequence[Mapping[str, object]]
    waiting: Sequence[Mapping[str, object]] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One order as the journal keeps it, for plans.

    documents   those that came in the span and are mapped (not those whose end their source knew), oldest first; a body
                that retention removed is empty
    held        (destination, fact, once) to the state
    by_these    the keys of `held` that have their state by one of these documents
    """

    lane: LaneNumber
    documents: Sequence[Envelope]
    held: Mapping[tuple[str, str, str], State]
    by_these: frozenset[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that became of an order at a destination: a fact with its state, or a rule that gave none.

    state  that of the fact; SKIPPED for a rule that gave no fact, and WAITING for work that is not done
    """

    dest: str
    state: str
    reason: str = ""
    rule: str = ""
    fact: str = ""
    once: str = ""
    detail: str = ""


WAITING = "waiting"
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An order in a list. seq, source, topic and came_at are those of its newest document."""

    seq: int
    lane: LaneNumber
    tenant: str
    order: str
    source: str
    topic: str
    came_at: datetime
    entries: Sequence[Entry] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of orders, and how far the journal was looked through for it.

    last    the lowest number of a document that was looked at; None: there is none before
    newest  when the newest of the documents that were looked at came
    """

    orders: Sequence[Listed] = ()
    last: int | None = None
    newest: datetime | None = None


UNKNOWN = "?"
"""The amount of a fact that was settled before amounts were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A key's state, and the amount of the request that was accepted, or may have been: `99.00 EUR`. Empty: it had
    none. UNKNOWN: the amount was not kept."""

    state: State
    amount: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of one order, for reconciliation and accounts.

    newest   the newest version that is stored of the source and kind that were asked for, mapped or not
    facts    (destination, fact, once) to its state
    waiting  destinations for which a document of it waits
    """

    newest: datetime | None
    facts: Mapping[tuple[str, str, str], Fact]
    waiting: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The persons or orders to erase in one tenant. aliases: as envelopes have them, `customer:7`, `email:a@b.example`.

    orders      by their ids (the lanes' names)
    everything  all that is kept of the tenant
    after       go on behind this lane
    left        lanes that are not touched: requests that are still to be carried out
    """

    tenant: str
    orders: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    everything: bool = False
    after: int = 0
    left: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What one call erased. last: the last lane that was looked at; more: there is more to erase behind it.

    is_lasting  nothing of it is left in the journal's files; False: a reader keeps an older picture for a while
    lanes       which ones
    """

    orders: int = 0
    bodies: int = 0
    last: int = 0
    more: bool = False
    is_lasting: bool = True
    lanes: tuple[LaneNumber, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The position of a partition up to which all is stored. offset: the next one to be read.

    doubtful  the journal was put back since: the group may have gone on with records that are not in it
    """

    offset: int
    doubtful: bool = False


class Reader(Protocol):
    """The calls that change nothing. They work beside a running owner, and are safe to repeat."""

    async def stats(self) -> Stats:
        """Counts of the journal. They cost a pass over small indexes, never over bodies."""

    async def levels(self) -> Levels:
        """Levels for gauges and for people. Looks only at what waits and what is parked."""

    async def parked_groups(self) -> Sequence[ParkedGroup]:
        """Counts of parked facts, by what they have in common. Looks only at what is parked."""

    async def find(self, text: str, *, tenant: str = "") -> Sequence[LaneNumber]:
        """The lanes of an order: by its id or one of its aliases (`#1042`, an e-mail address, ...)."""

    async def find_delivery(self, source: str, delivery: str) -> Sequence[LaneNumber]:
        """The lanes that hold a delivery with this id."""

    async def story(self, lane: LaneNumber) -> Story | None:
        """All that happened to one order."""

    async def document(self, seq: int) -> Envelope | None:
        """A stored document. Its body is empty if retention has removed it."""

    def parked(self, selection: Selection) -> AsyncIterator[Parked]:
        """Parked facts, oldest lane first, read in pages: memory does not grow with their number."""

    async def orders(
        self, *, after: int, limit: int, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[Kept]:
        """The next orders behind lane `after`, at most `limit`, with what came from `since` up to `until`."""

    async def listing(self, *, before: int, limit: int) -> Listing:
        """Look at the next `limit` documents before number `before`, newest first, and return the orders whose newest
        document is among them. So each order is on one page. The cost does not grow with the journal."""

    async def holds(self) -> Sequence[Hold]:
        """Rules that are held."""

    async def fact_names(self) -> Sequence[tuple[str, str]]:
        """All names that keys were ever kept of, as (destination, fact)."""

    async def united(self) -> Sequence[tuple[str, str, str]]:
        """All names that were ever united, as (destination, fact, former)."""

    async def standings(self, tenant: str, orders: Sequence[str], *, source: str, kind: str) -> Mapping[str, Standing]:
        """Standings of those orders (their lanes' names) that the journal knows. They are meant for a page of some
        hundred orders."""

    async def tenants(self) -> Sequence[str]:
        """All tenants that anything is kept of."""

    async def lanes(self, erasure: Erasure, *, limit: int) -> Sequence[LaneNumber]:
        """The next lanes that the erasure is about, in their order."""

    async def recall(self, name: str) -> str | None:
        """The value that was last remembered under this name."""

    async def memories(self, prefix: str) -> Sequence[Memory]:
        """All that is remembered under names that begin so, in the order of the names."""


class Operator(Reader, Protocol):
    """The calls by which a person acts. The owner performs them; see control.py for the way to it."""

    async def retry(self, refs: Sequence[str]) -> int:
        """Retry dead facts: the newest stored document of that source and kind in the lane is mapped again."""

    async def reread(self, refs: Sequence[str]) -> int:
        """End dead letters of documents that could not be read: what they say was appended under its own name."""

    async def drop(self, refs: Sequence[str]) -> int:
        """Drop dead facts: they hold their keys and are never sent."""

    async def resend(self, refs: Sequence[str]) -> int:
        """Send uncertain facts again, as a person decided: the departed mark is taken away and the document is mapped
        again."""

    async def settle(self, refs: Sequence[str], state: State) -> int:
        """End uncertain facts as DELIVERED or DROPPED, as a person decided. Raises JournalError for another state."""

    async def release(self, dest: str, rule: str) -> int:
        """Release a held rule: its lanes are due. Returns how many."""

    async def block(self, erasure: Erasure) -> int:
        """Block these persons and orders: what comes of them from now on is kept without its body, and skipped as
        erased."""

    async def allow(self, erasure: Erasure) -> int:
        """End the block of these persons and orders. Returns how many were blocked."""

    async def erase(self, erasure: Erasure) -> Erased:
        """Erase a page of orders. Bodies, aliases and history go, and keys stay. What waits is not sent. What is parked
        is dropped as erased. What is in flight ends first. The orders are blocked by their ids (not for `everything`):
        later documents of them may not name the person."""

    async def conclude(self, ref: str) -> int:
        """Mark a platform's request (parked as `not carried out yet`) as carried out. Returns how many were."""


class Intake(Operator, Protocol):
    """The calls that bring in documents which nobody posted: reconciliation, by hand or on a schedule."""

    async def append(self, envelope: Envelope) -> Appended:
        """Append an envelope. Returns only when the disk has it (fsync), or when its id was known."""

    async def remember(self, name: str, value: str) -> None:
        """Remember a small thing, such as how far a reconciliation has come. It is durable when this returns."""


class Incoming(Protocol):
    """A document on its way in, with two callbacks. One of the two is called, once, in the event loop."""

    @property
    def envelope(self) -> Envelope: ...

    def stored(self, appended: Appended) -> None:
        """Take the place: the disk has the document, or its id was known."""

    def failed(self, problem: Exception) -> None:
        """Take the failure, which is one that `append` raises."""


class Journal(Intake, Protocol):
    """The calls that intake and delivery need. They raise JournalBusy if nothing could be stored, JournalBroken if the
    disk fails, and LaneLost if a claim no longer belongs to this process."""

    @property
    def is_shared(self) -> bool:
        """Whether several processes work with it: what one of them took in, all know."""

    @property
    def broken(self) -> Awaitable[None]:
        """End with JournalBroken when the process must end."""

    def refuses(self) -> str | None:
        """The reason why nothing can be stored now. None: the journal takes writes."""

    def take_in(self, incoming: Sequence[Incoming]) -> None:
        """Append each, and notify each: appending together costs less than one by one. Raises nothing."""

    async def positions(self, source: str) -> Mapping[tuple[str, int], Position]:
        """Positions by topic and partition, of all that this source was ever given to read."""

    async def keep_positions(self, source: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Keep these offsets: all before them is stored. They are durable when this returns, and in doubt no longer."""

    async def begin_job(self, name: str, *, every: timedelta, now: datetime) -> bool:
        """Begin a scheduled job. True for one of all processes, if nobody began it within `every`. So it is done once,
        and a restart does not do it again."""

    async def claim(self, dest: str, *, now: datetime, limit: int, budget: int) -> Sequence[Claim]:
        """Claim lanes that are due: at most `limit`, and about `budget` bytes of documents. Each is in flight from now
        on."""

    async def next_due(self, dest: str) -> datetime | None:
        """The time at which the next lane that is not in flight is due. None: nothing waits but what is held."""

    async def hasten(self, dest: str, *, beyond: datetime, now: datetime) -> int:
        """Make lanes due now that would be due after this moment: a clock was wrong when that was written. What is held
        is not among them. Returns how many."""

    def watch(self, dest: str, changed: Callable[[], None]) -> None:
        """Call back, in the event loop, whenever something may be due that was not before: nobody polls."""

    async def record(self, claim: Claim, progress: Progress, *, now: datetime) -> None:
        """Record what happened to a claim. It is durable when this returns. Raises ClaimRevoked, as `confirm` does, for
        a departed mark."""

    async def confirm(self, claim: Claim) -> None:
        """Look at a claim for the last time before something leaves. Raises ClaimRevoked if a person has decided about
        its lane since it was claimed (`drop`, `settle`, `erase`), and LaneLost."""

    def revoked(self, dest: str) -> Collection[tuple[LaneNumber, int]]:
        """Lane and number of claims of this process that `confirm` refuses, as far as is known. `watch` calls back when
        there are more."""

    async def hold(self, hold: Hold) -> None:
        """Hold a rule: from now on its lanes may be postponed without a time."""

    async def unite(self, names: Sequence[tuple[str, str, str]]) -> None:
        """Unite names of facts, each (destination, fact, former): from now on, and for good, they are one fact. It is
        durable when this returns."""

    async def prune(self, retention: Retention, *, now: datetime, limit: int = 500) -> Pruned:
        """Forget in one small step. It never takes a body that is waiting, dead or uncertain."""
