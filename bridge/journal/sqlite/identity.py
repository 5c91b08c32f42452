"""Check that the files under the journal's path are still those that this process writes. The promise rests on this.

A file that was deleted, moved or replaced takes every write, and nobody finds it again. So its identity is looked at
before each answer, by name only. The file is never opened beside SQLite. A process that closes any descriptor of a file
drops all its POSIX locks on the file, SQLite's own too (sqlite.org/howtocorrupt.html, 2.2).
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

_NOTE = 100  # bytes that are read of the note in the lock

Inode: TypeAlias = tuple[int, int]
"""Device and number: which file it is, whatever its name."""


def beside(path: Path, ending: str) -> Path:
    """A file of the journal at this path. SQLite names its log after the file that a link points to, and so do we."""
    real = path.resolve()
    return real.with_name(real.name + ending)


def inode_of(path: Path) -> Inode | None:
    """The file under this name now; None: there is none, or it cannot be looked at."""
    try:
        found = os.stat(path)  # noqa: PTH116  a third of the time of Path.stat, at every commit
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Identity:
    """The files of one journal as they were when it was opened: the journal, its log with the log's index, and the
    lock of its owner."""

    def __init__(self, path: Path, lock: int) -> None:
        """Name the files. lock: the descriptor of the lock file that this process holds."""
        self.path = path
        self.log = beside(path, "-wal")
        self._index = beside(path, "-shm")
        self._lock = beside(path, ".lock")
        self._held = lock
        self._inodes: dict[Path, Inode | None] = {}
        self._size = 0

    def learn(self) -> None:
        """Learn which files are the journal's. Call it once, when SQLite has them open and the log has been written.
        The next owner learns of both from a note, see `file.refuse_strange_log`. The note is on the disk
        before the file says that it is served."""
        self._inodes = {each: inode_of(each) for each in (self.path, self.log, self._index)}
        held = os.fstat(self._held)
        self._inodes[self._lock] = held.st_dev, held.st_ino
        self._leave_word(self._inodes[self.path])
        os.fsync(self._held)

    @property
    def is_noted(self) -> bool:
        """Whether the last owner of this lock worked with this very file. Ask before `learn`."""
        told = os.pread(self._held, _NOTE, 0).split()
        file = inode_of(self.path)
        return file is not None and told[:1] == [str(file[1]).encode()]

    def _leave_word(self, file: Inode | None) -> None:
        log = self._inodes[self.log]
        numbers = (file[1] if file else 0, log[1] if log else 0)
        os.pwrite(self._held, f"{numbers[0]:<30} {numbers[1]:<30}\n".encode(), 0)

    def lost(self) -> str | None:
        """What is no longer as it was, as a sentence with what to do; None: all is well."""
        if not self.is_file(self.path):
            return _sentence(self.path, "the journal")
        if self.is_overwritten:
            return _sentence(self.path, "the journal", "was written over")
        if not self.is_log(self.log):
            return _sentence(self.log, "the journal's log")
        if inode_of(self._index) != self._inodes[self._index]:
            return _sentence(self._index, "the index of the journal's log")
        if inode_of(self._lock) != self._inodes[self._lock]:
            return _sentence(self._lock, "the lock of the journal's owner")
        return None

    @property
    def is_overwritten(self) -> bool:
        """Whether another file was copied over this one. Such a copy keeps the inode. SQLite makes the file larger, and
        never smaller by itself."""
        try:
            size = os.stat(self.path).st_size  # noqa: PTH116  as above
        except OSError:
            return False
        if size < self._size:
            self._leave_word(None)  # its log belongs to nothing
            return True
        self._size = size
        return False

    def is_file(self, path: Path) -> bool:
        """Whether this name is that of the journal's own file now."""
        return (found := inode_of(path)) is not None and found == self._inodes[self.path]

    def is_log(self, path: Path) -> bool:
        """Whether this name is that of the journal's own log now."""
        return (found := inode_of(path)) is not None and found == self._inodes[self.log]


def _sentence(path: Path, what: str, done: str = "") -> str:
    done = done or ("was replaced by another file" if inode_of(path) is not None else "was deleted or moved")
    return (
        f"{path}, {what}, {done} while the bridge worked with it: nothing is taken in any more; let nobody else touch "
        "the journal's files, and start the bridge again"
    )


def strange_log(path: Path, lock: int) -> bool:
    """Whether the log at this path is the one of the last owner, but the journal is not. Then another file was put into
    its place, and the log would be played into it. lock: the descriptor of the lock, in which the last owner left their
    numbers.

    If the log is another one too, all files came here together.
    """
    told = os.pread(lock, _NOTE, 0).split()
    file, log = inode_of(path), inode_of(beside(path, "-wal"))
    if len(told) != 2 or file is None or log is None or not _is_filled(beside(path, "-wal")):  # noqa: PLR2004  two files
        return False
    return str(log[1]).encode() == told[1] and str(file[1]).encode() != told[0]


def leftovers(path: Path) -> list[Path]:
    """Files that belong to a journal which is not there: they may hold the only copy of what was acknowledged."""
    real = path.resolve()
    with suppress(OSError):
        rescued = sorted(each for each in real.parent.glob(f"{real.name}.rescued*") if _is_filled(each))
        logs = [] if real.exists() else [each for end in ("-wal", "-journal") if _is_filled(each := beside(path, end))]
        return logs + rescued
    return []


def _is_filled(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
