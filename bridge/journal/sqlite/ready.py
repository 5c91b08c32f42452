"""Documents that opened their lane are handed from the append to the claim: nothing is held there, nothing is asked.

The table knows them too, and is what counts. As long as it was searched to its end and nothing else became due since,
what was handed is all that is due, and a claim needs no question. Whatever is not that simple says `ask`.
"""

from collections import OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from bridge.contract import Envelope
from bridge.journal import Claim, Progress, Returned

_MOST_BYTES = 8 * 1024 * 1024

Handed: TypeAlias = tuple[int, int, Envelope]
"""(lane, seq, envelope)"""


class RecentEnvelopes:
    """The documents that came last, as they came: claiming them needs no read and no unpacking. Bounded in bytes."""

    def __init__(self) -> None:
        self._envelopes: OrderedDict[int, Envelope] = OrderedDict()
        self._bytes = 0

    def keep(self, seq: int, envelope: Envelope) -> None:
        self._envelopes[seq] = envelope
        self._bytes += len(envelope.raw)
        while self._bytes > _MOST_BYTES:
            self._bytes -= len(self._envelopes.popitem(last=False)[1].raw)

    def clear(self) -> None:
        """Somebody of whom they may be was erased."""
        self._envelopes.clear()
        self._bytes = 0

    def take(self, seq: int) -> Envelope | None:
        envelope = self._envelopes.pop(seq, None)
        if envelope is not None:
            self._bytes -= len(envelope.raw)
        return envelope


@dataclass(slots=True)
class ReadyQueue:
    """What one destination is handed. All calls come from the event loop's thread.

    due       when the next lane that waits for a time is due, as far as the last search and what happened since tell
    in_flight lanes that are claimed
    """

    in_flight: set[int] = field(default_factory=set)
    due: datetime | None = None
    _ask: bool = True
    _queue: deque[Handed] = field(default_factory=deque)
    _bytes: int = 0
    _cut: bool = False
    """More came than is kept here: the table has the rest."""
    _deep: set[int] = field(default_factory=set)
    """Lanes in flight that may have more work when they end."""
    revoked: set[int] = field(default_factory=set)
    """Lanes in flight of whom a person has decided something since they were claimed."""
    _searching: bool = False
    _decided: set[int] = field(default_factory=set)
    """Lanes that a person acted on while the search was out: it may have found them as they were before."""
    _learnt: datetime | None = None
    """The soonest time to which a lane was postponed since the search that is out began: it may not know of it."""

    def ask(self) -> None:
        """Something may be due that was not handed."""
        self._ask = True
        self._cut = False
        self._queue.clear()
        self._bytes = 0

    @property
    def is_whole(self) -> bool:
        """What was handed, and `due`, are all that there is to know."""
        return not self._ask and not self._cut

    def must_ask(self, now: datetime) -> bool:
        return self._ask or (self._cut and not self._queue) or (self.due is not None and self.due <= now)

    def offer(self, lane: int, seq: int, envelope: Envelope) -> None:
        """A stored document that opened its lane. A search may have found it in the table before it is told here."""
        if lane in self.in_flight:
            self._deep.add(lane)
            return
        self._cut = self._cut or self._bytes > _MOST_BYTES
        if not self._ask and not self._cut:
            self._queue.append((lane, seq, envelope))
            self._bytes += len(envelope.raw)

    def added(self, lane: int) -> None:
        """A stored document in a lane that was there before: what is in flight there may have more."""
        if lane in self.in_flight:
            self._deep.add(lane)
        else:
            self.ask()

    def take(self, limit: int, budget: int) -> list[Handed]:
        """The oldest that were handed, at most `limit` and about `budget` bytes, but one at least; now in flight."""
        taken: list[Handed] = []
        while self._queue and len(taken) < limit and (budget > 0 or not taken):
            handed = self._queue.popleft()
            size = len(handed[2].raw)
            self._bytes -= size
            budget -= size
            self.in_flight.add(handed[0])
            taken.append(handed)
        return taken

    def searching(self) -> None:
        """The table is about to be searched: what is handed from now on may be in what it finds, or not."""
        self.ask()
        self._ask = False
        self._learnt = None
        self._searching = True
        self._decided.clear()

    def found(self, lanes: Collection[int], *, whole: bool, due: datetime | None) -> None:
        """These are in flight now, and may have more work; whole: nothing else was due.

        What happened while the search was out counts beside what it found: a lane that was in flight then was left out
        of it, and may have been postponed since.
        """
        self._searching = False
        self.in_flight.update(lanes)
        self._deep.update(lanes)
        self.revoked.update(self._decided.intersection(lanes))
        self._queue = deque(handed for handed in self._queue if handed[0] not in lanes)
        self._bytes = sum(len(handed[2].raw) for handed in self._queue)
        self.due = _sooner(due, self._learnt)
        if not whole:
            self.ask()

    def failed(self) -> None:
        """The search gave nothing: it is to be asked again."""
        self._searching = False
        self.ask()

    def acted(self, lanes: Collection[int], *, revoking: bool) -> None:
        """A person acted on these lanes: what is due is to be asked anew, and again when those in flight end.
        revoking: what was claimed of them before is not to be sent."""
        self.ask()
        self._deep.update(self.in_flight.intersection(lanes))
        if revoking:
            self.revoked.update(self.in_flight.intersection(lanes))
            if self._searching:
                self._decided.update(lanes)

    def ended(self, claim: Claim, progress: Progress) -> None:
        """The lane is given back."""
        self.in_flight.discard(claim.lane)
        self.revoked.discard(claim.lane)
        if claim.lane in self._deep or isinstance(progress.end, Returned):
            self._deep.discard(claim.lane)
            self.ask()
        until = getattr(progress.end, "until", None)
        self.due = _sooner(self.due, until)
        self._learnt = _sooner(self._learnt, until)


def _sooner(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((each for each in (one, other) if each is not None), default=None)
