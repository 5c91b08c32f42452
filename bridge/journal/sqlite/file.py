"""The journal's file: who owns it, which version it has, and how it is opened for writing."""

import errno
import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bridge import chance
from bridge.errors import JournalBroken, JournalError, JournalInUse, JournalUnreadable
from bridge.journal.durable import flush, make_folder
from bridge.journal.ownership import kept_open, refuse_strangers_file
from bridge.journal.sqlite.identity import beside, inode_of, leftovers, strange_log
from bridge.journal.sqlite.statements import schema, upgrade

VERSION = 3  # of the schema
_APPLICATION = 0x41425247  # of the file's header: ABRG
_OLDEST_SQLITE = (3, 35, 0)  # version
_SMALLEST = 512
"""Bytes of the smallest database: one page of the smallest size."""

_MOUNT_POINT = 4  # column of /proc/self/mountinfo
_NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "lustre", "afs", "9p"),
        *("fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.mountpoint-s3"),
    )
)
"""Types of mounts that other machines may write to, or that a server is behind."""


@contextmanager
def owned(path: Path) -> Iterator[int]:
    """The lock beside the file, as a descriptor. Only its holder writes. Raises JournalInUse, JournalError for a path
    that cannot be.
    """
    try:
        _make_folder(path)
        _refuse_network(path)
        if path.is_dir():
            raise JournalError(f"{path} is a folder: name a file in it, such as {path / 'journal.db'}")
        lock = kept_open(beside(path, ".lock"), path)
    except OSError as problem:
        raise _cannot_open(path, problem) from None
    try:
        if not _is_locked(lock, path):
            raise JournalInUse(
                f"the journal {path} is in use by another process, a bridge or a command that works with it: stop that "
                "first, or name another journal"
            )
        refuse_strange_log(path, lock)
        yield lock
    finally:
        os.close(lock)


def _is_locked(lock: int, path: Path) -> bool:
    """Whether this process holds the lock, and the lock still has its name. Somebody may have removed it meanwhile."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    held = os.fstat(lock)
    return inode_of(beside(path, ".lock")) == (held.st_dev, held.st_ino)


def _make_folder(path: Path) -> None:
    """Make the last folder of the path only. If more is missing, the path is mistyped or a disk is not mounted."""
    folder = path.parent
    try:
        make_folder(folder)
    except FileNotFoundError:
        above = folder.parent.absolute()
        if above.exists():
            raise JournalError(
                f"no folder {folder.absolute()} can be made for the journal: name another place"
            ) from None
        raise JournalError(
            f"there is no folder {above} for the journal {path}: make it, or name another place"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise JournalError(f"{folder} is no folder: the journal {path} cannot be there; name another place") from None


def _cannot_open(path: Path, problem: OSError) -> JournalError:
    """The error for a file that cannot be opened. A person's choice has a cure; anything else is the disk's."""
    if problem.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
        return JournalBroken(f"cannot open the journal {path}: {problem.strerror}")
    reason = os.strerror(problem.errno)
    return JournalError(
        f"user {os.geteuid()} may not write the journal {path}: {reason}; give this user its folder "
        f"{path.parent.absolute()} and its files, or name another place"
    )


def _refuse_network(path: Path) -> None:
    """Refuse a network file system: locks and fsync of SQLite do not hold on it. Raises JournalUnreadable."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux: nothing is known of the mount
        return
    kind = mount_type(mounts, path.parent.resolve())
    if kind in _NETWORK:
        raise JournalUnreadable(
            f"{path} is on a network file system ({kind}), where SQLite loses data: name a path on a local disk "
            "or a block volume, or use a journal in Postgres"
        )


def mount_type(mounts: str, folder: Path) -> str:
    """The file system's type of the mount that a folder is on, by /proc/self/mountinfo; of equals the last counts."""
    found, longest = "", -1
    for line in mounts.splitlines():
        own, _, rest = line.partition(" - ")
        fields = own.split()
        if len(fields) > _MOUNT_POINT and rest:
            point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[_MOUNT_POINT]))
            if folder.is_relative_to(point) and len(point.parts) >= longest:
                found, longest = rest.split()[0], len(point.parts)
    return found


