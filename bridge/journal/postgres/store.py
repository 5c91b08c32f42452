"""The journal in a Postgres database, as `bridge.journal.store` asks for it."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from bridge.journal import Intake, Journal, Operator, Reader, postgres
from bridge.journal.dump import ExportSource, ImportTarget
from bridge.journal.postgres import dump
from bridge.journal.postgres.place import Place
from bridge.journal.store import Released


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """Implements Store: any number of processes may serve it, and commands act by themselves."""

    place: Place

    @property
    def name(self) -> str:
        return f"postgres, schema {self.place.schema}"

    @property
    def whereabouts(self) -> str:
        return self.name

    def is_new(self) -> bool:
        """Answer False: `journal init` makes the journal."""
        return False

    def serving(self, *, destinations: Sequence[str], released: Released) -> AbstractAsyncContextManager[Journal]:
        return postgres.opened(self.place, destinations=destinations, released=released)

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        return postgres.reading(self.place)

    def acting(self) -> AbstractAsyncContextManager[Operator]:
        return postgres.acting(self.place)

    def is_served(self, _journal: Operator) -> bool:
        """Answer True: nobody knows of all processes."""
        return True

    def feeding(self, *, destinations: Sequence[str]) -> AbstractAsyncContextManager[Intake]:
        return postgres.opened(self.place, destinations=destinations)

    async def init(self) -> bool:
        return await postgres.init(self.place)

    async def weaknesses(self) -> Sequence[str]:
        return await postgres.weaknesses(self.place)

    async def doubt(self) -> None:
        await dump.doubt(self.place)

    def exporting(self) -> AbstractAsyncContextManager[ExportSource]:
        return dump.exporting(self.place)

    def importing(self) -> AbstractAsyncContextManager[ImportTarget]:
        return dump.importing(self.place)
