"""Orders that Hypothesis leads through their lives, with books beside them: the default rules tell what is there.

The books know nothing of a document's fields. They have the pieces that were sold, taken out by an edit and given back,
and the money that moved. The documents are written as Shopify's field descriptions say. Assumed, since no body was
seen: an edit that adds a line raises `total_price`, and one that takes pieces away lowers `current_total_price` alone.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bridge.config import read
from bridge.contract import Envelope, Event
from bridge.mapping.rules import Failure

SHOP = "example-linen.myshopify.com"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIG = """
sources:
  shop: {connector: shopify, currency: %s, shops: {example-linen.myshopify.com: {secrets: [env:S]}}}
destinations: {hellotext: {connector: hellotext, token: env:T}}
include: [shopify/default]
"""
RATE = Decimal("0.8")
"""What a euro of the shop is worth in the buyer's currency, where that is another one."""


@cache
def rules(currency):
    return read(CONFIG % currency, file="bridge.yaml", environ={"S": "s", "T": "t"}).rules


def cents(amount):
    """As text, with two digits."""
    return str(amount.quantize(Decimal("0.01"), ROUND_HALF_UP))


@dataclass
class Line:
    """Pieces of one product. off: the discount of each; rate: of the tax; all of it in the shop's currency."""

    number: int
    product: int
    price: Decimal
    sold: int
    off: Decimal
    rate: Decimal
    taken: int = 0
    back: int = 0
    is_tip: bool = False

    @property
    def here(self):
        return self.sold - self.taken - self.back