@contextmanager
def writable(path: Path) -> Iterator[sqlite3.Connection]:
    """The writing connection, with the schema of this version. Raises JournalUnreadable, JournalBroken."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise JournalUnreadable(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 is the least that the journal needs")
    check_content(path)
    refuse_leftovers(path)
    mask = os.umask(0o077)  # SQLite makes it for this user alone, and gives the files beside it the same mode
    try:
        connection = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as problem:
        raise JournalBroken(f"cannot open the journal {path}: {problem}") from None
    finally:
        os.umask(mask)
    try:
        _keep_name(path)
        refuse_strangers_file(path)
        _prepare(connection, path)
        yield connection
    finally:
        connection.close()


def _keep_name(path: Path) -> None:
    """Make the names of the file and of the lock last, before SQLite makes a log. Else a power cut could leave a log
    without its journal."""
    try:
        flush(path.resolve().parent)
    except OSError as problem:
        raise _cannot_open(path, problem) from None


def check_content(path: Path) -> None:
    """Refuse a file that is too short for a database. SQLite takes a file of one byte for an empty database, and would
    write over it. Raises JournalUnreadable.

    The file is never opened: closing it would drop SQLite's locks on it (see identity.py). SQLite itself checks the
    content of longer files.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return
    except OSError as problem:
        raise _cannot_open(path, problem) from None
    if 0 < size < _SMALLEST:
        raise JournalUnreadable(f"{path} cannot be read as a journal: it is not a SQLite file")


def refuse_leftovers(path: Path) -> None:
    """Refuse a log without its journal: it would be played into the new file that is made here. Raises JournalError."""
    if files := leftovers(path):
        names = " and ".join(str(file) for file in files)
        there = f"is a journal at {path}, and also" if path.exists() else f"is no journal at {path}, but"
        raise JournalError(
            f"there {there} {names} of an earlier one: orders may be in there and nowhere else. "
            "If the journal was moved away, move this to the same place under its name; a .rescued file is a whole "
            f"journal: rename it to {path.name}, or move it to another folder. Then start again"
        )


def refuse_strange_log(path: Path, lock: int) -> None:
    """Refuse the log of another file: it would be played into this one. Raises JournalError. lock: of the owner."""
    if strange_log(path, lock):
        raise JournalError(
            f"{path} is not the file that its log {beside(path, '-wal')} belongs to: orders may be in that log and "
            "nowhere else. Put the file back that was here when the bridge worked last, and start again; or move the "
            "log away together with that file, and then put this one here"
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 2000")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -16384")
        # Set it here, since builds of SQLite have different defaults. FAST overwrites what is deleted in pages that are
        # written anyway. Whole pages are overwritten only while personal data is erased, see erasures.py.
        connection.execute("PRAGMA secure_delete = FAST")
        found = version_of(connection, path)
    except sqlite3.DatabaseError as problem:
        raise JournalUnreadable(f"{path} cannot be read as a journal: {problem}") from None
    try:
        if found == 0:
            _create(connection)
        for version in range(found + 1, VERSION + 1) if found else ():
            _run(connection, upgrade(version), version)
    except sqlite3.Error as problem:
        raise JournalBroken(f"cannot make or upgrade the journal {path}: {problem}") from None
    with suppress(sqlite3.OperationalError):  # a full disk: at the next start
        # A process that was killed while erasing left older versions of pages in the log.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Read the version of the journal. 0: an empty file. Raises JournalUnreadable for a file of somebody else, or of a
    newer version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != _APPLICATION and tables:
        raise JournalUnreadable(f"{path} is a SQLite file, but not a journal of this bridge")
    if version > VERSION:
        raise JournalUnreadable(
            f"{path} was written by a newer version of the bridge (journal version {version}, this one knows "
            f"{VERSION}): run that version, or restore the backup made before the upgrade"
        )
    return int(version)


def _create(connection: sqlite3.Connection) -> None:
    salt = chance.octets(16).hex()
    _run(connection, f"{schema()}\nINSERT INTO meta VALUES ('salt', x'{salt}');", VERSION)


def _run(connection: sqlite3.Connection, script: str, version: int) -> None:
    stamp = f"PRAGMA application_id = {_APPLICATION};\nPRAGMA user_version = {version};"
    connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n{stamp}\nCOMMIT;")
