"""The shop of a world: orders, the documents that say how they stand, and the facts that follow.

It keeps its own books: what each document must give is known by how it was made, never by the program's rules.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

CURRENCIES = {"EUR": 2, "JPY": 0, "USD": 2, "KWD": 3}
"""Decimal places of the currencies of orders."""


@dataclass(frozen=True)
class Fact:
    """A fact that a document says: what the API is to be told, once."""

    action: str
    once: str
    amount: Decimal


@dataclass(eq=False)
class Document:
    """One state of an order, as one delivery brings it."""

    order: "Order"
    number: int
    topic: str
    body: bytes
    facts: list[Fact]
    delivery: str
    written: float
    """Seconds after the order began; nobody can tell of it before."""
    kept_at: float | None = None
    """When the program said that it has it: by 200, or by a committed offset."""


@dataclass(eq=False)
class Order:
    """An order and its books. began: when it was made, by the clock that nobody sets."""

    id: str
    email: str
    session: str
    currency: str
    total: Decimal
    began: datetime
    documents: list[Document] = field(default_factory=list)
    is_erased: bool = False

    @property
    def has_profile(self) -> bool:
        return bool(self.email)

    @property
    def has_identity(self) -> bool:
        return bool(self.email or self.session)

    def facts(self) -> dict[tuple[str, str], Fact]:
        """The facts that the documents which were kept say."""
        kept = [one for one in self.documents if one.kept_at is not None]
        return {(fact.action, fact.once): fact for document in kept for fact in document.facts}


class Shop:
    """Makes orders. number: makes what it makes differ from any other's."""

    def __init__(self, chance: Random, number: int = 0) -> None:
        self._chance = chance
        self._number = number
        self.orders: list[Order] = []

    def order(self, at: datetime) -> Order:
        """A whole order, from its first document to its last."""
        chance, count = self._chance, len(self.orders) + 1
        currency = chance.choices(list(CURRENCIES), (8, 1, 1, 1))[0]
        cents = [chance.randint(1, 20_000) for _ in range(chance.randint(1, 3))]
        prices = [Decimal(each).scaleb(-CURRENCIES[currency]) for each in cents]
        number = 6_000_000_000_000 + self._number * 10_000 + count
        who = chance.choices(("both", "person", "session", "nobody"), (3, 4, 3, 1))[0]
        order = Order(
            id=str(number),
            email=f"canary-{number}@example.com" if who in ("both", "person") else "",
            session=f"5f0c7f3c-0000-4000-8000-{number:012d}"[:36] if who in ("both", "session") else "",
            currency=currency,
            total=sum(prices, Decimal(0)),
            began=at,
        )
        self._live(order, prices, at)
        self.orders.append(order)
        return order

    def _live(self, order: Order, prices: list[Decimal], at: datetime) -> None:
        """What becomes of the order, step by step; after each there is a document."""
        chance = self._chance
        steps = ["create"]
        if chance.random() < 0.75:
            steps.append("pay")
        if chance.random() < 0.5:
            steps.append("ship")
        if "ship" in steps and chance.random() < 0.5:
            steps.append("arrive")
        if "pay" in steps:
            steps += ["refund"] * chance.choices((0, 1, 2), (5, 3, 1))[0]
        if chance.random() < 0.15:
            steps.append("cancel")
        if chance.random() < 0.3:
            steps.insert(chance.randint(1, len(steps)), "edit a note")
        state = _State(order, prices, at)
        for number, step in enumerate(steps, 1):
            topic = state.take(step, chance)
            order.documents.append(
                Document(
                    order=order,
                    number=number,
                    topic=topic,
                    body=json.dumps(state.document()).encode(),
                    facts=state.facts(),
                    delivery=f"{order.id}-{number}",
                    written=state.seconds,
                )
            )


_TOPICS = {
    "create": "orders/create",
    "pay": "orders/paid",
    "ship": "orders/fulfilled",
    "cancel": "orders/cancelled",
}


