"""One day of a shop, made up: what happens to a thousand orders, what its webhooks bring, what the API must know.

What is expected is written down while the day is made, by what happened, not by any rule. Totals are multiples of five
cents and pounds are four fifths of euros, so that every share is exact.
"""

import json
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from bridge import registry

_RATE = Decimal("0.8")
_BEFORE_EDITS = ("order.placed", "order.confirmed")
_NOBODY = {
    "email": None, "contact_email": None, "phone": None, "customer": None, "billing_address": None,
    "shipping_address": None, "landing_site": None, "note_attributes": [],
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One webhook that Shopify sends, perhaps late, perhaps again."""

    id: str
    topic: str
    document: dict


@dataclass(kw_only=True)
class Day:
    """changes: every state of every order, by its time. expected: (action, reference) to what it is worth in euros.

    edited: orders of which an edit took half away, each with what is left. What was true of such an order before the
    edit is worth as much as the document says that told it first, which may be a later one.
    """

    changes: list = field(default_factory=list)
    expected: dict = field(default_factory=dict)
    edited: dict = field(default_factory=dict)
    nobody: set = field(default_factory=set)
    tests: set = field(default_factory=set)

    def worths(self, key):
        """What an event may be worth."""
        action, order = key
        told = {self.edited[order]} if action in _BEFORE_EDITS and order in self.edited else set()
        return {self.expected[key], *told}

    def deliveries(self, chance):
        """What arrives, as it arrives: a sixth is lost, a tenth comes twice, some come hours late."""
        arriving = []
        for number, (_, topic, document) in enumerate(self.changes):
            if chance.random() < 1 / 6:
                continue
            delivery = Delivery(id=str(uuid.UUID(int=chance.getrandbits(128))), topic=topic, document=document)
            for _ in range(2 if chance.random() < 0.1 else 1):
                late = chance.uniform(0, len(self.changes)) if chance.random() < 0.1 else 0
                arriving.append((number + chance.uniform(-8, 8) + late, delivery))
        return [delivery for _, delivery in sorted(arriving, key=lambda one: one[0])]


def made(orders, *, ended, chance):
    """A day that ended then."""
    day = Day()
    began = ended - timedelta(hours=20)
    for number in range(orders):
        _order(day, number, began + timedelta(hours=18) * number / orders, chance)
    day.changes.sort(key=lambda change: change[0])
    return day


def _document(number, at, chance):
    document = json.loads(_example("order"))
    order = 6_043_000_000_000 + number
    total = Decimal(chance.randrange(20, 20_000)) * Decimal("0.05")
    iso = at.isoformat()
    buyer = f"buyer-{chance.randrange(400)}@example.com"
    return document | {
        "id": order,
        "admin_graphql_api_id": f"gid://shopify/Order/{order}",
        "name": f"#{number}",
        "created_at": iso,
        "processed_at": iso,
        "financial_status": "pending",
        "total_price": f"{total:.2f}",
        "current_total_price": f"{total:.2f}",
        "total_price_set": _money(total),
        "email": buyer,
        "contact_email": buyer,
        "phone": None,
        "customer": None,
        "billing_address": None,
        "shipping_address": None,
        "note_attributes": [{"name": "hello_session", "value": str(uuid.UUID(int=chance.getrandbits(128)))}],
        "taxes_included": True,
        "line_items": [line | {"properties": []} for line in _lines(document["line_items"], total)],
    }


def _half(total):
    """What is left where an edit takes half away."""
    return (total / 2).quantize(Decimal("0.01"))


def _lines(lines, total):
    """The first is the half that an edit may take away."""
    first, *others = lines
    price = total - _half(total)
    one = {"quantity": 1, "current_quantity": 1, "discount_allocations": [], "tax_lines": []}
    return [first | one | {"price": f"{price:.2f}", "price_set": _money(price)}, *others]


def _money(total):
    return {
        "shop_money": {"amount": f"{total:.2f}", "currency_code": "EUR"},
        "presentment_money": {"amount": f"{total * _RATE:.2f}", "currency_code": "GBP"},
    }


def _example(name):
    return (registry.folder("shopify") / "examples" / f"{name}.json").read_text()


class _Order:
    """One order on its way: each step is a state of its document, some minutes after the last."""

    def __init__(self, day, document, at, chance):
        self._day, self._at, self._chance = day, at, chance
        self.document = document
        self.total = Decimal(document["total_price"])
        self._counted = True

    def step(self, topic, **changes):
        self._at += timedelta(minutes=self._chance.uniform(1, 12))
        self._at = self._at.replace(microsecond=0)
        self.document = self.document | changes | {"updated_at": self._at.isoformat()}
        self._day.changes.append((self._at, topic, self.document))
        return self._at.isoformat()

    def becomes(self, worth):
        """An edit leaves this of it."""
        self.total = worth
        self.document = self.document | {"current_total_price": f"{self.total:.2f}"}
        self._day.edited[str(self.document["id"])] = self.total

    def counts_for_nothing(self):
        self._counted = False

    def expect(self, action, worth=None, reference=None):
        if self._counted:
            key = (action, str(reference or self.document["id"]))
            self._day.expected[key] = self.total if worth is None else worth


def _order(day, number, at, chance):
    order = _Order(day, _document(number, at.replace(microsecond=0), chance), at, chance)
    _whose(day, order, chance)
    order.step("orders/create")
    order.expect("order.placed")
    if chance.random() < 0.92:
        order.step("orders/paid", financial_status="paid")
        order.expect("order.confirmed")
    if chance.random() < 0.08:
        _edited(order)
    if chance.random() < 0.6:
        _sent(order, number, chance)
    if order.document["financial_status"] == "paid":
        for part in range(chance.choices((0, 1, 2), (84, 12, 4))[0]):
            _refunded(order, number * 10 + part, chance)
    if chance.random() < 0.05:
        order.step("orders/cancelled", cancelled_at=at.isoformat(), cancel_reason="customer")
        order.expect("order.cancelled")
    if chance.random() < 0.2:
        order.step("orders/updated", note="a change that says nothing")


def _whose(day, order, chance):
    """A buyer with an address, a visitor of whom only the session is known, nobody, or a test."""
    kind = chance.choices(("buyer", "visitor", "nobody", "test"), (88, 8, 2, 2))[0]
    number = str(order.document["id"])
    if kind == "visitor":
        order.document |= _NOBODY | {"note_attributes": order.document["note_attributes"]}
    elif kind == "nobody":
        order.document |= _NOBODY
        order.counts_for_nothing()
        day.nobody.add(number)
    elif kind == "test":
        order.document |= {"test": True}
        order.counts_for_nothing()
        day.tests.add(number)


def _edited(order):
    first, *others = order.document["line_items"]
    order.becomes(_half(order.total))
    order.step("orders/updated", line_items=[first | {"current_quantity": 0}, *others])


def _sent(order, number, chance):
    parcel = json.loads(_example("fulfillment")) | {"id": 4_043_000_000 + number, "order_id": order.document["id"]}
    at = order.step("orders/fulfilled", fulfillment_status="fulfilled")
    parcel |= {"created_at": at, "updated_at": at}
    order.step("orders/updated", fulfillments=[parcel])
    order.expect("order.shipped")
    if chance.random() < 0.4:
        at = order.step("orders/updated")
        order.step("orders/updated", fulfillments=[parcel | {"shipment_status": "delivered", "updated_at": at}])
        order.expect("order.delivered")


def _refunded(order, number, chance):
    worth = Decimal(chance.randrange(1, max(2, int(order.total / Decimal("0.15"))))) * Decimal("0.05")
    refund = json.loads(_example("refund"))
    at = order.step("orders/updated")
    paid = refund["transactions"][0] | {"id": number, "amount": f"{worth * _RATE:.2f}", "currency": "GBP"}
    refund |= {
        "id": 9_043_000_000 + number,
        "order_id": order.document["id"],
        "created_at": at,
        "processed_at": at,
        "refund_line_items": [],  # money alone: the piece may have been taken away by an edit
        "transactions": [paid | {"created_at": at, "processed_at": at}],
    }
    refunds = [*order.document["refunds"], refund]
    now = f"{Decimal(order.document['current_total_price']) - worth:.2f}"
    order.step("orders/updated", refunds=refunds, financial_status="partially_refunded", current_total_price=now)
    order.expect("refund.received", worth, refund["id"])
