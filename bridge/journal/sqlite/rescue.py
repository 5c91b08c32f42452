"""Write what was acknowledged and has lost its name to a place where it is found again.

The owner of a journal whose files were taken away still has them open, and nobody else has. When the owner ends they
are gone.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from bridge.journal.doubt import SERVED
from bridge.journal.durable import flush, make_folder
from bridge.journal.ownership import made_anew
from bridge.journal.sqlite.identity import Identity, beside
from bridge.journal.sqlite.statements import statements

_DESCRIPTORS = Path("/proc/self/fd")
_ALL = "All that was acknowledged"


def saved(connection: sqlite3.Connection, identity: Identity) -> str:
    """Save all that was acknowledged, and say in a sentence where it is now. Raises sqlite3.Error, OSError if it cannot
    be saved."""
    place = next((each for each in _names(identity.path) if identity.is_file(each)), None)
    if place is None:
        return f"{_ALL} {_copied(connection, identity.path)}"
    if identity.is_overwritten:
        return f"What can still be read of it {_copied(connection, identity.path)}"
    log = place.with_name(place.name + "-wal")
    if identity.is_log(log):
        return f"{_ALL} is in {place} and its log"
    if log.exists() and log.stat().st_size:
        # Somebody else has begun a log for this file: what is written into it now would be mixed with that.
        return f"{_ALL} {_copied(connection, identity.path)}"
    return _checkpointed(connection, place)


def _names(path: Path) -> Iterator[Path]:
    """Names that the journal's file may have: its own, and where the system says that the open files are now."""
    yield path.resolve()
    with suppress(OSError):  # not Linux
        for each in _DESCRIPTORS.iterdir():
            with suppress(OSError):
                yield each.readlink()


def _checkpointed(connection: sqlite3.Connection, place: Path) -> str:
    _, pages, written = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if written < pages:
        raise sqlite3.OperationalError("somebody reads an older picture of the journal")
    return f"{_ALL} is in the journal's file, {place}"


def _copied(connection: sqlite3.Connection, path: Path) -> str:
    """Copy the journal to a name that is free. The folder may be gone as well."""
    make_folder(path.resolve().parent)
    part = beside(path, ".rescue-part")
    os.close(made_anew(part))
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
        _ended(part)
        flush(part)
        rescue = _free_name(beside(path, ".rescued"))
        part.rename(rescue)
    finally:
        part.unlink(missing_ok=True)
    flush(rescue.parent)
    return f"is in {rescue}: a whole journal, to be renamed to {path.name}"


def _ended(part: Path) -> None:
    """Let the copy say that nobody works with it: it is all that there is."""
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        copy.execute(statements()["drop_meta"], (SERVED,))


def _free_name(path: Path) -> Path:
    """The first of `path`, `path.2`, `path.3`, ... that is not there."""
    number = 1
    name = path
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.{number}")
    return name