class _State:
    def __init__(self, order: Order, prices: list[Decimal], at: datetime) -> None:
        self._order = order
        self._prices = prices
        self._created = self._updated = at.replace(microsecond=0)
        self._paid = self._shipped = self._arrived = False
        self._refunds: list[tuple[str, Decimal]] = []
        self._cancelled: datetime | None = None
        self._notes = 0

    @property
    def seconds(self) -> float:
        """Seconds from the order's beginning to its last step."""
        return (self._updated - self._created).total_seconds()

    def take(self, step: str, chance: Random) -> str:
        """Take a step in the life of the order: the topic that tells of it."""
        if step != "create":
            self._updated += timedelta(seconds=chance.choice((1, 1, 2, 2, 60, 3600)))
        match step:
            case "pay":
                self._paid = True
            case "ship":
                self._shipped = True
            case "arrive":
                self._arrived = True
            case "refund":
                self._refund_some(chance)
            case "cancel":
                self._cancelled = self._updated
            case "edit a note":
                self._notes += 1
        return _TOPICS.get(step, "orders/updated")

    def _refund_some(self, chance: Random) -> None:
        left = self._order.total - sum((amount for _, amount in self._refunds), Decimal(0))
        unit = Decimal(1).scaleb(-CURRENCIES[self._order.currency])
        amount = max(unit, (left * chance.randint(1, 60) / 100).quantize(unit))
        self._refunds.append((f"{self._order.id}{len(self._refunds) + 1}", min(amount, max(unit, left))))

    def facts(self) -> list[Fact]:
        total = self._order.total
        facts = [Fact("order.placed", "", total)]
        if self._paid:
            facts.append(Fact("order.confirmed", "", total))
        if self._cancelled:
            facts.append(Fact("order.cancelled", "", total))
        if self._shipped:
            facts.append(Fact("order.shipped", "", total))
        if self._arrived:
            facts.append(Fact("order.delivered", "", total))
        return facts + [Fact("refund.received", each, amount) for each, amount in self._refunds]

    def document(self) -> dict[str, object]:
        order, currency = self._order, self._order.currency
        lines = [self._line(number, price) for number, price in enumerate(self._prices, 1)]
        total = self._money(order.total)
        status = "pending"
        if self._paid:
            status = "partially_refunded" if self._refunds else "paid"
        return {
            "id": int(order.id),
            "name": f"#{order.id[-6:]}",
            "created_at": _text(self._created),
            "processed_at": _text(self._created),
            "updated_at": _text(self._updated),
            "cancelled_at": _text(self._cancelled) if self._cancelled else None,
            "currency": currency,
            "presentment_currency": currency,
            "financial_status": status,
            "email": order.email,
            "customer": {"id": int(order.id), "email": order.email, "first_name": f"Canary{order.id}"}
            if order.email
            else None,
            "note": f"edited {self._notes} times",
            "note_attributes": [{"name": "hello_session", "value": order.session}] if order.session else [],
            "source_name": "web",
            "taxes_included": True,
            "total_tax": "0.00",
            "test": False,
            **{
                name: str(order.total)
                for name in ("total_price", "current_total_price", "subtotal_price", "total_line_items_price")
            },
            **{f"{name}_set": total for name in ("total_price", "current_total_price", "total_line_items_price")},
            "line_items": lines,
            "shipping_lines": [],
            "discount_codes": [],
            "refunds": [self._refund(number, amount) for number, amount in self._refunds],
            "fulfillments": [self._parcel()] if self._shipped else [],
        }

    def _money(self, amount: Decimal) -> dict[str, object]:
        side = {"amount": str(amount), "currency_code": self._order.currency}
        return {"shop_money": side, "presentment_money": side}

    def _line(self, number: int, price: Decimal) -> dict[str, object]:
        return {
            "id": int(f"{self._order.id}{number}"),
            "variant_id": 45_000 + number,
            "name": f"Thing {number}",
            "sku": f"THING-{number}",
            "quantity": 1,
            "current_quantity": 1,
            "price": str(price),
            "price_set": self._money(price),
            "requires_shipping": True,
            "discount_allocations": [],
            "properties": [],
        }

    def _refund(self, number: str, amount: Decimal) -> dict[str, object]:
        transaction = {
            "id": int(number),
            "kind": "refund",
            "status": "success",
            "amount": str(amount),
            "currency": self._order.currency,
        }
        at = _text(self._created)
        return {
            "id": int(number),
            "created_at": at,
            "processed_at": at,
            "transactions": [transaction],
            "refund_line_items": [],
        }

    def _parcel(self) -> dict[str, object]:
        return {
            "id": int(f"{self._order.id}9"),
            "status": "success",
            "service": "manual",
            "created_at": _text(self._created),
            "updated_at": _text(self._updated),
            "shipment_status": "delivered" if self._arrived else None,
            "line_items": [self._line(1, self._prices[0])],
        }


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
