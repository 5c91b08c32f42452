"""Make the schema for `journal init`, or bring it to this version. One migrator works at a time, and a schema of this
version is left alone."""

from bridge import chance
from bridge.errors import JournalUnreadable
from bridge.journal.postgres.database import VERSION, Database, schema_script, upgrade_script
from bridge.journal.postgres.durability import check_encoding
from bridge.journal.postgres.place import Connection

_LOCK = 0x41425247  # of the advisory lock


async def made(database: Database) -> bool:
    """Make the schema. Idempotent; True: something was made. Raises JournalBusy, JournalUnreadable for a newer one."""
    return await database.transaction(lambda connection: _made(connection, database))


async def _made(connection: Connection, database: Database) -> bool:
    quoted = '"' + database.place.schema.replace('"', '""') + '"'
    await check_encoding(connection)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    schema = database.place.schema
    is_there = await connection.fetchval("SELECT to_regnamespace($1)", quoted) is not None
    may_look = is_there and await connection.fetchval("SELECT has_schema_privilege($1, 'USAGE')", schema)
    if may_look and await connection.fetchval("SELECT to_regclass($1)", f"{quoted}.meta") is not None:
        return await _brought_on(connection, database, quoted)
    await _check_rights(connection, schema if is_there else None)
    if not is_there:
        await connection.execute(f"CREATE SCHEMA {quoted}")
    await connection.execute(f"SET LOCAL search_path = {quoted}")
    await connection.execute(schema_script())
    cells = [("version", str(VERSION).encode()), ("salt", chance.octets(16))]
    await connection.executemany("INSERT INTO meta (name, value) VALUES ($1, $2)", cells)
    return True


async def _check_rights(connection: Connection, schema: str | None) -> None:
    """Raise JournalUnreadable if this role may not make tables in a schema, or for None, may not make one."""
    may = "has_database_privilege(current_database(), 'CREATE')"
    if schema is not None:
        may = "has_schema_privilege($1, 'CREATE')"
    told = f"SELECT {may}, quote_ident(current_user), quote_ident(coalesce($1, current_database()))"
    allowed, role, place = await connection.fetchrow(told, schema)
    if not allowed:
        right, made = ("CREATE ON DATABASE", "the schema") if schema is None else ("USAGE, CREATE ON SCHEMA", "tables")
        raise JournalUnreadable(
            f"the role {role} may not make {made}: let its owner say GRANT {right} {place} TO {role}, or run "
            "`attribution-bridge journal init` once as a role that may"
        )


async def _brought_on(connection: Connection, database: Database, quoted: str) -> bool:
    """Bring the schema to this version. New columns have defaults, so older replicas work on meanwhile; they refuse to
    start again."""
    found = int(await connection.fetchval(database.sql["version"]))
    if found > VERSION:
        raise JournalUnreadable(f"the journal has version {found}, made by a newer bridge; this one knows {VERSION}")
    await connection.execute(f"SET LOCAL search_path = {quoted}")
    for version in range(found + 1, VERSION + 1):
        await connection.execute(upgrade_script(version))
    await connection.execute("UPDATE meta SET value = $1 WHERE name = 'version'", str(VERSION).encode())
    return found < VERSION
