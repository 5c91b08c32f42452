"""Which journal the configuration means, and how it is opened: to serve, to read, to act. The only place that knows.

The driver of Postgres is an extra: it is imported only where a configuration asks for it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bridge.config.sections import JournalSettings, PostgresSettings, SqliteSettings
from bridge.errors import BridgeError
from bridge.journal import Intake, Journal, Operator, Reader, control, sqlite
from bridge.journal.dump import ExportSource, ImportTarget
from bridge.journal.sqlite.dump import doubt as doubt_sqlite
from bridge.journal.sqlite.dump import exporting as exporting_sqlite
from bridge.journal.sqlite.dump import importing as importing_sqlite

if TYPE_CHECKING:
    from bridge.journal.postgres import Place

Told = Callable[[str, str], None]
"""Called with destination and rule where a person released a rule."""


@asynccontextmanager
async def serving(settings: JournalSettings, *, destinations: Sequence[str], released: Told) -> AsyncIterator[Journal]:
    """To work with it: the owner of a SQLite journal, or one of many processes with Postgres."""
    match settings:
        case SqliteSettings():
            owned = sqlite.opened(
                settings.path, destinations=destinations, min_free=settings.min_free, ballast=settings.ballast
            )
            async with owned as journal, control.answering(journal, settings.path, released=released):
                yield journal
        case PostgresSettings():
            async with _postgres().opened(place(settings), destinations=destinations, released=released) as shared:
                yield shared


def reading(settings: JournalSettings) -> AbstractAsyncContextManager[Reader]:
    """Beside whoever works with it."""
    match settings:
        case SqliteSettings():
            return sqlite.reading(settings.path)
        case PostgresSettings():
            found: AbstractAsyncContextManager[Reader] = _postgres().reading(place(settings))
            return found


def acting(settings: JournalSettings) -> AbstractAsyncContextManager[Operator]:
    """For a command that acts: through the owner of a SQLite journal, or by itself with Postgres."""
    match settings:
        case SqliteSettings():
            return control.acting(settings.path, destinations=())
        case PostgresSettings():
            found: AbstractAsyncContextManager[Operator] = _postgres().acting(place(settings))
            return found


def is_served(journal: Operator) -> bool:
    """Whether somebody else works with what `acting` gave: a SQLite journal is lent by its owner, or opened by nobody
    but us. With Postgres it is taken to be."""
    return not isinstance(journal, sqlite.SqliteJournal)


@asynccontextmanager
async def feeding(settings: JournalSettings, *, destinations: Sequence[str]) -> AsyncIterator[Intake]:
    """To bring documents in beside whoever works with it; what they wait for is done by whoever serves, or will."""
    match settings:
        case SqliteSettings():
            async with control.acting(settings.path, destinations=destinations) as found:
                yield found
        case PostgresSettings():
            async with _postgres().opened(place(settings), destinations=destinations) as shared:
                yield shared


async def init(settings: JournalSettings) -> bool:
    """Make what has to be there before anybody serves; True: something was made."""
    match settings:
        case SqliteSettings():
            made = not settings.path.exists()
            async with sqlite.opened(settings.path, destinations=()):
                return made
        case PostgresSettings():
            return bool(await _postgres().init(place(settings)))


@asynccontextmanager
async def exporting(settings: JournalSettings) -> AsyncIterator[ExportSource]:
    """To read all of it out, as of one moment."""
    match settings:
        case SqliteSettings():
            with exporting_sqlite(settings.path) as source:
                yield source
        case PostgresSettings():
            async with _postgres().exporting(place(settings)) as shared:
                yield shared


@asynccontextmanager
async def importing(settings: JournalSettings) -> AsyncIterator[ImportTarget]:
    """A new journal, to be filled: there as a whole, or not at all."""
    match settings:
        case SqliteSettings():
            with importing_sqlite(settings.path) as target:
                yield target
        case PostgresSettings():
            async with _postgres().importing(place(settings)) as shared:
                yield shared


async def doubt(settings: JournalSettings) -> None:
    """It was put back by other means than `journal restore`: from now on it is as if it had been restored."""
    match settings:
        case SqliteSettings():
            doubt_sqlite(settings.path)
        case PostgresSettings():
            await _postgres().doubt(place(settings))


async def weaknesses(settings: JournalSettings) -> Sequence[str]:
    """What is set so that the promise is not kept in full: sentences. Raises JournalError where it cannot be opened."""
    match settings:
        case SqliteSettings():
            async with sqlite.reading(settings.path):
                return ()
        case PostgresSettings():
            found: Sequence[str] = await _postgres().weaknesses(place(settings))
            return found


def name_of(settings: JournalSettings) -> str:
    """For people: never a password."""
    return str(settings.path) if isinstance(settings, SqliteSettings) else f"postgres, schema {settings.schema_name}"


def whereabouts(settings: JournalSettings) -> str:
    """As name_of, for logs: the same from wherever it is read."""
    return str(settings.path.absolute()) if isinstance(settings, SqliteSettings) else name_of(settings)


def is_new(settings: JournalSettings) -> bool:
    """Whether serving makes it: a file that is not there, which may be elsewhere."""
    return isinstance(settings, SqliteSettings) and not settings.path.exists()


def place(settings: PostgresSettings) -> "Place":
    """What the settings mean to the driver."""
    made: Place = _postgres().Place(
        dsn=settings.url.reveal(),
        password=settings.password.reveal() if settings.password is not None else None,
        schema=settings.schema_name,
        pool=settings.pool,
        timeout=settings.timeout,
        lease=settings.lease,
        listen=settings.listen,
        poll=settings.poll,
    )
    return made


def _postgres() -> Any:  # noqa: ANN401  a module, imported late
    try:
        from bridge.journal import postgres  # noqa: PLC0415  an extra
    except ModuleNotFoundError as missing:
        raise BridgeError(
            f"a journal in Postgres needs {missing.name}: install attribution-bridge[postgres], or use kind: sqlite"
        ) from None
    found: ModuleType = postgres
    return found
