"""Room on the disk: below `min_free` nothing new is taken in; a ballast file keeps room for what must still be settled.

A full disk cannot settle, prune or even checkpoint: then the ballast is removed, and made again when there is room.
"""

import os
import time
from pathlib import Path

from bridge.errors import JournalBusy
from bridge.journal.sqlite.identity import beside
from bridge.telemetry import emit

_LOOK_EVERY = 0.5
_CHUNK = bytes(1 << 20)


class Room:
    """Looked at by the writer's thread before it takes something in, twice a second at the most."""

    def __init__(self, path: Path, *, min_free: int, ballast: int) -> None:
        self._folder = path.resolve().parent
        self._ballast = beside(path, ".ballast")
        self._ballast_size = ballast
        self._min_free = min_free
        self._looked = -_LOOK_EVERY
        self._full = False

    def free(self) -> int:
        """Bytes that this process may still write on the journal's disk."""
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def refuses_appends(self) -> JournalBusy | None:
        """The refusal, while there is too little room."""
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._looked = time.monotonic()
            self._see(self.free())
        return JournalBusy("the journal's disk has less free room than min_free") if self._full else None

    def give_up_ballast(self) -> None:
        """The disk is full, whatever it said before."""
        self._ballast.unlink(missing_ok=True)
        self._full = True
        self._looked = time.monotonic()
        emit("journal.full", free=self.free())

    def _see(self, free: int) -> None:
        if free < self._min_free:
            if not self._full:
                emit("journal.full", free=free)
            self._full = True
        elif not self._full or free >= self._room_to_go_on():
            self._full = False
            self._lay_ballast(free)

    def _room_to_go_on(self) -> int:
        """More than what giving up the ballast has freed: that room is for what must still be settled."""
        missing = 0 if self._ballast.exists() else self._ballast_size
        return self._min_free + self._ballast_size + missing

    def _lay_ballast(self, free: int) -> None:
        if self._ballast_size == 0 or self._ballast.exists() or free < self._min_free + self._ballast_size:
            return
        try:
            with self._ballast.open("wb") as file:
                for start in range(0, self._ballast_size, len(_CHUNK)):
                    file.write(_CHUNK[: self._ballast_size - start])
                os.fsync(file.fileno())
        except OSError:
            self._ballast.unlink(missing_ok=True)
