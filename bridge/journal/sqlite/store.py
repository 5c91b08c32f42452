"""The journal in a SQLite file, as `bridge.journal.store` asks for it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.journal import Intake, Journal, Operator, Reader, control, sqlite
from bridge.journal.dump import ExportSource, ImportTarget
from bridge.journal.sqlite import dump
from bridge.journal.store import Released


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteStore:
    """Implements Store. The file has one owner; commands ask the owner by its socket, or open the file where there is
    none.

    min_free  bytes that must be free on the disk, or nothing new is taken in
    ballast   bytes that are kept for what must still be stored on a full disk
    """

    path: Path
    min_free: int = 0
    ballast: int = 0

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def whereabouts(self) -> str:
        return str(self.path.absolute())

    def is_new(self) -> bool:
        return not self.path.exists()

    @asynccontextmanager
    async def serving(self, *, destinations: Sequence[str], released: Released) -> AsyncIterator[Journal]:
        owned = sqlite.opened(self.path, destinations=destinations, min_free=self.min_free, ballast=self.ballast)
        async with owned as journal, control.answering(journal, self.path, released=released):
            yield journal

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        return sqlite.reading(self.path)

    def acting(self) -> AbstractAsyncContextManager[Operator]:
        return control.acting(self.path, destinations=())

    def is_served(self, journal: Operator) -> bool:
        """The owner lends the journal; where nobody owns it, the command has opened it itself."""
        return not isinstance(journal, sqlite.SqliteJournal)

    def feeding(self, *, destinations: Sequence[str]) -> AbstractAsyncContextManager[Intake]:
        return control.acting(self.path, destinations=destinations)

    async def init(self) -> bool:
        made = not self.path.exists()
        async with sqlite.opened(self.path, destinations=()):
            return made

    async def weaknesses(self) -> Sequence[str]:
        async with sqlite.reading(self.path):
            return ()

    async def doubt(self) -> None:
        dump.doubt(self.path)

    @asynccontextmanager
    async def exporting(self) -> AsyncIterator[ExportSource]:
        with dump.exporting(self.path) as source:
            yield source

    @asynccontextmanager
    async def importing(self) -> AsyncIterator[ImportTarget]:
        with dump.importing(self.path) as target:
            yield target