@dataclass
class Order:
    """The books of one order, and its document at any time.

    rate  that of all lines, where no line says it, as in an order by GraphQL
    """

    lines: list[Line]
    shipping: Decimal
    is_included: bool
    buyer: str
    prices: object
    rate: Decimal | None = None
    is_paid: bool = False
    is_shipping_taken: bool = False
    goodwill: Decimal = Decimal(0)
    paid: Decimal = Decimal(0)
    refunds: list = field(default_factory=list)
    sent_back: dict = field(default_factory=dict)
    cancelled_at: datetime | None = None
    now: datetime = NOON

    # -- what is there

    def piece(self, line):
        """What one piece costs, with the tax that comes on top."""
        net = line.price - line.off
        return net if self.is_included or line.is_tip else net + net * line.rate

    def way(self):
        return Decimal(0) if self.is_shipping_taken else self.shipping

    def worth(self):
        """What the order is: all that was sold and that no edit took out, whatever came back later."""
        return sum((self.piece(line) * (line.sold - line.taken) for line in self.lines), self.way())

    def pieces(self):
        """Of each product."""
        found = Counter()
        for line in self.lines:
            found[line.product] += 0 if line.is_tip else line.sold - line.taken
        return dict(+found)

    # -- what happens

    def later(self):
        self.now += timedelta(minutes=5)
        return self.now.isoformat()

    def pay(self):
        """Whatever is owed."""
        self.paid += max(self.due(), Decimal(0))
        self.is_paid = True

    def due(self):
        return self.total_now() - self.paid + sum(self.sent_back.values())

    def take(self, line, pieces, says, pays):
        """An edit. says: a refund that moved nothing names the pieces; pays: what was paid too much goes back."""
        line.taken += pieces
        named = [{"line_item_id": line.number, "quantity": pieces, "restock_type": "no_restock"}]
        if says:
            self.refund(named, Decimal(0))
        if pays and self.due() < 0:
            self.refund([], -self.due())

    def add(self, line):
        self.lines.append(line)

    def give_back(self, line, pieces, fee, restock):
        """Goods come back, and their money goes back, but for a fee."""
        line.back += pieces
        self.goodwill -= fee
        named = [{"line_item_id": line.number, "quantity": pieces, "restock_type": restock}]
        self.refund(named, self.piece(line) * pieces - fee)

    def give(self, amount):
        """Money goes back, and no goods come."""
        self.goodwill += amount
        self.refund([], amount)

    def cancel(self, says):
        """What is there goes back, and what was paid. says: a refund names it, also where nothing was paid."""
        self.cancelled_at = datetime.fromisoformat(self.later())
        named = [
            {"line_item_id": line.number, "quantity": line.here, "restock_type": "cancel"}
            for line in self.lines
            if line.here
        ]
        money = max(self.paid - sum(self.sent_back.values()), Decimal(0))
        for line in self.lines:
            line.back += line.here
        self.goodwill = self.total_now() + self.goodwill
        if says or money:
            self.refund(named, money)

    def refund(self, named, money):
        """In the buyer's currency, or in the shop's, as old documents have it."""
        number = len(self.refunds) + 1
        currency = self.buyer if number % 2 else "EUR"
        amount = money * (RATE if currency == "GBP" else 1)
        moved = {"kind": "refund", "status": "success", "amount": cents(amount), "currency": currency}
        self.refunds.append(
            {
                "id": number,
                "created_at": self.later(),
                "processed_at": self.now.isoformat(),
                "transactions": [moved] if money else [],
                "refund_line_items": named,
            }
        )
        if money:
            self.sent_back[number] = money

    # -- the document

    def total_ever(self):
        return sum((self.piece(line) * line.sold for line in self.lines), self.shipping)

    def total_now(self):
        return sum((self.piece(line) * line.here for line in self.lines), self.way()) - self.goodwill

    def status(self):
        gone = sum(self.sent_back.values())
        if not self.is_paid:
            return "voided" if self.cancelled_at else "pending"
        if gone and gone >= self.paid:
            return "refunded"
        if gone:
            return "partially_refunded"
        return "partially_paid" if self.due() > 0 else "paid"

    def money(self, name, amount):
        buyers = {"amount": cents(amount * (RATE if self.buyer == "GBP" else 1)), "currency_code": self.buyer}
        both = {"shop_money": {"amount": cents(amount), "currency_code": "EUR"}, "presentment_money": buyers}
        return {name: cents(amount), f"{name}_set": both}

    def document(self):
        """Of all sums those that the field descriptions promise."""
        net = {line.number: line.price - line.off for line in self.lines if not line.is_tip}
        tips = sum((line.price for line in self.lines if line.is_tip), Decimal(0))
        goods = [line for line in self.lines if not line.is_tip]
        tax, tax_now = (
            sum((net[line.number] * line.rate * count for line, count in zip(goods, counts, strict=True)), Decimal(0))
            for counts in ([line.sold for line in goods], [line.here for line in goods])
        )
        order = {
            "id": 6042,
            "name": "#1042",
            "email": "ada.sample@example.com",
            "currency": "EUR",
            "presentment_currency": self.buyer,
            "created_at": NOON.isoformat(),
            "processed_at": NOON.isoformat(),
            "updated_at": self.later(),
            "cancelled_at": self.cancelled_at.isoformat() if self.cancelled_at else None,
            "financial_status": self.status(),
            "taxes_included": self.is_included,
            "total_outstanding": str(self.due()),
            "total_tip_received": str(tips),
            "line_items": [self.line(line) for line in self.lines],
            "shipping_lines": [self.money("price", self.shipping) | {"id": 1, "is_removed": self.is_shipping_taken}],
            "refunds": list(self.refunds),
        }
        order |= self.money("total_price", self.total_ever()) | self.money("current_total_price", self.total_now())
        order |= self.money("total_tax", tax) | self.money("current_total_tax", tax_now)
        order |= self.money("subtotal_price", sum((net[line.number] * line.sold for line in goods), Decimal(0)))
        order |= self.money("current_subtotal_price", sum((net[line.number] * line.here for line in goods), Decimal(0)))
        order |= self.money("total_line_items_price", sum((line.price * line.sold for line in goods), Decimal(0)))
        order |= self.money("total_shipping_price", self.shipping)
        return order | self.money("current_shipping_price", self.way())

    def line(self, line):
        share = [self.money("amount", line.off * line.sold)] if line.off else []
        tax = self.money("price", (line.price - line.off) * line.rate * line.sold) | {"rate": float(line.rate)}
        return {
            "id": line.number,
            "title": f"Thing {line.number}",
            "variant_id": None if line.is_tip else line.product,
            "requires_shipping": not line.is_tip,
            "quantity": line.sold,
            "current_quantity": line.here,
            "discount_allocations": share,
            **({"tax_lines": [tax] if line.rate else []} if self.rate is None else {}),
            **({"tip": None} if line.is_tip else {}),
            **self.money("price", line.price),
        }


ROUND = some.integers(1, 40).map(lambda number: Decimal(number) * 5)
"""Prices of which every share that is taken below ends in a whole cent."""

ODD = some.integers(1, 20_000).map(lambda number: Decimal(number) / 100)


RATES = some.sampled_from(["0.2", "0.1", "0"]).map(Decimal)


