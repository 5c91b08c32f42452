"""Name a document by its body: kind, lane, version, aliases. Only the few fields that are needed are decoded.

Headers are not signed, so the topic is believed only if the body has the shape that the topic brings. Fields that
identify are checked. Contact data is taken if it is text and ignored if not: an odd phone number refuses no order.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

from bridge.errors import Malformed
from bridge.signatures import digest
from bridge.surrogates import decoded
from connectors.shopify.phones import Address, numbers

Id = Annotated[int, msgspec.Meta(ge=1)]
Token = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Loose: TypeAlias = Any
"""Anything that may stand there: used if it is fit, ignored if not."""

Odd: TypeAlias = list[Any] | str | int | float | bool | None
"""The values that may stand there instead of an object, and refuse no order."""


class Name(NamedTuple):
    """The parts that an envelope takes from the body."""

    kind: str
    lane: str
    version: datetime | None = None
    aliases: tuple[str, ...] = ()
    is_test: bool = False


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Any JSON object. Nothing in it is needed, and its lane is its own. It is named by what was signed: the same
    document under another id, which stands in a header, is no other document."""

    def lane(self, kind: str, body: bytes) -> str:
        return f"body:{digest(body)}" if kind else ""

    def name(self, kind: str, body: bytes) -> Name:
        return Name(kind, self.lane(kind, body))


class Personal(Document, frozen=True, kw_only=True):
    """A document that may name a person. It is found, and erased, by what it says of the person."""

    email: Loose = None
    phone: Loose = None
    customer: Loose = None
    shipping_address: Loose = None
    billing_address: Loose = None
    destination: Loose = None

    def name(self, kind: str, body: bytes) -> Name:
        customer = self.customer if isinstance(self.customer, dict) else {}
        buyers = (_address(self.billing_address), _address(customer.get("default_address")))
        parcels = (_address(self.shipping_address), _address(self.destination))
        found = _aliases(
            ("customer:", (customer.get("id"),)),
            ("email:", (self.email, customer.get("email"))),
            ("phone:", numbers((self.phone, customer.get("phone")), buyers, parcels)),
        )
        return Name(kind, self.lane(kind, body), aliases=found)


class Versioned(Personal, frozen=True, kw_only=True):
    updated_at: Loose = None

    def name(self, kind: str, body: bytes) -> Name:
        return Personal.name(self, kind, body)._replace(version=instant(self.updated_at))


class Identified(Versioned, frozen=True, kw_only=True):
    """A document that has an id, and belongs to no order."""

    id: Id

    def lane(self, kind: str, body: bytes) -> str:  # noqa: ARG002 - others need the body
        return f"{kind}:{self.id}"


class ShopItself(Identified, frozen=True, kw_only=True):
    myshopify_domain: Loose = None
    plan_name: Loose = None

    def is_of(self, names: Collection[str]) -> bool:
        """Whether it is the shop of one of these names, or a nameless one that has a plan. An order has no plan."""
        return self.myshopify_domain in names or (self.myshopify_domain is None and self.plan_name is not None)


class OfOrder(Versioned, frozen=True, kw_only=True):
    """A document about an order, which it names. It waits for its turn in the order's lane."""

    order_id: Id

    def lane(self, kind: str, body: bytes) -> str:  # noqa: ARG002 - one signature for all
        return str(self.order_id)


