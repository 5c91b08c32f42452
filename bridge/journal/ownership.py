"""Check who owns a file, a folder or the other side of a socket.

In a folder that others may write to, somebody else may be first. They may leave a link to a file of ours, a file that
stays theirs, or a socket at which they answer for us. So what is made is made anew, what is found is looked at, and a
peer is asked for its user. This user, root and the owner of the journal's file are believed; nobody else is.
"""

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from bridge.errors import JournalError

_PRIVATE: Final = 0o600  # mode of a file for its owner alone
_PEER: Final = struct.Struct("3i")
"""Process, user and group of a peer, as Linux tells them."""

_CURE: Final = "somebody else may have put it there: remove it, or keep the journal in a folder of your own"


def trusted(journal: Path) -> frozenset[int]:
    """Users whose files and processes are believed to be the bridge's own."""
    users = {os.geteuid(), 0}
    with suppress(OSError):
        users.add(journal.stat().st_uid)
    return frozenset(users)


def kept_open(path: Path, journal: Path) -> int:
    """A descriptor of a small file that is made if need be and stays, mode 0600. Raises OSError; JournalError where it
    is a link, or somebody else's."""
    if path.is_symlink():
        raise JournalError(f"{path} is a link: {_CURE}")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 and found.st_uid in trusted(journal):
        return descriptor
    os.close(descriptor)
    raise JournalError(f"{path} is a file of user {found.st_uid}, or has another name too: {_CURE}")


def refuse_strangers_file(journal: Path) -> None:
    """Refuse a journal that somebody else has made in a folder that everybody may write to. The file is theirs: they
    may read and write it. Raises JournalError."""
    file, folder = journal.resolve().stat(), journal.resolve().parent.stat()
    if folder.st_mode & stat.S_IWOTH and file.st_uid not in (os.geteuid(), 0):
        raise JournalError(
            f"{journal} is a file of user {file.st_uid}, in a folder that everybody may write to: {_CURE}"
        )


def made_anew(path: Path) -> int:
    """A descriptor of a new empty file, mode 0600; what was there has lost its name. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)


def private_folder(folder: Path, users: frozenset[int]) -> Path:
    """The folder, made with mode 0700 if need be. Raises JournalError if others may put something into it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as problem:
        raise JournalError(f"cannot make the folder {folder}: {problem.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in users or found.st_mode & 0o022:
        raise JournalError(
            f"{folder} is no folder that only user {os.geteuid()} may write to: somebody else may have put it there; "
            "remove it, or give the journal a shorter path"
        )
    return folder


def check_socket(place: Path, users: frozenset[int]) -> bool:
    """Check what stands at the socket's place. False: nothing. Raises JournalError if it is no socket, a link, or
    somebody else's."""
    try:
        found = place.lstat()
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise JournalError(f"cannot look at {place}: {problem.strerror}") from None
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in users:
        what = "a socket" if stat.S_ISSOCK(found.st_mode) else "no socket"
        raise JournalError(f"{place} is {what} of user {found.st_uid}: {_CURE}")
    return True


def bound(place: Path, users: frozenset[int]) -> socket.socket:
    """A socket under this name, mode 0600, that does not listen yet. One that a killed owner left is replaced."""
    if check_socket(place, users):
        place.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        made.bind(os.fspath(place))
    except OSError as problem:
        made.close()
        raise JournalError(f"cannot make the socket {place}: {problem.strerror}") from None
    finally:
        os.umask(mask)
    return made


def check_peer(connection: socket.socket, users: frozenset[int], where: Path) -> None:
    """Check the user of the other side. Raises JournalError if it is somebody else. Not every system tells it: there
    the place was checked."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    _, user, _ = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if user not in users:
        raise JournalError(f"the other side of {where} is user {user}, who has no say here: {_CURE}")
