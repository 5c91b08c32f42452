"""A shop's year: orders of every shape that was seen in real documents, and rows of another system beside them.

What is expected is reckoned from what happened (pieces, prices, who pays and who is given), by no rule and no field of
a document. Every sum of an order is a multiple of 25 cents, so that a pound at 0.80 is exact.
"""

import base64
import copy
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from bridge import registry

EXAMPLE = json.loads((registry.folder("shopify") / "examples" / "order.json").read_text())
_POUND = Decimal("0.8")
_NOW = datetime.now(UTC).replace(microsecond=0)
_TIMES = ("created_at", "processed_at")


Person: TypeAlias = tuple[str, str | None]


@dataclass
class Year:
    """changes: (order, topic, document) of the shop, each order's in their order. records: (key, value) of the table.

    expected  (action, reference) to what it is worth, how many pieces it is, and to whom it belongs: (address, number)
    """

    changes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    records: list[tuple[str, bytes | None]] = field(default_factory=list)
    expected: dict[tuple[str, str], tuple[Decimal, int, Person]] = field(default_factory=dict)
    shapes: dict[str, int] = field(default_factory=dict)


def made(orders: int, rows: int, chance: random.Random) -> Year:
    year = Year()
    for number in range(orders):
        _Order(year, number, chance).live()
    year.changes.sort(key=lambda change: (change[2]["updated_at"], change[0]))
    for number in range(rows):
        _row(year, number, chance)
    return year


def _both(amount: Decimal, shop: str = "EUR", buyer: str = "GBP") -> dict[str, Any]:
    return {
        "shop_money": {"amount": f"{amount:.2f}", "currency_code": shop},
        "presentment_money": {"amount": f"{amount * _POUND:.2f}", "currency_code": buyer},
    }


def _quarters(chance: random.Random, most: int) -> Decimal:
    return Decimal(chance.randrange(1, most * 4)) / 4


@dataclass
class _Line:
    """taken: pieces that an edit took away. back: pieces that came back for money."""

    id: int
    price: Decimal
    quantity: int
    off: Decimal = Decimal(0)
    taken: int = 0
    back: int = 0
    is_tip: bool = False
    product: int | None = None

    @property
    def piece(self) -> Decimal:
        """What one piece costs."""
        return self.price - self.off

    def document(self) -> dict[str, Any]:
        line = copy.deepcopy(EXAMPLE["line_items"][0]) | {
            "id": self.id,
            "title": "Tip" if self.is_tip else f"Sheet {self.id}",
            "name": "Tip" if self.is_tip else f"Sheet {self.id}",
            "sku": None,
            "variant_id": self.product,
            "product_id": self.product,
            "price": f"{self.price:.2f}",
            "price_set": _both(self.price),
            "quantity": self.quantity,
            "current_quantity": self.quantity - self.taken - self.back,
            "properties": [],
            "requires_shipping": not self.is_tip,
            "discount_allocations": [
                {"amount": f"{self.off * self.quantity:.2f}", "amount_set": _both(self.off * self.quantity)}
            ]
            if self.off
            else [],
        }
        return line | ({"tip": {"payment_gateway": "shopify_payments"}} if self.is_tip else {})


