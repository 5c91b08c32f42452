"""The journal that a configuration means. Only this module knows all kinds of journals."""

from collections.abc import Callable, Mapping
from typing import Any

from bridge.config.sections import JournalSettings, Keep, PostgresSettings, SqliteSettings
from bridge.errors import BridgeError
from bridge.journal import Retention
from bridge.journal.sqlite.store import SqliteStore
from bridge.journal.store import Store


def store_of(settings: JournalSettings) -> Store:
    """The journal that these settings name. Nothing is opened. Raises BridgeError if its driver is not installed."""
    return _STORES[type(settings)](settings)


def retention_of(keep: Keep) -> Retention:
    return Retention(bodies=keep.bodies, history=keep.history, keys=keep.keys)


def _sqlite(settings: SqliteSettings) -> Store:
    return SqliteStore(path=settings.path, min_free=settings.min_free, ballast=settings.ballast)


def _postgres(settings: PostgresSettings) -> Store:
    try:
        from bridge.journal.postgres.place import Place  # noqa: PLC0415  the driver is an extra
        from bridge.journal.postgres.store import PostgresStore  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise BridgeError(
            f"a journal in Postgres needs {missing.name}: install attribution-bridge[postgres], or use kind: sqlite"
        ) from None
    return PostgresStore(
        Place(
            dsn=settings.url.reveal(),
            password=settings.password.reveal() if settings.password is not None else None,
            schema=settings.schema_name,
            pool=settings.pool,
            timeout=settings.timeout,
            lease=settings.lease,
            listen=settings.listen,
            poll=settings.poll,
        )
    )


_STORES: Mapping[type, Callable[[Any], Store]] = {SqliteSettings: _sqlite, PostgresSettings: _postgres}
"""The kinds of journals: the settings of each, and the function that makes its store of them."""