class OrderGone(Document, frozen=True, kw_only=True):
    """The rest of a deleted order."""

    id: Id

    def lane(self, kind: str, body: bytes) -> str:  # noqa: ARG002 - one signature for all
        return str(self.id)


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A customer, as far as it helps to find an order again."""

    id: Loose = None
    email: Loose = None
    phone: Loose = None
    default_address: Address | Odd = None


class Order(Document, frozen=True, kw_only=True):
    id: Id
    updated_at: Loose = None
    title: Loose = msgspec.field(default=None, name="name")
    test: Loose = None
    checkout_token: Loose = None
    email: Loose = None
    contact_email: Loose = None
    phone: Loose = None
    customer: Person | Odd = None
    shipping_address: Address | Odd = None
    billing_address: Address | Odd = None

    def name(self, kind: str, body: bytes) -> Name:  # noqa: ARG002 - one signature for all
        customer = self.customer if isinstance(self.customer, Person) else Person()
        found = _aliases(
            ("", (self.title,)),
            ("checkout:", (self.checkout_token,)),
            ("customer:", (customer.id,)),
            ("email:", (self.email, self.contact_email, customer.email)),
            (
                "phone:",
                numbers(
                    (self.phone, customer.phone),
                    (self.billing_address, customer.default_address),
                    (self.shipping_address,),
                ),
            ),
        )
        return Name(kind, str(self.id), instant(self.updated_at), found, self.test is True)


class Customer(Identified, frozen=True, kw_only=True):
    def name(self, kind: str, body: bytes) -> Name:
        found = Identified.name(self, kind, body)
        return found._replace(aliases=(*_aliases(("customer:", (self.id,))), *found.aliases))


class Tokened(Versioned, frozen=True, kw_only=True):
    """A cart or a checkout. Its token names it."""

    token: Token

    def lane(self, kind: str, body: bytes) -> str:  # noqa: ARG002 - one signature for all
        return f"{kind}:{self.token}"


class Checkout(Tokened, frozen=True, kw_only=True):
    def name(self, kind: str, body: bytes) -> Name:
        found = Tokened.name(self, kind, body)
        return found._replace(aliases=(*_aliases(("checkout:", (self.token,))), *found.aliases))


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    order_id: Id


class OrderEdit(Document, frozen=True, kw_only=True):
    order_edit: Edited

    def lane(self, kind: str, body: bytes) -> str:  # noqa: ARG002 - one signature for all
        return str(self.order_edit.order_id)


class Finished(Document, frozen=True, kw_only=True):
    """A bulk operation, named by its gid."""

    admin_graphql_api_id: Token

    def lane(self, kind: str, body: bytes) -> str:  # noqa: ARG002 - one signature for all
        return f"{kind}:{self.admin_graphql_api_id}"


class Compliance(Document, frozen=True, kw_only=True):
    shop_domain: str
    customer: Person | msgspec.UnsetType | None = msgspec.UNSET
    orders_requested: Loose = msgspec.UNSET
    orders_to_redact: Loose = msgspec.UNSET
    data_request: Loose = msgspec.UNSET

    def told_as(self) -> str:
        """The topic that brings such a body: the one in the header, which nobody signed, is not believed, or a question
        would erase the whole shop. What is there counts, be it null; who is only named is asked about."""
        if self.data_request is not msgspec.UNSET or self.orders_requested is not msgspec.UNSET:
            return "customers/data_request"
        if self.orders_to_redact is not msgspec.UNSET:
            return "customers/redact"
        return "shop/redact" if self.customer is msgspec.UNSET else "customers/data_request"

    def name(self, kind: str, body: bytes) -> Name:
        who = self.customer or Person()
        found = _aliases(("customer:", (who.id,)), ("email:", (who.email,)), ("phone:", (who.phone,)))
        return Name(kind, self.lane(kind, body), aliases=found)


_SHAPES: Mapping[str, tuple[type[Document], str]] = {
    "order": (
        Order,
        "orders/create orders/paid orders/updated orders/cancelled orders/fulfilled orders/partially_fulfilled",
    ),
    "order_edit": (OrderEdit, "orders/edited"),
    "order_deletion": (OrderGone, "orders/delete"),
    "order_risk": (OfOrder, "orders/risk_assessment_changed"),
    "refund": (OfOrder, "refunds/create"),
    "transaction": (OfOrder, "order_transactions/create"),
    "fulfillment": (OfOrder, "fulfillments/create fulfillments/update"),
    "fulfillment_event": (OfOrder, "fulfillment_events/create fulfillment_events/delete"),
    "checkout": (Checkout, "checkouts/create checkouts/update"),
    "checkout_deletion": (Identified, "checkouts/delete"),
    "cart": (Tokened, "carts/create carts/update"),
    "draft_order": (Identified, "draft_orders/create draft_orders/update"),
    "draft_order_deletion": (Identified, "draft_orders/delete"),
    "customer": (Customer, "customers/create customers/update customers/enable customers/disable"),
    "customer_deletion": (Identified, "customers/delete"),
    "customer_merge": (Document, "customers/merge"),
    "shop": (ShopItself, "shop/update app/uninstalled"),
    "app_scopes": (Document, "app/scopes_update"),
    "bulk_operation": (Finished, "bulk_operations/finish"),
    "compliance": (Compliance, "customers/data_request customers/redact shop/redact"),
}
TOPICS: Mapping[str, str] = {topic: kind for kind, (_, topics) in _SHAPES.items() for topic in topics.split()}
_DECODERS: Mapping[str, msgspec.json.Decoder[Document]] = {
    kind: msgspec.json.Decoder(shape) for kind, (shape, _) in _SHAPES.items()
}
_ANYTHING: msgspec.json.Decoder[Document] = msgspec.json.Decoder(Personal)
_TOPIC = re.compile(r"(?P<family>[a-z][a-z0-9_]{0,63})/[a-z0-9_]{1,64}")


def named(topic: str, body: bytes, *, tenant: str, also: Sequence[str] = ()) -> Name:
    """The document's name, or Malformed if the body is not what the topic brings. also: other names of the shop."""
    kind = TOPICS.get(topic) or _unknown_kind(topic)
    document = _decoded(_DECODERS.get(kind, _ANYTHING), topic, body)
    if isinstance(document, Compliance) and document.shop_domain not in (tenant, *also):
        raise Malformed(f"{topic}: shop_domain in the body is not the shop of the header, {tenant}")
    if isinstance(document, Compliance) and topic != document.told_as():
        raise Malformed(f"{topic}: the body is one of {document.told_as()}")
    if topic == "app/uninstalled" and not (isinstance(document, ShopItself) and document.is_of((tenant, *also))):
        raise Malformed(f"{topic}: the body is not of the shop {tenant}")
    name = document.name(kind, body)
    if not name.lane.isprintable():
        raise Malformed(f"{topic}: the token that names the document is not printable")
    return name