class _Order:
    def __init__(self, year: Year, number: int, chance: random.Random) -> None:
        self._year, self._chance = year, chance
        self.id = 7_043_000_000_000 + number
        self._at = _NOW - timedelta(days=20) + timedelta(seconds=number)
        self._placed = self._at
        self._lines = [
            self._line(place, off=Decimal(chance.choice((0, 0, 1))) / 4) for place in range(chance.randint(1, 4))
        ]
        self._shipping = _quarters(chance, 10)
        self._status = "pending"
        self._refunds: list[dict[str, Any]] = []
        self._fulfillments: list[dict[str, Any]] = []
        self._cancelled: str | None = None
        self._money_back = Decimal(0)
        self._is_picked_up = chance.random() < 0.1
        if self._is_picked_up:
            self._shipping = Decimal(0)
        self._is_gift = not self._is_picked_up and chance.random() < 0.15
        self._knows_phone = chance.random() < 0.5
        self._tip = _quarters(chance, 5) if chance.random() < 0.1 else Decimal(0)
        if self._tip:
            self._lines.append(_Line(id=self.id * 100 + 90, price=self._tip, quantity=1, is_tip=True))
        self._number = number

    def _line(self, place: int, off: Decimal = Decimal(0)) -> _Line:
        chance, identity = self._chance, self.id * 100 + place
        return _Line(
            id=identity, price=off + _quarters(chance, 80), quantity=chance.randint(1, 4), off=off, product=identity
        )

    # -- what happens

    def live(self) -> None:
        chance = self._chance
        for shape, is_so in (("gift", self._is_gift), ("picked up", self._is_picked_up), ("tipped", self._tip)):
            if is_so:
                self._counted(shape)
        if chance.random() < 0.1:
            self._edit_before_it_is_told()
        self._says("orders/create", "order.placed")
        if chance.random() < 0.15:
            self._edit()
        if chance.random() < 0.9:
            self._status = "paid"
            self._says("orders/paid", "order.confirmed")
            self._live_on()
        if chance.random() < 0.05:
            self._cancelled = self._at.isoformat()
            self._says("orders/cancelled", "order.cancelled")
            self._counted("cancelled")

    def _live_on(self) -> None:
        if not self._is_picked_up and self._chance.random() < 0.6:
            self._send()
        if self._chance.random() < 0.15:
            self._refund_pieces()
        if self._chance.random() < 0.08:
            self._refund_money()

    def _edit_before_it_is_told(self) -> None:
        """The first document that came is that of an edited order."""
        self._take_away()
        self._counted("edited before it was told")

    def _edit(self) -> None:
        kind = self._chance.choice(("less", "more", "exchanged"))
        if kind != "more":
            self._take_away()
        if kind != "less":
            self._lines.append(self._line(50 + len(self._lines)))
        self._counted(f"edited: {kind}")
        self._says("orders/updated")

    def _take_away(self) -> None:
        line = self._chance.choice([line for line in self._lines if not line.is_tip])
        others = [each for each in self._lines if each is not line and not each.is_tip and each.taken < each.quantity]
        line.taken = line.quantity if others else line.quantity - 1

    def _send(self) -> None:
        at = self._at.isoformat()
        sent = {"id": self.id + 1, "status": "success", "service": "manual", "created_at": at, "updated_at": at}
        sent |= {"tracking_number": None, "shipment_status": None, "line_items": [self._lines[0].document()]}
        self._fulfillments = [sent]
        self._says("orders/fulfilled", "order.shipped")

    def _refund_pieces(self) -> None:
        lines = [line for line in self._lines if not line.is_tip and line.quantity > line.taken]
        line = self._chance.choice(lines)
        line.back += 1
        self._refund(line.piece, [{"id": 1, "line_item_id": line.id, "quantity": 1, "restock_type": "return"}])
        self._counted("pieces back")

    def _refund_money(self) -> None:
        left = self._worth() - self._money_back
        if left >= 1:
            self._refund(Decimal(int(left * 2)) / 4, [])
            self._counted("money back")

    def _refund(self, worth: Decimal, pieces: list[dict[str, Any]]) -> None:
        """In the buyer's currency, in the shop's, or without saying which (that is the buyer's)."""
        currency = self._chance.choice(("GBP", "EUR", None))
        self._counted(f"refund in {currency}")
        amount = worth if currency == "EUR" else worth * _POUND
        at = self._at.isoformat()
        refund = {"id": self.id * 10 + len(self._refunds), "order_id": self.id, "created_at": at, "processed_at": at}
        moved = {"kind": "refund", "status": "success", "amount": f"{amount:.2f}", "processed_at": at}
        moved |= {"currency": currency} if currency else {}
        self._refunds.append(refund | {"refund_line_items": pieces, "transactions": [moved], "order_adjustments": []})
        self._money_back += worth
        self._status = "partially_refunded"
        self._says("orders/updated")
        self._year.expected["refund.received", str(refund["id"])] = worth, 0, self._person()

    # -- what is said of it

    def _worth(self) -> Decimal:
        """What the order is: edits count, money that went back does not."""
        return self._shipping + sum((line.piece * (line.quantity - line.taken) for line in self._lines), Decimal(0))

    def _pieces(self) -> int:
        return sum(line.quantity - line.taken for line in self._lines if not line.is_tip)

    def _says(self, topic: str, action: str = "") -> None:
        self._at += timedelta(minutes=5)
        self._year.changes.append((str(self.id), topic, self._document()))
        if action:
            self._year.expected[action, str(self.id)] = self._worth(), self._pieces(), self._person()

    def _person(self) -> Person:
        return f"buyer-{self._number}@example.com", self._phone()

    def _phone(self) -> str | None:
        return f"+447400{self._number:06d}" if self._knows_phone else None

    def _counted(self, shape: str) -> None:
        self._year.shapes[shape] = self._year.shapes.get(shape, 0) + 1

    def _document(self) -> dict[str, Any]:
        ever = sum((line.piece * line.quantity for line in self._lines), Decimal(0))
        goods = ever - self._tip
        returned = sum((line.piece * line.back for line in self._lines), Decimal(0))
        now = self._worth() - self._shipping - self._tip - returned
        name = {"first_name": "Ada", "last_name": f"Buyer {self._number}", "name": f"Ada Buyer {self._number}"}
        other = {"first_name": "Ben", "last_name": "Example", "name": "Ben Example"}
        phone = {"phone": f"+447401{self._number:06d}"} if self._is_gift else {"phone": None}
        address = {"country_code": "GB", **(other if self._is_gift else name), **phone}
        buyer, number = self._person()
        return copy.deepcopy(EXAMPLE) | {
            "id": self.id,
            "admin_graphql_api_id": f"gid://shopify/Order/{self.id}",
            "name": f"#{self._number}",
            **dict.fromkeys(_TIMES, self._placed.isoformat()),
            "updated_at": self._at.isoformat(),
            "cancelled_at": self._cancelled,
            "financial_status": self._status,
            "email": buyer,
            "contact_email": buyer,
            "phone": number,
            "customer": {"id": self.id + 7, **name, "email": buyer, "phone": None, "default_address": None},
            "billing_address": {"country_code": "GB", **name, "phone": None},
            "shipping_address": None if self._is_picked_up else address,
            "shipping_lines": []
            if self._is_picked_up
            else [{"id": 1, "price": f"{self._shipping:.2f}", "price_set": _both(self._shipping), "is_removed": False}],
            "note_attributes": [],
            "landing_site": None,
            "discount_codes": [],
            "line_items": [line.document() for line in self._lines],
            "refunds": copy.deepcopy(self._refunds),
            "fulfillments": copy.deepcopy(self._fulfillments),
            "total_tip_received": f"{self._tip:.2f}",
            **self._sums("total_price", ever + self._shipping, self._worth() - self._money_back),
            **self._sums("subtotal_price", goods, now),
            **self._sums("total_tax", (goods / 6).quantize(Decimal("0.01")), (now / 6).quantize(Decimal("0.01"))),
            "total_line_items_price": f"{goods:.2f}",
            "total_line_items_price_set": _both(goods),
            "total_shipping_price_set": _both(self._shipping),
            "current_shipping_price_set": _both(self._shipping),
        }

    def _sums(self, name: str, ever: Decimal, now: Decimal) -> dict[str, Any]:
        both = {name: ever, f"current_{name}": now}
        return {key: f"{value:.2f}" for key, value in both.items()} | {
            f"{key}_set": _both(value) for key, value in both.items()
        }


