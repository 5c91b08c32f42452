"""Errands: what a platform is asked beside the hot path, such as its subscriptions, documents that never came, and
whether all is well.

An errand is a generator, as a conversation with a destination is. It yields what it needs, is sent the answer, and ends
with its result. So a connector stays without I/O here too; the core performs the steps, on a schedule or by hand.

A connector that can do errands has a module `admin` with `ADMIN(name, settings)`, which makes the Admin of a source.
Only this module may import a blocking package of the platform. Only the registry loads it, by name.
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from bridge.contract import Envelope, Event, Request, Response

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """A call for the one thread that blocking packages live in. The errand is sent what the call returns, or thrown
    what it raises. A call that takes longer than `within` is given up with NoAnswer."""

    call: Callable[[], Response]
    within: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A pause that is as long as the platform says, or as patience asks."""

    span: timedelta
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Documents of the platform, named as the door would have named them.

    upto  every change before this instant was in this page or in one before it
    """

    documents: Sequence[Envelope]
    upto: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Documents that could be fetched: lane to version, of one kind. The errand is sent the lanes that are wanted."""

    kind: str
    versions: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text for the person who runs the bridge. It holds nothing personal."""

    text: str


Step: TypeAlias = Request | Blocking | Wait | Page | Offer | Note
"""Request and Blocking are answered with a Response, or NoAnswer is thrown; Offer with lanes; the others with None."""

Errand: TypeAlias = Generator[Step, Any, T]


FindingState: TypeAlias = Literal["well", "mended", "would", "wrong", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one examination. Its state is one of these.

    well    as it should be
    mended  it was not as it should be, and is now
    would   it is not as it should be, and is mended without `--dry-run`
    wrong   a person has to mend it, and `cure` says how
    other   not ours to judge
    """

    subject: str
    state: FindingState
    detail: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The work that `run` does by itself, and how often; None: not at all.

    repair  what the check of the subscriptions finds is mended, not only reported
    overlap how far back a reconciliation looks behind where the last one came to
    first   how far back the first one looks
    """

    check: timedelta | None
    repair: bool
    reconcile: timedelta | None
    overlap: timedelta
    first: timedelta


class Admin(Protocol):
    """The errands of one source. All calls are pure; errands raise ErrandFailed with what a person should do."""

    @property
    def schedule(self) -> Schedule:
        """What `run` does by itself."""

    def tenants(self) -> Sequence[str]:
        """The tenants that may be asked, by their names in the journal. What they need for it is configured."""

    def documents(self, tenant: str, *, since: datetime, until: datetime, now: datetime) -> Errand[None]:
        """Give a Page at a time of all that changed from `since` up to `until`, oldest change first."""

    def subscribe(
        self, tenant: str, *, kinds: Collection[str], dry_run: bool, elsewhere: bool = True
    ) -> Errand[Sequence[Finding]]:
        """Bring the platform's subscriptions in line with what rules read. elsewhere: change also those of a bridge
        that deliver to another address. That address may have been ours, or may belong to another bridge that works."""

    def examine(self, tenant: str, *, kinds: Collection[str], now: datetime) -> Errand[Sequence[Finding]]:
        """Look at everything that must be right for orders to come."""


@runtime_checkable
class Lists(Protocol):
    """Optional for destinations: what the other side can list, for accounts."""

    def reference_of(self, event: Event) -> str | None:
        """The reference by which the event is listed. None: nothing of it is listed."""

    def missing(self, references: Collection[str]) -> Errand[Collection[str]]:
        """Find the references that the other side does not list."""


Task: TypeAlias = Literal["disclose", "erase", "erase all", "pause"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What a platform's document tells the bridge itself to do.

    task     disclose: what is kept about a person is asked for. erase: the person and those orders are to be erased.
             erase all: everything of the tenant. pause: the platform is not to be asked any more
    aliases  of the person, as envelopes have them
    orders   lanes of the tenant
    within   how long there is for it
    """

    task: Task
    aliases: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    within: timedelta


@runtime_checkable
class Instructs(Protocol):
    """Optional for sources: documents that no rule sees. They are parked as NOT_CARRIED_OUT_YET until the core has
    obeyed."""

    def instruction(self, document: Envelope) -> Instruction | None:
        """The instruction of a document. None: there is none. Raises nothing for a document that the source has
        read."""