def instant(text: object) -> datetime | None:
    """Read ISO 8601 with an offset as an instant in UTC. Nine decimals are cut to six. All else is None."""
    if not isinstance(text, str):
        return None
    try:
        read = datetime.fromisoformat(text)
        return read.astimezone(UTC) if read.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _unknown_kind(topic: str) -> str:
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Malformed("X-Shopify-Topic is not a topic" if topic else "no X-Shopify-Topic header")
    return match["family"]


def _decoded(decoder: msgspec.json.Decoder[Document], topic: str, body: bytes) -> Document:
    """Decode a document. Skipped text is not decoded, so a separate check finds whether it is UTF-8; most is ASCII,
    which is quickly seen."""
    try:
        if not body.isascii():
            body.decode()
        return decoded(decoder.decode, body)
    except msgspec.ValidationError as problem:
        raise Malformed(f"not what {topic} brings: {problem}") from None
    except RecursionError:
        raise Malformed(f"{topic}: nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed(f"{topic}: not JSON, {len(body)} bytes") from None


def _address(given: object) -> Address | None:
    return (
        Address(phone=given.get("phone"), country_code=given.get("country_code")) if isinstance(given, dict) else None
    )


def _aliases(*found: tuple[str, Iterable[object]]) -> tuple[str, ...]:
    """Each alias once, in the order given."""
    aliases: dict[str, None] = {}
    for prefix, values in found:
        for value in values:
            if value is None:
                continue
            text = value if type(value) is str else _number(value)
            if text and text.isprintable() and (text := text.strip()):
                aliases[prefix + (text.lower() if prefix == "email:" else text)] = None
    return tuple(aliases)


def _number(value: object) -> str:
    """A whole number as text; anything else is nothing."""
    return str(value) if type(value) is int else ""