@some.composite
def line(draw, prices, number, rate=None):
    price = draw(prices)
    off = draw(some.sampled_from([Decimal(0), Decimal(0), price / 5]))
    rate = draw(RATES) if rate is None else rate
    product = draw(some.integers(1, 3)) * 100
    return Line(number=number, product=product, price=price, sold=draw(some.integers(1, 4)), off=off, rate=rate)


@some.composite
def lives(draw, prices):
    """An order and the documents of its life, each with the books as they were then."""
    rate = draw(some.none() | RATES)
    order = Order(
        rate=rate,
        lines=[draw(line(prices, number, rate)) for number in range(1, draw(some.integers(1, 3)) + 1)],
        shipping=draw(some.sampled_from([Decimal(0), Decimal(10)])),
        is_included=draw(some.booleans()),
        buyer=draw(some.sampled_from(["EUR", "GBP"])),
        prices=prices,
    )
    if draw(some.integers(0, 4)) == 0:
        order.lines.append(
            Line(number=90, product=0, price=Decimal(5), sold=1, off=Decimal(0), rate=Decimal(0), is_tip=True)
        )
    steps = draw(some.lists(some.sampled_from([*STEPS]), min_size=1, max_size=6))
    taken = (step for step in steps if order.cancelled_at is None and STEPS[step](order, draw))
    return [written(order), *(written(order, step) for step in taken)]


def written(order, step="sold"):
    worth = order.worth()
    return step, order.document(), order.buyer, worth, order.pieces(), dict(order.sent_back)


def some_line(order, draw):
    there = [each for each in order.lines if each.here and not each.is_tip]
    return draw(some.sampled_from(there)) if there else None


def _pay(order, _draw):
    order.pay()
    return True


def _take(order, draw):
    found = some_line(order, draw)
    most = min(found.here, sum(each.here for each in order.lines if not each.is_tip) - 1) if found else 0
    if most < 1:
        return False
    order.take(found, draw(some.integers(1, most)), draw(some.booleans()), draw(some.booleans()))
    return True


def _add(order, draw):
    order.add(draw(line(order.prices, len(order.lines) + 1, order.rate)))
    return True


def _drop_shipping(order, _draw):
    if not order.shipping or order.is_shipping_taken or order.cancelled_at:
        return False
    order.is_shipping_taken = True
    return True


def _give_back(order, draw):
    found = some_line(order, draw)
    if found is None or not order.is_paid or order.due() > 0:
        return False
    fee, restock = draw(some.sampled_from([Decimal(0), Decimal(1)])), draw(some.sampled_from(["return", "no_restock"]))
    order.give_back(found, draw(some.integers(1, found.here)), fee if order.piece(found) > fee else 0, restock)
    return True


def _grow(order, draw):
    """An edit adds pieces to a line."""
    found = some_line(order, draw)
    if found is not None:
        found.sold += draw(some.integers(1, 2))
    return found is not None


def _give(order, _draw):
    if not order.is_paid or order.due() > 0 or order.total_now() <= 5:
        return False
    order.give(Decimal(5))
    return True


def _cancel(order, draw):
    order.cancel(any(line.taken for line in order.lines) or draw(some.booleans()))
    return True


STEPS = {
    "pay": _pay,
    "take": _take,
    "add": _add,
    "grow": _grow,
    "drop shipping": _drop_shipping,
    "give back": _give_back,
    "give": _give,
    "cancel": _cancel,
}


def steps(document, currency):
    envelope = Envelope(
        source="shop", id="1", topic="orders/updated", kind="order", tenant=SHOP, lane="6042",
        received_at=NOON + timedelta(days=1), raw=json.dumps(document).encode(),
    )  # fmt: skip
    return rules(currency).apply(envelope, "hellotext")


def told(document, currency):
    found = steps(document, currency)
    assert [] == [step for step in found if isinstance(step, Failure)]
    return [step for step in found if isinstance(step, Event)]


def currency_of(currency, buyer):
    """What a euro is worth in the currency that is told, and its code."""
    return (RATE, "GBP") if (currency, buyer) == ("buyer", "GBP") else (Decimal(1), "EUR")


@pytest.mark.parametrize("currency", ["shop", "buyer"])
@given(lives(ROUND))
@settings(max_examples=300)
def test_whichever_document_of_an_order_comes_first_tells_what_the_order_is(currency, life):
    for step, document, buyer, worth, pieces, sent_back in life:
        rate, code = currency_of(currency, buyer)
        for event in told(document, currency):
            if event.fact == "refund.received":
                expected = sent_back[int(event.give["object_parameters"]["reference"])]
            else:
                expected = worth
                items = event.give["object_parameters"]["items"]
                assert pieces == {int(item["product"]["reference"]): item["quantity"] for item in items}, step
            assert (expected * rate, code) == (event.give["amount"], event.give["currency"]), (step, event.fact)


