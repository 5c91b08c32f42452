"""Find where the orders of a page stand in the journal."""

from collections.abc import Sequence

from bridge.contract import Envelope
from bridge.errand import Page
from bridge.journal import Reader, Standing


async def with_standings(
    page: Page, journal: Reader, *, source: str, tenant: str
) -> Sequence[tuple[Envelope, Standing | None]]:
    """Each document with its order's standing, as it was before any of them; None: nothing is known of the order."""
    by_kind: dict[str, list[Envelope]] = {}
    for document in page.documents:
        by_kind.setdefault(document.kind, []).append(document)
    found: list[tuple[Envelope, Standing | None]] = []
    for kind, documents in by_kind.items():
        lanes = [document.lane for document in documents]
        standings = await journal.standings(tenant, lanes, source=source, kind=kind)
        found += [(document, standings.get(document.lane)) for document in documents]
    return found
