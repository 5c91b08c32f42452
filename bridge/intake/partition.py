"""One partition that is ours: what was read and is not stored yet, and the position up to which all is stored."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bridge.contract import Record

_AROUND: Final = 1024
"""Bytes that a record takes beside its own content: it is an object with a time, and becomes an envelope with names."""


class Place(NamedTuple):
    """A partition's name."""

    topic: str
    partition: int


class Portion(NamedTuple):
    """What was read of a partition at once.

    upto    all before it was read: offsets without a record (marks of transactions, what was aborted, what compaction
            took away) are passed with it. None: not known
    broken  why nothing behind these records can be read; empty: it can
    """

    records: Sequence[Record]
    upto: int | None
    broken: str = ""


@dataclass(slots=True, eq=False)
class Partition:
    """A partition that is ours, and how far it is read and stored.

    position    the next offset to be committed: all before it is stored. None: it is not known yet where it begins
    next        the next offset to be read: what comes from before it was read ahead of a seek
    committed   what the group has, as far as we know
    lag         records behind the end of its log when it was last looked at. None: nobody looked yet
    leaving     nothing more is begun
    stopped     why nothing more is read of it until a person decides
    broken      why nothing more can be read of it; it is tried again
    again       when, by the clock of the loop
    waits       why the record or the wave that is at hand waits
    full        since when it has as much as it may have, by the clock of the loop
    closed      it is not ours any more, or was begun anew: what is still said of it counts for nothing
    waiting     records that are read, and not on their way into the journal
    storing     the task that brings them there
    records     those that are read and not stored, and the bytes that they take
    """

    place: Place
    position: int | None = None
    next: int = 0
    committed: int | None = None
    lag: int | None = None
    stopped: str = ""
    broken: str = ""
    again: float = 0.0
    waits: str = ""
    full: float | None = None
    leaving: bool = False
    closed: bool = False
    paused: bool = True
    waiting: deque[Record] = field(default_factory=deque)
    storing: "asyncio.Task[None] | None" = None
    records: int = 0
    bytes: int = 0

    @property
    def is_uncommitted(self) -> bool:
        return not self.closed and self.position is not None and self.position != self.committed

    @property
    def state(self) -> str:
        """The state in an operator's words."""
        if why := self.stopped or self.broken:
            return f"stopped: {why}"
        return f"waiting: {self.waits}" if self.waits else "reading"

    def begin(self, offset: int, committed: int | None) -> None:
        """Begin to read from this offset on."""
        self.position = self.next = offset
        self.committed = committed

    def add(self, portion: Portion) -> int:
        """Take what was read. Returns the bytes of its largest record. What came before it was known where to begin is
        not wanted."""
        if self.position is None or self.stopped or self.leaving:
            return 0
        new = [record for record in portion.records if record.offset >= self.next]
        sizes = [footprint(record) for record in new]
        self.waiting.extend(new)
        self.records += len(new)
        self.bytes += sum(sizes)
        self.next = max(self.next, portion.upto or 0, new[-1].offset + 1 if new else 0)
        if not self.waiting and self.storing is None:
            self.position = self.next
        return max(sizes, default=0)

    def stored(self, wave: Sequence[Record]) -> None:
        """Note that all records up to the last of these are in the journal. If nothing waits behind them, all that was
        read is."""
        self._less(wave)
        if not self.closed:
            self.position = wave[-1].offset + 1 if self.waiting or self.leaving else self.next

    def _less(self, gone: Sequence[Record]) -> None:
        self.records -= len(gone)
        self.bytes -= sum(map(footprint, gone))

    def leave(self) -> None:
        """Forget what is not on its way into the journal: nobody has been told that it was taken."""
        self.leaving = True
        self._less(self.waiting)
        self.waiting.clear()

    def close(self) -> None:
        self.leave()
        self.closed = True


def footprint(record: Record) -> int:
    """The bytes of memory that it takes, more or less."""
    headers = sum(len(name) + len(value) + _AROUND // 8 for name, value in record.headers)
    return _AROUND + len(record.key or b"") + len(record.value or b"") + headers
