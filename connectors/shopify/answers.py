"""Files as people get them from Shopify's REST API: an order in `{"order": ...}`, several in `{"orders": [...]}`.

Documents are taken out as the bytes that stand there, so their numbers keep their digits.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from bridge.contract import Payload
from bridge.errors import Malformed
from bridge.surrogates import decoded
from connectors.shopify.identity import TOPICS

_TOPICS: Final[Mapping[str, str]] = {
    "order": "orders/create",
    "refund": "refunds/create",
    "transaction": "order_transactions/create",
    "fulfillment": "fulfillments/create",
    "fulfillment_event": "fulfillment_events/create",
    "draft_order": "draft_orders/create",
    "checkout": "checkouts/create",
    "customer": "customers/create",
}
"""The kinds of document that the API answers with, each with a topic that brings it."""

_WRAPPERS: Final = {f"{kind}{end}": topic for kind, topic in _TOPICS.items() for end in ("", "s")}
_SHAPES: Final = (
    ("refund", frozenset(("order_id", "refund_line_items"))),
    ("fulfillment_event", frozenset(("order_id", "fulfillment_id"))),
    ("fulfillment", frozenset(("order_id", "tracking_number"))),
    ("transaction", frozenset(("order_id", "gateway"))),
    ("draft_order", frozenset(("invoice_url",))),
    ("checkout", frozenset(("abandoned_checkout_url",))),
    ("order", frozenset(("line_items", "financial_status"))),
    ("customer", frozenset(("verified_email",))),
)
"""Keys that only a document of this kind has all of. The first kind that fits counts."""

_Part = msgspec.Raw
_FILE: Final = msgspec.json.Decoder(dict[str, _Part] | list[_Part])
_SEVERAL: Final = msgspec.json.Decoder(list[_Part])
_KEYS: Final = msgspec.json.Decoder(dict[str, _Part])


def unpacked(body: bytes) -> Sequence[Payload]:
    """The documents in a file. A file that is no answer and no list is one document, as it is."""
    try:
        found = _several_in(body)
    except (ValueError, RecursionError):  # it is no JSON, or one of its parts is none: Raw looks at no text in it
        found = None
    return [Payload(body=body)] if found is None else found


def _several_in(body: bytes) -> Sequence[Payload] | None:
    """The documents in an answer or a list. None: they are none. Raises as decoders do."""
    found = decoded(_FILE.decode, body)
    if isinstance(found, list):
        return _listed(found, "", "") if found else None
    if len(found) == 1 and (topic := _WRAPPERS.get(name := next(iter(found)))):
        inner = bytes(found[name])
        if inner.startswith(b"["):
            return _listed(_SEVERAL.decode(inner), name, topic)
        if inner.startswith(b"{"):
            return [Payload(body=inner, topic=topic, place=name)]
    return [Payload(body=body, topic=_topic(found))]


def alone(body: bytes, topic: str, problem: Malformed) -> bytes:
    """The one document in the body of a delivery that is not what its topic brings. Raises Malformed."""
    kind = TOPICS.get(topic)
    found = [each for each in unpacked(body) if each.place and kind is not None and TOPICS.get(each.topic) == kind]
    if not found:
        raise problem
    if len(found) > 1:
        raise Malformed(f"{topic}: an answer of the API with {len(found)} documents: post each of them by itself")
    return found[0].body


def _listed(parts: Sequence[_Part], name: str, topic: str) -> Sequence[Payload] | None:
    documents = [bytes(part) for part in parts]
    if not all(each.startswith(b"{") for each in documents):
        return None
    return [
        Payload(body=each, topic=topic or _topic(_KEYS.decode(each)), place=f"{name}[{number}]")
        for number, each in enumerate(documents)
    ]


def _topic(document: Mapping[str, object]) -> str:
    """A topic that brings a document of such a shape. Empty if the shape does not say."""
    return next((_TOPICS[kind] for kind, keys in _SHAPES if keys <= document.keys()), "")
