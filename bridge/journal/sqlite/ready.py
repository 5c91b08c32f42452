"""The orders of one destination that are due, kept in memory so that most claims need no query.

The table in the journal is what counts. A new document is offered to this queue when it is stored. A claim takes from
the queue while the queue is known to hold all that is due. When that is not known, the claim searches the table. The
search runs in another thread, so things happen between the question and the answer. The states say what is known:

| State      | What is known                                               | A claim           | A new order    |
| ---------- | ----------------------------------------------------------- | ----------------- | -------------- |
| STALE      | nothing; the queue is empty                                 | searches          | is not kept    |
| SEARCHING  | a search is out; the queue holds all that came since        | waits             | is kept        |
| OVERFLOWED | a search is out; more came since than the queue may hold    | waits             | is not kept    |
| OVERTAKEN  | a search is out, and may not have seen what happened since  | waits             | is not kept    |
| WHOLE      | the queue and `due` are all that there is                   | takes             | is kept        |
| CUT        | the queue holds the oldest; the table has more              | takes, then       | is not kept    |
|            |                                                             | searches if empty |                |

`_NEXT` says what leads from one state to the next. Beside it each lane in flight may be marked: it may have more work
when it ends (`_has_more`), or a person decided about it since it was claimed (`revoked`).
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import TypeAlias

from bridge.contract import Envelope
from bridge.journal import Claim, LaneNumber, Progress, Returned

_MOST_BYTES = 8 * 1024 * 1024
"""Bytes of documents that are kept in memory, of each destination and of all together."""

Offered: TypeAlias = tuple[LaneNumber, int, Envelope]
"""(lane, seq, envelope)"""


class RecentEnvelopes:
    """The documents that came last, as they came: to claim them needs no read and no unpacking. Bounded in bytes."""

    def __init__(self) -> None:
        self._envelopes: OrderedDict[int, Envelope] = OrderedDict()
        self._bytes = 0

    def keep(self, seq: int, envelope: Envelope) -> None:
        self._envelopes[seq] = envelope
        self._bytes += len(envelope.raw)
        while self._bytes > _MOST_BYTES:
            self._bytes -= len(self._envelopes.popitem(last=False)[1].raw)

    def clear(self) -> None:
        """Forget all: one of them may be of a person who was erased."""
        self._envelopes.clear()
        self._bytes = 0

    def take(self, seq: int) -> Envelope | None:
        envelope = self._envelopes.pop(seq, None)
        if envelope is not None:
            self._bytes -= len(envelope.raw)
        return envelope


class Known(Enum):
    """What the queue knows of the table: see the table of states above."""

    STALE = auto()
    SEARCHING = auto()
    OVERFLOWED = auto()
    OVERTAKEN = auto()
    WHOLE = auto()
    CUT = auto()


class Happening(Enum):
    """What leads from one state to the next."""

    OVERFLOW = auto()
    """A new order came, and the queue is full."""
    CHANGE = auto()
    """Something that was not offered may be due."""
    SEARCH = auto()
    """A search of the table begins."""
    FOUND_ALL = auto()
    """The search answered, and saw all that was due."""
    FOUND_SOME = auto()
    """The search answered, and there is more than it was asked for."""
    FAILED = auto()
    """The search gave no answer."""


_NEXT: Mapping[Known, Mapping[Happening, Known]] = {
    Known.STALE: {Happening.CHANGE: Known.STALE, Happening.SEARCH: Known.SEARCHING},
    Known.WHOLE: {
        Happening.CHANGE: Known.STALE,
        Happening.SEARCH: Known.SEARCHING,
        Happening.OVERFLOW: Known.CUT,
    },
    Known.CUT: {Happening.CHANGE: Known.STALE, Happening.SEARCH: Known.SEARCHING},
    Known.SEARCHING: {
        Happening.CHANGE: Known.OVERTAKEN,
        Happening.OVERFLOW: Known.OVERFLOWED,
        Happening.FOUND_ALL: Known.WHOLE,
        Happening.FOUND_SOME: Known.STALE,
        Happening.FAILED: Known.STALE,
    },
    Known.OVERFLOWED: {
        Happening.CHANGE: Known.OVERTAKEN,
        Happening.FOUND_ALL: Known.CUT,
        Happening.FOUND_SOME: Known.STALE,
        Happening.FAILED: Known.STALE,
    },
    Known.OVERTAKEN: {
        Happening.CHANGE: Known.OVERTAKEN,
        Happening.FOUND_ALL: Known.STALE,
        Happening.FOUND_SOME: Known.STALE,
        Happening.FAILED: Known.STALE,
    },
}
"""What is not here cannot happen: a KeyError would be a bug."""

_KEEPS = (Known.WHOLE, Known.SEARCHING)
"""States in which the queue holds something; in CUT it gives away what it has."""
_SEARCHES = (Known.SEARCHING, Known.OVERFLOWED, Known.OVERTAKEN)


@dataclass(slots=True)
class ReadyQueue:
    """The queue of one destination. All calls come from the event loop's thread.

    due       when the next lane that waits for a time is due, by the last search and what happened since
    in_flight lanes that are claimed
    revoked   lanes in flight about which a person decided since they were claimed
    """

    in_flight: set[LaneNumber] = field(default_factory=set)
    due: datetime | None = None
    revoked: set[LaneNumber] = field(default_factory=set)
    _known: Known = Known.STALE
    _queue: deque[Offered] = field(default_factory=deque)
    _bytes: int = 0
    _has_more: set[LaneNumber] = field(default_factory=set)
    """Lanes in flight that may have more work when they end."""
    _decided: set[LaneNumber] = field(default_factory=set)
    """Lanes that a person acted on while the search was out: it may have found them as they were before."""
    _postponed: datetime | None = None
    """The soonest time to which a lane was postponed since the last search began: the search may not know of it."""

    @property
    def is_whole(self) -> bool:
        """The queue and `due` are all that there is to know."""
        return self._known in (Known.WHOLE, Known.SEARCHING)

    def must_search(self, now: datetime) -> bool:
        """A claim must search the table, for the queue does not hold all that is due."""
        if self._known is Known.STALE or self._known is Known.OVERTAKEN:
            return True
        is_used_up = not self._queue and (self._known is Known.CUT or self._known is Known.OVERFLOWED)
        return is_used_up or (self.due is not None and self.due <= now)

    # -- what happens to the queue -------------------------------------------------------------------------------------

    def change(self) -> None:
        """Something may be due that was not offered: what is kept here is not all any more."""
        self._move(Happening.CHANGE)
        self._queue.clear()
        self._bytes = 0

    def offer(self, lane: LaneNumber, seq: int, envelope: Envelope) -> None:
        """A stored document that opened its lane. A search may have found it in the table before it is offered here."""
        if lane in self.in_flight:
            self._has_more.add(lane)
        elif self._known in _KEEPS:
            if self._bytes > _MOST_BYTES:
                self._move(Happening.OVERFLOW)
            else:
                self._queue.append((lane, seq, envelope))
                self._bytes += len(envelope.raw)

    def added(self, lane: LaneNumber) -> None:
        """A stored document in a lane that was there before: what is in flight there may have more."""
        if lane in self.in_flight:
            self._has_more.add(lane)
        else:
            self.change()

    def take(self, limit: int, budget: int) -> list[Offered]:
        """The oldest in the queue: at most `limit`, and about `budget` bytes, but one at least. They are in flight."""
        taken: list[Offered] = []
        while self._queue and len(taken) < limit and (budget > 0 or not taken):
            offered = self._queue.popleft()
            size = len(offered[2].raw)
            self._bytes -= size
            budget -= size
            self.in_flight.add(offered[0])
            taken.append(offered)
        return taken

    def search(self) -> None:
        """The table is about to be searched: what is offered from now on may be in what it finds, or not."""
        self._move(Happening.SEARCH)
        self._queue.clear()
        self._bytes = 0
        self._postponed = None
        self._decided.clear()

    def found(self, lanes: Collection[LaneNumber], *, whole: bool, due: datetime | None) -> None:
        """The search answered. These lanes are in flight now, and may have more work.

        whole  nothing else was due
        due    when the next lane is due that waits for a time

        What happened while the search was out counts beside what it found: a lane that was in flight then was left out
        of it, and may have been postponed since.
        """
        self._move(Happening.FOUND_ALL if whole else Happening.FOUND_SOME)
        self.in_flight.update(lanes)
        self._has_more.update(lanes)
        self.revoked.update(self._decided.intersection(lanes))
        is_kept = self._known is not Known.STALE
        self._queue = deque(offered for offered in self._queue if is_kept and offered[0] not in lanes)
        self._bytes = sum(len(offered[2].raw) for offered in self._queue)
        self.due = _sooner(due, self._postponed)

    def failed(self) -> None:
        """The search gave no answer: the next claim searches again."""
        self._move(Happening.FAILED)
        self._queue.clear()
        self._bytes = 0

    def acted(self, lanes: Collection[LaneNumber], *, revoking: bool) -> None:
        """A person acted on these lanes: the table must be searched, and again when those in flight end.

        revoking  what was claimed of them before is not to be sent
        """
        self.change()
        self._has_more.update(self.in_flight.intersection(lanes))
        if revoking:
            self.revoked.update(self.in_flight.intersection(lanes))
            if self._known in _SEARCHES:
                self._decided.update(lanes)

    def ended(self, claim: Claim, progress: Progress) -> None:
        """The lane is given back."""
        self.in_flight.discard(claim.lane)
        self.revoked.discard(claim.lane)
        if claim.lane in self._has_more or isinstance(progress.end, Returned):
            self._has_more.discard(claim.lane)
            self.change()
        until = getattr(progress.end, "until", None)
        self.due = _sooner(self.due, until)
        self._postponed = _sooner(self._postponed, until)

    def _move(self, happening: Happening) -> None:
        self._known = _NEXT[self._known][happening]


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