@pytest.mark.parametrize("currency", ["shop", "buyer"])
@given(lives(ODD))
@settings(max_examples=300)
def test_where_shares_of_pieces_end_in_no_cent_it_differs_by_one_a_sum_at_most(currency, life):
    """The books do not round; a document has each sum rounded, and money that went back is one."""
    for step, document, buyer, worth, _, sent_back in life:
        rate, _ = currency_of(currency, buyer)
        sums = len(document["line_items"]) + len(sent_back) + 2
        for event in told(document, currency):
            if event.fact != "refund.received":
                assert abs(worth * rate - event.give["amount"]) <= sums * Decimal("0.01"), (step, event.fact)


def test_the_lives_that_are_made_up_hold_every_step():
    """The tests above would say little if no life came so far."""
    found = Counter()

    @given(lives(ROUND))
    @settings(max_examples=300, database=None, derandomize=True)
    def look(life):
        found.update(step for step, *_ in life)

    look()
    assert {"sold", *STEPS} == found.keys()


@pytest.mark.parametrize("currency", ["shop", "buyer"])
@pytest.mark.parametrize("missing", ["total_price", "amount"])
def test_of_an_edited_order_no_total_is_made_up_where_a_sum_is_missing(currency, missing):
    order = Order(lines=[], shipping=Decimal(0), is_included=True, buyer="GBP", prices=ROUND)
    for number in (1, 2):
        order.add(Line(number=number, product=number, price=Decimal(10), sold=2, off=Decimal(0), rate=Decimal(0)))
    order.pay()
    order.take(order.lines[0], 1, says=False, pays=False)
    order.give_back(order.lines[1], 1, Decimal(0), "return")
    order.give_back(order.lines[1], 1, Decimal(0), "return")
    document = order.document()
    assert Decimal(30) * (RATE if currency == "buyer" else 1) == told(document, currency)[0].give["amount"]
    if missing == "amount":
        in_the_other = document["refunds"][0 if currency == "shop" else 1]
        in_the_other["transactions"][0]["amount"] = None
    else:
        document |= {"total_price": None, "total_price_set": None}
    failed = [step for step in steps(document, currency) if isinstance(step, Failure)]
    assert {"order.placed", "order.confirmed"} <= {failure.fact for failure in failed}


@pytest.mark.parametrize("currency", ["shop", "buyer"])
@pytest.mark.parametrize("is_money_back", [False, True])
@pytest.mark.parametrize(
    "missing",
    [
        ("current_total_price",),
        ("total_price",),
        ("total_price", "current_total_price"),
    ],
)
def test_a_total_that_is_left_out_is_read_where_it_stands_in_both_currencies(currency, is_money_back, missing):
    """A subscription may leave fields out of its documents."""
    order = Order(lines=[], shipping=Decimal(0), is_included=True, buyer="GBP", prices=ROUND)
    for number in (1, 2):
        order.add(Line(number=number, product=number, price=Decimal(10), sold=2, off=Decimal(0), rate=Decimal(0)))
    order.pay()
    order.take(order.lines[0], 1, says=False, pays=False)
    if is_money_back:
        order.give_back(order.lines[1], 1, Decimal(0), "return")
    document = order.document()
    whole = told(document, currency)
    assert Decimal(30) * (RATE if currency == "buyer" else 1) == whole[0].give["amount"]
    assert whole == told({name: value for name, value in document.items() if name not in missing}, currency)


def test_of_an_order_whose_sums_do_not_come_to_its_total_the_money_that_went_back_decides():
    """Its lines say nothing sure of its total, such as where the tax is said to come on top and does not."""
    order = Order(lines=[], shipping=Decimal(0), is_included=True, buyer="EUR", prices=ROUND)
    for number in (1, 2):
        line_of = Line(number=number, product=number, price=Decimal(10), sold=2, off=Decimal(0), rate=Decimal("0.2"))
        order.add(line_of)
    order.pay()
    order.take(order.lines[0], 2, says=False, pays=False)
    order.give_back(order.lines[1], 1, Decimal(0), "return")
    document = order.document() | {"taxes_included": False, "cancelled_at": order.now.isoformat()}
    assert {Decimal(20)} == {
        event.give["amount"] for event in told(document, "shop") if event.fact != "refund.received"
    }
