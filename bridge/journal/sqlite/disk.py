"""Guard the disk: below `min_free` nothing new is taken in, and a ballast file keeps space for what must still be
settled.

A full disk cannot settle, prune or even checkpoint. Then the ballast is removed, and made again when there is space.
Pages that are free inside the journal's file count as space too: pruning leaves the file as long as it was.
"""

import os
import sqlite3
from pathlib import Path

from bridge import clock
from bridge.errors import JournalBusy
from bridge.journal.ownership import made_anew
from bridge.journal.sqlite.identity import beside
from bridge.telemetry import emit

_LOOK_EVERY = 0.5  # seconds
_FOR_THE_LOG = 32 * 1024 * 1024
"""Bytes that must be free on the disk itself, whatever is free inside the file: the log grows before a checkpoint."""

_CHUNK = bytes(1 << 20)


def free_inside(connection: sqlite3.Connection) -> int:
    """Bytes of the pages that are free inside the journal's file: the next rows go there."""
    ((pages,), (size,)) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size"))
    return int(pages) * int(size)


class DiskGuard:
    """The guard that the writer's thread asks before it takes something in. It looks at the disk twice a second at the
    most."""

    def __init__(self, path: Path, *, min_free: int, ballast: int) -> None:
        self._folder = path.resolve().parent
        self._ballast = beside(path, ".ballast")
        self._ballast_size = ballast
        self._min_free = min_free
        self._looked = -_LOOK_EVERY
        self._full = False
        self.inside = 0
        """Bytes of pages that are free inside the journal's file. The writer sets it."""

    @property
    def must_look(self) -> bool:
        """Whether it is time to look at the free disk again."""
        return clock.monotonic() - self._looked >= _LOOK_EVERY

    def free(self) -> int:
        """Bytes that this process may still write on the journal's disk."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def refuses_appends(self) -> JournalBusy | None:
        """The refusal, while there is too little space."""
        if self.must_look:
            self._looked = clock.monotonic()
            self._see(self.free())
        return JournalBusy("the journal's disk has less free room than min_free") if self._full else None

    def give_up_ballast(self) -> None:
        """Remove the ballast: the disk is full, whatever it said before."""
        self._ballast.unlink(missing_ok=True)
        self._full = True
        self._looked = clock.monotonic()
        emit("journal.full", free=self.free(), inside=self.inside)

    def _see(self, free: int) -> None:
        usable = free + self.inside if free >= min(self._min_free, _FOR_THE_LOG) else free
        if usable < self._min_free:
            if not self._full:
                emit("journal.full", free=free, inside=self.inside)
            self._full = True
        elif not self._full or usable >= self._room_to_go_on():
            self._full = False
            self._lay_ballast(free)

    def _room_to_go_on(self) -> int:
        """Bytes that must be free again: more than the ballast has freed, since those are for what must still be
        settled."""
        missing = 0 if self._ballast.exists() else self._ballast_size
        return self._min_free + self._ballast_size + missing

    def _lay_ballast(self, free: int) -> None:
        if self._ballast_size == 0 or self._ballast.exists() or free < self._min_free + self._ballast_size:
            return
        try:
            with os.fdopen(made_anew(self._ballast), "wb") as file:
                for start in range(0, self._ballast_size, len(_CHUNK)):
                    file.write(_CHUNK[: self._ballast_size - start])
                os.fsync(file.fileno())
        except OSError:
            self._ballast.unlink(missing_ok=True)
