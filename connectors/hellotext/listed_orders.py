"""What the API can list, for accounts: the orders that it knows, newest first, page by page.

See docs/contracts/hellotext.md 1.3 and 1.9.
It lists no amounts that can be trusted and filters nothing: an order's presence is all that is asked.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec

from bridge.contract import Event, Request, Response
from bridge.errand import Errand, Wait
from bridge.errors import ErrandFailed, NoAnswer
from bridge.status_table import Fate
from connectors.hellotext.answers import LIST, Answers

_PAGE = 100  # orders
_TRIES = 6  # tries
_LONGEST_PAGE = 16 * 1024 * 1024  # bytes


class _Order(msgspec.Struct):
    id: str | int
    reference: str | int | None = None


class _Data(msgspec.Struct):
    data: list[_Order]


_orders = msgspec.json.Decoder(list[_Order] | _Data)


def reference_of(event: Event) -> str | None:
    """The reference by which the API lists what the event was about. None: it lists nothing of it."""
    about = event.give.get("object_parameters")
    reference = about.get("reference") if isinstance(about, Mapping) else None
    is_order = str(event.give.get("action")).startswith("order.")
    return str(reference) if is_order and reference is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The list of orders of one business."""

    url: str
    headers: Mapping[str, str]
    answers: Answers

    def missing(self, references: Collection[str]) -> Errand[Collection[str]]:
        """Find the references that the list does not have. The search ends early once all are found; pages may be
        shorter than asked."""
        left = set(references)
        after = ""
        while left:
            orders = yield from self._page(after)
            if not orders:
                break
            left -= {str(order.reference) for order in orders}
            before, after = after, f"&starting_after={orders[-1].id}"
            if after == before:
                raise ErrandFailed(f"{self.url} gives the same page of its orders again and again")
        return left

    def _page(self, after: str) -> Errand[list[_Order]]:
        url = f"{self.url}/v1/attribution/orders?limit={_PAGE}{after}"
        request = Request(method="GET", url=url, headers=self.headers, repeatable=True, longest=_LONGEST_PAGE)
        for attempt in range(_TRIES):
            try:
                response: Response = yield request
            except NoAnswer:
                if attempt + 1 == _TRIES:
                    raise
            else:
                if self.answers.is_yes(response, LIST):
                    return _read(response)
                if self.answers.row(response, LIST).repeatable is not Fate.POSTPONED:
                    raise ErrandFailed(f"{self.url} answers {response.status} when it is asked for its orders")
            yield Wait(span=timedelta(seconds=1 << attempt), because="the API does not list its orders now")
        raise ErrandFailed(f"{self.url} did not list its orders in {_TRIES} tries; try again later")


def _read(response: Response) -> list[_Order]:
    try:
        found = _orders.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ErrandFailed("the API's list of orders cannot be read") from None
    return found.data if isinstance(found, _Data) else found
