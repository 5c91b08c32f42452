"""One partition that is ours: what was read and is not stored yet, and up to where all is stored."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.contract import Record


class Place(NamedTuple):
    """A partition's name."""

    topic: str
    partition: int


@dataclass(slots=True, eq=False)
class Partition:
    """place
    position    the next offset to be committed: all before it is stored. None: it is not known yet where it begins
    next        the next offset to be read: what comes from before it was read ahead of a seek
    committed   what the group has, as far as we know
    leaving     nothing more is begun
    stopped     why nothing more is read of it
    closed      it is not ours any more, or was begun anew: what is still said of it counts for nothing
    waiting     records that are read, and not on their way into the journal
    storing     the task that brings them there
    """

    place: Place
    position: int | None = None
    next: int = 0
    committed: int | None = None
    stopped: str = ""
    leaving: bool = False
    closed: bool = False
    paused: bool = True
    waiting: deque[Record] = field(default_factory=deque)
    storing: "asyncio.Task[None] | None" = None

    @property
    def is_uncommitted(self) -> bool:
        return not self.closed and self.position is not None and self.position != self.committed

    def begin(self, offset: int, committed: int | None) -> None:
        """Read from here on."""
        self.position = self.next = offset
        self.committed = committed

    def add(self, records: Sequence[Record]) -> None:
        """Records read before it was known where to begin are not wanted."""
        if self.position is not None and not self.stopped and not self.leaving:
            self.waiting.extend(record for record in records if record.offset >= self.next)
            self.next = max(self.next, records[-1].offset + 1)

    def stored(self, last: Record) -> None:
        """All up to this record is in the journal."""
        if not self.closed:
            self.position = last.offset + 1

    def leave(self) -> None:
        """What is not on its way into the journal is forgotten: nobody has said that it was taken."""
        self.leaving = True
        self.waiting.clear()

    def close(self) -> None:
        self.leave()
        self.closed = True
