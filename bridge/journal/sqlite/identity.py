"""What the promise rests on: that the files under the journal's path are still those that this process writes.

A file that was deleted, moved or replaced takes every write, and nobody finds it again. So its identity is looked at
before each answer, by name only. To open the file beside SQLite would drop SQLite's own locks on it: whoever closes any
descriptor of a file drops all POSIX locks of the process on it (sqlite.org/howtocorrupt.html, 2.2).
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Inode: TypeAlias = tuple[int, int]
"""Device and number: which file it is, whatever its name."""


def inode_of(path: Path) -> Inode | None:
    """The file under this name now; None: there is none, or it cannot be looked at."""
    try:
        found = os.stat(path)  # noqa: PTH116  a third of the time of Path.stat, at every commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Identity:
    """The files of one journal as they were when it was opened: the journal, its log and the lock of its owner."""

    def __init__(self, path: Path, lock: int) -> None:
        """lock: the descriptor of the lock file that this process holds."""
        self.path = path
        self.log = path.with_name(path.name + "-wal")
        self._lock_path = path.with_name(path.name + ".lock")
        held = os.fstat(lock)
        self._lock = held.st_dev, held.st_ino
        self._file: Inode | None = None
        self._log: Inode | None = None

    def learn(self) -> None:
        """These are the files: called once, when SQLite has them open and the log has been written."""
        self._file = inode_of(self.path)
        self._log = inode_of(self.log)

    def lost(self) -> str | None:
        """What is no longer as it was, as a sentence with what to do; None: all is well."""
        if not self.has_file:
            return _sentence(self.path, "the journal")
        if inode_of(self.log) != self._log:
            return _sentence(self.log, "the journal's log")
        if inode_of(self._lock_path) != self._lock:
            return _sentence(self._lock_path, "the lock of the journal's owner")
        return None

    @property
    def has_file(self) -> bool:
        """Whether the journal's own file still has its name."""
        return inode_of(self.path) == self._file

    @property
    def has_foreign_log(self) -> bool:
        """Whether somebody else has begun a log for the journal's file."""
        found = inode_of(self.log)
        return found is not None and found != self._log


def _sentence(path: Path, what: str) -> str:
    done = "was replaced by another file" if inode_of(path) is not None else "was deleted or moved"
    return (
        f"{path}, {what}, {done} while the bridge worked with it: nothing is taken in any more; let nobody else touch "
        "the journal's files, and start the bridge again"
    )


def rescue_of(path: Path) -> Path:
    """Where a journal is written that has lost its name while it was open."""
    return path.with_name(path.name + ".rescued")


def free_name(path: Path) -> Path:
    """The first of `path`, `path.2`, `path.3`, ... that is not there."""
    number = 1
    name = path
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{number}")
    return name


def is_left_alone(path: Path) -> list[Path]:
    """Files that belong to a journal which is not there: they may hold the only copy of what was acknowledged."""
    if path.exists():
        return []
    beside = [path.with_name(path.name + rest) for rest in ("-wal", ".rescued")]
    with suppress(OSError):
        return [file for file in beside if file.exists() and os.stat(file).st_size]  # noqa: PTH116  as above
    return []