# -- rows of a table, as Debezium writes them unless it is told otherwise --------------------------------------------


def _row(year: Year, number: int, chance: random.Random) -> None:
    identity, total = 500_000 + number, Decimal(chance.randrange(1, 9_000_000)) / 100
    row = {
        "id": identity,
        "customer_email": f"row-{number}@example.com",
        "status": "placed",
        "currency": "EUR",
        "total": _unscaled(total),
        "created_at": int((_NOW - timedelta(days=3)).timestamp() * 1_000_000),
        "paid_at": None,
    }
    person = (f"row-{number}@example.com", None)
    _changed(year, row, None, "c")
    year.expected["order.placed", str(identity)] = total, 0, person
    if chance.random() < 0.8:
        paid = row | {"paid_at": int((_NOW - timedelta(days=2)).timestamp() * 1_000), "status": "paid"}
        _changed(year, paid, row, "u")
        year.expected["order.confirmed", str(identity)] = total, 0, person
        row = paid
    if chance.random() < 0.1:
        _changed(year, None, row, "d")
        year.records.append((year.records[-1][0], None))
        year.expected["order.cancelled", str(identity)] = Decimal(0), 0, person


def _changed(year: Year, after: dict[str, Any] | None, before: dict[str, Any] | None, op: str) -> None:
    identity = (after or before or {})["id"]
    millis = int(_NOW.timestamp() * 1000) + len(year.records)
    source = {"ts_ms": millis, "db": "shop", "schema": "public", "table": "orders", "lsn": len(year.records)}
    payload = {"before": before, "after": after, "source": source, "op": op, "ts_ms": millis}
    key = {"schema": {"type": "struct", "name": "orders.Key"}, "payload": {"id": identity}}
    year.records.append((json.dumps(key), json.dumps({"schema": {"type": "struct"}, "payload": payload}).encode()))


def _unscaled(amount: Decimal) -> str:
    digits = int(amount * 100)
    return base64.b64encode(digits.to_bytes(digits.bit_length() // 8 + 1, "big", signed=True)).decode()
