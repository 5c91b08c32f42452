"""Check, raise and report the settings by which a database keeps what it has acknowledged and holds texts."""

from collections.abc import Mapping, Sequence
from typing import Final

from bridge.errors import JournalUnreadable
from bridge.journal.postgres.place import Connection

_ENCODING: Final = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
_WAIT: Final = """SELECT set_config('synchronous_commit',
    CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"""
_COMMITS: Final = "synchronous_commit"
_DURABLE: Final = ("on", "remote_apply")


async def check_encoding(connection: Connection) -> None:
    """Raises JournalUnreadable: a database of another encoding refuses documents for single letters of them."""
    encoding = await connection.fetchval(_ENCODING)
    if encoding != "UTF8":
        raise JournalUnreadable(
            f"the database's encoding is {encoding}, and a journal needs UTF8 to hold every order: make another, "
            "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )


async def wait_for_the_disk(connection: Connection) -> None:
    """Make commits wait for the disk, whatever the role, the database or a reloaded configuration says. If they wait
    for a standby to show them, they go on doing so."""
    await connection.execute(_WAIT)


async def check_commits(connection: Connection) -> None:
    """Check that commits wait for the disk. Raises JournalUnreadable if a pooler lends us sessions that do not."""
    default = (await _defaults(connection, _COMMITS))[_COMMITS]
    if default not in _DURABLE:
        raise JournalUnreadable(
            f"synchronous_commit is {default}, and behind a pooler (listen: false) the bridge cannot raise it: a crash "
            "of the server would lose what was answered with 200. ALTER ROLE name SET synchronous_commit = on"
        )


async def weaknesses(connection: Connection) -> Sequence[str]:
    """Sentences about settings that are weaker than the promise; none where all is well."""
    found = await _defaults(connection, _COMMITS, *_SERVER)
    weak = [f"{name} is off at the server: {loss}" for name, loss in _SERVER.items() if found[name] == "off"]
    if (default := found[_COMMITS]) not in _DURABLE:
        weak.append(f"synchronous_commit is {default} by default; the bridge raises it to on in its own sessions")
    return weak


_SERVER: Final = {
    "fsync": "a crash of its machine can lose or damage what was answered with 200, and the bridge cannot raise it",
    "full_page_writes": "a crash of its machine can damage pages of the journal, and the bridge cannot raise it",
}


async def _defaults(connection: Connection, *names: str) -> Mapping[str, str]:
    """Settings as the session found them. What was set in the session since does not count."""
    rows = await connection.fetch("SELECT name, reset_val FROM pg_settings WHERE name = ANY ($1)", list(names))
    return dict(rows)
