"""The parts of the running service that the console shows and acts on."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import msgspec

from bridge.config import Settings
from bridge.intake.status import Status
from bridge.journal import Journal, Reader
from bridge.journal.store import Store
from bridge.views.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """journal: to act on. store: to read it beside the service. settings: gives those whose rules are in force."""

    journal: Journal
    store: Store
    status: Status
    settings: Callable[[], Settings]

    def live(self) -> Live:
        """The state of the process."""
        return msgspec.convert(self.status.of_process(), Live)

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        """Open the journal to read it, so that a long look does not hold up the service."""
        return self.store.reading()
