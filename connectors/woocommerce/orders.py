"""The shop's orders read again, page by page, so that none is missed while orders change (`reconcile`). Pure.

Pages of a list move while it changes: an order that leaves the list draws all behind it forward, and the first of the
next page is missed. So the list is a span of time that is over. No order can join it, and if one leaves it (it was
changed meanwhile, or put in the bin) X-WP-Total falls: then the span is read again, in halves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bridge.contract import Envelope
from bridge.errand import Errand, Note, Page
from bridge.errors import ErrandFailed, Malformed
from connectors.woocommerce.rest_api import Asking

_MOST_PAGES: Final = 10
"""Pages of one span: its documents are in memory until the last of them is read."""
_TRIES: Final = 5  # tries of a span that cannot be halved
_SECOND: Final = timedelta(seconds=1)


@dataclass(slots=True, kw_only=True)
class Rereading:
    """One reading of a shop's orders. named: names a document as the door would; raises Malformed."""

    asking: Asking
    named: Callable[[bytes], Envelope]

    def made(self, since: datetime, until: datetime) -> Errand[None]:
        """Give the orders that changed from `since` up to `until`, a page for each span, the oldest span first.

        A span ends before its end, which is the first second of the next.
        """
        spans = [(since.replace(microsecond=0), until.replace(microsecond=0) + _SECOND)]
        while spans:
            begin, end = spans.pop()
            found = yield from self._span(begin, end)
            if found is None:
                middle = begin + (end - begin) // 2
                middle = middle.replace(microsecond=0)
                spans += [(middle, end), (begin, middle)]
            else:
                yield Page(documents=found, upto=self._by_then(min(end, until)))

    def _span(self, begin: datetime, end: datetime) -> Errand[Sequence[Envelope] | None]:
        """The orders of one span. None: it is to be read in halves."""
        can_be_halved = end - begin >= 2 * _SECOND
        for _ in range(_TRIES):
            found = yield from self._read(begin, end, most=_MOST_PAGES if can_be_halved else None)
            if found is not None or can_be_halved:
                return found
        raise ErrandFailed(f"shop {self.asking.shop}: its orders change faster than they can be read; try again later")

    def _read(self, begin: datetime, end: datetime, *, most: int | None) -> Errand[Sequence[Envelope] | None]:
        """All pages of a span. None: they are too many, or an order left the span between two of them."""
        raw: list[bytes] = []
        number, pages, total = 1, 1, 0
        while number <= pages:
            listing = yield from self.asking.page("orders", number, **_asked(begin, end))
            if listing.total < total or (most is not None and listing.pages > most):
                return None
            raw += [bytes(item) for item in listing.items]
            number, pages, total = number + 1, listing.pages, listing.total
        found = yield from self._documents(raw)
        self._check_filter(found, begin, end)
        return [each for each in found if each.version is None or begin <= each.version < end]

    def _documents(self, raw: Sequence[bytes]) -> Errand[Sequence[Envelope]]:
        """The documents by their orders: what joins a list moves others to the next page, where they come again."""
        found: dict[str, Envelope] = {}
        for body in raw:
            try:
                document = self.named(body)
            except Malformed as problem:
                yield Note(text=f"shop {self.asking.shop}: an order that it lists cannot be read: {problem}")
            else:
                found[document.lane] = document
        return list(found.values())

    def _check_filter(self, found: Sequence[Envelope], begin: datetime, end: datetime) -> None:
        """Refuse a shop that lists orders of other times: then it lists all of them, or by a clock of its own."""
        versions = [each.version for each in found if each.version is not None]
        if any(version < begin - 2 * _SECOND or version > end + 2 * _SECOND for version in versions):
            raise ErrandFailed(
                f"shop {self.asking.shop}: it lists orders that did not change in the time asked for: its WooCommerce "
                "is too old for `modified_after` and `dates_are_gmt`; update it"
            )

    def _by_then(self, end: datetime) -> datetime:
        """The time up to which an answer is complete. If the clock here is ahead, what changes until then is not in the
        answer yet."""
        theirs = self.asking.clock
        return end if theirs is None else min(end, theirs)


def _asked(begin: datetime, end: datetime) -> dict[str, str]:
    """Parameters for a span. Its limits are a second wider, since the API leaves out what changed at them."""
    return {
        "modified_after": _gmt(begin - _SECOND),
        "modified_before": _gmt(end + _SECOND),
        "dates_are_gmt": "true",
        "status": "any",
        "orderby": "id",
        "order": "asc",
    }


def _gmt(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
