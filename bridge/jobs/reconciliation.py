"""Take in what a platform has and the journal has not, through the same rules as if it had been delivered.

An order's document is taken in if it is newer than the newest that is stored. What is settled holds its keys, and is
not sent again. The progress is remembered after every page, so that a broken run goes on there.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime

from bridge.contract import Envelope
from bridge.errand import Admin, Offer, Page
from bridge.jobs.errands import ErrandRunner, Handlers
from bridge.jobs.standings import with_standings
from bridge.journal import Intake, Standing


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a reconciliation found, in orders.

    already  a document as new, or newer, is stored
    missing  healed: nothing was known of the order
    newer    healed: older documents of it were stored
    skipped  taken in, but the source knows that nothing is to be sent, by its reason
    """

    found: int = 0
    already: int = 0
    missing: int = 0
    newer: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def healed(self) -> int:
        return self.missing + self.newer


@dataclass(slots=True, kw_only=True)
class Reconciliation:
    """The reconciliation of one tenant of one source. came_to: called after every page."""

    journal: Intake
    source: str
    tenant: str
    dry_run: bool = False
    came_to: Callable[[datetime, Tally], None] = lambda _upto, _tally: None
    mark: str = ""
    """The name under which the progress is remembered; empty: it is not."""
    tally: Tally = field(default_factory=Tally)

    async def made(
        self, admin: Admin, performer: ErrandRunner, *, since: datetime, until: datetime, now: datetime
    ) -> Tally:
        """Raises ErrandFailed, JournalError; what was taken in until then stays."""
        errand = admin.documents(self.tenant, since=since, until=until, now=now)
        await performer.perform(errand, Handlers(page=self._page, offered=self._offered))
        return self.tally

    async def _offered(self, offer: Offer) -> Collection[str]:
        standings = await self.journal.standings(self.tenant, list(offer.versions), source=self.source, kind=offer.kind)
        wanted = [lane for lane, version in offer.versions.items() if not _has(standings.get(lane), version)]
        self.tally.found += len(offer.versions) - len(wanted)
        self.tally.already += len(offer.versions) - len(wanted)
        return wanted

    async def _page(self, page: Page) -> None:
        for document, standing in await with_standings(page, self.journal, source=self.source, tenant=self.tenant):
            await self._document(document, standing)
        if self.mark and not self.dry_run:
            await self.journal.remember(self.mark, page.upto.isoformat())
        self.came_to(page.upto, self.tally)

    async def _document(self, document: Envelope, standing: Standing | None) -> None:
        self.tally.found += 1
        if _has(standing, document.version) or not (self.dry_run or await self._taken_in(document)):
            self.tally.already += 1
        elif document.reason is not None:
            self.tally.skipped[document.reason] += 1
        elif standing is None or standing.newest is None:
            self.tally.missing += 1
        else:
            self.tally.newer += 1

    async def _taken_in(self, document: Envelope) -> bool:
        """Take in a document. False: it came meanwhile."""
        return not (await self.journal.append(document)).known


def _has(standing: Standing | None, version: datetime | None) -> bool:
    return standing is not None and standing.newest is not None and version is not None and standing.newest >= version
