"""What a kind of journal offers: each journal package has one object that implements `Store`."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from bridge.journal import Intake, Journal, Operator, Reader
from bridge.journal.dump import ExportSource, ImportTarget

Released: TypeAlias = Callable[[str, str], None]
"""A callback with destination and rule, when a person released a rule."""


class Store(Protocol):
    """One journal at one place. Each call opens it anew; raises JournalBusy, JournalInUse, JournalUnreadable."""

    @property
    def name(self) -> str:
        """The name for people: a path or a schema, never a password."""

    @property
    def whereabouts(self) -> str:
        """The name for logs: the same from whichever folder it is read."""

    def is_new(self) -> bool:
        """Whether `serving` would make it: a file that is not there, and may be elsewhere."""

    def serving(self, *, destinations: Sequence[str], released: Released) -> AbstractAsyncContextManager[Journal]:
        """Open the journal to work with it, as `run` does."""

    def reading(self) -> AbstractAsyncContextManager[Reader]:
        """Open the journal to read it, beside the process that works with it."""

    def acting(self) -> AbstractAsyncContextManager[Operator]:
        """Open the journal for a command that acts on it, beside the process that works with it."""

    def is_served(self, journal: Operator) -> bool:
        """Whether somebody else works with what `acting` gave, or may."""

    def feeding(self, *, destinations: Sequence[str]) -> AbstractAsyncContextManager[Intake]:
        """Open the journal to add documents, beside the process that works with it. The process that serves the journal
        sends what they give, now or later."""

    async def init(self) -> bool:
        """Make what must be there before anybody serves it, or bring it to this version. True: something was made."""

    async def weaknesses(self) -> Sequence[str]:
        """Sentences: which settings of the server keep the promise from being kept in full."""

    async def doubt(self) -> None:
        """Take note that it was put back by other means than `journal restore`: from now on it is as if restored."""

    def exporting(self) -> AbstractAsyncContextManager[ExportSource]:
        """Open the journal to read all of it, as it is at one instant."""

    def importing(self) -> AbstractAsyncContextManager[ImportTarget]:
        """A new journal, to be filled: it is there as a whole, or not at all."""
